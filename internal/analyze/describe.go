package analyze

import (
	"maps"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/portent-dev/portent/internal/detect"
	"github.com/portent-dev/portent/internal/finding"
	"github.com/portent-dev/portent/internal/ingest"
)

// describe puts a hit into words.
func describe(p *prepared, h hit, names *Names) Anomaly {
	metric := p.labels[ingest.MetricName]
	unit := unitOf(metric, p.rate)
	a := Anomaly{
		Series: maps.Clone(p.labels), Type: h.of, Score: round(h.score), Severity: severity(h.score),
		Since: time.UnixMilli(h.since).UTC(), Observed: h.observed, Expected: h.expected, Unit: unit,
	}
	side := finding.Side(h.observed, h.expected)
	f := finding.Finding{Observed: h.observed, Expected: h.expected}
	if share, ok := f.Change(); ok {
		percent := round(100 * share)
		a.Change = &percent
	}
	subject, _ := names.NameOf(p.labels, "")
	a.Explanation = subject + " " + sentence(h, a.Change, unit, string(side))
	a.Actions = names.actions.suggest(metric, h.of, string(side))
	return a
}

// round keeps four digits: more would pretend to know.
func round(v float64) float64 {
	if v == 0 {
		return 0
	}
	by := math.Pow(10, 3-math.Floor(math.Log10(math.Abs(v))))
	if r := math.Round(v*by) / by; !math.IsNaN(r) && !math.IsInf(r, 0) {
		return r
	}
	return v
}

// against says what was expected, by type of analysis.
var against = map[Type]string{
	Trend:      "where its usual course would have led",
	Spike:      "the values around it",
	LevelShift: "the level before",
	Seasonal:   "what this hour usually shows",
	Outlier:    "the median of its siblings",
}

// sentence says by how much, against what, since when and in which units: "is 45 %
// above what this hour usually shows, since 14:05 UTC (5.8 GiB instead of 4 GiB)".
func sentence(h hit, change *float64, unit, side string) string {
	var b strings.Builder
	verb := "is "
	if h.of == Spike {
		verb = "was "
	}
	b.WriteString(verb)
	if change != nil && math.Abs(*change) < 1000 && side != "" {
		b.WriteString(strconv.FormatFloat(math.Abs(*change), 'f', 0, 64) + " % " + side + " " + against[h.of])
	} else {
		b.WriteString("far from " + against[h.of])
	}
	at := time.UnixMilli(h.since).UTC().Format("15:04") + " UTC"
	if h.of == Spike {
		b.WriteString(" at " + at)
	} else {
		b.WriteString(", since " + at)
	}
	b.WriteString(" (" + finding.Quantity(h.observed, unit) + " instead of " + finding.Quantity(h.expected, unit) + ")")
	if h.of == Trend {
		word := "risen"
		if h.observed < h.expected {
			word = "fallen"
		}
		b.WriteString("; it has " + word + " steadily")
	}
	return b.String()
}

// unitOf returns the unit of a metric as detect has it.
func unitOf(metric string, rate bool) string {
	u := detect.Output{}.Finding([]ingest.Label{{Name: ingest.MetricName, Value: metric}}, "").Unit
	if rate && u == "" {
		return "per second"
	}
	return u
}

// plainName returns a metric's name as words, without the suffix of its unit.
func plainName(metric string) string {
	if metric == "" {
		return "the value"
	}
	name := metric
	for _, suffix := range [...]string{"_total", "_bytes", "_seconds", "_ratio", "_percent"} {
		if short := strings.TrimSuffix(name, suffix); short != "" {
			name = short
		}
	}
	return strings.Join(strings.FieldsFunc(name, func(r rune) bool { return r == '_' || r == ':' }), " ")
}

// owning are the labels that say whose series it is, the most telling first.
var owning = [...]string{"pod", "service", "deployment", "statefulset", "daemonset", "workload", "app", "container", "node", "instance", "job"}

// ownerOf returns whose series it is, and the label that says so.
func ownerOf(labels map[string]string) (by, owner string) {
	for _, name := range owning {
		if v := labels[name]; v != "" {
			return name, v
		}
	}
	return "", ""
}
