// Package prometheustest is a Prometheus for tests, in this process: stored series and a small query engine
// behind the part of the HTTP API that the data source uses. Queries are parsed by the real parser and
// evaluated, so a test holds what a query means and not how it is spelled. What the engine does not know is an
// error; the protocol tests hold what it knows to a real Prometheus with the same series.
package prometheustest

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/promql/parser"
)

// Version that the server tells.
const Version = "3.15.0-test"

// Series to load: a value for each step from Start. NaN is no sample; Stale ends the series.
type Series struct {
	Name   string
	Labels map[string]string
	Start  time.Time
	Step   time.Duration
	Values []float64
}

// Server is one running server. Its zero value is not usable.
type Server struct {
	URL    string
	series []stored

	mu      sync.Mutex
	headers []http.Header
}

// Serve starts a server with these series. It ends with the test.
func Serve(t testing.TB, all ...Series) *Server {
	t.Helper()
	s := &Server{}
	for _, one := range all {
		s.series = append(s.series, one.stored())
	}
	srv := httptest.NewServer(s.handler())
	t.Cleanup(srv.Close)
	s.URL = srv.URL
	return s
}

func (s Series) stored() stored {
	ls := map[string]string{model.MetricNameLabel: s.Name}
	maps.Copy(ls, s.Labels)
	out := stored{labels: labels.FromMap(ls)}
	for i, v := range s.Values {
		if math.IsNaN(v) && !value.IsStaleNaN(v) {
			continue
		}
		at := s.Start.Add(time.Duration(i) * s.Step)
		out.samples = append(out.samples, model.SamplePair{Timestamp: model.TimeFromUnixNano(at.UnixNano()), Value: model.SampleValue(v)})
	}
	return out
}

// OpenMetrics writes series as promtool reads them to fill a real Prometheus. A series that goes stale is only
// written up to there: the format has no stale marker.
func OpenMetrics(all ...Series) string {
	byName := map[string][]string{}
	for _, s := range all {
		one := s.stored()
		for _, p := range one.samples {
			if value.IsStaleNaN(float64(p.Value)) {
				break
			}
			text := "{" + strings.TrimSuffix(identity(one.labels), ",") + "}"
			byName[s.Name] = append(byName[s.Name], fmt.Sprintf("%s%s %s %s", s.Name, text,
				strconv.FormatFloat(float64(p.Value), 'g', -1, 64), strconv.FormatFloat(float64(p.Timestamp)/1000, 'f', 3, 64)))
		}
	}
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(byName)) {
		fmt.Fprintf(&b, "# TYPE %s unknown\n%s\n", name, strings.Join(byName[name], "\n"))
	}
	return b.String() + "# EOF\n"
}

// Headers returns those of all requests so far.
func (s *Server) Headers() []http.Header {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.headers)
}

func (s *Server) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/api/v1/query", s.query)
	mux.HandleFunc("/api/v1/query_range", s.queryRange)
	mux.HandleFunc("/api/v1/labels", s.labelNames)
	mux.HandleFunc("/api/v1/label/{name}/values", s.labelValues)
	mux.HandleFunc("/api/v1/status/buildinfo", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, map[string]string{"version": Version})
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		s.headers = append(s.headers, r.Header.Clone())
		s.mu.Unlock()
		mux.ServeHTTP(w, r)
	})
}

func (s *Server) query(w http.ResponseWriter, r *http.Request) {
	at, err := time.Now(), error(nil)
	if text := r.FormValue("time"); text != "" {
		at, err = parseTime(text)
	}
	expr, perr := parse(r.FormValue("query"))
	if err := errors.Join(err, perr); err != nil {
		fail(w, http.StatusBadRequest, "bad_data", err)
		return
	}
	e := engine{series: s.series, end: at}
	got, err := e.eval(expr, at)
	if err != nil {
		fail(w, http.StatusUnprocessableEntity, "execution", err)
		return
	}
	out := make(model.Vector, 0, len(got))
	for _, v := range got {
		out = append(out, &model.Sample{Metric: metric(v.labels), Timestamp: model.TimeFromUnixNano(at.UnixNano()), Value: model.SampleValue(v.value)})
	}
	answer(w, map[string]any{"resultType": "vector", "result": out})
}

func (s *Server) queryRange(w http.ResponseWriter, r *http.Request) {
	start, err1 := parseTime(r.FormValue("start"))
	end, err2 := parseTime(r.FormValue("end"))
	seconds, err3 := strconv.ParseFloat(r.FormValue("step"), 64)
	expr, err4 := parse(r.FormValue("query"))
	step := time.Duration(seconds * float64(time.Second))
	err := errors.Join(err1, err2, err3, err4)
	if err == nil && (step <= 0 || end.Sub(start)/step > 11_000) {
		err = errors.New("exceeded maximum resolution of 11,000 points per timeseries")
	}
	if err != nil {
		fail(w, http.StatusBadRequest, "bad_data", err)
		return
	}
	e := engine{series: s.series}
	m, err := e.matrix(expr, start, end, step)
	if err != nil {
		fail(w, http.StatusUnprocessableEntity, "execution", err)
		return
	}
	answer(w, map[string]any{"resultType": "matrix", "result": m})
}

func parse(text string) (parser.Expr, error) {
	return parser.NewParser(parser.Options{}).ParseExpr(text)
}

func metric(ls labels.Labels) model.Metric {
	m := model.Metric{}
	ls.Range(func(l labels.Label) { m[model.LabelName(l.Name)] = model.LabelValue(l.Value) })
	return m
}

func (s *Server) labelNames(w http.ResponseWriter, r *http.Request) {
	s.list(w, r, func(ls labels.Labels, add func(string)) { ls.Range(func(l labels.Label) { add(l.Name) }) })
}

func (s *Server) labelValues(w http.ResponseWriter, r *http.Request) {
	s.list(w, r, func(ls labels.Labels, add func(string)) {
		if v := ls.Get(r.PathValue("name")); v != "" {
			add(v)
		}
	})
}

// list answers what get finds in the labels of the series that match and have a sample between start and end.
func (s *Server) list(w http.ResponseWriter, r *http.Request, get func(labels.Labels, func(string))) {
	start, err1 := parseTime(r.FormValue("start"))
	end, err2 := parseTime(r.FormValue("end"))
	expr, err3 := parse(r.FormValue("match[]"))
	sel, ok := expr.(*parser.VectorSelector)
	if err := errors.Join(err1, err2, err3); err != nil || !ok {
		fail(w, http.StatusBadRequest, "bad_data", fmt.Errorf("want start, end and a selector: %w", err))
		return
	}
	seen := map[string]bool{}
	e := engine{series: s.series}
	for _, one := range e.find(sel) {
		if len(window(one.samples, end, end.Sub(start))) > 0 {
			get(one.labels, func(v string) { seen[v] = true })
		}
	}
	values := slices.Sorted(maps.Keys(seen))
	if limit, _ := strconv.Atoi(r.FormValue("limit")); limit > 0 && len(values) > limit { // absent is 0, which is none
		values = values[:limit]
	}
	answer(w, values)
}

func parseTime(s string) (time.Time, error) {
	f, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return time.Time{}, err
	}
	return time.UnixMilli(int64(math.Round(f * 1000))), nil
}

func answer(w http.ResponseWriter, data any) {
	write(w, http.StatusOK, map[string]any{"status": "success", "data": data})
}

func fail(w http.ResponseWriter, status int, kind string, err error) {
	write(w, status, map[string]any{"status": "error", "errorType": kind, "error": err.Error()})
}

func write(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // the client went away
}
