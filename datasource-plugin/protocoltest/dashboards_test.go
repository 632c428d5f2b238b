package protocoltest

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Each query of the plugin in the dashboards that we ship is answered by the backend on real servers.
func TestDashboardsAreAnswered(t *testing.T) {
	p := start(t)
	s := source{json: map[string]any{
		"prometheusUrl": realPrometheus(t), "lokiUrl": realLoki(t), "receiverUrl": serveReceiver(t, incidents()...).url,
	}, login: "ann"}
	files, err := filepath.Glob("../../dashboards/portent-*.json")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	asked := 0
	for _, file := range files {
		var d struct {
			Templating struct {
				List []struct {
					Name    string
					Current struct{ Value any }
				}
			}
			Panels []struct {
				Title   string
				Targets []map[string]any
			}
			Annotations struct {
				List []struct{ Target map[string]any }
			}
		}
		require.NoError(t, json.Unmarshal([]byte(readFile(t, file)), &d))
		values := map[string]string{"metric": "kube_pod_info", "instance": ".*", "cluster": ".*", "namespace": ".*"}
		for _, v := range d.Templating.List {
			if v.Current.Value != nil {
				values[v.Name] = fmt.Sprint(v.Current.Value)
			}
		}
		ask := func(title string, model map[string]any) {
			t.Helper()
			if _, ok := model["queryType"]; !ok {
				return // of Prometheus itself
			}
			asked++
			one := target{refID: model["refId"].(string), model: replaced(t, model, values), from: logsEnd.Add(-time.Hour), to: logsEnd, interval: time.Minute, points: 200}
			got, err := p.query(t, s, one)
			require.NoError(t, err)
			require.NoError(t, got[one.refID].Error, "%s: %s", file, title)
			require.NotEmpty(t, got[one.refID].Frames, "%s: %s", file, title)
		}
		for _, panel := range d.Panels {
			for _, model := range panel.Targets {
				ask(panel.Title, model)
			}
		}
		for _, a := range d.Annotations.List {
			ask("annotation", a.Target)
		}
	}
	require.Greater(t, asked, 20)
}

var dashboardVariable = regexp.MustCompile(`\$(\w+)`)

// replaced is a target as the front end sends it, with values in the place of variables.
func replaced(t *testing.T, model map[string]any, values map[string]string) map[string]any {
	t.Helper()
	var out map[string]any
	text := dashboardVariable.ReplaceAllStringFunc(mustJSON(t, model), func(m string) string {
		name := strings.TrimPrefix(m, "$")
		if strings.HasPrefix(name, "__") {
			return m // the backend's business
		}
		value, ok := values[name]
		require.True(t, ok, "no value for %s", m)
		quoted := mustJSON(t, value)
		return quoted[1 : len(quoted)-1]
	})
	require.NoError(t, json.Unmarshal([]byte(text), &out))
	return out
}
