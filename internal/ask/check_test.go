package ask_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/ask"
)

// meter answers every question for cost alike, and keeps what was asked.
type meter struct {
	series int
	bytes  uint64
	err    error
	asked  []string
	oldest time.Time
}

func (m *meter) CountSeries(_ context.Context, selector string, start, _ time.Time, limit int) (int, error) {
	m.asked, m.oldest = append(m.asked, selector), start
	return min(m.series, limit), m.err
}

func (m *meter) LogBytes(_ context.Context, selector string, start, _ time.Time) (uint64, error) {
	m.asked, m.oldest = append(m.asked, selector), start
	return m.bytes, m.err
}

func gate(t testing.TB) ask.Gate {
	t.Helper()
	c, err := ask.Load(t.Context(), shop)
	require.NoError(t, err)
	l, err := ask.LoadLogs(t.Context(), mill, now)
	require.NoError(t, err)
	return ask.Gate{
		Metrics: c, Logs: l,
		Forced: []*labels.Matcher{labels.MustNewMatcher(labels.MatchEqual, "namespace", "blue"), labels.MustNewMatcher(labels.MatchRegexp, "cluster", "c-east-.+")},
	}
}

// TestForcedEverywhere: whatever a query tries, each of its selectors has the forced
// matchers.
func TestForcedEverywhere(t *testing.T) {
	g := gate(t)
	for _, q := range []string{
		`kube_pod_info`, `kube_pod_info{namespace="red"}`, `kube_pod_info{namespace=~"blue|red"}`, `kube_pod_info{namespace=~".*"}`, `kube_pod_info{namespace!="blue"}`,
		`kube_pod_info or kube_node_info`, `kube_pod_info{namespace="blue"} or kube_pod_info`, `absent(kube_pod_info)`, `kube_pod_info unless on () kube_pod_info`,
		`max_over_time(rate(container_cpu_usage_seconds_total[5m])[1h:1m])`, `sum_over_time(kube_pod_info[1h]) and on (pod) max_over_time(kube_pod_info[2h] offset 1d)`,
		`label_replace(kube_pod_info{namespace="red"}, "namespace", "blue", "", "")`, `label_join(kube_pod_info, "namespace", "-", "pod", "node")`,
		`count_values("namespace", kube_pod_info)`, `histogram_quantile(0.9, sum by (le) (rate(http_request_duration_seconds_bucket[5m])))`,
		`{__name__="kube_pod_info"}`, `{"kube_pod_info", namespace="red"}`, `kube_pod_info @ end() offset -1h`, `absent_over_time(kube_pod_info{namespace="red"}[1h])`,
		`scalar(sum(kube_pod_info)) * on () group_left () sum(kube_node_info)`, `(((kube_pod_info)))`, `-kube_pod_info`, `topk(scalar(count(kube_node_info)), kube_pod_info)`,
		`quantile_over_time(scalar(kube_pod_info), kube_pod_info[5m])`,
	} {
		got, err := g.Check(t.Context(), ask.Translation{Language: ask.PromQL, Query: q, Time: now})
		require.NoError(t, err, q)
		e, err := parser.NewParser(parser.Options{}).ParseExpr(got.Query)
		require.NoError(t, err, got.Query)
		seen := 0
		parser.Inspect(e, func(n parser.Node, _ []parser.Node) error {
			if v, ok := n.(*parser.VectorSelector); ok {
				seen++
				require.Contains(t, v.String(), `namespace="blue"`, got.Query)
				require.Contains(t, v.String(), `cluster=~"c-east-.+"`, got.Query)
			}
			return nil
		})
		require.Positive(t, seen)
	}
	g.Forced = []*labels.Matcher{labels.MustNewMatcher(labels.MatchEqual, "namespace", "plant")}
	for _, q := range []string{
		`{app="grinder"}`, `{namespace="office"}`, `{namespace=~".+"} |= "x"`, `sum(rate({app="grinder"}[5m])) / sum(rate({namespace="office"}[5m] offset 1h))`,
		`sum by (namespace) (count_over_time({app=~".+"} | json | namespace="office" [1h])) - (1 - sum(rate({app="invoicer"} | logfmt [1m])))`,
	} {
		got, err := g.Check(t.Context(), ask.Translation{Language: ask.LogQL, Query: q, Time: now})
		require.NoError(t, err, q)
		require.Equal(t, strings.Count(got.Query, "{"), strings.Count(got.Query, `namespace="plant"}`), got.Query)
	}
}

func TestCheckRefuses(t *testing.T) {
	g := gate(t)
	f := func(language ask.Language, query, rule string) {
		t.Helper()
		_, err := g.Check(t.Context(), ask.Translation{Language: language, Query: query, Time: now})
		var v *ask.Violation
		require.ErrorAs(t, err, &v, query)
		require.Equal(t, rule, v.Rule, "%s: %s", query, v.Reason)
		require.Less(t, len(v.Reason), 2000)
	}
	f(ask.PromQL, `sum(`, "parse")
	f(ask.PromQL, ``, "parse")
	f(ask.PromQL, strings.Repeat("(", 20_000), "parse")
	f(ask.PromQL, `kube_pod_info[5m]`, "parse")
	f(ask.PromQL, `"text"`, "parse")
	f(ask.PromQL, `info(kube_pod_info)`, "parse") // reads series that no selector names
	f(ask.PromQL, `{__name__=~".+"}`, "metric")
	f(ask.PromQL, `{namespace="blue"}`, "metric")
	f(ask.PromQL, `{__name__="kube_pod_info", __name__!="x"}`, "metric")
	f(ask.PromQL, `kube_pod_info or secret_metric`, "metric")
	f(ask.PromQL, `sum(kube_pod_info{colour="red"})`, "label")
	f(ask.PromQL, `sum by (colour) (kube_pod_info)`, "label")
	f(ask.PromQL, `kube_pod_info * on (colour) kube_node_info`, "label")
	f(ask.PromQL, strings.Repeat("kube_pod_info + ", 40)+"kube_pod_info", "cost")
	f(ask.LogQL, `{app="grinder"`, "parse")
	f(ask.LogQL, `{}`, "scope")
	f(ask.LogQL, `{app=~".*"}`, "scope")
	f(ask.LogQL, `{colour="red"}`, "label")
	f(ask.LogQL, `{app="grinder"} | line_format "{{"`, "parse")
	f("sql", `select 1`, "parse")
}

func TestCheckRange(t *testing.T) {
	f := func(r ask.Range) error {
		_, err := ask.Gate{}.Check(t.Context(), ask.Translation{Language: ask.PromQL, Query: "up", Time: now, Range: &r})
		return err
	}
	require.NoError(t, f(ask.Range{Start: now.Add(-time.Hour), End: now, Step: time.Minute}))
	require.ErrorContains(t, f(ask.Range{Start: now, End: now.Add(-time.Hour), Step: time.Minute}), "before it starts")
	require.ErrorContains(t, f(ask.Range{Start: now.Add(-time.Hour), End: now}), "no step")
	require.ErrorContains(t, f(ask.Range{Start: now.Add(-24 * time.Hour), End: now, Step: time.Second}), "86401 points")
}

// TestCost: the same query is let through, told of or refused, by the mode.
func TestCost(t *testing.T) {
	g := gate(t)
	f := func(m *meter, tr ask.Translation, want string) {
		t.Helper()
		tr.Time = now
		g.Meter, g.Mode = m, ask.Off
		got, err := g.Check(t.Context(), tr)
		require.NoError(t, err)
		require.Empty(t, got.Warnings)
		require.Empty(t, m.asked, "Off asks nobody")
		g.Mode = ask.Warn
		got, err = g.Check(t.Context(), tr)
		require.NoError(t, err)
		if want == "" {
			require.Empty(t, got.Warnings)
		} else {
			require.Contains(t, strings.Join(got.Warnings, "\n"), want)
		}
		for _, s := range m.asked {
			require.Contains(t, s, `namespace="blue"`, "the cost is that of what is allowed to be seen")
		}
		g.Mode = ask.Enforce
		_, err = g.Check(t.Context(), tr)
		if want == "" {
			require.NoError(t, err)
			return
		}
		var v *ask.Violation
		require.ErrorAs(t, err, &v)
		require.Equal(t, "cost", v.Rule)
		require.Contains(t, v.Reason, want)
	}
	prom := func(q string) ask.Translation { return ask.Translation{Language: ask.PromQL, Query: q} }
	logs := func(q string) ask.Translation { return ask.Translation{Language: ask.LogQL, Query: q} }
	f(&meter{series: 100}, prom(`sum(rate(http_requests_total[5m]))`), "")
	f(&meter{series: 30_000}, prom(`sum(kube_pod_info)`), "more than 20000 series")
	f(&meter{series: 15_000}, prom(`sum(rate(http_requests_total[1d]))`), "samples")
	f(&meter{series: 10}, prom(`sum(rate(http_requests_total[60d]))`), "reads 60d")
	f(&meter{series: 10}, prom(`sum(rate(http_requests_total[60d] offset -59d))`), "reads 60d")
	f(&meter{series: 10}, prom(`sum(kube_pod_info offset 40d)`), "back")
	f(&meter{series: 10}, prom(`kube_pod_info @ 1`), "back")
	f(&meter{series: 500}, prom(`max_over_time(sum(rate(http_requests_total[1h]))[7d:10s])`), "samples")
	f(&meter{err: errors.New("gone")}, prom(`sum(kube_pod_info)`), "cannot be told")
	f(&meter{bytes: 1 << 20}, logs(`{app="grinder"}`), "")
	f(&meter{bytes: 15 << 30}, logs(`sum(rate({app="grinder"}[5m])) / sum(rate({app="invoicer"}[5m]))`), "30 GiB of logs")
	f(&meter{bytes: 1}, logs(`sum(rate({app="grinder"}[5m] offset 5w))`), "")
	f(&meter{bytes: 1}, logs(`sum(rate({app="grinder"}[5w]))`), "of logs")
	f(&meter{err: errors.New("gone")}, logs(`{app="grinder"}`), "cannot be told")
}

// TestCheckPassesRules: what the rules write passes the gate.
func TestCheckPassesRules(t *testing.T) {
	g := gate(t)
	g.Forced = nil
	r := logRules(t, shop)
	for _, q := range []string{
		"pods per namespace", "error rate of web compared to yesterday", "evicted pods on n1", "error logs of grinder", "sieve blocked by operator",
		"what share of the grinder log lines are errors", "p90 of elapsed_ms in the grinder logs",
	} {
		tr, err := r.Translate(t.Context(), ask.Question{Text: q, Now: now})
		require.NoError(t, err, q)
		got, err := g.Check(t.Context(), tr)
		require.NoError(t, err, tr.Query)
		require.Equal(t, tr.Query, got.Query)
	}
}

func FuzzCheck(f *testing.F) {
	f.Add(`sum by (namespace) (rate(http_requests_total{code="500"}[5m])) or kube_pod_info`, `{app="grinder"} |= "x" | json`)
	g := gate(f)
	f.Fuzz(func(t *testing.T, prom, logs string) {
		if got, err := g.Check(t.Context(), ask.Translation{Language: ask.PromQL, Query: prom, Time: now}); err == nil {
			e, err := parser.NewParser(parser.Options{}).ParseExpr(got.Query)
			require.NoError(t, err)
			parser.Inspect(e, func(n parser.Node, _ []parser.Node) error {
				if v, ok := n.(*parser.VectorSelector); ok {
					require.Contains(t, v.String(), `namespace="blue"`)
				}
				return nil
			})
		}
		if got, err := g.Check(t.Context(), ask.Translation{Language: ask.LogQL, Query: logs, Time: now}); err == nil {
			_, err := ask.ParseLogQL(got.Query)
			require.NoError(t, err)
			require.GreaterOrEqual(t, strings.Count(got.Query, `namespace="blue"`), min(1, strings.Count(got.Query, "{")))
		}
	})
}
