package query

import (
	"encoding/json"
	"math"
	"slices"
)

// Part is one thing that the time series view can draw for each series.
type Part string

// Parts.
const (
	PartScore    Part = "score"    // anomaly_score: 0 to 1 normal, above 1 anomalous
	PartExpected Part = "expected" // what the detector expected
	PartBand     Part = "band"     // lower and upper end of what it takes for normal
	PartObserved Part = "observed" // the input series itself; a counter as rate a second
)

// Defaults of an anomalies query.
const (
	DefaultThreshold      = 1.0 // the score's own contract: above 1 is anomalous
	DefaultAnomaliesLimit = 20  // what fits on a screen
)

// Anomalies asks which series are or were anomalous, or how their scores went.
type Anomalies struct {
	View      View      `json:"view"`
	Metric    string    `json:"metric"`    // name of the input metric; empty for all
	Matchers  []Matcher `json:"matchers"`  // labels of the input series
	Threshold *float64  `json:"threshold"` // only series whose score was above; 0 for all
	Limit     int       `json:"limit"`     // series with the greatest scores
	Show      []Part    `json:"show"`      // what the time series view draws
	Legend    string    `json:"legend"`    // name of a line, with {{label}}; empty for metric and labels
}

func readAnomalies(q *Query, raw json.RawMessage) error {
	a := Anomalies{}
	if err := strict("anomalies", raw, &a); err != nil {
		return err
	}
	if a.View == "" {
		a.View = ViewTable
	}
	if err := oneOf("anomalies.view", a.View, ViewTable, ViewTimeSeries, ViewNumeric, ViewAnnotations); err != nil {
		return err
	}
	if err := limit("anomalies.limit", &a.Limit, DefaultAnomaliesLimit); err != nil {
		return err
	}
	if len(a.Metric) > MaxValueBytes || len(a.Legend) > MaxValueBytes {
		return errorf("anomalies: metric and legend may have at most %d bytes", MaxValueBytes)
	}
	if a.Threshold == nil {
		a.Threshold = new(defaultThreshold(a.View))
	}
	if t := *a.Threshold; t < 0 || math.IsInf(t, 0) || math.IsNaN(t) {
		return errorf("anomalies.threshold: got %v, want 0 or more", t)
	}
	if a.Matchers == nil {
		a.Matchers = []Matcher{}
	}
	if _, err := CompileAll(a.Matchers); err != nil {
		return err
	}
	if len(a.Show) == 0 {
		a.Show = []Part{PartScore}
	}
	for i, p := range a.Show {
		if err := oneOf("anomalies.show", p, PartScore, PartExpected, PartBand, PartObserved); err != nil {
			return err
		}
		if slices.Contains(a.Show[:i], p) {
			return errorf("anomalies.show: %s is named twice", p)
		}
	}
	q.Anomalies = &a
	return nil
}

// defaultThreshold is 1 where the question is what is anomalous, and 0 where it is how the scores are: an
// alert rule or a graph without data says less than one with a low score.
func defaultThreshold(v View) float64 {
	if v == ViewTable || v == ViewAnnotations {
		return DefaultThreshold
	}
	return 0
}

// Shows reports whether p is drawn.
func (a *Anomalies) Shows(p Part) bool { return slices.Contains(a.Show, p) }
