package e2e_test

import (
	"encoding/json"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	pluginquery "github.com/portent-dev/portent/datasource-plugin/pkg/query"
	"github.com/portent-dev/portent/e2e/servertest"
)

// What provisioning/ and dashboards/ hold is right in the eyes of the programs that read it.
func TestProvisioningIsValid(t *testing.T) {
	t.Parallel()
	rules, err := filepath.Glob("../dashboards/rules/*.rules.yml")
	require.NoError(t, err)
	require.NotEmpty(t, rules)
	tests, err := filepath.Glob("../dashboards/rules/*_test.yml")
	require.NoError(t, err)
	require.Len(t, tests, len(rules), "each file of rules has one of tests")

	for _, c := range []struct {
		program string
		args    []string
		want    string
	}{
		{"promtool", []string{"check", "config", "../provisioning/prometheus/prometheus.yml"}, "SUCCESS"},
		{"promtool", append([]string{"check", "rules", "--lint-fatal"}, rules...), "SUCCESS"},
		{"promtool", append([]string{"test", "rules"}, tests...), "SUCCESS"},
		{"amtool", []string{"check-config", "../provisioning/alertmanager/alertmanager.yml"}, "SUCCESS"},
		{"loki", []string{"-verify-config", "-config.file=../provisioning/loki/loki.yml"}, ""}, // silent when all is well
	} {
		t.Run(c.program+" "+c.args[0], func(t *testing.T) {
			t.Parallel()
			out, err := exec.Command(servertest.Binary(t, c.program), c.args...).CombinedOutput()
			require.NoError(t, err, "%s", out)
			require.Contains(t, string(out), c.want)
		})
	}
	for name, config := range map[string]string{"portent-exporter": "exporter/exporter.yml", "portent-receiver": "receiver/receiver.yml"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path, err := filepath.Abs("../provisioning/" + config)
			require.NoError(t, err)
			cmd := exec.Command(program(t, name), "--config.check", "--config.file="+path)
			cmd.Dir = t.TempDir() // the state folder is relative
			out, err := cmd.CombinedOutput()
			require.NoError(t, err, "%s", out)
		})
	}
}

// An alert that leads nowhere wakes somebody for nothing.
func TestAlertsHaveRunbooks(t *testing.T) {
	var pages []string
	for _, rule := range alertRules(t) {
		require.NotEmpty(t, rule.Labels["severity"], rule.Alert)
		require.NotEmpty(t, rule.Annotations["summary"], rule.Alert)
		require.NotEmpty(t, rule.Annotations["description"], rule.Alert)
		path, found := strings.CutPrefix(rule.Annotations["runbook_url"], "https://github.com/portent-dev/portent/blob/main/")
		require.True(t, found, rule.Alert)
		require.Equal(t, "docs/runbooks/"+rule.Alert+".md", path)
		require.True(t, strings.HasPrefix(file(t, path), "# "+rule.Alert+"\n"), path)
		pages = append(pages, filepath.Base(path))
	}
	found, err := fs.Glob(os.DirFS("../docs/runbooks"), "*.md")
	require.NoError(t, err)
	for _, alert := range []string{"LogPatternNew", "LogPatternGrown", "LogPatternShrunk"} { // sent by the exporter
		require.True(t, strings.HasPrefix(file(t, "docs/runbooks/"+alert+".md"), "# "+alert+"\n"), alert)
		pages = append(pages, alert+".md")
	}
	require.ElementsMatch(t, append(pages, "README.md"), found, "a page for each alert and no other")
}

type alertRule struct {
	Alert               string
	Expr                string
	Labels, Annotations map[string]string
}

// alertRules are all that we ship.
func alertRules(t testing.TB) []alertRule {
	t.Helper()
	files, err := filepath.Glob("../dashboards/rules/*.rules.yml")
	require.NoError(t, err)
	var all []alertRule
	for _, name := range files {
		var rules struct{ Groups []struct{ Rules []alertRule } }
		require.NoError(t, yaml.Unmarshal([]byte(file(t, strings.TrimPrefix(name, "../"))), &rules))
		for _, g := range rules.Groups {
			all = append(all, g.Rules...)
		}
	}
	require.NotEmpty(t, all)
	return all
}

// Dashboards keep to our schema; every query of theirs parses, as PromQL or as the plugin reads it.
func TestDashboardsAreValid(t *testing.T) {
	schema, err := jsonschema.NewCompiler().Compile("../dashboards/dashboard.schema.json")
	require.NoError(t, err)
	for name, d := range dashboards(t) {
		t.Run(name, func(t *testing.T) {
			value, err := jsonschema.UnmarshalJSON(strings.NewReader(file(t, "dashboards", name)))
			require.NoError(t, err)
			require.NoError(t, schema.Validate(value))
			checkPanels(t, d)
			for _, target := range d.targets() {
				if expr, ok := target["expr"].(string); ok {
					_, err := parser.NewParser(parser.Options{}).ParseExpr(filled(expr))
					require.NoError(t, err, expr)
					continue
				}
				b, err := json.Marshal(target)
				require.NoError(t, err)
				_, err = pluginquery.Parse([]byte(filled(string(b))))
				require.NoError(t, err, "%s", b)
			}
		})
	}
}

// The schema of dashboards finds mistakes.
func TestDashboardSchemaRefuses(t *testing.T) {
	schema, err := jsonschema.NewCompiler().Compile("../dashboards/dashboard.schema.json")
	require.NoError(t, err)
	for _, c := range []struct{ name, from, to string }{
		{"data source by name", `"uid": "${prometheus}"`, `"uid": "PBFA97CFB590B2093"`},
		{"no unit", `"unit": "none"`, `"units": "none"`},
		{"no description", `"description": "Series that have a score."`, `"describe": ""`},
		{"unknown panel", `"type": "stat"`, `"type": "piechart"`},
		{"Grafana's own number", `"uid": "portent-overview"`, `"uid": "portent-overview", "id": 12`},
		{"outside of the grid", `"x": 16`, `"x": 24`},
	} {
		t.Run(c.name, func(t *testing.T) {
			text := file(t, "dashboards", "portent-overview.json")
			changed := strings.Replace(text, c.from, c.to, 1)
			require.NotEqual(t, text, changed)
			value, err := jsonschema.UnmarshalJSON(strings.NewReader(changed))
			require.NoError(t, err)
			require.Error(t, schema.Validate(value))
		})
	}
}

type dashboard struct {
	UID         string
	Panels      []dashboardPanel
	Annotations struct {
		List []struct{ Target map[string]any }
	}
}

type dashboardPanel struct {
	ID      int
	Title   string
	GridPos struct{ X, Y, W, H int }
	Targets []map[string]any
}

func dashboards(t testing.TB) map[string]dashboard {
	t.Helper()
	names, err := fs.Glob(os.DirFS("../dashboards"), "portent-*.json")
	require.NoError(t, err)
	require.NotEmpty(t, names)
	all := map[string]dashboard{}
	for _, name := range names {
		var d dashboard
		require.NoError(t, json.Unmarshal([]byte(file(t, "dashboards", name)), &d))
		all[name] = d
	}
	return all
}

func (d dashboard) targets() []map[string]any {
	var all []map[string]any
	for _, p := range d.Panels {
		all = append(all, p.Targets...)
	}
	for _, a := range d.Annotations.List {
		if a.Target != nil {
			all = append(all, a.Target)
		}
	}
	return all
}

// checkPanels checks what a schema cannot say: panels have numbers of their own and do not lie on one another.
func checkPanels(t testing.TB, d dashboard) {
	t.Helper()
	ids := map[int]bool{}
	taken := map[[2]int]string{}
	for _, p := range d.Panels {
		require.False(t, ids[p.ID], "panel %d is there twice", p.ID)
		ids[p.ID] = true
		require.LessOrEqual(t, p.GridPos.X+p.GridPos.W, 24, p.Title)
		for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
			for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
				require.Empty(t, taken[[2]int{x, y}], "%s lies on it", p.Title)
				taken[[2]int{x, y}] = p.Title
			}
		}
	}
}

// filled puts values in the place of Grafana's variables.
func filled(expr string) string {
	return strings.NewReplacer("$__rate_interval", "1m", "$__range", "1h", "$metric", "node_load1", "$instance", ".*", "$cluster", ".*", "$namespace", ".*",
		"$horizon", "4d", "$compare", "previous").Replace(expr)
}

// Rules and dashboards read metrics that exist: each that bears our name is exported by a program that runs.
func TestRulesAndDashboardsReadWhatExists(t *testing.T) {
	t.Parallel()
	used := map[string]bool{}
	for _, rule := range alertRules(t) {
		collect(t, rule.Expr, used)
	}
	for _, d := range dashboards(t) {
		for _, target := range d.targets() {
			if expr, ok := target["expr"].(string); ok {
				collect(t, filled(expr), used)
			}
		}
	}
	exporter := servertest.Program(t, "portent-exporter", program(t, "portent-exporter"), servertest.Config{YAML: "state: {directory: state}\n"})
	receiver := startReceiver(t, receiverConfig)
	alertmanager := servertest.Alertmanager(t, servertest.Config{})
	exported := read(t, exporter.URL+"/metrics") + read(t, receiver.URL+"/metrics") + read(t, alertmanager.URL+"/metrics")
	for _, name := range slices.Sorted(maps.Keys(used)) {
		if ours.MatchString(name) {
			family := strings.TrimSuffix(name, "_bucket") // of a histogram
			require.Contains(t, exported, "\n# TYPE "+family+" ", "%s is read and not exported", name)
		}
	}
	out := check(t, exported)
	require.Empty(t, out, "promtool check metrics")
}

// ours are the metrics that the programs of this story export, whether they have been used or not.
var ours = regexp.MustCompile(`^(portent_|anomaly_|alertmanager_)`)

// collect adds the names of the metrics that an expression reads.
func collect(t testing.TB, expr string, into map[string]bool) {
	t.Helper()
	parsed, err := parser.NewParser(parser.Options{}).ParseExpr(expr)
	require.NoError(t, err, expr)
	parser.Inspect(parsed, func(n parser.Node, _ []parser.Node) error {
		if v, ok := n.(*parser.VectorSelector); ok {
			for _, m := range v.LabelMatchers {
				if m.Name == model.MetricNameLabel && m.Type.String() == "=" {
					into[m.Value] = true
				}
			}
		}
		return nil
	})
}

// check is what promtool says of the metrics that are ours.
func check(t testing.TB, exposition string) string {
	t.Helper()
	var lines []string
	for line := range strings.Lines(exposition) {
		if strings.Contains(line, "portent_") || strings.Contains(line, "anomaly_") {
			lines = append(lines, line)
		}
	}
	cmd := exec.Command(servertest.Binary(t, "promtool"), "check", "metrics")
	cmd.Stdin = strings.NewReader(strings.Join(lines, ""))
	out, err := cmd.CombinedOutput()
	if err != nil && len(out) == 0 {
		return err.Error()
	}
	return string(out)
}
