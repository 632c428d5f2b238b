package jira_test

import (
	"encoding/base64"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/ticket"
	"github.com/portent-dev/portent/internal/ticket/doubletest"
	"github.com/portent-dev/portent/internal/ticket/jira"
	"github.com/portent-dev/portent/internal/ticket/jira/jiratest"
	"github.com/portent-dev/portent/internal/ticket/tickettest"
)

func name(r ticket.Ref) string {
	if r.ID != "" {
		return r.ID
	}
	return r.Key
}

func TestTracker(t *testing.T) {
	t.Parallel()
	for language, project := range map[string]jiratest.Project{"en": jiratest.DefaultProject("OPS"), "de": jiratest.GermanProject("OPS")} {
		t.Run(language, func(t *testing.T) {
			t.Parallel()
			tickettest.Run(t, func(t *testing.T) tickettest.System { return system(newRig(t, nil, project)) })
		})
	}
}

func system(r *rig) tickettest.System {
	return tickettest.System{
		Tracker: r,
		Settle:  r.settle,
		Look: func(ref ticket.Ref) tickettest.View {
			i := r.site.Issue(name(ref))
			v := tickettest.View{Title: i.Summary, Text: text(i.Description), State: ticket.Open}
			if i.Category == "done" {
				v.State = ticket.Resolved
			}
			for _, c := range i.Comments {
				v.Comments = append(v.Comments, text(c))
			}
			return v
		},
		Count: func(key string) int {
			n := 0
			for _, i := range r.site.Issues() {
				if slices.Contains(i.Labels, key) {
					n++
				}
			}
			return n
		},
		Resolve: func(ref ticket.Ref) {
			done := "Done"
			if r.site.Issue(name(ref)).Status == "Zu erledigen" {
				done = "Fertig"
			}
			r.site.SetStatus(name(ref), done)
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
			r.site.Fail(doubletest.Fault{Op: jiratest.OpCreate, Kind: doubletest.RateLimit, RetryAfter: d})
		},
		MaxTitle: 255,
		Secrets:  []string{jiratest.Token, base64.StdEncoding.EncodeToString([]byte(jiratest.Email + ":" + jiratest.Token))},
	}
}

func create(t *testing.T, r *rig, key string) ticket.Ticket {
	t.Helper()
	made, err := r.Create(t.Context(), tickettest.Draft(key))
	require.NoError(t, err)
	return made
}

func TestCreateSetsWhatIsOnTheScreen(t *testing.T) {
	t.Parallel()
	p := jiratest.DefaultProject("OPS")
	p.Screen["customfield_10010"] = jiratest.Field{Name: "Team", Required: true}
	r := newRig(t, func(c *jira.Config) {
		c.IssueType = "incident" // names match without case
		c.Labels = []string{"portent", "prod"}
		c.Fields = map[string]any{"customfield_10010": map[string]any{"value": "OPS"}, "customfield_99999": "not on the screen"}
		c.TeamFields = map[string]map[string]any{"checkout": {"customfield_10010": map[string]any{"value": "SRE"}}, "other": {"customfield_10010": "x"}}
	}, p)
	d := tickettest.Draft("portent-1")
	d.Team = "checkout"
	d.Labels = []string{"team checkout", "prod", "Portent-forged", "", "a\nb"}
	made, err := r.Create(t.Context(), d)
	require.NoError(t, err)
	i := r.site.Issue(made.Key)
	require.Equal(t, "Incident", i.Type)
	require.Equal(t, []string{"portent-1", "portent", "prod", "team-checkout", "a-b"}, i.Labels)
	require.Equal(t, "Highest", i.Priority)
	require.JSONEq(t, `{"value":"SRE"}`, string(i.Fields["customfield_10010"]))
	require.NotContains(t, i.Fields, "customfield_99999")
	require.JSONEq(t, `{"key":"portent-1","severity":"critical","startedAt":"2026-11-22T10:32:46Z","url":"https://portent.example/incidents/01J8X"}`,
		string(i.Properties["portent.incident"]))
	require.Equal(t, r.site.Issue(made.Key).ID, made.ID)
	require.Contains(t, text(i.Description), "Open the incident in Portent")
	require.Contains(t, r.logs.String(), "customfield_99999")

	// Without description and priority on the screen the ticket is made all the
	// same.
	bare := jiratest.DefaultProject("OPS")
	delete(bare.Screen, "description")
	delete(bare.Screen, "priority")
	r = newRig(t, nil, bare)
	i = r.site.Issue(create(t, r, "portent-1").Key)
	require.Empty(t, i.Description)
	require.Empty(t, i.Priority)
}

func TestCreatePriority(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *jira.Config) {
		c.Priorities = map[string]string{"critical": "2", "warning": "medium", "info": "Gone"}
	})
	for i, tc := range []struct{ severity, priority, want string }{
		{"critical", "", "High"},
		{"warning", "", "Medium"},
		{"info", "", ""},
		{"unknown", "", ""},
		{"", "", ""},
		{"info", "Lowest", "Lowest"},
	} {
		d := tickettest.Draft("portent-" + string(rune('a'+i)))
		d.Severity, d.Priority = tc.severity, tc.priority
		made, err := r.Create(t.Context(), d)
		require.NoError(t, err)
		require.Equal(t, tc.want, r.site.Issue(made.Key).Priority, "%+v", tc)
	}
}

func TestScreenIsReadOnceAndAgainWhenItChanged(t *testing.T) {
	t.Parallel()
	p := jiratest.DefaultProject("OPS")
	r := newRig(t, nil, p)
	create(t, r, "portent-1")
	reads := r.site.Sent(jiratest.OpMeta)
	require.Equal(t, 1+2, reads, "one page of types, two of fields")
	create(t, r, "portent-2")
	require.Equal(t, reads, r.site.Sent(jiratest.OpMeta))

	// An admin takes a field off the screen: one ticket is refused, the screen is
	// read again, and the next is made.
	delete(p.Screen, "priority")
	_, err := r.Create(t.Context(), tickettest.Draft("portent-3"))
	require.Equal(t, ticket.ReasonInvalid, ticket.AsError(err).Reason)
	require.ErrorContains(t, err, "Field 'priority' cannot be set")
	create(t, r, "portent-3")
	require.Equal(t, 2*reads, r.site.Sent(jiratest.OpMeta))

	// After an hour it is read again, and an old one does while Jira is down.
	r.clock.Advance(61 * time.Minute)
	r.site.Fail(doubletest.Fault{Op: jiratest.OpMeta, Kind: doubletest.Status, Status: 500})
	create(t, r, "portent-4")
	create(t, r, "portent-5")
	require.Greater(t, r.site.Sent(jiratest.OpMeta), 2*reads)
}

func TestCreateWithoutLabelsOnTheScreenIsRefused(t *testing.T) {
	t.Parallel()
	p := jiratest.DefaultProject("OPS")
	delete(p.Screen, "labels")
	r := newRig(t, nil, p)
	_, err := r.Create(t.Context(), tickettest.Draft("portent-1"))
	e := ticket.AsError(err)
	require.Equal(t, ticket.ReasonInvalid, e.Reason)
	require.False(t, e.Retry)
	require.ErrorContains(t, err, "no field Labels")
	require.Empty(t, r.site.Issues())
}

func TestFindWithinLag(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	made := create(t, r, "portent-1")
	// What this process made is found at once: its id is reconciled.
	found, err := r.Find(t.Context(), "portent-1")
	require.NoError(t, err)
	require.Equal(t, made.Ref, found.Ref)

	// What was made without an answer is found when the index has it.
	r.site.Fail(doubletest.Fault{Op: jiratest.OpCreate, Kind: doubletest.Drop})
	_, err = r.Create(t.Context(), tickettest.Draft("portent-2"))
	require.True(t, ticket.AsError(err).Ambiguous)
	_, err = r.Find(t.Context(), "portent-2")
	require.ErrorIs(t, err, ticket.ErrNotFound)
	r.clock.Advance(lag - time.Second)
	_, err = r.Find(t.Context(), "portent-2")
	require.ErrorIs(t, err, ticket.ErrNotFound)
	r.clock.Advance(time.Second)
	_, err = r.Find(t.Context(), "portent-2")
	require.NoError(t, err)
	require.Equal(t, 2*time.Minute, r.SearchLag())
}

func TestFindMovedTicket(t *testing.T) {
	t.Parallel()
	projects := []jiratest.Project{jiratest.DefaultProject("OPS"), jiratest.DefaultProject("SUP"), jiratest.DefaultProject("HR")}
	r := newRig(t, func(c *jira.Config) { c.OtherProjects = []string{"SUP"} }, projects...)
	made := create(t, r, "portent-1")
	r.site.Move(made.Key, "SUP")
	r.settle()
	found, err := r.Find(t.Context(), "portent-1")
	require.NoError(t, err)
	require.Equal(t, "SUP-1", found.Key)
	require.Equal(t, made.ID, found.ID)
	// The old key still leads there.
	got, err := r.Get(t.Context(), ticket.Ref{Key: made.Key})
	require.NoError(t, err)
	require.Equal(t, found, got)
	require.NoError(t, r.Update(t.Context(), made.Ref, ticket.Update{Key: "u1", State: ticket.Resolved}))
	require.Equal(t, "done", r.site.Issue("SUP-1").Category)
	// A project that is not configured is not looked into.
	r.site.Move("SUP-1", "HR")
	r.settle()
	_, err = r.Find(t.Context(), "portent-1")
	require.ErrorIs(t, err, ticket.ErrNotFound)
}

func TestFindTurnsPages(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	first := create(t, r, "portent-1")
	for range 120 { // a person with a script
		r.site.Clone(first.Key)
	}
	r.settle()
	found, err := r.Find(t.Context(), "portent-1")
	require.NoError(t, err)
	require.Equal(t, first.Ref, found.Ref)
	require.Equal(t, 3, r.site.Sent(jiratest.OpSearch))
	for _, i := range r.site.Issues()[1:] {
		require.Equal(t, "new", i.Category, "a person's copy is left alone")
	}
}

func TestDeletedTicket(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	made := create(t, r, "portent-1")
	r.site.Delete(made.Key)
	_, err := r.Get(t.Context(), made.Ref)
	require.ErrorIs(t, err, ticket.ErrNotFound)
	err = r.Update(t.Context(), made.Ref, ticket.Update{Key: "u1", Comment: tickettest.Note("x")})
	require.ErrorIs(t, err, ticket.ErrNotFound)
	require.False(t, ticket.AsError(err).Retry)
}

func TestBearerToken(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *jira.Config) { c.Email, c.SiteURL = "", "https://acme.atlassian.net/" })
	require.Equal(t, "https://acme.atlassian.net/browse/OPS-1", create(t, r, "portent-1").URL)
}
