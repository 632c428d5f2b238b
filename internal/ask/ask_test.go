package ask_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/promql/parser"
	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/ask"
)

// fleet is a small server: a metric's series as label sets.
type fleet map[string][]map[string]string

var shop = fleet{
	"kube_pod_info":                                        series("cluster=c-east-1,namespace=blue,pod=web-7f9c4d5b6-abcde,node=n1", "cluster=c-east-1,namespace=red,pod=db-0,node=n2"),
	"kube_pod_status_phase":                                series("cluster=c-east-1,namespace=blue,pod=web-7f9c4d5b6-abcde,phase=Pending"),
	"kube_pod_status_reason":                               series("cluster=c-east-1,namespace=blue,pod=web-7f9c4d5b6-abcde,reason=Evicted"),
	"kube_pod_container_status_waiting_reason":             series("cluster=c-east-1,namespace=blue,pod=web-7f9c4d5b6-abcde,container=web,reason=CrashLoopBackOff"),
	"kube_pod_container_status_restarts_total":             series("cluster=c-east-1,namespace=blue,pod=web-7f9c4d5b6-abcde,container=web"),
	"kube_node_status_condition":                           series("cluster=c-east-1,node=n1,condition=Ready,status=true", "cluster=c-west-2,node=n2,condition=Ready,status=true"),
	"kube_node_info":                                       series("cluster=c-east-1,node=n1"),
	"container_memory_working_set_bytes":                   series("cluster=c-east-1,namespace=blue,pod=web-7f9c4d5b6-abcde,container=web", "cluster=c-west-2,namespace=red,pod=db-0,container=db"),
	"container_cpu_usage_seconds_total":                    series("cluster=c-east-1,namespace=blue,pod=web-7f9c4d5b6-abcde,container=web"),
	"node_memory_MemAvailable_bytes":                       series("cluster=c-east-1,instance=n1"),
	"node_memory_MemTotal_bytes":                           series("cluster=c-east-1,instance=n1"),
	"http_requests_total":                                  series("cluster=c-east-1,namespace=blue,service=web,code=200,handler=/cart", "cluster=c-east-1,namespace=blue,service=web,code=500,handler=/cart"),
	"http_request_duration_seconds_bucket":                 series("cluster=c-east-1,namespace=blue,service=web,handler=/cart,le=0.25", "cluster=c-east-1,namespace=blue,service=web,handler=/cart,le=+Inf"),
	"http_request_duration_seconds_count":                  series("cluster=c-east-1,namespace=blue,service=web,handler=/cart"),
	"http_request_duration_seconds_sum":                    series("cluster=c-east-1,namespace=blue,service=web,handler=/cart"),
	"kubelet_volume_stats_used_bytes":                      series("cluster=c-east-1,namespace=red,persistentvolumeclaim=data-db-0"),
	"kubelet_volume_stats_capacity_bytes":                  series("cluster=c-east-1,namespace=red,persistentvolumeclaim=data-db-0"),
	"kubelet_volume_stats_available_bytes":                 series("cluster=c-east-1,namespace=red,persistentvolumeclaim=data-db-0"),
	"certmanager_certificate_expiration_timestamp_seconds": series("cluster=c-east-1,namespace=blue,name=web-tls"),
	"ALERTS": series("alertname=Down,alertstate=firing,severity=critical,namespace=blue,cluster=c-east-1"),
}

func series(specs ...string) []map[string]string {
	var out []map[string]string
	for _, s := range specs {
		m := map[string]string{}
		for _, kv := range strings.Split(s, ",") {
			k, v, _ := strings.Cut(kv, "=")
			m[k] = v
		}
		out = append(out, m)
	}
	return out
}

func (f fleet) each(matches []string, g func(map[string]string)) {
	for name, list := range f {
		if len(matches) > 0 && matches[0] != name && matches[0][0] != '{' {
			continue
		}
		for _, l := range list {
			if len(matches) == 0 || matches[0][0] != '{' || held(matches[0], l) {
				g(l)
			}
		}
	}
}

// held reports whether a series meets a selector of one equality.
func held(sel string, l map[string]string) bool {
	ms, err := parser.NewParser(parser.Options{}).ParseMetricSelector(sel)
	return err == nil && len(ms) == 1 && ms[0].Matches(l[ms[0].Name])
}

func (f fleet) Metadata(context.Context) (map[string]ask.Metric, error) {
	return nil, errors.New("this server has no metadata")
}

func (f fleet) LabelNames(_ context.Context, matches []string, _ int) ([]string, error) {
	var out []string
	f.each(matches, func(l map[string]string) {
		for k := range l {
			out = append(out, k)
		}
	})
	slices.Sort(out)
	return slices.Compact(out), nil
}

func (f fleet) LabelValues(_ context.Context, label string, matches []string, _ int) ([]string, error) {
	var out []string
	if label == "__name__" {
		for n, list := range f {
			if len(matches) == 0 || slices.ContainsFunc(list, func(l map[string]string) bool { return held(matches[0], l) }) {
				out = append(out, n)
			}
		}
	}
	f.each(matches, func(l map[string]string) {
		if v, ok := l[label]; ok {
			out = append(out, v)
		}
	})
	slices.Sort(out)
	return slices.Compact(out), nil
}

var now = time.Date(2026, 11, 22, 15, 30, 0, 0, time.UTC)

func rules(t testing.TB, f fleet) *ask.Rules {
	t.Helper()
	c, err := ask.Load(t.Context(), f)
	require.NoError(t, err)
	r, err := ask.NewRules(c, nil)
	require.NoError(t, err)
	return r
}

func TestTranslate(t *testing.T) {
	r := rules(t, shop)
	f := func(question, want string) {
		t.Helper()
		tr, err := r.Translate(t.Context(), ask.Question{Text: question, Now: now})
		require.NoError(t, err, question)
		require.Equal(t, want, tr.Query, question)
		_, err = parser.NewParser(parser.Options{}).ParseExpr(tr.Query)
		require.NoError(t, err)
		require.NotEmpty(t, tr.Explanation)
	}
	f("Which pods are crash-looping in blue?", `kube_pod_container_status_waiting_reason{namespace="blue",reason="CrashLoopBackOff"} == 1`)
	f("how many pods are pending", `count(kube_pod_status_phase{phase="Pending"} == 1)`)
	f("nodes not ready in c-west-2", `kube_node_status_condition{cluster="c-west-2",condition="Ready",status="true"} == 0`)
	f("nodes that are not ready on the east clusters", `kube_node_status_condition{cluster="c-east-1",condition="Ready",status="true"} == 0`)
	f("pods per namespace", `count by (namespace) (kube_pod_info == 1)`)
	f("number of pods per node", `count by (cluster, node) (kube_pod_info)`)
	f("p50 and p99 latency of web", `histogram_quantile(0.99, sum by (le) (rate(http_request_duration_seconds_bucket{service="web"}[5m])))`)
	f("top 3 pods by memory", `topk(3, sum by (cluster, namespace, pod) (container_memory_working_set_bytes{container!=""}))`)
	f("memory of web pods", `sum by (cluster, namespace, pod) (container_memory_working_set_bytes{container!="",container="web"})`)
	f("pods using more than 2gb of memory", `sum by (cluster, namespace, pod) (container_memory_working_set_bytes{container!=""}) > 2000000000`)
	f("nodes with over 85% memory used", `(1 - (sum by (cluster, instance) (node_memory_MemAvailable_bytes) / sum by (cluster, instance) (node_memory_MemTotal_bytes))) > 0.85`)
	f("p95 latency of web over the last 2 hours", `histogram_quantile(0.95, sum by (le) (rate(http_request_duration_seconds_bucket{service="web"}[2h])))`)
	f("share of web requests answered in less than 250ms", `sum(rate(http_request_duration_seconds_bucket{le="0.25",service="web"}[5m])) / sum(rate(http_request_duration_seconds_count{service="web"}[5m]))`)
	f("error rate of web compared to yesterday", `(sum(rate(http_requests_total{code=~"5..",service="web"}[5m])) / sum(rate(http_requests_total{service="web"}[5m]))) - `+
		`(sum(rate(http_requests_total{code=~"5..",service="web"}[5m] offset 1d)) / sum(rate(http_requests_total{service="web"}[5m] offset 1d)))`)
	f("how many requests did web get between 14:00 and 15:00 UTC", `sum(increase(http_requests_total{service="web"}[1h] offset 30m))`)
	f("restarts by namespace since midnight", `sum by (namespace) (increase(kube_pod_container_status_restarts_total[15h30m]))`)
	f("will any volume fill up in the next 3 days", `predict_linear(kubelet_volume_stats_available_bytes[6h], 259200) < 0`)
	f("certs that expire within 10 days", `(certmanager_certificate_expiration_timestamp_seconds - time()) < 864000`)
	f("what is firing in blue", `ALERTS{alertstate="firing",namespace="blue"} == 1`)
	f("evicted pods on n1", `kube_pod_status_reason{reason="Evicted"} == 1 and on (cluster, namespace, pod) kube_pod_info{node="n1"}`)
	f("wich pods are crahslooping", `kube_pod_container_status_waiting_reason{reason="CrashLoopBackOff"} == 1`)
}

// TestTranslateRange: a question for a graph says over which time.
func TestTranslateRange(t *testing.T) {
	tr, err := rules(t, shop).Translate(t.Context(), ask.Question{Text: "plot cpu of web over the past 6 hours", Now: now})
	require.NoError(t, err)
	require.Equal(t, `sum(rate(container_cpu_usage_seconds_total{container!="",container="web"}[5m]))`, tr.Query)
	require.Equal(t, &ask.Range{Start: now.Add(-6 * time.Hour), End: now, Step: 5 * time.Minute}, tr.Range)
}

func TestRefuse(t *testing.T) {
	r := rules(t, shop)
	for _, q := range []string{
		"", "gpu temperature", "how many unicorns live in blue", "who deployed web last night", "kafka consumer lag", strings.Repeat("why ", 5000),
	} {
		_, err := r.Translate(t.Context(), ask.Question{Text: q, Now: now})
		var refusal *ask.Refusal
		require.ErrorAs(t, err, &refusal, q)
		require.NotEmpty(t, refusal.Reason)
	}
}

// TestTextNeverBecomesQuery: quotes and braces in a question end up nowhere.
func TestTextNeverBecomesQuery(t *testing.T) {
	evil := fleet{"kube_pod_info": series(`cluster=c,namespace=a"} or up{x="y,pod=p,node=n`)}
	r := rules(t, evil)
	tr, err := r.Translate(t.Context(), ask.Question{Text: `pods per namespace"} or vector(1) # {`, Now: now})
	if err == nil {
		require.Equal(t, `count by (namespace) (kube_pod_info == 1)`, tr.Query)
	}
}

func FuzzTranslate(f *testing.F) {
	f.Add("which pods use more than 80% of memory in the last 3h by node compared to yesterday")
	f.Add("top 99999 p999 between 25:00 and 99:99 since 77pm")
	f.Add("\"}) or vector(1) \x00\xff in %")
	r := rules(f, shop)
	f.Fuzz(func(t *testing.T, q string) {
		tr, err := r.Translate(t.Context(), ask.Question{Text: q, Now: now})
		if err != nil {
			require.NotContains(t, err.Error(), "BUG")
			return
		}
		e, err := parser.NewParser(parser.Options{}).ParseExpr(tr.Query)
		require.NoError(t, err, tr.Query)
		parser.Inspect(e, func(n parser.Node, _ []parser.Node) error {
			if v, ok := n.(*parser.VectorSelector); ok {
				require.Contains(t, shop, v.Name)
			}
			return nil
		})
	})
}

func BenchmarkTranslate(b *testing.B) {
	r := rules(b, shop)
	b.ReportAllocs()
	for b.Loop() {
		_, err := r.Translate(b.Context(), ask.Question{Text: "top 5 pods by memory in blue over the last 3 hours", Now: now})
		require.NoError(b, err)
	}
}

// TestFollow: a follow-up changes a part of the question before it.
func TestFollow(t *testing.T) {
	r := logRules(t, shop)
	talk := func(pairs ...string) {
		t.Helper()
		before := ""
		for i := 0; i < len(pairs); i += 2 {
			tr, err := r.Translate(t.Context(), ask.Question{Text: pairs[i], Now: now, Previous: before})
			require.NoError(t, err, pairs[i])
			require.Equal(t, pairs[i+1], tr.Query, pairs[i])
			before = tr.Text
		}
	}
	talk("restarts by namespace in the last 2h", `sum by (namespace) (increase(kube_pod_container_status_restarts_total[2h]))`,
		"and by pod?", `sum by (cluster, pod) (increase(kube_pod_container_status_restarts_total[2h]))`,
		"only in blue", `sum by (cluster, pod) (increase(kube_pod_container_status_restarts_total{namespace="blue"}[2h]))`,
		"what about the last 6 hours?", `sum by (cluster, pod) (increase(kube_pod_container_status_restarts_total{namespace="blue"}[6h]))`,
		"how many pods are pending", `count(kube_pod_status_phase{phase="Pending"} == 1)`)
	talk("memory of pods in blue", `sum by (cluster, namespace, pod) (container_memory_working_set_bytes{container!="",namespace="blue"})`,
		"and in red?", `sum by (cluster, namespace, pod) (container_memory_working_set_bytes{container!="",namespace="red"})`)
	talk("nodes that are not ready on the east clusters", `kube_node_status_condition{cluster="c-east-1",condition="Ready",status="true"} == 0`,
		"and in c-west-2", `kube_node_status_condition{cluster="c-west-2",condition="Ready",status="true"} == 0`)
	talk("how many errors did grinder log in the last hour", `sum(count_over_time({app="grinder"} | detected_level=~"error|critical|fatal" [1h]))`,
		"and by pod?", `sum by (pod) (count_over_time({app="grinder"} | detected_level=~"error|critical|fatal" [1h]))`,
		"in the last 3 hours", `sum by (pod) (count_over_time({app="grinder"} | detected_level=~"error|critical|fatal" [3h]))`)
}
