package teams_test

import (
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/portent-dev/portent/internal/ticket"
	"github.com/portent-dev/portent/internal/ticket/doubletest"
	"github.com/portent-dev/portent/internal/ticket/teams"
	"github.com/portent-dev/portent/internal/ticket/teams/teamstest"
	"github.com/portent-dev/portent/internal/ticket/tickettest"
	"github.com/portent-dev/portent/internal/web"
)

func tracker(t *testing.T, timeout ...string) (*teams.Tracker, *teamstest.Server) {
	t.Helper()
	site, address := teamstest.Start(t)
	c := teams.DefaultConfig()
	require.NoError(t, c.Timeout.Set("5m")) // a starved machine is no fault
	c.URL = web.Secret(address)
	for _, d := range timeout {
		require.NoError(t, c.Timeout.Set(d))
	}
	require.NoError(t, c.Validate())
	client, err := c.HTTPClient()
	require.NoError(t, err)
	secret, err := c.Secret()
	require.NoError(t, err)
	tr, err := teams.New(teams.Options{Config: c, Address: secret, Client: client, Now: time.Now, Registerer: prometheus.NewRegistry()})
	require.NoError(t, err)
	return tr, site
}

func TestCards(t *testing.T) {
	t.Parallel()
	tr, site := tracker(t)
	d := tickettest.Draft("portent-1")
	d.Severity = "critical"
	made, err := tr.Create(t.Context(), d)
	require.NoError(t, err)
	require.Equal(t, ticket.Ref{Key: "portent-1"}, made.Ref)
	require.NoError(t, tr.Update(t.Context(), made.Ref, ticket.Update{Key: "u1", Comment: tickettest.Note("Two more pods")}))
	require.NoError(t, tr.Update(t.Context(), made.Ref, ticket.Update{Key: "u2", State: ticket.Resolved}))
	require.NoError(t, tr.Update(t.Context(), made.Ref, ticket.Update{Key: "u3"}), "nothing to say")
	cards := site.Cards()
	require.Len(t, cards, 3)
	require.Contains(t, cards[0], "🔴 "+d.Title)
	require.Contains(t, cards[0], `"style":"attention"`)
	require.Contains(t, cards[0], "Open the incident")
	require.Contains(t, cards[1], "Two more pods")
	require.Contains(t, cards[1], d.Title, "a card stands alone")
	require.Contains(t, cards[2], "Resolved: "+d.Title)

	again, _ := tracker(t) // a new process remembers no title
	require.Error(t, again.Update(t.Context(), made.Ref, ticket.Update{Key: ""}))
}

func TestHostileAndLongTexts(t *testing.T) {
	t.Parallel()
	tr, site := tracker(t)
	for i, s := range append(tickettest.Hostile(), strings.Repeat("ü\" ", 30_000), strings.Repeat("x", 50_000)) {
		d := tickettest.Draft("portent-" + strings.Repeat("a", i+1))
		d.Title, d.Summary = ticket.OneLine("t "+s, 2000), s
		span := ticket.Span{Text: s, Link: s}
		d.Body = ticket.Doc{
			ticket.Paragraph(span, ticket.Bold(s), ticket.Mono(s)), ticket.Heading(1, span), ticket.List([]ticket.Span{span}), ticket.Code(s, s),
			ticket.Table([][]ticket.Span{{span}, {span}}, [][]ticket.Span{{span}, {ticket.Italic(s)}}), ticket.Rule(),
		}
		_, err := tr.Create(t.Context(), d) // the double holds it to the schema and the size
		require.NoError(t, err)
		require.NotContains(t, site.Cards()[i], `"url":"javascript:`)
	}
}

func TestFaults(t *testing.T) {
	t.Parallel()
	for _, kind := range doubletest.Kinds() {
		switch kind {
		case doubletest.Slow, doubletest.Truncate, doubletest.CutOff, doubletest.Page, doubletest.Huge:
			continue // the answer says nothing but its status
		default:
		}
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			var timeout []string
			if kind == doubletest.Hang {
				timeout = []string{"10s"}
			}
			tr, site := tracker(t, timeout...)
			site.Fail(doubletest.Fault{Kind: kind, Status: 502, RetryAfter: 7 * time.Second})
			_, err := tr.Create(t.Context(), tickettest.Draft("portent-1"))
			require.Error(t, err)
			require.NotContains(t, err.Error(), teamstest.Signature)
			e := ticket.AsError(err)
			require.True(t, e.Retry || kind == doubletest.Redirect, "%v", err)
			if kind == doubletest.RateLimit {
				require.Equal(t, 7*time.Second, e.RetryAfter)
			}
		})
	}
}

func TestWhatTeamsCannotSay(t *testing.T) {
	t.Parallel()
	tr, _ := tracker(t)
	_, err := tr.Find(t.Context(), "portent-1")
	require.ErrorIs(t, err, ticket.ErrNotFound)
	_, err = tr.Get(t.Context(), ticket.Ref{Key: "portent-1"})
	require.ErrorIs(t, err, ticket.ErrNotFound)
	require.Zero(t, tr.SearchLag())
}

func TestConfig(t *testing.T) {
	t.Parallel()
	f := func(text, want string) {
		t.Helper()
		var c teams.Config
		require.NoError(t, yaml.Unmarshal([]byte(text), &c))
		err := c.Validate()
		if want == "" {
			require.NoError(t, err)
			return
		}
		require.ErrorContains(t, err, want)
		require.NotContains(t, err.Error(), "s3cret")
	}
	f("url: https://prod-1.westeurope.logic.azure.com/workflows/x/triggers/manual/paths/invoke?sig=s3cret", "")
	f("timeout: 1s", "url: is missing")
	f("url: https://x.example/?sig=s3cret", "url: is not the address of a workflow")
	f("url: http://x.example/workflows/x?sig=s3cret", "url: must begin with https://")
	f("url: 'https://x.example/a?sig=s3cret'\nurl_file: x", "url_file: give url or url_file")
	f("url: 'https://x.example/a?sig=s3cret'\ntimeout: 1h", "timeout: must be above 0s and at most 5m")
}
