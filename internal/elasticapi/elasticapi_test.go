package elasticapi_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/elasticapi"
	"github.com/portent-dev/portent/internal/elasticapi/elastictest"
)

var start = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func client(t *testing.T, o elasticapi.Options) *elasticapi.Client {
	t.Helper()
	c, err := elasticapi.New(o)
	require.NoError(t, err)
	return c
}

// TestSearch pages through both servers' points in time; the doubles hold each request
// to the vendors' descriptions.
func TestSearch(t *testing.T) {
	for _, openSearch := range []bool{false, true} {
		t.Run(fmt.Sprintf("opensearch=%v", openSearch), func(t *testing.T) {
			s := elastictest.New(t, openSearch)
			s.Auth = "ApiKey aWQ6a2V5"
			for i := range 25 {
				s.Add(elastictest.Doc{Time: start.Add(time.Duration(i) * time.Second), Source: map[string]any{"message": fmt.Sprintf("line %d", i)}})
			}
			c := client(t, elasticapi.Options{URL: s.URL, APIKey: "aWQ6a2V5"})
			info, err := c.Info(t.Context())
			require.NoError(t, err)
			require.Equal(t, openSearch, info.OpenSearch)
			v, err := c.OpenView(t.Context(), "logs-*,logs-1", openSearch)
			require.NoError(t, err)
			require.Equal(t, !openSearch, v.TieBreaker())

			q := elasticapi.And([]elasticapi.Query{
				elasticapi.Between("@timestamp", start, start.Add(20*time.Second)), elasticapi.All(), elasticapi.Lucene(`line`), elasticapi.Phrase("message", "line"),
			}, elasticapi.Words("message", "7 nothing"))
			var got []string
			var after []json.Number
			for {
				p, err := c.Search(t.Context(), elasticapi.Search{View: v, Query: q, TimeField: "@timestamp", After: after, Size: 8})
				require.NoError(t, err)
				require.Empty(t, p.Missing)
				v = p.View
				for _, h := range p.Hits {
					var doc struct{ Message string }
					require.NoError(t, json.Unmarshal(h.Source, &doc))
					got = append(got, doc.Message)
				}
				if len(p.Hits) < 8 {
					break
				}
				after = p.Hits[len(p.Hits)-1].Sort
			}
			require.Len(t, got, 19)
			require.Equal(t, "line 0", got[0])
			require.Equal(t, "line 19", got[18])
			require.NotContains(t, got, "line 7")
			require.NoError(t, c.CloseView(t.Context(), v))
			require.Zero(t, s.Open())
			require.NoError(t, c.CloseView(t.Context(), elasticapi.View{}))

			p, err := c.Search(t.Context(), elasticapi.Search{
				Indices: "logs-*", Query: elasticapi.All(), TimeField: "@timestamp", Ranges: []time.Time{start, start.Add(3 * time.Second), start.Add(20 * time.Second), start.Add(time.Minute)},
			})
			require.NoError(t, err)
			require.Equal(t, []float64{3, 17, 5}, p.Counts)
		})
	}
}

// TestPartialAnswersAreSeen: both servers answer 200 when something was left out.
func TestPartialAnswersAreSeen(t *testing.T) {
	f := func(want string, spoil func(map[string]any)) {
		t.Helper()
		s := elastictest.New(t, false)
		s.Fail(elastictest.Fault{Op: "search", Spoil: spoil})
		p, err := client(t, elasticapi.Options{URL: s.URL}).Search(t.Context(), elasticapi.Search{Indices: "logs-1", Query: elasticapi.All(), TimeField: "@timestamp", Size: 1})
		require.NoError(t, err)
		require.Len(t, p.Missing, 1)
		require.Contains(t, p.Missing[0], want)
	}
	f("ran out of time", func(a map[string]any) { a["timed_out"] = true })
	f("ended early", func(a map[string]any) { a["terminated_early"] = true })
	f("2 of 5 shards failed: circuit_breaking_exception: too much", func(a map[string]any) {
		a["_shards"] = map[string]any{"total": 5, "successful": 3, "failed": 2, "failures": []any{
			map[string]any{"shard": 0, "index": "x", "reason": map[string]any{"type": "circuit_breaking_exception", "reason": "too\nmuch"}},
		}}
	})
	f("1 remote clusters", func(a map[string]any) {
		a["_clusters"] = map[string]any{"total": 2, "successful": 1, "skipped": 1, "running": 0, "partial": 0, "failed": 0}
	})
}

// TestFailures: each failure has its reason, and no address leaks a password.
func TestFailures(t *testing.T) {
	f := func(status int, body string, want elasticapi.Reason) *elasticapi.Error {
		t.Helper()
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "7")
			w.WriteHeader(status)
			_, _ = w.Write([]byte(body))
		}))
		t.Cleanup(s.Close)
		c := client(t, elasticapi.Options{URL: strings.Replace(s.URL, "http://", "http://user:secret@", 1), MaxBytes: 2000})
		_, err := c.Search(t.Context(), elasticapi.Search{Indices: "x", Query: elasticapi.All(), TimeField: "t", Size: 1})
		var e *elasticapi.Error
		require.ErrorAs(t, err, &e)
		require.Equal(t, want, e.Reason, "%v", err)
		require.NotContains(t, err.Error(), "secret")
		require.Less(t, len(err.Error()), 800)
		return e
	}
	e := f(400, `{"error":{"type":"search_phase_execution_exception","reason":"all shards failed","root_cause":[{"type":"query_shard_exception","reason":"Failed to parse query [a:(]"}]},"status":400}`, elasticapi.ReasonBadData)
	require.Equal(t, "query_shard_exception", e.Type)
	require.ErrorContains(t, e, "Failed to parse query")
	f(400, `{"error":{"root_cause":[{"type":"illegal_argument_exception","reason":"Result window is too large, see max_result_window"}]}}`, elasticapi.ReasonTooLarge)
	f(401, ``, elasticapi.ReasonUnauthorized)
	f(403, `{"error":"no permissions"}`, elasticapi.ReasonForbidden)
	f(404, `{"error":{"type":"index_not_found_exception","reason":"no such index [x]"}}`, elasticapi.ReasonNotFound)
	f(413, `x`, elasticapi.ReasonTooLarge)
	require.Equal(t, 7*time.Second, f(429, `{"error":{"type":"es_rejected_execution_exception"}}`, elasticapi.ReasonTooMany).RetryAfter)
	f(500, `{"error":{"type":"x","reason":"`+strings.Repeat("y", 1500)+`"}}`, elasticapi.ReasonServer)
	f(500, `<html>`, elasticapi.ReasonNotElastic)
	f(503, ``, elasticapi.ReasonDown)
	f(504, ``, elasticapi.ReasonTimeout)
	f(200, `<html>login</html>`, elasticapi.ReasonNotElastic)
	f(200, `{}`, elasticapi.ReasonNotElastic)
	f(200, `{"_shards":{},"hits":{"hits":[`, elasticapi.ReasonNotElastic)
	f(200, `{"x":"`+strings.Repeat("y", 3000)+`"}`, elasticapi.ReasonTooLarge)
	f(302, ``, elasticapi.ReasonNotElastic)
}

func TestNoAnswer(t *testing.T) {
	c := client(t, elasticapi.Options{URL: "http://127.0.0.1:1", Timeout: time.Second})
	_, err := c.Info(t.Context())
	require.Equal(t, elasticapi.ReasonDown, elasticapi.ReasonOf(err))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = c.Info(ctx)
	require.Equal(t, elasticapi.ReasonCanceled, elasticapi.ReasonOf(err))
}

func TestCredentials(t *testing.T) {
	for _, one := range []struct {
		o    elasticapi.Options
		want string
	}{
		{elasticapi.Options{User: "u", Password: "p"}, "Basic dTpw"},
		{elasticapi.Options{Token: "t"}, "Bearer t"},
		{elasticapi.Options{}, "Basic dTpw"}, // of the address
	} {
		s := elastictest.New(t, false)
		s.Auth = one.want
		one.o.URL = s.URL
		if one.o == (elasticapi.Options{URL: s.URL}) {
			one.o.URL = strings.Replace(s.URL, "http://", "http://u:p@", 1)
		}
		_, err := client(t, one.o).Info(t.Context())
		require.NoError(t, err)
	}
}

func TestNewRefuses(t *testing.T) {
	for _, o := range []elasticapi.Options{
		{}, {URL: "127.0.0.1:9200"}, {URL: "ftp://x"}, {URL: "http://x?y=z"}, {URL: "http://x", Timeout: -1}, {URL: "http://x", User: "a", APIKey: "b"}, {URL: "http://x", Token: "a\r\nb: c"},
	} {
		_, err := elasticapi.New(o)
		require.Error(t, err)
	}
}

func TestCheckIndices(t *testing.T) {
	for _, good := range []string{"logs-*", "a,b,-c", "_all", ".ds-logs-2026.11.22-000001", "remote:logs-*"} {
		require.NoError(t, elasticapi.CheckIndices(good), good)
	}
	for _, bad := range []string{"", "a,,b", "../_cluster", "a b", "_cat", "a/_delete", `x"y`, ".."} {
		require.Error(t, elasticapi.CheckIndices(bad), bad)
	}
}
