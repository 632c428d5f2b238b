package logquery_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/elasticapi"
	"github.com/portent-dev/portent/internal/elasticapi/elastictest"
	"github.com/portent-dev/portent/internal/logmine"
	"github.com/portent-dev/portent/internal/logquery"
)

func elastic(t *testing.T, s *elastictest.Server, query string) *logquery.Elastic {
	t.Helper()
	c, err := elasticapi.New(elasticapi.Options{URL: s.URL})
	require.NoError(t, err)
	e, err := logquery.NewElastic(logquery.ElasticOptions{Client: c, Indices: "logs-*", Query: query})
	require.NoError(t, err)
	return e
}

// documents: 3,000 of one pattern with many of one time, some errors with fields.
func documents(s *elastictest.Server) {
	for i := range 3000 {
		s.Add(elastictest.Doc{Time: noon.Add(time.Duration(i/7) * time.Second), Source: map[string]any{
			"message": fmt.Sprintf("took %d ms for user", i), "log": map[string]any{"level": "info"}, "service.name": "cart",
		}})
	}
	for i := range 5 {
		s.Add(elastictest.Doc{Time: noon.Add(time.Duration(i) * time.Minute), Source: map[string]any{
			"message": fmt.Sprintf(`could not open "a\b" %d`, i), "log.level": "error", "trace": map[string]any{"id": fmt.Sprintf("4bf92f3577b34da6a3ce929d0e0e473%d", i)},
			"kubernetes": map[string]any{"pod": map[string]any{"name": "cart-1"}},
		}})
	}
	s.Add(elastictest.Doc{Time: noon.Add(2 * time.Hour), Source: map[string]any{"message": "behind the window"}})
}

// TestElastic: all documents of the window are read, in views of either kind and
// without; ties at the ends of pages are neither lost nor counted twice.
func TestElastic(t *testing.T) {
	for name, o := range map[string]struct{ openSearch, noView bool }{
		"elasticsearch": {}, "opensearch": {openSearch: true}, "without points in time": {noView: true},
	} {
		t.Run(name, func(t *testing.T) {
			s := elastictest.New(t, o.openSearch)
			documents(s)
			if o.noView {
				s.Fail(elastictest.Fault{Op: "open", Status: 403})
			}
			a, err := logquery.Run(t.Context(), logquery.Stored{Store: elastic(t, s, "")}, logquery.Request{Window: hour, Limits: logquery.Limits{Time: time.Hour}})
			require.NoError(t, err)
			require.Equal(t, int64(3005), a.Total)
			require.Equal(t, int64(3005), a.Read.Lines)
			require.Empty(t, a.Read.Partial)
			require.Equal(t, "took <*> ms for user", a.Entries[0].Template)
			require.Equal(t, int64(3000), a.Entries[0].Count)
			p := a.Entries[1]
			require.Equal(t, logmine.Error, p.Severity)
			require.Contains(t, p.Shared, logquery.Shared{Name: "pod", Value: "cart-1", Share: 1})
			require.Equal(t, "lucene", p.Query.Language)
			require.False(t, p.Query.Exact)
			require.NotEmpty(t, p.Query.Note)
			if !o.noView {
				require.Zero(t, s.Open(), "points in time are freed")
			}

			// The query behind the pattern finds its documents, in both languages.
			narrow, err := logquery.Run(t.Context(), logquery.Stored{Store: elastic(t, s, p.Query.Text)}, logquery.Request{Window: hour, Limits: logquery.Limits{Time: time.Hour}})
			require.NoError(t, err)
			require.Equal(t, int64(5), narrow.Total, p.Query.Text)
			require.True(t, json.Valid(p.Query.DSL))
			require.Contains(t, string(p.Query.DSL), "match_phrase")

			newest, err := elastic(t, s, "").Scan(t.Context(), hour, 100, 1<<20, logquery.All, true)
			require.NoError(t, err)
			require.Len(t, newest.Lines, 100)
			require.True(t, newest.More)
			require.Equal(t, noon.Add(428*time.Second), newest.Lines[99].Time)
		})
	}
}

func TestElasticSamples(t *testing.T) {
	s := elastictest.New(t, false)
	documents(s)
	a, err := logquery.Run(t.Context(), logquery.Stored{Store: elastic(t, s, "")}, logquery.Request{Window: logquery.Window{From: noon, To: noon.Add(10 * time.Minute)}, Limits: logquery.Limits{Lines: 500, Time: time.Hour}})
	require.NoError(t, err)
	require.Equal(t, int64(3005), a.Total)
	require.NotEmpty(t, a.Read.Sampled)
	require.InEpsilon(t, 3000, a.Entries[0].Count, 0.02)
}

// TestElasticPartial: what both servers answer with 200 although something is missing
// is said, and no count that lacks shards is taken for one.
func TestElasticPartial(t *testing.T) {
	s := elastictest.New(t, false)
	documents(s)
	s.Fail(elastictest.Fault{Op: "search", Spoil: func(a map[string]any) {
		a["_shards"] = map[string]any{"total": 3, "successful": 2, "failed": 1, "skipped": 0}
	}})
	a, err := logquery.Run(t.Context(), logquery.Stored{Store: elastic(t, s, "")}, logquery.Request{Window: hour, Limits: logquery.Limits{Lines: 1000, Time: time.Hour}})
	require.NoError(t, err)
	text := strings.Join(a.Read.Partial, "\n")
	require.Contains(t, text, "1 of 3 shards failed")
	require.Contains(t, text, "how many lines there are is not known")
	require.True(t, a.Read.Truncated)
	require.Equal(t, int64(1000), a.Read.Lines)
}

func TestElasticRefuses(t *testing.T) {
	f := func(fault elastictest.Fault, want string) {
		t.Helper()
		s := elastictest.New(t, false)
		documents(s)
		s.Fail(fault)
		_, err := logquery.Run(t.Context(), logquery.Stored{Store: elastic(t, s, "message:x")}, logquery.Request{Window: hour, Limits: logquery.Limits{Time: time.Hour}})
		require.ErrorContains(t, err, want)
	}
	f(elastictest.Fault{Op: "search", Status: 400, Body: `{"error":{"root_cause":[{"type":"query_shard_exception","reason":"Failed to parse query [a:(]"}]},"status":400}`}, "Failed to parse query")
	f(elastictest.Fault{Op: "search", Status: 401}, "401")
	f(elastictest.Fault{Op: "search", Status: 403}, "403")
	f(elastictest.Fault{Op: "search", Status: 404}, "404")
	f(elastictest.Fault{Op: "search", Body: "<html>login</html>", Status: 200}, "not that of a search API")
	f(elastictest.Fault{Op: "search", Body: `{"hits":{"hits":[`, Status: 200}, "not that of a search API")
	// A server that is busy for a moment is asked again, one with short pages in shorter ones.
	s := elastictest.New(t, false)
	documents(s)
	s.MaxPage = 300
	s.Fail(elastictest.Fault{Op: "search", Status: 429, Times: 1})
	a, err := logquery.Run(t.Context(), logquery.Stored{Store: elastic(t, s, "")}, logquery.Request{Window: hour, Limits: logquery.Limits{Time: time.Hour}})
	require.NoError(t, err)
	require.Equal(t, int64(3005), a.Read.Lines)
}

func TestNewElasticRefuses(t *testing.T) {
	for _, o := range []logquery.ElasticOptions{{}, {Indices: "a/b"}, {Indices: "a", Query: strings.Repeat("x", 9000)}} {
		_, err := logquery.NewElastic(o)
		var q *logquery.QueryError
		require.ErrorAs(t, err, &q)
	}
}

// TestLuceneIsSafe: neither a template nor a user's query can change what the other
// says.
func TestLuceneIsSafe(t *testing.T) {
	narrow := func(query string, literals ...string) string {
		e, err := logquery.NewElastic(logquery.ElasticOptions{Indices: "a", Query: query, MessageField: "event.text body"})
		require.NoError(t, err)
		return e.Narrow(&logquery.Filter{Literals: literals}).Text
	}
	require.Equal(t, `(a OR b) AND event.text\ body:"x\" OR \\ y" AND event.text\ body:"z"`, narrow("a OR b", `x" OR \ y`, " z ", "::", ""))
	require.Empty(t, narrow("a) OR (b", "x"))
	require.Empty(t, narrow(`a "b`, "x"))
	require.Empty(t, narrow(`a \`, "x"))
	require.Equal(t, `(a\) \(b) AND event.text\ body:"x"`, narrow(`a\) \(b`, "x"))
	require.Empty(t, narrow("", "::"), "nothing to look for is no query")
}
