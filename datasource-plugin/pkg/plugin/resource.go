package plugin

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/grafana/grafana-plugin-sdk-go/backend"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"

	"github.com/portent-dev/portent/datasource-plugin/pkg/anomalies"
	"github.com/portent-dev/portent/datasource-plugin/pkg/query"
	"github.com/portent-dev/portent/datasource-plugin/pkg/settings"
	"github.com/portent-dev/portent/internal/incidentapi"
)

// Bounds of suggestions.
const (
	defaultSuggestions = 500
	maxSuggestions     = 5000
	defaultCompletions = 20 // questions: what a list under a text field shows
	// scannedValues are read from Prometheus at most before they are filtered by the text typed so far.
	scannedValues = 20_000
	// scannedIncidents are the newest ones, whose alerts give the labels for incident queries.
	scannedIncidents = 200
)

// parameterError is a resource call with a parameter that cannot be read.
type parameterError struct{ text string }

func (e *parameterError) Error() string { return e.text }

// suggestions is the answer of every resource.
type suggestions struct {
	Values    []string `json:"values"`    // in order of the alphabet
	Truncated bool     `json:"truncated"` // there are more
}

// lookup is a resource call with its parameters read.
type lookup struct {
	scope    query.Type // whose labels: of the scores (anomalies, the default), of alerts (incidents), of all series or of log streams
	metric   string
	matchers []query.Matcher
	label    string
	contains string // lower case; only values that contain it
	text     string // the same as it was typed
	from, to time.Time
	limit    int
}

// routes are the resources: GET /metrics, /labels, /label-values, /suggest, and /explain, which is told what
// explain.go says. Parameters, all optional: for (a query type), metric, matchers (JSON as in a query), q (text),
// from and to (Unix ms), limit; label is needed by /label-values.
func (in *Instance) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /metrics", in.suggest(in.metrics))
	mux.HandleFunc("GET /labels", in.suggest(in.labels))
	mux.HandleFunc("GET /label-values", in.suggest(in.labelValues))
	mux.HandleFunc("GET /suggest", in.suggestQuestions)
	mux.HandleFunc("GET /explain", in.explain)
	mux.HandleFunc("POST /explain", in.explain)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		writeJSON(w, http.StatusNotFound, errorBody{Error: fmt.Sprintf("no resource %s %.100q", r.Method, r.URL.Path), Hint: "known: GET /metrics, /labels, /label-values, /suggest, /explain, POST /explain"})
	})
	return mux
}

type errorBody struct {
	Error string `json:"error"`
	Hint  string `json:"hint,omitempty"`
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if err := json.NewEncoder(w).Encode(v); err != nil {
		backend.Logger.Debug("resource answer not written", "error", err)
	}
}

func (in *Instance) suggest(values func(context.Context, lookup) ([]string, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		a, err := readLookup(r.URL.Query(), time.Now())
		var all []string
		if err == nil {
			all, err = values(r.Context(), a)
		}
		if err != nil {
			writeFault(w, err)
			return
		}
		writeJSON(w, http.StatusOK, a.pick(all))
	}
}

// suggestQuestions answers in the order of likelihood, which pick would lose.
func (in *Instance) suggestQuestions(w http.ResponseWriter, r *http.Request) {
	a, err := readLookup(r.URL.Query(), time.Now())
	if r.URL.Query().Get("limit") == "" {
		a.limit = defaultCompletions
	}
	var values []string
	if err == nil {
		values, err = in.completions(r.Context(), a)
	}
	if err != nil {
		writeFault(w, err)
		return
	}
	writeJSON(w, http.StatusOK, suggestions{Values: append([]string{}, values...), Truncated: len(values) >= a.limit})
}

// pick returns the values that contain the text, those that begin with it first when not all fit.
func (a lookup) pick(all []string) suggestions {
	all = slices.DeleteFunc(all, func(v string) bool { return v == "" || !strings.Contains(strings.ToLower(v), a.contains) })
	s := suggestions{Truncated: len(all) > a.limit}
	if s.Truncated {
		slices.SortStableFunc(all, func(x, y string) int {
			return cmp.Or(cmp.Compare(a.rank(x), a.rank(y)), strings.Compare(x, y))
		})
		all = all[:a.limit]
	}
	slices.Sort(all)
	s.Values = slices.Compact(all)
	if s.Values == nil {
		s.Values = []string{}
	}
	return s
}

func (a lookup) rank(v string) int {
	if strings.HasPrefix(strings.ToLower(v), a.contains) {
		return 0
	}
	return 1
}

func readLookup(p url.Values, now time.Time) (lookup, error) {
	a := lookup{scope: query.Type(cmp.Or(p.Get("for"), string(query.TypeAnomalies))), metric: p.Get("metric"), label: p.Get("label"), contains: strings.ToLower(p.Get("q")), text: p.Get("q")}
	if !slices.Contains(query.Types(), a.scope) {
		return a, &parameterError{fmt.Sprintf("for: got %.40q, want one of: %v", a.scope, query.Types())}
	}
	if text := p.Get("matchers"); text != "" {
		if err := json.Unmarshal([]byte(text), &a.matchers); err != nil {
			return a, &parameterError{"matchers: want a JSON list of {label, op, value}"}
		}
	}
	var err error
	if a.to, err = readTime(p, "to", now); err != nil {
		return a, err
	}
	if a.from, err = readTime(p, "from", a.to.Add(-time.Hour)); err != nil {
		return a, err
	}
	if a.from.After(a.to) {
		return a, &parameterError{"from is after to"}
	}
	a.limit = defaultSuggestions
	if text := p.Get("limit"); text != "" {
		if a.limit, err = strconv.Atoi(text); err != nil || a.limit < 1 || a.limit > maxSuggestions {
			return a, &parameterError{fmt.Sprintf("limit: got %.20q, want 1 to %d", text, maxSuggestions)}
		}
	}
	return a, nil
}

func readTime(p url.Values, name string, byDefault time.Time) (time.Time, error) {
	text := p.Get(name)
	if text == "" {
		return byDefault, nil
	}
	ms, err := strconv.ParseInt(text, 10, 64)
	if err != nil || ms < 0 || ms > math.MaxInt64/int64(time.Millisecond) {
		return time.Time{}, &parameterError{fmt.Sprintf("%s: got %.30q, want Unix milliseconds", name, text)}
	}
	return time.UnixMilli(ms), nil
}

// metrics are the input metrics that have a score, or for forecasts and questions all metrics.
func (in *Instance) metrics(ctx context.Context, a lookup) ([]string, error) {
	a.metric, a.label = "", anomalies.LabelMetric
	if a.ofAllSeries() {
		a.label = model.MetricNameLabel
	} else {
		a.scope = query.TypeAnomalies
	}
	return in.labelValues(ctx, a)
}

// ofAllSeries reports whether the labels of all series of Prometheus are meant, not only of scores.
func (a lookup) ofAllSeries() bool { return a.scope == query.TypeForecast || a.scope == query.TypeAsk }

// labels are the label names of the series with a score, of all series, or of the alerts of the newest incidents.
func (in *Instance) labels(ctx context.Context, a lookup) ([]string, error) {
	if a.scope == query.TypeIncidents {
		return in.alertLabels(ctx, a, func(ls map[string]string, add func(string)) {
			for name := range ls {
				add(name)
			}
		})
	}
	match, err := in.match(a)
	if err != nil {
		return nil, err
	}
	ctx, cancel := in.withTimeout(ctx, settings.Prometheus)
	defer cancel()
	names, err := in.prometheus.labelNames(ctx, match, a.from, a.to, scannedValues)
	hidden := anomalies.LabelMetric
	if a.ofAllSeries() {
		hidden = model.MetricNameLabel
	}
	return slices.DeleteFunc(names, func(n string) bool { return n == model.MetricNameLabel || n == hidden }), cause(ctx, err)
}

func (in *Instance) labelValues(ctx context.Context, a lookup) ([]string, error) {
	if a.label == "" {
		return nil, &parameterError{"label is missing"}
	}
	if a.scope == query.TypeIncidents {
		return in.alertLabels(ctx, a, func(ls map[string]string, add func(string)) { add(ls[a.label]) })
	}
	match, err := in.match(a)
	if err != nil {
		return nil, err
	}
	ctx, cancel := in.withTimeout(ctx, settings.Prometheus)
	defer cancel()
	values, err := in.prometheus.labelValues(ctx, a.label, match, a.from, a.to, scannedValues)
	return values, cause(ctx, err)
}

// match selects the series that the matchers typed so far leave, within the scope of the data source; "" is all.
func (in *Instance) match(a lookup) (string, error) {
	if err := in.usable(settings.Prometheus); err != nil {
		return "", err
	}
	a.matchers = append(slices.Clip(a.matchers), in.scope()...)
	if a.ofAllSeries() {
		return allSeries(a.metric, a.matchers)
	}
	return anomalies.SelectorText(a.metric, a.matchers)
}

// allSeries is a selector of a metric with matchers. Where none of them demands anything it demands a name, since
// Prometheus refuses a selector of everything.
func allSeries(metric string, matchers []query.Matcher) (string, error) {
	compiled, err := query.CompileAll(matchers)
	if err != nil {
		return "", err
	}
	name := labels.MustNewMatcher(labels.MatchRegexp, model.MetricNameLabel, ".+")
	if metric != "" {
		name = labels.MustNewMatcher(labels.MatchEqual, model.MetricNameLabel, metric)
	}
	return (&parser.VectorSelector{LabelMatchers: append([]*labels.Matcher{name}, compiled...)}).String(), nil
}

// inScope reports whether labels are within what the data source is limited to.
func (in *Instance) inScope(ls map[string]string) bool {
	return !slices.ContainsFunc(in.settings.Scope, func(m *labels.Matcher) bool { return !m.Matches(ls[m.Name]) })
}

// alertLabels gathers what get finds in the labels of the alerts of the newest incidents.
func (in *Instance) alertLabels(ctx context.Context, a lookup, get func(map[string]string, func(string))) ([]string, error) {
	if err := in.usable(settings.Receiver); err != nil {
		return nil, err
	}
	ctx, cancel := in.withTimeout(ctx, settings.Receiver)
	defer cancel()
	page, err := in.receiver.List(ctx, incidentapi.ListOptions{Since: a.from, Limit: scannedIncidents})
	if err != nil {
		return nil, cause(ctx, err)
	}
	seen := map[string]bool{}
	var out []string
	for _, inc := range page.Incidents {
		for _, alert := range inc.Alerts {
			if !in.inScope(alert.Labels) {
				continue
			}
			get(alert.Labels, func(v string) {
				if !seen[v] {
					seen[v] = true
					out = append(out, v)
				}
			})
		}
	}
	return out, nil
}
