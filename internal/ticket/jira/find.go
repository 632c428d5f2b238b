package jira

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"github.com/portent-dev/portent/internal/ticket"
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
			t.metrics.duplicates.WithLabelValues(duplicateForeign).Inc()
			continue
		}
		out = append(out, i)
	}
	return out, nil
}

// search returns all issues with the key, oldest first. known are ids that must
// be judged by their present state, whatever the index says.
func (t *Tracker) search(ctx context.Context, key string, known ...int64) ([]issue, error) {
	t.mu.Lock()
	known = append(known, t.known.get(key)...)
	t.mu.Unlock()
	slices.Sort(known)
	body := searchBody{
		JQL: jqlAll(
			jqlClause{"project", append([]string{t.cfg.Project}, t.cfg.OtherProjects...)},
			jqlClause{"labels", []string{key}},
		),
		Fields:          []string{"labels"},
		MaxResults:      searchPageSize,
		ReconcileIssues: slices.Compact(known),
	}
	var hits []issue
	for range maxSearchPages {
		var p searchPage
		// A search by POST changes nothing, so a failure is never ambiguous.
		if err := t.c.do(ctx, call{op: opSearch, method: http.MethodPost, path: "/rest/api/3/search/jql", body: body}, &p); err != nil {
			return nil, err
		}
		for _, i := range p.Issues {
			// JQL compares labels without case, and the index may be older than the
			// issue: only an exact label counts.
			if validRef(i.ID) && validRef(i.Key) && slices.Contains(i.Fields.Labels, key) {
				hits = append(hits, i)
			}
		}
		if p.IsLast || p.NextPageToken == "" || p.NextPageToken == body.NextPageToken {
			break
		}
		body.NextPageToken = p.NextPageToken
	}
	slices.SortStableFunc(hits, func(a, b issue) int { return cmp.Compare(a.number(), b.number()) })
	return slices.CompactFunc(hits, func(a, b issue) bool { return a.ID == b.ID }), nil
}

// closeDuplicates closes each of dups as a duplicate of kept. What fails is
// logged and done again by the next Find: the caller's answer is right without.
func (t *Tracker) closeDuplicates(ctx context.Context, kept issue, dups []issue) {
	for _, d := range dups {
		outcome, err := t.closeDuplicate(ctx, kept, d)
		if outcome != "" {
			t.metrics.duplicates.WithLabelValues(outcome).Inc()
		}
		if err != nil {
			t.logger.Warn("duplicate ticket is not closed", "key", d.Key, "duplicate_of", kept.Key, "err", err)
		}
	}
}

func (t *Tracker) closeDuplicate(ctx context.Context, kept, d issue) (outcome string, err error) {
	_, marked := d.Properties[propDuplicate]
	if marked && stateOf(d) == ticket.Resolved {
		return "", nil // done before
	}
	if !marked {
		// First, so that from now on updates go to the one that stays.
		err := t.c.do(ctx, call{
			op: opProperty, method: http.MethodPut, path: issuePath(d.ID, "properties", propDuplicate),
			body: duplicateProperty{Of: kept.Key, ID: kept.ID}, want: []int{http.StatusOK, http.StatusCreated}, effect: true,
		}, nil)
		if err != nil {
			return duplicateFailed, err
		}
	}
	if err := t.explainDuplicate(ctx, kept, d); err != nil {
		return duplicateFailed, err
	}
	if err := t.move(ctx, d, ticket.Resolved, t.cfg.DuplicateResolution); err != nil {
		return duplicateFailed, err
	}
	return duplicateClosed, nil
}

// explainDuplicate links d to kept and comments, once. The link goes first: with
// the comment there, both are known to be done. A link that Jira refuses (no such
// link type, no permission) is named and not tried again.
func (t *Tracker) explainDuplicate(ctx context.Context, kept, d issue) error {
	updateKey := "duplicate-of-" + kept.ID
	done, err := t.hasComment(ctx, d.ID, updateKey)
	if err != nil || done {
		return err
	}
	if t.cfg.DuplicateLink != "" {
		var b linkBody
		// Read as: inward issue <outward description> outward issue, "d duplicates
		// kept".
		b.Type.Name, b.Inward.Key, b.Outward.Key = t.cfg.DuplicateLink, d.Key, kept.Key
		err := t.c.do(ctx, call{
			op: opLink, method: http.MethodPost, path: "/rest/api/3/issueLink", body: b, want: []int{http.StatusCreated}, effect: true,
		}, nil)
		if err != nil {
			if e := ticket.AsError(err); e.Retry && e.Reason != ticket.ReasonPermission {
				return err
			}
			t.logger.Warn("duplicate ticket is not linked", "key", d.Key, "duplicate_of", kept.Key, "err", err)
		}
	}
	return t.comment(ctx, d.ID, updateKey, ticket.Doc{ticket.Paragraph(
		ticket.Text("Duplicate of "), ticket.Link(kept.Key, t.site+"/browse/"+kept.Key),
		ticket.Text(": when this ticket was created, Jira's answer to the first attempt had been lost. All further updates go there."),
	)})
}

// isOurs reports whether Portent made the issue for this key. A person's clone
// has our label too, and must be left alone: a clone has no entity properties of
// its original, and another creator.
func (t *Tracker) isOurs(ctx context.Context, i issue, key string) (bool, error) {
	var p incidentProperty
	// A property that is absent or is no object of ours leaves p.Key empty.
	_ = json.Unmarshal(i.Properties[propIncident], &p)
	if p.Key != key {
		return false, nil
	}
	creator := i.Fields.Creator.AccountID
	if creator == "" {
		return true, nil // the site hides who created it
	}
	me, err := t.myAccount(ctx)
	if err != nil {
		return false, err
	}
	return creator == me, nil
}

func (t *Tracker) myAccount(ctx context.Context) (string, error) {
	t.mu.Lock()
	id := t.account
	t.mu.Unlock()
	if id != "" {
		return id, nil
	}
	var me struct {
		AccountID string `json:"accountId"`
	}
	if err := t.c.do(ctx, call{op: opAccount, method: http.MethodGet, path: "/rest/api/3/myself"}, &me); err != nil {
		return "", err
	}
	if me.AccountID == "" {
		return "", badAnswer(false, fmt.Errorf("jira %s: the answer names no account", opAccount))
	}
	t.mu.Lock()
	t.account = me.AccountID
	t.mu.Unlock()
	return me.AccountID, nil
}
