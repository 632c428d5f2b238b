package dataplane

import (
	"math"
	"regexp"
	"time"
)

// Grid is the steps of a range query.
type Grid struct {
	From, To time.Time
	Step     time.Duration
}

// Span is what a query covers, and how finely it may be shown.
type Span struct {
	From, To  time.Time
	Points    int64         // points a series; 0: not known
	MaxPoints int64         // that are given at most
	Interval  time.Duration // what fits a pixel; 0: not known
	Scrape    time.Duration // the distance of the samples: no step is finer
}

// defaultPoints when a panel does not say how many it can draw.
const defaultPoints = 1000

// Steps returns at most as many steps as can be shown, on multiples of the step, so that a graph does not dance
// when it is refreshed. A step has whole seconds.
func (s Span) Steps() Grid {
	points := s.Points
	if points <= 0 {
		points = defaultPoints
	}
	points = min(points, s.MaxPoints)
	step := max(s.Scrape, s.Interval, time.Duration(math.Ceil(float64(s.To.Sub(s.From))/float64(points))), time.Second)
	step = (step + time.Second - 1).Truncate(time.Second)
	g := Grid{From: align(s.From, step), To: align(s.To, step), Step: step}
	if !g.From.Before(g.To) {
		g.From = g.To.Add(-step)
	}
	return g
}

// align returns the greatest multiple of step since the epoch that is not after t. Time.Truncate counts from
// the year 1, which is no multiple of most steps away.
func align(t time.Time, step time.Duration) time.Time {
	ms := t.UnixMilli()
	over := ms % step.Milliseconds()
	if over < 0 {
		over += step.Milliseconds()
	}
	return time.UnixMilli(ms - over).UTC()
}

// legendLabel is {{label}} in a legend, as Grafana's Prometheus data source writes it.
var legendLabel = regexp.MustCompile(`\{\{\s*([^{}]+?)\s*\}\}`)

// Legend puts labels in the place of {{label}}.
func Legend(text string, labels map[string]string) string {
	return legendLabel.ReplaceAllStringFunc(text, func(m string) string { return labels[legendLabel.FindStringSubmatch(m)[1]] })
}
