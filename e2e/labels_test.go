package e2e_test

import (
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/e2e/servertest"
)

// oddSeries have labels that scraping, remote write or the way back could lose or change. Each is a line of the exposition format
// that allows UTF-8 names.
const oddSeries = `# TYPE odd_gauge gauge
odd_gauge 1
odd_gauge{job="mine",instance="mine:1"} 2
odd_gauge{metric="mine"} 3
odd_gauge{metric="mine",exported_metric="mine too"} 4
odd_gauge{text="quote \" backslash \\ newline \n end"} 5
odd_gauge{text="Größe 測定 🌡"} 6
odd_gauge{severity="critical",alertname="mine"} 7
odd_gauge{empty="",space=" "} 8
odd_gauge{"http.method"="GET"} 9
{"odd.gauge",namespace="a"} 10
# TYPE odd_requests_total counter
odd_requests_total{code="200"} 11
`

// Under honor_labels Prometheus stores a score with exactly the labels of its input: what was the name stands in metric, and a label
// of the input that was called so is kept as exported_metric.
func TestScoresKeepTheLabelsOfTheirInput(t *testing.T) {
	t.Parallel()
	target := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; version=1.0.0; escaping=allow-utf-8")
		fmt.Fprint(w, oddSeries)
	}))
	t.Cleanup(target.Close)
	exporter := servertest.Program(t, "portent-exporter", program(t, "portent-exporter"), servertest.Config{YAML: "state: {directory: state}\n"})
	prometheus := servertest.Prometheus(t, servertest.Config{
		YAML: fmt.Sprintf(labelsConfig, exporter.Port, strings.TrimPrefix(target.URL, "http://"), exporter.Port),
		Args: []string{"--enable-feature=metadata-wal-records"},
	})

	lines := 0
	for line := range strings.Lines(oddSeries) {
		if !strings.HasPrefix(line, "#") {
			lines++
		}
	}
	eventually(t, "a score for each series", func() string {
		if n := len(labelSets(t, prometheus, "anomaly_score")); n != lines {
			return fmt.Sprintf("%d of %d", n, lines)
		}
		return ""
	})
	var want []map[string]string
	for _, name := range []string{"odd_gauge", "odd.gauge", "odd_requests_total"} {
		for _, input := range labelSets(t, prometheus, name) {
			want = append(want, scoreLabels(input))
		}
	}
	require.Len(t, want, lines)
	require.ElementsMatch(t, want, labelSets(t, prometheus, "anomaly_score"))
}

const labelsConfig = `
global: {scrape_interval: 1s, external_labels: {cluster: east}}
remote_write:
  - url: http://127.0.0.1:%d/api/v1/write
    protobuf_message: io.prometheus.write.v2.Request
    metadata_config: {send: false}
    write_relabel_configs: [{source_labels: [__name__], regex: "odd.*", action: keep}]
    queue_config: {batch_send_deadline: 500ms}
scrape_configs:
  - job_name: odd
    static_configs: [{targets: ["%s"]}]
  - job_name: portent-exporter
    honor_labels: true
    static_configs: [{targets: ["127.0.0.1:%d"]}]
`

// scoreLabels are the labels of a score, from those of its input as Prometheus has it. External labels are added by remote write:
// they stand in the score and not in the input.
func scoreLabels(input map[string]string) map[string]string {
	score := maps.Clone(input)
	name := score["__name__"]
	score["__name__"], score["cluster"] = "anomaly_score", "east"
	kept, clash := score["metric"]
	score["metric"] = name
	if clash {
		label := "exported_metric" // as Prometheus does: the first such name that is free
		for score[label] != "" {
			label = "exported_" + label
		}
		score[label] = kept
	}
	return score
}

// labelSets are the series of a metric that exist now.
func labelSets(t testing.TB, prometheus *servertest.Server, name string) []map[string]string {
	t.Helper()
	var all []map[string]string
	for _, v := range query(t, prometheus, fmt.Sprintf("{__name__=%q}", name)) {
		all = append(all, v.Metric)
	}
	return all
}
