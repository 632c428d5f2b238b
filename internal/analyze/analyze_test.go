package analyze_test

import (
	"context"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/analyze"
	"github.com/portent-dev/portent/internal/detect"
)

var (
	start   = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)
	actions = func() *analyze.Actions {
		a, err := analyze.ParseActions(analyze.DefaultActionsFile)
		if err != nil {
			panic(err)
		}
		return a
	}()
)

// shaped returns a series of n values, a step apart, with noise of one in a hundred.
func shaped(seed uint64, n int, step time.Duration, labels map[string]string, f func(i float64) float64) analyze.Series {
	r := rand.New(rand.NewPCG(seed, 7))
	s := analyze.Series{Labels: labels}
	for i := range n {
		s.T = append(s.T, start.Add(time.Duration(i)*step).UnixMilli())
		s.V = append(s.V, f(float64(i))*(1+0.01*r.NormFloat64()))
	}
	return s
}

func labels(pairs ...string) map[string]string {
	m := map[string]string{}
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i]] = pairs[i+1]
	}
	return m
}

func run(t *testing.T, of analyze.Type, s detect.Sensitivity, series ...analyze.Series) []analyze.Anomaly {
	t.Helper()
	r, err := analyze.Run(context.Background(), analyze.Request{Cluster: "c", Series: series, Type: of, Sensitivity: s}, actions)
	require.NoError(t, err)
	require.NotNil(t, r.Anomalies)
	return r.Anomalies
}

// one runs an analysis that must find one series, by the given type and by all.
func one(t *testing.T, of analyze.Type, series ...analyze.Series) analyze.Anomaly {
	t.Helper()
	got := run(t, of, detect.Medium, series...)
	require.Len(t, got, 1)
	require.Equal(t, of, got[0].Type)
	all := run(t, analyze.All, detect.Medium, series...)
	require.Len(t, all, 1)
	require.Equal(t, got[0].Series, all[0].Series)
	require.Greater(t, got[0].Score, 1.0)
	return got[0]
}

func minutesFrom(at time.Time) float64 { return at.Sub(start).Minutes() }

// A working set that rises by 40 % over the last 15 minutes of three hours.
func TestLeak(t *testing.T) {
	s := shaped(1, 180, time.Minute, labels("__name__", "container_memory_working_set_bytes", "app", "app-service"), func(i float64) float64 {
		return 4e9 * (1 + 0.4*max(0, i-164)/15)
	})
	a := one(t, analyze.Trend, s)
	require.InDelta(t, 164, minutesFrom(a.Since), 8)
	require.InDelta(t, 5.6e9, a.Observed, 2e8)
	require.InDelta(t, 40, *a.Change, 6)
	require.Equal(t, "bytes", a.Unit)
	require.Regexp(t, `^working set of app-service is (3[5-9]|4[0-6]) % above where its usual course would have led, since 14:\d\d UTC \(5\.\d+ GiB instead of 3\.\d+ GiB\); it has risen steadily$`, a.Explanation)
	require.Contains(t, a.Actions, "Look for a memory leak, first in what was released since the rise began")
	require.Empty(t, run(t, analyze.LevelShift, detect.Medium, s))
}

func TestSpike(t *testing.T) {
	a := one(t, analyze.Spike, shaped(2, 120, time.Minute, labels("__name__", "http_request_duration_seconds", "service", "checkout"), func(i float64) float64 {
		if i == 70 {
			return 1.2
		}
		return 0.2
	}))
	require.Equal(t, start.Add(70*time.Minute), a.Since)
	require.Regexp(t, `^http request duration of checkout was [45]\d\d % above the values around it at 13:10 UTC \(1\.\d+ s instead of \d+ ms\)$`, a.Explanation)
	require.Equal(t, analyze.Critical, a.Severity)
}

func TestStep(t *testing.T) {
	a := one(t, analyze.LevelShift, shaped(3, 120, time.Minute, labels("__name__", "queue_length", "pod", "worker-1"), func(i float64) float64 {
		if i >= 80 {
			return 60
		}
		return 100
	}))
	require.Equal(t, start.Add(80*time.Minute), a.Since)
	require.InDelta(t, -40, *a.Change, 4)
	require.Contains(t, a.Explanation, "queue length of worker-1 is")
	require.Contains(t, a.Explanation, "% below the level before, since 13:20 UTC")
	require.Contains(t, a.Actions, "Look for a release, a change of configuration or of scale at that time")
}

// Four days, and in the last hour what the day shows at noon comes in the evening.
func TestUnusualForTheHour(t *testing.T) {
	daily := func(i float64) float64 { return 100 + 60*math.Sin(2*math.Pi*i/288) }
	s := shaped(4, 4*288+200, 5*time.Minute, labels("__name__", "node_load1", "instance", "a"), func(i float64) float64 {
		if i >= 4*288+188 {
			return daily(i) + 65
		}
		return daily(i)
	})
	got := run(t, analyze.Seasonal, detect.Medium, s)
	require.Len(t, got, 1)
	require.Equal(t, start.Add((4*288+188)*5*time.Minute), got[0].Since)
	require.Contains(t, got[0].Explanation, "node load1 of a is")
	require.Contains(t, got[0].Explanation, "% above what this hour usually shows, since")
	require.Len(t, run(t, analyze.All, detect.Medium, s), 1)

	s = shaped(5, 4*288+200, 5*time.Minute, labels("__name__", "node_load1"), daily)
	require.Empty(t, run(t, analyze.All, detect.Medium, s), "the course of the day is usual")
}

func TestOnePodUnlikeItsSiblings(t *testing.T) {
	var series []analyze.Series
	for i := range 6 {
		level := 1e9
		if i == 3 {
			level = 2e9
		}
		series = append(series, shaped(uint64(i), 60, time.Minute, labels("__name__", "container_memory_working_set_bytes", "pod", fmt.Sprintf("web-%d", i)),
			func(float64) float64 { return level }))
	}
	a := one(t, analyze.Outlier, series...)
	require.Equal(t, "web-3", a.Series["pod"])
	require.Equal(t, start, a.Since)
	require.InDelta(t, 100, *a.Change, 8)
	require.Contains(t, a.Explanation, "working set of web-3 is")
	require.Contains(t, a.Explanation, "% above the median of its siblings, since 12:00 UTC (1.8")
	require.Contains(t, a.Actions, "Compare its node, version and configuration with its siblings")
	require.Empty(t, run(t, analyze.Outlier, detect.Medium, series[2:5]...), "three are no majority")
}

// A counter is judged by its rate: growing is what it does.
func TestCounter(t *testing.T) {
	s := analyze.Series{Labels: labels("__name__", "http_requests_total", "service", "api"), Counter: true}
	total := 5e6
	r := rand.New(rand.NewPCG(1, 1))
	for i := range 120 {
		rate := 50.0
		if i >= 90 {
			rate = 150
		}
		total += 60 * rate * (1 + 0.02*r.NormFloat64())
		if i == 40 {
			total = 60 * rate // a restart
		}
		s.T, s.V = append(s.T, start.Add(time.Duration(i)*time.Minute).UnixMilli()), append(s.V, total)
	}
	a := one(t, analyze.LevelShift, s)
	require.InDelta(t, 150, a.Observed, 10)
	require.InDelta(t, 50, a.Expected, 3)
	require.Equal(t, "per second", a.Unit)
}

func TestNothingUnusual(t *testing.T) {
	normal := rand.New(rand.NewPCG(9, 9))
	level := 0.0
	families := map[string]func(i float64) float64{
		"noise":      func(float64) float64 { return 100 + 10*normal.NormFloat64() },
		"constant":   func(float64) float64 { return 7 },
		"zeros":      func(float64) float64 { return 0 },
		"steady":     func(i float64) float64 { return 1000 + 5*i },
		"sawtooth":   func(i float64) float64 { return 100 + 10*math.Mod(i, 30) },
		"heavy tail": func(float64) float64 { return math.Exp(normal.NormFloat64()) },
		"integers":   func(float64) float64 { return float64(normal.IntN(4)) },
		"smooth":     func(float64) float64 { level = 0.8*level + normal.NormFloat64(); return 100 + level },
	}
	found, all := map[string]int{}, 40
	for _, name := range slices.Sorted(maps.Keys(families)) { // they share the random numbers
		f := families[name]
		for range all {
			s := analyze.Series{Labels: labels("__name__", "m")}
			for i := range 180 {
				s.T, s.V = append(s.T, start.Add(time.Duration(i)*time.Minute).UnixMilli()), append(s.V, f(float64(i)))
			}
			found[name] += len(run(t, analyze.All, detect.Low, s))
		}
	}
	for name, n := range found {
		require.LessOrEqual(t, n, 1, "%s: anomalies in %d unchanged series", name, all)
	}
	require.Empty(t, run(t, analyze.All, detect.Medium), "no series at all")
}

func TestSensitivity(t *testing.T) {
	s := shaped(3, 120, time.Minute, labels("__name__", "m"), func(i float64) float64 {
		if i >= 80 {
			return 112
		}
		return 100
	})
	require.Empty(t, run(t, analyze.LevelShift, detect.Low, s)) // less than 20 %
	medium, high := run(t, analyze.LevelShift, detect.Medium, s), run(t, analyze.LevelShift, detect.High, s)
	require.Len(t, medium, 1)
	require.Len(t, high, 1)
	require.Greater(t, high[0].Score, medium[0].Score)
}

func TestShortSeriesAreSkipped(t *testing.T) {
	r, err := analyze.Run(context.Background(), analyze.Request{Type: analyze.All, Series: []analyze.Series{
		{}, {T: []int64{1}, V: []float64{2}}, {T: []int64{1}, V: []float64{2}, Counter: true},
	}}, actions)
	require.NoError(t, err)
	require.Equal(t, 3, r.Skipped)
	require.Empty(t, r.Anomalies)
}

// The longest series that fits a request, and one that crowds a minute of the day, end
// in a time that does not grow with their square.
func TestLongSeries(t *testing.T) {
	long := shaped(1, 300_000, time.Minute, labels("__name__", "m"), func(i float64) float64 { return 100 + 10*math.Sin(i/230) })
	crowded := shaped(2, 60_000, time.Hour, labels("__name__", "n"), func(float64) float64 { return 5 })
	for i := 30_001; i < len(crowded.T); i++ {
		crowded.T[i] = crowded.T[i-1] + 1
	}
	before := time.Now()
	run(t, analyze.All, detect.Medium, long, crowded)
	require.Less(t, time.Since(before), 20*time.Second)
}

func TestStopsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err := analyze.Run(ctx, analyze.Request{Series: make([]analyze.Series, 1)}, actions)
	require.ErrorIs(t, err, context.Canceled)
}

func TestParseActions(t *testing.T) {
	f := func(text, want string) {
		t.Helper()
		_, err := analyze.ParseActions([]byte(text))
		require.ErrorContains(t, err, want)
	}
	f("rules: [{metric: '(', subject: x}]", "rules[0]: metric: error parsing regexp")
	f("rules: [{metric: a}]", "rules[0]: neither subject nor actions")
	f("rules: [{types: [all], actions: [x]}]", `rules[0]: types: "all" is unknown`)
	f("rules: [{direction: up, actions: [x]}]", `rules[0]: direction: "up"`)
	f("rulez: []", "field rulez not found")
	a, err := analyze.ParseActions(nil)
	require.NoError(t, err)
	r, err := analyze.Run(context.Background(), analyze.Request{Type: analyze.All, Series: []analyze.Series{
		shaped(1, 60, time.Minute, labels("__name__", "app_things_total"), func(i float64) float64 { return 1 + 9*max(0, math.Copysign(1, i-40)) }),
	}}, a)
	require.NoError(t, err)
	require.Len(t, r.Anomalies, 1)
	require.Equal(t, []string{}, r.Anomalies[0].Actions)
	require.Contains(t, r.Anomalies[0].Explanation, "app things is ")
}

// What else moved in the same workload, what was first, and that the load did not, stand in every explanation.
func TestAround(t *testing.T) {
	n := 120
	series := func(name, pod string, from int, rise float64) analyze.Series {
		s := analyze.Series{Labels: map[string]string{"__name__": name, "namespace": "shop", "pod": pod}}
		for i := range n {
			v := 100 + float64(i*7919%7)
			if i >= from {
				v += rise
			}
			s.T, s.V = append(s.T, int64(i)*60_000), append(s.V, v)
		}
		return s
	}
	actions, err := analyze.ParseActions(analyze.DefaultActionsFile)
	require.NoError(t, err)
	got, err := analyze.Run(t.Context(), analyze.Request{Type: analyze.LevelShift, Series: []analyze.Series{
		series("container_memory_working_set_bytes", "checkout-6c5b8d7f9-x7k2p", 80, 100),
		series("queue_length", "checkout-6c5b8d7f9-q9zz4", 70, 60),
		series("http_requests_per_second", "checkout-6c5b8d7f9-x7k2p", n, 0),
		series("queue_length", "other-0", 75, 70),
	}}, actions)
	require.NoError(t, err)
	require.Len(t, got.Anomalies, 3)
	memory := got.Anomalies[0]
	require.Equal(t, "container_memory_working_set_bytes", memory.Series["__name__"])
	require.Contains(t, memory.Explanation, "; also moved: queue length of checkout-6c5b8d7f9-q9zz4 since 01:10")
	require.Contains(t, memory.Explanation, "; request rate is unchanged")
	require.False(t, memory.First)
	require.Len(t, memory.MovedWith, 1)
	require.True(t, memory.MovedWith[0].First)
	for _, a := range got.Anomalies[1:] {
		if a.Series["pod"] == "other-0" {
			require.Empty(t, a.MovedWith)
			continue
		}
		require.True(t, a.First)
		require.Contains(t, a.Explanation, "it was the first")
	}
}

// A counter whose constant rate doubles has stepped: the values beside the step are no spike.
func TestAConstantThatStepsIsNoSpike(t *testing.T) {
	s := analyze.Series{Labels: map[string]string{"__name__": "cpu_seconds_total", "pod": "a"}, Counter: true}
	v := 0.0
	for i := range 240 {
		s.T, s.V = append(s.T, int64(i)*60_000), append(s.V, v)
		v += 30
		if i >= 200 {
			v += 30
		}
	}
	actions, err := analyze.ParseActions(analyze.DefaultActionsFile)
	require.NoError(t, err)
	got, err := analyze.Run(t.Context(), analyze.Request{Type: analyze.All, Series: []analyze.Series{s}}, actions)
	require.NoError(t, err)
	require.Len(t, got.Anomalies, 1)
	require.Equal(t, analyze.LevelShift, got.Anomalies[0].Type)
	require.InDelta(t, 100, *got.Anomalies[0].Change, 1)
}
