package ask_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/ask"
)

// airport is another fleet that no knowledge file names.
var airport = told{
	fleet{
		"gate_seats_occupied":         series("dc=north,gate=g1", "dc=south,gate=g1"),
		"gate_seats_capacity":         series("dc=north,gate=g1", "dc=south,gate=g1"),
		"catering_meals":              series("kitchen=k1,meal=fish"),
		"catering_meals_restock":      series("kitchen=k1,meal=fish"),
		"scanner_lanes_busy":          series("dc=north,svc=security"),
		"scanner_lanes_total":         series("dc=north,svc=security"),
		"baggage_routed_total":        series("dc=north,result=out_of_gauge", "dc=north,result=ok", "dc=north,carousel=chart-belt"),
		"weather_calls_active":        series("dc=north"),
		"node_filesystem_avail_bytes": series("dc=north,instance=n1,device=sda,mountpoint=/"),
		"node_filesystem_size_bytes":  series("dc=north,instance=n1,device=sda,mountpoint=/"),
		"kube_pod_info":               series("dc=north,namespace=a,pod=p1,node=n1"),
		"kubelet_running_pods":        series("dc=north,node=n1"),
	},
	map[string]ask.Metric{
		"scanner_lanes_total": {Type: "gauge", Help: "Lanes there are."}, "scanner_lanes_busy": {Type: "gauge", Help: "Lanes in use."},
		"gate_seats_occupied": {Type: "gauge"}, "gate_seats_capacity": {Type: "gauge"}, "catering_meals": {Type: "gauge"}, "catering_meals_restock": {Type: "gauge", Help: "Below it meals are ordered."},
		"weather_calls_active": {Type: "gauge", Help: "Calls that go on."},
	},
}

// TestQuestionsOfTwoMetrics: what is left, what is beyond a bound that is measured, and words that are written apart.
func TestQuestionsOfTwoMetrics(t *testing.T) {
	c, err := ask.Load(t.Context(), airport)
	require.NoError(t, err)
	r, err := ask.NewRules(c, nil)
	require.NoError(t, err)
	for question, want := range map[string]string{
		"free gate seats by gate":                            `sum by (gate) (gate_seats_capacity) - sum by (gate) (gate_seats_occupied)`,
		"which gates are more than 90% occupied?":            `(sum by (dc, gate) (gate_seats_occupied) / sum by (dc, gate) (gate_seats_capacity)) > 0.9`,
		"meals below their restock level":                    `sum by (kitchen, meal) (catering_meals) < sum by (kitchen, meal) (catering_meals_restock)`,
		"what share of the scanner lanes is busy, per dc":    `sum by (dc) (scanner_lanes_busy) / sum by (dc) (scanner_lanes_total)`,
		"what share of the baggage routed was out of gauge":  `sum(rate(baggage_routed_total{result="out_of_gauge"}[5m])) / sum(rate(baggage_routed_total[5m]))`,
		"simultaneous weather calls in each data centre":     `sum by (dc) (weather_calls_active)`,
		"baggage routed on chart-belt in the last hour":      `sum(increase(baggage_routed_total{carousel="chart-belt"}[1h]))`,
		"file systems with less than 15% free":               `(sum by (dc, instance, device, mountpoint) (node_filesystem_avail_bytes) / sum by (dc, instance, device, mountpoint) (node_filesystem_size_bytes)) < 0.15`,
		"list the pods that run on n1":                       `kube_pod_info{node="n1"} == 1`,
		"baggage routed by result, only those that had some": `sum by (result) (rate(baggage_routed_total[5m])) > 0`,
	} {
		tr, err := r.Translate(t.Context(), ask.Question{Text: question, Now: now})
		require.NoError(t, err, question)
		require.Equal(t, want, tr.Query, question)
		_, err = ask.Gate{Metrics: c}.Check(t.Context(), tr)
		require.NoError(t, err, question)
		require.Nil(t, tr.Range, question)
	}
}
