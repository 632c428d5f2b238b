package app

import (
	"maps"
	"slices"
	"time"

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
// written anew from the rest, and what others did and said (timeline, cause, labels, why alerts belong together) is left
// out too, as it tells of what must not be seen. Where alerts of other incidents came or went, the history names them and
// is left out of the whole one as well.
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
		if mixed(inc) {
			inc.Timeline, inc.Alerts = leftOut(inc, historyLeftOut), unexplained(mine)
		}
		return inc, true, true
	}
	out = inc
	mine = unexplained(mine)
	out.Alerts, out.Total, out.Firing = mine, len(mine), 0
	out.MergedInto, out.UpdatedAt = "", time.Time{}
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
	var ended time.Time
	for _, a := range mine {
		if a.StartsAt.Before(out.StartedAt) {
			out.StartedAt = a.StartsAt
		}
		for _, at := range []time.Time{a.StartsAt, a.EndsAt} {
			if at.After(out.UpdatedAt) {
				out.UpdatedAt = at
			}
		}
		if a.EndsAt.After(ended) {
			ended = a.EndsAt
		}
	}
	if !out.EndedAt.IsZero() && !ended.IsZero() {
		out.EndedAt = ended
	}
	out.Title, out.Summary = w.Title(out), w.Summary(out)
	out.Timeline = leftOut(out, partLeftOut)
	return out, false, true
}

// Why a timeline is left out.
const (
	historyLeftOut = "This incident gave alerts to others, or took some over. Its history names them and is left out."
	partLeftOut    = "This incident also holds alerts outside of what you may see. They, its history and its cause are left out."
)

// leftOut is the timeline of an incident that is not shown.
func leftOut(inc incident.Incident, why string) []incident.Event {
	return []incident.Event{{IncidentID: inc.ID, At: inc.StartedAt, Kind: incident.EventNote, Actor: "portent", Text: why}}
}

// unexplained are alerts without why they are where they are: that names what they are tied to.
func unexplained(as []incident.Alert) []incident.Alert {
	out := slices.Clone(as)
	for i := range out {
		out[i].Why = ""
	}
	return out
}

// dossier is what of the evidence the principal may see; of what is not certainly theirs it is said that it is left out.
func (p principal) dossier(d *incident.Dossier) *incident.Dossier {
	if d == nil || !p.scoped() {
		return d
	}
	out := *d
	out.Evidence = nil
	out.Account = incident.Account{} // it tells of all of it
	hidden := map[string]bool{}
	for _, e := range d.Evidence {
		if p.seesEvidence(e.Kind, e.Query) {
			out.Evidence = append(out.Evidence, e)
		} else {
			hidden[e.Source] = true
		}
	}
	out.Missing = slices.Clone(d.Missing)
	for _, source := range slices.Sorted(maps.Keys(hidden)) {
		out.Missing = append(out.Missing, incident.Gap{Source: source, Reason: "it may tell of what your access does not cover"})
	}
	return &out
}
