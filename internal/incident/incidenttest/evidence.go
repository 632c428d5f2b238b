package incidenttest

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/incident"
)

func dossiers(t *testing.T, s Stores) {
	_, err := s.Dossiers.Dossier(t.Context(), "none")
	require.ErrorIs(t, err, incident.ErrNotFound)

	i := NewIncident(1)
	apply(t, s, incident.Change{Incidents: []incident.Incident{i}})
	want := incident.Dossier{
		At: minute(2),
		Evidence: []incident.Evidence{
			{Kind: incident.EvidenceAnomaly, Title: "memory \u2603 <b>", Text: "text\nof two lines", Query: `up{a="b"}`, URL: "https://x.example", At: minute(-3), Source: "exporter"},
			{Kind: incident.EvidenceLink, Title: "no time", Source: "links"},
		},
		Missing: []incident.Gap{{Source: "loki", Reason: "no answer"}},
	}
	require.NoError(t, s.Dossiers.PutDossier(t.Context(), i.ID, incident.Dossier{At: minute(1)}))
	require.NoError(t, s.Dossiers.PutDossier(t.Context(), i.ID, want))
	s = s.Reopen()
	got, err := s.Dossiers.Dossier(t.Context(), i.ID)
	require.NoError(t, err)
	require.Equal(t, want, got)
	_, err = s.Dossiers.Dossier(t.Context(), "none")
	require.ErrorIs(t, err, incident.ErrNotFound)
}

func objectEvents(t *testing.T, s Stores) {
	event := func(uid string, n int, namespace, node string) incident.ObjectEvent {
		return incident.ObjectEvent{
			UID: uid, At: minute(n), Cluster: "prod", Namespace: namespace, Kind: "Pod", Name: "p-" + uid, Node: node,
			Reason: "BackOff", Message: "line\x00s", Warning: n%2 == 0, Count: 1,
		}
	}
	ask := func(q incident.ObjectEventQuery) []string {
		t.Helper()
		q.From, q.To = minute(0), minute(10)
		events, err := s.ObjectEvents.ListObjectEvents(t.Context(), q)
		require.NoError(t, err)
		uids := []string{}
		for _, e := range events {
			uids = append(uids, e.UID)
		}
		return uids
	}
	require.NoError(t, s.ObjectEvents.PutObjectEvents(t.Context()))
	require.NoError(t, s.ObjectEvents.PutObjectEvents(t.Context(),
		event("a", 1, "shop", "n1"), event("b", 2, "shop", ""), event("c", 3, "billing", "n1"), event("d", 11, "shop", "n1"), event("e", -1, "shop", "n1")))

	require.Equal(t, []string{"b", "a"}, ask(incident.ObjectEventQuery{Namespaces: []string{"shop"}}), "newest first, within the time")
	require.Equal(t, []string{"c", "a"}, ask(incident.ObjectEventQuery{Nodes: []string{"n1", "n2"}}))
	require.Equal(t, []string{"c", "b", "a"}, ask(incident.ObjectEventQuery{Namespaces: []string{"shop"}, Nodes: []string{"n1"}}), "each once")
	require.Equal(t, []string{"b"}, ask(incident.ObjectEventQuery{Namespaces: []string{"shop"}, Limit: 1}))
	require.Empty(t, ask(incident.ObjectEventQuery{}), "asks for nothing")

	again := event("a", 4, "shop", "n1")
	again.Count, again.Message = 7, "newer"
	require.NoError(t, s.ObjectEvents.PutObjectEvents(t.Context(), event("a", 3, "shop", "n1"), again), "the last of one request wins")
	events, err := s.ObjectEvents.ListObjectEvents(t.Context(), incident.ObjectEventQuery{From: minute(0), To: minute(10), Namespaces: []string{"shop"}})
	require.NoError(t, err)
	require.Equal(t, again, events[0])
	require.Equal(t, "line\uFFFDs", events[1].Message)
	require.True(t, events[1].Warning)
}
