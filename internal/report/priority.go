package report

import (
	"fmt"

	"github.com/portent-dev/portent/internal/incident"
)

// wide is how many services, namespaces or nodes make an incident one of several teams rather than of one.
const wide = 2

// priority is how soon somebody should look, with why: by severity, and one higher where it is wide. It is a suggestion in
// words; what a tracker's own field gets is its configuration's business.
//
//	P1 now, at any hour    critical
//	P2 now, in the day     warning of several services, namespaces or nodes, or of a node
//	P3 today               warning
//	P4 when there is time  information
func priority(inc incident.Incident) string {
	a := affectedBy(inc)
	reach := ""
	for _, x := range []struct {
		n         int
		one, many string
	}{{len(a.namespaces), "namespace", "namespaces"}, {len(a.services), "service", "services"}, {len(a.nodes), "node", "nodes"}} {
		if x.n >= wide {
			reach = plural(x.n, x.one, x.many)
			break
		}
	}
	if reach == "" && len(a.namespaces) == 0 && len(a.nodes) == 1 {
		reach = "a whole node"
	}
	of := func(p, when string) string {
		if reach == "" {
			return fmt.Sprintf("%s (%s): %s", p, inc.Severity, when)
		}
		return fmt.Sprintf("%s (%s, %s): %s", p, inc.Severity, reach, when)
	}
	switch {
	case inc.Severity == incident.SeverityCritical:
		return of("P1", "now, at any hour")
	case inc.Severity == incident.SeverityInfo:
		return of("P4", "when there is time")
	case reach != "":
		return of("P2", "now, in the day")
	}
	return of("P3", "today")
}

// teamLabels are by what alerts say whose they are.
var teamLabels = []string{"team", "owner", "squad", "owned_by"}

// team is who is asked to look: whom all alerts name.
func team(inc incident.Incident) string {
	for _, l := range teamLabels {
		if v := value(inc.Labels[l]); v != "" {
			return v
		}
		if v := shared(inc, l); v != "" {
			return v
		}
	}
	return ""
}

// team is that of the template, else whom all alerts name.
func (p *Plain) team(inc incident.Incident) string {
	if p.templates != nil {
		if s := p.templates.text(p.templates.config.Team, newTemplateData(inc, p.links.Incident(inc.ID), "", ""), maxLabel); s != "" {
			return s
		}
	}
	return team(inc)
}
