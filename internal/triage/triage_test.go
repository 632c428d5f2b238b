package triage_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/incident"
	"github.com/portent-dev/portent/internal/ticket"
	"github.com/portent-dev/portent/internal/triage"
)

// words is a Writer that says little.
type words struct{}

func (words) Title(i incident.Incident) string { return i.RootCause.Alertname + " in " + i.Key }

func (words) Summary(i incident.Incident) string { return fmt.Sprintf("%d of %d", i.Firing, i.Total) }

func (words) Draft(_, key string, i incident.Incident) ticket.Draft {
	return ticket.Draft{Key: key, Title: i.Title, Severity: string(i.Severity), Summary: alertNames(i.Alerts)}
}

func (words) Comment(_ incident.Incident, joined, ended []incident.Alert, text string) ticket.Doc {
	return ticket.Doc{ticket.Paragraph(ticket.Text("joined " + alertNames(joined) + "; ended " + alertNames(ended) + "; " + text))}
}

func alertNames(as []incident.Alert) string {
	var out []string
	for _, a := range as {
		out = append(out, a.Name())
	}
	slices.Sort(out)
	return strings.Join(out, ",")
}

// A world is a Triage with a store that is a map.
type world struct {
	t         testing.TB
	tr        *triage.Triage
	policy    triage.Policy
	route     triage.Route
	notes     int64
	incidents map[string]incident.Incident
	alerts    map[incident.AlertID]incident.Alert
	events    map[string][]string
	tasks     []incident.Task
	aside     map[int64]string
	audit     []string
	text      string // description of alerts
}

// prompt is the default policy with tickets at once; the holds have tests of
// their own.
func prompt() triage.Policy {
	p := triage.DefaultPolicy()
	p.HoldCritical, p.HoldMany, p.HoldTogether, p.HoldAlone, p.Baseline = 0, 0, 0, 0, 0
	return p
}

func newWorld(t *testing.T, edit ...func(*triage.Policy)) *world {
	t.Helper()
	w := &world{
		t: t, policy: prompt(), incidents: map[string]incident.Incident{}, alerts: map[incident.AlertID]incident.Alert{},
		events: map[string][]string{}, aside: map[int64]string{}, route: func(incident.Incident) []string { return []string{"jira"} },
	}
	for _, e := range edit {
		e(&w.policy)
	}
	w.fresh()
	return w
}

func (w *world) fresh() {
	var err error
	w.tr, err = triage.New(w.policy, words{}, func(i incident.Incident) []string { return w.route(i) })
	require.NoError(w.t, err)
}

// restart forgets memory and loads it from the store.
func (w *world) restart() {
	w.fresh()
	var now time.Time
	for _, a := range w.alerts {
		if a.UpdatedAt.After(now) {
			now = a.UpdatedAt
		}
	}
	var all []incident.Incident
	for _, id := range slices.Sorted(maps.Keys(w.incidents)) {
		i := w.incidents[id]
		if i.Status == incident.StatusOpen || now.Sub(i.UpdatedAt) <= time.Duration(w.policy.ReopenWindow+w.policy.LateWindow) {
			all = append(all, w.get(id))
		}
	}
	require.NoError(w.t, w.tr.Load(now, all, nil))
}

func (w *world) get(id string) incident.Incident {
	i := w.incidents[id]
	for _, a := range w.alerts {
		if a.IncidentID == id {
			i.Alerts = append(i.Alerts, a)
		}
	}
	slices.SortFunc(i.Alerts, func(a, b incident.Alert) int { return a.StartsAt.Compare(b.StartsAt) })
	return i
}

// store does what a store does, and checks what one would refuse.
func (w *world) store(c incident.Change) {
	w.t.Helper()
	seen := map[string]bool{}
	for _, i := range c.Incidents {
		require.False(w.t, seen[i.ID], "an incident twice in a change")
		seen[i.ID] = true
		require.Equal(w.t, w.incidents[i.ID].Version, i.Version, "version of %s", i.ID)
		i.Version++
		require.NotEmpty(w.t, i.Title)
		require.Equal(w.t, i.Status == incident.StatusOpen, i.EndedAt.IsZero(), "%s is %s and ended %s", i.ID, i.Status, i.EndedAt)
		w.incidents[i.ID] = i
	}
	for _, a := range c.Alerts {
		w.alerts[a.ID()] = a
		require.NotEmpty(w.t, a.Why)
		require.Equal(w.t, a.Status == incident.AlertFiring, a.EndsAt.IsZero())
	}
	open := map[string]string{}
	for _, i := range w.incidents {
		if i.Status == incident.StatusOpen {
			require.Empty(w.t, open[i.Key], "two open incidents of one key")
			open[i.Key] = i.ID
		}
		var firing, total int
		for _, a := range w.get(i.ID).Alerts {
			total++
			if a.Status == incident.AlertFiring {
				firing++
			}
		}
		require.Equal(w.t, []int{firing, total}, []int{i.Firing, i.Total}, "counts of %s", i.ID)
	}
	for _, e := range c.Events {
		require.Contains(w.t, w.incidents, e.IncidentID)
		w.events[e.IncidentID] = append(w.events[e.IncidentID], e.Kind+": "+e.Text)
	}
	for _, r := range c.Records {
		w.audit = append(w.audit, r.Action)
	}
	w.tasks = append(w.tasks, c.Tasks...)
	maps.Copy(w.aside, c.Aside)
	w.tr.Commit()
}

func (w *world) Incident(id string) (incident.Incident, error) { return w.get(id), nil }

func (w *world) Known(fps []string) ([]incident.Alert, error) {
	var out []incident.Alert
	for _, a := range w.alerts {
		if slices.Contains(fps, a.Fingerprint) {
			out = append(out, a)
		}
	}
	slices.SortFunc(out, func(a, b incident.Alert) int { return b.StartsAt.Compare(a.StartsAt) })
	return out, nil
}

var t0 = time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)

// at is a time in minutes after t0.
func at(minutes float64) time.Time { return t0.Add(time.Duration(minutes * float64(time.Minute))) }

// An al is an alert to be sent: labels as "alertname k=v k=v", start and, when
// it is over, end in minutes.
type al struct {
	labels     string
	start, end float64
}

func (a al) labelSet() map[string]string {
	parts := strings.Fields(a.labels)
	ls := map[string]string{"alertname": parts[0]}
	for _, p := range parts[1:] {
		k, v, _ := strings.Cut(p, "=")
		ls[k] = v
	}
	return ls
}

func (a al) fingerprint() string {
	ls := model.LabelSet{}
	for k, v := range a.labelSet() {
		ls[model.LabelName(k)] = model.LabelValue(v)
	}
	return ls.Fingerprint().String()
}

// note makes a notification that comes at a time, in minutes.
func (w *world) note(clock float64, edit func(p map[string]any), as ...al) incident.Notification {
	var list []any
	for _, a := range as {
		m := map[string]any{
			"status": "firing", "labels": a.labelSet(), "annotations": w.annotations(), "startsAt": at(a.start), "endsAt": time.Time{},
			"generatorURL": "http://p", "fingerprint": a.fingerprint(),
		}
		if a.end != 0 {
			m["status"], m["endsAt"] = "resolved", at(a.end)
		}
		list = append(list, m)
	}
	p := map[string]any{"version": "4", "groupKey": "{}:{}", "status": "firing", "receiver": "r", "externalURL": "http://am-0", "alerts": list}
	if edit != nil {
		edit(p)
	}
	b, err := json.Marshal(p)
	require.NoError(w.t, err)
	w.notes++
	return incident.Notification{ID: w.notes, Source: incident.SourceAlertmanager, ReceivedAt: at(clock), Clock: at(clock), Body: b}
}

// send judges one notification that comes at a time, in minutes.
func (w *world) send(clock float64, as ...al) { w.t.Helper(); w.process(w.note(clock, nil, as...)) }

func (w *world) process(ns ...incident.Notification) {
	w.t.Helper()
	c, err := w.tr.Process(ns, w)
	require.NoError(w.t, err)
	require.Len(w.t, append(c.Done, slices.Collect(maps.Keys(c.Aside))...), len(ns), "each is done or aside")
	w.store(c)
}

func (w *world) flush(clock float64) { w.t.Helper(); w.store(w.tr.Flush(at(clock))) }

func (w *world) annotations() map[string]string {
	if w.text == "" {
		return map[string]string{}
	}
	return map[string]string{"description": w.text}
}

// only returns the one incident there is.
func (w *world) only() incident.Incident {
	w.t.Helper()
	require.Len(w.t, w.incidents, 1)
	return w.get(slices.Collect(maps.Keys(w.incidents))[0])
}

// kinds are the tasks so far.
func (w *world) kinds() string {
	var out []string
	for _, t := range w.tasks {
		out = append(out, string(t.Kind))
	}
	return strings.Join(out, " ")
}

func (w *world) status(want incident.Status, firing, total int) {
	w.t.Helper()
	i := w.only()
	require.Equal(w.t, fmt.Sprint(want, firing, total), fmt.Sprint(i.Status, i.Firing, i.Total))
}

const (
	slow  = "Slow cluster=c1 namespace=shop service=api severity=warning"
	down  = "Down cluster=c1 namespace=shop service=api severity=critical"
	other = "Slow cluster=c3 namespace=shop service=cart severity=warning"
)

func TestLifeOfAnIncident(t *testing.T) {
	w := newWorld(t)
	w.send(1, al{slow, 0, 0})
	i := w.only()
	require.Equal(t, incident.StatusOpen, i.Status)
	require.Equal(t, incident.SeverityWarning, i.Severity)
	require.Equal(t, at(0), i.StartedAt)
	require.Equal(t, map[string]string{"cluster": "c1", "namespace": "shop", "service": "api"}, i.Labels)
	require.Equal(t, `cluster="c1" namespace="shop" service="api" since=`+i.ID, i.Key)
	require.Equal(t, incident.RootCause{Entity: "shop/api", Alertname: "Slow", Confidence: 0.9}, i.RootCause)
	require.Equal(t, []string{"jira"}, i.Trackers)
	require.Equal(t, "create", w.kinds())
	require.Equal(t, "portent-"+i.ID, w.tasks[0].Key)
	require.Len(t, i.ID, 26)
	require.Equal(t, strings.ToLower(i.ID), i.ID)

	w.send(2, al{slow, 0, 0}, al{down, 1.5, 0})
	i = w.only()
	require.Equal(t, incident.SeverityCritical, i.Severity)
	require.Equal(t, "create update", w.kinds(), "a severity that rises is told at once")
	require.Contains(t, string(w.tasks[1].Payload), "joined Down; ended ; Severity is now critical.")
	require.Less(t, i.RootCause.Confidence, 0.9, "now there are two")

	w.send(5, al{slow, 0, 4}, al{down, 1.5, 0})
	w.status(incident.StatusOpen, 1, 2)
	w.send(10, al{down, 1.5, 9})
	w.status(incident.StatusOpen, 0, 2)
	w.flush(10.9)
	w.status(incident.StatusOpen, 0, 2)
	w.flush(11)
	w.status(incident.StatusResolved, 0, 2)
	i = w.only()
	require.Equal(t, at(9), i.EndedAt, "it ended when its last alert did")
	require.Equal(t, "create update resolve", w.kinds())
	require.Contains(t, string(w.tasks[2].Payload), "joined ; ended Down,Slow;")
	require.Contains(t, string(w.tasks[2].Payload), `"state":"resolved"`)
	require.Equal(t, []string{
		"opened: Slow", "note: deserves a ticket: Slow fires", "severity: severity rises from warning to critical", "alert: joined: Down", "resolved: all alerts are over",
	}, w.events[i.ID])
	require.Equal(t, []string{"incident.opened", "policy.decided", "incident.severity", "incident.resolved"}, w.audit)

	w.flush(200)
	require.Equal(t, "create update resolve", w.kinds(), "nothing more happens")
}

// What a scope separates never meets, however alike it is.
func TestTwinsStayApart(t *testing.T) {
	w := newWorld(t)
	w.send(1,
		al{slow, 0, 0}, al{down, 0.5, 0},
		al{"Slow cluster=c2 namespace=shop service=api", 0, 0}, al{"Down cluster=c2 namespace=shop service=api", 0.5, 0},
		al{"Slow tenant=x cluster=c1 namespace=shop service=api", 0, 0}, al{"Lonely x=y", 0, 0})
	got := map[string]int{}
	for _, i := range w.incidents {
		got[strings.Split(i.Key, " since=")[0]] = i.Total
	}
	require.Equal(t, map[string]int{
		`cluster="c1" namespace="shop" service="api"`:            2,
		`cluster="c2" namespace="shop" service="api"`:            2,
		`tenant="x" cluster="c1" namespace="shop" service="api"`: 1,
		`alertname="Lonely"`:                                     1,
	}, got)
}

// The same group comes again: as a retry, at repeat_interval with another text,
// from the second Alertmanager, under another group key after a route edit.
func TestResendsSayNothingNew(t *testing.T) {
	w := newWorld(t)
	w.send(1, al{slow, 0, 0})
	w.process(w.note(1, nil, al{slow, 0, 0}))
	w.process(w.note(1.2, func(p map[string]any) { p["externalURL"] = "http://am-1" }, al{slow, 0, 0}))
	w.process(w.note(240, func(p map[string]any) { p["groupKey"] = "{}/{team=\"x\"}:{}" }, al{slow, 0, 0}))
	w.process(w.note(241, func(p map[string]any) { p["receiver"] = "other" }, al{slow, 0, 0}))
	require.Equal(t, "create", w.kinds())
	i := w.only()
	require.Equal(t, 1, i.Total)
	require.Equal(t, int64(1), i.Version)
	require.Equal(t, at(241), i.Alerts[0].UpdatedAt)
	require.Equal(t, at(1), i.Alerts[0].ReceivedAt)
	require.Equal(t, "other", i.Alerts[0].Receiver)
}

func TestAbsentIsNotResolved(t *testing.T) {
	w := newWorld(t)
	w.send(1, al{slow, 0, 0}, al{down, 0, 0})
	w.send(5, al{slow, 0, 0}) // a partial group after a reload
	w.flush(100)
	w.status(incident.StatusOpen, 2, 2)
}

// The peer's copy was made before the end: firing after resolved, then resolved.
func TestLateFiringCopyOpensNothing(t *testing.T) {
	w := newWorld(t)
	w.send(1, al{slow, 0, 0})
	w.send(10, al{slow, 0, 9})
	w.send(10.3, al{slow, 0, 0})
	w.send(10.5, al{slow, 0.2, 0}) // with the start of the other Prometheus, which was never heard of
	w.flush(11.1)
	w.status(incident.StatusResolved, 0, 2)
	w.send(13, al{slow, 0, 0})
	w.send(14, al{slow, 0, 9})
	w.status(incident.StatusResolved, 0, 2)
	require.Equal(t, "create resolve", w.kinds())

	w.send(90, al{slow, 0, 0}) // a retry may come long after
	w.send(100, al{slow, 0, 0})
	w.status(incident.StatusResolved, 0, 2)
	require.Equal(t, "create resolve", w.kinds())
}

// One of two Prometheus replicas loses the target and tells an end, while the
// alert fires on: notices about it come again and again.
func TestAnEndThatWasWrong(t *testing.T) {
	for _, start := range []float64{0, 0.25} {
		w := newWorld(t)
		w.send(1, al{slow, 0, 0})
		w.send(10, al{slow, 0, 9})
		w.flush(12)
		w.send(30, al{slow, start, 0})
		w.flush(31)
		require.Equal(t, incident.StatusResolved, w.only().Status)
		w.restart()
		w.send(270, al{slow, start, 0})
		require.Equal(t, incident.StatusOpen, w.only().Status, "in its old incident, which memory had let go")
		require.Equal(t, 1, w.only().Firing)
		require.Equal(t, "create resolve reopen", w.kinds())
		w.send(280, al{slow, start, 279})
		w.flush(290)
		w.send(300, al{slow, start, 0}) // and now it is a copy again
		require.Equal(t, incident.StatusResolved, w.only().Status)
	}
}

// The same, with another incident of the same service open by then: it fires on
// where it did.
func TestAnEndThatWasWrongBesideAnotherIncident(t *testing.T) {
	w := newWorld(t)
	w.send(1, al{slow, 0, 0})
	first := w.only().ID
	w.send(10, al{slow, 0, 9})
	w.flush(12)
	w.send(200, al{down, 199, 0})
	w.send(210, al{slow, 0, 0})
	w.send(240, al{slow, 0, 0})
	require.Len(t, w.incidents, 2)
	require.Equal(t, incident.StatusOpen, w.incidents[first].Status)
	require.Equal(t, 1, w.incidents[first].Firing)
}

func TestOneFiringWithTwoStarts(t *testing.T) {
	w := newWorld(t)
	w.send(1, al{slow, 0, 0})
	w.send(6, al{slow, 0.25, 0})
	w.status(incident.StatusOpen, 2, 2)
	w.send(20, al{slow, 0.25, 19}) // the end names one of them
	w.flush(30)
	w.status(incident.StatusResolved, 0, 2)

	w = newWorld(t)
	w.send(1, al{slow, 0, 0})
	w.send(6, al{slow, 0.25, 0})
	w.send(20, al{slow, 0, 19}) // or the other
	w.flush(30)
	w.status(incident.StatusResolved, 0, 2)
}

func TestFiresAgain(t *testing.T) {
	w := newWorld(t)
	w.send(1, al{slow, 0, 0})
	w.send(10, al{slow, 0, 9})
	w.flush(12)
	w.status(incident.StatusResolved, 0, 1)
	w.send(50, al{slow, 49, 0})
	w.status(incident.StatusOpen, 1, 2)
	require.Equal(t, "create resolve reopen", w.kinds())
	require.Contains(t, string(w.tasks[2].Payload), `"state":"open"`)
	w.send(60, al{slow, 49, 58})
	w.flush(61)
	w.status(incident.StatusResolved, 0, 2)
	require.Equal(t, "create resolve reopen resolve", w.kinds())

	w.send(130, al{slow, 129, 0}) // more than an hour later
	require.Len(t, w.incidents, 2)
	require.Equal(t, "create resolve reopen resolve create", w.kinds())
}

// A new firing before the end of the old one was told: the old one ends with it.
func TestFiresAgainBeforeTheEndIsTold(t *testing.T) {
	w := newWorld(t)
	w.send(1, al{slow, 0, 0})
	w.send(10, al{slow, 8, 0})
	w.status(incident.StatusOpen, 2, 2)
	w.send(11, al{slow, 0, 7}) // a late notice about the first
	w.status(incident.StatusOpen, 1, 2)
	w.send(30, al{slow, 8, 29})
	w.flush(40)
	w.status(incident.StatusResolved, 0, 2)
}

func TestHeldDown(t *testing.T) {
	w := newWorld(t)
	w.send(1, al{slow, 0, 0})
	for n := range 10 { // it flaps every minute: no ticket is opened and closed each time
		m := float64(2 * n)
		w.send(m+2, al{slow, m, m + 1.5})
		w.send(m+2.5, al{slow, m + 2, 0})
	}
	w.status(incident.StatusOpen, 1, 11)
	require.NotContains(t, w.kinds(), "resolve")
}

func TestNeverResolved(t *testing.T) {
	w := newWorld(t, func(p *triage.Policy) { p.AlertTTL = model.Duration(5 * time.Hour) })
	w.send(1, al{slow, 0, 0}, al{down, 0, 0})
	w.send(240, al{slow, 0, 0})
	w.flush(302)
	w.status(incident.StatusOpen, 1, 2)
	i := w.only()
	require.Contains(t, w.events[i.ID], "alert: 1 alert not heard of for 5h: taken as ended")
	w.flush(560)
	w.status(incident.StatusResolved, 0, 2)
	require.True(t, w.only().Alerts[0].Expired)
	require.Equal(t, "create resolve", w.kinds())

	w.send(561, al{slow, 0, 0}) // it fires still
	w.status(incident.StatusOpen, 1, 2)
	require.False(t, slices.ContainsFunc(w.only().Alerts, func(a incident.Alert) bool { return a.Name() == "Slow" && a.Expired }))
	require.Equal(t, "create resolve reopen", w.kinds())
}

func TestEndHeardBeforeTheStart(t *testing.T) {
	w := newWorld(t)
	w.send(10, al{slow, 0, 9})
	w.status(incident.StatusOpen, 0, 1)
	require.Equal(t, "create", w.kinds(), "somebody is told")
	w.flush(11)
	w.status(incident.StatusResolved, 0, 1)
	require.Equal(t, "create resolve", w.kinds())

	w = newWorld(t)
	w.send(60, al{slow, 0, 9})
	w.status(incident.StatusResolved, 0, 1)
	require.Equal(t, "create resolve", w.kinds(), "in this order")
}

func TestKeptOut(t *testing.T) {
	w := newWorld(t)
	w.send(1, al{"Watchdog severity=none", 0, 0}, al{"X severity=info", 0, 0}, al{"InfoInhibitor severity=none", 0, 0}, al{"Y severity=none", 0, 0})
	require.Empty(t, w.incidents)
	require.Empty(t, w.tasks)
	why := map[string]string{}
	for _, a := range w.alerts {
		require.Empty(t, a.IncidentID)
		why[a.Name()] = a.Why
	}
	require.Equal(t, map[string]string{
		"Watchdog":      "kept out by rule heartbeat: a heartbeat that always fires",
		"X":             "kept out by rule info: informational",
		"InfoInhibitor": "kept out by rule inhibitor: it exists to inhibit others",
		"Y":             "kept out by rule none: severity is none",
	}, why)
	w.send(2, al{"X severity=info", 0, 1.5}, al{"Watchdog severity=none", 0, 0})
	require.Len(t, w.alerts, 4)
	for _, a := range w.alerts {
		require.Equal(t, a.Name() == "X", a.Status == incident.AlertResolved)
		require.Equal(t, at(1), a.ReceivedAt)
	}
}

func TestSeverities(t *testing.T) {
	f := func(label string, want incident.Severity) {
		t.Helper()
		w := newWorld(t)
		w.send(1, al{"X " + label, 0, 0})
		require.Equal(t, want, w.only().Severity)
	}
	f("severity=CRITICAL", incident.SeverityCritical)
	f("severity=page", incident.SeverityCritical)
	f("severity=minor", incident.SeverityWarning)
	f("severity=whatever", incident.SeverityWarning)
	f("priority=P1", incident.SeverityCritical)
	f("a=b", incident.SeverityWarning)
	f("severity=low", incident.SeverityInfo)
}

func TestTicketsFromASeverityOn(t *testing.T) {
	w := newWorld(t)
	w.send(1, al{"X namespace=a severity=low", 0, 0})
	require.Empty(t, w.tasks)
	w.send(2, al{"Y namespace=a severity=warning", 1, 0})
	require.Equal(t, "create", w.kinds())
	require.Contains(t, string(w.tasks[0].Payload), "X,Y")
}

func TestRoutes(t *testing.T) {
	w := newWorld(t)
	w.route = func(i incident.Incident) []string {
		if i.Severity == incident.SeverityCritical {
			return []string{"pager", "jira"}
		}
		return []string{"jira"}
	}
	w.send(1, al{slow, 0, 0})
	w.send(2, al{down, 1, 0})
	w.send(5, al{slow, 0, 4}, al{down, 1, 4})
	w.flush(10)
	var got []string
	for _, task := range w.tasks {
		got = append(got, task.Tracker+" "+string(task.Kind))
	}
	require.Equal(t, []string{"jira create", "pager create", "jira update", "jira resolve", "pager resolve"}, got)

	w = newWorld(t)
	w.route = func(incident.Incident) []string { return nil }
	w.send(1, al{slow, 0, 0})
	w.route = func(incident.Incident) []string { return []string{"jira"} } // a reload of the configuration
	w.send(2, al{slow, 0, 1.5})
	w.flush(10)
	require.Equal(t, incident.StatusResolved, w.only().Status)
	require.Empty(t, w.tasks, "no ticket for what is over")
}

func TestCommentsAreFew(t *testing.T) {
	w := newWorld(t)
	w.send(1, al{slow, 0, 0})
	for n := range 30 {
		m := 1 + float64(n)/10
		w.send(m, al{fmt.Sprintf("%s pod=p%d", slow, n), m, 0})
	}
	w.send(5, al{"New cluster=c1 namespace=shop service=api severity=warning", 5, 0})
	require.Equal(t, "create", w.kinds(), "within ten minutes nothing but a severity that rises or the end is told")
	w.flush(10.9)
	require.Equal(t, "create", w.kinds())
	w.flush(11)
	require.Equal(t, "create update", w.kinds())
	require.Equal(t, 31, strings.Count(string(w.tasks[1].Payload), "Slow")+strings.Count(string(w.tasks[1].Payload), "New"))

	w.send(12, al{slow + " pod=x", 12, 0})
	w.flush(40)
	w.flush(80)
	require.Equal(t, "create update", w.kinds(), "one more of the same is no news")
	version := w.only().Version
	w.flush(120)
	require.Equal(t, version, w.only().Version, "and nothing is written again and again")
}

func TestTruncated(t *testing.T) {
	w := newWorld(t)
	cut := func(p map[string]any) { p["truncatedAlerts"] = 17 }
	w.process(w.note(1, cut, al{slow, 0, 0}))
	w.process(w.note(2, cut, al{slow, 0, 0}))
	hits := 0
	for _, e := range w.events[w.only().ID] {
		if strings.Contains(e, "left out 17 alerts") {
			hits++
		}
	}
	require.Equal(t, 1, hits)
}

func TestHopelessGoesAside(t *testing.T) {
	w := newWorld(t)
	good, bad := w.note(1, nil, al{slow, 0, 0}), w.note(1, nil)
	bad.Body = []byte(`{"version":"4","alerts":[{"status":"odd"}]}`)
	strange := w.note(1, nil)
	strange.Source = "carrier pigeon"
	w.process(bad, good, strange)
	require.Equal(t, 1, w.only().Total)
	require.Contains(t, w.aside[bad.ID], `alerts[0].status`)
	require.Contains(t, w.aside[strange.ID], "carrier pigeon")
}

func TestManyAtOnceAreLikeOneAfterTheOther(t *testing.T) {
	send := func(w *world) []incident.Notification {
		return []incident.Notification{
			w.note(1, nil, al{slow, 0, 0}), w.note(1.5, nil, al{slow, 0, 0}, al{other, 1, 0}), w.note(3, nil, al{slow, 0, 2.5}),
			w.note(3.5, nil, al{slow, 0, 0}), w.note(4, nil, al{slow, 3.5, 0}), w.note(5, nil, al{slow, 3.5, 4.5}),
		}
	}
	one, many := newWorld(t), newWorld(t)
	for _, n := range send(one) {
		one.process(n)
	}
	many.process(send(many)...)
	one.flush(20)
	many.flush(20)
	require.Equal(t, one.alerts, many.alerts)
	for id, i := range one.incidents {
		j := many.incidents[id]
		require.Equal(t, []any{i.Status, i.EndedAt, i.Firing, i.Total, i.Severity}, []any{j.Status, j.EndedAt, j.Firing, j.Total, j.Severity})
	}
	require.Len(t, many.incidents, 2)
}

// After a restart at any point everything goes on as if there had been none.
func TestRestartChangesNothing(t *testing.T) {
	run := func(restartAfter int) *world {
		w := newWorld(t)
		for n, f := range []func(){
			func() { w.send(1, al{slow, 0, 0}, al{other, 0, 0}) },
			func() { w.send(2, al{down, 1.5, 0}) },
			func() { w.send(6, al{slow, 0, 5}, al{down, 1.5, 5}) },
			func() { w.flush(8) },
			func() { w.send(9, al{slow, 0, 0}) }, // late
			func() { w.send(30, al{slow, 29, 0}, al{"Watchdog severity=none", 0, 0}) },
			func() { w.send(31, al{"New cluster=c1 namespace=shop service=api", 30.5, 0}) },
			func() { w.flush(45) },
			func() {
				w.send(60, al{slow, 29, 59}, al{"New cluster=c1 namespace=shop service=api", 30.5, 59}, al{other, 0, 59})
			},
			func() { w.flush(65) },
			func() { w.send(300, al{slow, 29, 0}, al{slow, 299, 0}) },
		} {
			f()
			if n == restartAfter {
				w.restart()
			}
		}
		return w
	}
	want := run(-1)
	require.Contains(t, want.kinds(), "reopen")
	for n := range 11 {
		got := run(n)
		require.Equal(t, want.alerts, got.alerts, "restart after %d", n)
		require.Equal(t, want.kinds(), got.kinds(), "restart after %d", n)
		require.Equal(t, want.events, got.events, "restart after %d", n)
	}
}

// Notices of an alert that memory has let go are recognised by the store.
func TestForgottenAlertsAreRecalled(t *testing.T) {
	w := newWorld(t)
	w.send(1, al{slow, 0, 0})
	w.send(10, al{slow, 0, 9})
	w.flush(500)
	w.send(501, al{other, 500, 0})
	require.Len(t, w.incidents, 2)
	w.send(502, al{slow, 0, 9}) // the same end once more
	require.Len(t, w.incidents, 2)
	require.Len(t, w.alerts, 2)
}

func TestTimeOfAlerts(t *testing.T) {
	w := newWorld(t)
	n := w.note(1, nil, al{slow, -30, 0}, al{other, -5, -1})
	n.Clock = time.Time{}
	w.process(n)
	require.Equal(t, at(-1), w.tr.Now(), "the greatest time in the alerts")
	wild := w.note(2, nil, al{down, 60 * 24 * 365, 0})
	wild.Clock = time.Time{}
	w.process(wild)
	require.Equal(t, at(-1), w.tr.Now(), "a clock that is a year ahead moves nothing")
	require.Len(t, w.incidents, 3)
	w.send(1, al{slow, 0, 0})
	w.send(0.5, al{slow, 0, 0})
	require.Equal(t, at(1), w.tr.Now(), "time does not go back")
}

func TestQuietDoesWhatWaits(t *testing.T) {
	w := newWorld(t)
	w.send(1, al{slow, 0, 0})
	w.send(2, al{"New cluster=c1 namespace=shop service=api", 1.5, 0}, al{other, 0, 0})
	w.send(3, al{other, 0, 2.9})
	w.store(w.tr.Quiet())
	require.ElementsMatch(t, []string{"create", "create", "update", "resolve"}, strings.Fields(w.kinds()))
	before := len(w.tasks)
	w.store(w.tr.Quiet())
	require.Len(t, w.tasks, before)
	require.Equal(t, at(3), w.tr.Now())
}

// Two processes that decide the same give the same id and the same ticket key.
func TestTheSameAlertsGiveTheSameID(t *testing.T) {
	a, b := newWorld(t), newWorld(t)
	a.send(1, al{slow, 0, 0})
	b.send(1.5, al{slow, 0, 0})
	require.Equal(t, a.only().ID, b.only().ID)
	c := newWorld(t)
	c.send(1, al{slow, 1, 0})
	require.Less(t, a.only().ID, c.only().ID, "ids sort by time")
}

// The node that two pods are on is named by both.
func TestCause(t *testing.T) {
	w := newWorld(t)
	text := func(p map[string]any) {
		for _, a := range p["alerts"].([]any) {
			a.(map[string]any)["annotations"] = map[string]string{"description": "It runs on node worker-17.example.internal."}
		}
	}
	w.process(w.note(3, nil, al{"NodeDown cluster=c1 node=worker-17.example.internal severity=critical", 0.5, 0}))
	w.process(w.note(4, text, al{"PodDown cluster=c1 namespace=a pod=api-0 severity=warning", 0, 0}, al{"PodDown cluster=c1 namespace=b pod=cart-0 severity=warning", 1, 0}))
	i := w.only()
	require.Equal(t, []string{"worker-17.example.internal", "NodeDown"}, []string{i.RootCause.Entity, i.RootCause.Alertname})
	require.Greater(t, i.RootCause.Confidence, 0.3)
}

func TestPolicy(t *testing.T) {
	require.NoError(t, triage.DefaultPolicy().Validate())
	for key, spoil := range map[string]func(*triage.Policy){
		"default_severity":     func(p *triage.Policy) { p.DefaultSeverity = "bad" },
		"ticket_min_severity":  func(p *triage.Policy) { p.TicketMinSeverity = "" },
		"severities.x":         func(p *triage.Policy) { p.Severities = map[string]incident.Severity{"x": "y"} },
		"severities.X":         func(p *triage.Policy) { p.Severities = map[string]incident.Severity{"X": "info"} },
		"alert_ttl":            func(p *triage.Policy) { p.AlertTTL = 0 },
		"resolve_after":        func(p *triage.Policy) { p.ResolveAfter = -1 },
		"reopen_window":        func(p *triage.Policy) { p.ReopenWindow = 0 },
		"late_window":          func(p *triage.Policy) { p.LateWindow = 0 },
		"comment_interval":     func(p *triage.Policy) { p.CommentInterval = 0 },
		"suppress[0].name":     func(p *triage.Policy) { p.Suppress[0].Name = "" },
		"suppress[1].name":     func(p *triage.Policy) { p.Suppress[1].Name = p.Suppress[0].Name },
		"suppress[0].matchers": func(p *triage.Policy) { p.Suppress[0].Matchers = []string{`a=~"("`} },
		"suppress[2].matchers": func(p *triage.Policy) { p.Suppress[2].Matchers = nil },
	} {
		p := triage.DefaultPolicy()
		spoil(&p)
		require.ErrorContains(t, p.Validate(), key)
	}
}
