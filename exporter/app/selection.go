package app

import (
	"errors"
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"

	"github.com/portent-dev/portent/internal/ingest"
	"github.com/portent-dev/portent/internal/web"
)

// selection says which series are scored: those that match a selector of keep, or all if keep is empty, less those that
// match one of drop. It is read-only.
type selection struct {
	keep, drop [][]*labels.Matcher
	ignored    *ignored // what presets say is not worth a model; nil = nothing
}

// newSelection parses selectors as PromQL writes them. The error names each that is wrong.
func newSelection(keep, drop []string) (*selection, error) {
	var s selection
	var errs []error
	parse := func(key string, from []string) [][]*labels.Matcher {
		var out [][]*labels.Matcher
		for i, text := range from {
			m, err := parseSelector(text)
			errs = append(errs, web.Invalid(fmt.Sprintf("%s[%d]", key, i), err))
			out = append(out, m)
		}
		return out
	}
	s.keep, s.drop = parse("keep", keep), parse("drop", drop)
	return &s, errors.Join(errs...)
}

func parseSelector(text string) ([]*labels.Matcher, error) {
	m, err := parser.NewParser(parser.Options{}).ParseMetricSelector(text)
	if err != nil {
		return nil, fmt.Errorf("%q is no series selector such as {job=\"node\"}: %w", text, err)
	}
	return m, nil
}

// takes reports whether a series is to be scored.
func (s *selection) takes(ls []ingest.Label) bool {
	if len(s.keep) > 0 && !matchesAny(s.keep, ls) {
		return false
	}
	return !matchesAny(s.drop, ls) && !s.ignored.takes(ls)
}

func matchesAny(selectors [][]*labels.Matcher, ls []ingest.Label) bool {
	for _, sel := range selectors {
		if matchesAll(sel, ls) {
			return true
		}
	}
	return false
}

func matchesAll(sel []*labels.Matcher, ls []ingest.Label) bool {
	for _, m := range sel {
		value := "" // a label that is not there is empty, as in PromQL
		for i := range ls {
			if ls[i].Name == m.Name {
				value = ls[i].Value
				break
			}
		}
		if !m.Matches(value) {
			return false
		}
	}
	return true
}

// selecting hands on the series that are selected. A sample that is left out counts as taken: the sender did nothing wrong
// and must neither send it again nor report it.
type selecting struct {
	next       ingest.Target
	current    func() *selection
	unselected prometheus.Counter
}

var _ ingest.Target = (*selecting)(nil)

func (t *selecting) Appender() ingest.Appender {
	return &selectingAppender{target: t, next: t.next.Appender(), selection: t.current()}
}

type selectingAppender struct {
	target    *selecting
	next      ingest.Appender
	selection *selection
	left      int
}

func (a *selectingAppender) Append(ls []ingest.Label, kind ingest.Kind, samples []ingest.Sample) {
	if !a.selection.takes(ls) {
		a.left += len(samples)
		return
	}
	a.next.Append(ls, kind, samples)
}

func (a *selectingAppender) Commit() ingest.Result {
	r := a.next.Commit()
	r.Accepted += a.left
	a.target.unselected.Add(float64(a.left))
	return r
}

func (a *selectingAppender) Rollback() { a.next.Rollback() }
