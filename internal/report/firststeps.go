package report

import (
	"github.com/portent-dev/portent/internal/incident"
	"github.com/portent-dev/portent/internal/ticket"
)

// Steps are the first things to do about an incident, as its ticket lists them.
func (p *Plain) Steps(inc incident.Incident) ticket.Doc {
	return ticket.Doc{ticket.Numbered(p.steps(inc)...)}
}
