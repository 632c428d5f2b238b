package app

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/audit"
	"github.com/portent-dev/portent/internal/incident"
	"github.com/portent-dev/portent/internal/outbox"
	"github.com/portent-dev/portent/internal/policy"
	"github.com/portent-dev/portent/internal/report"
	"github.com/portent-dev/portent/internal/sqlstore"
	"github.com/portent-dev/portent/internal/ticket"
	"github.com/portent-dev/portent/internal/ticket/local"
)

// testServer is a server over a real store, without processor and outbox worker.
type testServer struct {
	*server
	db     *sqlstore.Store
	reg    *prometheus.Registry
	mux    *http.ServeMux
	clock  time.Time
	decide *fakeDecider
	hints  []string // incidents whose tickets were to be asked for
}

func (ts *testServer) hinted(id string) { ts.hints = append(ts.hints, id) }

var t0 = time.Date(2026, 11, 22, 3, 4, 5, 0, time.UTC)

func newTestServer(t testing.TB, change func(*Config)) *testServer {
	t.Helper()
	ts := &testServer{reg: prometheus.NewRegistry(), mux: http.NewServeMux(), clock: t0, decide: &fakeDecider{}}
	now := func() time.Time { return ts.clock }
	log := slog.New(slog.DiscardHandler)
	db, err := sqlstore.Open(context.Background(), sqlstore.Options{DSN: "sqlite:" + filepath.Join(t.TempDir(), "test.db"), Logger: log, Registerer: ts.reg})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	ts.db = db
	tracker, err := local.New(local.Options{Store: db, URL: func(n int64) string { return "/tickets/" + local.Key(n) }, Now: now})
	require.NoError(t, err)
	pages, err := newPages(now)
	require.NoError(t, err)
	ts.decide.store = db
	ts.server = &server{
		log: log, metrics: newMetrics(ts.reg), now: now, store: db, inbox: db, decide: ts.decide, tasks: db, audit: chain{db}, noise: db, dossiers: db, objectEvents: db, ticketKeys: db, recall: db, hint: ts.hinted, tickets: tracker, ledger: db, sessions: db, hub: newHub(db, log), beat: beatEvery, gater: newGater(db, log),
		readiness: &readiness{check: db.Ready, now: now}, backlog: &backlog{count: db.Pending, now: now}, busy: &memory{}, wake: func() {}, wakeOutbox: func() {},
		crossOrigin: http.NewCrossOriginProtection(), pages: pages, refusals: &repeatLog{now: now},
	}
	c := DefaultConfig()
	c.ExternalURL = "http://127.0.0.1:9751"
	if change != nil {
		change(&c)
	}
	require.NoError(t, c.Validate())
	acc, err := newAccess(c.Access, c.Webhook, func(string) bool { return false })
	require.NoError(t, err)
	acc.oidc, err = newOIDC(c.OIDC, now)
	require.NoError(t, err)
	words, err := report.New(report.Options{ExternalURL: c.ExternalURL})
	require.NoError(t, err)
	links, err := report.NewLinks(report.Options{ExternalURL: c.ExternalURL})
	require.NoError(t, err)
	router, err := newRouter(c.Routing, c.Trackers)
	require.NoError(t, err)
	secrets, err := c.Webhook.Secrets.read()
	require.NoError(t, err)
	signing, err := c.slackSecrets(secrets[TrackerSlack])
	require.NoError(t, err)
	ts.settings.Store(&settings{config: c, callbackSecrets: secrets, slackSecrets: signing, access: acc, links: links, words: words, router: router})
	rules, err := policy.New(c.Policy)
	require.NoError(t, err)
	ts.gater.replace(rules)
	t.Cleanup(ts.hub.close)
	ts.routes(ts.mux)
	return ts
}

// fakeDecider changes the status in the store, as triage.Runner does with much more around it.
type fakeDecider struct {
	store  incident.Store
	actors []string
}

func (f *fakeDecider) set(ctx context.Context, id, actor, reason, kind string, to incident.Status) (incident.Incident, error) {
	inc, err := f.store.Get(ctx, id)
	if err != nil {
		return inc, err
	}
	if inc.Status == to {
		return inc, fmt.Errorf("incident %s is %s: %w", id, inc.Status, incident.ErrConflict)
	}
	f.actors = append(f.actors, actor)
	inc.Status = to
	err = f.store.Apply(ctx, incident.Change{
		Incidents: []incident.Incident{inc}, Events: []incident.Event{{IncidentID: id, At: t0, Kind: kind, Actor: actor, Text: reason}},
		Records: []audit.Entry{{At: t0, Actor: actor, Action: "incident." + kind, Subject: id}},
	})
	if err != nil {
		return inc, err
	}
	return f.store.Get(ctx, id)
}

func (f *fakeDecider) Dismiss(ctx context.Context, id, actor, reason string) (incident.Incident, error) {
	return f.set(ctx, id, actor, reason, incident.EventDismissed, incident.StatusDismissed)
}

func (f *fakeDecider) Reopen(ctx context.Context, id, actor, reason string) (incident.Incident, error) {
	return f.set(ctx, id, actor, reason, incident.EventReopened, incident.StatusOpen)
}

func (f *fakeDecider) Escalate(ctx context.Context, id, actor, reason string, _ []string) (incident.Incident, error) {
	inc, err := f.store.Get(ctx, id)
	if err != nil {
		return inc, err
	}
	f.actors = append(f.actors, actor)
	inc.Severity = incident.SeverityCritical
	if err := f.store.Apply(ctx, incident.Change{Incidents: []incident.Incident{inc}, Events: []incident.Event{{IncidentID: id, At: t0, Kind: incident.EventEscalated, Actor: actor, Text: reason}}}); err != nil {
		return inc, err
	}
	return f.store.Get(ctx, id)
}

// seed is an incident for a test.
type seed struct {
	id, title, summary string
	status             incident.Status
	severity           incident.Severity
	started, ended     time.Duration // before t0; ended 0: open
	labels             map[string]string
	cause              incident.RootCause
	alerts             []incident.Alert
	tracker            string // "" for no ticket
	events             []incident.Event
}

func (ts *testServer) add(t testing.TB, s seed) incident.Incident {
	t.Helper()
	ctx := context.Background()
	inc := incident.Incident{
		ID: s.id, Key: "key-" + s.id, Status: s.status, Severity: s.severity, Title: s.title, Summary: s.summary, StartedAt: t0.Add(-s.started), UpdatedAt: t0.Add(-time.Minute),
		Labels: s.labels, RootCause: s.cause, Total: len(s.alerts),
	}
	if s.ended > 0 {
		inc.EndedAt = t0.Add(-s.ended)
	}
	c := incident.Change{}
	for _, a := range s.alerts {
		a.IncidentID = s.id
		if a.Status == incident.AlertFiring {
			inc.Firing++
		}
		c.Alerts = append(c.Alerts, a)
	}
	c.Incidents = []incident.Incident{inc}
	for _, e := range s.events {
		e.IncidentID = s.id
		c.Events = append(c.Events, e)
	}
	require.NoError(t, ts.db.Apply(ctx, c))
	if s.tracker == "" {
		return inc
	}
	inc.Alerts = s.alerts
	ts.file(t, inc, s.tracker)
	return inc
}

// file files a ticket through the real queue.
func (ts *testServer) file(t testing.TB, inc incident.Incident, tracker string) {
	t.Helper()
	ctx := context.Background()
	d := ts.settings.Load().words.Draft(inc.TicketKey(), inc)
	got := ticket.Ticket{Ref: ticket.Ref{Key: "OPS-" + inc.ID, URL: "https://acme.atlassian.net/browse/OPS-1"}, State: ticket.Open, Status: "To Do"}
	if tracker == TrackerLocal {
		var err error
		got, err = ts.tickets.(*local.Tracker).Create(ctx, d)
		require.NoError(t, err)
	}
	require.NoError(t, ts.db.Apply(ctx, incident.Change{Tasks: []incident.Task{{IncidentID: inc.ID, Tracker: tracker, Key: inc.TicketKey(), Kind: incident.TaskCreate, Payload: []byte(`{}`)}}}))
	tasks, err := ts.db.Claim(ctx, outbox.Claim{Now: time.Now().Add(time.Hour), Lease: time.Minute, Limit: 10, Actor: "test", Tracker: tracker})
	require.NoError(t, err)
	require.Len(t, tasks, 1)
	require.NoError(t, ts.db.Finish(ctx, tasks[0], outbox.Outcome{At: t0, Ticket: incident.Ticket{Tracker: tracker, Key: got.Key, URL: got.URL, Status: got.Status}}))
}

func testAlert(name string, since, ended time.Duration, kv ...string) incident.Alert {
	a := incident.Alert{
		StartsAt: t0.Add(-since), Status: incident.AlertFiring, Labels: map[string]string{"alertname": name}, Annotations: map[string]string{},
		ReceivedAt: t0.Add(-since), UpdatedAt: t0.Add(-since), Why: "same namespace within 5 minutes",
		GeneratorURL: "http://prometheus:9090/graph?g0.expr=rate%28http_requests_total%7Bcode%3D~%225..%22%7D%5B5m%5D%29+%3E+0.1&g0.tab=1",
		ExternalURL:  "http://alertmanager:9093",
	}
	if ended > 0 {
		a.EndsAt, a.Status = t0.Add(-ended), incident.AlertResolved
	}
	for i := 0; i < len(kv); i += 2 {
		if kv[i][0] == '@' {
			a.Annotations[kv[i][1:]] = kv[i+1]
		} else {
			a.Labels[kv[i]] = kv[i+1]
		}
	}
	h := uint64(14695981039346656037)
	for _, l := range sortedLabels(a.Labels) {
		for _, c := range []byte(l) {
			h = (h ^ uint64(c)) * 1099511628211
		}
	}
	a.Fingerprint = fmt.Sprintf("%016x", h)
	return a
}
