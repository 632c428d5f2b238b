package federate_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/common/config"
	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/ingest/federate"
	"github.com/portent-dev/portent/internal/ingest/ingesttest"
)

// fake answers the n-th reading, n from 1, inside a synctest bubble.
type fake struct {
	answer   func(n int) (status int, body string) // status 0 is no connection
	requests []*http.Request
	at       []time.Time
}

func (f *fake) client(config.HTTPClientConfig) (*http.Client, error) {
	return &http.Client{Transport: f}, nil
}

func (f *fake) RoundTrip(r *http.Request) (*http.Response, error) {
	f.requests, f.at = append(f.requests, r), append(f.at, time.Now())
	status, body := f.answer(len(f.requests))
	if status == 0 {
		return nil, errors.New("connect: connection refused")
	}
	return &http.Response{
		StatusCode: status, Status: strconv.Itoa(status) + " " + http.StatusText(status), Request: r,
		Header: http.Header{"Content-Type": {"text/plain; version=0.0.4"}}, Body: io.NopCloser(strings.NewReader(body)),
	}, nil
}

type env struct {
	source *federate.Source
	target *ingesttest.Target
	reg    *prometheus.Registry
	log    *bytes.Buffer
}

func newEnv(t *testing.T, f *fake, edit func(*federate.Target)) *env {
	t.Helper()
	e := &env{target: new(ingesttest.Target), reg: prometheus.NewPedanticRegistry(), log: new(bytes.Buffer)}
	target := federate.DefaultTarget()
	target.Name, target.URL, target.Match, target.Timeout = "prom", "http://prometheus:9090/p", []string{"up", `{job="a"}`}, target.Interval
	if edit != nil {
		edit(&target)
	}
	var err error
	e.source, err = federate.New(federate.Options{
		Config: federate.Config{Targets: []federate.Target{target}}, Target: e.target,
		Registerer: e.reg, Logger: slog.New(slog.NewTextHandler(e.log, nil)), Client: f.client,
	})
	require.NoError(t, err)
	return e
}

func (e *env) runFor(t *testing.T, d time.Duration) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	require.NoError(t, e.source.Run(ctx))
}

func TestRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{answer: func(n int) (int, string) { return 200, "up " + strconv.Itoa(n) + "\n" }}
		<-time.After(47 * time.Second)
		e := newEnv(t, f, nil)
		e.runFor(t, 2*time.Minute)
		require.Equal(t, "/p/federate?match%5B%5D=up&match%5B%5D=%7Bjob%3D%22a%22%7D", f.requests[0].URL.RequestURI())
		require.Contains(t, f.requests[0].Header.Get("Accept"), "text/plain;version=0.0.4")
		ms := func(s int64) string { return strconv.FormatInt((946684800+s)*1000, 10) }
		require.Equal(t, `{__name__="up"} unknown 1@`+ms(47)+` 2@`+ms(60)+` 3@`+ms(120)+"\n", e.target.Dump())
	})
}

func TestFailures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{answer: func(n int) (int, string) {
			switch n {
			case 2, 3:
				return 0, ""
			case 4:
				return 503, "Service Unavailable"
			case 5:
				return 200, "<html>"
			case 6:
				return 200, "up one\n"
			case 7:
				return 200, strings.Repeat("# a long answer\n", 1000)
			}
			return 200, "up 1\nb 1\n"
		}}
		e := newEnv(t, f, func(c *federate.Target) { c.MaxBytes, c.MaxSeries = 1000, 1 })
		e.runFor(t, 7*time.Minute+30*time.Second)
		require.NotContains(t, e.target.Dump(), "stale", "a server that is away ends nothing")
		require.NoError(t, testutil.GatherAndCompare(e.reg, strings.NewReader(`
# HELP portent_exporter_federate_failures_total Readings that failed, by reason.
# TYPE portent_exporter_federate_failures_total counter
portent_exporter_federate_failures_total{reason="bad_data",target="prom"} 0
portent_exporter_federate_failures_total{reason="canceled",target="prom"} 0
portent_exporter_federate_failures_total{reason="down",target="prom"} 3
portent_exporter_federate_failures_total{reason="execution",target="prom"} 0
portent_exporter_federate_failures_total{reason="forbidden",target="prom"} 0
portent_exporter_federate_failures_total{reason="not_found",target="prom"} 0
portent_exporter_federate_failures_total{reason="not_prometheus",target="prom"} 1
portent_exporter_federate_failures_total{reason="parse",target="prom"} 1
portent_exporter_federate_failures_total{reason="server",target="prom"} 0
portent_exporter_federate_failures_total{reason="timeout",target="prom"} 0
portent_exporter_federate_failures_total{reason="tls",target="prom"} 0
portent_exporter_federate_failures_total{reason="too_large",target="prom"} 1
portent_exporter_federate_failures_total{reason="too_many",target="prom"} 0
portent_exporter_federate_failures_total{reason="unauthorized",target="prom"} 0
# HELP portent_exporter_federate_last_success_timestamp_seconds Time of the last good reading of a target; 0 when there was none.
# TYPE portent_exporter_federate_last_success_timestamp_seconds gauge
portent_exporter_federate_last_success_timestamp_seconds{target="prom"} 9.4668522e+08
# HELP portent_exporter_federate_samples_dropped_total Samples left out because of the target's max_series.
# TYPE portent_exporter_federate_samples_dropped_total counter
portent_exporter_federate_samples_dropped_total{target="prom"} 2
# HELP portent_exporter_federate_series Series in the last good reading of a target that were taken.
# TYPE portent_exporter_federate_series gauge
portent_exporter_federate_series{target="prom"} 1
# HELP portent_exporter_federate_last_answer_bytes Size of the last good answer of a target, decompressed.
# TYPE portent_exporter_federate_last_answer_bytes gauge
portent_exporter_federate_last_answer_bytes{target="prom"} 9
`), "portent_exporter_federate_failures_total", "portent_exporter_federate_last_success_timestamp_seconds",
			"portent_exporter_federate_samples_dropped_total", "portent_exporter_federate_series", "portent_exporter_federate_last_answer_bytes"))
		log := e.log.String()
		require.Equal(t, 1, strings.Count(log, "reason=down"), "a failure that goes on is logged once")
		require.Equal(t, 1, strings.Count(log, "federation works again"))
		require.Contains(t, log, "reason=parse")
	})
}

func TestNew(t *testing.T) {
	for _, o := range []federate.Options{
		{},
		{Target: new(ingesttest.Target), Logger: slog.Default()},
		{Target: new(ingesttest.Target), Logger: slog.Default(), Registerer: prometheus.NewRegistry(), Config: federate.Config{Targets: []federate.Target{{}}}},
	} {
		_, err := federate.New(o)
		require.Error(t, err)
	}
	s, err := federate.New(federate.Options{Target: new(ingesttest.Target), Logger: slog.Default(), Registerer: prometheus.NewRegistry()})
	require.NoError(t, err)
	require.NoError(t, s.Run(t.Context()))
}

func TestMetricsLint(t *testing.T) {
	problems, err := testutil.GatherAndLint(newEnv(t, &fake{}, nil).reg)
	require.NoError(t, err)
	require.Empty(t, problems)
}
