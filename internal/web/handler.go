package web

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// unmatched is the route of requests that no pattern matched. The label never holds a path, which a client chooses.
const unmatched = "unmatched"

type metrics struct {
	requests   *prometheus.CounterVec
	duration   *prometheus.HistogramVec
	inFlight   prometheus.Gauge
	panics     prometheus.Counter
	reloadOK   prometheus.Gauge
	reloadTime prometheus.Gauge
}

func newMetrics(prefix string, reg prometheus.Registerer, reloads bool) *metrics {
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: prefix + "_http_requests_total",
			Help: "HTTP requests answered, by the pattern of the route and the status code.",
		}, []string{"route", "code"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    prefix + "_http_request_duration_seconds",
			Help:    "Time from the first byte of a request's handling to the end of its answer, by the pattern of the route.",
			Buckets: []float64{.001, .005, .025, .1, .25, .5, 1, 2.5, 10, 30},
		}, []string{"route"}),
		inFlight: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: prefix + "_http_requests_in_flight",
			Help: "HTTP requests that are being handled now.",
		}),
		panics: prometheus.NewCounter(prometheus.CounterOpts{
			Name: prefix + "_http_panics_total",
			Help: "HTTP requests whose handling panicked; each is a defect and is in the log with its stack.",
		}),
		reloadOK: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: prefix + "_config_last_reload_successful",
			Help: "Whether the last attempt to load the configuration succeeded (1) or was refused and the old one kept (0).",
		}),
		reloadTime: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: prefix + "_config_last_reload_success_timestamp_seconds",
			Help: "Unix time of the last successful load of the configuration.",
		}),
	}
	reg.MustRegister(m.requests, m.duration, m.inFlight, m.panics)
	if reloads {
		reg.MustRegister(m.reloadOK, m.reloadTime)
		m.reloaded(true) // New is called after the first load succeeded
	}
	return m
}

func (m *metrics) reloaded(ok bool) {
	if !ok {
		m.reloadOK.Set(0)
		return
	}
	m.reloadOK.Set(1)
	m.reloadTime.SetToCurrentTime()
}

// instrument wraps the mux: it counts and times by route, turns a panic into a logged 500, and answers what no route matches
// in JSON.
func (s *Server) instrument(mux *http.ServeMux) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		route := unmatched
		rec := &recorder{ResponseWriter: w}
		s.metrics.inFlight.Inc()
		defer func() {
			// Runs for a panic too, and recover works as this is the deferred function itself.
			p := recover()
			aborted := p != nil && s.recovered(rec, r, route, p)
			s.metrics.inFlight.Dec()
			s.metrics.requests.WithLabelValues(route, strconv.Itoa(rec.code())).Inc()
			s.metrics.duration.WithLabelValues(route).Observe(time.Since(start).Seconds())
			s.opts.Logger.Debug("request", "method", r.Method, "route", route, "code", rec.code(), "duration", time.Since(start))
			if aborted {
				panic(http.ErrAbortHandler)
			}
		}()
		h, pattern := mux.Handler(r)
		if pattern == "" {
			serveUnmatched(rec, r, h)
			return
		}
		route = pattern
		mux.ServeHTTP(rec, r)
	})
}

// recovered logs and counts a panic and answers 500. It reports whether the connection has to be aborted, because an answer
// was begun already or because the handler asked for it.
func (s *Server) recovered(w *recorder, r *http.Request, route string, p any) (abort bool) {
	if err, ok := p.(error); ok && errors.Is(err, http.ErrAbortHandler) {
		return true
	}
	s.metrics.panics.Inc()
	s.opts.Logger.Error("BUG: request handling panicked", "method", r.Method, "route", route, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
	if w.status != 0 {
		return true
	}
	Error(w, http.StatusInternalServerError, errors.New("internal error"), "this is a defect of "+s.opts.Name+": please report it with the lines around it in the log")
	return false
}

// serveUnmatched answers as the mux would have (404, or 405 with Allow), in JSON.
func serveUnmatched(w http.ResponseWriter, r *http.Request, h http.Handler) {
	plain := httptest.NewRecorder()
	h.ServeHTTP(plain, r)
	if plain.Code == http.StatusMethodNotAllowed {
		allow := plain.Header().Get("Allow")
		w.Header().Set("Allow", allow)
		Error(w, plain.Code, fmt.Errorf("method %s is not allowed here", r.Method), "use "+allow)
		return
	}
	Error(w, http.StatusNotFound, errors.New("no such path"), "the paths are listed in the documentation")
}

// recorder remembers the status of an answer. It keeps flushing and http.ResponseController working.
type recorder struct {
	http.ResponseWriter
	status int
}

func (r *recorder) WriteHeader(code int) {
	// 1xx may be followed by the real one.
	if r.status == 0 && code >= 200 {
		r.status = code
	}
	r.ResponseWriter.WriteHeader(code)
}

func (r *recorder) Write(b []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	return r.ResponseWriter.Write(b)
}

func (r *recorder) Flush() {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	_ = http.NewResponseController(r.ResponseWriter).Flush() // cannot flush: the answer goes out at its end
}

func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// code is the status that the client got: nothing written means 200.
func (r *recorder) code() int {
	if r.status == 0 {
		return http.StatusOK
	}
	return r.status
}
