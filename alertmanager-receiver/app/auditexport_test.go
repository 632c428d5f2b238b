package app

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/audit"
	"github.com/portent-dev/portent/internal/incident"
	"github.com/portent-dev/portent/internal/incidentapi"
)

func TestTheAuditChainAsJSONLines(t *testing.T) {
	ts := newTestServer(t, nil)
	const n = 2500 // more than a page of the store
	for i := range n / 500 {
		var c incident.Change
		for j := range 500 {
			c.Records = append(c.Records, audit.Entry{At: t0, Actor: "a", Action: "incident.note", Subject: "s", Detail: json.RawMessage(fmt.Sprintf(`{"n":%d,"q":"a<b&c"}`, 500*i+j))})
		}
		require.NoError(t, ts.db.Apply(t.Context(), c))
	}
	w := ts.send(t, "GET", "/api/v1/audit?since=0", "", "Accept", "*/*")
	require.Equal(t, 200, w.Code)
	require.Equal(t, "application/x-ndjson", w.Header().Get("Content-Type"))
	lines := strings.Split(strings.TrimSpace(w.Body.String()), "\n")
	require.Len(t, lines, n)
	head, err := audit.Verify(audit.Head{}, func(yield func(audit.Record, error) bool) {
		for _, l := range lines {
			var r audit.Record
			err := json.Unmarshal([]byte(l), &r)
			if !yield(r, err) {
				return
			}
		}
	}, audit.Head{})
	require.NoError(t, err)
	require.Equal(t, fmt.Sprintf("%d:%s", head.Seq, head.Hash), w.Header().Get(incidentapi.HeaderAuditHead))

	require.Contains(t, ts.send(t, "GET", "/api/v1/audit", "", "Accept", "application/json").Body.String(), `{"records":[`, "programs that accept JSON alone")
	require.Contains(t, ts.send(t, "GET", "/api/v1/audit?limit=2", "").Body.String(), `"next":"s2"`)
	body := ts.send(t, "GET", "/audit", "").Body.String()
	require.Contains(t, body, "portent audit verify")
	require.Contains(t, body, "audit?before=")
	require.Equal(t, 400, ts.send(t, "GET", "/audit?before=x", "").Code)
}
