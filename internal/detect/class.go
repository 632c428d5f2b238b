package detect

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/portent-dev/portent/internal/ingest"
)

// Class is what holds for all series of one kind: which deviations matter, and what
// is known of the values beforehand. The zero value is what holds without one:
// every deviation in either direction matters.
//
// A deviation that does not matter is kept at 1 or below; the models learn from it
// all the same, and the band of Output shows what would matter.
type Class struct {
	// Name, Unit (as package finding has units, "" = what the metric's name says) and Means
	// are for people; no detector looks at them.
	Name, Unit, Means string

	// Kind says how the values behave where neither their source nor their name does.
	Kind ingest.Kind

	Direction Direction // "" = Both
	// MinAbsolute and MinRelative are how far a value must lie from what was expected,
	// in its own unit and as a share of the expected magnitude. Both must pass.
	MinAbsolute, MinRelative float64
	// Low and High bound what a value can be; nil = no bound. What lies outside is
	// impossible: its score is ImpossibleScore, and no model learns from it.
	Low, High *float64
	// QuietAtBounds says that a value exactly at Low or High is no news, as 0 is for
	// a queue and 1 for a hit rate.
	QuietAtBounds bool

	Sensitivity Sensitivity // "" = that of the engine
	Season      Season      // "" = SeasonLearned
	// Interval is the time between samples, before it is learnt. 0 = not known.
	Interval time.Duration
	// Delay is how much later than its own time a sample comes in. The end of a series
	// is told so much later.
	Delay time.Duration
	// WarmUp is for how long a series is watched before it is scored; each model
	// waits for what it needs itself. 0 = no longer than that.
	WarmUp time.Duration
	// Off names detectors (DetectorNames) whose evidence does not count.
	Off []string
	// Limit is the capacity that a trend runs into, nil if it is not known. It is kept
	// for whoever explains a trend.
	Limit *float64
	// Ends says whether a series of this kind that ends without a word is news.
	Ends Ends
}

// ImpossibleScore is the score of a value outside Class.Low and Class.High.
const ImpossibleScore = 2

// MaxClasses bounds Options.Classes.
const MaxClasses = 4096

// Direction says on which side of the expected value a deviation is news.
type Direction string

// The directions.
const (
	Both Direction = "both"
	Up   Direction = "up"
	Down Direction = "down"
)

// Season says which course the values follow.
type Season string

// The seasons.
const (
	SeasonLearned Season = "learned" // of day and week, as far as they show
	SeasonNone    Season = "none"
	SeasonDaily   Season = "daily"  // of the day, surely; the days of the week are alike
	SeasonWeekly  Season = "weekly" // of day and week, surely
)

// share returns how much a profile counts that has earned the share w by a given
// age (ms): one that is surely there needs only to have been seen.
func (s Season) share(w, age float64) float64 {
	switch s {
	case SeasonNone:
		return 0
	case SeasonDaily, SeasonWeekly:
		if age > seasonAfter {
			return 1
		}
	case SeasonLearned:
	}
	return w
}

// Ends says what the end of a series means.
type Ends string

// The meanings of an end.
const (
	// EndsByLabels is news unless the labels name something that comes and goes by
	// itself, such as a pod or a container.
	EndsByLabels Ends = "by_labels"
	EndsSeen     Ends = "seen"   // always news
	EndsUnseen   Ends = "unseen" // never
)

// comesAndGoes reports whether labels name something that is replaced as a matter of
// course: pods, containers, jobs and connections end without being missed. That
// all of a workload is gone is seen by whoever looks at groups.
func comesAndGoes(labels []ingest.Label) bool {
	for i := range labels {
		switch labels[i].Name {
		case "pod", "pod_name", "pod_ip", "exported_pod", "container_id", "id", "uid", "replicaset",
			"job_name", "owner_name", "client", "client_addr", "connection", "le", "quantile":
			return true
		}
	}
	return false
}

// DetectorNames lists the kinds of evidence that Class.Off can switch off: the
// reasons of a score.
func DetectorNames() []string { return slices.Clone(reasonNames[1:]) }

// Validate reports everything that is wrong with c, each with its key as
// configuration files spell it.
func (c *Class) Validate() error {
	var errs []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	oneOf := func(key, got string, all ...string) {
		check(got == "" || slices.Contains(all, got), "%s: unknown value %q: want one of %q", key, got, all)
	}
	oneOf("direction", string(c.Direction), string(Both), string(Up), string(Down))
	oneOf("season", string(c.Season), string(SeasonLearned), string(SeasonNone), string(SeasonDaily), string(SeasonWeekly))
	oneOf("ends", string(c.Ends), string(EndsByLabels), string(EndsSeen), string(EndsUnseen))
	for _, name := range c.Off {
		oneOf("off", name, DetectorNames()...)
	}
	check(c.MinAbsolute >= 0 && c.MinAbsolute <= maxMagnitude, "min_absolute: want a number from 0 on, got %g", c.MinAbsolute)
	check(c.MinRelative >= 0 && c.MinRelative <= maxMagnitude, "min_relative: want a share from 0 on, got %g", c.MinRelative)
	low, high := c.bounds()
	check(!math.IsNaN(low) && !math.IsNaN(high) && low < high, "low, high: want low below high, got %g and %g", low, high)
	check(!c.QuietAtBounds || c.Low != nil || c.High != nil, "quiet_at_bounds: want low or high beside it")
	check(c.Interval >= 0 && c.Delay >= 0 && c.WarmUp >= 0, "interval, delay, warm_up: want none below 0, got %s, %s, %s", c.Interval, c.Delay, c.WarmUp)
	check(c.Limit == nil || *c.Limit == *c.Limit && !math.IsInf(*c.Limit, 0), "limit: want a finite number")
	if c.Sensitivity != "" {
		if _, err := c.Sensitivity.Period(); err != nil {
			errs = append(errs, fmt.Errorf("sensitivity: %w", err))
		}
	}
	return errors.Join(errs...)
}

func (c *Class) bounds() (low, high float64) {
	low, high = math.Inf(-1), math.Inf(1)
	if c.Low != nil {
		low = *c.Low
	}
	if c.High != nil {
		high = *c.High
	}
	return low, high
}
