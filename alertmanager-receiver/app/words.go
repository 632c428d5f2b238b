package app

import (
	"context"
	"sync/atomic"

	"github.com/portent-dev/portent/internal/incident"
	"github.com/portent-dev/portent/internal/report"
	"github.com/portent-dev/portent/internal/ticket"
	"github.com/portent-dev/portent/internal/triage"
)

// words is the writer of the configuration in use: a reload changes the links in what is written from then on.
type words struct {
	current atomic.Pointer[report.Plain]
	// model tells incidents beside it; nil where the configuration has none.
	model atomic.Pointer[report.Model]
	// evidenceOf is what is known of an incident, for its ticket; nil for nothing.
	evidenceOf func(id string) *incident.Dossier
	// declared is what a tracker does besides filing words, and the hash of its declaration; both empty for most.
	declared func(tracker string) (does, declaration string)
}

var _ triage.Writer = (*words)(nil)

func (w *words) Title(inc incident.Incident) string   { return w.current.Load().Title(inc) }
func (w *words) Summary(inc incident.Incident) string { return w.current.Load().Summary(inc) }

func (w *words) Draft(tracker, key string, inc incident.Incident) ticket.Draft {
	inc.Dossier = w.evidenceOf(inc.ID)
	d := draftOf(w.current.Load(), key, inc)
	d.Does, d.Declaration = w.declared(tracker)
	return d
}

// draftOf writes a ticket and says what it was made of.
func draftOf(p *report.Plain, key string, inc incident.Incident) ticket.Draft {
	d := p.Draft(key, inc)
	d.Origin = originOf(inc)
	return d
}

// evidence is a comment about what was found after the ticket was filed.
func (w *words) evidence(d incident.Dossier) ticket.Doc { return w.current.Load().Found(d) }

// tell tells what happened in an incident that has its dossier.
func (w *words) tell(inc incident.Incident) incident.Account {
	return w.current.Load().Tell(context.Background(), inc)
}

func (w *words) Comment(inc incident.Incident, joined, ended []incident.Alert, text string) ticket.Doc {
	return w.current.Load().Comment(inc, joined, ended, text)
}
