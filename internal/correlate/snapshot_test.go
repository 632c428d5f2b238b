package correlate

import (
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
)

// What was learned survives a restart: the same alert comes as usual, and what is added again counts once.
func TestSnapshot(t *testing.T) {
	e := New(Options{SkipLabels: []string{"cluster"}})
	var all []Alert
	for n := range 12 {
		a := al("Slow cluster=c1 namespace=shop service=api", float64(60*n), float64(60*n+5))
		b := al("Errors cluster=c1 namespace=shop service=api", float64(60*n+1), float64(60*n+5))
		a.ID, b.ID = int64(2*n+1), int64(2*n+2)
		all = append(all, a, b)
	}
	for _, a := range all {
		e.Add(a)
		e.Regroup(a.Start)
		e.End(a.ID, a.End)
	}
	b, err := e.Snapshot()
	require.NoError(t, err)

	r := New(Options{SkipLabels: []string{"cluster"}})
	require.NoError(t, r.Restore(b))
	for _, a := range all { // as triage does with the incidents it loads
		r.Add(a)
	}
	r.Regroup(ms(720))
	next := al("Slow cluster=c1 namespace=shop service=api", 721, 0)
	next.ID = 99
	for _, x := range []*Engine{e, r} {
		x.Add(next)
		x.Regroup(ms(722))
	}
	require.Equal(t, e.Past(99), r.Past(99))
	require.Positive(t, r.Past(99).Alert)
	require.Equal(t, e.memory.names, r.memory.names)
	require.Equal(t, e.memory.together, r.memory.together)
	require.Equal(t, e.memory.bursts, r.memory.bursts)
	require.InDelta(t, e.memory.density(hash("c1"), ms(721)), r.memory.density(hash("c1"), ms(721)), 1e-9)
}

func TestRestoreRefusesWhatIsNone(t *testing.T) {
	e := New(Options{})
	for _, b := range [][]byte{nil, []byte("x"), make([]byte, maxSnapshot+1)} {
		require.ErrorContains(t, e.Restore(b), "restore what was learned")
	}
}

func TestSnapshotIsBounded(t *testing.T) {
	e := New(Options{})
	for n := range maxKept + 100 {
		put(e.memory.fired, hash(strconv.Itoa(n)), int64(n))
	}
	b, err := e.Snapshot()
	require.NoError(t, err)
	r := New(Options{})
	require.NoError(t, r.Restore(b))
	require.Len(t, r.memory.fired, maxKept)
	require.Nil(t, r.memory.fired[hash("0")], "the oldest go")
}

func FuzzRestore(f *testing.F) {
	e := New(Options{})
	e.Add(al("Slow cluster=c1 namespace=shop", 1, 0))
	e.Regroup(ms(2))
	b, err := e.Snapshot()
	require.NoError(f, err)
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		e := New(Options{})
		if e.Restore(b) == nil {
			e.Add(al("Slow cluster=c1 namespace=shop", 1, 0))
			e.Regroup(ms(2))
		}
	})
}
