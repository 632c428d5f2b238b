package sqlstore_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/incident"
	"github.com/portent-dev/portent/internal/incident/incidenttest"
	"github.com/portent-dev/portent/internal/outbox"
	"github.com/portent-dev/portent/internal/sqlstore"
)

// told makes chat one of the trackers that are told of an incident.
func told(t *testing.T, s *sqlstore.Store, id, chat string) {
	t.Helper()
	task := incidenttest.NewTask(id, chat, incident.TaskCreate)
	task.Gate = incident.Gate{Phase: "draft"}
	require.NoError(t, s.Apply(t.Context(), incident.Change{Tasks: []incident.Task{task}}))
}

func TestPromptsFollowTheirDrafts(t *testing.T) {
	both(t, func(t *testing.T, dsn func(testing.TB) string) {
		s := open(t, dsn(t))
		d := draft(t, s, 1, held)
		unasked := func(chat string, except ...string) []outbox.Asked {
			as, err := s.Unasked(t.Context(), chat, except, 10)
			require.NoError(t, err)
			return as
		}
		outdated := func() []outbox.Asked {
			as, err := s.OutdatedPrompts(t.Context(), "chat", 10)
			require.NoError(t, err)
			return as
		}
		require.Empty(t, unasked("chat"), "it is not told of the incident")
		told(t, s, d.IncidentID, "chat")
		require.Empty(t, unasked("other"))
		require.Empty(t, unasked("chat", "jira"), "a message itself")
		as := unasked("chat", "mail")
		require.Len(t, as, 1)
		require.Equal(t, d.Hash, as[0].Task.Hash)
		require.Equal(t, d.IncidentID, as[0].Prompt.IncidentID)
		require.True(t, as[0].Waiting)
		_, err := s.Prompt(t.Context(), d.ID, "chat")
		require.ErrorIs(t, err, incident.ErrNotFound)

		p := outbox.Prompt{TaskID: d.ID, IncidentID: d.IncidentID, Messenger: "chat", Ref: "C1/1.2", Hash: d.Hash, Waiting: true}
		require.NoError(t, s.PutPrompt(t.Context(), p))
		got, err := s.Prompt(t.Context(), d.ID, "chat")
		require.NoError(t, err)
		require.Equal(t, p, got)
		require.Empty(t, unasked("chat"))
		require.Empty(t, outdated())

		edited, err := s.Edit(t.Context(), outbox.Edit{TaskID: d.ID, Actor: "ann", Reason: "better", Hash: d.Hash, Payload: json.RawMessage(`{"title":"b"}`), At: t0})
		require.NoError(t, err)
		as = outdated()
		require.Len(t, as, 1)
		require.Equal(t, p, as[0].Prompt)
		require.Equal(t, edited.Hash, as[0].Task.Hash)
		p.Hash = edited.Hash
		require.NoError(t, s.PutPrompt(t.Context(), p))
		require.Empty(t, outdated())

		_, more, err := s.Approve(t.Context(), approval(edited, "bob"), incident.Feedback{})
		require.NoError(t, err)
		require.Zero(t, more)
		as = outdated()
		require.Len(t, as, 1)
		require.False(t, as[0].Waiting)
		require.Equal(t, 1, as[0].Approvals)
		p.Waiting, p.Approvals = false, 1
		require.NoError(t, s.PutPrompt(t.Context(), p))
		require.Len(t, due(t, s), 1)
		require.Empty(t, outdated(), "what becomes of it after that is told by its ticket")

		lapses := draft(t, s, 2, held)
		told(t, s, lapses.IncidentID, "chat")
		require.NoError(t, s.PutPrompt(t.Context(), outbox.Prompt{TaskID: lapses.ID, IncidentID: lapses.IncidentID, Messenger: "chat", Ref: "C1/2", Hash: lapses.Hash, Waiting: true}))
		_, err = s.Lapse(t.Context(), t0.Add(2*time.Hour))
		require.NoError(t, err)
		as = outdated()
		require.Len(t, as, 1)
		require.Equal(t, outbox.ReasonLapsed, as[0].Task.Reason)
	})
}

func TestASuggestionIsAskedAboutWhileItsIncidentIsOpen(t *testing.T) {
	both(t, func(t *testing.T, dsn func(testing.TB) string) {
		s := open(t, dsn(t))
		for n, phase := range []string{"suggest", "observe"} {
			gate := incident.Gate{Outcome: incident.GateRecord, Phase: phase, Rule: "r", Policy: "v1", DecidedAt: t0}
			d := draft(t, s, n+1, gate)
			told(t, s, d.IncidentID, "chat")
		}
		as, err := s.Unasked(t.Context(), "chat", nil, 10)
		require.NoError(t, err)
		require.Len(t, as, 1)
		require.Equal(t, "suggest", as[0].Task.Gate.Phase)
		p := as[0].Prompt
		p.Ref, p.Hash, p.Waiting = "C1/1", as[0].Task.Hash, true
		require.NoError(t, s.PutPrompt(t.Context(), p))
		inc, err := s.Get(t.Context(), p.IncidentID)
		require.NoError(t, err)
		inc.Status, inc.EndedAt = incident.StatusResolved, t0.Add(time.Hour)
		require.NoError(t, s.Apply(t.Context(), incident.Change{Incidents: []incident.Incident{inc}}))
		as, err = s.OutdatedPrompts(t.Context(), "chat", 10)
		require.NoError(t, err)
		require.Len(t, as, 1)
		require.False(t, as[0].Waiting)
	})
}
