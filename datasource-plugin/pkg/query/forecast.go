package query

import (
	"encoding/json"
	"math"
	"slices"
	"time"
)

// What a forecast query draws.
const (
	PartHistory  Part = "history"  // the series so far
	PartForecast Part = "forecast" // where it is expected to go; the band is PartBand
)

// Defaults and bounds of a forecast query.
const (
	DefaultHorizon        = "1d"
	DefaultForecastSeries = 10
	MaxForecastSeries     = 50 // each takes up to a second of a processor
	DefaultLevel          = 0.95
	MaxHorizon            = 366 * 24 * time.Hour
)

// Forecast asks where series go and when they meet a limit.
type Forecast struct {
	View     View      `json:"view"`
	Expr     string    `json:"expr"`     // PromQL; or
	Metric   string    `json:"metric"`   // the name of a metric: a counter is taken as its rate
	Matchers []Matcher `json:"matchers"` // of every selector
	Horizon  string    `json:"horizon"`  // how far ahead, such as 7d
	History  string    `json:"history"`  // how far back is looked; empty: the dashboard's range, and at least three times the horizon
	Level    float64   `json:"level"`    // share of the future values that the band is to hold
	Until    *float64  `json:"until"`    // the limit of which the time is wanted; null for none
	Limit    int       `json:"limit"`    // series, those with the greatest newest values
	Show     []Part    `json:"show"`     // what the time series view draws
	Legend   string    `json:"legend"`
	Unit     string    `json:"unit"` // of Grafana; empty: as the metric's name says
}

func readForecast(q *Query, raw json.RawMessage) error {
	f := Forecast{}
	if err := strict("forecast", raw, &f); err != nil {
		return err
	}
	if f.View == "" {
		f.View = ViewTimeSeries
	}
	if err := oneOf("forecast.view", f.View, ViewTimeSeries, ViewNumeric, ViewTable); err != nil {
		return err
	}
	switch {
	case f.Expr == "" && f.Metric == "":
		return errorf("forecast: want expr (PromQL) or metric")
	case f.Expr != "" && f.Metric != "":
		return errorf("forecast: want expr or metric, not both")
	case len(f.Expr) > MaxTextBytes:
		return errorf("forecast.expr has %d bytes, at most %d", len(f.Expr), MaxTextBytes)
	case len(f.Metric) > MaxValueBytes || len(f.Legend) > MaxValueBytes || len(f.Unit) > MaxValueBytes:
		return errorf("forecast: metric, legend and unit may have at most %d bytes", MaxValueBytes)
	}
	if f.Limit == 0 {
		f.Limit = DefaultForecastSeries
	}
	if f.Limit < 0 || f.Limit > MaxForecastSeries {
		return errorf("forecast.limit: got %d, want 1 to %d", f.Limit, MaxForecastSeries)
	}
	if f.Level == 0 {
		f.Level = DefaultLevel
	}
	if !(f.Level > 0 && f.Level < 1) {
		return errorf("forecast.level: got %v, want more than 0 and less than 1, such as 0.95", f.Level)
	}
	if f.Until != nil && (math.IsNaN(*f.Until) || math.IsInf(*f.Until, 0)) {
		return errorf("forecast.until: got %v, want a number", *f.Until)
	}
	if err := f.durations(); err != nil {
		return err
	}
	if f.Matchers == nil {
		f.Matchers = []Matcher{}
	}
	if _, err := CompileAll(f.Matchers); err != nil {
		return err
	}
	if err := f.parts(); err != nil {
		return err
	}
	q.Forecast = &f
	return nil
}

func (f *Forecast) durations() error {
	if f.Horizon == "" {
		f.Horizon = DefaultHorizon
	}
	if d, err := duration(f.Horizon); err != nil || d <= 0 || d > MaxHorizon {
		return errorf("forecast.horizon: got %q, want a duration such as 7d, at most 366d", clip(f.Horizon))
	}
	if d, err := duration(f.History); err != nil || d < 0 || d > MaxHorizon {
		return errorf("forecast.history: got %q, want a duration such as 14d, at most 366d, or nothing", clip(f.History))
	}
	return nil
}

func (f *Forecast) parts() error {
	if len(f.Show) == 0 {
		f.Show = []Part{PartHistory, PartForecast, PartBand}
	}
	for i, p := range f.Show {
		if err := oneOf("forecast.show", p, PartHistory, PartForecast, PartBand); err != nil {
			return err
		}
		if slices.Contains(f.Show[:i], p) {
			return errorf("forecast.show: %s is named twice", p)
		}
	}
	return nil
}

// Shows reports whether p is drawn.
func (f *Forecast) Shows(p Part) bool { return slices.Contains(f.Show, p) }

// HorizonOf is the duration of Horizon.
func (f *Forecast) HorizonOf() time.Duration { return known(f.Horizon) }

// HistoryOf is the duration of History; 0 if none is given.
func (f *Forecast) HistoryOf() time.Duration { return known(f.History) }
