package app

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/detect"
)

// Series of one host that people call the same are told apart by the labels in which they differ, and by no others.
func TestSiblingsAreToldApart(t *testing.T) {
	at := time.Date(2026, 3, 3, 14, 20, 0, 0, time.UTC)
	out := func(value, score float64, since time.Duration) detect.Output {
		o := detect.Output{T: at.UnixMilli(), Value: value, Expected: 1e-30, Lower: 0, Upper: value / 2, Score: score, Ready: true, Reason: detect.ReasonLevel}
		if score > 1 {
			o.Since = at.Add(-since).UnixMilli()
		}
		return o
	}
	cpu := func(host, cpu, mode string) []string {
		return []string{"__name__", "node_cpu_seconds_total", "instance", host, "job", "node", "cpu", cpu, "mode", mode}
	}
	got := viewOf([]testSeries{
		{labelsOf(cpu("db-1:9100", "0", "user")...), out(0.9, 5, time.Minute)},
		{labelsOf(cpu("db-1:9100", "1", "system")...), out(0.8, 4, time.Minute)},
		{labelsOf(cpu("db-1:9100", "1", "user")...), out(0.1, 0.2, 0)},
		{labelsOf("__name__", "node_load1", "instance", "db-1:9100", "job", "node"), out(9, 3, 2*time.Minute)},
		{labelsOf("__name__", "app_queue", "instance", "a\nb:80", "path", strings.Repeat("x", 200)), out(9, 2, time.Minute)},
		{labelsOf("__name__", "app_queue", "instance", "a\nb:80", "path", "/"), out(9, 0.1, 0)},
	}).answer(t)
	require.Equal(t, "CPU use of db-1:9100 (cpu 0, mode user) is 90 % in place of 0 % that this hour usually shows, since 14:19 UTC. "+
		"Also unusual in db-1:9100: node load1, far above since 14:18; CPU use (cpu 1, mode system), far above since 14:19. The first was node load1, at 14:18 UTC.", got[0].Explanation)
	require.Contains(t, got[1].Explanation, "CPU use of db-1:9100 (cpu 1, mode system) is 80 %")
	require.Equal(t, "node load1 of db-1:9100", got[0].MovedWith[0].Name, "alone of its kind")
	require.Equal(t, "CPU use of db-1:9100 (cpu 1, mode system)", got[0].MovedWith[1].Name)
	require.Contains(t, got[3].Explanation, "app queue of a b:80 (path "+strings.Repeat("x", 63)+"…) is 9 ", "text of labels stays on one line, and short")
}

// What moved with the same sample as others was not the first of them.
func TestNobodyIsFirstOfSeveralAtOnce(t *testing.T) {
	at := time.Date(2026, 3, 3, 14, 20, 0, 0, time.UTC).UnixMilli()
	o := detect.Output{T: at, Since: at, Value: 2, Expected: 1, Upper: 1.5, Score: 2, Ready: true, Reason: detect.ReasonLevel}
	got := viewOf([]testSeries{
		{labelsOf("__name__", "a", "instance", "h"), o}, {labelsOf("__name__", "b", "instance", "h"), o},
	}).answer(t)
	require.Len(t, got, 2)
	for _, a := range got {
		require.False(t, a.First)
		require.False(t, a.MovedWith[0].First)
		require.NotContains(t, a.Explanation, "first")
	}
}

// The unit and the meaning of a preset's entry stand in the explanation.
func TestPresetsExplain(t *testing.T) {
	at := time.Date(2026, 3, 3, 14, 20, 0, 0, time.UTC).UnixMilli()
	v := viewOf([]testSeries{{
		labelsOf("__name__", "node_memory_used", "instance", "h"),
		detect.Output{T: at, Since: at, Value: 0.9, Expected: 0.5, Upper: 0.7, Score: 2, Ready: true, Reason: detect.ReasonLevel, Class: 1},
	}})
	v.class = func(o detect.Output) detect.Class {
		require.EqualValues(t, 1, o.Class)
		return detect.Class{Unit: "ratio", Means: "share of the memory that is not available to programs"}
	}
	a := v.answer(t)[0]
	require.Equal(t, "node memory used of h is 80 % above what this hour usually shows, since 14:20 UTC (90 % in place of 50 %). "+
		"(node_memory_used: share of the memory that is not available to programs.)", a.Explanation)
	require.Equal(t, "ratio", a.Unit)
}

// A constant that moves and a series that stands still are told apart.
func TestSilenceIsToldAsWhatItIs(t *testing.T) {
	f := func(value, expected, lower, upper float64, want string) {
		t.Helper()
		o := detect.Output{Value: value, Expected: expected, Lower: lower, Upper: upper, Ready: true, Score: 2, Reason: detect.ReasonSilence}
		require.Contains(t, phrase(o, o.Finding(labelsOf("__name__", "m"), "combined")), want)
	}
	f(5, 4, 4, 4, "has moved to 5 where it stood still at 4")
	f(3, 4, 3.0001, 4.01, "has moved to 3 where it stood still at 4")
	f(4.2, 4, 2, 4.19, "stands still at 4.2 where it usually moves")
	f(4, 4, 2, 6, "stands still at 4 where it usually moves")
	f(0, 4, 1e-300, 6, "has fallen silent: it is 0")
}
