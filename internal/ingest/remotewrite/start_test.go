package remotewrite

import (
	"testing"

	writev2 "github.com/prometheus/prometheus/prompb/io/prometheus/write/v2"
	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/ingest"
)

// The start of a counter goes along with its samples and histograms, whichever of the three places it stands in; its own goes before
// that of the series, which older senders have.
func TestStartTimestamps(t *testing.T) {
	message := func(created byte) []byte {
		r := writev2.Request{
			Symbols: []string{"", "__name__", "c_total"},
			Timeseries: []writev2.TimeSeries{{
				LabelsRefs: []uint32{1, 2},
				Samples:    []writev2.Sample{{Timestamp: 1000, Value: 5, StartTimestamp: 400}, {Timestamp: 2000, Value: 6}},
				Histograms: []writev2.Histogram{{Timestamp: 1000, StartTimestamp: 300}, {Timestamp: 2000}},
			}},
		}
		b, err := r.Timeseries[0].Marshal()
		require.NoError(t, err)
		if created > 0 {
			b = append([]byte{seriesCreated << 3, created}, b...) // before what it is for
		}
		r.Timeseries = nil
		out, err := r.Marshal()
		require.NoError(t, err)
		return append(append(out, 5<<3|2, byte(len(b))), b...)
	}
	d := decoder{maxLabels: 10, maxItems: 100}
	f := func(created byte, samples, histograms []int64) {
		t.Helper()
		seen := false
		require.NoError(t, d.v2(message(created), func(s *series) {
			seen = true
			require.Equal(t, []ingest.Sample{{T: 1000, V: 5, Start: samples[0]}, {T: 2000, V: 6, Start: samples[1]}}, s.samples)
			for i, h := range s.histograms {
				require.Equal(t, histograms[i], h.start)
			}
		}))
		require.True(t, seen)
	}
	f(0, []int64{400, 0}, []int64{300, 0})
	f(77, []int64{400, 77}, []int64{300, 77})
}
