package enrich

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/portent-dev/portent/internal/incident"
)

// A Past lists incidents, newest first; an incident.Store does.
type Past interface {
	List(ctx context.Context, q incident.Query) (incidents []incident.Incident, next string, err error)
}

// Similar finds incidents of the past with the same cause, those in the same place first, and how they
// ended.
type Similar struct {
	Past Past
	// URL makes the address of an incident's page; nil: none.
	URL func(id string) string
}

var _ Source = Similar{}

const (
	// lookBack is how far back is looked, and maxPast how many incidents at most.
	lookBack = 90 * 24 * time.Hour
	maxPast  = 2000
)

// Name implements Source.
func (Similar) Name() string { return "past" }

// Look implements Source.
func (x Similar) Look(ctx context.Context, s Subject) ([]incident.Evidence, error) {
	type match struct {
		incident.Incident
		likeness float64
	}
	var found []match
	err := x.each(ctx, s, func(past incident.Incident) {
		if past.ID != s.Incident.ID && past.Status != incident.StatusOpen {
			if l := likeness(s.Incident, past); l > 0 {
				found = append(found, match{past, l})
			}
		}
	})
	slices.SortFunc(found, func(a, b match) int {
		return cmp.Or(cmp.Compare(b.likeness, a.likeness), b.StartedAt.Compare(a.StartedAt), strings.Compare(a.ID, b.ID))
	})
	out := make([]incident.Evidence, 0, min(len(found), maxFitting))
	for _, m := range found[:min(len(found), maxFitting)] {
		e := incident.Evidence{Kind: incident.EvidenceSimilar, Title: m.Title, Text: ending(m.Incident), At: m.StartedAt}
		if x.URL != nil {
			e.URL = x.URL(m.ID)
		}
		out = append(out, e)
	}
	return out, err
}

// each calls f with the incidents before this one, newest first, in pages.
func (x Similar) each(ctx context.Context, s Subject, f func(incident.Incident)) error {
	q := incident.Query{Since: s.Incident.StartedAt.Add(-lookBack), Until: s.Incident.StartedAt.Add(time.Second), Limit: incident.MaxLimit, Brief: true}
	for range maxPast / incident.MaxLimit {
		page, next, err := x.Past.List(ctx, q)
		if err != nil {
			return err
		}
		for _, past := range page {
			f(past)
		}
		if next == "" {
			return nil
		}
		q.Cursor = next
	}
	return nil
}

// likeness is 0 to 1, and 0 where another alert was the cause: what happens again mostly happens in the
// same place, but a bad release does so everywhere.
func likeness(a, b incident.Incident) float64 {
	if what(a) != what(b) {
		return 0
	}
	same := 0
	for name, value := range a.Labels {
		if b.Labels[name] == value {
			same++
		}
	}
	return (1 + float64(same)) / float64(1+max(len(a.Labels), len(b.Labels)))
}

// what is the alert that an incident is about.
func what(inc incident.Incident) string { return cmp.Or(inc.RootCause.Alertname, inc.Title) }

// ending says how an incident ended, with what a person wrote about it.
func ending(inc incident.Incident) string {
	parts := []string{fmt.Sprintf("Was %s after %s", inc.Status, inc.EndedAt.Sub(inc.StartedAt).Round(time.Minute))}
	for _, t := range inc.Tickets {
		if t.Key != "" {
			parts = append(parts, fmt.Sprintf("ticket %s (%s)", t.Key, t.Status))
		}
	}
	if c := inc.RootCause; c.Entity != "" {
		parts = append(parts, "probable cause "+c.Entity)
	}
	return strings.Join(parts, "; ") + "."
}
