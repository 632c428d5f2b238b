package remotesend_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang/snappy"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/prometheus/prompb"
	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/remotesend"
)

// endpoint answers in memory, so that the clock of synctest rules.
type endpoint struct {
	answers []answer // of the next requests; then 204
	got     []string // series of each request that was taken
	tries   int
	at      []time.Time
}

type answer struct {
	status int
	after  string
	err    error
}

func (e *endpoint) RoundTrip(r *http.Request) (*http.Response, error) {
	e.tries++
	e.at = append(e.at, time.Now())
	a := answer{status: http.StatusNoContent}
	if len(e.answers) > 0 {
		a, e.answers = e.answers[0], e.answers[1:]
	}
	if a.err != nil {
		return nil, a.err
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	raw, err := snappy.Decode(nil, body)
	if err != nil {
		return nil, err
	}
	var req prompb.WriteRequest
	if err := req.Unmarshal(raw); err != nil {
		return nil, err
	}
	if a.status/100 == 2 {
		for _, s := range req.Timeseries {
			e.got = append(e.got, fmt.Sprintf("%s=%g@%d", s.Labels[0].Value, s.Samples[0].Value, s.Samples[0].Timestamp))
		}
		e.got = append(e.got, "|")
	}
	h := http.Header{}
	if a.after != "" {
		h.Set("Retry-After", a.after)
	}
	return &http.Response{StatusCode: a.status, Header: h, Body: io.NopCloser(strings.NewReader("because\nof this"))}, nil
}

func options(e *endpoint, reg prometheus.Registerer, log io.Writer) remotesend.Options {
	return remotesend.Options{
		URL: "http://user:secret@db/api/v1/write", Client: &http.Client{Transport: e}, Timeout: time.Second,
		MaxQueueBytes: 1 << 20, MaxAge: time.Hour, MaxBatch: 2, Registerer: reg, Prefix: "x_", Logger: slog.New(slog.NewTextHandler(log, nil)),
	}
}

func series(name string, v float64, t int64) prompb.TimeSeries {
	return prompb.TimeSeries{Labels: []prompb.Label{{Name: "__name__", Value: name}}, Samples: []prompb.Sample{{Value: v, Timestamp: t}}}
}

// run starts a sender, lets f use it, and ends it.
func run(t *testing.T, e *endpoint, change func(*remotesend.Options), f func(s *remotesend.Sender, reg *prometheus.Registry)) (log string) {
	t.Helper()
	var text strings.Builder
	synctest.Test(t, func(t *testing.T) {
		reg := prometheus.NewRegistry()
		o := options(e, reg, &text)
		if change != nil {
			change(&o)
		}
		s, err := remotesend.New(o)
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- s.Run(ctx) }()
		f(s, reg)
		cancel()
		require.NoError(t, <-done)
	})
	return text.String()
}

func TestSendsInBatchesInOrder(t *testing.T) {
	e := &endpoint{}
	run(t, e, nil, func(s *remotesend.Sender, reg *prometheus.Registry) {
		require.NoError(t, s.Add([]prompb.TimeSeries{series("a", 1, 1), series("b", 2, 1), series("c", 3, 1)}))
		require.NoError(t, s.Add([]prompb.TimeSeries{series("a", 4, 2)}))
		synctest.Wait()
		require.NoError(t, testutil.GatherAndCompare(reg, strings.NewReader(`
# HELP x_samples_sent_total Samples that the remote-write endpoint took.
# TYPE x_samples_sent_total counter
x_samples_sent_total 4
# HELP x_samples_queued Samples that wait to be sent.
# TYPE x_samples_queued gauge
x_samples_queued 0
`), "x_samples_sent_total", "x_samples_queued"))
	})
	require.Equal(t, "a=1@1 b=2@1 | c=3@1 | a=4@2 |", strings.Join(e.got, " "))
}

// 5xx, 429 and a broken connection come again, in order; how long is waited doubles, or is what the endpoint asks for.
func TestRetries(t *testing.T) {
	e := &endpoint{answers: []answer{{status: 503}, {err: &net.OpError{Op: "dial", Err: errors.New("refused")}}, {status: 429, after: "7"}, {status: 500}}}
	log := run(t, e, nil, func(s *remotesend.Sender, _ *prometheus.Registry) {
		require.NoError(t, s.Add([]prompb.TimeSeries{series("a", 1, 1)}))
		require.NoError(t, s.Add([]prompb.TimeSeries{series("a", 2, 2)}))
		<-time.After(time.Minute)
		synctest.Wait()
	})
	require.Equal(t, "a=1@1 | a=2@2 |", strings.Join(e.got, " "))
	var waits []time.Duration
	for i := 1; i < 5; i++ {
		waits = append(waits, e.at[i].Sub(e.at[i-1]))
	}
	require.Equal(t, []time.Duration{100 * time.Millisecond, 200 * time.Millisecond, 7 * time.Second, 800 * time.Millisecond}, waits)
	require.NotContains(t, log, "secret")
	require.Contains(t, log, "goes on")
}

// Any other 4xx never succeeds: the batch is dropped, counted, and the next one sent at once.
func TestRefusedIsDropped(t *testing.T) {
	e := &endpoint{answers: []answer{{status: 400}}}
	log := run(t, e, nil, func(s *remotesend.Sender, reg *prometheus.Registry) {
		require.NoError(t, s.Add([]prompb.TimeSeries{series("a", 1, 1), series("b", 1, 1), series("c", 1, 1)}))
		synctest.Wait()
		dropped(t, reg, "refused", 2)
	})
	require.Equal(t, "c=1@1 |", strings.Join(e.got, " "))
	require.Contains(t, log, "400 Bad Request: because of this")
}

// An endpoint that is away for long costs no more memory than was given: the oldest go, and are counted.
func TestQueueIsBounded(t *testing.T) {
	e := &endpoint{answers: []answer{{status: 503, after: "30"}}}
	run(t, e, func(o *remotesend.Options) { o.MaxQueueBytes = 200 }, func(s *remotesend.Sender, reg *prometheus.Registry) {
		for i := range 100 {
			require.NoError(t, s.Add([]prompb.TimeSeries{series("a", float64(i), int64(i))}))
		}
		m, err := reg.Gather()
		require.NoError(t, err)
		for _, f := range m {
			if f.GetName() == "x_queued_bytes" {
				require.LessOrEqual(t, f.Metric[0].Gauge.GetValue(), 200.0)
			}
		}
		<-time.After(time.Minute)
		synctest.Wait()
	})
	require.Equal(t, "a=99@99", e.got[len(e.got)-2], "the newest are sent")
	require.Less(t, len(e.got), 40)
}

func TestOldIsDropped(t *testing.T) {
	e := &endpoint{answers: []answer{{status: 503, after: "60"}}}
	run(t, e, func(o *remotesend.Options) { o.MaxAge = 30 * time.Second }, func(s *remotesend.Sender, reg *prometheus.Registry) {
		require.NoError(t, s.Add([]prompb.TimeSeries{series("a", 1, 1)}))
		<-time.After(2 * time.Minute)
		synctest.Wait()
		dropped(t, reg, "too_old", 1)
	})
	require.Equal(t, 1, e.tries)
}

func TestNewRefusesAddresses(t *testing.T) {
	for _, bad := range []string{"", "localhost:9090", "ftp://x/write", "http://", "://user:secret@x"} {
		o := options(&endpoint{}, prometheus.NewRegistry(), io.Discard)
		o.URL = bad
		_, err := remotesend.New(o)
		require.ErrorContains(t, err, "url", bad)
		require.NotContains(t, err.Error(), "secret")
	}
}

func dropped(t *testing.T, reg *prometheus.Registry, reason string, want float64) {
	t.Helper()
	m, err := reg.Gather()
	require.NoError(t, err)
	for _, f := range m {
		for _, x := range f.Metric {
			if f.GetName() == "x_samples_dropped_total" && x.Label[0].GetValue() == reason {
				require.InDelta(t, want, x.Counter.GetValue(), 0)
				return
			}
		}
	}
	t.Fatal("no metric of dropped samples")
}
