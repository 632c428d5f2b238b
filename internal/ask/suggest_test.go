package ask_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/ask"
)

// What is suggested exists: concepts whose metrics are there, names that the servers have.
func TestSuggest(t *testing.T) {
	r := logRules(t, shop)
	all := r.Suggest("", 100)
	require.Greater(t, len(all), 5)
	for _, s := range all {
		tr, err := r.Translate(t.Context(), ask.Question{Text: s, Now: now})
		require.NoError(t, err, "%q is suggested and cannot be answered", s)
		require.NotEmpty(t, tr.Query)
	}
	require.Contains(t, r.Suggest("memory of we", 10), "memory of web")
	require.Contains(t, r.Suggest("errors of grin", 10), "errors of grinder")
	require.Contains(t, r.Suggest("http_req", 10), "http_requests_total")
	require.Contains(t, r.Suggest("p95 lat", 3)[0], "latency")
	require.Len(t, r.Suggest("", 3), 3)
	require.Empty(t, r.Suggest("x", 0))
	require.Empty(t, r.Suggest(strings.Repeat("x ", 1<<20), 5))
	require.Empty(t, r.Suggest("gpu zzzz", 5))

	// Of a million names the shortest come first, and the answer is the same each time.
	c, err := ask.Load(t.Context(), vast{shop})
	require.NoError(t, err)
	big, err := ask.NewRules(c, nil)
	require.NoError(t, err)
	first := big.Suggest("memory of label_0", 5)
	require.Len(t, first, 5)
	require.Equal(t, first, big.Suggest("memory of label_0", 5))
	require.True(t, slices.Contains(first, "memory of label_00-7f9c4d5b6-000000"), "%q", first)
}

func TestTimed(t *testing.T) {
	r := logRules(t, shop)
	f := func(question string, timed bool) {
		t.Helper()
		tr, err := r.Translate(t.Context(), ask.Question{Text: question, Now: now})
		require.NoError(t, err)
		require.Equal(t, timed, tr.Timed)
	}
	f("graph of memory of web", false)
	f("graph of memory of web over the last 3 hours", true)
	f("error logs of grinder", false)
	f("error logs of grinder since midnight", true)
}

// A server of one cluster has no label cluster: what the knowledge groups by it is answered without.
func TestNoClusterLabel(t *testing.T) {
	r := rules(t, fleet{"node_cpu_seconds_total": series("instance=n1,mode=idle")})
	tr, err := r.Translate(t.Context(), ask.Question{Text: "cpu use of nodes", Now: now})
	require.NoError(t, err)
	require.NotContains(t, tr.Query, "cluster")
	require.Contains(t, tr.Query, "by (instance)")
}
