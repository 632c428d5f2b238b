package preset

import (
	"errors"
	"fmt"

	"github.com/portent-dev/portent/internal/ingest"
)

// LimitOf says which series tell the limit of the series of an entry: those that Match
// takes, with the same values of On.
type LimitOf struct {
	Match string   `yaml:"match"`
	On    []string `yaml:"on"`
}

func (l *LimitOf) problems() (errs []error) {
	m, err := selector(l.Match)
	if err != nil {
		return []error{fmt.Errorf("limit_of.match: %w", err)}
	}
	if _, ok := m.metric(); !ok {
		errs = append(errs, fmt.Errorf("limit_of.match: %q names no metric: want one such as node_memory_MemTotal_bytes", l.Match))
	}
	if len(l.On) == 0 {
		errs = append(errs, errors.New("limit_of: want labels (on) that both series have"))
	}
	return errs
}

// limit is a LimitOf, ready for use.
type limit struct {
	class int
	match matcher
	on    []string
}

// addLimit keeps what tells the limit of a class.
func (s *Set) addLimit(class int, l *LimitOf) error {
	m, err := selector(l.Match)
	if err != nil {
		return err
	}
	name, _ := m.metric()
	if s.limitOf == nil {
		s.limitOf, s.limitBy = map[int]*limit{}, map[string][]*limit{}
	}
	x := &limit{class, m, l.On}
	s.limitOf[class] = x
	s.limitBy[name] = append(s.limitBy[name], x)
	return nil
}

// LimitsToldBy returns the classes whose limit a series tells, nil for nearly all. It costs
// a look-up by the name.
func (s *Set) LimitsToldBy(labels []ingest.Label) (classes []int) {
	if len(s.limitBy) == 0 {
		return nil
	}
	for _, l := range s.limitBy[value(labels, ingest.MetricName)] {
		if l.match.takes(labels) {
			classes = append(classes, l.class)
		}
	}
	return classes
}

// HasLimitOf reports whether other series may tell the limit of a class, which is one of
// detect.Options.Classes.
func (s *Set) HasLimitOf(class int) bool { return s.limitOf[class] != nil }

// LimitOn returns the values by which a series of a class and what tells its limit find
// one another, spelt so that no two are spelt alike. The cluster is always one of them. A
// label that a scrape has renamed, as exported_namespace, counts as what it was.
func (s *Set) LimitOn(class int, labels []ingest.Label) string {
	l := s.limitOf[class]
	if l == nil {
		return ""
	}
	var b []byte
	add := func(name string) {
		v := value(labels, "exported_"+name)
		if v == "" {
			v = value(labels, name)
		}
		b = append(append(b, v...), 0xff)
	}
	add("cluster")
	for _, name := range l.on {
		add(name)
	}
	return string(b)
}
