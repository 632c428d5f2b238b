package enrich_test

import (
	"context"
	"encoding/json"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/incident"
	"github.com/portent-dev/portent/internal/ticket"
)

// byModel tells like a model that was asked so many times.
func byModel(asked *int) func(context.Context, incident.Incident) incident.Account {
	return func(_ context.Context, inc incident.Incident) incident.Account {
		*asked++
		return incident.Account{Model: "m", Sentences: []incident.Sentence{{Text: "model: " + inc.Dossier.Evidence[0].Title, Rests: []string{"E1"}}}}
	}
}

func (r *rig) text() string { return r.store.dossiers["01"].Account.Sentences[0].Text }

// A model finds the words beside the rounds; until then, and where there is none, the plain ones stand.
func TestWorkerTellsByModel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, newMemory())
		asked := 0
		require.NoError(t, r.Round(t.Context()))
		require.NoError(t, r.Words(t.Context()))
		require.Equal(t, "plain: memory", r.text())

		r.model = byModel(&asked)
		pass(11 * time.Minute)
		require.NoError(t, r.Round(t.Context()))
		require.Zero(t, asked, "a round waits for no model")
		require.Equal(t, "plain: memory", r.ForTicket("01").Account.Sentences[0].Text)
		require.NoError(t, r.Words(t.Context()))
		require.Equal(t, 1, asked)
		require.NoError(t, r.Round(t.Context())) // saves
		require.Equal(t, "model: memory", r.text())

		pass(11 * time.Minute)
		require.NoError(t, r.Round(t.Context()))
		require.NoError(t, r.Words(t.Context()))
		require.Equal(t, 1, asked, "the same evidence has its words")
		require.Equal(t, "model: memory", r.text())

		r.found = []incident.Evidence{{Kind: incident.EvidenceLog, Title: "disk full"}}
		pass(11 * time.Minute)
		require.NoError(t, r.Round(t.Context()))
		require.NoError(t, r.Words(t.Context()))
		require.NoError(t, r.Round(t.Context()))
		require.Equal(t, 2, asked)
		require.Equal(t, "model: disk full", r.text())
	})
}

// A ticket that was filed before anything was found hears of it once, in the model's words; an incident that ended meanwhile
// is left alone.
func TestWorkerTellsTicketsInTheWordsOfTheModel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, newMemory())
		asked := 0
		r.model = byModel(&asked)
		r.store.change(func(i *incident.Incident) { i.Trackers = []string{"jira"} })
		require.NoError(t, r.Round(t.Context()))
		require.Empty(t, r.store.tasks, "the words are looked for first")
		require.NoError(t, r.Words(t.Context()))
		require.NoError(t, r.Words(t.Context()))
		require.Len(t, r.store.tasks, 1)
		var u ticket.Update
		require.NoError(t, json.Unmarshal(r.store.tasks[0].Payload, &u))
		require.Equal(t, "model: memory", u.Comment.Text())

		r = newRig(t, newMemory())
		r.model = func(ctx context.Context, inc incident.Incident) incident.Account {
			delete(r.store.open, "01")
			require.NoError(t, r.Round(ctx))
			return byModel(&asked)(ctx, inc)
		}
		require.NoError(t, r.Round(t.Context()))
		require.NoError(t, r.Words(t.Context()))
		require.Nil(t, r.ForTicket("01"))
	})
}
