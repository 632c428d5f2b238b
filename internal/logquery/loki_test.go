package logquery_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/logmine"
	"github.com/portent-dev/portent/internal/logquery"
	"github.com/portent-dev/portent/internal/lokiapi"
)

var (
	noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	hour = logquery.Window{From: noon, To: noon.Add(time.Hour)}
)

// fakeLoki keeps lines and answers as Loki 3.7 does: pages of a bounded size, in order
// of time, equal times in a fixed order; counts at whole multiples of the step.
type fakeLoki struct {
	lines []lokiapi.Entry
	limit int // max_entries_limit_per_query; 0 is 5000
	// fail is asked before each call; op is lines, count or query.
	fail func(op string, r lokiapi.PageRequest) error

	mu    sync.Mutex
	calls map[string]int
	cache map[string][]lokiapi.Entry // by filters
}

var reStage = regexp.MustCompile("(\\|~|!~) `([^`]*)`")

func (f *fakeLoki) matching(query string) []lokiapi.Entry {
	stages := reStage.FindAllStringSubmatch(query, -1)
	f.mu.Lock()
	defer f.mu.Unlock()
	if out, ok := f.cache[fmt.Sprint(stages)]; ok {
		return out
	}
	out := slices.Clone(f.lines)
	for _, s := range stages {
		re := regexp.MustCompile(s[2])
		out = slices.DeleteFunc(out, func(e lokiapi.Entry) bool { return re.MatchString(e.Text) != (s[1] == "|~") })
	}
	if f.cache == nil {
		f.cache = map[string][]lokiapi.Entry{}
	}
	f.cache[fmt.Sprint(stages)] = out
	return out
}

func (f *fakeLoki) called(op string, r lokiapi.PageRequest) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.calls == nil {
		f.calls = map[string]int{}
	}
	f.calls[op]++
	if f.fail != nil {
		return f.fail(op, r)
	}
	return nil
}

func refusal(reason lokiapi.Reason, status int, text string) error {
	return &lokiapi.Error{Reason: reason, Status: status, Op: "test", Server: "fake", Err: errors.New(text)}
}

func (f *fakeLoki) Lines(ctx context.Context, r lokiapi.PageRequest) (lokiapi.Page, error) {
	if err := ctx.Err(); err != nil {
		return lokiapi.Page{}, refusal(lokiapi.ReasonTimeout, 0, err.Error())
	}
	if err := f.called("lines", r); err != nil {
		return lokiapi.Page{}, err
	}
	most := cmp.Or(f.limit, lokiapi.MaxLines)
	if r.Limit > most {
		return lokiapi.Page{}, refusal(lokiapi.ReasonTooLarge, 400, fmt.Sprintf("max entries limit per query exceeded, limit > max_entries_limit_per_query (%d > %d)", r.Limit, most))
	}
	var all []lokiapi.Entry
	for _, e := range f.matching(r.Query) {
		if !e.Time.Before(r.Start) && e.Time.Before(r.End) {
			all = append(all, e)
		}
	}
	slices.SortStableFunc(all, func(a, b lokiapi.Entry) int {
		c := a.Time.Compare(b.Time)
		if !r.Forward {
			c = -c
		}
		return c
	})
	all = all[:min(len(all), r.Limit)]
	slices.SortStableFunc(all, func(a, b lokiapi.Entry) int { return strings.Compare(a.Stream["app"], b.Stream["app"]) })
	return lokiapi.Page{Entries: all}, nil
}

var reRange = regexp.MustCompile(`\[(\w+)\]`)

// counter returns what counts the lines of the query's range that ends at a time.
func (f *fakeLoki) counter(query string) func(at time.Time) float64 {
	text := reRange.FindStringSubmatch(query)[1]
	d, err := time.ParseDuration(text)
	if err != nil {
		m, err := model.ParseDuration(text)
		if err != nil {
			panic(err)
		}
		d = time.Duration(m)
	}
	all := f.matching(query)
	return func(at time.Time) (n float64) {
		for i := range all {
			if all[i].Time.After(at.Add(-d)) && !all[i].Time.After(at) {
				n++
			}
		}
		return n
	}
}

func (f *fakeLoki) Count(_ context.Context, query string, start, end time.Time, step time.Duration) (map[time.Time]float64, error) {
	if err := f.called("count", lokiapi.PageRequest{Query: query, Start: start, End: end}); err != nil {
		return nil, err
	}
	out, countAt := map[time.Time]float64{}, f.counter(query)
	for t := start.Truncate(step); !t.After(end); t = t.Add(step) {
		if n := countAt(t); n > 0 {
			out[t.UTC()] = n
		}
	}
	return out, nil
}

func (f *fakeLoki) Query(_ context.Context, query string, at time.Time) (lokiapi.Answer, error) {
	if err := f.called("query", lokiapi.PageRequest{Query: query, End: at}); err != nil {
		return lokiapi.Answer{}, err
	}
	return lokiapi.Answer{IsMetric: true, Vector: model.Vector{{Value: model.SampleValue(f.counter(query)(at))}}}, nil
}

// entries makes n lines, step apart, beginning at from.
func entries(from time.Time, step time.Duration, n int, app string, text func(i int) string) []lokiapi.Entry {
	stream := map[string]string{"app": app}
	out := make([]lokiapi.Entry, n)
	for i := range out {
		out[i] = lokiapi.Entry{Time: from.Add(time.Duration(i) * step), Stream: stream, Text: text(i)}
	}
	return out
}

func source(t *testing.T, f *fakeLoki) logquery.Stored {
	t.Helper()
	l, err := logquery.NewLoki(f, `{app=~".+"}`)
	require.NoError(t, err)
	return logquery.Stored{Store: l}
}

// ask runs a request and holds what every answer promises.
func ask(t *testing.T, f *fakeLoki, q logquery.Request) *logquery.Answer {
	t.Helper()
	if q.Limits.Time == 0 {
		q.Limits.Time = time.Hour // a busy machine is no slow Loki
	}
	a, err := logquery.Run(t.Context(), source(t, f), q)
	require.NoError(t, err)
	sum := a.Other
	for _, p := range a.Entries {
		sum += p.Count
		require.GreaterOrEqual(t, p.Share, 0.0)
	}
	require.Equal(t, a.Total, sum, "counts add up")
	require.GreaterOrEqual(t, a.Other, int64(0))
	return a
}

func TestReadsAWindowWhole(t *testing.T) {
	f := &fakeLoki{lines: slices.Concat(
		entries(noon, 100*time.Millisecond, 12_000, "a", func(i int) string { return fmt.Sprintf("took %d ms", i) }),
		entries(noon.Add(time.Minute), time.Second, 3, "b", func(i int) string { return fmt.Sprintf("level=error msg=\"broken pipe %d\"", i) }),
		entries(noon.Add(-time.Minute), time.Second, 60, "b", func(int) string { return "before the window" }),
		entries(hour.To, time.Second, 60, "b", func(int) string { return "behind the window" }),
	)}
	a := ask(t, f, logquery.Request{Window: hour})
	require.Equal(t, int64(12_003), a.Total)
	require.Equal(t, int64(12_003), a.Read.Lines)
	require.Equal(t, int64(12_003), a.Read.Of)
	require.Empty(t, a.Read.Sampled)
	require.Empty(t, a.Read.Partial)
	require.Len(t, a.Entries, 2)
	p := a.Entries[0]
	require.Equal(t, "took <*> ms", p.Template)
	require.Equal(t, int64(12_000), p.Count)
	require.Equal(t, noon, p.First)
	require.Equal(t, noon.Add(11_999*100*time.Millisecond), p.Last)
	require.Len(t, p.Counts, 60)
	require.InDelta(t, 600, p.Counts[0], 0)
	require.InDelta(t, 0, p.Counts[59], 0)
	require.Equal(t, `{app=~".+"} |> "took <_> ms"`, p.Query.Text)
	require.True(t, p.Query.Exact)
	require.Equal(t, []string{"a"}, p.Services)
	require.Equal(t, logmine.Error, a.Entries[1].Severity)
	require.Equal(t, time.Minute, a.Step)
	require.Len(t, a.Volume, 2)
	require.Equal(t, int64(3), a.Volume[1].Count)
	require.Contains(t, a.Summary.Text, "12003 lines say 2 different things")
	for _, c := range a.Summary.Clauses {
		require.NotEmpty(t, c.Pattern.ID)
		require.NotEmpty(t, c.Pattern.Example)
		require.NotEmpty(t, c.Pattern.Query.Text)
		require.Contains(t, c.Text, c.Pattern.ID)
	}
}

// TestEqualTimes: a page that ends between lines of one time loses none and counts none
// twice, in either direction.
func TestEqualTimes(t *testing.T) {
	var lines []lokiapi.Entry
	for i := range 50 { // groups of up to 7 lines with one time, two streams
		lines = append(lines, entries(noon.Add(time.Duration(i)*time.Second), 0, i%8, "a", func(j int) string { return fmt.Sprintf("item %d of %d", j, i) })...)
		lines = append(lines, entries(noon.Add(time.Duration(i)*time.Second), 0, i%3, "b", func(j int) string { return fmt.Sprintf("thing %d of %d", j, i) })...)
	}
	for _, limit := range []int{11, 13, 16, 40} {
		for _, newest := range []bool{false, true} {
			f := &fakeLoki{lines: lines, limit: limit}
			s, err := source(t, f).Scan(t.Context(), hour, 1000, 1<<20, logquery.All, newest)
			require.NoError(t, err)
			require.False(t, s.More)
			require.False(t, s.Cut)
			require.Empty(t, s.Notes)
			require.Len(t, s.Lines, len(lines), "page of %d, newest %v", limit, newest)
			seen := map[string]bool{}
			for i, l := range s.Lines {
				require.False(t, seen[l.Text], l.Text)
				seen[l.Text] = true
				require.True(t, i == 0 || !l.Time.Before(s.Lines[i-1].Time))
			}
		}
	}
	// More lines of one time than a page holds cannot be had, and that is said.
	f := &fakeLoki{lines: slices.Concat(entries(noon, 0, 30, "a", func(i int) string { return "same " + strconv.Itoa(i) }), entries(noon.Add(time.Second), 0, 2, "a", func(i int) string { return "later " + strconv.Itoa(i) })), limit: 10}
	s, err := source(t, f).Scan(t.Context(), hour, 1000, 1<<20, logquery.All, false)
	require.NoError(t, err)
	require.Len(t, s.Lines, 12)
	require.True(t, s.Cut)
	require.Contains(t, s.Notes[0], "more than 10 lines have the time 2026-11-22T12:00:00Z")
}

// TestSamples: a window with more lines than the limit is read in slices, and counts
// are scaled; lines that speak of an error are read whole.
func TestSamples(t *testing.T) {
	f := &fakeLoki{lines: slices.Concat(
		entries(noon, 180*time.Millisecond, 20_000, "a", func(i int) string { return fmt.Sprintf("GET /items/%d took %d ms", i, i%100) }),
		entries(noon, 450*time.Millisecond, 8_000, "b", func(i int) string { return fmt.Sprintf("cache hit for key %d", i) }),
		entries(noon.Add(31*time.Minute), 7*time.Second, 9, "b", func(i int) string { return fmt.Sprintf("ERROR disk %d is gone", i) }),
	)}
	a := ask(t, f, logquery.Request{Window: hour, Limits: logquery.Limits{Lines: 3000}})
	require.Equal(t, int64(28_009), a.Total)
	require.Equal(t, int64(28_009), a.Read.Of)
	require.LessOrEqual(t, a.Read.Lines, int64(3100))
	require.Contains(t, a.Read.Sampled, "about 3000 of 28009 lines")
	require.Contains(t, a.Read.Sampled, "all 9 lines that speak of an error")
	require.False(t, a.Read.Truncated)
	require.Len(t, a.Entries, 3)
	require.InEpsilon(t, 20_000, a.Entries[0].Count, 0.06)
	require.InEpsilon(t, 8_000, a.Entries[1].Count, 0.1)
	require.Equal(t, int64(9), a.Entries[2].Count, "rare errors are not sampled away")
	require.InEpsilon(t, 333, a.Entries[0].Counts[10], 0.1)
	require.Less(t, f.calls["lines"], 70)
}

// TestUncountable: a Loki that may not count gives the newest lines, and the answer
// says that it does not know how many there are.
func TestUncountable(t *testing.T) {
	f := &fakeLoki{lines: entries(noon, time.Second, 3000, "a", func(i int) string { return fmt.Sprintf("took %d ms", i) })}
	f.fail = func(op string, _ lokiapi.PageRequest) error {
		if op != "lines" {
			return refusal(lokiapi.ReasonServer, 500, "no metric queries here")
		}
		return nil
	}
	a := ask(t, f, logquery.Request{Window: hour, Limits: logquery.Limits{Lines: 1000}})
	require.Equal(t, int64(1000), a.Total)
	require.Equal(t, int64(0), a.Read.Of)
	require.True(t, a.Read.Truncated)
	require.Contains(t, a.Read.Partial[0], "how many lines there are is not known (test from fake: no metric queries here): the newest 1000 were read")
	require.Equal(t, noon.Add(2999*time.Second), a.Entries[0].Last)
	require.Equal(t, noon.Add(2000*time.Second), a.Read.Window.From)
}

// TestARefusingLoki: limits of the server are kept to, and what a shorter range or a
// moment's wait cures is cured.
func TestARefusingLoki(t *testing.T) {
	lines := entries(noon, time.Second, 3600, "a", func(i int) string { return fmt.Sprintf("took %d ms", i) })
	t.Run("fewer lines a page", func(t *testing.T) {
		a := ask(t, &fakeLoki{lines: lines, limit: 100}, logquery.Request{Window: hour})
		require.Equal(t, int64(3600), a.Read.Lines)
	})
	t.Run("shorter ranges", func(t *testing.T) {
		f := &fakeLoki{lines: lines}
		f.fail = func(op string, r lokiapi.PageRequest) error {
			if op == "lines" && r.End.Sub(r.Start) > 10*time.Minute {
				return refusal(lokiapi.ReasonTooLarge, 400, "the query time range exceeds the limit (query length: 1h0m0s, limit: 10m0s)")
			}
			return nil
		}
		a := ask(t, f, logquery.Request{Window: hour})
		require.Equal(t, int64(3600), a.Read.Lines)
		require.Empty(t, a.Read.Partial)
	})
	t.Run("busy", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			f := &fakeLoki{lines: lines}
			n := 0
			f.fail = func(string, lokiapi.PageRequest) error {
				if n++; n%3 != 0 {
					return refusal(lokiapi.ReasonTooMany, 429, "too many outstanding requests")
				}
				return nil
			}
			a := ask(t, f, logquery.Request{Window: hour})
			require.Equal(t, int64(3600), a.Read.Lines)
		})
	})
	t.Run("busy for good", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			f := &fakeLoki{lines: lines, fail: func(string, lokiapi.PageRequest) error {
				return refusal(lokiapi.ReasonTooMany, 429, "too many outstanding requests")
			}}
			_, err := logquery.Run(t.Context(), source(t, f), logquery.Request{Window: hour})
			require.ErrorContains(t, err, "too many outstanding requests")
			require.Less(t, f.calls["lines"]+f.calls["count"]+f.calls["query"], 12)
		})
	})
	t.Run("a wrong query", func(t *testing.T) {
		f := &fakeLoki{lines: lines, fail: func(string, lokiapi.PageRequest) error {
			return refusal(lokiapi.ReasonBadData, 400, "parse error at line 1")
		}}
		_, err := logquery.Run(t.Context(), source(t, f), logquery.Request{Window: hour})
		require.ErrorContains(t, err, "parse error at line 1")
		require.Equal(t, 1, f.calls["count"], "it is not asked again")
	})
	t.Run("half of the pages fail", func(t *testing.T) {
		f := &fakeLoki{lines: lines}
		f.fail = func(op string, r lokiapi.PageRequest) error {
			if op == "lines" && r.Start.After(noon.Add(30*time.Minute)) {
				return refusal(lokiapi.ReasonServer, 500, "a querier died")
			}
			return nil
		}
		a := ask(t, f, logquery.Request{Window: hour, Limits: logquery.Limits{Lines: 1000}})
		require.NotEmpty(t, a.Read.Partial)
		require.Contains(t, strings.Join(a.Read.Partial, " "), "a querier died")
		require.Positive(t, a.Other, "lines that were not read belong to no pattern")
	})
}

// TestASlowLoki: when the time is over, the answer holds what was read until then.
func TestASlowLoki(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeLoki{lines: entries(noon, time.Second, 3600, "a", func(i int) string { return fmt.Sprintf("took %d ms", i) }), limit: 500}
		f.fail = func(op string, _ lokiapi.PageRequest) error {
			if op == "lines" {
				<-time.After(3 * time.Second)
			}
			return nil
		}
		a := ask(t, f, logquery.Request{Window: hour, Limits: logquery.Limits{Time: 8 * time.Second}})
		require.Positive(t, a.Read.Lines)
		require.Less(t, a.Read.Lines, int64(3600))
		require.True(t, a.Read.Truncated)
		require.Contains(t, strings.Join(a.Read.Partial, " "), "the time limit for reading is over")
	})
}

func TestBytesAreBounded(t *testing.T) {
	f := &fakeLoki{lines: entries(noon, time.Second, 3000, "a", func(i int) string { return fmt.Sprintf("%d %s", i, strings.Repeat("x", 10_000)) }), limit: 100}
	a := ask(t, f, logquery.Request{Window: hour, Limits: logquery.Limits{Bytes: 5 << 20}})
	require.Less(t, a.Read.Bytes, int64(7<<20))
	require.True(t, a.Read.Truncated)
	require.Contains(t, strings.Join(a.Read.Partial, " "), "reading stopped at 5242880 bytes of text")
}

// TestStackTraces: the lines of a trace, which Loki keeps one by one, are one event;
// those of an entry too.
func TestStackTraces(t *testing.T) {
	var lines []lokiapi.Entry
	for i := range 3 {
		at := noon.Add(time.Duration(i) * time.Minute)
		lines = append(lines, entries(at, time.Millisecond, 4, "a", func(j int) string {
			return []string{
				"2026-11-22T12:00:00Z ERROR save failed", "java.lang.RuntimeException: wrapped", "\tat com.acme.Shop.save(Shop.java:7)",
				fmt.Sprintf("Caused by: java.io.IOException: disk %d is full", i),
			}[j]
		})...)
		lines = append(lines, entries(at, time.Millisecond, 4, "b", func(j int) string { return "all is well" })...)
		lines = append(lines, lokiapi.Entry{Time: at, Stream: map[string]string{"app": "c"}, Text: "ERROR load failed\njava.io.IOException: no such file\n\tat com.acme.Shop.load(Shop.java:9)"})
	}
	a := ask(t, &fakeLoki{lines: lines}, logquery.Request{Window: hour})
	require.Equal(t, int64(27), a.Total)
	byTemplate := map[string]logquery.Pattern{}
	for _, p := range a.Entries {
		byTemplate[p.Template] = p
	}
	p, ok := byTemplate["save failed → IOException: disk <*> is full"]
	require.True(t, ok, "%v", byTemplate)
	require.Equal(t, int64(12), p.Count)
	require.Equal(t, int64(3), p.Events)
	require.Equal(t, "java.io.IOException", p.Cause.Class)
	require.False(t, p.Query.Exact)
	require.Contains(t, p.Query.Note, "names the cause")
	require.Contains(t, p.Query.Text, "IOException")
	p, ok = byTemplate["ERROR load failed → IOException: no such file at Shop.load(Shop.java:<*>)"]
	require.True(t, ok, "%v", slices.Collect(maps.Keys(byTemplate)))
	require.Equal(t, int64(3), p.Count)
	require.True(t, p.Query.Exact)
	require.Equal(t, "{app=~\".+\"} |= \"IOException\" |~ `(?s)ERROR[\\x00-\\x20]+load[\\x00-\\x20]+failed.*?IOException:[\\x00-\\x20]+no[\\x00-\\x20]+such[\\x00-\\x20]+file.*?Shop\\.load\\(Shop\\.java:.*?\\)`", p.Query.Text)
}

func TestNewLokiRefuses(t *testing.T) {
	f := func(query, want string) {
		t.Helper()
		_, err := logquery.NewLoki(&fakeLoki{}, query)
		var q *logquery.QueryError
		require.ErrorAs(t, err, &q)
		require.ErrorContains(t, err, want)
		require.Less(t, len(err.Error()), 300)
	}
	f("", "the query is empty")
	f("# only a comment", "the query is empty")
	f(`app="x"`, `begins with "app=`)
	f(`count_over_time({app="x"}[5m])`, `begins with "count_over_time"`)
	f(`{app="x"} [5m]`, "gives numbers")
	f(`{app="x"`, "is not closed")
	f(`{app="x"}}`, "closes nothing")
	f(`{app="x} |= "y"`, "a string that does not end")
	f("{app=`x}", "a string that does not end")
	f(`({app="x"}) or ({app="y"})`, "closes nothing")
	f(`{app="x"} or {app="y"}`, "several selectors")
	f(`{app="`+strings.Repeat("x", 9000)+`"}`, "at most 8192")
}

// TestForcedMatchers: what is forced becomes part of the selector, whatever the query
// looks like.
func TestForcedMatchers(t *testing.T) {
	m := labels.MustNewMatcher(labels.MatchEqual, "namespace", `a"}b`)
	for query, want := range map[string]string{
		`{app="x"} |= "}"`:            `{app="x", namespace="a\"}b"} |= "}" |~ `,
		`({ app = "}x" , } # comment`: "",
		"{} | json":                   `{namespace="a\"}b"} | json |~ `,
		"( {app=`{`,} |= `(` )":       "{app=`{`, namespace=\"a\\\"}b\"} |= `(` |~ ",
	} {
		l, err := logquery.NewLoki(&fakeLoki{}, query, m)
		if want == "" {
			require.Error(t, err)
			continue
		}
		require.NoError(t, err, query)
		q := l.Narrow(&logquery.Filter{Regexp: "z"})
		require.Equal(t, want+`"z"`, q.Text)
	}
}

func TestHostileLines(t *testing.T) {
	var lines []lokiapi.Entry
	for i, text := range []string{
		"", "   ", "\x00\x00", "\x1b[31mred\x1b[0m", "\xff\xfe\xfa", strings.Repeat("a ", 50_000), strings.Repeat("{", 5000), `{"a":`, "a\nb\nc", "\n\n\n", "`\"\\`", "<_><_>", "<*> <*>", "é\u2028\U0001F600",
		strings.Repeat(`{"msg":"`, 200), "password=hunter2 token: eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "a | json [5m] }) or {x=\"y\"}",
	} {
		lines = append(lines, entries(noon.Add(time.Duration(i)*time.Second), time.Millisecond, 3, "a", func(int) string { return text })...)
	}
	a := ask(t, &fakeLoki{lines: lines}, logquery.Request{Window: hour, Patterns: 1000})
	require.Equal(t, int64(len(lines)), a.Total)
	for _, p := range a.Entries {
		require.NotContains(t, p.Example+p.Template+p.Query.Text, "hunter2")
		if p.Query.Text != "" {
			_, err := logquery.NewLoki(&fakeLoki{}, p.Query.Text)
			require.NoError(t, err, p.Query.Text)
		}
	}
}
