package pagerduty_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/ticket"
	"github.com/portent-dev/portent/internal/ticket/doubletest"
	"github.com/portent-dev/portent/internal/ticket/pagerduty"
	"github.com/portent-dev/portent/internal/ticket/pagerduty/pagerdutytest"
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
			all := r.site.Incidents(ref.Key)
			newest := all[len(all)-1]
			v := tickettest.View{Title: all[0].Title, State: ticket.Open}
			for _, name := range []string{"summary", "description"} {
				v.Text += fmt.Sprintln(all[0].Details[name])
			}
			for _, i := range all {
				v.Comments = append(v.Comments, i.Notes...)
			}
			if newest.Status == "resolved" {
				v.State = ticket.Resolved
			}
			return v
		},
		Count:   func(key string) int { return len(r.site.Incidents(key)) },
		Resolve: func(ref ticket.Ref) { r.site.Resolve(ref.Key) },
		LoseAnswer: func() {
			r.site.Heal()
			r.site.Fail(doubletest.Fault{Write: true, Kind: doubletest.Drop})
		},
		Unavailable: func() {
			r.site.Heal()
			r.site.Fail(doubletest.Fault{Kind: doubletest.Status, Status: 503})
		},
		RateLimit: func(d time.Duration) {
			r.site.Fail(doubletest.Fault{Op: pagerdutytest.OpEvent, Kind: doubletest.RateLimit, RetryAfter: d})
		},
		MaxTitle: 1024,
		Secrets:  []string{pagerdutytest.RoutingKey, pagerdutytest.APIToken},
	}
}

func create(t *testing.T, r *rig, key string) ticket.Ticket {
	t.Helper()
	made, err := r.Create(t.Context(), tickettest.Draft(key))
	require.NoError(t, err)
	return made
}

func TestEvent(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *pagerduty.Config) {
		c.Severities["warning"] = "error"
		c.Component, c.Group, c.Class = "shop", "prod", "latency"
		c.Details = map[string]string{"team": "sre"}
	})
	d := tickettest.Draft("portent-1")
	d.Severity, d.Team = "warning", "checkout"
	made, err := r.Create(t.Context(), d)
	require.NoError(t, err)
	require.Equal(t, "https://acme.pagerduty.com/incidents/PT1001", made.URL)
	e := r.site.Events()[0]
	require.Equal(t, "trigger", e["event_action"])
	require.Equal(t, "portent-1", e["dedup_key"])
	require.Equal(t, "https://portent.example/incidents/01J8X", e["client_url"])
	p := e["payload"].(map[string]any)
	require.Equal(t, "error", p["severity"])
	require.Equal(t, "2026-11-22T10:32:46Z", p["timestamp"])
	require.Equal(t, "shop prod latency portent", strings.Join([]string{p["component"].(string), p["group"].(string), p["class"].(string), p["source"].(string)}, " "))
	details := p["custom_details"].(map[string]any)
	require.Equal(t, "sre", details["team"])
	require.Equal(t, []any{"auto-generated", "team:checkout"}, details["labels"])
	require.Equal(t, []string{"https://portent.example/incidents/01J8X", "https://prometheus.example/graph?g0.expr=x"}, r.site.Incidents("portent-1")[0].Links)

	for _, tc := range []struct{ severity, priority, want string }{
		{"critical", "", "critical"},
		{"critical", "info", "info"},
		{"critical", "P1", "critical"}, // not a word of PagerDuty
		{"strange", "", "warning"},
	} {
		key := "portent-" + tc.severity + tc.priority
		d := tickettest.Draft(key)
		d.Severity, d.Priority = tc.severity, tc.priority
		_, err := r.Create(t.Context(), d)
		require.NoError(t, err)
		require.Equal(t, tc.want, r.site.Incidents(key)[0].Severity)
	}
}

func TestTheTeamIsADetail(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	d := tickettest.Draft("portent-1")
	d.Team = "checkout"
	_, err := r.Create(t.Context(), d)
	require.NoError(t, err)
	require.Equal(t, "checkout", r.site.Events()[0]["payload"].(map[string]any)["custom_details"].(map[string]any)["team"])
}

// TestCreateTwice: what the key is for. A repetition while the incident is open
// makes no second one.
func TestCreateTwice(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	create(t, r, "portent-1")
	create(t, r, "portent-1")
	require.Len(t, r.site.Incidents("portent-1"), 1)
	require.Equal(t, []string{"trigger", "trigger"}, r.site.Incidents("portent-1")[0].Events)
}

func TestReopenMakesANewIncident(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	made := create(t, r, "portent-1")
	require.NoError(t, r.Update(t.Context(), made.Ref, ticket.Update{Key: "u1", State: ticket.Resolved}))
	require.Equal(t, 1, r.site.Sent(pagerdutytest.OpStatus), "resolved by REST, which says that it is done")
	require.NoError(t, r.Update(t.Context(), made.Ref, ticket.Update{Key: "u2", Comment: tickettest.Note("again"), State: ticket.Open}))
	all := r.site.Incidents("portent-1")
	require.Len(t, all, 2)
	require.Equal(t, all[0].Title, all[1].Title, "the title is remembered")
	require.Equal(t, "critical", all[1].Severity)
	got, err := r.Get(t.Context(), made.Ref)
	require.NoError(t, err)
	require.Equal(t, all[1].ID, got.ID)
}

// TestLag: REST shows an incident later than the event was taken.
func TestLag(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	r.site.Lag = 10 * time.Second
	made := create(t, r, "portent-1")
	require.Equal(t, ticket.Ref{Key: "portent-1"}, made.Ref)
	u := ticket.Update{Key: "u1", Comment: tickettest.Note("x"), State: ticket.Resolved}
	e := ticket.AsError(r.Update(t.Context(), made.Ref, u))
	require.Equal(t, ticket.ReasonUnavailable, e.Reason)
	require.True(t, e.Retry)
	r.advance(10 * time.Second)
	require.NoError(t, r.Update(t.Context(), made.Ref, u))
	require.NoError(t, r.Update(t.Context(), made.Ref, ticket.Update{Key: "u2", State: ticket.Open}))
	// The new one is not shown yet: the old one alone must not make the end be lost.
	require.NoError(t, r.Update(t.Context(), made.Ref, ticket.Update{Key: "u3", State: ticket.Resolved}))
	for _, i := range r.site.Incidents("portent-1") {
		require.Equal(t, "resolved", i.Status, i.ID)
	}
}

// TestUnseen: an incident that REST does not show is resolved by its key.
func TestUnseen(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	create(t, r, "portent-1")
	r.site.Lag = time.Hour
	r.advance(time.Minute)
	require.NoError(t, r.Update(t.Context(), ticket.Ref{Key: "portent-1"}, ticket.Update{Key: "u1", Comment: tickettest.Note("over"), State: ticket.Resolved}))
	require.Equal(t, "resolved", r.site.Incidents("portent-1")[0].Status)
	last := r.site.Events()[1]
	require.Equal(t, "over", last["payload"].(map[string]any)["custom_details"].(map[string]any)["update"])
}

// TestGroupedIncident: alerts of others in the incident are not resolved.
func TestGroupedIncident(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	made := create(t, r, "portent-1")
	r.site.Group("portent-1")
	require.NoError(t, r.Update(t.Context(), made.Ref, ticket.Update{Key: "u1", State: ticket.Resolved}))
	i := r.site.Incidents("portent-1")[0]
	require.Equal(t, "triggered", i.Status)
	require.Equal(t, []string{"trigger", "resolve"}, i.Events)
	require.Zero(t, r.site.Sent(pagerdutytest.OpStatus))
}

func TestEventsOnly(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *pagerduty.Config) { c.APIToken, c.From = "", "" })
	require.Zero(t, r.SearchLag())
	made := create(t, r, "portent-1")
	require.Equal(t, ticket.Ref{Key: "portent-1"}, made.Ref)
	_, err := r.Find(t.Context(), "portent-1")
	require.ErrorIs(t, err, ticket.ErrNotFound)
	_, err = r.Get(t.Context(), made.Ref)
	require.ErrorIs(t, err, ticket.ErrNotFound)
	update := func(key, text string, to ticket.State) {
		t.Helper()
		require.NoError(t, r.Update(t.Context(), made.Ref, ticket.Update{Key: key, Comment: tickettest.Note(text), State: to}))
	}
	update("u1", "two more", ticket.Unchanged)
	update("u2", "", ticket.Unchanged)
	require.Len(t, r.site.Events(), 2)
	p := r.site.Events()[1]["payload"].(map[string]any)
	require.Equal(t, tickettest.Draft("x").Title, p["summary"])
	require.Equal(t, "two more", p["custom_details"].(map[string]any)["update"])
	update("u3", "over", ticket.Resolved)
	update("u3", "over", ticket.Resolved)
	require.Equal(t, "resolved", r.site.Incidents("portent-1")[0].Status)
	update("u4", "again", ticket.Open)
	require.Len(t, r.site.Incidents("portent-1"), 2)
	for _, q := range r.site.Requests() {
		require.Equal(t, pagerdutytest.OpEvent, q.Op)
	}
	// After a restart the words of the update stand for the title.
	require.NoError(t, r.Update(t.Context(), ticket.Ref{Key: "portent-2"}, ticket.Update{Key: "u1", Comment: tickettest.Note("a\nb"), State: ticket.Open}))
	require.Equal(t, "a", r.site.Incidents("portent-2")[0].Title)
	require.NoError(t, r.Update(t.Context(), ticket.Ref{Key: "portent-3"}, ticket.Update{Key: "u1", State: ticket.Open}))
	require.Equal(t, "portent-3", r.site.Incidents("portent-3")[0].Title)
	warnings, err := r.Check(t.Context())
	require.NoError(t, err)
	require.Len(t, warnings, 1)
}

// TestFaultsOfCreate says for each fault what the outbox is told.
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
		{"rate limit without time", doubletest.Fault{Kind: doubletest.RateLimit}, ticket.ReasonRateLimited, true, false, 30 * time.Second, false},
		{"503 with time", doubletest.Fault{Kind: doubletest.Later, RetryAfter: 30 * time.Second}, ticket.ReasonUnavailable, true, false, 30 * time.Second, false},
		{"500", doubletest.Fault{Kind: doubletest.Status, Status: 500}, ticket.ReasonUnavailable, true, true, 0, false},
		{"400", doubletest.Fault{Kind: doubletest.Status, Status: 400}, ticket.ReasonInvalid, false, false, 0, false},
		{"413", doubletest.Fault{Kind: doubletest.Status, Status: 413}, ticket.ReasonInvalid, false, false, 0, false},
		{"200 with a page", doubletest.Fault{Kind: doubletest.Page, Title: "Proxy"}, ticket.ReasonBadAnswer, true, true, 0, false},
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
			r := newRig(t, func(c *pagerduty.Config) {
				if tc.fault.Kind == doubletest.Hang || tc.fault.Kind == doubletest.Slow {
					c.Timeout = model.Duration(10 * time.Second)
				}
			})
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

// TestRefusedKey: the key that is refused is not repeated, whoever repeats it.
func TestRefusedKey(t *testing.T) {
	t.Parallel()
	const wrong = "ffffffffffffffffffffffffffffffff"
	r := newRig(t, func(c *pagerduty.Config) { c.RoutingKey = wrong })
	_, err := r.Create(t.Context(), tickettest.Draft("portent-1"))
	e := ticket.AsError(err)
	require.Equal(t, ticket.ReasonInvalid, e.Reason)
	require.False(t, e.Retry)
	require.ErrorContains(t, err, "'routing_key' <secret> is not a valid integration key")
}

func TestCheck(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	warnings, err := r.Check(t.Context())
	require.NoError(t, err)
	require.Empty(t, warnings)
	for status, wrong := range map[int]bool{401: true, 403: true, 404: true, 400: true, 500: false, 429: false} {
		r.site.Fail(doubletest.Fault{Kind: doubletest.Status, Status: status})
		_, err := r.Check(t.Context())
		require.Error(t, err)
		var c *ticketrest.CheckError
		if wrong {
			require.ErrorAs(t, err, &c, status)
		} else {
			require.NotErrorAs(t, err, &c, status)
		}
	}
	other := newRig(t, func(c *pagerduty.Config) { c.APIToken = "wrong-token" })
	_, err = other.Check(t.Context())
	require.ErrorContains(t, err, "api_token is refused")
	require.NotContains(t, err.Error(), "wrong-token")
}

// TestForeignAnswer: an incident with another key is not ours, whatever the
// search returned.
func TestForeignAnswer(t *testing.T) {
	t.Parallel()
	site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = fmt.Fprint(w, `{"incidents":[{"id":"P1","status":"triggered","incident_key":"other"},{"id":"../x","status":"triggered","incident_key":"portent-1"}]}`)
	}))
	defer site.Close()
	r := newRig(t, func(c *pagerduty.Config) { c.APIURL = site.URL })
	_, err := r.Find(t.Context(), "portent-1")
	require.ErrorIs(t, err, ticket.ErrNotFound)
}
