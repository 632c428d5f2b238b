package ingest_test

import (
	"math"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/ingest"
)

func TestKindOf(t *testing.T) {
	f := func(name string, want ingest.Kind) {
		t.Helper()
		require.Equal(t, want.String(), ingest.KindOf(name).String(), name)
	}
	f("http_requests_total", ingest.KindCounter)
	f("request_duration_seconds_count", ingest.KindCounter)
	f("request_duration_seconds_sum", ingest.KindCounter)
	f("request_duration_seconds_bucket", ingest.KindCounter)
	f("node_memory_MemFree_bytes", ingest.KindUnknown)
	f("job:requests_total", ingest.KindUnknown) // a recording rule, rated or not: nobody can say
	f("total", ingest.KindUnknown)
	f("_total", ingest.KindUnknown)
	f("requests_totals", ingest.KindUnknown)
	f("", ingest.KindUnknown)
}

func TestIsStale(t *testing.T) {
	require.True(t, ingest.IsStale(ingest.StaleNaN()))
	require.True(t, ingest.IsStale(math.Float64frombits(0x7ff0000000000002)))
	require.False(t, ingest.IsStale(math.NaN()))
	require.False(t, ingest.IsStale(math.Float64frombits(0x7ff8000000000001)))
	require.False(t, ingest.IsStale(math.Inf(1)))
	require.False(t, ingest.IsStale(0))
}

func TestResult(t *testing.T) {
	r := ingest.Result{Accepted: 1, Duplicate: 2, OutOfOrder: 3, TooFarAhead: 4, Dropped: 5}
	require.Equal(t, 15, r.Samples())
	r.Add(r)
	require.Equal(t, ingest.Result{Accepted: 2, Duplicate: 4, OutOfOrder: 6, TooFarAhead: 8, Dropped: 10}, r)
}

func TestOwnOutput(t *testing.T) {
	require.True(t, ingest.OwnOutput("anomaly_score"))
	require.True(t, ingest.OwnOutput("anomaly_expected_lower"))
	require.False(t, ingest.OwnOutput("anomaly"))
	require.False(t, ingest.OwnOutput("my_anomaly_score"))
	require.False(t, ingest.OwnOutput("portent_exporter_series"))
}

func TestCounters(t *testing.T) {
	reg := prometheus.NewPedanticRegistry()
	a := ingest.NewCounters(reg, "remote_write")
	b := ingest.NewCounters(reg, "federate")
	a.Add(ingest.Result{Accepted: 1, Duplicate: 2, OutOfOrder: 3, TooFarAhead: 4, Dropped: 5})
	b.Reject(ingest.ReasonOwnOutput, 7)

	require.NoError(t, testutil.GatherAndCompare(reg, strings.NewReader(`
# HELP portent_exporter_samples_total Samples taken, stale markers included, by the source they came from.
# TYPE portent_exporter_samples_total counter
portent_exporter_samples_total{source="federate"} 0
portent_exporter_samples_total{source="remote_write"} 1
# HELP portent_exporter_samples_duplicate_total Samples that came again with the same time and value, and were ignored.
# TYPE portent_exporter_samples_duplicate_total counter
portent_exporter_samples_duplicate_total{source="federate"} 0
portent_exporter_samples_duplicate_total{source="remote_write"} 2
# HELP portent_exporter_samples_rejected_total Samples not taken, by the source they came from and the reason.
# TYPE portent_exporter_samples_rejected_total counter
portent_exporter_samples_rejected_total{reason="invalid_histogram",source="federate"} 0
portent_exporter_samples_rejected_total{reason="invalid_histogram",source="remote_write"} 0
portent_exporter_samples_rejected_total{reason="invalid_labels",source="federate"} 0
portent_exporter_samples_rejected_total{reason="invalid_labels",source="remote_write"} 0
portent_exporter_samples_rejected_total{reason="label_limit",source="federate"} 0
portent_exporter_samples_rejected_total{reason="label_limit",source="remote_write"} 0
portent_exporter_samples_rejected_total{reason="mixed_series",source="federate"} 0
portent_exporter_samples_rejected_total{reason="mixed_series",source="remote_write"} 0
portent_exporter_samples_rejected_total{reason="out_of_order",source="federate"} 0
portent_exporter_samples_rejected_total{reason="out_of_order",source="remote_write"} 3
portent_exporter_samples_rejected_total{reason="own_output",source="federate"} 7
portent_exporter_samples_rejected_total{reason="own_output",source="remote_write"} 0
portent_exporter_samples_rejected_total{reason="series_limit",source="federate"} 0
portent_exporter_samples_rejected_total{reason="series_limit",source="remote_write"} 5
portent_exporter_samples_rejected_total{reason="source_limit",source="federate"} 0
portent_exporter_samples_rejected_total{reason="source_limit",source="remote_write"} 0
portent_exporter_samples_rejected_total{reason="too_far_ahead",source="federate"} 0
portent_exporter_samples_rejected_total{reason="too_far_ahead",source="remote_write"} 4
`)))
	require.Panics(t, func() { a.Reject("no such reason", 1) })
}
