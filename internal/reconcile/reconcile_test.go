package reconcile_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/e2e/servertest"
	"github.com/portent-dev/portent/internal/alert"
	"github.com/portent-dev/portent/internal/incident"
	"github.com/portent-dev/portent/internal/reconcile"
)

// shelf is a store of alerts that collects notifications.
type shelf struct {
	alerts []incident.Alert
	put    []alert.Payload
}

func (s *shelf) ListAlerts(_ context.Context, q incident.AlertQuery) ([]incident.Alert, string, error) {
	if q.Suppressed {
		return nil, "", nil
	}
	return s.alerts, "", nil
}

func (s *shelf) Put(_ context.Context, ns ...incident.Notification) error {
	for _, n := range ns {
		p, err := alert.Decode(n.Body, alert.DefaultLimits())
		if err != nil {
			return err
		}
		s.put = append(s.put, p)
	}
	return nil
}

func worker(t *testing.T, s *shelf, now func() time.Time, addresses ...string) (*reconcile.Worker, *int) {
	t.Helper()
	woken := 0
	w, err := reconcile.New(reconcile.Options{
		Store: s, Alertmanagers: addresses, Client: http.DefaultClient, Receiver: "portent", Interval: time.Minute, Logger: slog.New(slog.DiscardHandler),
		Registerer: prometheus.NewRegistry(), Wake: func() { woken++ }, Now: now,
	})
	require.NoError(t, err)
	return w, &woken
}

func known(fingerprint string, start time.Time) incident.Alert {
	return incident.Alert{
		Fingerprint: fingerprint, StartsAt: start, UpdatedAt: start, Status: incident.AlertFiring, Labels: map[string]string{"alertname": "Lost"}, IncidentID: "01",
	}
}

// A real Alertmanager: an alert of ours that it does not know is over, one that it knows and no notice told of fires.
func TestAgainstAlertmanager(t *testing.T) {
	am := servertest.Alertmanager(t, servertest.Config{YAML: "route: {receiver: portent, group_wait: 1h}\nreceivers: [{name: portent}]\n"})
	start := time.Now().Add(-time.Hour).UTC().Truncate(time.Second)
	b, err := json.Marshal([]map[string]any{{"labels": map[string]string{"alertname": "Hidden", "namespace": "shop"}, "annotations": map[string]string{"summary": "left out"}, "startsAt": start}})
	require.NoError(t, err)
	resp, err := http.Post(am.URL+"/api/v2/alerts", "application/json", bytes.NewReader(b))
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, http.StatusOK, resp.StatusCode)

	s := &shelf{alerts: []incident.Alert{known("00000000000000aa", start)}}
	later := time.Now().Add(11 * time.Minute) // it has run for long enough
	w, woken := worker(t, s, func() time.Time { return later }, am.URL)
	require.NoError(t, w.Round(t.Context()))
	require.Len(t, s.put, 1)
	require.Equal(t, alert.Firing, s.put[0].Status)
	require.Equal(t, "Hidden", s.put[0].Alerts[0].Labels["alertname"])
	require.Equal(t, "left out", s.put[0].Alerts[0].Annotations["summary"])
	require.Equal(t, start, s.put[0].Alerts[0].StartsAt)
	require.Len(t, s.put[0].Alerts[0].Fingerprint, 16)
	s.alerts = append(s.alerts, known(s.put[0].Alerts[0].Fingerprint, start))

	require.NoError(t, w.Round(t.Context()))
	require.Len(t, s.put, 2, "missing twice in a row")
	over := s.put[1].Alerts[0]
	require.Equal(t, alert.Resolved, over.Status)
	require.Equal(t, "00000000000000aa", over.Fingerprint)
	require.Equal(t, start, over.StartsAt)
	require.WithinDuration(t, later, over.EndsAt, 0)
	require.Equal(t, 2, *woken)
}

// What cannot be known for certain changes nothing.
func TestNothingIsOverWhileOneDoesNotAnswer(t *testing.T) {
	now := time.Now()
	up, broken := now.Add(-time.Hour), false
	am := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case broken:
			http.Error(w, "no", http.StatusBadGateway)
		case r.URL.Path == "/api/v2/status":
			_, _ = fmt.Fprintf(w, `{"uptime":%q}`, up.Format(time.RFC3339))
		default:
			_, _ = w.Write([]byte(`[]`))
		}
	}))
	defer am.Close()
	s := &shelf{alerts: []incident.Alert{known("aa", now.Add(-time.Hour))}}
	w, _ := worker(t, s, func() time.Time { return now }, am.URL)
	require.NoError(t, w.Round(t.Context()))
	broken = true
	require.ErrorContains(t, w.Round(t.Context()), "502")
	broken = false
	require.NoError(t, w.Round(t.Context()))
	require.Empty(t, s.put, "not twice in a row")
	up = now.Add(-time.Minute)
	for range 3 {
		require.NoError(t, w.Round(t.Context()))
	}
	require.Empty(t, s.put, "it has just started and knows nothing yet")
}

func TestCompare(t *testing.T) {
	now := time.Now()
	old, young := now.Add(-time.Hour), now.Add(-time.Minute)
	listed := func(fp, state string, start time.Time, receivers ...string) reconcile.Listed {
		return reconcile.Listed{Fingerprint: fp, State: state, StartsAt: start, Receivers: receivers}
	}
	f := func(known []incident.Alert, ls []reconcile.Listed, receiver string, want ...string) {
		t.Helper()
		var got []string
		for _, c := range reconcile.Compare(known, ls, receiver, now) {
			got = append(got, fmt.Sprint(c.Fingerprint, " ", c.Over))
		}
		require.Equal(t, want, got)
	}
	f([]incident.Alert{known("a", old)}, nil, "", "a true")
	f([]incident.Alert{known("a", young)}, nil, "")
	f([]incident.Alert{known("a", old)}, []reconcile.Listed{listed("a", "suppressed", old, "other")}, "")
	f(nil, []reconcile.Listed{listed("a", "active", old, "portent"), listed("a", "active", old, "portent")}, "portent", "a false")
	f(nil, []reconcile.Listed{listed("a", "active", old, "other"), listed("b", "suppressed", old, "portent"), listed("c", "active", young, "portent")}, "portent")
	f(nil, []reconcile.Listed{listed("a", "active", old, "portent")}, "")
}

func TestNewRefusesAddresses(t *testing.T) {
	_, err := reconcile.New(reconcile.Options{
		Store: &shelf{}, Alertmanagers: []string{"alertmanager:9093"}, Client: http.DefaultClient, Interval: time.Minute, Logger: slog.Default(), Registerer: prometheus.NewRegistry(),
		Wake: func() {}, Now: time.Now,
	})
	require.ErrorContains(t, err, `got "alertmanager:9093"`)
}
