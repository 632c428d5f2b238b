package enrich

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/portent-dev/portent/internal/incident"
)

// Events looks up the events of Kubernetes that were sent to the receiver.
type Events struct{ Keeper incident.ObjectEvents }

var _ Source = Events{}

// maxEvents is how many events are looked through: a namespace that has more in an hour
// has told the same thing many times.
const maxEvents = 500

// Name implements Source.
func (Events) Name() string { return "kubernetes_events" }

// Look implements Source. Of each reason and object the newest is told, warnings first.
func (x Events) Look(ctx context.Context, s Subject) ([]incident.Evidence, error) {
	q := incident.ObjectEventQuery{From: s.From, To: s.To, Namespaces: s.Values["namespace"], Nodes: s.Values["node"], Limit: maxEvents}
	if len(q.Namespaces)+len(q.Nodes) == 0 {
		return nil, ErrNothingToAsk
	}
	events, err := x.Keeper.ListObjectEvents(ctx, q)
	if err != nil {
		return nil, err
	}
	type group struct {
		newest incident.ObjectEvent
		times  int
		ours   bool // about an object that an alert names
	}
	groups := map[[4]string]*group{}
	for _, e := range events {
		if s.Elsewhere(e.Cluster) {
			continue
		}
		key := [4]string{e.Namespace, e.Kind, owner(e.Name), e.Reason}
		g := groups[key]
		if g == nil {
			g = &group{}
			groups[key] = g
		}
		g.times += max(1, e.Count)
		g.ours = g.ours || s.names(e)
		if e.At.After(g.newest.At) {
			g.newest = e
		}
	}
	sorted := make([]*group, 0, len(groups))
	for _, g := range groups {
		sorted = append(sorted, g)
	}
	slices.SortFunc(sorted, func(a, b *group) int {
		return cmp.Or(-compareBool(a.newest.Warning, b.newest.Warning), -compareBool(a.ours, b.ours), cmp.Compare(b.times, a.times),
			b.newest.At.Compare(a.newest.At), strings.Compare(a.newest.Name, b.newest.Name), strings.Compare(a.newest.Reason, b.newest.Reason))
	})
	out := make([]incident.Evidence, 0, len(sorted))
	for _, g := range sorted {
		e := g.newest
		title := fmt.Sprintf("%s %s: %s", e.Kind, strings.TrimPrefix(e.Namespace+"/"+e.Name, "/"), e.Reason)
		if g.times > 1 {
			title += fmt.Sprintf(", %d times", g.times)
		}
		out = append(out, incident.Evidence{Kind: incident.EvidenceEvent, Title: title, Text: e.Message, At: e.At})
	}
	return out, nil
}

// names reports whether an alert of the incident names the event's object.
func (s Subject) names(e incident.ObjectEvent) bool {
	return slices.Contains(s.Values[strings.ToLower(e.Kind)], e.Name)
}

// owner is the name without what Kubernetes made up for a pod of a workload, so that the same
// event of ten pods is told once: `api-7d9f8b6c5-x2x9z` is api.
func owner(name string) string {
	parts := strings.Split(name, "-")
	for len(parts) > 1 && madeUp(parts[len(parts)-1]) {
		parts = parts[:len(parts)-1]
	}
	return strings.Join(parts, "-")
}

// madeUp reports whether part is of the letters that Kubernetes makes names of (no vowels, so
// that no words come out), or a number of a StatefulSet.
func madeUp(part string) bool {
	return part != "" && len(part) <= 10 && strings.Trim(part, "bcdfghjklmnpqrstvwxz0123456789") == "" && strings.ContainsAny(part, "0123456789")
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return 1
	}
	return -1
}
