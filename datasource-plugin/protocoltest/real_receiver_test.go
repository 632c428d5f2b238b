package protocoltest

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/e2e/servertest"
)

// notice is what Alertmanager sends for two alerts of one group, one of them over.
const notice = `{"version":"4","groupKey":"{}:{alertname=\"HighLatency\"}","truncatedAlerts":0,"status":"firing","receiver":"portent",
 "groupLabels":{"alertname":"HighLatency"},"commonLabels":{"alertname":"HighLatency","namespace":"shop","severity":"critical"},"commonAnnotations":{},
 "externalURL":"http://alertmanager:9093","alerts":[
 {"status":"firing","labels":{"alertname":"HighLatency","namespace":"shop","severity":"critical","pod":"a"},"annotations":{"summary":"p99 4.2s"},
  "startsAt":"2026-11-22T11:10:00Z","endsAt":"0001-01-01T00:00:00Z","generatorURL":"http://prometheus:9090/graph?g0.expr=up","fingerprint":"a350557aa430340e"},
 {"status":"resolved","labels":{"alertname":"HighLatency","namespace":"shop","severity":"critical","pod":"b"},"annotations":{},
  "startsAt":"2026-11-22T11:08:00Z","endsAt":"2026-11-22T11:12:00Z","generatorURL":"","fingerprint":"fa091c0d7e436796"}]}`

// The fake receiver of the other tests is written after the contract; this is the receiver itself.
func TestIncidentsOfTheRealReceiver(t *testing.T) {
	program := filepath.Join(t.TempDir(), "portent-receiver")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", program, "github.com/portent-dev/portent/alertmanager-receiver")
	build.Stderr = os.Stderr
	require.NoError(t, build.Run())
	receiver := servertest.Program(t, "portent-receiver", program, servertest.Config{
		YAML: "{}\n", Args: []string{"--store=sqlite:" + filepath.Join(t.TempDir(), "incidents.db")},
	})
	resp, err := http.Post(receiver.URL+"/api/v1/webhook/alertmanager", "application/json", strings.NewReader(notice))
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, http.StatusOK, resp.StatusCode)

	p := start(t)
	s := source{json: map[string]any{"receiverUrl": receiver.URL}}
	h := checkHealth(t, p, s)
	require.Contains(t, h.Message, "Portent receiver: answers")

	rows := func(model map[string]any) int {
		got, err := p.query(t, s, incidentsTarget(model))
		require.NoError(t, err)
		require.NoError(t, got["A"].Error)
		return got["A"].Frames[0].Rows()
	}
	require.Eventually(t, func() bool { return rows(nil) == 1 }, 30*time.Second, 100*time.Millisecond, "one group is one incident")
	require.Equal(t, 1, rows(map[string]any{"status": "open", "severity": []string{"critical"}, "matchers": matchers("pod", "=", "a")}))
	require.Equal(t, 0, rows(map[string]any{"status": "resolved"}))
	require.Equal(t, 0, rows(map[string]any{"matchers": matchers("namespace", "=", "pay")}))

	got, err := p.query(t, s, incidentsTarget(nil))
	require.NoError(t, err)
	value := func(column string) any {
		field, _ := got["A"].Frames[0].FieldByName(column)
		require.NotNil(t, field, column)
		return field.At(0)
	}
	require.Equal(t, "2026-11-22T11:08:00Z", value("Started").(time.Time).Format(time.RFC3339))
	require.Equal(t, int64(2), value("Alerts"))
	require.Equal(t, int64(1), value("Firing"))

	// The link leads to the incident's page.
	page, err := http.Get(value("Incident page").(string))
	require.NoError(t, err)
	require.NoError(t, page.Body.Close())
	require.Equal(t, http.StatusOK, page.StatusCode)

	code, body := p.call(t, s, "GET", "label-values?for=incidents&label=pod&from=1795345200000&to=1795348800000")
	require.Equal(t, 200, code)
	require.JSONEq(t, `{"truncated":false,"values":["a","b"]}`, body)
}
