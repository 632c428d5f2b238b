package app

import (
	"maps"
	"slices"

	"github.com/portent-dev/portent/internal/incident"
)

// writer is the part of triage.Writer that a partial view needs.
type writer interface {
	Title(inc incident.Incident) string
	Summary(inc incident.Incident) string
}

// sees reports whether the principal may see an alert with these labels.
func (p principal) sees(lset map[string]string) bool {
	return matches(p.scope, func(name string) string { return lset[name] })
}

// view returns what of an incident the principal may see; ok is false when that is nothing. The incident must
// have its alerts loaded. whole is false when alerts outside of the scope were left out: then the texts are
// written anew from the rest, and what others did and said (timeline, cause, labels) is left out too, as it
// tells of what must not be seen.
func (p principal) view(inc incident.Incident, w writer) (out incident.Incident, whole, ok bool) {
	if !p.scoped() {
		return inc, true, true
	}
	var mine []incident.Alert
	for _, a := range inc.Alerts {
		if p.sees(a.Labels) {
			mine = append(mine, a)
		}
	}
	switch {
	case len(mine) == 0:
		return incident.Incident{}, false, false
	case len(mine) == len(inc.Alerts):
		return inc, true, true
	}
	out = inc
	out.Alerts, out.Total, out.Firing = mine, len(mine), 0
	out.Labels, out.RootCause, out.Causes, out.Key = nil, incident.RootCause{}, nil, ""
	out.Severity = incident.SeverityInfo
	for _, a := range mine {
		if a.Status == incident.AlertFiring {
			out.Firing++
		}
		if s := incident.Severity(a.Labels["severity"]); s.Rank() > out.Severity.Rank() {
			out.Severity = s
		}
	}
	out.StartedAt = mine[0].StartsAt
	for _, a := range mine {
		if a.StartsAt.Before(out.StartedAt) {
			out.StartedAt = a.StartsAt
		}
	}
	out.Title, out.Summary = w.Title(out), w.Summary(out)
	out.Timeline = []incident.Event{{
		At: out.StartedAt, Kind: incident.EventNote, Actor: "portent",
		Text: "This incident also holds alerts outside of what you may see. They, its history and its cause are left out.",
	}}
	return out, false, true
}

// dossier is what of the evidence the principal may see. Incidents of the past and events on shared nodes may be those
// of others, so whoever sees a part is not shown them, and is told so.
func (p principal) dossier(d *incident.Dossier) *incident.Dossier {
	if d == nil || !p.scoped() {
		return d
	}
	out := *d
	out.Evidence = nil
	hidden := map[string]bool{}
	for _, e := range d.Evidence {
		if e.Kind == incident.EvidenceSimilar || e.Kind == incident.EvidenceEvent {
			hidden[e.Source] = true
			continue
		}
		out.Evidence = append(out.Evidence, e)
	}
	out.Missing = slices.Clone(d.Missing)
	for _, source := range slices.Sorted(maps.Keys(hidden)) {
		out.Missing = append(out.Missing, incident.Gap{Source: source, Reason: "it may tell of what your access does not cover"})
	}
	return &out
}
