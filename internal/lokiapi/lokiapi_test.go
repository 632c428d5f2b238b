package lokiapi_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/lokiapi"
)

var (
	start = time.Unix(1000, 0)
	end   = time.Unix(4600, 0)
)

// server answers every call with status and body and keeps the last request.
func server(t *testing.T, status int, body string, o lokiapi.Options) (*lokiapi.Client, *http.Request) {
	t.Helper()
	last := new(http.Request)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		*last = *r.Clone(context.Background())
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}))
	t.Cleanup(s.Close)
	o.URL = s.URL + "/proxy"
	c, err := lokiapi.New(o)
	require.NoError(t, err)
	return c, last
}

func TestQueryRangeLines(t *testing.T) {
	c, last := server(t, 200, `{"status":"success","data":{"resultType":"streams","result":[{"stream":{"app":"x"},"values":[["1500000000000","b",{"k":"v"}],["1400000000000","a"]]}]}}`,
		lokiapi.Options{Tenant: "blue"})
	a, err := c.QueryRange(t.Context(), `{app="x"}`, start, end, time.Minute, 10_000)
	require.NoError(t, err)
	require.False(t, a.IsMetric)
	require.Equal(t, []lokiapi.Line{
		{Time: time.Unix(1500, 0).UTC(), Labels: map[string]string{"app": "x"}, Text: "b"},
		{Time: time.Unix(1400, 0).UTC(), Labels: map[string]string{"app": "x"}, Text: "a"},
	}, a.Lines)
	require.Equal(t, "/proxy/loki/api/v1/query_range", last.URL.Path)
	require.Equal(t, "blue", last.Header.Get("X-Scope-OrgID"))
	require.Equal(t, "1000000000000", last.URL.Query().Get("start"))
	require.Equal(t, "5000", last.URL.Query().Get("limit"))
}

func TestQueryNumbers(t *testing.T) {
	c, _ := server(t, 200, `{"status":"success","data":{"resultType":"vector","result":[{"metric":{"app":"x"},"value":[1500,"3"]}]}}`, lokiapi.Options{})
	a, err := c.Query(t.Context(), `sum by (app) (count_over_time({a="b"} [5m]))`, end)
	require.NoError(t, err)
	require.True(t, a.IsMetric)
	require.Len(t, a.Vector, 1)
	require.InDelta(t, 3, float64(a.Vector[0].Value), 0)
}

func TestLists(t *testing.T) {
	c, last := server(t, 200, `{"status":"success","data":["a","b"]}`, lokiapi.Options{})
	got, err := c.LabelNames(t.Context(), start, end)
	require.NoError(t, err)
	require.Equal(t, []string{"a", "b"}, got)
	got, err = c.LabelValues(t.Context(), "app", `{cluster="c"}`, start, end)
	require.NoError(t, err)
	require.Equal(t, []string{"a", "b"}, got)
	require.Equal(t, "/proxy/loki/api/v1/label/app/values", last.URL.Path)
	require.Equal(t, `{cluster="c"}`, last.URL.Query().Get("query"))
	_, err = c.LabelValues(t.Context(), "../../admin", "", start, end)
	require.Equal(t, lokiapi.ReasonBadData, lokiapi.ReasonOf(err))
}

func TestStats(t *testing.T) {
	c, _ := server(t, 200, `{"streams":11,"chunks":14,"bytes":1134512,"entries":5770}`, lokiapi.Options{})
	s, err := c.Stats(t.Context(), `{app="x"}`, start, end)
	require.NoError(t, err)
	require.Equal(t, lokiapi.Stats{Streams: 11, Chunks: 14, Bytes: 1134512, Entries: 5770}, s)
}

// TestFailures: each failure has its reason, and no address leaks a password.
func TestFailures(t *testing.T) {
	f := func(status int, body string, want lokiapi.Reason) {
		t.Helper()
		c, _ := server(t, status, body, lokiapi.Options{MaxBytes: 1000})
		_, err := c.Query(t.Context(), `{a="b"}`, end)
		require.Equal(t, want, lokiapi.ReasonOf(err), "%v", err)
		var e *lokiapi.Error
		require.ErrorAs(t, err, &e)
		require.Equal(t, "query", e.Op)
		require.True(t, e.Downstream)
		require.Less(t, len(err.Error()), 500)
	}
	f(400, "parse error at line 1, col 16: syntax error", lokiapi.ReasonBadData)
	f(400, "the query time range exceeds the limit (query length: 800h, limit: 721h)", lokiapi.ReasonTooLarge)
	f(401, "no org id", lokiapi.ReasonUnauthorized)
	f(403, "", lokiapi.ReasonForbidden)
	f(404, "page not found", lokiapi.ReasonNotFound)
	f(429, "too many outstanding requests", lokiapi.ReasonTooMany)
	f(500, strings.Repeat("x", 900), lokiapi.ReasonServer)
	f(502, "<html>", lokiapi.ReasonDown)
	f(504, "", lokiapi.ReasonTimeout)
	f(200, "<html>login</html>", lokiapi.ReasonNotLoki)
	f(200, `{"data":{"resultType":"matrix","result":"no"}}`, lokiapi.ReasonNotLoki)
	f(200, `{"data":{"resultType":"streams","result":[{"values":[["x"]]}]}}`, lokiapi.ReasonNotLoki)
	f(200, `{"data":"`+strings.Repeat("x", 2000)+`"}`, lokiapi.ReasonTooLarge)
}

func TestNoAnswer(t *testing.T) {
	c, err := lokiapi.New(lokiapi.Options{URL: "http://user:secret@127.0.0.1:1", Timeout: time.Second})
	require.NoError(t, err)
	_, err = c.LabelNames(t.Context(), start, end)
	require.Equal(t, lokiapi.ReasonDown, lokiapi.ReasonOf(err))
	require.NotContains(t, err.Error(), "secret")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = c.LabelNames(ctx, start, end)
	var e *lokiapi.Error
	require.ErrorAs(t, err, &e)
	require.Equal(t, lokiapi.ReasonCanceled, e.Reason)
	require.False(t, e.Downstream)
}

func TestNewRefuses(t *testing.T) {
	for _, o := range []lokiapi.Options{
		{}, {URL: "127.0.0.1:3100"}, {URL: "ftp://x"}, {URL: "http://x?y=z"}, {URL: "http://x", Timeout: -1}, {URL: "http://x", Tenant: "a\r\nb: c"},
	} {
		_, err := lokiapi.New(o)
		require.Error(t, err)
	}
}
