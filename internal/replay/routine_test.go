package replay_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/detect"
	"github.com/portent-dev/portent/internal/ingest"
	"github.com/portent-dev/portent/internal/replay"
)

// The fourth night of a job is held back; another time, and a series without samples, are not.
func TestRoutineIsHeldBack(t *testing.T) {
	const day, night = int64(24 * 3_600_000), int64(1_780_000_000_000)
	labels := []ingest.Label{{Name: "__name__", Value: "cpu"}}
	r := replay.NewRoutine(nil)
	show := func(at int64) detect.Output {
		o := detect.Output{T: at, Value: 300, Expected: 100, Lower: 90, Upper: 110, Score: 3, Since: at, Ready: true, Reason: detect.ReasonLevel}
		return r.Show(labels, o)
	}
	for d := range int64(3) {
		for m := range int64(30) {
			require.InDelta(t, 3, show(night+d*day+m*60_000).Score, 0, "night %d", d)
		}
	}
	got := show(night + 3*day)
	require.InDelta(t, 0.9, got.Score, 0)
	require.Zero(t, got.Since)
	require.InDelta(t, 300, got.Upper, 0)
	require.InDelta(t, 3, show(night+3*day+6*3_600_000).Score, 0, "another time of the day")
	missing := detect.Output{T: night + 4*day, Score: 3, Since: 1, Ready: true, Missing: true}
	require.Equal(t, missing, r.Show(labels, missing))
}
