package allowance_test

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/allowance"
	"github.com/portent-dev/portent/internal/ingest"
)

const day = int64(24 * 3_600_000)

// now is Tuesday 2026-03-03 14:00 UTC.
var now = time.Date(2026, 3, 3, 14, 0, 0, 0, time.UTC).UnixMilli()

func labels(pairs ...string) (out []ingest.Label) {
	for i := 0; i < len(pairs); i += 2 {
		out = append(out, ingest.Label{Name: pairs[i], Value: pairs[i+1]})
	}
	slices.SortFunc(out, func(a, b ingest.Label) int { return strings.Compare(a.Name, b.Name) })
	return out
}

func dismissed(id string, at int64, pairs ...string) allowance.Feedback {
	f := allowance.Feedback{ID: id, Verdict: allowance.Dismissed, At: at, Reason: "known batch", Labels: map[string]string{}}
	for i := 0; i < len(pairs); i += 2 {
		f.Labels[pairs[i]] = pairs[i+1]
	}
	return f
}

func factor(b *allowance.Book, at int64, pairs ...string) float64 {
	f, _ := b.At(at).Factor(labels(pairs...))
	return f
}

func TestFeedback(t *testing.T) {
	b := allowance.New(allowance.Defaults())
	require.Nil(t, b.At(now), "nobody said anything: no work for a pass")
	series := []string{"metric", "memory_bytes", "namespace", "shop", "pod", "checkout-6c5b8d7f9-x7k2p", "alertname", "SeriesAnomalous"}
	c, err := b.Tell(dismissed("1", now, series...))
	require.NoError(t, err)
	require.Equal(t, map[string]string{"__name__": "memory_bytes", "namespace": "shop", "workload": "checkout"}, c.Labels)
	require.InDelta(t, 1.3, c.Factor, 1e-9)

	sibling := []string{"__name__", "memory_bytes", "namespace", "shop", "pod", "checkout-6c5b8d7f9-qq9zz"}
	require.InDelta(t, 1.3, factor(b, now, sibling...), 1e-9)
	require.InDelta(t, 1, factor(b, now, "__name__", "cpu", "namespace", "shop", "pod", "checkout-6c5b8d7f9-qq9zz"), 0, "another metric")
	require.InDelta(t, 1, factor(b, now, "__name__", "memory_bytes", "namespace", "shop", "pod", "cart-6c5b8d7f9-qq9zz"), 0, "another workload")

	// The same call again, as after a lost answer, changes nothing.
	c, err = b.Tell(dismissed("1", now, series...))
	require.NoError(t, err)
	require.Len(t, c.Verdicts, 1)

	for i := range 100 {
		_, err = b.Tell(dismissed(fmt.Sprint("more", i), now, series...))
		require.NoError(t, err)
	}
	require.InDelta(t, 2.5, factor(b, now, sibling...), 0, "bounded")
	require.Len(t, b.Classes(now)[0].Verdicts, 50)
	require.Less(t, factor(b, now+200*day, sibling...), 1.2, "fades")
	why := b.At(now).Explain(labels(sibling...)).Why
	require.Len(t, why, 1)
	require.Contains(t, why[0].Text, "dismissed (known batch)")

	for _, v := range b.Classes(now)[0].Verdicts {
		_, ok := b.Undo(v.ID, now)
		require.True(t, ok)
	}
	require.Nil(t, b.At(now), "undone")
	_, ok := b.Undo("1", now)
	require.False(t, ok)
}

func TestConfirmationsLower(t *testing.T) {
	b := allowance.New(allowance.Defaults())
	f := dismissed("a", now, "__name__", "x")
	f.Verdict = allowance.Confirmed
	for i := range 20 {
		f.ID = strconv.Itoa(i)
		_, err := b.Tell(f)
		require.NoError(t, err)
	}
	require.InDelta(t, 0.75, factor(b, now, "__name__", "x"), 0)
	raised, lowered := b.Raised(now)
	require.Equal(t, []int{0, 1}, []int{raised, lowered})
}

func TestFeedbackIsChecked(t *testing.T) {
	b := allowance.New(allowance.Defaults())
	f := func(want string, change func(*allowance.Feedback)) {
		t.Helper()
		x := dismissed("1", now, "__name__", "x")
		change(&x)
		_, err := b.Tell(x)
		require.ErrorContains(t, err, want)
	}
	f("id", func(f *allowance.Feedback) { f.ID = "" })
	f("id", func(f *allowance.Feedback) { f.ID = strings.Repeat("x", 201) })
	f("verdict", func(f *allowance.Feedback) { f.Verdict = "maybe" })
	f("labels", func(f *allowance.Feedback) { f.Labels = nil })
	f("labels", func(f *allowance.Feedback) { f.Labels = map[string]string{"job": "x"} })
	f("reason", func(f *allowance.Feedback) { f.Reason = strings.Repeat("x", 1001) })
	f("labels", func(f *allowance.Feedback) {
		for i := range 100 {
			f.Labels[fmt.Sprint("l", i)] = "x"
		}
	})
	require.Empty(t, b.Classes(now))
}

// Whoever sends verdicts on ever new series does not make the book grow.
func TestClassesAreBounded(t *testing.T) {
	b := allowance.New(allowance.Defaults())
	for i := range allowance.MaxClasses + 50 {
		_, err := b.Tell(dismissed(strconv.Itoa(i), now+int64(i), "__name__", fmt.Sprint("m", i)))
		require.NoError(t, err)
	}
	require.Len(t, b.Classes(now), allowance.MaxClasses)
	require.InDelta(t, 1, factor(b, now, "__name__", "m0"), 0, "the one spoken of longest ago is gone")
	_, ok := b.Undo("0", now)
	require.False(t, ok)
}

func TestWindows(t *testing.T) {
	f := func(name string, w allowance.Window, open ...string) {
		t.Run(name, func(t *testing.T) {
			w.Match = []string{`{namespace="db"}`, `up{job=~"n.*"}`}
			require.NoError(t, w.Prepare())
			b := allowance.New(allowance.Defaults())
			b.Plan([]allowance.Window{w})
			for _, text := range open {
				want := 4.0
				text, closed := strings.CutPrefix(text, "not ")
				if closed {
					want = 1
				}
				at, err := time.Parse("2006-01-02T15:04", text)
				require.NoError(t, err)
				require.InDelta(t, want, factor(b, at.UnixMilli(), "__name__", "x", "namespace", "db"), 0, text)
				require.InDelta(t, 1, factor(b, at.UnixMilli(), "__name__", "x", "namespace", "shop"), 0, text)
			}
		})
	}
	f("once", allowance.Window{Start: now, End: now + 3_600_000}, "not 2026-03-03T13:59", "2026-03-03T14:00", "2026-03-03T14:59", "not 2026-03-03T15:00")
	f("nightly over midnight", allowance.Window{Every: &allowance.Every{Minute: 23 * 60, LengthMs: 2 * 3_600_000}},
		"not 2026-03-03T22:59", "2026-03-03T23:00", "2026-03-04T00:59", "not 2026-03-04T01:00")
	f("on Sundays, over midnight", allowance.Window{Every: &allowance.Every{Days: []time.Weekday{time.Sunday}, Minute: 23 * 60, LengthMs: 2 * 3_600_000}},
		"2026-03-01T23:30", "2026-03-02T00:30", "not 2026-03-02T23:30", "not 2026-03-01T00:30")
	f("in Berlin, over the change of the clock", allowance.Window{Every: &allowance.Every{Minute: 3 * 60, LengthMs: 3_600_000, Zone: "Europe/Berlin"}},
		"2026-03-28T02:30", "not 2026-03-28T01:30", "2026-03-29T01:30", "not 2026-03-29T02:30")
	f("recurring from a day on", allowance.Window{Start: now + day, Every: &allowance.Every{Minute: 0, LengthMs: day}}, "not 2026-03-03T15:00", "2026-03-04T15:00")
}

func TestWindowsAreChecked(t *testing.T) {
	f := func(want string, change func(*allowance.Window)) {
		t.Helper()
		w := allowance.Window{ID: "1", Match: []string{"up"}, Start: now, End: now + 1}
		change(&w)
		require.ErrorContains(t, w.Prepare(), want)
	}
	f("match", func(w *allowance.Window) { w.Match = nil })
	f("match[0]", func(w *allowance.Window) { w.Match = []string{"sum(up)"} })
	f("match[0]", func(w *allowance.Window) { w.Match = []string{`{a="`} })
	f("start", func(w *allowance.Window) { w.Start = 0 })
	f("end", func(w *allowance.Window) { w.End = w.Start })
	f("31 days", func(w *allowance.Window) { w.End = w.Start + 32*day })
	f("at", func(w *allowance.Window) { w.Every = &allowance.Every{Minute: 1440, LengthMs: 1} })
	f("for", func(w *allowance.Window) { w.Every = &allowance.Every{} })
	f("time_zone", func(w *allowance.Window) { w.Every = &allowance.Every{LengthMs: 1, Zone: "Mars"} })
}

func TestDeclaredWindows(t *testing.T) {
	b := allowance.New(allowance.Defaults())
	for i := range allowance.MaxWindows + 1 {
		w := allowance.Window{ID: strconv.Itoa(i), Match: []string{"up"}, Start: now, End: now + 3_600_000, Reason: "upgrade"}
		require.NoError(t, w.Prepare())
		err := b.Declare(w, now)
		require.Equal(t, i == allowance.MaxWindows, err != nil)
	}
	require.Contains(t, b.At(now).Explain(labels("__name__", "up")).Why[0].Text, "maintenance: upgrade, until 2026-03-03 15:00 UTC")
	for i := range allowance.MaxWindows {
		require.True(t, b.Close(strconv.Itoa(i)))
	}
	require.False(t, b.Close("0"))
	require.Nil(t, b.At(now))
}

// The generation of a workload that changes in the telemetry itself is a rollout; its first sight is none.
func TestRollouts(t *testing.T) {
	b := allowance.New(allowance.Defaults())
	deployment := labels("__name__", "kube_deployment_status_observed_generation", "namespace", "shop", "deployment", "checkout")
	require.False(t, b.See(deployment, now, 7))
	require.False(t, b.See(deployment, now+1000, 7))
	require.True(t, b.See(deployment, now+2000, 8))
	require.False(t, b.See(deployment, now+1500, 9), "late")
	pod := []string{"__name__", "cpu", "namespace", "shop", "pod", "checkout-6c5b8d7f9-x7k2p"}
	require.InDelta(t, 2, factor(b, now+3000, pod...), 0)
	require.InDelta(t, 1, factor(b, now+1000, pod...), 0, "not before")
	require.InDelta(t, 1, factor(b, now+2000+15*60_000, pod...), 0, "nor for long after")
	require.InDelta(t, 1, factor(b, now+3000, "__name__", "cpu", "namespace", "other", "pod", "checkout-6c5b8d7f9-x7k2p"), 0)
	require.InDelta(t, 1, factor(b, now+3000, "__name__", "cpu"), 0)
	require.Equal(t, "shop/checkout was rolled out at 14:00 UTC (generation 8)", b.At(now + 3000).Explain(labels(pod...)).Why[0].Text)
	require.Equal(t, 1, b.Rollouts(now+3000))

	require.Equal(t, "shop/cart", b.RolledOut(map[string]string{"namespace": "shop", "statefulset": "cart"}, now, "v2"))
	require.InDelta(t, 2, factor(b, now, "__name__", "cpu", "namespace", "shop", "pod", "cart-0"), 0)
	require.Empty(t, b.RolledOut(map[string]string{"namespace": "shop"}, now, ""))
}

// What explains a series multiplies, but for windows and rollouts, of which the larger counts.
func TestFactorsCombine(t *testing.T) {
	b := allowance.New(allowance.Defaults())
	series := []string{"__name__", "cpu", "namespace", "shop", "pod", "cart-0"}
	_, err := b.Tell(dismissed("1", now, series...))
	require.NoError(t, err)
	b.RolledOut(map[string]string{"namespace": "shop", "statefulset": "cart"}, now, "")
	w := allowance.Window{ID: "1", Match: []string{`{namespace="shop"}`}, Start: now, End: now + 1000}
	require.NoError(t, w.Prepare())
	require.NoError(t, b.Declare(w, now))
	f, most := b.At(now).Factor(labels(series...))
	require.InDelta(t, 4*1.3, f, 1e-9)
	require.Equal(t, allowance.KindMaintenance, most)
	require.Len(t, b.At(now).Explain(labels(series...)).Why, 3)
}

func TestSaveAndLoad(t *testing.T) {
	b := allowance.New(allowance.Defaults())
	series := []string{"__name__", "cpu", "namespace", "shop", "pod", "cart-0"}
	_, err := b.Tell(dismissed("1", now, series...))
	require.NoError(t, err)
	w := allowance.Window{ID: "1", Match: []string{`{namespace="shop"}`}, Start: now, End: now + 1000}
	require.NoError(t, w.Prepare())
	require.NoError(t, b.Declare(w, now))
	generation := labels("__name__", "kube_statefulset_status_observed_generation", "namespace", "shop", "statefulset", "cart")
	b.See(generation, now-1, 1)
	b.See(generation, now, 2)
	data, _, err := b.Save()
	require.NoError(t, err)

	c := allowance.New(allowance.Defaults())
	require.NoError(t, c.Load(data))
	require.Equal(t, b.At(now).Explain(labels(series...)), c.At(now).Explain(labels(series...)))
	again, _, err := c.Save()
	require.NoError(t, err)
	require.JSONEq(t, string(data), string(again))
	require.False(t, c.See(generation, now+1, 2), "known over a restart")

	for _, bad := range []string{"", "{}", `{"version":2}`, `{"version":1,"windows":[{}]}`, `{"version":1,"feedback":[{"id":"x"}]}`, "\x00"} {
		c := allowance.New(allowance.Defaults())
		require.ErrorIs(t, c.Load([]byte(bad)), allowance.ErrState, bad)
		require.Nil(t, c.At(now))
	}
}

func BenchmarkFactor(b *testing.B) {
	book := allowance.New(allowance.Defaults())
	_, err := book.Tell(dismissed("1", now, "__name__", "memory_bytes", "namespace", "shop", "pod", "checkout-6c5b8d7f9-x7k2p"))
	require.NoError(b, err)
	book.RolledOut(map[string]string{"namespace": "shop", "deployment": "checkout"}, now, "")
	ls := labels("__name__", "memory_bytes", "namespace", "shop", "pod", "checkout-6c5b8d7f9-qq9zz", "instance", "a:9100", "job", "cadvisor")
	b.ReportAllocs()
	j := book.At(now)
	for b.Loop() {
		j.Factor(ls)
	}
}
