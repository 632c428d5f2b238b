// Package finding holds the one value that detectors, log miners and forecasts
// produce: something that stands out, and why. It imports nothing of ours and knows
// nothing of how a finding was made or what is done with it.
package finding

import (
	"math"
	"strconv"
	"strings"
	"time"
)

// Source says what produced a finding.
type Source string

// The sources.
const (
	SourceDetector Source = "detector" // a metric that behaves unusually
	SourcePattern  Source = "pattern"  // a log pattern that is new or changed its rate
	SourceForecast Source = "forecast" // a limit that will be met
)

// Direction says to which side of the expectation the observation lies.
type Direction string

// The directions. Neither is for findings without a side, such as a new log pattern.
const (
	Above   Direction = "above"
	Below   Direction = "below"
	Neither Direction = ""
)

// Finding is one thing that stands out. The zero value says nothing. It is a plain
// value: copying it shares Labels and Also, which nobody changes once it is made.
type Finding struct {
	Source Source
	What   string // name of the metric, template of the pattern
	Labels map[string]string
	// At is the time of the newest observation, Since the start of what it is part of.
	At, Since time.Time
	Score     float64 // above 1: it stands out
	Detector  string  // row of the table that made it, or the miner's or forecast's name
	Reason    string  // evidence inside the detector: level, shift, trend, silence, …

	// Observed and Expected are values of What, in Unit ("bytes", "seconds", "ratio",
	// "per second", "" if unknown); Lower and Upper bound what would have been usual.
	Observed, Expected, Lower, Upper float64
	Unit                             string
	Direction                        Direction

	Also []string // sentences of further explanation, most telling first
}

// Side returns the direction of an observation.
func Side(observed, expected float64) Direction {
	switch {
	case observed > expected:
		return Above
	case observed < expected:
		return Below
	}
	return Neither
}

// Change returns how far the observation is from what was expected, as a share of
// that: 0.45 is 45 % above. False where the expectation is zero or either is not a
// number, so that no share of it makes sense.
func (f Finding) Change() (share float64, ok bool) {
	share = (f.Observed - f.Expected) / math.Abs(f.Expected)
	return share, f.Expected != 0 && !math.IsNaN(share) && !math.IsInf(share, 0)
}

// Sentence tells the finding in one plain sentence, without time zone or locale:
// "node_load1{instance="a"} is 4.2, 210 % above the 1.35 expected, since 14:05 UTC."
func (f Finding) Sentence() string {
	var b strings.Builder
	b.WriteString(f.Subject())
	b.WriteString(" is ")
	b.WriteString(Quantity(f.Observed, f.Unit))
	if share, ok := f.Change(); ok && f.Direction != Neither && math.Abs(share) >= 0.005 && math.Abs(share) < 10 {
		b.WriteString(", " + strconv.FormatFloat(math.Abs(share)*100, 'f', 0, 64) + " % " + string(f.Direction) + " the ")
	} else {
		b.WriteString(" instead of the ")
	}
	b.WriteString(Quantity(f.Expected, f.Unit) + " expected")
	if !f.Since.IsZero() {
		b.WriteString(", since " + f.Since.UTC().Format("15:04") + " UTC")
	}
	b.WriteString(".")
	return b.String()
}

// Subject returns What with its labels as PromQL writes a series, sorted by name.
func (f Finding) Subject() string {
	var b strings.Builder
	b.WriteString(f.What)
	if len(f.Labels) == 0 {
		return b.String()
	}
	b.WriteByte('{')
	for i, name := range sortedKeys(f.Labels) {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(name + "=" + strconv.Quote(f.Labels[name]))
	}
	b.WriteByte('}')
	return b.String()
}
