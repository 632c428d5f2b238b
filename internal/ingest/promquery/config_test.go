package promquery_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/config"
	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/portent-dev/portent/internal/ingest/promquery"
)

// load reads a configuration as the exporter does: unknown keys are faults.
func load(text []byte) (promquery.Config, error) {
	var c promquery.Config
	d := yaml.NewDecoder(bytes.NewReader(text))
	d.KnownFields(true)
	if err := d.Decode(&c); err != nil {
		return c, err
	}
	return c, c.Validate()
}

func TestConfig(t *testing.T) {
	text, err := os.ReadFile("testdata/full.yml")
	require.NoError(t, err)
	c, err := load(text)
	require.NoError(t, err)
	c.SetDirectory("/etc/portent")

	first, second := c.Servers[0], c.Servers[1]
	require.Equal(t, "/etc/portent/secrets/password", first.HTTPClient.BasicAuth.PasswordFile)
	require.True(t, first.HTTPClient.FollowRedirects, "the defaults of prometheus/common")
	require.Equal(t, 2, first.MaxConcurrent)
	require.Equal(t, map[string]string{"cluster": "c1"}, first.Labels)
	require.Equal(t, promquery.Query{
		Name: "checkout_error_ratio", Expr: first.Queries[0].Expr, Interval: model.Duration(30 * time.Second),
		Offset: model.Duration(20 * time.Second), Timeout: model.Duration(10 * time.Second), MaxSeries: 50, Kind: promquery.KindGauge,
	}, first.Queries[0])
	require.Equal(t, promquery.Query{
		Name: "jobs.done", Expr: "jobs_done", Interval: model.Duration(time.Minute), Offset: model.Duration(10 * time.Second),
		Timeout: model.Duration(30 * time.Second), MaxSeries: 1000, Kind: promquery.KindCounter,
	}, first.Queries[1])
	require.Equal(t, model.Duration(15*time.Second), second.Queries[0].Timeout, "no longer than the interval")
	require.Equal(t, int64(64<<20), second.MaxBytes)
	require.Equal(t, config.DefaultHTTPClientConfig, second.HTTPClient)
}

// TestInvalid holds one file for each rule; what is in want must be said of it.
func TestInvalid(t *testing.T) {
	want := map[string]string{
		"name":               "servers[0].queries[0].name: must be a metric name",
		"name-own":           "servers[0].queries[0].name: \"anomaly_mine\" is kept for",
		"name-twice":         "servers[0].queries[1].name: \"a\" is given twice",
		"expr-missing":       "parse error: no expression found",
		"expr-syntax":        "servers[0].queries[0].expr: 1:16: parse error: unclosed left parenthesis",
		"expr-range":         "servers[0].queries[0].expr: must give an instant vector or a scalar, gives a range vector",
		"expr-string":        "gives a string",
		"interval":           "servers[0].queries[0].interval: must be at least 1s, is 100ms",
		"interval-negative":  "not a valid duration string",
		"interval-unit":      "not a valid duration string",
		"offset":             "not a valid duration string",
		"timeout":            "servers[0].queries[0].timeout: must be above 0s and at most the interval (15s), is 30s",
		"max-series":         "servers[0].queries[0].max_series: must be above 0, is -1",
		"kind":               "servers[0].queries[0].kind: unknown kind \"histogram\": want auto, gauge or counter",
		"unknown-query-key":  "field every not found",
		"unknown-server-key": "field query not found",
		"url":                "servers[0].url: must be an address",
		"url-missing":        "servers[0].url: must be an address",
		"queries":            "servers[0].queries: must hold at least one",
		"max-concurrent":     "servers[0].max_concurrent: must be above 0, is 0",
		"max-bytes":          "servers[0].max_bytes: must be above 0, is -1",
		"labels-name":        "servers[0].labels.__name__: cannot be a label",
		"labels-empty":       "servers[0].labels.cluster: must have a value",
		"http-client":        "at most one of bearer_token & bearer_token_file",
	}
	files, err := filepath.Glob("testdata/invalid-*.yml")
	require.NoError(t, err)
	require.Len(t, files, len(want))
	for _, file := range files {
		rule := strings.TrimSuffix(strings.TrimPrefix(filepath.Base(file), "invalid-"), ".yml")
		t.Run(rule, func(t *testing.T) {
			text, err := os.ReadFile(file)
			require.NoError(t, err)
			_, err = load(text)
			require.Contains(t, want, rule)
			require.ErrorContains(t, err, want[rule])
		})
	}
}

func FuzzConfig(f *testing.F) {
	files, err := filepath.Glob("testdata/*.yml")
	require.NoError(f, err)
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(f, err)
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		c, err := load(text)
		if err != nil {
			return
		}
		for _, s := range c.Servers {
			require.NotEmpty(t, s.Queries)
			for _, q := range s.Queries {
				require.Positive(t, q.MaxSeries)
				require.LessOrEqual(t, q.Timeout, q.Interval)
			}
		}
	})
}
