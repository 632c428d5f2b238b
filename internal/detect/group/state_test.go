package group_test

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/detect"
	"github.com/portent-dev/portent/internal/detect/group"
	"github.com/portent-dev/portent/internal/ingest"
)

var everything = group.Options{
	Rules: []group.Rule{
		{Name: "namespace", Kind: group.Joint, By: []string{"namespace"}, Match: func(ls []ingest.Label) bool { return ls[0].Value != "load" }},
		{Name: "pods", Kind: group.Peers, By: []string{"namespace"}, Match: metricIs("cpu")},
	},
	Contexts: []group.Context{{Name: "traffic", Match: metricIs("memory"), With: metricIs("load"), On: []string{"namespace"}}},
}

func mixed(f *fleet, memory, load float64) map[string]float64 {
	m := normals(f, 6, 0, 0)
	for i := range 6 {
		m["cpu shop web-"+suffix(i)] = 10 + f.rand.NormFloat64()
	}
	m["memory shop web-0"], m["load shop web-0"] = memory+5*f.rand.NormFloat64(), load+f.rand.NormFloat64()
	return m
}

// restarted returns a fleet whose groups were restored after the exporter was away for so many minutes.
func restarted(t *testing.T, o group.Options, state []byte, from *fleet, away int64) *fleet {
	t.Helper()
	w, err := group.New(o)
	require.NoError(t, err)
	next := *from
	next.watch, next.at = w, from.at+away*step
	next.engine.SetNow(next.at)
	_, err = w.Restore(state, next.at)
	require.NoError(t, err)
	return &next
}

// What is restored goes on at the first look as if nothing had been, and so does what is restored from that before any look.
func TestStateIsRestored(t *testing.T) {
	f := newFleet(t, everything, 21)
	for range 600 {
		f.tick(mixed(f, 1000, 50))
	}
	before := f.results()
	require.Len(t, before, 2)
	for _, r := range before {
		require.True(t, r.Ready)
	}
	state := f.watch.AppendState(nil)
	next := restarted(t, everything, state, f, 10)
	again := restarted(t, everything, next.watch.AppendState(nil), f, 10)
	for _, f := range []*fleet{next, again} {
		require.Zero(t, f.watch.Stats().Members, "nobody has come yet")
		f.tick(mixed(f, 1000, 50))
		after := f.results()
		require.Len(t, after, 2)
		for i, r := range after {
			require.True(t, r.Ready)
			require.Equal(t, before[i].Labels, r.Labels)
			require.Equal(t, before[i].Members, r.Members)
			require.LessOrEqual(t, r.Score, 1.0)
		}
	}
	// Peers and contexts speak at once.
	odd, explained := 0, 0
	for range 20 {
		m := mixed(next, 1400, 80)
		m["cpu shop web-"+suffix(2)] += 15
		next.tick(m)
		for _, r := range next.results() {
			if r.Kind == group.Peers && r.Score > 1 {
				odd++
			}
		}
		next.engine.ForEach(func(ls []ingest.Label, o detect.Output) bool {
			if ls[0].Value == "memory" && o.Score > 1 && next.watch.Judge(ls, o).ExplainedBy != "" {
				explained++
			}
			return true
		})
	}
	require.Positive(t, odd)
	require.Positive(t, explained)
}

// Members that do not come again are forgotten, with their group, which is told for a while; not right after the start.
func TestRestoredGroupThatDoesNotComeAgain(t *testing.T) {
	f := newFleet(t, joint, 22)
	for range 300 {
		f.tick(normals(f, 4, 0, 0))
	}
	next := restarted(t, joint, f.watch.AppendState(nil), f, 30)
	other := func() map[string]float64 { return map[string]float64{"m0 other web-0": next.rand.NormFloat64()} }
	told := 0
	for i := range 50 {
		next.at += step
		a := next.engine.Appender()
		for name, v := range other() {
			a.Append(labelsOf(name), ingest.KindGauge, []ingest.Sample{{T: next.at, V: v}})
		}
		a.Commit()
		next.engine.SetNow(next.at)
		next.watch.Tick(next.at, func(f func([]ingest.Label, detect.Output) bool) {
			next.engine.ForEach(func(ls []ingest.Label, o detect.Output) bool { return ls[1].Value != "other" || f(ls, o) })
		})
		for _, r := range next.results() {
			if r.Vanished {
				require.GreaterOrEqual(t, i, 5)
				told++
			}
		}
	}
	require.Positive(t, told)
	require.Equal(t, 1, next.watch.Stats().Groups)
}

// Rules that are there no more are left out; what is new learns.
func TestRestoreWithOtherRules(t *testing.T) {
	f := newFleet(t, everything, 23)
	for range 400 {
		f.tick(mixed(f, 1000, 50))
	}
	o := everything
	o.Rules = []group.Rule{{Name: "new", Kind: group.Joint, By: []string{"pod"}}, everything.Rules[0]}
	o.Contexts = nil
	next := restarted(t, o, f.watch.AppendState(nil), f, 1)
	next.tick(mixed(next, 1000, 50))
	for _, r := range next.results() {
		require.Equal(t, r.Group == "namespace", r.Ready)
	}
	o.MaxMembers = 3
	w, err := group.New(o)
	require.NoError(t, err)
	n, err := w.Restore(f.watch.AppendState(nil), f.at)
	require.NoError(t, err)
	require.Equal(t, 3, n)
}

func TestRestoreNothing(t *testing.T) {
	w, err := group.New(everything)
	require.NoError(t, err)
	n, err := w.Restore(w.AppendState(nil), start)
	require.NoError(t, err)
	require.Zero(t, n)
}

func TestRestoreRefuses(t *testing.T) {
	f := newFleet(t, everything, 24)
	for range 50 {
		f.tick(mixed(f, 1000, 50))
	}
	state := f.watch.AppendState(nil)
	refused := func(data []byte, now int64, want error, why string) {
		t.Helper()
		w, err := group.New(everything)
		require.NoError(t, err)
		n, err := w.Restore(data, now)
		require.ErrorIs(t, err, want, why)
		require.Zero(t, n)
		require.Equal(t, group.Stats{}, w.Stats())
	}
	for i := range state {
		if i%7 == 0 || i < 32 || i > len(state)-8 {
			b := append([]byte(nil), state...)
			b[i] ^= 0x10
			refused(b, f.at, detect.ErrCorrupt, fmt.Sprint("byte ", i))
		}
	}
	for _, n := range []int{0, 1, 21, len(state) / 2, len(state) - 1} {
		refused(state[:n], f.at, detect.ErrCorrupt, "cut short")
	}
	refused(append(append([]byte(nil), state...), 0), f.at, detect.ErrCorrupt, "too long")
	refused(state, f.at+8*24*60*step, group.ErrOld, "old")
	b := append([]byte(nil), state...)
	b[8]++
	refused(sealed(b[:len(b)-4]), f.at, detect.ErrVersion, "layout")
	refused(sealed(append([]byte(nil), state[:len(state)-8]...)), f.at, detect.ErrCorrupt, "well sealed, and wrong")
}

// sealed appends the right checksum.
func sealed(b []byte) []byte {
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)))
}

// Whatever is written, reading it neither crashes nor leaves a Watch that does.
func FuzzRestore(f *testing.F) {
	w, err := group.New(everything)
	require.NoError(f, err)
	series := func(f func([]ingest.Label, detect.Output) bool) {
		for _, metric := range []string{"cpu", "load", "memory", "m"} {
			for i := range 5 {
				f(labelsOf(fmt.Sprintf("%s shop web-%s", metric, suffix(i))), detect.Output{T: start, Value: float64(i), Expected: 1, Score: 0.5, Ready: true})
			}
		}
	}
	for i := range 5 {
		w.Tick(start+int64(i)*step, series)
	}
	f.Add(w.AppendState(nil)[8+2+8:])
	f.Fuzz(func(t *testing.T, body []byte) {
		w, err := group.New(everything)
		require.NoError(t, err)
		head := binary.LittleEndian.AppendUint64(append([]byte("portentg"), 2, 0), uint64(start))
		if _, err := w.Restore(sealed(append(head, body...)), start+step); err != nil {
			require.ErrorIs(t, err, detect.ErrCorrupt)
		}
		for i := range 50 {
			w.Tick(start+int64(i+2)*step, series)
			w.Results(func(r group.Result) bool {
				require.GreaterOrEqual(t, r.Score, 0.0)
				require.LessOrEqual(t, r.Score, float64(detect.MaxScore))
				require.Equal(t, r.Score > 1, r.Since != 0)
				return true
			})
		}
		w.AppendState(nil)
	})
}

// Writing the state of as many members as there may be.
func BenchmarkAppendState(b *testing.B) {
	w, err := group.New(joint)
	require.NoError(b, err)
	w.Tick(start, func(f func([]ingest.Label, detect.Output) bool) {
		for i := range group.DefaultMaxMembers {
			f(labelsOf(fmt.Sprintf("m%d shop-%d web-0", i, i%1000)), detect.Output{T: start, Ready: true})
		}
	})
	var state []byte
	for b.Loop() {
		state = w.AppendState(state[:0])
	}
	b.ReportMetric(float64(len(state))/group.DefaultMaxMembers, "B/member")
}
