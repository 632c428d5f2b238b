package logquery

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/logmine"
)

// TestIncompleteBeta: values of R 4.3's pbeta.
func TestIncompleteBeta(t *testing.T) {
	f := func(a, b, x, want float64) {
		t.Helper()
		require.InDelta(t, want, incompleteBeta(a, b, x), 1e-10)
	}
	f(1, 1, 0.3, 0.3)
	f(2, 3, 0.5, 0.6875)
	f(0.5, 0.5, 0.25, 1.0/3)
	f(10, 1, 0.5, 1.0/1024)
	f(1, 10, 0.5, 1-1.0/1024)
	f(5, 5, 0.5, 0.5)
	f(3, 4, 0, 0)
	f(3, 4, 1, 1)
	require.InDelta(t, 0.5, incompleteBeta(1e5, 1e5, 0.5), 1e-9)
	require.Less(t, incompleteBeta(1e6, 1, 0.5), 1e-300)
}

func TestTwoSided(t *testing.T) {
	require.InDelta(t, 1, twoSided(0, 0, 1, 1), 0)
	require.InDelta(t, 1, twoSided(5, 5, 1, 1), 0)
	require.InDelta(t, 2.0/1024, twoSided(10, 0, 1, 1), 1e-12, "ten heads of a fair coin, or ten tails")
	require.InDelta(t, twoSided(3, 17, 1, 2), twoSided(17, 3, 2, 1), 1e-12)
	require.Less(t, twoSided(20, 2, 60, 60), 0.001)
	require.Greater(t, twoSided(20, 2, 600, 60), 0.5)
}

// TestAdjust: the example of Benjamini and Hochberg's paper, whose four smallest of
// fifteen are significant at 5 %.
func TestAdjust(t *testing.T) {
	ps := []float64{0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344, 0.0459, 0.3240, 0.4262, 0.5719, 0.6528, 0.7590, 1}
	var all []*Pattern
	for _, p := range ps {
		all = append(all, &Pattern{P: p})
	}
	adjust(all)
	n := 0
	for _, p := range all {
		if p.P <= falseShare {
			n++
		}
	}
	require.Equal(t, 4, n)
	require.InDelta(t, 0.0015, all[0].P, 1e-9)
}

// TestPatternMatches: the reading of |> that the tests on a real Loki confirm.
func TestPatternMatches(t *testing.T) {
	f := func(pattern, line string, want bool) {
		t.Helper()
		require.Equal(t, want, patternMatches(pattern, line), "%q of %q", pattern, line)
	}
	f("a <_> c", "a b c", true)
	f("a <_> c", "x a b c", true)
	f("a <_> c", "a b c d", false)
	f("a <_> c", "a  c", false)
	f("<_>a", "a", false)
	f("<_>a", "ba", true)
	f("a<_>", "a", false)
	f("a<_>b<_>", "a1b2", true)
	f("a<_>a", "a1a2a", false) // the first place counts
	f("abc", "abc", true)
	f("abc", "xabc", true)
	f("", "", true)
	f("a", "", false)
}

// TestFiltersQuote: whatever a template says, the filter means those bytes.
func TestFiltersQuote(t *testing.T) {
	for _, text := range []string{
		`a.b*c+(d)[e]{f}|g^h$i\j`, "`back` \"quoted\" 'single'", `<_> <name> <*> x`, "é№☕ \U0001F600", `C:\tmp\x/y?z=1&b=<2>`, "tab\there", "  many   blanks  ", `\`, `"`, "a\u2028b",
	} {
		for _, format := range []logmine.Format{logmine.Plain, logmine.JSON} {
			raw := text
			b := bounds{alone: true}
			if format == logmine.JSON {
				raw, b = `{"msg":"`+jsonEscape(text)+`","n":1}`, bounds{quoted: true}
			}
			template := strings.Join(strings.FieldsFunc(text, func(r rune) bool { return r <= ' ' }), " ")
			re := regexp.MustCompile(regexpOf([]string{template}, b, tight, ""))
			require.True(t, re.MatchString(strings.ReplaceAll(raw, "\t", " ")), "%q of %q", re, raw)
			require.False(t, re.MatchString(strings.ReplaceAll(raw, "a", "zz")+"x") && strings.Contains(text, "a"), "%q of %q", re, raw)
			q, err := parseLogQL(`{a="b"} |~ `+quoteLogQL(re.String())+` |> `+quoteLogQL(text), nil)
			require.NoError(t, err)
			require.Contains(t, q.text, `{a="b"}`)
		}
	}
}

func FuzzParseLogQL(f *testing.F) {
	f.Add("({a=`}`} |= \"x\" # y\n | json)")
	f.Add(`{a="b"} | line_format "{{.x}}" [5m]`)
	f.Fuzz(func(t *testing.T, text string) {
		q, err := parseLogQL(text, nil)
		if err != nil {
			return
		}
		again, err := parseLogQL(q.with("|= `x`"), nil)
		require.NoError(t, err, "what is put behind a query stays outside of its strings and comments")
		require.True(t, strings.HasSuffix(again.text, "|= `x`"))
	})
}

// FuzzFilter: a filter that calls itself exact keeps the line that it was made of, and
// none that differs in a word of the template.
func FuzzFilter(f *testing.F) {
	f.Add("took 7 ms", "took 8 s")
	f.Add(`{"msg":"a \"b\" 1"}`, `{"msg":"a \"b\" c"}`)
	f.Fuzz(func(t *testing.T, one, two string) {
		if len(one)+len(two) > 2000 || strings.ContainsAny(one+two, "\n\r") {
			return
		}
		c := newCollector(bucketer{})
		c.keepLines = true
		c.add(Line{Text: one, Weight: 1})
		c.add(Line{Text: two, Weight: 1})
		c.flush()
		all := c.patterns()
		n := c.narrower(all)
		for _, p := range all {
			filter := n.filter(p.ID)
			if filter == nil || !filter.Exact {
				continue
			}
			for _, s := range n.byID[p.ID] {
				require.True(t, filter.keeps(s.raw, n.compile))
			}
		}
	})
}

func TestBuckets(t *testing.T) {
	var b bucketer
	var s series
	start := int64(1_700_000_000_000)
	for i := range int64(10_000) {
		s.add(&b, start+i*1000, 1)
	}
	s.add(&b, start-3_600_000, 5)
	require.LessOrEqual(t, len(s.runs), 4*maxBuckets)
	counts := make([]float64, 4*maxBuckets)
	s.into(&b, counts, -2*maxBuckets)
	require.InDelta(t, 10_005, sumOf(counts), 0.1)
	require.Positive(t, b.grown)

	w := Window{time.Unix(90, 0), time.Unix(3700, 0)}
	edges := edgesOf(w)
	require.Equal(t, w.From, edges[0])
	require.Equal(t, w.To, edges[len(edges)-1])
	for i := 1; i < len(edges)-1; i++ {
		require.Zero(t, edges[i].Unix()%120)
		require.True(t, edges[i].After(edges[i-1]))
	}
	require.Equal(t, time.Minute, stepFor(Window{time.Unix(0, 0), time.Unix(3600, 0)}, 60))
	require.Equal(t, 30*24*time.Hour+time.Second, stepFor(Window{time.Unix(0, 0), time.Unix(1800*86400, 0)}, 60))
}

func TestLinks(t *testing.T) {
	w := Window{time.UnixMilli(1000), time.UnixMilli(2000)}
	require.Equal(t, `http://g/explore?panes=%7B%22a%22%3A%7B%22datasource%22%3A%22u%22%2C%22queries%22%3A%5B%7B%22datasource%22%3A%7B%22type%22%3A%22loki%22%2C%22uid%22%3A%22u%22%7D%2C%22expr%22%3A%22%7Ba%3D%5C%22b%5C%22%7D+%7C%3E+%5C%22%3C_%3E%5C%22%22%2C%22queryType%22%3A%22range%22%2C%22refId%22%3A%22A%22%7D%5D%2C%22range%22%3A%7B%22from%22%3A%221000%22%2C%22to%22%3A%222000%22%7D%7D%7D&schemaVersion=1`,
		ExploreLink("http://g/", "u", `{a="b"} |> "<_>"`, w))
	require.Equal(t, `http://k/app/discover#/?_g=%28time%3A%28from%3A%271970-01-01T00%3A00%3A01.000Z%27%2Cto%3A%271970-01-01T00%3A00%3A02.000Z%27%29%29&_a=%28index%3A%27v%27%2Cquery%3A%28language%3Alucene%2Cquery%3A%27message%3A%22don%21%27t%21%21%22%27%29%29`,
		KibanaLink("http://k", "v", `message:"don't!"`, w))
}
