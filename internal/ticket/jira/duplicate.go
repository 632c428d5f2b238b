package jira

import (
	"context"
	"net/http"

	"github.com/portent-dev/portent/internal/ticket"
	"github.com/portent-dev/portent/internal/ticketrest"
)

// closeDuplicates closes each of dups as a duplicate of kept. What fails is
// logged and done again by the next Find: the caller's answer is right without.
func (t *Tracker) closeDuplicates(ctx context.Context, kept issue, dups []issue) {
	for _, d := range dups {
		outcome, err := t.closeDuplicate(ctx, kept, d)
		if outcome != "" {
			t.duplicates.WithLabelValues(outcome).Inc()
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
		err := t.c.Do(ctx, ticketrest.Call{
			Op: opProperty, Method: http.MethodPut, Path: issuePath(d.ID, "properties", propDuplicate),
			Body: t.property(duplicateProperty{Of: kept.Key, ID: kept.ID}), Want: []int{http.StatusOK, http.StatusCreated}, Empty: true, Effect: true,
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
		err := t.c.Do(ctx, ticketrest.Call{
			Op: opLink, Method: http.MethodPost, Path: "/issueLink", Body: b, Want: []int{http.StatusCreated}, Empty: true, Effect: true,
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
