package sqlstore_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/incident"
	"github.com/portent-dev/portent/internal/incident/incidenttest"
	"github.com/portent-dev/portent/internal/outbox"
)

func TestTicketsAreFoundByTheirKey(t *testing.T) {
	both(t, func(t *testing.T, dsn func(testing.TB) string) {
		s := open(t, dsn(t))
		i := incidenttest.NewIncident(1)
		create := incident.Task{IncidentID: i.ID, Tracker: "jira", Key: i.TicketKey(), Kind: incident.TaskCreate, Payload: []byte(`{}`)}
		require.NoError(t, s.Apply(t.Context(), incident.Change{Incidents: []incident.Incident{i}, Tasks: []incident.Task{create}}))
		tasks, err := s.Claim(t.Context(), outbox.Claim{Now: time.Now().Add(time.Hour), Lease: time.Minute, Limit: 1, Actor: "test", Tracker: "jira"})
		require.NoError(t, err)
		require.Len(t, tasks, 1)
		filed := incident.Ticket{Tracker: "jira", Key: "OPS-1", ID: "10001", Status: "To Do"}
		require.NoError(t, s.Finish(t.Context(), tasks[0], outbox.Outcome{At: time.Now(), Ticket: filed}))
		for _, key := range []string{"OPS-1", "10001"} {
			id, err := s.IncidentOfTicket(t.Context(), key)
			require.NoError(t, err)
			require.Equal(t, i.ID, id)
		}
		for _, key := range []string{"", "OPS-2", "x\x00"} {
			_, err := s.IncidentOfTicket(t.Context(), key)
			require.ErrorIs(t, err, incident.ErrNotFound, key)
		}
		require.NoError(t, s.SetTicketStatus(t.Context(), i.ID, "jira", "Done"))
		require.NoError(t, s.SetTicketStatus(t.Context(), "none", "jira", "Done"))
		got, err := s.Get(t.Context(), i.ID)
		require.NoError(t, err)
		require.Equal(t, "Done", got.Tickets[0].Status)
	})
}
