package detect_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/detect"
)

func TestFinding(t *testing.T) {
	o := detect.Output{T: start, Since: start - 60_000, Value: 9.5e8, Expected: 4e8, Lower: 3e8, Upper: 5e8, Score: 3, Reason: detect.ReasonLevel, Ready: true}
	f := o.Finding(labels("__name__=process_resident_memory_bytes", "job=x"), "combined")
	require.Equal(t, `process_resident_memory_bytes{job="x"} is 906 MiB, 138 % above the 381 MiB expected, since 22:12 UTC.`, f.Sentence())
	require.Equal(t, "level", f.Reason)
	require.Equal(t, int64(start), f.At.UnixMilli())

	unit := func(metric, want string) {
		t.Helper()
		require.Equal(t, want, o.Finding(labels("__name__="+metric), "").Unit)
	}
	unit("node_cpu_seconds_total", "ratio")
	unit("node_network_receive_bytes_total", "bytes per second")
	unit("http_requests_total", "per second")
	unit("request_duration_seconds", "seconds")
	unit("hit_ratio", "ratio")
	unit("node_load1", "")
}
