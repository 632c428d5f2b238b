package e2e_test

import (
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

const recordingAlertmanager = `
route: {receiver: portent, group_by: [alertname], group_wait: 1s, group_interval: 1s, repeat_interval: 1h}
receivers:
  - name: portent
    webhook_configs: [{url: "http://127.0.0.1:%d/api/v1/webhook/alertmanager"}]
inhibit_rules:
  - source_matchers: ['severity="critical"']
    target_matchers: ['severity="warning"']
event_recorder:
  webhook_outputs: [{url: "http://127.0.0.1:%d/api/v1/webhook/alertmanager-events"}]
  file_outputs: [{path: "%s"}]
`

// What Alertmanager inhibits never reaches us. Its event recorder tells it, by webhook and by file, and it counts once.
func TestEventRecorderTellsWhatWasInhibited(t *testing.T) {
	t.Parallel()
	events := filepath.Join(t.TempDir(), "events.jsonl")
	receiver := startReceiver(t, receiverConfig+"noise: {event_files: ["+events+"]}\n")
	alertmanager := servertest.Alertmanager(t, servertest.Config{
		YAML: fmt.Sprintf(recordingAlertmanager, receiver.Port, receiver.Port, events), Args: []string{"--enable-feature=event-recorder"},
	})
	start := time.Now().UTC().Format(time.RFC3339)
	for _, a := range []string{`"alertname":"DiskFull","severity":"critical"`, `"alertname":"DiskSlow","severity":"warning"`} {
		resp, err := http.Post(alertmanager.URL+"/api/v2/alerts", "application/json", strings.NewReader(`[{"labels":{`+a+`},"startsAt":"`+start+`"}]`))
		require.NoError(t, err)
		resp.Body.Close()
		require.Equal(t, http.StatusOK, resp.StatusCode)
	}
	eventually(t, "the report", func() string {
		var r incidentapi.NoiseReport
		get(t, receiver.URL+incidentapi.PathNoise, &r)
		read := metric(read(t, receiver.URL+"/metrics"), `portent_receiver_alertmanager_events_total{outcome="accepted"}`)
		if b := r.Alertmanager; b == nil || b.Total.Created != 2 || b.Total.Inhibited != 1 || b.Total.Delivered < 1 || len(b.Inhibitions) != 1 || len(read) < 2 {
			return fmt.Sprintf("%s events, %+v", read, b)
		}
		return ""
	})
	require.Equal(t, "0", metric(read(t, receiver.URL+"/metrics"), `portent_receiver_alertmanager_events_total{outcome="refused"}`))
}
