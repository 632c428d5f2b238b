package group_test

import (
	"fmt"
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/detect"
	"github.com/portent-dev/portent/internal/ingest"
)

// outputs returns a visitor of series that show these values.
func outputs(at int64, values map[string]float64) func(func([]ingest.Label, detect.Output) bool) {
	return func(f func([]ingest.Label, detect.Output) bool) {
		for name, v := range values {
			if !f(labelsOf(name), detect.Output{T: at, Value: v, Expected: v, Ready: true}) {
				return
			}
		}
	}
}

// How long something is told goes by time, not by how often somebody looks: a member unlike its peers is told for half an hour, which
// is one look where looks are an hour apart.
func TestRareTicksAreNoPause(t *testing.T) {
	f := newFleet(t, peersOf, 7)
	told := 0
	for i := range 2400 {
		f.at += 3_600_000
		m := pods(f, 8, 5)
		if i >= 2390 {
			m["cpu shop web-7d9c5b8f6d-"+suffix(2)] *= 3
		}
		f.watch.Tick(f.at, outputs(f.at, m))
		for _, r := range f.results() {
			if r.Score > 1 {
				require.GreaterOrEqual(t, i, 2000)
				told++
			}
		}
	}
	require.Positive(t, told)
	require.LessOrEqual(t, told, 2)
}

// A clock that is set back by a day does not stop the groups for a day, and nothing of the future stays.
func TestClockSetBack(t *testing.T) {
	f := newFleet(t, joint, 8)
	for range 300 {
		f.tick(normals(f, 3, 0, 0))
	}
	f.watch.Tick(f.at+24*3_600_000, outputs(f.at, normals(f, 3, 0, 0)))
	f.at += 2 * step
	f.watch.Tick(f.at, outputs(f.at, normals(f, 3, 0, 0)))
	f.at += step
	f.watch.Tick(f.at, outputs(f.at, map[string]float64{"other bank db-0": 1}))
	for range 3 {
		f.at += step
		f.watch.Tick(f.at, outputs(f.at, map[string]float64{"other bank db-0": 1}))
	}
	vanished := false
	for _, r := range f.results() {
		vanished = vanished || r.Vanished
	}
	require.True(t, vanished, "what is gone is seen by the clock that holds now")
	f.watch.Tick(f.at-1, outputs(f.at, normals(f, 3, 0, 0)))
	require.Equal(t, 4, f.watch.Stats().Members, "a moment back is no clock that was set")
}

// A series that found no room finds it when others have gone.
func TestRefusedSeriesComeInLater(t *testing.T) {
	o := joint
	o.MaxMembers = 3
	f := newFleet(t, o, 9)
	all := map[string]float64{"m0 a x-0": 1, "m1 a x-0": 1, "m2 a x-0": 1}
	for range 5 {
		f.at += step
		f.watch.Tick(f.at, outputs(f.at, all))
	}
	late := map[string]float64{"late bank db-0": 1}
	all["late bank db-0"] = 1
	f.at += step
	f.watch.Tick(f.at, outputs(f.at, all))
	require.Equal(t, 3, f.watch.Stats().Members)
	require.EqualValues(t, 1, f.watch.Stats().Dropped)
	for range 100 {
		f.at += step
		f.watch.Tick(f.at, outputs(f.at, late))
	}
	require.Equal(t, 1, f.watch.Stats().Members)
	require.Equal(t, "bank", f.results()[0].Labels[0].Value)
}

// A group whose end is explained, by maintenance or a rollout, has not vanished; the next one that goes without a word has.
func TestExcusedGroupHasNotVanished(t *testing.T) {
	o := joint
	excused := "shop"
	o.Excused = func(_ int64, labels []ingest.Label) bool { return labels[1].Value == excused }
	f := newFleet(t, o, 10)
	lives := func(n int, of ...string) (told []string) {
		for range n {
			m := map[string]float64{"stays ops a-0": 1}
			for _, namespace := range of {
				m["m "+namespace+" a-0"] = 1
			}
			f.at += step
			f.watch.Tick(f.at, outputs(f.at, m))
			for _, r := range f.results() {
				if r.Vanished {
					told = append(told, r.Labels[0].Value)
				}
			}
		}
		return told
	}
	require.Empty(t, lives(100, "shop", "bank"))
	require.Empty(t, lives(1, "bank"), "it has just gone")
	excused = "" // the window ends
	require.Empty(t, lives(20, "bank"))
	require.Contains(t, lives(5), "bank")
}

// Values at the ends of what a float holds leave nothing behind: the odd one is found afterwards.
func TestPeersSurviveAbsurdValues(t *testing.T) {
	f := newFleet(t, peersOf, 11)
	odd := "cpu shop web-7d9c5b8f6d-" + suffix(3)
	found := false
	for i := range 3000 {
		m := pods(f, 8, 5)
		switch {
		case i == 500:
			for k := range m {
				m[k] = []float64{math.MaxFloat64, -math.MaxFloat64}[f.rand.IntN(2)]
			}
		case i >= 2990:
			m[odd] *= 10
		}
		f.at += step
		f.watch.Tick(f.at, outputs(f.at, m))
		for _, r := range f.results() {
			require.False(t, math.IsNaN(r.Score))
			found = found || i >= 2990 && r.Score > 1 && fmt.Sprint(r.Shares[0].Labels) == fmt.Sprint(labelsOf(odd))
		}
	}
	require.True(t, found)
}
