package replay_test

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/detect"
	"github.com/portent-dev/portent/internal/ingest"
	"github.com/portent-dev/portent/internal/replay"
)

const minute = int64(60_000)

// start is Monday 2026-03-02 00:00 UTC.
const start = int64(1772409600_000)

// output is one with this score, at a minute.
func output(at int64, score float64) detect.Output {
	return detect.Output{T: start + at*minute, Value: float64(at), Score: score, Ready: true, Expected: 1, Lower: 0, Upper: 2}
}

func TestFirings(t *testing.T) {
	f := func(name string, holdMinutes int64, scores []float64, want ...string) {
		t.Run(name, func(t *testing.T) {
			r := replay.NewRecorder(holdMinutes * minute)
			for i, s := range scores {
				r.Add(output(int64(i), s))
			}
			kept, total := r.Firings()
			var got []string
			for _, k := range kept {
				s := fmt.Sprintf("%d-%d peak %g", (k.Start-start)/minute, (k.End-start)/minute, k.Peak.Score)
				if k.Open {
					s += " open"
				}
				got = append(got, s)
			}
			require.Equal(t, want, got)
			require.Len(t, kept, total)
		})
	}
	f("none", 0, []float64{0, 0.5, 1, 1})
	f("one sample", 0, []float64{0, 1.5, 0.5}, "1-2 peak 1.5")
	f("between 0.8 and 1 it goes on", 0, []float64{2, 0.9, 3, 0.9, 0.8, 0.9}, "0-4 peak 3")
	f("two", 0, []float64{2, 0, 0, 2, 0}, "0-1 peak 2", "3-4 peak 2")
	f("open at the end", 0, []float64{0, 0, 2, 3}, "2-3 peak 3 open")
	f("too short to hold", 2, []float64{0, 2, 2, 0.9, 2, 2, 0})
	f("held", 2, []float64{0, 2, 2, 2, 0}, "1-4 peak 2")
	f("not yet held at the end", 2, []float64{0, 2, 2})
}

// However many samples come, a recorder keeps a bounded part of them, and the peak.
func TestRecorderIsBounded(t *testing.T) {
	r := replay.NewRecorder(0)
	const n = 100_000
	for i := range int64(n) {
		score := 0.0
		if i%7 == 0 {
			score = 2
		}
		if i == 77_777 {
			score = 42
		}
		r.Add(output(i, score))
	}
	kept, total := r.Firings()
	require.Len(t, kept, 200)
	require.Equal(t, n/7+1, total)
	require.Equal(t, n, r.Samples())
	require.InDelta(t, 42, r.Peak(), 0)
	var b strings.Builder
	rep := replay.Report{From: time.UnixMilli(start), To: time.UnixMilli(start + n*minute)}
	rep.Add([]ingest.Label{{Name: "__name__", Value: "x"}}, r)
	require.NoError(t, rep.HTML(&b))
	require.Less(t, b.Len(), 300_000)
}

// wave is two days of a daily wave a minute, and a value that is out of place.
func wave(name string, spike int64) replay.Series {
	s := replay.Series{Labels: []ingest.Label{{Name: "__name__", Value: "memory_bytes"}, {Name: "pod", Value: name}}}
	seed := uint64(len(name)) + 1
	for i := range int64(2 * 1440) {
		seed = seed*6364136223846793005 + 1442695040888963407
		v := 1000 + 200*math.Sin(2*math.Pi*float64(i)/1440) + float64(seed>>40)/float64(1<<24)*20
		if spike > 0 && i >= spike && i < spike+10 {
			v *= 3
		}
		s.Samples = append(s.Samples, ingest.Sample{T: start + i*minute, V: v})
	}
	return s
}

// What fired is the disturbance and nothing else, in the same way whether the past comes in one page or in many.
func TestReplay(t *testing.T) {
	all := []replay.Series{wave("quiet", 0), wave("loud", 2000)}
	run := func(pages int) replay.Report {
		r, err := replay.New(replay.Options{Detect: detect.Options{Sensitivity: detect.Medium}, HoldMs: minute})
		require.NoError(t, err)
		n := len(all[0].Samples)
		for k := range pages {
			var page []replay.Series
			for _, s := range all {
				s.Samples = s.Samples[k*n/pages : (k+1)*n/pages]
				page = append(page, s)
			}
			r.Take(replay.Page{Series: page})
		}
		return r.Report("memory_bytes")
	}
	whole := run(1)
	require.Equal(t, 2*2880, whole.Samples)
	require.Len(t, whole.Series, 2)
	first := whole.Series[0]
	require.Equal(t, "loud", first.Labels["pod"])
	require.NotZero(t, first.FiringsTotal)
	require.Equal(t, start+2000*minute, first.Firings[0].Start.UnixMilli())
	require.Contains(t, first.Firings[0].Explanation, "above")
	require.Zero(t, whole.Series[1].FiringsTotal)

	var one, many strings.Builder
	require.NoError(t, whole.Table(&one, 0))
	parts := run(7)
	require.NoError(t, parts.Table(&many, 0))
	require.Equal(t, one.String(), many.String())
	require.Contains(t, one.String(), "2026-03-03 09:20")
}

func TestPageEscapesLabels(t *testing.T) {
	r := replay.NewRecorder(0)
	for i := range int64(50) {
		r.Add(output(i, float64(i)/20))
	}
	rep := replay.Report{Title: "<script>alert(1)</script>", From: time.UnixMilli(start), To: time.UnixMilli(start + 50*minute)}
	rep.Add([]ingest.Label{{Name: "__name__", Value: "x"}, {Name: "v", Value: `"><img src=x onerror=alert(2)>`}}, r)
	var b strings.Builder
	require.NoError(t, rep.HTML(&b))
	require.NotContains(t, b.String(), "<script>")
	require.NotContains(t, b.String(), "<img")
	require.NotContains(t, b.String(), "http://") // nothing from elsewhere
	require.NotContains(t, b.String(), "https://")
	require.NotContains(t, b.String(), "NaN")
}

// No value and no band draw nothing; a single sample and infinities neither.
func TestPageOfOddSeries(t *testing.T) {
	f := func(outs ...detect.Output) {
		t.Helper()
		r := replay.NewRecorder(0)
		for _, o := range outs {
			r.Add(o)
		}
		rep := replay.Report{From: time.UnixMilli(start), To: time.UnixMilli(start + minute)}
		rep.Add(nil, r)
		var b strings.Builder
		require.NoError(t, rep.HTML(&b))
		require.NotContains(t, b.String(), "NaN")
		require.NotContains(t, b.String(), "Inf")
	}
	f(output(0, 0))
	f(detect.Output{T: start, Value: math.NaN()}, detect.Output{T: start + minute, Value: math.Inf(1)})
	f(output(0, 100), detect.Output{T: start + minute, Value: -math.MaxFloat64, Score: 100, Ready: true, Expected: 0, Lower: -math.MaxFloat64, Upper: math.MaxFloat64})
}
