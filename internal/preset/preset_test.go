package preset_test

import (
	"os"
	"path/filepath"
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/detect"
	"github.com/portent-dev/portent/internal/detect/group"
	"github.com/portent-dev/portent/internal/ingest"
	"github.com/portent-dev/portent/internal/preset"
)

func all(t testing.TB) []preset.Preset {
	t.Helper()
	presets, err := preset.Builtin(preset.Names()...)
	require.NoError(t, err)
	return presets
}

func set(t testing.TB, presets ...preset.Preset) *preset.Set {
	t.Helper()
	s, err := preset.New(presets)
	require.NoError(t, err)
	return s
}

// series makes sorted labels of a name and pairs.
func series(name string, pairs ...string) []ingest.Label {
	ls := []ingest.Label{{Name: ingest.MetricName, Value: name}}
	for _, p := range pairs {
		n, v, _ := strings.Cut(p, "=")
		ls = append(ls, ingest.Label{Name: n, Value: v})
	}
	slices.SortFunc(ls, func(a, b ingest.Label) int { return strings.Compare(a.Name, b.Name) })
	return ls
}

func TestBuiltin(t *testing.T) {
	require.Equal(t, []string{
		"cadvisor", "coredns", "etcd", "go", "ingress_nginx", "jvm", "kafka", "kube_apiserver", "kube_state_metrics",
		"kubelet", "node_exporter", "postgresql", "redis",
	}, preset.Names())
	names := map[string]string{}
	for _, p := range all(t) {
		require.NotEmpty(t, p.About, p.Name)
		require.Greater(t, len(p.Entries), 5, p.Name)
		for _, e := range p.Entries {
			where := p.Name + "/" + e.Name
			require.NotEmpty(t, e.Means, where)
			require.NotContains(t, names, e.Name, "%s: results of queries bear the name, so that it is told apart", where)
			names[e.Name] = where
			if e.Query == "" {
				continue
			}
			expr, err := parser.NewParser(parser.Options{}).ParseExpr(e.Query)
			require.NoError(t, err, where)
			require.Equal(t, parser.ValueTypeVector, expr.Type(), where)
			require.True(t, dropsName(expr), "%s: the results would keep the name of a metric", where)
			require.NotEqual(t, preset.Ignore, e.As, where)
		}
	}
	_, err := preset.Builtin("mainframe")
	require.ErrorContains(t, err, `unknown preset "mainframe": want one of cadvisor, coredns, etcd`)
}

// dropsName reports whether the results of an expression have no metric name.
func dropsName(e parser.Expr) bool {
	switch e := e.(type) {
	case *parser.ParenExpr:
		return dropsName(e.Expr)
	case *parser.BinaryExpr:
		return !e.Op.IsComparisonOperator() && !e.Op.IsSetOperator()
	case *parser.Call, *parser.AggregateExpr:
		return true
	}
	return false
}

// testdata/names holds the names that exporters show; its README says which and from
// where. Every preset has such a list, and every name, and every alternative of a pattern,
// in it is on the list: none names what no exporter has.
func TestNamesAreReal(t *testing.T) {
	for _, name := range preset.Names() {
		content, err := os.ReadFile(filepath.Join("testdata", "names", name+".txt"))
		require.NoError(t, err, "every preset needs a list of names")
		shown := strings.Fields(string(content))
		p, err := preset.Builtin(name)
		require.NoError(t, err)
		for _, e := range p[0].Entries {
			for _, pattern := range names(t, e) {
				whole := regexp.MustCompile("^(?:" + pattern + ")$")
				require.True(t, slices.ContainsFunc(shown, whole.MatchString), "%s: no metric %s in %s.txt", e.Name, pattern, name)
			}
		}
	}
}

// names returns the names, or patterns of names without alternatives, that an entry speaks of.
func names(t *testing.T, e preset.Entry) (out []string) {
	t.Helper()
	texts := []string{e.Query + e.Match}
	if e.Unless != nil {
		texts = append(texts, e.Unless.Match)
	}
	if e.LimitOf != nil && !strings.HasPrefix(e.LimitOf.Match, "kube_") { // of another exporter
		texts = append(texts, e.LimitOf.Match)
	}
	for _, text := range texts {
		expr, err := parser.NewParser(parser.Options{}).ParseExpr(text)
		require.NoError(t, err)
		parser.Inspect(expr, func(n parser.Node, _ []parser.Node) error {
			v, ok := n.(*parser.VectorSelector)
			if !ok {
				return nil
			}
			for _, m := range v.LabelMatchers {
				if m.Name == ingest.MetricName && (m.Type == labels.MatchEqual || m.Type == labels.MatchRegexp) {
					re, err := syntax.Parse(m.Value, syntax.Perl)
					require.NoError(t, err)
					out = append(out, alternatives(re)...)
				}
			}
			return nil
		})
	}
	return out
}

// alternatives spells every branch of a regular expression out.
func alternatives(re *syntax.Regexp) (out []string) {
	switch re.Op {
	case syntax.OpAlternate:
		for _, sub := range re.Sub {
			out = append(out, alternatives(sub)...)
		}
	case syntax.OpCapture:
		return alternatives(re.Sub[0])
	case syntax.OpQuest:
		return append(alternatives(re.Sub[0]), "")
	case syntax.OpConcat:
		out = []string{""}
		for _, sub := range re.Sub {
			var longer []string
			for _, head := range out {
				for _, tail := range alternatives(sub) {
					longer = append(longer, head+tail)
				}
			}
			out = longer
		}
	default:
		return []string{re.String()}
	}
	return out
}

func TestAlternatives(t *testing.T) {
	re, err := syntax.Parse("cpu_(busy|disk(_read|_write)?)_total|load", syntax.Perl)
	require.NoError(t, err)
	require.ElementsMatch(t, []string{"cpu_busy_total", "cpu_disk_read_total", "cpu_disk_write_total", "cpu_disk_total", "load"}, alternatives(re))
}

func TestClassify(t *testing.T) {
	s := set(t, all(t)...)
	f := func(want string, ls []ingest.Label) {
		t.Helper()
		class := s.Classify(ls)
		e, ok := s.Entry(class)
		require.Equal(t, want != "", ok)
		require.Equal(t, want, e.Name)
		require.Equal(t, e.As == preset.Ignore, s.Ignores(ls))
	}
	f("node_load", series("node_load1", "instance=a"))
	f("node_load_averages", series("node_load5", "instance=a"))
	f("node_cpu_busy", series("node_cpu_busy", "instance=a"))
	f("node_network_bytes", series("node_network_receive_bytes_total", "device=eth0"))
	f("node_network_virtual", series("node_network_receive_bytes_total", "device=veth12"))
	f("container_memory", series("container_memory_working_set_bytes", "container=app", "pod=web-0"))
	f("container_totals", series("container_memory_working_set_bytes", "id=/kubepods"))
	f("pod_network_bytes", series("container_network_receive_bytes_total", "interface=eth0", "pod=web-0"))
	f("kube_restarts", series("kube_pod_container_status_restarts_total", "pod=web-0"))
	f("kube_constants", series("kube_pod_info", "pod=web-0"))
	f("kube_phases", series("kube_pod_status_phase", "phase=Running"))
	f("pg_commits", series("pg_stat_database_xact_commit", "datname=shop"))
	f("pg_counters", series("pg_stat_database_blks_hit", "datname=shop"))
	f("go_gc_pause", series("go_gc_duration_seconds", "quantile=1"))
	f("go_internals", series("go_gc_duration_seconds", "quantile=0.5"))
	f("", series("my_own_metric"))
	f("", nil)
}

// The engine takes the classes, and counters whose names do not say so are rates.
func TestClassesInTheEngine(t *testing.T) {
	s := set(t, all(t)...)
	e, err := detect.NewEngine(detect.Options{Classes: s.Classes(), Classify: s.Classify})
	require.NoError(t, err)
	a := e.Appender()
	a.Append(series("pg_stat_database_xact_commit", "datname=shop"), ingest.KindUnknown, []ingest.Sample{{T: 1e12, V: 100}, {T: 1e12 + 10_000, V: 150}})
	a.Commit()
	e.ForEach(func(_ []ingest.Label, o detect.Output) bool {
		require.InDelta(t, 5, o.Value, 0)
		require.Equal(t, "pg_commits", e.Class(o).Name)
		return true
	})
}

func TestGroups(t *testing.T) {
	s := set(t, all(t)...)
	rules, contexts := s.Groups()
	w, err := group.New(group.Options{Rules: rules, Contexts: contexts})
	require.NoError(t, err)
	require.NotNil(t, w)
	matched := func(ls []ingest.Label) (names []string) {
		for _, r := range rules {
			if r.Match(ls) {
				names = append(names, string(r.Kind)+" "+r.Name)
			}
		}
		return names
	}
	pod := series("container_memory_working_set_bytes", "container=app", "namespace=shop", "pod=web-7d9c5b8f6d-x2k4p")
	require.Equal(t, []string{"joint workload", "peers container_memory"}, matched(pod))
	require.Equal(t, []string{"joint node"}, matched(series("node_load1", "instance=a")))
	require.Empty(t, matched(series("my_own_metric")))
	explains := 0
	for _, c := range contexts {
		if c.Match(pod) {
			explains++
			require.Equal(t, "traffic", c.Name)
			require.True(t, c.With(series("container_network_receive_bytes_total", "interface=eth0", "pod=web-0")))
			require.False(t, c.With(pod))
		}
	}
	require.Equal(t, 1, explains)
}

func TestUsersOverride(t *testing.T) {
	mine, err := preset.Parse("mine.yaml", []byte(`
name: node_exporter
entries:
  - name: node_load
    means: load
    as: value
    match: node_load1
    min_absolute: 30
  - name: my_rate
    means: mine
    as: rate
    match: '{job="mine"}'
`))
	require.NoError(t, err)
	own, err := preset.Parse("own.yaml", []byte("name: own\nentries: [{name: own_load, means: x, as: value, match: 'node_load1{instance=\"special\"}'}]"))
	require.NoError(t, err)
	s := set(t, append(all(t), mine, own)...)
	f := func(want string, ls []ingest.Label) detect.Class {
		t.Helper()
		class := s.Classify(ls)
		require.NotEqual(t, -1, class)
		require.Equal(t, want, s.Classes()[class].Name)
		return s.Classes()[class]
	}
	require.InDelta(t, 30, f("node_load", series("node_load1", "instance=a")).MinAbsolute, 0, "replaced")
	f("own_load", series("node_load1", "instance=special"))
	f("my_rate", series("anything", "job=mine"))
	f("node_load_averages", series("node_load5"))
	require.Contains(t, s.Queries(), preset.Query{Name: "node_conntrack_used", Expr: "node_nf_conntrack_entries / node_nf_conntrack_entries_limit"})
}

func TestErrors(t *testing.T) {
	f := func(text string, want ...string) {
		t.Helper()
		_, err := preset.Parse("x.yaml", []byte(text))
		for _, w := range want {
			require.ErrorContains(t, err, w)
		}
		require.ErrorContains(t, err, "x.yaml: ")
	}
	f("", "the file is empty")
	f("entries: []", "name: want one")
	f("name: x\ncolour: red", "colour")
	entry := func(rest string) string { return "name: x\nentries:\n- {name: a, means: m, " + rest + "}" }
	f(entry("as: value"), "entries[0] (a): match, query: want one of the two")
	f(entry("as: value, match: x, query: x"), "want one of the two")
	f(entry("as: sum, match: x"), `as: unknown value "sum": want one of ["value" "rate" "ratio" "quantile" "ignore"]`)
	f(entry("as: ratio, match: x"), "as: ratio is the result of a query")
	f(entry("as: value, match: '{'"), `match: "{" is no series selector`)
	f(entry("as: value, query: 'sum('"), `query: "sum(" is no PromQL`)
	f(entry("as: value, match: x, direction: sideways, min_absolute: -1"), `direction: unknown value "sideways"`, "min_absolute: want")
	f(entry("as: value, match: x, in: [nowhere]"), `in: no group "nowhere"`)
	f(entry("as: value, match: x, unless: {match: y}"), "unless: want labels to match on")
	f(entry("as: value, match: x, warm_up: soon"), "soon")
	f("name: x\nentries:\n- {name: a, means: m, as: value, match: x}\n- {name: a, means: m, as: value, match: x}", "the name is given twice")
	f("name: x\nentries:\n- {name: 'a b', means: m, as: value, match: x}", `"a b" is no name of a metric`)

	a, err := preset.Parse("a.yaml", []byte("name: a\ngroups: {g: [x]}\nentries: [{name: e, means: m, as: value, match: x, in: [g]}]"))
	require.NoError(t, err)
	b, err := preset.Parse("b.yaml", []byte("name: b\ngroups: {g: [y]}\nentries: [{name: e2, means: m, as: value, match: x, in: [g]}]"))
	require.NoError(t, err)
	_, err = preset.New([]preset.Preset{a, b})
	require.ErrorContains(t, err, `preset b: groups.g: ["y"] here, ["x"] in another preset`)
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("name: x\nentries: [{name: e, means: m, as: value, match: x}]"))
	f.Fuzz(func(t *testing.T, content []byte) {
		p, err := preset.Parse("x.yaml", content)
		if err != nil {
			return
		}
		if s, err := preset.New([]preset.Preset{p}); err == nil {
			s.Classify(series("node_load1"))
			s.Groups()
		}
	})
}

func BenchmarkClassify(b *testing.B) {
	presets, err := preset.Builtin(preset.Names()...)
	require.NoError(b, err)
	s, err := preset.New(presets)
	require.NoError(b, err)
	known, unknown := series("container_memory_working_set_bytes", "container=app", "pod=web-0"), series("my_own_metric", "pod=web-0")
	b.Run("known", func(b *testing.B) {
		for b.Loop() {
			s.Classify(known)
		}
	})
	b.Run("unknown", func(b *testing.B) {
		for b.Loop() {
			s.Classify(unknown)
		}
	})
}

// The page lists every preset, and its example is a file that works.
func TestPage(t *testing.T) {
	page, err := os.ReadFile("../../docs/presets.md")
	require.NoError(t, err)
	for _, name := range preset.Names() {
		require.Contains(t, string(page), "| `"+name+"` |")
	}
	_, example, _ := strings.Cut(string(page), "```yaml\n")
	example, _, _ = strings.Cut(example, "```")
	p, err := preset.Parse("example", []byte(example))
	require.NoError(t, err)
	s := set(t, p)
	require.Len(t, s.Classes(), 4)
	require.True(t, s.Ignores(series("shop_build_info")))
}
