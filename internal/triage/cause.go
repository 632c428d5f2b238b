package triage

import (
	"github.com/portent-dev/portent/internal/correlate"
	"github.com/portent-dev/portent/internal/incident"
)

// cause names the likeliest cause of an incident. The confidence is the share of
// the belief that the ranking has in the name, but never more than what such
// rankings are right in practice.
func (t *Triage) cause(g *group) incident.RootCause {
	as := make([]correlate.Alert, len(g.members))
	for i, k := range g.members {
		as[i] = t.correlated(k)
	}
	cs := t.cor.Causes(as)
	if len(cs) == 0 {
		return incident.RootCause{}
	}
	return incident.RootCause{Entity: cs[0].Entity, Alertname: cs[0].Name, Confidence: min(cs[0].Share, maxConfidence)}
}

// maxConfidence: of the generated incidents that it was not fitted on, the
// ranking names the cause of nine in ten.
const maxConfidence = 0.9
