package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/detect"
	"github.com/portent-dev/portent/internal/ingest"
	"github.com/portent-dev/portent/internal/ingest/ingesttest"
)

// past is a history in memory: a sample each interval of a few series. It fails as told.
type past struct {
	interval time.Duration
	series   []model.Metric
	external map[string]string
	types    map[string]ingest.Kind
	labelErr error
	fail     func(n int, q historyQuery) error // n counts queries from 1

	mu      sync.Mutex
	queries []historyQuery
}

func (p *past) query(_ context.Context, q historyQuery) (model.Matrix, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.queries = append(p.queries, q)
	if p.fail != nil {
		if err := p.fail(len(p.queries), q); err != nil {
			return nil, err
		}
	}
	var out model.Matrix
	for _, m := range p.series {
		s := &model.SampleStream{Metric: m}
		for t := q.from.Truncate(p.interval).Add(p.interval); !t.After(q.to); t = t.Add(p.interval) {
			s.Values = append(s.Values, model.SamplePair{Timestamp: model.TimeFromUnixNano(t.UnixNano()), Value: 1})
		}
		out = append(out, s)
	}
	return out, nil
}

func (p *past) kinds(context.Context) (map[string]ingest.Kind, error) { return p.types, p.labelErr }

func (p *past) externalLabels(context.Context) (map[string]string, error) {
	return p.external, p.labelErr
}

func noProgress(float64) {}

func newTestBackfill(source history, target ingest.Target) (*backfill, *prometheus.Registry) {
	reg := prometheus.NewRegistry()
	c := Default().Backfill
	c.Chunk = model.Duration(10 * time.Minute)
	return &backfill{
		config: c, source: source, target: target, counters: ingest.NewCounters(reg, "backfill"),
		expire: func(int64) {}, failures: newBackfillMetrics(reg, func() int64 { return 0 }).failures, logger: discard(),
	}, reg
}

func TestBackfillReadsOldestFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &past{
			interval: 15 * time.Second, external: map[string]string{"cluster": "eu", "job": "lost"},
			series: []model.Metric{{"__name__": "m", "job": "x"}, {"__name__": "anomaly_score", "metric": "m"}, {"__name__": "n", "empty": ""}},
		}
		e := newEngine(t, detect.Options{})
		b, reg := newTestBackfill(p, e)
		var expired []int64
		b.expire = func(ms int64) { expired = append(expired, ms) }
		now := time.Now()
		var progress []float64
		require.NoError(t, b.run(t.Context(), now.Add(-25*time.Minute), now, func(done float64) { progress = append(progress, done) }))
		require.Len(t, p.queries, 3)
		for i, q := range p.queries {
			require.Equal(t, now.Add(time.Duration(i*10-25)*time.Minute), q.from)
			require.Equal(t, q.to.UnixMilli(), expired[i])
		}
		require.Equal(t, now, p.queries[2].to)
		require.Zero(t, e.Stats().OutOfOrder)
		require.Zero(t, e.Stats().Duplicate)
		require.EqualValues(t, 2*25*4, e.Stats().Accepted, "each sample once, and our own scores not at all")
		var seen []string
		e.ForEach(func(ls []ingest.Label, o detect.Output) bool {
			seen = append(seen, string(appendLabels(nil, ls, model.NoEscaping)))
			require.Equal(t, now.UnixMilli(), o.T)
			return true
		})
		require.ElementsMatch(t, []string{`{metric="m",cluster="eu",job="x"}`, `{metric="n",cluster="eu",job="lost"}`}, seen, "as remote write would name them")
		require.InDelta(t, 1, progress[len(progress)-1], 0)
		require.IsIncreasing(t, progress)
		require.NoError(t, testutil.GatherAndCompare(reg, strings.NewReader(`
# HELP portent_exporter_samples_total Samples taken, stale markers included, by the source they came from.
# TYPE portent_exporter_samples_total counter
portent_exporter_samples_total{source="backfill"} 200
`), "portent_exporter_samples_total"))
	})
}

func TestBackfillTakesConfiguredExternalLabels(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &past{interval: time.Minute, series: []model.Metric{{"__name__": "m"}}, labelErr: errors.New("must not be asked")}
		e := newEngine(t, detect.Options{})
		b, _ := newTestBackfill(p, e)
		b.config.ExternalLabels = map[string]string{"cluster": "us"}
		require.NoError(t, b.run(t.Context(), time.Now().Add(-time.Minute), time.Now(), noProgress))
		e.ForEach(func(ls []ingest.Label, _ detect.Output) bool {
			require.Equal(t, labelsOf("__name__", "m", "cluster", "us"), ls)
			return true
		})
		// A source that does not tell them is read all the same.
		b.config.ExternalLabels = nil
		require.NoError(t, b.run(t.Context(), time.Now().Add(-time.Minute), time.Now(), noProgress))
		require.Equal(t, 2, e.Stats().Series)
	})
}

func TestBackfillKnowsCounters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &past{
			interval: time.Minute, series: []model.Metric{{"__name__": "odd_counter"}, {"__name__": "odd_gauge_total"}, {"__name__": "c_total"}, {"__name__": "g"}},
			types: map[string]ingest.Kind{"odd_counter": ingest.KindCounter, "odd_gauge_total": ingest.KindGauge},
		}
		target := &ingesttest.Target{}
		b, _ := newTestBackfill(p, target)
		require.NoError(t, b.run(t.Context(), time.Now().Add(-time.Minute), time.Now(), noProgress))
		for name, want := range map[string]ingest.Kind{
			"odd_counter": ingest.KindCounter, "odd_gauge_total": ingest.KindGauge, "c_total": ingest.KindCounter, "g": ingest.KindUnknown,
		} {
			s, ok := target.Get(fmt.Sprintf("{__name__=%q}", name))
			require.True(t, ok)
			require.Equal(t, want, s.Kind, name)
		}
	})
}

func TestBackfillHalvesWhatIsTooMuch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &past{interval: 15 * time.Second, series: []model.Metric{{"__name__": "m"}}, fail: func(_ int, q historyQuery) error {
			if q.to.Sub(q.from) > 3*time.Minute {
				return errors.New("query processing would load too many samples into memory")
			}
			return nil
		}}
		e := newEngine(t, detect.Options{})
		b, _ := newTestBackfill(p, e)
		require.NoError(t, b.run(t.Context(), time.Now().Add(-20*time.Minute), time.Now(), noProgress))
		require.Zero(t, e.Stats().OutOfOrder+e.Stats().Duplicate)
		require.InDelta(t, 2, testutil.ToFloat64(b.failures), 0)
	})
}

func TestBackfillWaitsForAServerThatIsNotThereYet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &past{interval: 15 * time.Second, series: []model.Metric{{"__name__": "m"}}, fail: func(n int, _ historyQuery) error {
			if n <= 5 {
				return errors.New("connection refused")
			}
			return nil
		}}
		e := newEngine(t, detect.Options{})
		b, _ := newTestBackfill(p, e)
		from, to := time.Now().Add(-20*time.Minute), time.Now()
		require.NoError(t, b.run(t.Context(), from, to, noProgress))
		require.EqualValues(t, 80, e.Stats().Accepted)
		require.Equal(t, 1+2+4+8+16, int(time.Since(to).Seconds()), "the waits grow")
	})
}

func TestBackfillGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &past{interval: 15 * time.Second, fail: func(int, historyQuery) error { return errors.New("401 Unauthorized") }}
		b, _ := newTestBackfill(p, newEngine(t, detect.Options{}))
		start := time.Now()
		err := b.run(t.Context(), start.Add(-time.Hour), start, noProgress)
		require.ErrorContains(t, err, "no answer for 5m: 401 Unauthorized")
		require.InDelta(t, 5*time.Minute, time.Since(start), float64(maxRetry))

		ctx, cancel := context.WithCancel(t.Context())
		go func() { pass(3 * time.Second); cancel() }()
		require.ErrorIs(t, b.run(ctx, start.Add(-time.Hour), start, noProgress), context.Canceled)
	})
}

func TestBackfillTakesAChunkWholeOrNotAtAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &past{interval: 15 * time.Second, series: []model.Metric{{"__name__": "m"}}, fail: func(n int, _ historyQuery) error {
			if n == 2 { // the second selector of the first chunk
				return errors.New("timeout")
			}
			return nil
		}}
		e := newEngine(t, detect.Options{})
		b, _ := newTestBackfill(p, e)
		b.config.Selectors = []string{"m", "n"}
		require.NoError(t, b.run(t.Context(), time.Now().Add(-10*time.Minute), time.Now(), noProgress))
		require.Zero(t, e.Stats().OutOfOrder)
		require.Zero(t, e.Stats().Duplicate, "what both selectors match is taken once")
		require.EqualValues(t, 40, e.Stats().Accepted)
	})
}

// promAnswers is a double of a Prometheus that holds one series with a sample each 15 s. It answers queries once wait is
// closed.
func promAnswers(t *testing.T, wait <-chan struct{}) *httptest.Server {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("/api/v1/status/config", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"status":"success","data":{"yaml":"global:\n  external_labels:\n    cluster: eu\n"}}`)
	})
	mux.HandleFunc("/api/v1/metadata", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"status":"success","data":{"m":[{"type":"gauge","help":"","unit":""}]}}`)
	})
	mux.HandleFunc("/api/v1/query", func(w http.ResponseWriter, r *http.Request) {
		<-wait
		var minutes int64
		_, err := fmt.Sscanf(r.FormValue("query"), `{__name__!=""}[%dm]`, &minutes)
		end, err2 := strconv.ParseFloat(r.FormValue("time"), 64)
		if err = errors.Join(err, err2); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		var values []string
		for s := int64(end) - minutes*60 + 1; s <= int64(end); s++ {
			if s%15 == 0 {
				values = append(values, fmt.Sprintf(`[%d,"%g"]`, s, wave(int(s/15))))
			}
		}
		fmt.Fprintf(w, `{"status":"success","data":{"resultType":"matrix","result":[{"metric":{"__name__":"m","job":"x"},"values":[%s]}]}}`, strings.Join(values, ","))
	})
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s
}

func TestWarmStartScoresAtOnceAndLosesNoLiveSample(t *testing.T) {
	wait := make(chan struct{})
	prom := promAnswers(t, wait)
	a := newApp(t, t.TempDir(), "backfill: {url: '"+prom.URL+"', window: 10h}")
	url, stop := start(t, a.App)
	live := labelsOf("__name__", "m", "cluster", "eu", "job", "x")
	at := time.Now().Add(2 * time.Second)
	send(t, a.Handler(), point{live, at.UnixMilli(), 100_000})
	code, body := httpGet(t, url+"/-/ready")
	require.Equal(t, 200, code, body)
	_, body = httpGet(t, url+"/metrics")
	require.NotContains(t, body, "\nanomaly_score{", "the live sample waits for the history")
	close(wait)
	require.Eventually(t, func() bool {
		_, body = httpGet(t, url+"/metrics")
		return strings.Contains(body, "portent_exporter_backfill_running 0\n") && strings.Contains(body, "\nanomaly_score{")
	}, 10*time.Second, 10*time.Millisecond)
	require.Contains(t, body, "portent_exporter_series 1\n", "history and live samples are one series")
	require.Contains(t, body, "portent_exporter_series_anomalous 1\n", "the model knew what to expect")
	require.Contains(t, body, "portent_exporter_backfill_successful{source=\"backfill\"} 1\n")
	require.Contains(t, body, "portent_exporter_held_bytes 0\n")
	require.EqualValues(t, 0, a.gate.engine.Load().Stats().OutOfOrder)
	require.Eventually(t, func() bool { _, err := os.Stat(a.state.path()); return err == nil }, 10*time.Second, 10*time.Millisecond,
		"so that the next start need not read it again")
	require.NoError(t, stop())
}

func TestAYoungSnapshotNeedsNoBackfill(t *testing.T) {
	dir := t.TempDir()
	one := newApp(t, dir, "")
	_, stop := start(t, one.App)
	require.NoError(t, stop())
	two := newApp(t, dir, "backfill: {url: 'http://127.0.0.1:1'}")
	require.Empty(t, two.teachers)
	require.Contains(t, two.log.String(), "no backfill: the snapshot is young")
}

func TestSendersWaitWhenNoMoreCanBeHeld(t *testing.T) {
	a := newApp(t, t.TempDir(), "backfill: {url: 'http://127.0.0.1:1'}")
	a.gate.mostBytes = 1
	send(t, a.Handler(), point{labelsOf("__name__", "m"), time.Now().UnixMilli(), 1})
	w := httptest.NewRecorder()
	a.Handler().ServeHTTP(w, newWrite("/api/v1/write", requestV2(point{labelsOf("__name__", "m"), time.Now().UnixMilli(), 1}), true))
	require.Equal(t, http.StatusServiceUnavailable, w.Code)
	require.Equal(t, "5", w.Header().Get("Retry-After"))
	require.Contains(t, w.Body.String(), `"error":"the history is being read`)
	code, body := get(t, a.Handler(), "/-/ready")
	require.Equal(t, 503, code)
	require.Contains(t, body, "no more live samples can be held")
}

func TestStoppedWhileLearningWritesNoSnapshot(t *testing.T) {
	wait := make(chan struct{})
	prom := promAnswers(t, wait)
	a := newApp(t, t.TempDir(), "backfill: {url: '"+prom.URL+"'}")
	_, stop := start(t, a.App)
	require.NoError(t, stop())
	close(wait)
	require.NoFileExists(t, a.state.path())
	require.Contains(t, a.log.String(), "ended while reading the history")
}
