package alertpush_test

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/common/config"
	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/e2e/servertest"
	"github.com/portent-dev/portent/internal/alertpush"
	"github.com/portent-dev/portent/internal/spectest"
)

func start(t *testing.T, c alertpush.Config, urls ...string) (*alertpush.Sender, *prometheus.Registry) {
	t.Helper()
	for _, u := range urls {
		c.Alertmanagers = append(c.Alertmanagers, alertpush.Alertmanager{URL: u, HTTPClient: config.DefaultHTTPClientConfig})
	}
	reg := prometheus.NewRegistry()
	s, err := alertpush.New(alertpush.Options{Config: c, Registerer: reg, Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); _ = s.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	return s, reg
}

func alert(name string, startsAt time.Time) alertpush.Alert {
	return alertpush.Alert{
		Labels: map[string]string{"alertname": "LogPatternNew", "pattern": name, "empty": ""}, Annotations: map[string]string{"summary": "bad \xff bytes"},
		StartsAt: startsAt, GeneratorURL: "http://localhost/x",
	}
}

type got struct {
	Labels       map[string]string
	Annotations  map[string]string
	StartsAt     time.Time
	EndsAt       time.Time
	Status       struct{ State string }
	GeneratorURL string
}

func alertsOf(t *testing.T, url string) []got {
	t.Helper()
	resp, err := http.Get(url + "/api/v2/alerts")
	require.NoError(t, err)
	defer resp.Body.Close()
	var out []got
	require.NoError(t, json.NewDecoder(resp.Body).Decode(&out))
	return out
}

// TestRealAlertmanagers: both get all; one that was down has it when it is back; an end
// reaches both.
func TestRealAlertmanagers(t *testing.T) {
	one, two := servertest.Alertmanager(t, servertest.Config{}), servertest.Alertmanager(t, servertest.Config{})
	s, reg := start(t, alertpush.Config{ResendInterval: model.Duration(time.Second), ExternalLabels: map[string]string{"cluster": "c1", "pattern": "not this"}}, one.URL, two.URL)
	two.Stop()
	now := time.Now()
	s.Set(now, []alertpush.Alert{alert("p1", now.Add(-time.Minute)), alert("p2", now)})
	require.Eventually(t, func() bool { return len(alertsOf(t, one.URL)) == 2 }, 10*time.Second, 50*time.Millisecond)
	two.Restart()
	require.Eventually(t, func() bool { return len(alertsOf(t, two.URL)) == 2 }, 30*time.Second, 50*time.Millisecond)
	for _, a := range alertsOf(t, two.URL) {
		require.Equal(t, "active", a.Status.State)
		require.Equal(t, "c1", a.Labels["cluster"])
		require.Contains(t, []string{"p1", "p2"}, a.Labels["pattern"])
		require.NotContains(t, a.Labels, "empty")
		require.Equal(t, "bad \uFFFD bytes", a.Annotations["summary"])
		require.WithinRange(t, a.EndsAt, now, now.Add(time.Minute))
		if a.Labels["pattern"] == "p1" {
			require.WithinDuration(t, now.Add(-time.Minute), a.StartsAt, time.Millisecond)
		}
	}
	s.Set(time.Now(), []alertpush.Alert{alert("p2", now)})
	for _, am := range []*servertest.Server{one, two} {
		require.Eventually(t, func() bool { return len(alertsOf(t, am.URL)) == 1 }, 10*time.Second, 50*time.Millisecond, "the other one ended")
	}
	require.Positive(t, testutil.ToFloat64(must(reg, "portent_exporter_alerts_errors_total")), "the failures are counted")
}

// must returns the sum of a counter as a collector.
func must(reg *prometheus.Registry, name string) prometheus.Collector {
	c := prometheus.NewGauge(prometheus.GaugeOpts{Name: "x"})
	families, _ := reg.Gather()
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == name {
				c.Add(m.GetCounter().GetValue() + m.GetGauge().GetValue())
			}
		}
	}
	return c
}

// recorder is an Alertmanager that notes what it is sent and holds it to the contract.
type recorder struct {
	mu     sync.Mutex
	bodies []string
	status int
}

func (r *recorder) serve(t *testing.T) string {
	contract := spectest.Load(t, "alertmanager")
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		body, err := io.ReadAll(q.Body)
		r.mu.Lock()
		defer r.mu.Unlock()
		if err == nil {
			err = contract.CheckRequest(q, body)
		}
		if err != nil {
			t.Errorf("not as the API wants it: %v", err)
		}
		r.bodies = append(r.bodies, string(body))
		w.WriteHeader(r.status)
	}))
	t.Cleanup(srv.Close)
	return srv.URL
}

func (r *recorder) take() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := r.bodies
	r.bodies = nil
	return out
}

func TestWire(t *testing.T) {
	r := &recorder{status: 200}
	s, reg := start(t, alertpush.Config{ResendInterval: model.Duration(time.Hour), MaxAlerts: 100}, r.serve(t)+"/")
	now := time.Now()
	var many []alertpush.Alert
	for i := range 150 {
		many = append(many, alert(strconv.Itoa(i), now.Add(time.Duration(i)*time.Second)))
	}
	many = append(many, many[0])
	many[1].Annotations = map[string]string{"example": strings.Repeat("é", 10_000)}
	s.Set(now, many)
	var bodies []string
	require.Eventually(t, func() bool { bodies = append(bodies, r.take()...); return len(bodies) >= 2 }, 10*time.Second, 10*time.Millisecond, "in two requests")
	require.NotContains(t, strings.Join(bodies, ""), `"pattern":"100"`, "the newest are left out")
	require.Contains(t, strings.Join(bodies, ""), `"pattern":"99"`)
	require.InDelta(t, 50, testutil.ToFloat64(must(reg, "portent_exporter_alerts_dropped_total")), 0)
	require.InDelta(t, 100, testutil.ToFloat64(must(reg, "portent_exporter_alerts_held")), 0)
	for _, b := range bodies {
		require.Less(t, len(b), 100<<10)
	}
	s.Set(now.Add(time.Minute), nil)
	require.Eventually(t, func() bool { return len(r.take()) > 0 }, 10*time.Second, 10*time.Millisecond, "an end does not wait for the interval")
	s.Set(now.Add(20*time.Minute), nil)
	require.Zero(t, testutil.ToFloat64(must(reg, "portent_exporter_alerts_held")))
	s.Set(now.Add(20*time.Minute), []alertpush.Alert{{Labels: map[string]string{"a": "b"}, StartsAt: now, EndsAt: now.Add(time.Minute)}})
	require.Zero(t, testutil.ToFloat64(must(reg, "portent_exporter_alerts_held")), "what ended long ago is not told")
}

func TestRetries(t *testing.T) {
	r := &recorder{status: 503}
	s, _ := start(t, alertpush.Config{ResendInterval: model.Duration(time.Hour)}, r.serve(t))
	s.Set(time.Now(), []alertpush.Alert{alert("p", time.Now())})
	n := 0
	require.Eventually(t, func() bool { n += len(r.take()); return n >= 2 }, 10*time.Second, 10*time.Millisecond, "it is tried again long before the interval")
}

func TestConfig(t *testing.T) {
	c := alertpush.Config{
		Alertmanagers:  []alertpush.Alertmanager{{URL: "localhost:9093"}, {URL: "http://a"}, {URL: "http://a"}, {URL: "http://u:p@a"}},
		ExternalLabels: map[string]string{"alertname": "x"}, MaxAlerts: -1,
	}
	err := c.Validate()
	for _, key := range []string{"alertmanagers[0].url", "alertmanagers[2].url", "alertmanagers[3].url", "external_labels", "resend_interval"} {
		require.ErrorContains(t, err, key)
	}
	require.NotContains(t, err.Error(), "alertmanagers[1]")
	require.NotContains(t, err.Error(), "u:p")
	d := alertpush.DefaultConfig()
	require.NoError(t, d.Validate())
}
