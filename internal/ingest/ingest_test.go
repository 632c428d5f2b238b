package ingest_test

import (
	"math"
	"testing"

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
