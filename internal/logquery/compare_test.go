package logquery_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/logquery"
	"github.com/portent-dev/portent/internal/lokiapi"
)

// bursts makes lines that come in bursts: n of them, each of 1 to 2k-1 lines.
func bursts(r *rand.Rand, from time.Time, length time.Duration, n, k int, app, text string) []lokiapi.Entry {
	var out []lokiapi.Entry
	for range n {
		at := from.Add(time.Duration(r.Int64N(int64(length))))
		out = append(out, entries(at, time.Millisecond, 1+r.IntN(2*k-1), app, func(i int) string { return fmt.Sprintf("%s %d", text, i) })...)
	}
	return slices.DeleteFunc(out, func(e lokiapi.Entry) bool { return !e.Time.Before(from.Add(length)) })
}

var before = logquery.Window{From: noon.Add(-time.Hour), To: noon}

// TestChanges: what is new, gone, grown and shrunk is told, and what only varies is not.
func TestChanges(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	lines := slices.Concat(
		bursts(r, before.From, time.Hour, 300, 1, "a", "steady work on item"), bursts(r, noon, time.Hour, 310, 1, "a", "steady work on item"),
		bursts(r, before.From, time.Hour, 60, 8, "a", "bursty import of row"), bursts(r, noon, time.Hour, 75, 8, "a", "bursty import of row"),
		bursts(r, before.From, time.Hour, 40, 1, "a", "level=error calls are retried for"), bursts(r, noon, time.Hour, 160, 1, "a", "level=error calls are retried for"),
		bursts(r, before.From, time.Hour, 200, 1, "a", "heartbeat from peer"), bursts(r, noon, time.Hour, 20, 1, "a", "heartbeat from peer"),
		bursts(r, noon.Add(30*time.Minute), 10*time.Minute, 30, 1, "a", "ERROR no space left on device"),
		bursts(r, before.From, time.Hour, 30, 1, "a", "old code path taken"),
		entries(noon.Add(time.Minute), time.Second, 1, "a", func(int) string { return "seen once only now" }),
	)
	a := ask(t, &fakeLoki{lines: lines}, logquery.Request{Window: hour, Before: &before})
	got := map[string]logquery.Change{}
	for _, p := range a.Entries {
		words := append(strings.Fields(p.Template), "")
		got[words[0]+" "+words[1]] = p.Change
		if p.Change == logquery.Grown || p.Change == logquery.Shrunk {
			require.True(t, p.Significant())
			require.Less(t, p.P, 0.05)
		}
		if strings.HasPrefix(p.Template, "seen once") {
			require.False(t, p.Significant(), "one line may be chance")
		}
	}
	require.Equal(t, map[string]logquery.Change{
		"steady work": logquery.Same, "bursty import": logquery.Same, "level=error calls": logquery.Grown, "heartbeat from": logquery.Shrunk,
		"ERROR no": logquery.New, "old code": logquery.Gone, "seen once": logquery.New,
	}, got)
	require.Contains(t, a.Summary.Text, "is gone")
	require.Contains(t, a.Summary.Text, "patterns are new, the worst “ERROR no space left on device <*>”")

	only := ask(t, &fakeLoki{lines: lines}, logquery.Request{Window: hour, Before: &before, Changes: []logquery.Change{logquery.Gone}})
	require.Len(t, only.Entries, 1)
	require.Equal(t, int64(0), only.Entries[0].Count)
	require.Positive(t, only.Entries[0].Before)
	_, err := logquery.Run(t.Context(), source(t, &fakeLoki{}), logquery.Request{Window: hour, Changes: []logquery.Change{logquery.New}})
	require.ErrorContains(t, err, "without a window to compare with")
}

// TestFalseChanges: of windows that say the same at the same rates, at most a few
// patterns in a thousand are called changed, bursts or none.
func TestFalseChanges(t *testing.T) {
	wrong, all := 0, 0
	for seed := range uint64(6) {
		r := rand.New(rand.NewPCG(seed, 7))
		var lines []lokiapi.Entry
		for i := range 30 {
			name := strings.Repeat("task ", i+1) + "did step"
			n, k := 5+r.IntN(100), 1+r.IntN(6)
			lines = append(lines, bursts(r, before.From, time.Hour, n, k, "a", name)...)
			lines = append(lines, bursts(r, noon, time.Hour, n, k, "a", name)...)
		}
		a := ask(t, &fakeLoki{lines: lines}, logquery.Request{Window: hour, Before: &before})
		for _, p := range a.Entries {
			all++
			if p.Change != logquery.Same {
				wrong++
			}
		}
	}
	require.Greater(t, all, 150)
	require.LessOrEqual(t, wrong, 2, "of %d", all)
}

// TestSampledChanges: a pattern that a sample of the window before missed is not called
// new without good reason.
func TestSampledChanges(t *testing.T) {
	noise := func(from time.Time) []lokiapi.Entry {
		return entries(from, 90*time.Millisecond, 40_000, "a", func(i int) string { return fmt.Sprintf("noise %d", i) })
	}
	lines := slices.Concat(noise(before.From), noise(noon),
		entries(before.From.Add(1700*time.Millisecond), 6*time.Minute, 10, "a", func(i int) string { return fmt.Sprintf("rare thing happened %d", i) }),
		entries(noon.Add(50*time.Millisecond), 6*time.Minute, 10, "a", func(i int) string { return fmt.Sprintf("rare thing happened %d", i) }),
	)
	a := ask(t, &fakeLoki{lines: lines}, logquery.Request{Window: hour, Before: &before, Limits: logquery.Limits{Lines: 2000}})
	require.NotEmpty(t, a.Before.Sampled)
	for _, p := range a.Entries {
		require.Equal(t, logquery.Same, p.Change, p.Template)
	}
}

// TestCauses: what broke first and by itself ranks before what followed from it.
func TestCauses(t *testing.T) {
	at := noon.Add(20 * time.Minute)
	trace := func(i int) string { return fmt.Sprintf("4bf92f3577b34da6a3ce929d0e0e47%02x", i) }
	lines := slices.Concat(
		entries(before.From, time.Second, 7200, "web", func(i int) string { return fmt.Sprintf("level=info msg=\"GET /cart\" took=%dms", i%50) }),
		entries(before.From, time.Minute, 120, "web", func(i int) string { return fmt.Sprintf("level=error msg=\"client went away %d\"", i) }),
		entries(at, 3*time.Second, 40, "db", func(i int) string {
			return fmt.Sprintf("level=error msg=\"could not write to file base/%d: No space left on device\" trace_id=%s", i, trace(i))
		}),
		entries(at.Add(time.Second), 3*time.Second, 40, "cart", func(i int) string {
			return fmt.Sprintf("level=error msg=\"save cart %d: upstream db returned 503\" trace_id=%s", i, trace(i))
		}),
		entries(at.Add(2*time.Second), 3*time.Second, 40, "web", func(i int) string {
			return fmt.Sprintf("level=error msg=\"POST /checkout %d: timeout waiting for cart\" trace_id=%s", i, trace(i))
		}),
		entries(at.Add(5*time.Minute), time.Second, 30, "web", func(i int) string { return fmt.Sprintf("level=warn msg=\"circuit breaker of cart open %d\"", i) }),
	)
	a := ask(t, &fakeLoki{lines: lines}, logquery.Request{Window: hour, Before: &before})
	require.GreaterOrEqual(t, len(a.Causes), 3)
	first := a.Causes[0]
	require.Contains(t, first.Pattern.Template, "No space left on device")
	why := strings.Join(first.Why, "\n")
	require.Contains(t, why, "in 40 of 40 requests over several services it is the first of the new errors (in db)")
	require.Contains(t, why, "it is new: 40 lines, none in the 1h before")
	require.Contains(t, why, `it names what breaks by itself ("No space left")`)
	require.Contains(t, why, "it began at 12:20:00, when errors rose")
	require.Contains(t, why, "100 % of its lines have app db")
	require.Len(t, first.With, 2)
	require.Greater(t, first.Confidence, a.Causes[1].Confidence)
	require.Contains(t, a.Summary.Text, "the most probable cause is “could not write to file base/<*>: No space left on device”")
	for _, c := range a.Summary.Clauses {
		require.NotEmpty(t, c.Pattern.Example)
		require.NotEmpty(t, c.Pattern.Query.Text)
	}

	quiet := ask(t, &fakeLoki{lines: lines[:7200]}, logquery.Request{Window: hour, Before: &before})
	require.Empty(t, quiet.Causes)
	require.NotContains(t, quiet.Summary.Text, "cause")

	// Nothing new speaks of trouble: only for somebody who noticed some it may be a cause.
	calm := &fakeLoki{lines: slices.Concat(lines[:7200], entries(at, time.Second, 200, "web", func(i int) string { return fmt.Sprintf("level=info msg=\"leader elected in term %d\"", i) }))}
	require.Empty(t, ask(t, calm, logquery.Request{Window: hour, Before: &before}).Causes)
	told := ask(t, calm, logquery.Request{Window: hour, Before: &before, Effect: at.Add(time.Minute)})
	require.Len(t, told.Causes, 1)
	require.Contains(t, strings.Join(told.Causes[0].Why, "; "), "it began at 12:20:00, 1m before errors rose")
}
