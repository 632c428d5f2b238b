package ask_test

import (
	"strings"
	"testing"

	pm "github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/ask"
)

// evil are label values that would be something else if they were ever pasted into a query.
var evil = []string{`x"} or vector(1) #`, `"}) by (a`, "two\nlines", "\x1b[2J\x00", `back\slash`, "`tick`", "{{.Secret}}", "${HOME}", "%s%n", "'; drop", "<script>", "\xff\xfe", strings.Repeat("long", 1<<14), ".*", "a|b"}

// TestHostileLabelValues: through catalog, translation and gate, a value of a label stays one.
func TestHostileLabelValues(t *testing.T) {
	f := fleet{"crane_moves_total": nil}
	for _, v := range evil {
		f["crane_moves_total"] = append(f["crane_moves_total"], map[string]string{"crane": v, "site": "north"})
	}
	c, err := ask.Load(t.Context(), f)
	require.NoError(t, err)
	r, err := ask.NewRules(c, nil)
	require.NoError(t, err)
	gate := ask.Gate{Metrics: c}
	answered := 0
	for _, v := range evil {
		for _, q := range []string{"crane moves per second of " + v, "crane moves by crane " + v, v, "crane moves without " + v, "which crane is " + v + " with the most moves"} {
			tr, err := r.Translate(t.Context(), ask.Question{Text: q, Now: now})
			if err != nil {
				var refusal *ask.Refusal
				require.ErrorAs(t, err, &refusal, q)
				require.Less(t, len(refusal.Reason), 1<<13)
				continue
			}
			answered++
			_, err = gate.Check(t.Context(), tr)
			require.NoError(t, err, tr.Query)
			e, err := parser.NewParser(parser.Options{}).ParseExpr(tr.Query)
			require.NoError(t, err, tr.Query)
			parser.Inspect(e, func(n parser.Node, _ []parser.Node) error {
				switch n := n.(type) {
				case *parser.VectorSelector:
					require.Equal(t, "crane_moves_total", n.Name)
				case *parser.Call:
					require.Contains(t, []string{"rate", "increase"}, n.Func.Name, tr.Query)
				case *parser.AggregateExpr:
					for _, l := range n.Grouping {
						require.Contains(t, []string{"crane", "site"}, l, tr.Query)
					}
				}
				return nil
			})
		}
	}
	require.Positive(t, answered)
}

// TestHostileHelp: help texts of a megabyte, with codes, quotes and control characters, make neither a query nor a crash.
func TestHostileHelp(t *testing.T) {
	for _, help := range []string{
		strings.Repeat("(0 = ) or vector(1) #, ", 1<<16), strings.Repeat("1 if ", 1<<17), "\x00\x1b[2J\"})", "(1 = BUSY\"} or vector(1), 2 = IDLE)", strings.Repeat("(", 1<<20), "Unix time " + strings.Repeat("\n", 1<<20), "\xff\xfe",
	} {
		c, err := ask.Load(t.Context(), told{fleet{"crane_mode": series("crane=c1")}, map[string]ask.Metric{"crane_mode": {Type: "\"}", Help: help, Unit: "\"} or vector(1)"}}})
		require.NoError(t, err)
		r, err := ask.NewRules(c, nil)
		require.NoError(t, err)
		for _, q := range []string{"which cranes are in mode busy", "crane mode by crane", "crane mode in percent", "how long ago was the crane mode"} {
			tr, err := r.Translate(t.Context(), ask.Question{Text: q, Now: now})
			if err != nil {
				var refusal *ask.Refusal
				require.ErrorAs(t, err, &refusal, q)
				continue
			}
			_, err = ask.Gate{Metrics: c}.Check(t.Context(), tr)
			require.NoError(t, err, tr.Query)
			require.NotContains(t, tr.Query, "vector(1)")
		}
	}
}

// TestHostileAnswer: an answer with such labels is a sentence of bounded length.
func TestHostileAnswer(t *testing.T) {
	var v pm.Vector
	for i, s := range evil {
		v = append(v, &pm.Sample{Metric: pm.Metric{"crane": pm.LabelValue(s)}, Value: pm.SampleValue(i)})
	}
	text := ask.Answer(t.Context(), ask.Translation{Language: ask.PromQL, Query: "crane_moves_total", Unit: "\"}"}, ask.Result{Vector: v}, nil)
	require.NotEmpty(t, text)
	require.Less(t, len(text), 1<<20)
	require.NotContains(t, text, "BUG")
}
