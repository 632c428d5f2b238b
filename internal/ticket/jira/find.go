package jira

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"github.com/portent-dev/portent/internal/ticket"
	"github.com/portent-dev/portent/internal/ticketrest"
)

const (
	// searchPageSize and maxSearchPages bound a search. More than a handful of hits
	// for one key are copies that people made.
	searchPageSize = 50
	maxSearchPages = 10
	// maxHits bounds how many hits are looked at, oldest first. Copies are younger
	// than what they were made from.
	maxHits = 20
)

// Find looks for the issue that carries the key as a label, in the project and
// in those that tickets are moved to. Only what Portent created for this key
// counts: people copy issues with their labels. Of several the oldest is
// returned, and the others are closed as its duplicates.
func (t *Tracker) Find(ctx context.Context, key string) (ticket.Ticket, error) {
	if err := ticket.CheckKey(key); err != nil {
		return ticket.Ticket{}, &ticket.Error{Reason: ticket.ReasonInvalid, Err: err}
	}
	ours, err := t.ours(ctx, key)
	if err != nil {
		return ticket.Ticket{}, err
	}
	if len(ours) == 0 {
		return ticket.Ticket{}, &ticket.Error{Reason: ticket.ReasonNotFound, Err: fmt.Errorf("jira %s: no issue of ours has the label %s", opSearch, key)}
	}
	t.closeDuplicates(ctx, ours[0], ours[1:])
	t.remark(ctx, ours[0], key)
	return t.view(ours[0]), nil
}

// ours returns the issues that Portent created for the key, oldest first, as
// they are now: the index only says where to look.
func (t *Tracker) ours(ctx context.Context, key string, known ...int64) ([]issue, error) {
	hits, err := t.search(ctx, key, known...)
	if err != nil {
		return nil, err
	}
	var out []issue
	for _, hit := range hits[:min(len(hits), maxHits)] {
		i, err := t.readOne(ctx, ticket.Ref{ID: hit.ID})
		if errors.Is(err, ticket.ErrNotFound) {
			continue // deleted since it was indexed
		}
		if err != nil {
			return nil, err
		}
		mine, err := t.isOurs(ctx, i, key)
		if err != nil {
			return nil, err
		}
		if !mine {
			t.duplicates.WithLabelValues(duplicateForeign).Inc()
			continue
		}
		out = append(out, i)
	}
	return out, nil
}

// search returns all issues with the key, oldest first. known are ids that must
// be judged by their present state, whatever the index says.
func (t *Tracker) search(ctx context.Context, key string, known ...int64) ([]issue, error) {
	if t.cfg.Deployment == DataCenter {
		return t.searchDC(ctx, key)
	}
	t.mu.Lock()
	known = append(known, t.known.get(key)...)
	t.mu.Unlock()
	slices.Sort(known)
	body := searchBody{
		JQL:             t.findJQL(key),
		Fields:          []string{"labels"},
		MaxResults:      searchPageSize,
		ReconcileIssues: slices.Compact(known),
	}
	var hits []issue
	for range maxSearchPages {
		var p searchPage
		// A search by POST changes nothing, so a failure is never ambiguous.
		if err := t.c.Do(ctx, ticketrest.Call{Op: opSearch, Method: http.MethodPost, Path: "/search/jql", Body: body}, &p); err != nil {
			return nil, err
		}
		hits = t.appendHits(hits, p.Issues, key)
		if p.IsLast || p.NextPageToken == "" || p.NextPageToken == body.NextPageToken {
			break
		}
		body.NextPageToken = p.NextPageToken
	}
	return oldestFirst(hits), nil
}

func (t *Tracker) findJQL(key string) string {
	project, label := jqlClause{"project", append([]string{t.cfg.Project}, t.cfg.OtherProjects...)}, jqlClause{"labels", []string{key}}
	if t.desk == nil {
		return jqlAll(project, label)
	}
	return jqlAll(project, jqlEither{label, jqlPhrase{"description", key}})
}

// appendHits adds the issues that have the label. JQL compares labels without
// case, and the index may be older than the issue: only an exact label counts.
// Requests are judged when they are read: they may have the key in their text.
func (t *Tracker) appendHits(hits, found []issue, key string) []issue {
	for _, i := range found {
		if validRef(i.ID) && validRef(i.Key) && (t.desk != nil || slices.Contains(i.Fields.Labels, key)) {
			hits = append(hits, i)
		}
	}
	return hits
}

func oldestFirst(hits []issue) []issue {
	slices.SortStableFunc(hits, func(a, b issue) int { return cmp.Compare(a.number(), b.number()) })
	return slices.CompactFunc(hits, func(a, b issue) bool { return a.ID == b.ID })
}

// isOurs reports whether Portent made the issue for this key. A person's clone
// has our label too, and must be left alone: a clone has no entity properties of
// its original, and another creator.
func (t *Tracker) isOurs(ctx context.Context, i issue, key string) (bool, error) {
	if t.keyOf(i) != key {
		return false, nil
	}
	creator := i.Fields.Creator.id()
	if creator == "" {
		return true, nil // the site hides who created it
	}
	me, err := t.myAccount(ctx)
	if err != nil {
		return false, err
	}
	return creator == me, nil
}

// keyOf returns the key of the incident that an issue was made for, "" when the issue does not tell.
func (t *Tracker) keyOf(i issue) string {
	var p incidentProperty
	// A property that is absent or is no object of ours leaves p.Key empty.
	_ = readProperty(i.Properties[propIncident], &p)
	return cmp.Or(p.Key, t.markedKey(i))
}

func (t *Tracker) myAccount(ctx context.Context) (string, error) {
	t.mu.Lock()
	id := t.account
	t.mu.Unlock()
	if id != "" {
		return id, nil
	}
	var me account
	if err := t.c.Do(ctx, ticketrest.Call{Op: opAccount, Method: http.MethodGet, Path: "/myself"}, &me); err != nil {
		return "", err
	}
	if me.id() == "" {
		return "", ticketrest.BadAnswer(false, fmt.Errorf("jira %s: the answer names no account", opAccount))
	}
	t.mu.Lock()
	t.account = me.id()
	t.mu.Unlock()
	return me.id(), nil
}
