package dashboardtest

import (
	"encoding/json"
	"os"
	"testing"

	"github.com/grafana/grafana-plugin-sdk-go/backend"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/portent-dev/portent/datasource-plugin/pkg/query"
	"github.com/portent-dev/portent/datasource-plugin/pkg/settings"
)

func readYAML(t *testing.T, file string, into any) {
	t.Helper()
	raw, err := os.ReadFile("../../provisioning/grafana/" + file)
	require.NoError(t, err)
	require.NoError(t, yaml.Unmarshal(raw, into))
}

type source struct {
	UID, Type string
	JSONData  map[string]any `yaml:"jsonData"`
}

func sources(t *testing.T) map[string]source {
	t.Helper()
	var file struct{ Datasources []source }
	readYAML(t, "datasources/portent.yml", &file)
	all := map[string]source{}
	for _, s := range file.Datasources {
		all[s.UID] = s
	}
	return all
}

// The provisioned data source is one that the plugin can read, and its links lead to the others.
func TestProvisionedDataSource(t *testing.T) {
	all := sources(t)
	raw, err := json.Marshal(all["portent"].JSONData)
	require.NoError(t, err)
	s, err := settings.Load(backend.DataSourceInstanceSettings{UID: "portent", JSONData: raw})
	require.NoError(t, err)
	for _, n := range []settings.Name{settings.Prometheus, settings.Loki, settings.Receiver} {
		require.NoError(t, s.Target(n).Err)
		require.NotEmpty(t, s.Target(n).URL)
	}
	require.Equal(t, "prometheus", all[s.PrometheusUID].Type)
	require.Equal(t, "loki", all[s.LokiUID].Type)
}

// Each provisioned alert rule asks what the plugin can answer, in numbers, with a stored query, and tells a contact
// point that is there.
func TestProvisionedAlertRules(t *testing.T) {
	var file struct {
		ContactPoints []struct {
			Name      string
			Receivers []struct{ UID, Type string }
		} `yaml:"contactPoints"`
		Groups []struct {
			Rules []struct {
				UID, Title, Condition string
				IsPaused              bool                      `yaml:"isPaused"`
				Notification          struct{ Receiver string } `yaml:"notification_settings"`
				Data                  []struct {
					RefID         string         `yaml:"refId"`
					DatasourceUID string         `yaml:"datasourceUid"`
					QueryType     string         `yaml:"queryType"`
					Model         map[string]any `yaml:"model"`
				}
			}
		}
	}
	readYAML(t, "alerting/portent.yml", &file)
	require.Len(t, file.ContactPoints, 1)
	require.Equal(t, "prometheus-alertmanager", file.ContactPoints[0].Receivers[0].Type)
	known, uids := sources(t), map[string]bool{}
	require.NotEmpty(t, file.Groups[0].Rules)
	for _, rule := range file.Groups[0].Rules {
		require.False(t, uids[rule.UID], rule.UID)
		uids[rule.UID] = true
		require.True(t, rule.IsPaused, "%s: Prometheus's own rules tell the same", rule.Title)
		require.Equal(t, file.ContactPoints[0].Name, rule.Notification.Receiver)
		refs := map[string]bool{}
		for _, d := range rule.Data {
			refs[d.RefID] = true
			require.Equal(t, d.RefID, d.Model["refId"])
			if d.DatasourceUID == "__expr__" {
				require.True(t, refs[d.Model["expression"].(string)], "%s compares what was asked before", rule.Title)
				continue
			}
			require.Equal(t, "portent-aiops-datasource", known[d.DatasourceUID].Type)
			raw, err := json.Marshal(d.Model)
			require.NoError(t, err)
			q, err := query.Parse(raw)
			require.NoError(t, err, rule.Title)
			require.Equal(t, string(q.Type), d.QueryType)
			switch q.Type {
			case query.TypeAnomalies:
				require.Equal(t, query.ViewNumeric, q.Anomalies.View)
			case query.TypeForecast:
				require.Equal(t, query.ViewNumeric, q.Forecast.View)
				_, err = parser.NewParser(parser.Options{}).ParseExpr(q.Forecast.Expr)
				require.NoError(t, err)
			case query.TypeAsk:
				require.True(t, q.Ask.Answered())
				_, err = parser.NewParser(parser.Options{}).ParseExpr(q.Ask.Frozen.Query)
				require.NoError(t, err)
			case query.TypeIncidents, query.TypePatterns:
			}
		}
		require.True(t, refs[rule.Condition])
	}
}
