package app

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/model"

	"github.com/portent-dev/portent/internal/analyze"
	"github.com/portent-dev/portent/internal/web"
)

// Analysis bounds POST /v1/analyze/metrics, and says where its suggestions stand.
type Analysis struct {
	// ActionsFile is a table in place of the built-in one; "" = that.
	ActionsFile   string         `yaml:"actions_file"`
	MaxBodyBytes  int64          `yaml:"max_body_bytes"`
	MaxSeries     int            `yaml:"max_series"`
	MaxPoints     int            `yaml:"max_points"`
	MaxConcurrent int            `yaml:"max_concurrent"`
	Timeout       model.Duration `yaml:"timeout"`
}

// setDirectory makes a relative path one from the directory of the configuration.
func (a *Analysis) setDirectory(dir string) {
	if a.ActionsFile != "" && !filepath.IsAbs(a.ActionsFile) {
		a.ActionsFile = filepath.Join(dir, a.ActionsFile)
	}
}

// DefaultAnalysis takes a day of a thousand series at five minutes. A request then holds
// about 100 MB while it is in work.
func DefaultAnalysis() Analysis {
	return Analysis{
		MaxBodyBytes: 16 << 20, MaxSeries: 1000, MaxPoints: 300_000, MaxConcurrent: 2, Timeout: model.Duration(10 * time.Second),
	}
}

func (a *Analysis) validate() error {
	var errs []error
	for _, limit := range []struct {
		key   string
		value int64
	}{
		{"max_body_bytes", a.MaxBodyBytes},
		{"max_series", int64(a.MaxSeries)},
		{"max_points", int64(a.MaxPoints)},
		{"max_concurrent", int64(a.MaxConcurrent)},
	} {
		if limit.value <= 0 {
			errs = append(errs, web.Invalid(limit.key, fmt.Errorf("must be above 0, is %d", limit.value)))
		}
	}
	if a.Timeout <= 0 {
		errs = append(errs, web.Invalid("timeout", errors.New("must be above 0s")))
	}
	return errors.Join(errs...)
}

// actions returns the table of suggestions.
func (a *Analysis) actions() (*analyze.Actions, error) {
	data := analyze.DefaultActionsFile
	if a.ActionsFile != "" {
		var err error
		if data, err = os.ReadFile(a.ActionsFile); err != nil {
			return nil, fmt.Errorf("actions_file: %w", err)
		}
	}
	table, err := analyze.ParseActions(data)
	if err != nil {
		return nil, fmt.Errorf("actions_file: %s: %w", a.ActionsFile, err)
	}
	return table, nil
}

type analysisMetrics struct {
	requests  *prometheus.CounterVec
	anomalies *prometheus.CounterVec
}

func newAnalysisMetrics(reg prometheus.Registerer) *analysisMetrics {
	m := &analysisMetrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: prefix + "analysis_requests_total",
			Help: "Requests to analyze series that were handed over, by outcome.",
		}, []string{"outcome"}),
		anomalies: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: prefix + "analysis_anomalies_total",
			Help: "Anomalies found in series that were handed over, by severity.",
		}, []string{"severity"}),
	}
	for _, outcome := range [...]string{outcomeDone, outcomeRefused, outcomeTooLarge, outcomeBusy, outcomeTimeout} {
		m.requests.WithLabelValues(outcome)
	}
	for _, s := range [...]analyze.Severity{analyze.Info, analyze.Warning, analyze.Critical} {
		m.anomalies.WithLabelValues(string(s))
	}
	reg.MustRegister(m.requests, m.anomalies)
	return m
}

// Outcomes of a request to analyze.
const (
	outcomeDone     = "done"
	outcomeRefused  = "refused"
	outcomeTooLarge = "too_large"
	outcomeBusy     = "busy"
	outcomeTimeout  = "timeout"
)

// analysis serves POST /v1/analyze/metrics. It keeps nothing between requests.
type analysis struct {
	config  Analysis
	actions *analyze.Actions
	slots   chan struct{} // one for each request in work
	metrics *analysisMetrics
}

func newAnalysis(c Analysis, m *analysisMetrics) (*analysis, error) {
	actions, err := c.actions()
	if err != nil {
		return nil, err
	}
	return &analysis{config: c, actions: actions, slots: make(chan struct{}, c.MaxConcurrent), metrics: m}, nil
}

// ServeHTTP implements http.Handler.
func (a *analysis) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), time.Duration(a.config.Timeout))
	defer cancel()
	if !a.enter(ctx) {
		w.Header().Set("Retry-After", "5")
		a.refuse(w, http.StatusServiceUnavailable, outcomeBusy, errors.New("too many analyses at one time"), "send it again, or raise analysis.max_concurrent")
		return
	}
	defer func() { <-a.slots }()
	limits := analyze.Limits{MaxSeries: a.config.MaxSeries, MaxPoints: a.config.MaxPoints}
	request, err := analyze.Decode(http.MaxBytesReader(w, r.Body, a.config.MaxBodyBytes), limits)
	if err != nil {
		a.refuseBody(w, err)
		return
	}
	answer, err := analyze.Run(ctx, request, a.actions)
	if err != nil {
		a.refuse(w, http.StatusServiceUnavailable, outcomeTimeout, fmt.Errorf("analyze %d series: %w", len(request.Series), err),
			"send fewer series or values at a time, or raise analysis.timeout")
		return
	}
	a.metrics.requests.WithLabelValues(outcomeDone).Inc()
	for _, x := range answer.Anomalies {
		a.metrics.anomalies.WithLabelValues(string(x.Severity)).Inc()
	}
	web.JSON(w, http.StatusOK, answer)
}

// enter takes a slot, and reports whether there was one before ctx ended.
func (a *analysis) enter(ctx context.Context) bool {
	select {
	case a.slots <- struct{}{}: // free now: then no matter how little time there is
		return true
	default:
	}
	select {
	case a.slots <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}

func (a *analysis) refuseBody(w http.ResponseWriter, err error) {
	var large *http.MaxBytesError
	var bad *analyze.BadInput
	switch {
	case errors.As(err, &large):
		a.refuse(w, http.StatusRequestEntityTooLarge, outcomeTooLarge, fmt.Errorf("the body is larger than %d bytes", large.Limit),
			"send fewer series or values at a time, or raise analysis.max_body_bytes")
	case errors.As(err, &bad):
		a.refuse(w, http.StatusBadRequest, outcomeRefused, bad, bad.Field+": want "+bad.Hint)
	default:
		a.refuse(w, http.StatusBadRequest, outcomeRefused, fmt.Errorf("read the body: %w", err), "send it whole")
	}
}

func (a *analysis) refuse(w http.ResponseWriter, status int, outcome string, err error, hint string) {
	a.metrics.requests.WithLabelValues(outcome).Inc()
	web.Error(w, status, err, hint)
}
