// Package analyze says what is unusual in series that are handed over whole: a
// request, an answer, nothing kept between. What streams in is judged by package
// detect instead; a batch knows what came after a sample too, and has no baseline
// but itself.
//
// It is pure: no clock, no file, no network. It must not know HTTP.
package analyze

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"time"

	"github.com/portent-dev/portent/internal/detect"
)

// Type is what to look for.
type Type string

// The types of analysis.
const (
	Trend      Type = "trend_anomaly" // a rise or fall at the end that is steeper than the series' own history
	Spike      Type = "spike"         // at most three values far from their neighbours
	LevelShift Type = "level_shift"   // a step that lasts to the end
	Seasonal   Type = "seasonal"      // the newest values are not what this hour of the day usually shows
	Outlier    Type = "outlier"       // one series unlike its siblings in the request
	All        Type = "all"           // all of them; a series is told once, by its highest score
)

// Types lists the known ones.
func Types() []Type { return []Type{Trend, Spike, LevelShift, Seasonal, Outlier, All} }

// Request is what to analyze.
type Request struct {
	Cluster     string
	Series      []Series
	Type        Type
	Sensitivity detect.Sensitivity
}

// Series is one series, its times ascending. Values are finite.
type Series struct {
	Labels  map[string]string
	T       []int64 // Unix ms
	V       []float64
	Counter bool // V counts up: it is judged by its rate per second
}

// Severity follows from the score alone.
type Severity string

// The severities.
const (
	Info     Severity = "info"     // score above 1
	Warning  Severity = "warning"  // from 2
	Critical Severity = "critical" // from 4
)

// Response is the answer.
type Response struct {
	Anomalies []Anomaly `json:"anomalies"` // highest score first
	// Skipped counts the series with too few values to say anything.
	Skipped int `json:"skipped_series,omitempty"`
}

// Anomaly is one series that is unusual.
type Anomaly struct {
	Series      map[string]string `json:"series"`
	Type        Type              `json:"analysis_type"`
	Score       float64           `json:"score"` // above 1, at most 100
	Severity    Severity          `json:"severity"`
	Since       time.Time         `json:"since"`
	Observed    float64           `json:"observed"` // of a counter its increase per second
	Expected    float64           `json:"expected"`
	Change      *float64          `json:"change_percent"` // null where nothing was expected
	Unit        string            `json:"unit,omitempty"`
	Explanation string            `json:"explanation"`
	Actions     []string          `json:"suggested_actions"`
	// MovedWith are other anomalies of the same workload or machine, the first to move first;
	// First says that this one was.
	MovedWith []Moved `json:"moved_with,omitempty"`
	First     bool    `json:"first,omitempty"`
}

// minPoints is the fewest values of a series that are judged.
const minPoints = 12

// Run analyzes a decoded request. It stops with ctx's error when ctx ends; time and memory
// grow with the number of points, times its logarithm.
func Run(ctx context.Context, r Request, actions *Actions) (Response, error) {
	out := Response{Anomalies: []Anomaly{}}
	limits := limitsOf(r.Sensitivity)
	prepared := make([]*prepared, 0, len(r.Series))
	best := map[int]hit{}
	keep := func(i int, h hit, ok bool) {
		if ok && h.score > best[i].score {
			best[i] = h
		}
	}
	for i := range r.Series {
		if err := ctx.Err(); err != nil {
			return Response{}, err
		}
		p := prepare(r.Series[i])
		prepared = append(prepared, p)
		if len(p.v) < minPoints {
			out.Skipped++
			continue
		}
		for _, d := range finders {
			if r.Type == All || r.Type == d.of {
				h, ok := d.find(p, limits)
				h.of = d.of
				keep(i, h, ok)
			}
		}
	}
	if r.Type == All || r.Type == Outlier {
		for i, h := range outliers(prepared, limits) {
			keep(i, h, true)
		}
	}
	index := slices.Sorted(maps.Keys(best))
	names := actions.Names()
	for _, i := range index {
		names.Ask(prepared[i].labels)
	}
	for i := range r.Series {
		names.See(labelsOf(r.Series[i].Labels))
	}
	for _, i := range index {
		out.Anomalies = append(out.Anomalies, describe(prepared[i], best[i], names))
	}
	around(prepared, best, out.Anomalies, index, names)
	slices.SortFunc(out.Anomalies, func(a, b Anomaly) int {
		return cmp.Or(cmp.Compare(b.Score, a.Score), cmp.Compare(a.Explanation, b.Explanation))
	})
	return out, nil
}

// limits say from where on something is anomalous.
type limits struct {
	spreads float64 // robust standard deviations from what is expected
	share   float64 // and of what is expected, where that is not 0
	steeper float64 // times the steepest tenth of the history, for a trend
}

func limitsOf(s detect.Sensitivity) limits {
	switch s {
	case detect.Low:
		return limits{9, 0.2, 3}
	case detect.High:
		return limits{4.5, 0.05, 1.5}
	default:
		return limits{6, 0.1, 2}
	}
}

// hit is what a finder found in a series.
type hit struct {
	of                 Type
	score              float64
	since              int64 // Unix ms
	observed, expected float64
}

// finders are all but that of outliers, which needs the siblings.
var finders = []struct {
	of   Type
	find func(*prepared, limits) (hit, bool)
}{
	{Trend, trend},
	{LevelShift, levelShift}, // before spike: of a constant that steps, both score the same, and the step is the truth
	{Spike, spike},
	{Seasonal, seasonal},
}

func severity(score float64) Severity {
	switch {
	case score >= 4:
		return Critical
	case score >= 2:
		return Warning
	}
	return Info
}
