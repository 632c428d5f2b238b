package settings_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/grafana/grafana-plugin-sdk-go/backend"
	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/datasource-plugin/pkg/settings"
)

func loadJSON(text string) (*settings.Settings, error) {
	return settings.Load(backend.DataSourceInstanceSettings{UID: "P1", JSONData: json.RawMessage(text)})
}

func TestScope(t *testing.T) {
	s, err := loadJSON(`{"scope":[{"label":"namespace","value":"shop"},{"label":" cluster ","op":"=~","value":"eu.+"}]}`)
	require.NoError(t, err)
	require.Len(t, s.Scope, 2)
	require.Equal(t, `namespace="shop"`, s.Scope[0].String())
	require.Equal(t, `cluster=~"eu.+"`, s.Scope[1].String())
	require.Equal(t, "enforce", s.Cost)

	s, err = loadJSON(`{"cost":"warn","modelTokensPerDay":5000,"prometheusUid":" p ","lokiUid":"l"}`)
	require.NoError(t, err)
	require.Empty(t, s.Scope)
	require.Equal(t, "warn", s.Cost)
	require.Equal(t, 5000, s.ModelTokensPerDay)
	require.Equal(t, "p", s.PrometheusUID)
	require.Equal(t, "l", s.LokiUID)
}

// A scope that does not do what it seems to do is refused: no query runs then.
func TestScopeRefuses(t *testing.T) {
	f := func(text, want string) {
		t.Helper()
		_, err := loadJSON(text)
		require.ErrorContains(t, err, want)
	}
	scope := func(label, op, value string) string {
		raw, err := json.Marshal(map[string]any{"scope": []map[string]string{{"label": label, "op": op, "value": value}}})
		require.NoError(t, err)
		return string(raw)
	}
	f(scope("", "=", "shop"), "is not the name of a label")
	f(scope("__name__", "=", "up"), "is not the name of a label")
	f(scope(`a"} or up{b`, "=", "x"), "is not the name of a label")
	f(scope("namespace", "!=", "pay"), "want = or =~")
	f(scope("namespace", "!~", "pay"), "want = or =~")
	f(scope("namespace", "=", ""), "lets through what has no such label")
	f(scope("namespace", "=~", "shop|"), "lets through what has no such label")
	f(scope("namespace", "=~", ".*"), "lets through what has no such label")
	f(scope("namespace", "=~", "("), "not a regular expression")
	f(`{"scope":[`+strings.Repeat(`{"label":"a","value":"b"},`, 16)+`{"label":"a","value":"b"}]}`, "at most 16")
	f(`{"cost":"free"}`, "want off, warn or enforce")
	f(`{"modelTokensPerDay":-1}`, "want 0 or more")
}

// Where a server sees who asks, its answers are of that user alone.
func TestPerUser(t *testing.T) {
	f := func(connection string, want bool) {
		t.Helper()
		s, err := loadJSON(`{"prometheusUrl":"http://p","connections":{"prometheus":` + connection + `}}`)
		require.NoError(t, err)
		require.Equal(t, want, s.Target(settings.Prometheus).PerUser())
		require.False(t, s.Target(settings.Loki).PerUser())
	}
	f(`{}`, false)
	f(`{"auth":"basic","user":"grafana"}`, false)
	f(`{"auth":"forward"}`, true)
	f(`{"forwardUserAndOrg":true}`, true)
}
