package baseline

import (
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/promql/parser"
	"go.yaml.in/yaml/v3"

	"github.com/portent-dev/portent/internal/finding"
)

// Rules writes the proposals as a file of Prometheus alerting rules. header becomes its
// first lines, as comments; group names the group.
func Rules(header, group string, proposals []Proposal) ([]byte, error) {
	g := ruleGroup{Name: group}
	for i := range proposals {
		r, err := proposals[i].rule()
		if err != nil {
			return nil, err
		}
		g.Rules = append(g.Rules, r)
	}
	var b strings.Builder
	for line := range strings.SplitSeq(header, "\n") {
		b.WriteString(strings.TrimRight("# "+line, " ") + "\n")
	}
	e := yaml.NewEncoder(&b)
	e.SetIndent(2)
	if err := e.Encode(ruleFile{[]ruleGroup{g}}); err != nil {
		return nil, fmt.Errorf("write rules: %w", err)
	}
	return []byte(b.String()), nil
}

// The file as Prometheus's rulefmt reads it, in the order in which people do.
type (
	ruleFile struct {
		Groups []ruleGroup `yaml:"groups"`
	}
	ruleGroup struct {
		Name  string `yaml:"name"`
		Rules []rule `yaml:"rules"`
	}
	rule struct {
		Alert       string            `yaml:"alert"`
		Expr        string            `yaml:"expr"`
		For         model.Duration    `yaml:"for"`
		Labels      map[string]string `yaml:"labels"`
		Annotations map[string]string `yaml:"annotations"`
	}
)

func (p *Proposal) rule() (rule, error) {
	e, err := parser.NewParser(parser.Options{}).ParseExpr(p.Spec.Expr)
	if err != nil {
		return rule{}, fmt.Errorf("%s: %w", p.Spec.Name, err)
	}
	op := parser.ItemType(parser.GTR)
	if p.Spec.Direction == finding.Below {
		op = parser.LSS
	}
	expr := &parser.BinaryExpr{Op: op, LHS: &parser.ParenExpr{Expr: e}, RHS: &parser.NumberLiteral{Val: p.Threshold}}
	return rule{
		Alert: p.Spec.Name, Expr: expr.String(), For: model.Duration(p.For),
		Labels: map[string]string{"severity": "warning", "source": "portent-baseline"},
		Annotations: map[string]string{
			"summary":     fmt.Sprintf("%s is %s: %s %s for %s", p.Spec.Subject, shown(p.Spec.Unit), p.Spec.Direction, p.quantity(p.Threshold), words(p.For)),
			"description": escaped(p.Reasoning()),
		},
	}, nil
}

func (p *Proposal) quantity(v float64) string { return finding.Quantity(v, p.Spec.Unit) }

// escaped keeps text from being read as a template.
func escaped(s string) string { return strings.ReplaceAll(s, "{{", `{{"{{"}}`) }

// shown is the template that writes a value with its unit.
func shown(unit string) string {
	switch unit {
	case "bytes":
		return "{{ $value | humanize1024 }}B"
	case "bytes per second":
		return "{{ $value | humanize1024 }}B/s"
	case "seconds":
		return "{{ $value | humanizeDuration }}"
	case "ratio":
		return "{{ $value | humanizePercentage }}"
	case "percent":
		return "{{ $value | humanize }} %"
	case "":
		return "{{ $value | humanize }}"
	}
	return "{{ $value | humanize }} " + unit
}

// Reasoning says in sentences where the threshold comes from.
func (p *Proposal) Reasoning() string {
	f := &p.Facts
	q := p.quantity
	worst, side, verb := "highest", "below", "above"
	if p.Spec.Direction == finding.Below {
		worst, side, verb = "lowest", "above", "below"
	}
	out := []string{
		fmt.Sprintf("Proposed from %s of data, %s to %s UTC: %d series, %d values.", words(f.Span), stamp(f.From), stamp(f.To), f.Series, f.Values),
		fmt.Sprintf("Usual is %s (median); 99 %% of the values are %s %s, the %s was %s.", q(f.Median), side, q(f.Q99), worst, q(f.Extreme)),
	}
	if f.Extreme == f.Held {
		out = append(out, fmt.Sprintf("The %s was held for %s.", worst, words(p.For)))
	} else {
		out = append(out, fmt.Sprintf("The %s that was held for %s is %s: shorter peaks are normal here.", worst, words(p.For), q(f.Held)))
	}
	out = append(out, fmt.Sprintf("The threshold lies %s %s that, where the spread is %s.", q(f.Margin), verb, q(f.Spread)))
	if s := p.season(); s != "" {
		out = append(out, s)
	}
	out = append(out, played(f.Fired, f.Short, p.For))
	if !f.Weekend {
		out = append(out, "No weekend was seen.")
	}
	if f.Span < 48*time.Hour {
		out = append(out, "Not every hour was seen on two days: propose again after 48 h.")
	}
	return strings.Join(out, " ")
}

// season tells the course of the day where it is worth a word.
func (p *Proposal) season() string {
	f := &p.Facts
	if math.Abs(f.DayHigh-f.DayLow) < 4*f.Spread || f.DayHigh-f.DayLow < 0.3*math.Abs(f.DayHigh) {
		return ""
	}
	return fmt.Sprintf("It follows the day: %s in the quietest hour, %s in the busiest, from %02d:00 UTC; the threshold holds for the whole day, so that anomaly_score sees more.",
		p.quantity(f.DayLow), p.quantity(f.DayHigh), f.DayHighHour)
}

// played says what the rule would have done.
func played(fired, short int, hold time.Duration) string {
	var text string
	switch fired {
	case 0:
		text = "In these data it would never have fired"
	case 1:
		text = "In these data it would have fired once"
	default:
		text = fmt.Sprintf("In these data it would have fired %d times", fired)
	}
	switch short {
	case 0:
		return text + "."
	case 1:
		return text + "; one crossing was too short for it (less than " + words(hold) + ")."
	}
	return text + fmt.Sprintf("; %d crossings were too short for it (less than %s).", short, words(hold))
}

func stamp(t time.Time) string { return t.Format("2006-01-02 15:04") }
