package incidenttest

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/audit"
	"github.com/portent-dev/portent/internal/incident"
)

func get(t *testing.T, s Stores, id string) incident.Incident {
	t.Helper()
	i, err := s.Store.Get(t.Context(), id)
	require.NoError(t, err)
	return i
}

func incidentRoundTrip(t *testing.T, s Stores) {
	_, err := s.Store.Get(t.Context(), "01none")
	require.ErrorIs(t, err, incident.ErrNotFound)

	i := NewIncident(1)
	i.Causes = []incident.Cause{{RootCause: incident.RootCause{Entity: "shop/db", Alertname: "Down", Confidence: 0.5}, Why: "fired first"}, {Why: "it seldom fires"}}
	ended := NewAlert(2, i.ID)
	ended.Status, ended.EndsAt, ended.Expired, ended.ClaimedAt = incident.AlertResolved, minute(5), true, minute(9)
	ended.StartsAt = ended.StartsAt.In(time.FixedZone("", 3600))
	apply(t, s, incident.Change{
		Incidents: []incident.Incident{i},
		Alerts:    []incident.Alert{NewAlert(1, i.ID), ended},
		Events: []incident.Event{
			{IncidentID: i.ID, At: minute(3), Kind: incident.EventOpened, Actor: "portent", Text: "second in time, first written"},
			{IncidentID: i.ID, At: minute(1), Kind: incident.EventNote, Actor: "ada", Text: "note"},
		},
	})
	want := i
	want.Version = 1
	ended.StartsAt = ended.StartsAt.UTC()
	want.Alerts = []incident.Alert{NewAlert(1, i.ID), ended}
	want.Tickets = []incident.Ticket{}
	want.Timeline = []incident.Event{
		{IncidentID: i.ID, At: minute(3), Kind: incident.EventOpened, Actor: "portent", Text: "second in time, first written"},
		{IncidentID: i.ID, At: minute(1), Kind: incident.EventNote, Actor: "ada", Text: "note"},
	}
	require.Equal(t, want, get(t, s, i.ID))
}

func incidentVersions(t *testing.T, s Stores) {
	i := NewIncident(1)
	apply(t, s, incident.Change{Incidents: []incident.Incident{i}})
	require.ErrorIs(t, s.Store.Apply(t.Context(), incident.Change{Incidents: []incident.Incident{i}}), incident.ErrConflict, "new twice")

	mine, theirs := get(t, s, i.ID), get(t, s, i.ID)
	theirs.Status, theirs.EndedAt = incident.StatusDismissed, minute(9)
	apply(t, s, incident.Change{Incidents: []incident.Incident{theirs}})
	mine.Severity = incident.SeverityCritical
	require.ErrorIs(t, s.Store.Apply(t.Context(), incident.Change{Incidents: []incident.Incident{mine}}), incident.ErrConflict)

	got := get(t, s, i.ID)
	require.Equal(t, incident.StatusDismissed, got.Status)
	require.Equal(t, incident.SeverityWarning, got.Severity)
	require.Equal(t, int64(2), got.Version)

	gone := NewIncident(2)
	gone.Version = 1
	require.ErrorIs(t, s.Store.Apply(t.Context(), incident.Change{Incidents: []incident.Incident{gone}}), incident.ErrConflict, "absent")
}

func incidentOpenKeys(t *testing.T, s Stores) {
	a, b := NewIncident(1), NewIncident(2)
	b.Key = a.Key
	apply(t, s, incident.Change{Incidents: []incident.Incident{a}})
	require.ErrorIs(t, s.Store.Apply(t.Context(), incident.Change{Incidents: []incident.Incident{b}}), incident.ErrConflict, "two open ones of one key")

	a = get(t, s, a.ID)
	a.Status, a.EndedAt = incident.StatusResolved, minute(3)
	apply(t, s, incident.Change{Incidents: []incident.Incident{b, a}}) // in this order too
	require.Equal(t, incident.StatusOpen, get(t, s, b.ID).Status)

	b = get(t, s, b.ID)
	b.MergedInto = a.ID
	a = get(t, s, a.ID)
	a.Status, a.EndedAt = incident.StatusOpen, time.Time{}
	apply(t, s, incident.Change{Incidents: []incident.Incident{a, b}})
	require.Equal(t, incident.StatusOpen, get(t, s, a.ID).Status, "a merged-away one is not in the way")
}

func applyAllOrNothing(t *testing.T, s Stores) {
	put(t, s, note(1))
	id := next(t, s, 1)[0].ID
	i := NewIncident(1)
	apply(t, s, incident.Change{Incidents: []incident.Incident{i}})
	bad := incident.Change{
		Done: []int64{id}, Alerts: []incident.Alert{NewAlert(1, i.ID)},
		Events:    []incident.Event{{IncidentID: i.ID, At: minute(1), Kind: incident.EventNote}},
		Tasks:     []incident.Task{NewTask(i.ID, "jira", incident.TaskCreate)},
		Records:   []audit.Entry{{At: minute(1), Actor: "a", Action: "b"}},
		Incidents: []incident.Incident{NewIncident(2), i}, // the last one conflicts
	}
	require.ErrorIs(t, s.Store.Apply(t.Context(), bad), incident.ErrConflict)
	require.Equal(t, 1, pending(t, s))
	got := get(t, s, i.ID)
	require.Empty(t, got.Alerts)
	require.Empty(t, got.Timeline)
	_, err := s.Store.Get(t.Context(), NewIncident(2).ID)
	require.ErrorIs(t, err, incident.ErrNotFound)
	require.Empty(t, claim(t, s, "jira", 0, 10))
	require.Empty(t, s.Audit())

	bad.Incidents = nil
	bad.Records = append(bad.Records, audit.Entry{Detail: []byte("no JSON")})
	require.Error(t, s.Store.Apply(t.Context(), bad))
	require.Equal(t, 1, pending(t, s))
}

// walk lists all pages.
func walk(t *testing.T, s Stores, q incident.Query) (ids []string, pages int) {
	t.Helper()
	for {
		is, next, err := s.Store.List(t.Context(), q)
		require.NoError(t, err)
		pages++
		for _, i := range is {
			ids = append(ids, i.ID)
		}
		if next == "" {
			return ids, pages
		}
		require.NotEqual(t, q.Cursor, next)
		q.Cursor = next
	}
}

func listPages(t *testing.T, s Stores) {
	is, next, err := s.Store.List(t.Context(), incident.Query{})
	require.NoError(t, err)
	require.Empty(t, is)
	require.Empty(t, next)

	var all []incident.Incident
	var as []incident.Alert
	var want []string
	for n := range 25 {
		i := NewIncident(n)
		all, want = append(all, i), append(want, i.ID)
		as = append(as, NewAlert(n, i.ID), NewAlert(n+1000, i.ID))
	}
	slices.Reverse(want)
	apply(t, s, incident.Change{Incidents: all, Alerts: as})
	for _, limit := range []int{1, 7, 25, 26, 0} {
		ids, pages := walk(t, s, incident.Query{Limit: limit})
		require.Equal(t, want, ids, "limit %d", limit)
		if limit > 0 {
			require.Equal(t, (25+limit-1)/limit, pages)
		}
	}

	// What is new, or changes, during a walk neither hides nor repeats the rest.
	is, next, err = s.Store.List(t.Context(), incident.Query{Limit: 10})
	require.NoError(t, err)
	require.Len(t, is[0].Alerts, 2)
	moved := get(t, s, want[3])
	moved.StartedAt = minute(-500)
	apply(t, s, incident.Change{Incidents: []incident.Incident{NewIncident(100), moved}})
	rest, _ := walk(t, s, incident.Query{Limit: 10, Cursor: next})
	require.Equal(t, want[10:], rest)

	is, _, err = s.Store.List(t.Context(), incident.Query{Limit: 5, Brief: true})
	require.NoError(t, err)
	require.Empty(t, is[0].Alerts)
	require.Equal(t, 2, is[0].Total)

	for _, c := range []string{"nonsense", "a5", "é"} {
		_, _, err = s.Store.List(t.Context(), incident.Query{Cursor: c})
		require.ErrorIs(t, err, incident.ErrBadCursor, c)
	}
}

func listFilters(t *testing.T, s Stores) {
	var all []incident.Incident
	for n := range 6 {
		i := NewIncident(n)
		switch n {
		case 0, 1:
			i.Firing = 0
			i.Status, i.EndedAt = incident.StatusResolved, minute(n+10) // ended at 10 and 11
		case 2:
			i.Status, i.EndedAt, i.Severity = incident.StatusDismissed, minute(20), incident.SeverityCritical
		}
		all = append(all, i)
	}
	apply(t, s, incident.Change{Incidents: all})
	f := func(q incident.Query, want ...int) {
		t.Helper()
		var ids []string
		for _, n := range want {
			ids = append(ids, NewIncident(n).ID)
		}
		q.Limit = 2 // over pages
		got, _ := walk(t, s, q)
		require.Equal(t, ids, got)
	}
	f(incident.Query{Status: incident.StatusOpen}, 5, 4, 3)
	f(incident.Query{Status: incident.StatusResolved}, 1, 0)
	f(incident.Query{Severity: incident.SeverityCritical}, 2)
	f(incident.Query{Severity: incident.SeverityCritical, Status: incident.StatusOpen})
	f(incident.Query{Since: minute(11)}, 5, 4, 3, 2, 1)
	f(incident.Query{Since: minute(11).Add(1)}, 5, 4, 3, 2)
	f(incident.Query{Until: minute(2)}, 1, 0)
	f(incident.Query{Since: minute(11), Until: minute(3)}, 2, 1)
	f(incident.Query{UpdatedSince: minute(5)}, 5, 4)
	f(incident.Query{Firing: true}, 5, 4, 3, 2)
	f(incident.Query{Firing: true, Status: incident.StatusDismissed}, 2)

	counts, err := s.Store.Counts(t.Context())
	require.NoError(t, err)
	require.Equal(t, map[incident.Status]int{incident.StatusOpen: 3, incident.StatusResolved: 2, incident.StatusDismissed: 1}, counts)
}

func mergeAndSplit(t *testing.T, s Stores) {
	a, b := NewIncident(1), NewIncident(2)
	one, two, three := NewAlert(1, a.ID), NewAlert(2, b.ID), NewAlert(3, b.ID)
	apply(t, s, incident.Change{Incidents: []incident.Incident{a, b}, Alerts: []incident.Alert{one, two, three}})

	b = get(t, s, b.ID)
	b.MergedInto = a.ID
	two.IncidentID, three.IncidentID = a.ID, a.ID
	apply(t, s, incident.Change{Incidents: []incident.Incident{b}, Alerts: []incident.Alert{two, three}})
	ids, _ := walk(t, s, incident.Query{})
	require.Equal(t, []string{a.ID}, ids, "a merged-away incident is not listed")
	require.Len(t, get(t, s, a.ID).Alerts, 3)
	require.Equal(t, a.ID, get(t, s, b.ID).MergedInto, "but still there")
	counts, err := s.Store.Counts(t.Context())
	require.NoError(t, err)
	require.Equal(t, 1, counts[incident.StatusOpen])

	c := NewIncident(3)
	three.IncidentID = c.ID
	apply(t, s, incident.Change{Incidents: []incident.Incident{c}, Alerts: []incident.Alert{three}})
	require.Len(t, get(t, s, a.ID).Alerts, 2)
	require.Equal(t, []incident.Alert{three}, get(t, s, c.ID).Alerts)
}

func alerts(t *testing.T, s Stores) {
	clock, err := s.Recall.Clock(t.Context())
	require.NoError(t, err)
	require.True(t, clock.IsZero())

	a := NewAlert(1, "01x")
	apply(t, s, incident.Change{Alerts: []incident.Alert{a, NewAlert(2, "")}})
	later := a
	later.StartsAt = minute(50)
	changed := a
	changed.Status, changed.EndsAt, changed.UpdatedAt = incident.AlertResolved, minute(7), minute(8)
	apply(t, s, incident.Change{Alerts: []incident.Alert{later, a, changed}}) // the same twice: the last wins

	inside, next, err := s.Store.ListAlerts(t.Context(), incident.AlertQuery{})
	require.NoError(t, err)
	require.Empty(t, next)
	require.Equal(t, []incident.Alert{changed, later}, inside)
	out, _, err := s.Store.ListAlerts(t.Context(), incident.AlertQuery{Suppressed: true})
	require.NoError(t, err)
	require.Equal(t, []incident.Alert{NewAlert(2, "")}, out)

	firing, _, err := s.Store.ListAlerts(t.Context(), incident.AlertQuery{Firing: true})
	require.NoError(t, err)
	require.Equal(t, []incident.Alert{later}, firing)
	recent, _, err := s.Store.ListAlerts(t.Context(), incident.AlertQuery{Since: minute(8)})
	require.NoError(t, err)
	require.Equal(t, []incident.Alert{changed}, recent)
	of, _, err := s.Store.ListAlerts(t.Context(), incident.AlertQuery{IncidentID: "01y"})
	require.NoError(t, err)
	require.Empty(t, of)

	clock, err = s.Recall.Clock(t.Context())
	require.NoError(t, err)
	require.Equal(t, minute(8), clock)
}

func alertPages(t *testing.T, s Stores) {
	var all []incident.Alert
	for n := range 23 {
		all = append(all, NewAlert(n, ""))
	}
	apply(t, s, incident.Change{Alerts: all})
	for _, limit := range []int{1, 10, 23, 0} {
		var got []incident.Alert
		q := incident.AlertQuery{Suppressed: true, Limit: limit}
		for {
			as, next, err := s.Store.ListAlerts(t.Context(), q)
			require.NoError(t, err)
			got = append(got, as...)
			if next == "" {
				break
			}
			q.Cursor = next
		}
		require.Equal(t, all, got, "limit %d", limit)
	}
	for _, c := range []string{"a", "ax", "i5", "a-5"} {
		_, _, err := s.Store.ListAlerts(t.Context(), incident.AlertQuery{Cursor: c})
		require.ErrorIs(t, err, incident.ErrBadCursor, c)
	}
}

func known(t *testing.T, s Stores) {
	got, err := s.Recall.Known(t.Context(), nil)
	require.NoError(t, err)
	require.Empty(t, got)

	var all []incident.Alert
	for n := range incident.RecallDepth + 5 { // many firings of one alert
		a := NewAlert(7, "01x")
		a.StartsAt = minute(n)
		all = append(all, a)
	}
	apply(t, s, incident.Change{Alerts: append(slices.Clone(all), NewAlert(8, ""), NewAlert(9, ""))})
	got, err = s.Recall.Known(t.Context(), []string{NewAlert(7, "").Fingerprint, "ffffffffffffffff", NewAlert(9, "").Fingerprint})
	require.NoError(t, err)
	slices.Reverse(all)
	require.Equal(t, append(all[:incident.RecallDepth], NewAlert(9, "")), got)

	var many []string
	for n := range 2000 {
		many = append(many, fmt.Sprintf("%016x", n))
	}
	got, err = s.Recall.Known(t.Context(), many)
	require.NoError(t, err)
	require.Len(t, got, incident.RecallDepth+2)
}

func hostileText(t *testing.T, s Stores) {
	nasty := "a'b\"c\\d\x00e\xfff\ng $1 ?2 -- ; DROP TABLE incidents"
	kept := "a'b\"c\\d\uFFFDe\uFFFDf\ng $1 ?2 -- ; DROP TABLE incidents"
	i := NewIncident(1)
	i.Key, i.Title, i.Summary, i.Labels = nasty, nasty, nasty, map[string]string{"n": "a'b\x00\"\n"}
	a := NewAlert(1, i.ID)
	a.GroupKey, a.Why, a.Annotations = nasty, nasty, map[string]string{"d": "x\x00\xff"}
	apply(t, s, incident.Change{
		Incidents: []incident.Incident{i}, Alerts: []incident.Alert{a},
		Events:  []incident.Event{{IncidentID: i.ID, At: minute(1), Kind: incident.EventNote, Actor: nasty, Text: nasty}},
		Records: []audit.Entry{{At: minute(1), Actor: nasty, Action: nasty, Subject: nasty}},
	})
	got := get(t, s, i.ID)
	require.Equal(t, kept, got.Title)
	require.Equal(t, kept, got.Key)
	require.Equal(t, map[string]string{"n": "a'b\x00\"\n"}, got.Labels)
	require.Equal(t, kept, got.Alerts[0].GroupKey)
	require.Equal(t, map[string]string{"d": "x\x00\uFFFD"}, got.Alerts[0].Annotations)
	require.Equal(t, kept, got.Timeline[0].Text)
	require.Equal(t, kept, s.Audit()[0].Actor)
	_, err := s.Store.Get(t.Context(), nasty)
	require.ErrorIs(t, err, incident.ErrNotFound)
}
