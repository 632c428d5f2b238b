package enrich

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/portent-dev/portent/internal/incident"
	"github.com/portent-dev/portent/internal/logquery"
)

// Logs asks Loki which log patterns of the incident's namespaces are new or have grown against the time
// before, the most probable cause first.
type Logs struct{ Loki logquery.LokiClient }

var _ Source = Logs{}

// maxLogLines bounds what is read: enough that a pattern of one line in a thousand is seen, and a second of Loki.
const maxLogLines = 10_000

// Name implements Source.
func (Logs) Name() string { return "loki" }

// Look implements Source. The window is compared with one as long right before it.
func (x Logs) Look(ctx context.Context, s Subject) ([]incident.Evidence, error) {
	selector := streams(s)
	if selector == "" {
		return nil, ErrNothingToAsk
	}
	source, err := logquery.NewLoki(x.Loki, selector)
	if err != nil {
		return nil, err
	}
	limits := logquery.Limits{Lines: maxLogLines, Time: DefaultTimeout}
	if deadline, ok := ctx.Deadline(); ok {
		limits.Time = time.Until(deadline) / 2 // of each window
	}
	answer, err := logquery.Run(ctx, logquery.Stored{Store: source}, logquery.Request{
		Window: logquery.Window{From: s.From, To: s.To}, Before: &logquery.Window{From: s.From.Add(-s.To.Sub(s.From)), To: s.From},
		Limits: limits, Effect: s.Incident.StartedAt, Patterns: 2 * maxPerSource,
		Changes: []logquery.Change{logquery.New, logquery.Grown},
	})
	if err != nil {
		return nil, err
	}
	var out []incident.Evidence
	told := map[string]bool{}
	for _, c := range answer.Causes {
		told[c.Pattern.ID] = true
		out = append(out, logEvidence(c.Pattern, strings.Join(c.Why, " ")))
	}
	for i := range answer.Entries {
		if p := &answer.Entries[i]; !told[p.ID] && p.Significant() {
			out = append(out, logEvidence(p, ""))
		}
	}
	return out, nil
}

func logEvidence(p *logquery.Pattern, why string) incident.Evidence {
	grew := "new"
	if p.Change == logquery.Grown {
		grew = fmt.Sprintf("%d before", p.Before)
	}
	text := "Example: " + p.Example
	if why != "" {
		text = why + " " + text
	}
	return incident.Evidence{
		Kind: incident.EvidenceLog, At: p.First,
		Title: fmt.Sprintf("%d lines (%s) of %s", p.Count, grew, p.Template), Text: text, Query: p.Query.Text,
	}
}

// streams is the stream selector of the incident, empty when it has no label that streams have.
func streams(s Subject) string {
	for _, by := range []struct{ stream, label string }{{"namespace", "namespace"}, {"service_name", "service"}, {"app", "app"}, {"job", "job"}} {
		if m := OneOf(by.stream, s.Values[by.label]); m != nil {
			return selectorOf(m)
		}
	}
	return ""
}

func selectorOf(m *labels.Matcher) string { return "{" + m.String() + "}" }
