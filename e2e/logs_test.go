package e2e_test

import (
	"bytes"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/e2e/servertest"
	"github.com/portent-dev/portent/internal/incidentapi"
)

// logWorld is the way of a log line: Loki, the exporter that follows it, Alertmanager, the receiver.
type logWorld struct {
	loki, alertmanager, exporter, receiver *servertest.Server
}

const logExporterConfig = `
state: {directory: state}
logs:
  group_by: [app]
  learning: 3s
  new_for: 20s
  loki: {tails: [{url: "http://127.0.0.1:%d", query: '{app=~".+"}'}]}
alerting:
  alertmanagers: [{url: "http://127.0.0.1:%d"}]
  resend_interval: 1s
`

// logReceiverConfig lets the receiver look for evidence at the exporter.
const logReceiverConfig = `
evidence:
  exporter: {url: "http://127.0.0.1:%d"}
`

func newLogWorld(t testing.TB) *logWorld {
	t.Helper()
	w := &logWorld{}
	port := servertest.FreePort(t)
	w.receiver = startReceiver(t, receiverConfig+fmt.Sprintf(logReceiverConfig, port))
	w.alertmanager = servertest.Alertmanager(t, servertest.Config{YAML: strings.Replace(fmt.Sprintf(alertmanagerConfig, w.receiver.Port), "[job]", "[app]", 1)})
	w.loki = servertest.Loki(t, servertest.Config{})
	w.exporter = servertest.Program(t, "portent-exporter", program(t, "portent-exporter"), servertest.Config{
		Port: port, YAML: fmt.Sprintf(logExporterConfig, w.loki.Port, w.alertmanager.Port),
	})
	return w
}

// say pushes lines of an application to Loki.
func (w *logWorld) say(t testing.TB, app string, lines ...string) {
	t.Helper()
	var values []string
	for i, l := range lines {
		values = append(values, fmt.Sprintf(`["%d",%q]`, time.Now().UnixNano()+int64(i), l))
	}
	resp, err := http.Post(w.loki.URL+"/loki/api/v1/push", "application/json",
		bytes.NewReader([]byte(`{"streams":[{"stream":{"app":"`+app+`"},"values":[`+strings.Join(values, ",")+`]}]}`)))
	require.NoError(t, err)
	defer resp.Body.Close()
	require.Equal(t, http.StatusNoContent, resp.StatusCode)
}

// A planted error is an alert in Alertmanager and an incident of the receiver within a minute, with an example in which no
// secret stands; the exporter is killed in between and tells nothing twice; when the error is over, so is the incident.
func TestPlantedErrorBecomesIncident(t *testing.T) {
	t.Parallel()
	w := newLogWorld(t)
	usual := []string{"INFO request 1 served in 3ms", "WARN retry 2 of upstream cart", "ERROR cart 7 not found"}
	eventually(t, "the usual lines as patterns", func() string {
		w.say(t, "shop", usual...)
		if body := read(t, w.exporter.URL+"/api/v1/patterns"); strings.Count(body, `"pattern":`) < 3 || strings.Contains(body, `"learning":true`) {
			return body
		}
		return ""
	})
	require.NotContains(t, read(t, w.alertmanager.URL+"/api/v2/alerts"), "LogPattern")

	planted := time.Now()
	w.say(t, "shop", append(usual, "ERROR payment of order 4711 refused: token=abcdefghijklmnop1234 has expired")...)
	var open incidentapi.Incident
	eventually(t, "an incident about the planted error", func() string {
		all := incidents(t, w.receiver)
		if len(all) != 1 || len(all[0].Alerts) != 1 {
			return fmt.Sprintf("incidents: %+v", all)
		}
		open = all[0]
		return ""
	})
	eventually(t, "the planted error among the evidence", func() string {
		all := incidents(t, w.receiver)
		for _, e := range all[0].Evidence {
			if e.Kind == "log" && strings.Contains(e.Title, "refused") {
				require.NotContains(t, fmt.Sprint(e), "abcdefghijklmnop1234")
				return ""
			}
		}
		return fmt.Sprintf("evidence: %+v, missing: %+v", all[0].Evidence, all[0].Missing)
	})
	require.Less(t, time.Since(planted), time.Minute)
	t.Logf("incident %s after the line", time.Since(planted).Round(100*time.Millisecond))
	a := open.Alerts[0]
	require.Equal(t, "LogPatternNew", a.Labels["alertname"])
	require.Equal(t, "shop", a.Labels["app"])
	require.Contains(t, a.Annotations["template"], "refused: token=<*> has expired")
	require.Contains(t, a.Annotations["example"], "ERROR payment of order 4711 refused")
	require.NotContains(t, fmt.Sprint(a), "abcdefghijklmnop1234")
	require.Contains(t, a.Annotations["query"], `{app="shop"} |= `)
	require.FileExists(t, filepath.Join("..", "docs", "runbooks", filepath.Base(a.Annotations["runbook_url"])))

	w.exporter.Kill()
	w.exporter.Restart()
	eventually(t, "the exporter again", func() string {
		w.say(t, "shop", usual...)
		if body := read(t, w.exporter.URL+"/api/v1/patterns"); strings.Count(body, `"pattern":`) < 3 {
			return body
		}
		return ""
	})
	eventually(t, "the end of the incident", func() string {
		all := incidents(t, w.receiver)
		if len(all) != 1 || all[0].Status != "resolved" {
			return fmt.Sprintf("incidents: %+v", all)
		}
		return ""
	})
	require.Equal(t, open.ID, incidents(t, w.receiver)[0].ID)
}
