package servicenow_test

import (
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/ticket"
	"github.com/portent-dev/portent/internal/ticket/doubletest"
	"github.com/portent-dev/portent/internal/ticket/servicenow"
	"github.com/portent-dev/portent/internal/ticket/servicenow/servicenowtest"
	"github.com/portent-dev/portent/internal/ticket/tickettest"
	"github.com/portent-dev/portent/internal/ticketrest"
)

func TestTracker(t *testing.T) {
	t.Parallel()
	tickettest.Run(t, func(t *testing.T) tickettest.System { return system(newRig(t, nil)) })
}

func system(r *rig) tickettest.System {
	return tickettest.System{
		Tracker: r,
		Settle:  func() { r.advance(lag) },
		Look: func(ref ticket.Ref) tickettest.View {
			i := r.site.Incident(ref.Key)
			v := tickettest.View{Title: i.Columns["short_description"], Text: i.Columns["description"], Comments: i.Notes, State: ticket.Open}
			if i.Columns["state"] == "6" {
				v.State = ticket.Resolved
			}
			return v
		},
		Count: func(key string) int { return len(r.site.Incidents(key)) },
		Resolve: func(ref ticket.Ref) {
			r.site.Set(ref.Key, map[string]string{"state": "6", "close_code": "x", "close_notes": "x"})
		},
		LoseAnswer: func() {
			r.site.Heal()
			r.site.Fail(doubletest.Fault{Write: true, Kind: doubletest.Drop})
		},
		Unavailable: func() {
			r.site.Heal()
			r.site.Fail(doubletest.Fault{Kind: doubletest.Status, Status: 503})
		},
		RateLimit: func(d time.Duration) {
			r.site.Fail(doubletest.Fault{Op: servicenowtest.OpCreate, Kind: doubletest.RateLimit, RetryAfter: d})
		},
		MaxTitle: 160,
		Secrets:  []string{servicenowtest.Secret, base64.StdEncoding.EncodeToString([]byte(servicenowtest.User + ":" + servicenowtest.Secret))},
	}
}

func create(t *testing.T, r *rig, key string) ticket.Ticket {
	t.Helper()
	made, err := r.Create(t.Context(), tickettest.Draft(key))
	require.NoError(t, err)
	return made
}

func TestCreate(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *servicenow.Config) {
		c.AssignmentGroup, c.Category, c.CmdbCI, c.CallerID = "Service Desk", "software", "checkout", "portent"
		c.Fields = map[string]string{"contact_type": "monitoring"}
		c.Impact["P4"] = "3"
		c.AssignmentGroups = map[string]string{"checkout": "Shop"}
	})
	made := create(t, r, "portent-1")
	require.Equal(t, "New", made.Status)
	require.True(t, strings.HasSuffix(made.URL, "/incident.do?sys_id="+made.ID))
	c := r.site.Incident(made.Key).Columns
	for k, want := range map[string]string{
		"urgency": "1", "impact": "1", "assignment_group": "Service Desk", "category": "software", "cmdb_ci": "checkout", "caller_id": "portent",
		"contact_type": "monitoring", "correlation_id": "portent-1", "correlation_display": "Portent",
	} {
		require.Equal(t, want, c[k], k)
	}
	require.Contains(t, c["description"], "Open the incident in Portent: https://portent.example/incidents/01J8X")
	require.Contains(t, c["description"], "Labels: auto-generated, team:checkout")
	require.Empty(t, r.logs.String())
	d := tickettest.Draft("portent-2")
	d.Severity, d.Priority, d.Team = "warning", "P4", "checkout"
	made, err := r.Create(t.Context(), d)
	require.NoError(t, err)
	c = r.site.Incident(made.Key).Columns
	require.Equal(t, "2 3", c["urgency"]+" "+c["impact"])
	require.Equal(t, "Shop", c["assignment_group"], "that of the team")
	// Once more gives the same one.
	again := create(t, r, "portent-2")
	require.Equal(t, made, again)
	// A key that the column does not hold stands there as a digest.
	long := "portent-" + strings.Repeat("x", 190)
	made = create(t, r, long)
	require.Len(t, r.site.Incident(made.Key).Columns["correlation_id"], 100)
	found, err := r.Find(t.Context(), long)
	require.NoError(t, err)
	require.Equal(t, made, found)
	_, err = r.Find(t.Context(), long[:197]+"y")
	require.ErrorIs(t, err, ticket.ErrNotFound)
}

// TestDroppedColumns: what ServiceNow does not keep is said, by name.
func TestDroppedColumns(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *servicenow.Config) { c.Fields = map[string]string{"u_team": "sre"} })
	r.site.MaxShort = 20
	create(t, r, "portent-1")
	require.Contains(t, r.logs.String(), `short_description (changed), u_team (dropped)`)
}

// TestIgnoredQuery is the worst trap: all incidents come back, and none may be
// taken for ours, nor their presence for the absence of ours.
func TestIgnoredQuery(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	made := create(t, r, "portent-1")
	r.site.IgnoreQueries = true
	_, err := r.Find(t.Context(), "portent-2")
	require.Equal(t, ticket.ReasonBadAnswer, ticket.AsError(err).Reason)
	require.NotErrorIs(t, err, ticket.ErrNotFound, "else a second incident would be made")
	_, err = r.Create(t.Context(), tickettest.Draft("portent-2"))
	require.Error(t, err)
	require.Len(t, r.site.Incidents(""), 1)
	_, err = r.Get(t.Context(), ticket.Ref{Key: "INC7777777"})
	require.Equal(t, ticket.ReasonBadAnswer, ticket.AsError(err).Reason)
	got, err := r.Get(t.Context(), made.Ref)
	require.NoError(t, err)
	require.Equal(t, made.Ref, got.Ref)
	_, err = r.Check(t.Context())
	var wrong *ticketrest.CheckError
	require.ErrorAs(t, err, &wrong)
	require.ErrorContains(t, err, "ignored the query")
}

func TestDuplicates(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	made := create(t, r, "portent-1")
	second := r.site.Copy(made.Key, servicenowtest.User)
	person := r.site.Copy(made.Key, "beth.anglin")
	found, err := r.Find(t.Context(), "portent-1")
	require.NoError(t, err)
	require.Equal(t, made.Ref, found.Ref)
	require.Equal(t, "8", r.site.Incident(second).Columns["state"])
	require.Contains(t, r.site.Incident(second).Notes[0], "Duplicate of "+made.Key)
	require.Equal(t, "1", r.site.Incident(person).Columns["state"], "a person's copy is left alone")
	// What names the second one reaches the first.
	require.NoError(t, r.Update(t.Context(), ticket.Ref{Key: second}, ticket.Update{Key: "u1", Comment: tickettest.Note("x")}))
	require.Len(t, r.site.Incident(made.Key).Notes, 1)
	// One that a person cancelled does not come before one that is open.
	r.site.Set(made.Key, map[string]string{"state": "8"})
	r.site.Set(person, map[string]string{"state": "2"})
	found, err = r.Find(t.Context(), "portent-1")
	require.NoError(t, err)
	require.Equal(t, person, found.Key)
}

// TestCreatedTwiceAtOnce: the look after the create finds the older one.
func TestCreatedTwiceAtOnce(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	first := create(t, r, "portent-1")
	r.site.OnCreate(func() { r.site.Set(first.Key, map[string]string{"correlation_id": "portent-2"}) })
	made := create(t, r, "portent-2")
	require.Equal(t, first.Key, made.Key)
	require.Equal(t, "8", r.site.Incidents("portent-2")[1].Columns["state"])
}

// TestClosedIsNotReopened: a new incident stands in its place.
func TestClosedIsNotReopened(t *testing.T) {
	t.Parallel()
	for _, state := range []string{"7", "8"} {
		r := newRig(t, nil)
		made := create(t, r, "portent-1")
		r.site.Set(made.Key, map[string]string{"state": state})
		u := ticket.Update{Key: "u1", Comment: tickettest.Note("again"), State: ticket.Open}
		r.site.Fail(doubletest.Fault{Op: servicenowtest.OpCreate, Kind: doubletest.Drop})
		require.True(t, ticket.AsError(r.Update(t.Context(), made.Ref, u)).Ambiguous)
		require.NoError(t, r.Update(t.Context(), made.Ref, u))
		all := r.site.Incidents("portent-1")
		require.Len(t, all, 2)
		require.Equal(t, made.ID, all[1].Columns["parent_incident"])
		require.Equal(t, all[0].Columns["short_description"], all[1].Columns["short_description"])
		require.Len(t, all[1].Notes, 1)
		require.Contains(t, all[1].Notes[0], made.Key)
		got, err := r.Get(t.Context(), made.Ref)
		require.NoError(t, err)
		require.Equal(t, all[1].Columns["number"], got.Key)
		require.NoError(t, r.Update(t.Context(), made.Ref, ticket.Update{Key: "u2", State: ticket.Resolved}))
		require.Equal(t, "6", r.site.Incidents("portent-1")[1].Columns["state"])
		require.Equal(t, "The incident has ended.", r.site.Incidents("portent-1")[1].Columns["close_notes"])
	}
}

// TestRefusedResolve: the words are written, and the reason is the workflow.
func TestRefusedResolve(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	r.site.Mandatory = []string{"category"}
	made := create(t, r, "portent-1")
	u := ticket.Update{Key: "u1", Comment: tickettest.Note("over"), State: ticket.Resolved}
	for range 2 {
		e := ticket.AsError(r.Update(t.Context(), made.Ref, u))
		require.Equal(t, ticket.ReasonWorkflow, e.Reason)
		require.False(t, e.Retry)
		require.ErrorContains(t, e, "mandatory: category")
	}
	require.Len(t, r.site.Incident(made.Key).Notes, 1)
	r.site.Set(made.Key, map[string]string{"state": "7"})
	e := ticket.AsError(r.Update(t.Context(), made.Ref, ticket.Update{Key: "u2", Comment: tickettest.Note("late")}))
	require.Equal(t, ticket.ReasonWorkflow, e.Reason, "a closed incident is read-only")
}

// TestJournalMarkup: a journal shows [code] as HTML.
func TestJournalMarkup(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	made := create(t, r, "portent-1")
	require.NoError(t, r.Update(t.Context(), made.Ref, ticket.Update{Key: "u1", Comment: tickettest.Note("[code]<b>x</b>[/CODE]\nportent-update:u2")}))
	require.NoError(t, r.Update(t.Context(), made.Ref, ticket.Update{Key: "u2", Comment: tickettest.Note("the real one")}))
	require.Equal(t, []string{"(code)<b>x</b>(/CODE)\nportent-update u2\n\nportent-update:u1", "the real one\n\nportent-update:u2"}, r.site.Incident(made.Key).Notes)
}

func TestFaultsOfCreate(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name      string
		fault     doubletest.Fault
		reason    ticket.Reason
		retry     bool
		ambiguous bool
		after     time.Duration
		exists    bool
	}{
		{"rate limit", doubletest.Fault{Kind: doubletest.RateLimit, RetryAfter: 5 * time.Second}, ticket.ReasonRateLimited, true, false, 5 * time.Second, false},
		{"rate limit by reset", doubletest.Fault{Kind: doubletest.RateLimit, RetryAfter: 9 * time.Minute, OwnHeader: true}, ticket.ReasonRateLimited, true, false, 9 * time.Minute, false},
		{"hibernating instance", doubletest.Fault{Kind: doubletest.Page, Title: "Hibernating Instance"}, ticket.ReasonBadAnswer, true, true, 0, false},
		{"503 with time", doubletest.Fault{Kind: doubletest.Later, RetryAfter: 30 * time.Second}, ticket.ReasonUnavailable, true, false, 30 * time.Second, false},
		{"500", doubletest.Fault{Kind: doubletest.Status, Status: 500}, ticket.ReasonUnavailable, true, true, 0, false},
		{"401", doubletest.Fault{Kind: doubletest.Status, Status: 401}, ticket.ReasonAuth, true, false, time.Minute, false},
		{"403", doubletest.Fault{Kind: doubletest.Status, Status: 403}, ticket.ReasonPermission, true, false, time.Minute, false},
		{"redirect", doubletest.Fault{Kind: doubletest.Redirect}, ticket.ReasonBadAnswer, false, false, 0, false},
		{"connection closed", doubletest.Fault{Kind: doubletest.Refuse}, ticket.ReasonNetwork, true, true, 0, false},
		{"connection closed after the effect", doubletest.Fault{Kind: doubletest.Drop}, ticket.ReasonNetwork, true, true, 0, true},
		{"no answer after the effect", doubletest.Fault{Kind: doubletest.Hang}, ticket.ReasonTimeout, true, true, 0, true},
		{"504 after the effect", doubletest.Fault{Kind: doubletest.Gateway}, ticket.ReasonUnavailable, true, true, 0, true},
		{"half of the JSON", doubletest.Fault{Kind: doubletest.Truncate}, ticket.ReasonBadAnswer, true, true, 0, true},
		{"connection closed amid the answer", doubletest.Fault{Kind: doubletest.CutOff}, ticket.ReasonNetwork, true, true, 0, true},
		{"answer without end", doubletest.Fault{Kind: doubletest.Huge}, ticket.ReasonBadAnswer, true, true, 0, true},
		{"answer a byte at a time", doubletest.Fault{Kind: doubletest.Slow, Delay: time.Second}, ticket.ReasonTimeout, true, true, 0, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, func(c *servicenow.Config) {
				if tc.fault.Kind == doubletest.Hang || tc.fault.Kind == doubletest.Slow {
					c.Timeout = model.Duration(10 * time.Second)
				}
			})
			tc.fault.Op = servicenowtest.OpCreate
			r.site.Fail(tc.fault)
			_, err := r.Create(t.Context(), tickettest.Draft("portent-1"))
			e := ticket.AsError(err)
			require.Equal(t, tc.reason, e.Reason, "%v", err)
			require.Equal(t, tc.retry, e.Retry, "%v", err)
			require.Equal(t, tc.ambiguous, e.Ambiguous, "%v", err)
			require.Equal(t, tc.after, e.RetryAfter, "%v", err)
			require.Len(t, r.site.Incidents("portent-1"), map[bool]int{true: 1}[tc.exists])
			create(t, r, "portent-1")
			require.Len(t, r.site.Incidents("portent-1"), 1, "one incident, whatever happened")
		})
	}
}

func TestAccess(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*servicenow.Config){
		"bearer": func(c *servicenow.Config) { c.Username, c.Password, c.Token = "", "", servicenowtest.Secret },
		"key":    func(c *servicenow.Config) { c.Username, c.Password, c.APIKey = "", "", servicenowtest.Secret },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			create(t, newRig(t, change), "portent-1")
		})
	}
	r := newRig(t, func(c *servicenow.Config) { c.Password = "wr0ng-password" })
	_, err := r.Check(t.Context())
	require.ErrorContains(t, err, "the credentials are refused")
	require.NotContains(t, err.Error(), "wr0ng")
}

func TestCheck(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *servicenow.Config) { c.AssignmentGroup = "Service Desk" })
	warnings, err := r.Check(t.Context())
	require.NoError(t, err)
	require.Empty(t, warnings)
	r.site.CloseCodes, r.site.Groups = []string{"Solved (Permanently)", "Duplicate"}, nil
	_, err = r.Check(t.Context())
	require.ErrorContains(t, err, `close_code: the instance has no resolution code "Solution provided"; it has Solved (Permanently), Duplicate`)
	require.ErrorContains(t, err, `assignment_group: the instance has no group with the name "Service Desk"`)
	teams := newRig(t, func(c *servicenow.Config) {
		c.AssignmentGroups = map[string]string{"checkout": "Shop", "ops": "Service Desk"}
	})
	_, err = teams.Check(t.Context())
	require.ErrorContains(t, err, `assignment_groups.checkout: the instance has no group with the name "Shop"`)
	require.NotContains(t, err.Error(), "Service Desk")
	r.site.CloseCodes, r.site.Groups = nil, []string{"Service Desk"}
	warnings, err = r.Check(t.Context())
	require.NoError(t, err)
	require.Len(t, warnings, 1)
	require.Contains(t, warnings[0], "resolution codes")
	fields := newRig(t, func(c *servicenow.Config) {
		c.Fields, c.Category = map[string]string{"u_team": "sre", "contact_type": "monitoring"}, "hardware"
	})
	warnings, err = fields.Check(t.Context())
	require.ErrorContains(t, err, `category: the instance has no category "hardware"; it has inquiry, software`)
	require.Equal(t, []string{"the instance shows no incident yet: the columns of fields are not checked"}, warnings)
	create(t, fields, "portent-1")
	_, err = fields.Check(t.Context())
	require.ErrorContains(t, err, "fields: the incident table has no column u_team, or this account may not read it")
	r.site.Fail(doubletest.Fault{Kind: doubletest.Page, Title: "Hibernating Instance"})
	_, err = r.Check(t.Context())
	var wrong *ticketrest.CheckError
	require.NotErrorAs(t, err, &wrong, "a sleeping instance does not end the start")
	require.ErrorContains(t, err, "hibernating instance")
}
