package promquery_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/common/config"
	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/ingest/ingesttest"
	"github.com/portent-dev/portent/internal/ingest/promquery"
	"github.com/portent-dev/portent/internal/spectest"
)

// fake is a Prometheus inside a synctest bubble: requests reach it without a
// network, and are held to the vendor's description.
type fake struct {
	t        *testing.T
	contract *spectest.Contract
	answer   func(form url.Values) (status int, body string)
	delay    time.Duration

	mu    sync.Mutex
	calls []url.Values
	busy  map[string]int // queries in work
	most  int            // of them at one time
}

func newFake(t *testing.T, answer func(url.Values) (int, string)) *fake {
	t.Helper()
	return &fake{t: t, contract: spectest.Load(t, "prometheus"), answer: answer, busy: map[string]int{}}
}

func (f *fake) client(config.HTTPClientConfig) (*http.Client, error) {
	return &http.Client{Transport: f}, nil
}

func (f *fake) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	described := r.Clone(r.Context())
	described.URL.Path = strings.TrimPrefix(r.URL.Path, "/api/v1")
	if err := f.contract.CheckRequest(described, body); err != nil {
		f.t.Errorf("request is not as described: %v", err)
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, err
	}
	query := form.Get("query")
	f.mu.Lock()
	f.calls = append(f.calls, form)
	f.busy[query]++
	if f.busy[query] > 1 {
		f.t.Errorf("query %s is evaluated twice at a time", query)
	}
	sum := 0
	for _, n := range f.busy {
		sum += n
	}
	f.most = max(f.most, sum)
	f.mu.Unlock()
	defer func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.busy[query]--
	}()
	if f.delay > 0 {
		select {
		case <-time.After(f.delay):
		case <-r.Context().Done():
			return nil, r.Context().Err()
		}
	}
	status, text := f.answer(form)
	if status == 0 {
		return nil, errors.New("connect: connection refused")
	}
	rec := httptest.NewRecorder()
	rec.Header().Set("Content-Type", "application/json")
	rec.WriteHeader(status)
	rec.Body = bytes.NewBufferString(text)
	resp := rec.Result()
	resp.Request = r
	return resp, nil
}

func (f *fake) times() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []string
	for _, c := range f.calls {
		out = append(out, c.Get("time"))
	}
	return out
}

// vector answers an instant query with series given as label set and value.
func vector(form url.Values, series ...string) (int, string) {
	return 200, `{"status":"success","data":{"resultType":"vector","result":[` + elements(form.Get("time"), series...) + `]}}`
}

func elements(at string, series ...string) string {
	var out []string
	for i := 0; i < len(series); i += 2 {
		out = append(out, fmt.Sprintf(`{"metric":%s,"value":[%s,%q]}`, series[i], at, series[i+1]))
	}
	return strings.Join(out, ",")
}

// env is a source with what is around it.
type env struct {
	source *promquery.Source
	target *ingesttest.Target
	reg    *prometheus.Registry
	log    *bytes.Buffer
}

func newEnv(t *testing.T, f *fake, queries ...promquery.Query) *env {
	t.Helper()
	e := &env{target: new(ingesttest.Target), reg: prometheus.NewPedanticRegistry(), log: new(bytes.Buffer)}
	server := promquery.DefaultServer()
	server.URL, server.Queries = "http://prometheus:9090", queries
	var err error
	e.source, err = promquery.New(promquery.Options{
		Config: promquery.Config{Servers: []promquery.Server{server}}, Target: e.target,
		Registerer: e.reg, Logger: slog.New(slog.NewTextHandler(e.log, nil)), Client: f.client,
	})
	require.NoError(t, err)
	return e
}

func query(name, expr string) promquery.Query {
	q := promquery.DefaultQuery()
	q.Name, q.Expr, q.Timeout = name, expr, model.Duration(30*time.Second)
	return q
}

// runFor runs the source for a time of the bubble's clock, which starts at
// 2000-01-01 00:00:00 UTC.
func (e *env) runFor(t *testing.T, d time.Duration) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	require.NoError(t, e.source.Run(ctx))
}

const start = 946684800 // of a synctest bubble

func TestAlignedTimes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t, func(form url.Values) (int, string) { return vector(form, `{"job":"a"}`, "1") })
		<-time.After(47*time.Second + 123*time.Millisecond) // started at an odd time
		newEnv(t, f, query("q", "sum by (job) (up)")).runFor(t, 3*time.Minute)
		// Asked 10 s after each full minute; the first at once, for the minute before.
		require.Equal(t, []string{strconv.Itoa(start), strconv.Itoa(start + 60), strconv.Itoa(start + 120), strconv.Itoa(start + 180)}, f.times())
		require.Equal(t, "30s", f.calls[0].Get("timeout"))
	})
}

func TestSamples(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t, func(form url.Values) (int, string) {
			return vector(form, `{"job":"b","instance":"ö \"x\""}`, "2", `{"__name__":"x_total","job":"a"}`, "NaN", `{"__name__":"anomaly_score","metric":"x"}`, "1", `{"job":"","zone":"z"}`, "+Inf")
		})
		e := newEnv(t, f, query("errors_ratio", "x"))
		e.runFor(t, time.Second)
		at := strconv.Itoa((start - 60) * 1000)
		require.Equal(t, `{__name__="errors_ratio", instance="ö \"x\"", job="b"} gauge 2@`+at+`
{__name__="errors_ratio", zone="z"} gauge +Inf@`+at+`
{__name__="x_total", job="a"} counter NaN@`+at+"\n", e.target.Dump())
	})
}

func TestLabels(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t, func(form url.Values) (int, string) {
			return vector(form, `{"cluster":"theirs"}`, "1", `{"cluster":"","job":"a"}`, "2")
		})
		server := promquery.DefaultServer()
		server.URL, server.Queries, server.Labels = "http://prometheus:9090", []promquery.Query{query("q", "x")}, map[string]string{"cluster": "ours", "zone": "z"}
		target := new(ingesttest.Target)
		s, err := promquery.New(promquery.Options{
			Config: promquery.Config{Servers: []promquery.Server{server}}, Target: target,
			Registerer: prometheus.NewRegistry(), Logger: slog.New(slog.DiscardHandler), Client: f.client,
		})
		require.NoError(t, err)
		(&env{source: s}).runFor(t, time.Second)
		require.Equal(t, []string{
			`{__name__="q", cluster="ours", job="a", zone="z"}`,
			`{__name__="q", cluster="theirs", zone="z"}`,
		}, target.Names())
	})
}

func TestScalarAndHistogram(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t, func(form url.Values) (int, string) {
			if form.Get("query") == "scalar(up)" {
				return 200, `{"status":"success","data":{"resultType":"scalar","result":[` + form.Get("time") + `,"7"]}}`
			}
			return 200, `{"status":"success","data":{"resultType":"vector","result":[{"metric":{"job":"a"},"histogram":[` + form.Get("time") + `,{"count":"10","sum":"2.5","buckets":[]}]}]}}`
		})
		q := query("latency", "rate(latency_seconds[5m])")
		e := newEnv(t, f, query("s", "scalar(up)"), q)
		e.runFor(t, time.Second)
		at := strconv.Itoa((start - 60) * 1000)
		require.Equal(t, `{__name__="latency_count", job="a"} gauge 10@`+at+`
{__name__="latency_sum", job="a"} gauge 2.5@`+at+`
{__name__="s"} gauge 7@`+at+"\n", e.target.Dump())
	})
}

func TestKind(t *testing.T) {
	f := func(kind promquery.Kind, metric, want string) {
		t.Helper()
		synctest.Test(t, func(t *testing.T) {
			q := query("q_total", "x")
			q.Kind = kind
			e := newEnv(t, newFake(t, func(form url.Values) (int, string) { return vector(form, metric, "1") }), q)
			e.runFor(t, time.Second)
			require.Contains(t, e.target.Dump(), " "+want+" 1@")
		})
	}
	f(promquery.KindAuto, `{"job":"a"}`, "gauge") // whatever the query is called
	f(promquery.KindAuto, `{"__name__":"x_total"}`, "counter")
	f(promquery.KindAuto, `{"__name__":"x"}`, "unknown")
	f(promquery.KindGauge, `{"__name__":"x_total"}`, "gauge")
	f(promquery.KindCounter, `{"job":"a"}`, "counter")
}

func TestStaleness(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t, func(form url.Values) (int, string) {
			switch form.Get("time") {
			case strconv.Itoa(start - 60), strconv.Itoa(start + 180):
				return vector(form, `{"job":"a"}`, "1", `{"job":"b"}`, "2")
			case strconv.Itoa(start + 60):
				return 0, "" // away: no word on any series
			}
			return vector(form, `{"job":"a"}`, "1")
		})
		e := newEnv(t, f, query("q", "x"))
		e.runFor(t, 4*time.Minute)
		ms := func(s int) string { return strconv.Itoa((start + s) * 1000) }
		require.Equal(t, `{__name__="q", job="a"} gauge 1@`+ms(-60)+` 1@`+ms(0)+` 1@`+ms(120)+` 1@`+ms(180)+`
{__name__="q", job="b"} gauge 2@`+ms(-60)+` stale@`+ms(0)+` 2@`+ms(180)+"\n", e.target.Dump())
	})
}

func TestCap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := 0
		f := newFake(t, func(form url.Values) (int, string) {
			n++ // the server's order changes
			if n%2 == 0 {
				return vector(form, `{"job":"c"}`, "3", `{"job":"a"}`, "1", `{"job":"b"}`, "2")
			}
			return vector(form, `{"job":"b"}`, "2", `{"job":"c"}`, "3", `{"job":"a"}`, "1")
		})
		q := query("q", "x")
		q.MaxSeries = 2
		e := newEnv(t, f, q)
		e.runFor(t, 2*time.Minute)
		require.Equal(t, []string{`{__name__="q", job="a"}`, `{__name__="q", job="b"}`}, e.target.Names())
		require.NotContains(t, e.target.Dump(), "stale")
		require.NoError(t, testutil.GatherAndCompare(e.reg, strings.NewReader(`
# HELP portent_exporter_promql_samples_dropped_total Samples of results left out because of the query's max_series.
# TYPE portent_exporter_promql_samples_dropped_total counter
portent_exporter_promql_samples_dropped_total{query="q"} 3
# HELP portent_exporter_promql_series Series in the last good result of a query that were taken.
# TYPE portent_exporter_promql_series gauge
portent_exporter_promql_series{query="q"} 2
`), "portent_exporter_promql_samples_dropped_total", "portent_exporter_promql_series"))
	})
}

func TestFailures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := 0
		f := newFake(t, func(form url.Values) (int, string) {
			n++
			switch n {
			case 1, 2, 3:
				return 0, ""
			case 4:
				return 422, `{"status":"error","errorType":"execution","error":"too many samples"}`
			case 5:
				return 200, `<html>`
			case 6:
				return 200, `{"status":"success","data":{"resultType":"matrix","result":[]},"warnings":["a store is away"]}`
			case 7:
				return 200, `{"status":"success","data":{"resultType":"string","result":[1,"x"]}}`
			}
			status, body := vector(form, `{}`, "1")
			return status, strings.Replace(body, `"status"`, `"warnings":["a store is away"],"status"`, 1)
		})
		e := newEnv(t, f, query("q", "x"))
		e.runFor(t, 9*time.Minute)
		require.NoError(t, testutil.GatherAndCompare(e.reg, strings.NewReader(`
# HELP portent_exporter_promql_failures_total Evaluations that failed, by reason.
# TYPE portent_exporter_promql_failures_total counter
portent_exporter_promql_failures_total{query="q",reason="bad_data"} 0
portent_exporter_promql_failures_total{query="q",reason="canceled"} 0
portent_exporter_promql_failures_total{query="q",reason="down"} 3
portent_exporter_promql_failures_total{query="q",reason="execution"} 1
portent_exporter_promql_failures_total{query="q",reason="forbidden"} 0
portent_exporter_promql_failures_total{query="q",reason="not_found"} 0
portent_exporter_promql_failures_total{query="q",reason="not_prometheus"} 2
portent_exporter_promql_failures_total{query="q",reason="server"} 0
portent_exporter_promql_failures_total{query="q",reason="timeout"} 0
portent_exporter_promql_failures_total{query="q",reason="tls"} 0
portent_exporter_promql_failures_total{query="q",reason="too_large"} 0
portent_exporter_promql_failures_total{query="q",reason="too_many"} 0
portent_exporter_promql_failures_total{query="q",reason="unauthorized"} 0
# HELP portent_exporter_promql_warnings_total Good evaluations that came with warnings.
# TYPE portent_exporter_promql_warnings_total counter
portent_exporter_promql_warnings_total{query="q"} 4
# HELP portent_exporter_promql_last_success_timestamp_seconds Evaluation time of the last good result of a query; 0 when there was none.
# TYPE portent_exporter_promql_last_success_timestamp_seconds gauge
portent_exporter_promql_last_success_timestamp_seconds{query="q"} `+strconv.FormatFloat(start+480, 'g', -1, 64)+`
`), "portent_exporter_promql_failures_total", "portent_exporter_promql_warnings_total", "portent_exporter_promql_last_success_timestamp_seconds"))
		log := e.log.String()
		require.Equal(t, 1, strings.Count(log, "reason=down"), "a failure that goes on is logged once")
		require.Equal(t, 1, strings.Count(log, "reason=execution"))
		require.Equal(t, 2, strings.Count(log, "query works again"))
		require.Equal(t, 1, strings.Count(log, "a store is away"))
	})
}

func TestSlowServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t, func(form url.Values) (int, string) { return vector(form, `{}`, "1") })
		f.delay = 45 * time.Second // longer than the timeout, shorter than the interval
		e := newEnv(t, f, query("q", "x"))
		e.runFor(t, 5*time.Minute)
		require.Len(t, f.times(), 6, "every time is tried once")
		require.Contains(t, e.log.String(), "reason=timeout")
		require.Empty(t, e.target.Names())
	})
}

func TestConcurrencyAndMissed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t, func(form url.Values) (int, string) { return vector(form, `{}`, "1") })
		f.delay = 25 * time.Second
		var queries []promquery.Query
		for i := range 16 { // 16 × 25 s by 4 at a time take 100 s
			queries = append(queries, query("q"+strconv.Itoa(i), "x"+strconv.Itoa(i)))
		}
		e := newEnv(t, f, queries...)
		e.runFor(t, 10*time.Minute)
		require.Equal(t, 4, f.most)
		missed := 0.0
		families, err := e.reg.Gather()
		require.NoError(t, err)
		for _, family := range families {
			if family.GetName() == "portent_exporter_promql_missed_evaluations_total" {
				for _, m := range family.GetMetric() {
					missed += m.GetCounter().GetValue()
				}
			}
		}
		require.Positive(t, missed)
	})
}

func TestNew(t *testing.T) {
	for _, o := range []promquery.Options{
		{},
		{Target: new(ingesttest.Target), Logger: slog.Default()},
		{Target: new(ingesttest.Target), Logger: slog.Default(), Registerer: prometheus.NewRegistry(), Config: promquery.Config{Servers: []promquery.Server{{}}}},
	} {
		_, err := promquery.New(o)
		require.Error(t, err)
	}
	// Without servers there is nothing to do, and that is no fault.
	s, err := promquery.New(promquery.Options{Target: new(ingesttest.Target), Logger: slog.Default(), Registerer: prometheus.NewRegistry()})
	require.NoError(t, err)
	require.NoError(t, s.Run(t.Context()))
	require.NoError(t, s.Backfill(t.Context(), time.Unix(0, 0), time.Unix(1000, 0), nil))
}

func TestMetricsLint(t *testing.T) {
	e := newEnv(t, newFake(t, nil), query("q", "x"))
	problems, err := testutil.GatherAndLint(e.reg)
	require.NoError(t, err)
	require.Empty(t, problems)
}
