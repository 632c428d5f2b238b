package jira_test

import (
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/ticket"
	"github.com/portent-dev/portent/internal/ticket/doubletest"
	"github.com/portent-dev/portent/internal/ticket/jira"
	"github.com/portent-dev/portent/internal/ticket/jira/jiratest"
	"github.com/portent-dev/portent/internal/ticket/tickettest"
)

// twice makes two tickets for one incident, as happens when the first create has
// no answer and the search lags longer than configured.
func twice(t *testing.T, r *rig) (older, newer string, ref ticket.Ref) {
	t.Helper()
	r.site.Fail(doubletest.Fault{Op: jiratest.OpCreate, Kind: doubletest.Drop})
	_, err := r.Create(t.Context(), tickettest.Draft("portent-1"))
	require.True(t, ticket.AsError(err).Ambiguous)
	made := create(t, r, "portent-1")
	all := r.site.Issues()
	require.Len(t, all, 2)
	require.Equal(t, made.Key, all[1].Key)
	return all[0].Key, all[1].Key, made.Ref
}

func TestFindClosesTheNewerDuplicate(t *testing.T) {
	t.Parallel()
	for language, project := range map[string]jiratest.Project{"en": jiratest.DefaultProject("OPS"), "de": jiratest.GermanProject("OPS")} {
		t.Run(language, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, nil, project)
			older, newer, ref := twice(t, r)
			require.Len(t, r.site.Duplicates("portent-", true), 1)
			r.settle()

			found, err := r.Find(t.Context(), "portent-1")
			require.NoError(t, err)
			require.Equal(t, older, found.Key)
			require.Empty(t, r.site.Duplicates("portent-", true))
			dup := r.site.Issue(newer)
			require.Equal(t, "done", dup.Category)
			require.Equal(t, []string{"Duplicate " + older}, dup.Links)
			require.Len(t, dup.Comments, 1)
			require.Contains(t, text(dup.Comments[0]), "Duplicate of "+older)
			require.Equal(t, "new", r.site.Issue(older).Category)
			if language == "en" {
				require.Equal(t, "Done", dup.Resolution)
			} else {
				require.Equal(t, "Fertig", dup.Resolution, "\"Duplicate\" is not offered, the first resolution is")
			}

			// Once is enough.
			writes := r.site.Sent(jiratest.OpComment) + r.site.Sent(jiratest.OpTransition) + r.site.Sent(jiratest.OpLink)
			_, err = r.Find(t.Context(), "portent-1")
			require.NoError(t, err)
			require.Equal(t, writes, r.site.Sent(jiratest.OpComment)+r.site.Sent(jiratest.OpTransition)+r.site.Sent(jiratest.OpLink))

			// The reference that the caller kept leads to the one that stays.
			got, err := r.Get(t.Context(), ref)
			require.NoError(t, err)
			require.Equal(t, older, got.Key)
			require.NoError(t, r.Update(t.Context(), ref, ticket.Update{Key: "u1", Comment: tickettest.Note("more"), State: ticket.Resolved}))
			require.Equal(t, "done", r.site.Issue(older).Category)
			require.Len(t, r.site.Issue(older).Comments, 1)
			require.Len(t, r.site.Issue(newer).Comments, 1)
			require.NoError(t, testutil.GatherAndCompare(r.reg, strings.NewReader(`
# HELP portent_receiver_jira_duplicates_total Second tickets found for one incident: closed as duplicate, not_ours (a person's copy, left alone, counted at each look), or failed to close.
# TYPE portent_receiver_jira_duplicates_total counter
portent_receiver_jira_duplicates_total{outcome="closed"} 1
portent_receiver_jira_duplicates_total{outcome="failed"} 0
portent_receiver_jira_duplicates_total{outcome="not_ours"} 0
`), "portent_receiver_jira_duplicates_total"))
		})
	}
}

func TestResolveClosesTheNewerDuplicate(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	older, newer, ref := twice(t, r)
	r.settle()
	require.NoError(t, r.Update(t.Context(), ref, ticket.Update{Key: "u1", Comment: tickettest.Note("over"), State: ticket.Resolved}))
	require.Empty(t, r.site.Duplicates("portent-", true))
	require.Equal(t, "done", r.site.Issue(older).Category)
	require.Equal(t, []string{"Duplicate " + older}, r.site.Issue(newer).Links)
	require.Contains(t, text(r.site.Issue(older).Comments[0]), "over")
}

// TestDuplicateIsClosedInSteps breaks every request on the way once: what was
// done is not done twice, and in the end all of it is done.
func TestDuplicateIsClosedInSteps(t *testing.T) {
	t.Parallel()
	for _, op := range []string{jiratest.OpProperty, jiratest.OpComments, jiratest.OpLink, jiratest.OpComment, jiratest.OpTransitions, jiratest.OpTransition, jiratest.OpRead, jiratest.OpAccount} {
		for _, kind := range []doubletest.Kind{doubletest.Drop, doubletest.RateLimit, doubletest.Page} {
			t.Run(op+" "+string(kind), func(t *testing.T) {
				t.Parallel()
				r := newRig(t, nil)
				older, newer, _ := twice(t, r)
				r.settle()
				// Twice: Go's transport repeats a read by itself on a fresh connection.
				r.site.Fail(doubletest.Fault{Op: op, Kind: kind, Times: 2})
				looks := op == jiratest.OpRead || op == jiratest.OpAccount
				for range 4 {
					found, err := r.Find(t.Context(), "portent-1")
					if looks && err != nil {
						require.True(t, ticket.AsError(err).Retry)
						continue
					}
					require.NoError(t, err, "the answer does not depend on the clean-up")
					require.Equal(t, older, found.Key)
				}
				dup := r.site.Issue(newer)
				require.Equal(t, "done", dup.Category)
				require.Len(t, dup.Comments, 1)
				require.Equal(t, []string{"Duplicate " + older}, dup.Links)
				require.True(t, looks || strings.Contains(r.logs.String(), "duplicate ticket is not closed"))
			})
		}
	}
}

func TestCopiesOfPeopleAreLeftAlone(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	made := create(t, r, "portent-1")
	clone := r.site.Clone(made.Key)
	r.settle()
	found, err := r.Find(t.Context(), "portent-1")
	require.NoError(t, err)
	require.Equal(t, made.Key, found.Key)
	require.NoError(t, r.Update(t.Context(), made.Ref, ticket.Update{Key: "u1", State: ticket.Resolved}))
	i := r.site.Issue(clone)
	require.Equal(t, "new", i.Category)
	require.Empty(t, i.Comments)
	require.Empty(t, i.Links)

	// A copy is never taken for the ticket, also when the ticket is gone.
	r.site.Delete(made.Key)
	r.settle()
	_, err = r.Find(t.Context(), "portent-1")
	require.ErrorIs(t, err, ticket.ErrNotFound)
}

// TestLabelOnAnOlderIssue: a person puts our label on an issue that was there
// before. Ours must not be closed as its duplicate.
func TestLabelOnAnOlderIssue(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	other := create(t, r, "portent-0")
	made := create(t, r, "portent-1")
	r.site.Label(other.Key, "portent-1")
	r.settle()
	found, err := r.Find(t.Context(), "portent-1")
	require.NoError(t, err)
	require.Equal(t, made.Key, found.Key)
	require.NoError(t, r.Update(t.Context(), made.Ref, ticket.Update{Key: "u1", State: ticket.Resolved}))
	require.Equal(t, "done", r.site.Issue(made.Key).Category)
	require.Equal(t, "new", r.site.Issue(other.Key).Category)
	require.Empty(t, r.site.Issue(made.Key).Links)
}

func TestDuplicateWithoutPermissionOrLinkType(t *testing.T) {
	t.Parallel()
	t.Run("no link type", func(t *testing.T) {
		t.Parallel()
		r := newRig(t, func(c *jira.Config) { c.DuplicateLink = "Doppelgänger" })
		_, newer, _ := twice(t, r)
		r.settle()
		_, err := r.Find(t.Context(), "portent-1")
		require.NoError(t, err)
		require.Equal(t, "done", r.site.Issue(newer).Category, "it is closed all the same")
		require.Empty(t, r.site.Issue(newer).Links)
		require.Contains(t, r.logs.String(), "duplicate ticket is not linked")
	})
	t.Run("no link wanted", func(t *testing.T) {
		t.Parallel()
		r := newRig(t, func(c *jira.Config) { c.DuplicateLink = "" })
		twice(t, r)
		r.settle()
		_, err := r.Find(t.Context(), "portent-1")
		require.NoError(t, err)
		require.Zero(t, r.site.Sent(jiratest.OpLink))
	})
	t.Run("no edit permission", func(t *testing.T) {
		t.Parallel()
		p := jiratest.DefaultProject("OPS")
		p.Denied = []string{"EDIT_ISSUES"}
		r := newRig(t, nil, p)
		older, newer, _ := twice(t, r)
		r.settle()
		found, err := r.Find(t.Context(), "portent-1")
		require.NoError(t, err)
		require.Equal(t, older, found.Key)
		require.Equal(t, "new", r.site.Issue(newer).Category, "updates could not be led away from it, so it stays")
		require.Contains(t, r.logs.String(), "duplicate ticket is not closed")
	})
}

func TestDuplicateWhoseOriginalWasDeleted(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	older, newer, ref := twice(t, r)
	r.settle()
	_, err := r.Find(t.Context(), "portent-1")
	require.NoError(t, err)
	r.site.Delete(older)
	got, err := r.Get(t.Context(), ref)
	require.NoError(t, err)
	require.Equal(t, newer, got.Key)
}

func TestCommentAmongManyOfPeople(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	made := create(t, r, "portent-1")
	u := ticket.Update{Key: "u1", Comment: tickettest.Note("ours")}
	require.NoError(t, r.Update(t.Context(), made.Ref, u))
	for range 250 {
		r.site.Comment(made.Key, "I look at it")
		r.clock.Advance(time.Second)
	}
	r.site.Comment(made.Key, "they wrote: portent-update:u2 and so on")
	require.NoError(t, r.Update(t.Context(), made.Ref, u))
	require.Len(t, r.site.Issue(made.Key).Comments, 252)
	require.Equal(t, 1+3, r.site.Sent(jiratest.OpComments), "three pages are read, newest first")
	u.Key = "u2"
	require.NoError(t, r.Update(t.Context(), made.Ref, u))
	require.Len(t, r.site.Issue(made.Key).Comments, 253, "a mark amid a person's words is none")
}
