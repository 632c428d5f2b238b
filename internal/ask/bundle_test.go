package ask_test

import (
	"testing"
	"time"

	prommodel "github.com/prometheus/common/model"
	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/ask"
)

func TestBundle(t *testing.T) {
	r := rules(t, shop)
	b, ok, err := r.Bundle(t.Context(), ask.Question{Text: "What's wrong with web right now?", Now: now})
	require.NoError(t, err)
	require.True(t, ok)
	require.Equal(t, "web", b.Subject)
	queries := map[string]string{}
	for _, p := range b.Parts {
		queries[p.Title] = p.Query
	}
	require.Equal(t, map[string]string{
		"crash loops":                  `kube_pod_container_status_waiting_reason{container="web",reason="CrashLoopBackOff"} == 1`,
		"images that cannot be pulled": `kube_pod_container_status_waiting_reason{container="web",reason=~"ImagePullBackOff|ErrImagePull|InvalidImageName"} == 1`,
		"pending pods":                 `kube_pod_status_phase{phase="Pending",pod=~"web-.*"} == 1`,
		"restarts":                     `sum by (cluster, pod) (increase(kube_pod_container_status_restarts_total{container="web"}[1h]))`,
		"errors":                       `sum(rate(http_requests_total{code=~"5..",service="web"}[5m])) / sum(rate(http_requests_total{service="web"}[5m]))`,
		"slow requests":                `histogram_quantile(0.99, sum by (le) (rate(http_request_duration_seconds_bucket{service="web"}[5m])))`,
	}, queries)
	for _, p := range b.Parts {
		_, err := ask.Gate{Metrics: catalog(t, shop), Mode: ask.Off}.Check(t.Context(), p.Translation)
		require.NoError(t, err, p.Query)
	}
}

// TestBundleIsOnlyForTrouble: other questions are for Translate, and nobody's trouble is
// told as another's.
func TestBundleIsOnlyForTrouble(t *testing.T) {
	r := rules(t, shop)
	for _, q := range []string{"memory of web", "what is wrong", "what is wrong with the nodes?", "any problems in my cluster", ""} {
		_, ok, err := r.Bundle(t.Context(), ask.Question{Text: q, Now: now})
		require.NoError(t, err, q)
		require.False(t, ok, q)
	}
	_, ok, err := r.Bundle(t.Context(), ask.Question{Text: "what is wrong with frobnicator?", Now: now})
	var refusal *ask.Refusal
	require.ErrorAs(t, err, &refusal)
	require.True(t, ok)
	require.Contains(t, refusal.Reason, `"frobnicator"`)
}

func TestBundleAnswer(t *testing.T) {
	value := func(v float64) *ask.Result {
		return &ask.Result{Vector: prommodel.Vector{{Metric: prommodel.Metric{}, Value: prommodel.SampleValue(v)}}}
	}
	part := func(title, query string, above float64) ask.Part {
		return ask.Part{Title: title, Above: above, Translation: ask.Translation{Language: ask.PromQL, Query: query, Concept: title, Unit: "ratio", Time: time.Unix(0, 0)}}
	}
	b := ask.Bundle{Subject: "web", Parts: []ask.Part{part("errors", "a", 0.01), part("throttled cpu", "b", 0.25), part("crash loops", "c == 1", 0), part("memory", "d", 0.9)}}
	require.Equal(t, "Web: 1 finding. Errors – Errors: 5 %. No sign of: throttled cpu, crash loops. Not looked at: memory.",
		b.Answer(t.Context(), []*ask.Result{value(0.05), value(0.25), {}, nil}))
	require.Equal(t, "Nothing wrong was found with web. No sign of: errors, throttled cpu, crash loops, memory.",
		b.Answer(t.Context(), []*ask.Result{value(0), value(0), {}, value(0.9)}))
}

func catalog(t *testing.T, f fleet) *ask.Catalog {
	t.Helper()
	c, err := ask.Load(t.Context(), f)
	require.NoError(t, err)
	return c
}
