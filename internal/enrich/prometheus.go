package enrich

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"

	"github.com/portent-dev/portent/internal/incident"
	"github.com/portent-dev/portent/internal/promapi"
)

// A Prometheus answers range queries; *promapi.Client does. The answer has at most limit series.
type Prometheus interface {
	QueryRange(ctx context.Context, expr string, r promapi.Range, limit int) (promapi.Answer, error)
}

// Bounds of a range query: fine enough to tell what moved first, coarse enough to be cheap.
const (
	minStep   = 15 * time.Second
	maxPoints = 400
	maxSeries = 500
)

// Scores finds the series whose anomaly_score went above 1, the one that moved first at the top.
type Scores struct{ Prometheus Prometheus }

var _ Source = Scores{}

// Name implements Source.
func (Scores) Name() string { return "prometheus_scores" }

// Look implements Source.
func (x Scores) Look(ctx context.Context, s Subject) ([]incident.Evidence, error) {
	type moved struct {
		labels model.Metric
		at     time.Time
		worst  float64
	}
	var found []moved
	err := eachSeries(ctx, x.Prometheus, s, []string{"anomaly_score"}, func(series *model.SampleStream) {
		m := moved{labels: series.Metric}
		for _, p := range series.Values {
			if v := float64(p.Value); v > 1 {
				if m.worst == 0 {
					m.at = p.Timestamp.Time()
				}
				m.worst = max(m.worst, v)
			}
		}
		if m.worst > 1 {
			found = append(found, m)
		}
	})
	slices.SortFunc(found, func(a, b moved) int {
		return cmp.Or(a.at.Compare(b.at), cmp.Compare(b.worst, a.worst), strings.Compare(a.labels.String(), b.labels.String()))
	})
	out := make([]incident.Evidence, 0, min(len(found), maxPerSource))
	for i, m := range found[:min(len(found), maxPerSource)] {
		words := "moved after it"
		if i == 0 {
			words = fmt.Sprintf("moved first of %d", len(found))
		}
		out = append(out, incident.Evidence{
			Kind: incident.EvidenceAnomaly, At: m.at,
			Title: fmt.Sprintf("%s %s, score up to %s", subjectOf(m.labels), words, short(m.worst)),
			Query: selector(m.labels),
		})
	}
	return out, err
}

// Changes finds what was rolled out or reconfigured, by the counters of kube-state-metrics
// that grow with each change. The latest is at the top.
type Changes struct{ Prometheus Prometheus }

var _ Source = Changes{}

// changed are the metrics that count up or flip when somebody changes something, with the
// label that names what, and the words for it.
var changed = map[string]struct{ label, kind, verb string }{
	"kube_deployment_status_observed_generation":  {"deployment", "Deployment", "was rolled out or scaled"},
	"kube_statefulset_status_observed_generation": {"statefulset", "StatefulSet", "was rolled out or scaled"},
	"kube_daemonset_status_observed_generation":   {"daemonset", "DaemonSet", "was rolled out"},
	"kube_configmap_metadata_resource_version":    {"configmap", "ConfigMap", "was changed"},
	"kube_secret_metadata_resource_version":       {"secret", "Secret", "was changed"},
	"kube_node_spec_unschedulable":                {"node", "Node", "was cordoned or uncordoned"},
}

// Name implements Source.
func (Changes) Name() string { return "prometheus_changes" }

// Look implements Source.
func (x Changes) Look(ctx context.Context, s Subject) ([]incident.Evidence, error) {
	names := make([]string, 0, len(changed))
	for name := range changed {
		names = append(names, name)
	}
	slices.Sort(names)
	var out []incident.Evidence
	err := eachSeries(ctx, x.Prometheus, s, names, func(series *model.SampleStream) {
		is := changed[string(series.Metric[model.MetricNameLabel])]
		at, times := lastChange(series.Values)
		if times == 0 || is.kind == "" {
			return
		}
		name := string(series.Metric[model.LabelName(is.label)])
		if ns := series.Metric["namespace"]; ns != "" {
			name = string(ns) + "/" + name
		}
		title := fmt.Sprintf("%s %s %s", is.kind, name, is.verb)
		if times > 1 {
			title += fmt.Sprintf(", %d times", times)
		}
		out = append(out, incident.Evidence{Kind: incident.EvidenceChange, At: at, Title: title, Query: selector(series.Metric)})
	})
	slices.SortFunc(out, func(a, b incident.Evidence) int {
		return cmp.Or(b.At.Compare(a.At), strings.Compare(a.Title, b.Title))
	})
	return out, err
}

// lastChange is when the value last changed, and how often it did.
func lastChange(values []model.SamplePair) (at time.Time, times int) {
	for i := 1; i < len(values); i++ {
		if values[i].Value != values[i-1].Value {
			at, times = values[i].Timestamp.Time(), times+1
		}
	}
	return at, times
}

// eachSeries calls f with every series of the metrics that the incident may be about, over its window.
func eachSeries(ctx context.Context, from Prometheus, s Subject, metrics []string, f func(*model.SampleStream)) error {
	selectors := s.Selectors()
	if len(selectors) == 0 {
		return ErrNothingToAsk
	}
	step := max(minStep, (s.To.Sub(s.From) / maxPoints).Truncate(time.Second))
	name := labels.MustNewMatcher(labels.MatchRegexp, model.MetricNameLabel, strings.Join(metrics, "|"))
	seen := map[model.Fingerprint]bool{}
	for _, matchers := range selectors {
		expr := &parser.VectorSelector{LabelMatchers: append([]*labels.Matcher{name}, matchers...)}
		answer, err := from.QueryRange(ctx, expr.String(), promapi.Range{Start: s.From, End: s.To, Step: step}, maxSeries)
		if err != nil {
			return err
		}
		matrix, ok := answer.Value.(model.Matrix)
		if !ok {
			return fmt.Errorf("want a matrix, got %T", answer.Value)
		}
		for _, series := range matrix[:min(len(matrix), maxSeries)] {
			if id := series.Metric.Fingerprint(); !seen[id] && !s.Elsewhere(string(series.Metric["cluster"])) {
				seen[id] = true
				f(series)
			}
		}
	}
	return nil
}

// subjectOf names the series that a score is about.
func subjectOf(m model.Metric) string {
	about := model.Metric{}
	for name, value := range m {
		switch name {
		case model.MetricNameLabel, "metric", "job", "endpoint", "prometheus", "service", "container_id", "uid", "exported_job", "exported_instance":
		default:
			about[name] = value
		}
	}
	what := string(m["metric"])
	if what == "" {
		what = "a series"
	}
	if len(about) == 0 {
		return what
	}
	return what + about.String()
}

// selector is the PromQL of exactly these labels.
func selector(m model.Metric) string {
	v := &parser.VectorSelector{Name: string(m[model.MetricNameLabel])}
	for name, value := range m {
		v.LabelMatchers = append(v.LabelMatchers, labels.MustNewMatcher(labels.MatchEqual, string(name), string(value)))
	}
	slices.SortFunc(v.LabelMatchers, byName)
	return v.String()
}

func byName(a, b *labels.Matcher) int { return strings.Compare(a.Name, b.Name) }

// short writes a number with two digits that matter.
func short(v float64) string {
	if math.Abs(v) >= 10 {
		return fmt.Sprintf("%.0f", v)
	}
	return fmt.Sprintf("%.1f", v)
}
