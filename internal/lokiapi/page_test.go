package lokiapi_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/lokiapi"
)

func TestLines(t *testing.T) {
	c, last := server(t, 200, `{"status":"success","warnings":["some <shards> failed"],"data":{"resultType":"streams","encodingFlags":["categorize-labels"],"result":[
		{"stream":{"app":"x"},"values":[
			["1400000000000","a",{"structuredMetadata":{"detected_level":"error"},"parsed":{"level":"warn","detected_level":"no"}}],
			["1500000000000","b",{}],["1500000000001","c"]]}]}}`, lokiapi.Options{})
	p, err := c.Lines(t.Context(), lokiapi.PageRequest{Query: `{app="x"} | json`, Start: start, End: end, Limit: 9000, Forward: true})
	require.NoError(t, err)
	require.Equal(t, []string{"some <shards> failed"}, p.Warnings)
	x := map[string]string{"app": "x"}
	require.Equal(t, []lokiapi.Entry{
		{Time: time.Unix(1400, 0).UTC(), Stream: x, Extra: map[string]string{"level": "warn", "detected_level": "error"}, Text: "a"},
		{Time: time.Unix(1500, 0).UTC(), Stream: x, Text: "b"},
		{Time: time.Unix(1500, 1).UTC(), Stream: x, Text: "c"},
	}, p.Entries)
	require.Equal(t, "categorize-labels", last.Header.Get("X-Loki-Response-Encoding-Flags"))
	require.Equal(t, "forward", last.URL.Query().Get("direction"))
	require.Equal(t, "5000", last.URL.Query().Get("limit"))
}

func TestLinesRefuses(t *testing.T) {
	f := func(status int, body string, want lokiapi.Reason) {
		t.Helper()
		c, _ := server(t, status, body, lokiapi.Options{MaxBytes: 4000})
		_, err := c.Lines(t.Context(), lokiapi.PageRequest{Query: `{a="b"}`, Start: start, End: end, Limit: 1})
		require.Equal(t, want, lokiapi.ReasonOf(err), "%v", err)
		require.Less(t, len(err.Error()), 500)
	}
	f(200, `{"data":{"resultType":"matrix","result":[]}}`, lokiapi.ReasonBadData)
	f(200, `{"data":{"resultType":"`+strings.Repeat("x", 3000)+`"}}`, lokiapi.ReasonNotLoki)
	f(200, `{"data":{"resultType":"streams","result":[{"values":[["x","y"]]}]}}`, lokiapi.ReasonNotLoki)
	f(200, `{"data":{"resultType":"streams","result":[{"values":[["1"]]}]}}`, lokiapi.ReasonNotLoki)
	f(200, `{"data":{"resultType":"streams","result":[{"values":[["1","a",3]]}]}}`, lokiapi.ReasonNotLoki)
	f(200, `{"data":{"resultType":"stre`, lokiapi.ReasonNotLoki)
	f(400, "max entries limit per query exceeded, limit > max_entries_limit_per_query (5000 > 1000)", lokiapi.ReasonTooLarge)
	f(400, "query too large to execute on a single querier: (query: 1GB, limit: 100MB)", lokiapi.ReasonTooLarge)
}

// TestCount: the sums of all series at each step.
func TestCount(t *testing.T) {
	c, last := server(t, 200, `{"data":{"resultType":"matrix","result":[{"metric":{"a":"1"},"values":[[1000,"3"],[1060,"4"]]},{"metric":{"a":"2"},"values":[[1060,"1.5"]]}]}}`, lokiapi.Options{})
	got, err := c.Count(t.Context(), `sum(count_over_time({a="b"} [1m]))`, start, end, time.Minute)
	require.NoError(t, err)
	require.Equal(t, map[time.Time]float64{time.Unix(1000, 0).UTC(): 3, time.Unix(1060, 0).UTC(): 5.5}, got)
	require.Equal(t, "60", last.URL.Query().Get("step"))
}
