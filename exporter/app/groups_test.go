package app

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/detect"
	"github.com/portent-dev/portent/internal/detect/group"
	"github.com/portent-dev/portent/internal/ingest"
)

// Series of a workload that each move a little, together: the group is anomalous, says who has which share, and is published.
func TestGroupsAreJudged(t *testing.T) {
	a := newApp(t, t.TempDir(), `
detection:
  groups: {workload: [namespace, workload]}
  patterns:
    - {name: shop, means: shop, as: value, match: '{namespace="shop"}', in: [workload]}
`)
	h := a.Handler()
	r := rand.New(rand.NewPCG(1, 2))
	const series, ticks, from = 6, 1600, 1500
	now := time.Now().Truncate(time.Second)
	e := a.gate.engine.Load()
	seen, quiet := false, 0
	for i := range ticks {
		at := now.Add(time.Duration(i-ticks) * 15 * time.Second)
		e.SetNow(at.UnixMilli())
		var points []point
		for k := range series {
			v := 100 + 5*r.NormFloat64()
			if i >= from {
				v += 10
			}
			points = append(points, point{labelsOf("__name__", fmt.Sprintf("thing_%d", k), "namespace", "shop", "pod", "checkout-6c5b8d7f9-x7k2p"), at.UnixMilli(), v})
		}
		send(t, h, points...)
		a.tickGroups(at)
		v := &anomaliesView{each: a.gate.engine.Load().ForEach, groups: a.groups.watch.Load(), actions: a.parts.Load().analysis.actions}
		v.name(nil, nil)
		got := v.anomalousGroups(10)
		switch {
		case i < from:
			quiet += len(got)
		case len(got) > 0 && !seen:
			seen = true
			require.Equal(t, map[string]string{"namespace": "shop", "workload": "checkout"}, got[0].Labels)
			require.Contains(t, got[0].Explanation, `workload{namespace="shop", workload="checkout"} is unusual as a whole, since `)
			sum := 0.0
			for _, s := range got[0].Shares {
				sum += s.Share
			}
			require.InDelta(t, 1, sum, 0.01)
			_, metrics := get(t, h, "/metrics")
			require.Contains(t, metrics, "# TYPE anomaly_group_score untyped\nanomaly_group_score{group=\"workload\",namespace=\"shop\",workload=\"checkout\"} ")
			require.NotEmpty(t, anomaliesOf(t, h, "").Groups)
		}
	}
	require.True(t, seen)
	require.LessOrEqual(t, quiet, 4)
	_, metrics := get(t, h, "/metrics")
	require.Contains(t, metrics, "portent_exporter_group_members 6\n")
}

// Whatever the grouping labels are called, what is published can be read.
func TestAppendGroups(t *testing.T) {
	results := func(f func(group.Result) bool) {
		f(group.Result{Group: "g", Score: 1.5, Ready: true, Labels: labelsOf("__name__", "up", "group", `mi"ne`, "job", "node")})
		f(group.Result{Group: "h", Score: 0, Labels: labelsOf("namespace", "shop")})
	}
	got := string(appendGroups(nil, results, "untyped", model.NoEscaping))
	require.Equal(t, []string{
		`anomaly_group_score{group="g",metric="up",exported_group="mi\"ne",job="node"} 1.5`,
		`anomaly_group_score{group="h",namespace="shop"} 0`, "",
	}, strings.Split(got, "\n")[2:])
}

// Group scores are written with the others, and end with their group.
func TestScoreWriterSendsGroups(t *testing.T) {
	w := newScoreWriter(defaultScoreWriter(), families[:2], prometheus.NewRegistry())
	s := append(labelsOf(), groupSeries)
	s = append(s, labelsOfGroup(&group.Result{Group: "g", Labels: labelsOf("namespace", "shop")})...)
	require.Equal(t, []string{"__name__=anomaly_group_score,group=g,namespace=shop,1.5@5"}, spelled(w.collect(each([]testSeries{{s, detect.Output{T: 5, Score: 1.5}}}), 5)))
	require.Equal(t, []string{"__name__=anomaly_group_score,group=g,namespace=shop,stale@7"}, spelled(w.collect(each(nil), 7)))
}

// An explanation says what, by how much, against what, since when, what else moved and what was first, and what did not move.
func TestExplanation(t *testing.T) {
	at := time.Date(2026, 3, 3, 14, 20, 0, 0, time.UTC)
	out := func(reason detect.Reason, value, expected, score float64, ago time.Duration) detect.Output {
		o := detect.Output{T: at.UnixMilli(), Value: value, Expected: expected, Score: score, Ready: true, Reason: reason, Lower: expected * 0.9, Upper: expected * 1.1}
		if score > 1 {
			o.Since = at.Add(-ago).UnixMilli()
		}
		return o
	}
	pod := func(name, pod string) []string {
		return []string{"__name__", name, "namespace", "shop", "pod", "app-service-6c5b8d7f9-" + pod, "container", "app"}
	}
	all := []testSeries{
		{labelsOf(pod("container_cpu_usage_seconds_total", "x7k2p")...), out(detect.ReasonLevel, 1.45, 1, 5, 15*time.Minute)},
		{labelsOf(pod("container_cpu_usage_seconds_total", "q9zz4")...), out(detect.ReasonLevel, 1.4, 1, 3, 14*time.Minute)},
		{labelsOf(pod("container_memory_working_set_bytes", "x7k2p")...), out(detect.ReasonTrend, 6e9, 4e9, 2, 20*time.Minute)},
		{labelsOf(pod("http_requests_total", "x7k2p")...), out(detect.ReasonNone, 100, 99, 0.3, 0)},
		{labelsOf("__name__", "container_memory_working_set_bytes", "namespace", "shop", "pod", "other-0"), out(detect.ReasonLevel, 6e9, 4e9, 2, 0)},
	}
	got := viewOf(all).answer(t)
	require.Equal(t, "CPU use of app-service-* is 45 % above what this hour usually shows, since 14:05 UTC (145 % in place of 100 %); request rate is unchanged. "+
		"Also unusual in shop/app-service: working set of app-service-6c5b8d7f9-x7k2p, 50 % above since 14:00; CPU use of app-service-6c5b8d7f9-q9zz4, 40 % above since 14:06. "+
		"The first was working set of app-service-6c5b8d7f9-x7k2p, at 14:00 UTC.", got[0].Explanation)
	require.Equal(t, "shop/app-service", got[0].Place)
	require.Len(t, got[0].MovedWith, 2)
	require.True(t, got[0].MovedWith[0].First)
	require.NotEmpty(t, got[0].Suggested)
	memory := got[2]
	require.Contains(t, memory.Explanation, "working set of app-service-6c5b8d7f9-x7k2p is rising steadily since 14:00 UTC: it is 50 % above its own history (5.59 GiB in place of 3.73 GiB); request rate is unchanged.")
	require.Contains(t, memory.Explanation, "It was the first.")
	require.True(t, memory.First)
	require.NotContains(t, got[3].Explanation, "Also unusual", "another workload")

	all[3].out = out(detect.ReasonLevel, 200, 100, 2, time.Minute)
	require.Contains(t, viewOf(all).answer(t)[0].Explanation, "; request rate is 100 % above what is usual too.")
}

func (v *anomaliesView) answer(t *testing.T) []anomaly {
	t.Helper()
	all, err := newSelection(nil, nil)
	require.NoError(t, err)
	return v.worst(all, 100).Anomalies
}

// A series that runs into a limit that is known says when; one that goes the other way does not.
func TestLimitsAreForeseen(t *testing.T) {
	l := newLimits()
	limit := 1.0
	limited := func([]ingest.Label, detect.Output) bool { return true }
	up, down := labelsOf("__name__", "disk_used_ratio", "i", "up"), labelsOf("__name__", "disk_used_ratio", "i", "down")
	start := time.Date(2026, 3, 3, 12, 0, 0, 0, time.UTC)
	for i := range 300 { // 5 h, of which 4 are kept
		at := start.Add(time.Duration(i) * time.Minute).UnixMilli()
		v := 0.5 + float64(i)*0.001
		l.look(each([]testSeries{{up, detect.Output{T: at, Value: v, Class: 1, Ready: true}}, {down, detect.Output{T: at, Value: 1 - v, Class: 1, Ready: true}}}), limited)
	}
	at, earliest, _ := l.meets(up, limit)
	require.WithinDuration(t, start.Add(500*time.Minute), at, 30*time.Minute)
	require.False(t, earliest.After(at))
	at, _, _ = l.meets(down, limit)
	require.True(t, at.IsZero() || at.After(start.Add(600*time.Minute)))
	l.look(each(nil), limited)
	at, _, _ = l.meets(up, limit)
	require.True(t, at.IsZero(), "forgotten with its series")
}

// Gaps, jumps of time and values that are none leave nothing wrong behind.
func TestLimitsTakeOddTimes(t *testing.T) {
	l := newLimits()
	limit := 1.0
	limited := func([]ingest.Label, detect.Output) bool { return true }
	s := labelsOf("__name__", "x")
	for _, at := range []int64{5, 1, 500, 499, 5_000_000, 5_000_240, 3, math.MaxUint32} {
		for _, v := range []float64{1, math.NaN(), math.Inf(1), -1e300} {
			l.look(each([]testSeries{{s, detect.Output{T: at * limitStep, Value: v, Class: 1, Ready: true}}}), limited)
			l.meets(s, limit)
		}
	}
	values, _ := l.of(s)
	require.LessOrEqual(t, len(values), limitValues)
}

// What groups cost a scrape of 20,000 series that are all in one, and a look at them.
func BenchmarkGroups(b *testing.B) {
	w, err := group.New(group.Options{Rules: []group.Rule{{Name: "g", Kind: group.Joint, By: []string{"job"}}}})
	require.NoError(b, err)
	g := &groups{}
	g.watch.Store(w)
	series := each(benchSeries(20_000))
	now := time.Now().UnixMilli()
	w.Tick(now, series)
	require.Equal(b, 20_000, w.Stats().Members)
	b.Run("judge", func(b *testing.B) {
		for b.Loop() {
			g.judge(series)(func([]ingest.Label, detect.Output) bool { return true })
		}
	})
	b.Run("tick", func(b *testing.B) {
		for b.Loop() {
			now += 15_000
			w.Tick(now, series)
		}
	})
}
