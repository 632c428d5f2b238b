package triage

import (
	"github.com/portent-dev/portent/internal/correlate"
	"github.com/portent-dev/portent/internal/incident"
)

// causes ranks what may have caused an incident, the likeliest first. The confidence is the share of
// the belief that the ranking has in the name, but never more than what such
// rankings are right in practice.
func (t *Triage) causes(g *group) []incident.Cause {
	cs := t.cor.Causes(t.correlatedAll(g))
	out := make([]incident.Cause, len(cs))
	for i, c := range cs {
		out[i] = incident.Cause{RootCause: incident.RootCause{Entity: c.Entity, Alertname: c.Name, Confidence: min(c.Share, maxConfidence)}, Why: c.Why}
	}
	return out
}

// maxConfidence: of the generated incidents that it was not fitted on, the
// ranking names the cause of nine in ten.
const maxConfidence = 0.9

func (t *Triage) correlatedAll(g *group) []correlate.Alert {
	as := make([]correlate.Alert, len(g.members))
	for i, k := range g.members {
		as[i] = t.correlated(k)
	}
	return as
}
