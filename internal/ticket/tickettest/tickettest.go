// Package tickettest is the suite that every ticket.Tracker passes. A tracker's
// own tests add what only its vendor does.
package tickettest

import (
	"testing"
	"time"

	"github.com/portent-dev/portent/internal/ticket"
)

// System is a tracker over an empty ticket system that the suite can look into.
type System struct {
	Tracker ticket.Tracker
	// Settle makes everything that was written visible to Find.
	Settle func()
	// Look returns the ticket as a person sees it, past the tracker.
	Look func(ref ticket.Ref) View
	// Count returns how many tickets carry the key, past the tracker.
	Count func(key string) int
	// Resolve closes the ticket as a person does.
	Resolve func(ref ticket.Ref)
	// LoseAnswer makes the next request that changes something take its effect and
	// have no answer.
	LoseAnswer func()
	// Unavailable makes the next request fail without effect, in a way that passes.
	Unavailable func()
	// RateLimit makes the next request that changes something be refused until the
	// given time has passed. Nil for a system that never does.
	RateLimit func(d time.Duration)
	// MaxTitle is how many runes of a title the system keeps.
	MaxTitle int
	// Secrets must not be in any error.
	Secrets []string
}

// View is a ticket as a person sees it.
type View struct {
	Title    string
	Text     string   // of the description
	Comments []string // their texts
	State    ticket.State
}

// Run runs the suite; fresh returns a new system each time.
func Run(t *testing.T, fresh func(t *testing.T) System) {
	for _, c := range []struct {
		name string
		run  func(*testing.T, System)
	}{
		{"create, find and get", testCreate},
		{"what does not exist", testAbsent},
		{"what cannot be filed", testInvalid},
		{"comment", testComment},
		{"repeated update", testRepeatedUpdate},
		{"resolve and reopen", testStates},
		{"closed by a person", testClosedByPerson},
		{"length limits", testLength},
		{"hostile text", testHostile},
		{"create without an answer", testLostCreate},
		{"update without an answer", testLostUpdate},
		{"unavailable", testUnavailable},
		{"rate limit", testRateLimit},
		{"a storm of failures", testStorm},
		{"cancelled", testCancelled},
		{"many at once", testMany},
	} {
		t.Run(c.name, func(t *testing.T) { c.run(t, fresh(t)) })
	}
}

// Draft is a draft as the receiver makes it.
func Draft(key string) ticket.Draft {
	return ticket.Draft{
		Key:     key,
		Title:   "[critical] checkout: p99 latency 4.2 s (prod-eu1)",
		Summary: "3 alerts of checkout in prod-eu1 since 10:32.",
		Body: ticket.Doc{
			ticket.Heading(3, ticket.Text("Alerts")),
			ticket.Table(
				[][]ticket.Span{{ticket.Text("alert")}, {ticket.Text("since")}},
				[][]ticket.Span{{ticket.Mono("HighLatency")}, {ticket.Text("10:32")}},
			),
			ticket.List([]ticket.Span{ticket.Bold("pod "), ticket.Mono("checkout-7c9f")}, []ticket.Span{ticket.Link("graph", "https://prometheus.example/graph?g0.expr=x")}),
			ticket.Numbered([]ticket.Span{ticket.Text("look at the pod")}),
			ticket.Code("bash", "kubectl -n shop get pods"),
			ticket.Rule(),
		},
		Severity:    "critical",
		Labels:      []string{"auto-generated", "team:checkout"},
		IncidentURL: "https://portent.example/incidents/01J8X",
		StartedAt:   time.Date(2026, 11, 22, 10, 32, 46, 0, time.UTC),
	}
}

// Note is a comment of one line.
func Note(text string) ticket.Doc { return ticket.Doc{ticket.Paragraph(ticket.Text(text))} }
