// Package dashboardtest holds the dashboards that are shipped to what a person expects of them: that each variable that
// they use exists, that each link leads somewhere, and that each metric is one that somebody exports. Their schema,
// and that our programs export what they read, is tested in e2e.
package dashboardtest

import (
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/promql/parser"
	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/datasource-plugin/pkg/query"
	"github.com/portent-dev/portent/internal/ask"
)

type dashboard struct {
	UID        string
	Title      string
	Links      []struct{ Title, URL string }
	Templating struct {
		List []struct {
			Name    string
			Current struct{ Value any }
			Query   any
		}
	}
	Panels []struct {
		Title       string
		Type        string
		Targets     []map[string]any
		FieldConfig struct {
			Defaults struct {
				Links []struct{ Title, URL string }
			}
		}
	}
}

func read(t *testing.T) map[string]dashboard {
	t.Helper()
	files, err := filepath.Glob("../../dashboards/portent-*.json")
	require.NoError(t, err)
	require.GreaterOrEqual(t, len(files), 6)
	all := map[string]dashboard{}
	for _, file := range files {
		raw, err := os.ReadFile(file)
		require.NoError(t, err)
		var d dashboard
		require.NoError(t, json.Unmarshal(raw, &d), file)
		require.Equal(t, d.UID+".json", filepath.Base(file), "a dashboard is found by its file")
		all[d.UID] = d
	}
	return all
}

// variable is $name, ${name}, ${name:format} and [[name]].
var variable = regexp.MustCompile(`\$(\w+)|\$\{(\w+)[^}]*\}|\[\[(\w+)\]\]`)

// builtin are the variables of Grafana itself that we use.
var builtin = []string{"__rate_interval", "__range", "__interval", "__auto", "__url_time_range", "__data"}

func TestVariablesExist(t *testing.T) {
	for uid, d := range read(t) {
		raw, err := os.ReadFile("../../dashboards/" + uid + ".json")
		require.NoError(t, err)
		declared := slices.Clone(builtin)
		for _, v := range d.Templating.List {
			declared = append(declared, v.Name)
		}
		used := map[string]bool{}
		for _, m := range variable.FindAllStringSubmatch(string(raw), -1) {
			name := m[1] + m[2] + m[3]
			used[name] = true
			require.Contains(t, declared, name, uid)
		}
		for _, v := range d.Templating.List {
			require.True(t, used[v.Name] || v.Name == "prometheus", "%s: the variable %s is not used", uid, v.Name)
		}
	}
}

func TestLinksLeadSomewhere(t *testing.T) {
	all := read(t)
	for uid, d := range all {
		links := d.Links
		for _, p := range d.Panels {
			links = append(links, p.FieldConfig.Defaults.Links...)
		}
		require.GreaterOrEqual(t, len(links), len(all)-1, "%s leads to all others", uid)
		for _, l := range links {
			at, err := url.Parse(variable.ReplaceAllString(l.URL, "x"))
			require.NoError(t, err)
			to, ok := all[strings.TrimPrefix(at.Path, "/d/")]
			require.True(t, ok, "%s: %s leads to no dashboard of ours", uid, l.URL)
			for name := range at.Query() {
				name, isVariable := strings.CutPrefix(name, "var-")
				has := slices.ContainsFunc(to.Templating.List, func(v struct {
					Name    string
					Current struct{ Value any }
					Query   any
				},
				) bool {
					return v.Name == name
				})
				require.True(t, !isVariable || has, "%s: %s sets %s, which %s has not", uid, l.URL, name, to.UID)
			}
		}
	}
}

// known are the names of the metrics of the exporters that we name in the documents, by their prefixes.
var known = regexp.MustCompile(`^(up|ALERTS)$|^(node|kube|kubelet_volume_stats|container|process|alertmanager)_`)

// Each metric is ours and in our documents or code, or one of an exporter that is known.
func TestMetricsAreKnown(t *testing.T) {
	ours := documented(t)
	for uid, d := range read(t) {
		for _, p := range d.Panels {
			for _, target := range p.Targets {
				for _, expr := range promQL(t, d, target) {
					parsed, err := parser.NewParser(parser.Options{}).ParseExpr(expr)
					require.NoError(t, err, "%s: %s: %s", uid, p.Title, expr)
					parser.Inspect(parsed, func(n parser.Node, _ []parser.Node) error {
						if v, ok := n.(*parser.VectorSelector); ok {
							name := strings.TrimSuffix(v.Name, "_bucket")
							require.True(t, known.MatchString(name) || ours[name], "%s: %s reads %s, which nobody exports", uid, p.Title, v.Name)
						}
						return nil
					})
				}
			}
		}
	}
}

// documented are the names of metrics in the documents, and in the sources of those programs that document none.
func documented(t *testing.T) map[string]bool {
	t.Helper()
	names := map[string]bool{}
	name := regexp.MustCompile("[`\"]((?:portent|anomaly|log_pattern)_[a-z_]+)[`\"]")
	add := func(file string) {
		raw, err := os.ReadFile(file)
		require.NoError(t, err)
		for _, m := range name.FindAllStringSubmatch(string(raw), -1) {
			names[m[1]] = true
		}
	}
	add("../../docs/configuration/exporter.md")
	add("../../docs/configuration/receiver.md")
	for _, glob := range []string{"../../alertmanager-receiver/app/*.go", "../../exporter/app/*.go", "../../internal/*/*.go"} {
		files, err := filepath.Glob(glob)
		require.NoError(t, err)
		for _, file := range files {
			add(file)
		}
	}
	// The runner's metrics are named by a prefix and what follows it.
	for _, what := range []string{"alerts_total", "incidents_total", "rule_matches_total"} {
		names["portent_receiver_triage_"+what] = true
	}
	return names
}

// promQL returns the expressions of a target, with values in the place of variables, and checks the others.
func promQL(t *testing.T, d dashboard, target map[string]any) []string {
	t.Helper()
	filled := fill(d, target).(map[string]any)
	if expr, ok := filled["expr"].(string); ok {
		return []string{expr}
	}
	raw, err := json.Marshal(filled)
	require.NoError(t, err)
	q, err := query.Parse(raw)
	require.NoError(t, err, "%s: %s", d.UID, raw)
	switch {
	case q.Forecast != nil && q.Forecast.Expr != "":
		return []string{q.Forecast.Expr}
	case q.Forecast != nil:
		return []string{q.Forecast.Metric}
	case q.Ask != nil && q.Ask.Frozen.Language == query.PromQL:
		require.True(t, q.Ask.Answered(), "%s: a question without a stored query is another one each time", d.UID)
		return []string{q.Ask.Frozen.Query}
	case q.Patterns != nil:
		_, err := ask.ParseLogQL(q.Patterns.Query)
		require.NoError(t, err, q.Patterns.Query)
	}
	return nil
}

// fill puts values in the place of variables: the current one, or one that fits anything.
func fill(d dashboard, v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := map[string]any{}
		for k, one := range v {
			out[k] = fill(d, one)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, one := range v {
			out[i] = fill(d, one)
		}
		return out
	case string:
		return variable.ReplaceAllStringFunc(v, func(m string) string {
			name := strings.Trim(m, "${}[]")
			for _, one := range d.Templating.List {
				if one.Name == name && one.Current.Value != nil {
					return fmt.Sprint(one.Current.Value)
				}
			}
			if strings.HasPrefix(name, "__") {
				return "5m"
			}
			return "up"
		})
	}
	return v
}

// A test that cannot fail is none: what the tests look for is found.
func TestMistakesAreFound(t *testing.T) {
	require.False(t, known.MatchString("made_up_total"))
	require.False(t, documented(t)["portent_made_up_total"])
	d := read(t)["portent-logs"]
	require.Equal(t, "previous", fill(d, "$compare"))
	require.Equal(t, []any{"rate(x[5m])"}, fill(d, []any{"rate(x[$__rate_interval])"}))
}
