package triage

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/incident"
)

func TestEvidenceIsBoundedAndNamesQueries(t *testing.T) {
	a := incident.Alert{Fingerprint: "f", StartsAt: time.Unix(0, 1).UTC(), Labels: map[string]string{"alertname": "A"}, GeneratorURL: "http://p/graph?g0.expr=up+%3D%3D+0"}
	got := evidence([]incident.Alert{a})
	require.Equal(t, []map[string]string{{"fingerprint": "f", "alertname": "A", "startsAt": "1970-01-01T00:00:00.000000001Z", "query": "up == 0"}}, got)
	as := make([]incident.Alert, 5000)
	require.Len(t, evidence(as), maxEvidence)
	_, err := json.Marshal(evidence(as))
	require.NoError(t, err)
	require.Empty(t, query("%zz"))
}
