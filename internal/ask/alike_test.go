package ask_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/ask"
)

// farm is a fleet with labels of its own: no cluster, no namespace, no pod.
var farm = fleet{
	"http_requests_total":                            series("kubernetes_namespace=barn,app_kubernetes_io_name=milker,status=200,route=/cow", "kubernetes_namespace=barn,app_kubernetes_io_name=milker,status=503,route=/cow"),
	"container_memory_working_set_bytes":             series("kubernetes_namespace=barn,pod_name=milker-7f9c4d5b6-abcde,container_name=milker"),
	"redis_keyspace_hits_total":                      series("instance=r:1"),
	"redis_keyspace_misses_total":                    series("instance=r:1"),
	"coredns_cache_hits_total":                       series("server=a"),
	"coredns_cache_misses_total":                     series("server=a"),
	"barn_door_openings_total":                       series("door=north,animal=cow", "door=south,animal=pig"),
	"feed_deliveries_total":                          series("supplier=hay-co,outcome=accepted", "supplier=hay-co,outcome=rejected"),
	"milk_collection_last_success_timestamp_seconds": series("tank=a1"),
	"egg_stock_units":                                series("coop=west", "coop=east"),
	"egg_buyers":                                     series("coop=west", "coop=east"),
}

func TestOtherLabels(t *testing.T) {
	r := rules(t, farm)
	f := func(question, want string) {
		t.Helper()
		tr, err := r.Translate(t.Context(), ask.Question{Text: question, Now: now})
		require.NoError(t, err, question)
		require.Equal(t, want, tr.Query, question)
		_, err = ask.Gate{Metrics: catalog(t, farm), Mode: ask.Off}.Check(t.Context(), tr)
		require.NoError(t, err, question)
	}
	f("error rate of milker", `sum(rate(http_requests_total{app_kubernetes_io_name="milker",status=~"5.."}[5m])) / sum(rate(http_requests_total{app_kubernetes_io_name="milker"}[5m]))`)
	f("requests per second by namespace", `sum by (kubernetes_namespace) (rate(http_requests_total[5m]))`)
	f("memory by pod in barn", `sum by (pod_name) (container_memory_working_set_bytes{container_name!="",kubernetes_namespace="barn"})`)
	f("coredns cache hit ratio", `sum(rate(coredns_cache_hits_total[5m])) / (sum(rate(coredns_cache_hits_total[5m])) + sum(rate(coredns_cache_misses_total[5m])))`)
	f("door openings by animal in the last 2 hours", `sum by (animal) (increase(barn_door_openings_total[2h]))`)
	f("door openings by animal over 2 hours", `sum by (animal) (increase(barn_door_openings_total[2h]))`)
	f("share of feed deliveries that failed", `sum(rate(feed_deliveries_total{outcome=~"rejected"}[5m])) / sum(rate(feed_deliveries_total[5m]))`)
	f("how long since the last successful milk collection", `time() - milk_collection_last_success_timestamp_seconds`)
	f("stock of eggs in the west coop", `sum(egg_stock_units{coop="west"})`)
	f("which coops have no buyers for their eggs", `sum by (coop) (egg_buyers) == 0`)
}
