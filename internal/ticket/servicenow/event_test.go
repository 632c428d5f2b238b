package servicenow_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/ticket"
	"github.com/portent-dev/portent/internal/ticket/doubletest"
	"github.com/portent-dev/portent/internal/ticket/servicenow"
	"github.com/portent-dev/portent/internal/ticket/servicenow/servicenowtest"
	"github.com/portent-dev/portent/internal/ticket/tickettest"
)

func byEvents(c *servicenow.Config) { c.Mode, c.CmdbCI = servicenow.ModeEvents, "checkout-db" }

// alertOf is what Event Management shows for a key.
func (r *rig) alertOf(key string) servicenowtest.Event { return r.site.Alerts()["Portent/"+key] }

func TestEventsAreOneAlert(t *testing.T) {
	t.Parallel()
	r := newRig(t, byEvents)
	made := create(t, r, "portent-1")
	require.Equal(t, ticket.Open, made.State)
	require.True(t, strings.HasSuffix(made.URL, "/em_alert_list.do?sysparm_query=message_key%3Dportent-1"))
	e := r.alertOf("portent-1")
	require.Equal(t, "1", e["severity"])
	require.Equal(t, "checkout-db", e["node"])
	require.Equal(t, "2026-11-22 10:32:46", e["time_of_event"], "when it began, in GMT")
	require.Contains(t, e["description"], tickettest.Draft("portent-1").Title)
	var info map[string]string
	require.NoError(t, json.Unmarshal([]byte(e["additional_info"]), &info), "JSON in a string")
	require.Equal(t, "https://portent.example/incidents/01J8X", info["incident_url"])
	again := create(t, r, "portent-1")
	require.Equal(t, made, again)
	require.Len(t, r.site.Alerts(), 1)

	r.advance(time.Minute)
	update := func(u ticket.Update) servicenowtest.Event {
		t.Helper()
		require.NoError(t, r.Update(t.Context(), made.Ref, u))
		return r.alertOf("portent-1")
	}
	e = update(ticket.Update{Key: "u1", Comment: tickettest.Note("two more pods")})
	require.Equal(t, "1", e["severity"], "a comment leaves it as it was, after a restart too: the reference has it")
	require.Contains(t, e["description"], "two more pods")
	require.Equal(t, "2026-11-22 10:41:00", e["time_of_event"])
	e = update(ticket.Update{Key: "u2", State: ticket.Resolved})
	require.Equal(t, "0 Closing", e["severity"]+" "+e["resolution_state"])
	e = update(ticket.Update{Key: "u3", State: ticket.Open, Comment: tickettest.Note("back")})
	require.Equal(t, "1 New", e["severity"]+" "+e["resolution_state"])
	n := len(r.site.Events())
	update(ticket.Update{Key: "u4"})
	require.Len(t, r.site.Events(), n, "nothing to say")

	for _, ref := range []ticket.Ref{{Key: "portent-2"}, {Key: "portent-2", ID: "0"}, {Key: "portent-2", ID: "x9"}} {
		require.NoError(t, r.Update(t.Context(), ref, ticket.Update{Key: "u", Comment: tickettest.Note("x")}))
		require.Equal(t, "4", r.alertOf("portent-2")["severity"])
	}
	require.ErrorIs(t, r.Update(t.Context(), ticket.Ref{Key: "a b"}, ticket.Update{Key: "u", State: ticket.Open}), ticket.ErrNotFound)
	_, err := r.Get(t.Context(), made.Ref)
	require.ErrorIs(t, err, ticket.ErrNotFound)
	_, err = r.Find(t.Context(), "portent-1")
	require.ErrorIs(t, err, ticket.ErrNotFound)
	require.Zero(t, r.SearchLag())
	warnings, err := r.Check(t.Context())
	require.NoError(t, err)
	require.Len(t, warnings, 1)
}

// However the answer is lost, sending again makes no second alert.
func TestEventsAndFaults(t *testing.T) {
	t.Parallel()
	for _, kind := range doubletest.Kinds() {
		if kind == doubletest.Hang || kind == doubletest.Slow {
			continue // until a timeout: as for the incident table
		}
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			r := newRig(t, byEvents)
			r.site.Fail(doubletest.Fault{Op: servicenowtest.OpEvent, Kind: kind, Status: 502, Title: "Hibernating Instance"})
			_, err := r.Create(t.Context(), tickettest.Draft("portent-1"))
			var e *ticket.Error
			require.ErrorAs(t, err, &e)
			require.True(t, e.Retry || kind == doubletest.Redirect, "%v", err)
			require.NotContains(t, err.Error(), servicenowtest.Secret)
			create(t, r, "portent-1")
			require.Len(t, r.site.Alerts(), 1)
		})
	}
}

func TestEventsOfAnyText(t *testing.T) {
	t.Parallel()
	r := newRig(t, byEvents)
	for _, s := range append(tickettest.Hostile(), strings.Repeat("ü ", 30_000)) {
		d := tickettest.Draft("portent-1")
		d.Title, d.Summary, d.Severity, d.Labels, d.IncidentURL = "t "+s, s, s, []string{s}, s
		made, err := r.Create(t.Context(), d)
		require.NoError(t, err)
		require.NoError(t, r.Update(t.Context(), made.Ref, ticket.Update{Key: "u", Comment: tickettest.Note(s)}))
		e := r.alertOf("portent-1")
		require.True(t, utf8.ValidString(e["description"]))
		require.True(t, json.Valid([]byte(e["additional_info"])))
	}
}

func TestModeOfTheConfiguration(t *testing.T) {
	t.Parallel()
	for want, change := range map[string]func(*servicenow.Config){
		`mode: "tables": want incident or events`:             func(c *servicenow.Config) { c.Mode = "tables" },
		"category: belongs to mode incident":                  func(c *servicenow.Config) { c.Mode, c.Category = servicenow.ModeEvents, "x" },
		`event_severity.info: "0": want 1 (critical) to 5`:    func(c *servicenow.Config) { c.EventSeverity["info"] = "0" },
		`event_severity.info: "high": want 1 (critical) to 5`: func(c *servicenow.Config) { c.EventSeverity["info"] = "high" },
	} {
		c := servicenow.DefaultConfig()
		c.URL, c.Token = "https://acme.service-now.com", "t"
		change(&c)
		require.ErrorContains(t, c.Validate(), want)
	}
}
