package ask_test

import (
	"strings"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/ask"
)

// TestParseLogQL: what is read is printed so that it is read as the same again.
func TestParseLogQL(t *testing.T) {
	f := func(text, want string) {
		t.Helper()
		e, err := ask.ParseLogQL(text)
		require.NoError(t, err, text)
		require.Equal(t, want, e.String())
		again, err := ask.ParseLogQL(e.String())
		require.NoError(t, err, e.String())
		require.Equal(t, want, again.String())
	}
	f("{app=`a\"b`}", `{app="a\"b"}`)
	f(`{a="b",c!~"d.+"} |= "x" != "y" |~ "z" !~ "\\d"`, `{a="b", c!~"d.+"} |= "x" != "y" |~ "z" !~ "\\d"`)
	f(`{a="b"} | json | level=~"error|fatal" | took >= 12.5 | d > 1s | n==3`, `{a="b"} | json | level=~"error|fatal" | took >= 12.5 | d > 1s | n == 3`)
	f("{a=\"b\"} | regexp `x=(?P<x>\\d+)` | pattern `<ip> - <_>` | unpack", `{a="b"} | regexp "x=(?P<x>\\d+)" | pattern "<ip> - <_>" | unpack`)
	f(`count_over_time({a="b"}[5m])`, `count_over_time({a="b"} [5m])`)
	f(`sum by (x,y) (rate({a="b"} |= "c" [1h] offset 1d))`, `sum by (x, y) (rate({a="b"} |= "c" [1h] offset 1d))`)
	f(`sum(rate({a="b"}[1m])) by (x)`, `sum by (x) (rate({a="b"} [1m]))`)
	f(`quantile_over_time(0.95, {a="b"} | json | unwrap duration(d) | __error__="" [5m]) by ()`, `quantile_over_time(0.95, {a="b"} | json | unwrap duration(d) | __error__="" [5m]) by ()`)
	f(`topk(3, sum by (x) (bytes_over_time({a="b"}[1h]))) `, `topk(3, sum by (x) (bytes_over_time({a="b"} [1h])))`)
	f(`sum(count_over_time({a="b"}[1h])) / (sum(count_over_time({a="b"}[1h])) - 2) * 100`,
		`(sum(count_over_time({a="b"} [1h])) / (sum(count_over_time({a="b"} [1h])) - 2)) * 100`)
	f(`sum(rate({a="b"} != "x" [1m])) != bool 3`, `sum(rate({a="b"} != "x" [1m])) != bool 3`)
}

// TestParseLogQLRefuses: what costs too much to read, and the little that Loki reads and we do not; TestLogQLOnRealLoki has
// what is wrong.
func TestParseLogQLRefuses(t *testing.T) {
	for _, text := range []string{
		strings.Repeat("(", 100) + `{a="b"}` + strings.Repeat(")", 100), `{a="b"} |= "` + strings.Repeat("x", 16<<10) + `"`, `{a="b"} | a="x" ` + strings.Repeat(`or (a="x" `, 100),
		`variants(count_over_time({a="b"}[1m])) of ({a="b"}[1m])`, `count_over_time({a="b"}[0s])`, `{'a'="b"}`, `{a.b="c"}`, "{a=\"\xff\"}", `{a="b"} /* not ended`, `{a="b"}[5m`,
		strings.Repeat("count_over_time(", 40) + `{a="b"}`, "{a=\"b\"}\x00",
	} {
		_, err := ask.ParseLogQL(text)
		require.Error(t, err, text)
	}
}

// TestLogQLQuotes: a text that looks like a query stays a text.
func TestLogQLQuotes(t *testing.T) {
	evil := "x\"} | drop `a` \\ \n\x00é"
	s := &ask.LogStreams{Matchers: []*labels.Matcher{labels.MustNewMatcher(labels.MatchEqual, "app", evil)}, Stages: []ask.LogStage{ask.LineFilter{Op: "|=", Text: evil}}}
	e, err := ask.ParseLogQL(s.String())
	require.NoError(t, err)
	require.Equal(t, s.String(), e.String())
	require.Equal(t, evil, e.(*ask.LogStreams).Matchers[0].Value)
	require.Equal(t, ask.LineFilter{Op: "|=", Text: evil}, e.(*ask.LogStreams).Stages[0])
}

func FuzzParseLogQL(f *testing.F) {
	f.Add(`sum by (a) (rate({a="b"} |= "c" | json | d > 1s | unwrap x [5m] offset 1h)) / 2 > bool 1`)
	for _, text := range accepted {
		f.Add(text)
	}
	for _, text := range refused {
		f.Add(text)
	}
	f.Add("{a=~`.+`} | regexp \"(?P<x>.)\" !~ \"y\"")
	f.Fuzz(func(t *testing.T, text string) {
		e, err := ask.ParseLogQL(text)
		if err != nil {
			return
		}
		again, err := ask.ParseLogQL(e.String())
		require.NoError(t, err, e.String())
		require.Equal(t, e.String(), again.String())
	})
}
