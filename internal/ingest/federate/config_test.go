package federate_test

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

	"github.com/portent-dev/portent/internal/ingest/federate"
)

// load reads a configuration as the exporter does: unknown keys are faults.
func load(text []byte) (federate.Config, error) {
	var c federate.Config
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
	first, second := c.Targets[0], c.Targets[1]
	require.Equal(t, "/etc/portent/secrets/token", first.HTTPClient.Authorization.CredentialsFile)
	first.HTTPClient = config.HTTPClientConfig{}
	require.Equal(t, federate.Target{
		Name: "core", URL: "https://prometheus.example:9090/prefix", Match: []string{`{job="api"}`, `{__name__=~"job:.*"}`},
		Interval: model.Duration(30 * time.Second), Timeout: model.Duration(10 * time.Second), MaxSeries: 50, MaxBytes: 1 << 20,
		Labels: map[string]string{"cluster": "core"},
	}, first)
	require.Equal(t, federate.Target{
		Name: "localhost:9090", URL: "http://localhost:9090", Match: []string{"up"}, HTTPClient: config.DefaultHTTPClientConfig,
		Interval: model.Duration(15 * time.Second), Timeout: model.Duration(15 * time.Second), MaxSeries: 100_000, MaxBytes: 64 << 20,
		HonorLabels: true, HonorTimestamps: true,
	}, second)
}

// TestInvalid holds one file for each rule; what is in want must be said of it.
func TestInvalid(t *testing.T) {
	want := map[string]string{
		"url":              "targets[0].url: must be an address",
		"url-missing":      "targets[0].url: must be an address",
		"match-missing":    "targets[0].match: must hold at least one selector",
		"match":            "targets[0].match[0]: 1:4: parse error",
		"match-expression": "targets[0].match[0]: 1:5: parse error",
		"name-twice":       "targets[1].name: \"localhost:9090\" is given twice",
		"interval":         "targets[0].interval: must be at least 1s, is 10ms",
		"timeout":          "targets[0].timeout: must be above 0s and at most the interval (15s), is 20s",
		"max-series":       "targets[0].max_series: must be above 0, is 0",
		"max-bytes":        "targets[0].max_bytes: must be above 0, is -1",
		"labels-name":      "targets[0].labels.__name__: cannot be a label",
		"labels-empty":     "targets[0].labels.cluster: must have a value",
		"http-client":      "at most one of basic_auth",
		"unknown-key":      "field path not found",
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
		for _, target := range c.Targets {
			require.NotEmpty(t, target.Match)
			require.Positive(t, target.MaxSeries)
			require.LessOrEqual(t, target.Timeout, target.Interval)
		}
	})
}
