package group

import (
	"math"

	"github.com/cespare/xxhash/v2"

	"github.com/portent-dev/portent/internal/detect"
	"github.com/portent-dev/portent/internal/ingest"
	"github.com/portent-dev/portent/internal/stat"
)

// contexts are the rules of what explains what, and how far both sides lie off.
//
// Deviations are told from a mean over two hours of their own, since what a detector
// expects follows within minutes, and the load may have risen before.
type contexts struct {
	rules  []Context
	sums   []map[uint64]*course // by rule: the sum of the series that explain, by values of On
	series map[uint64]*course   // of series that can be explained
	buf    []byte
}

// course is the way of a value, or of a sum of them.
type course struct {
	sum   float64
	fresh float64 // over some minutes
	usual float64 // over two hours
	n     uint32
	seen  int64
}

const (
	courseFresh = 5 * minute
	courseUsual = 120 * minute
	courseReady = 60 // ticks
	// enough is what part of a deviation must be met by that of its context.
	enough = 0.5
	// leastRise is a deviation of the context that can explain something.
	leastRise = 0.1
)

func newContexts(rules []Context) contexts {
	c := contexts{rules: rules, series: map[uint64]*course{}}
	for range rules {
		c.sums = append(c.sums, map[uint64]*course{})
	}
	return c
}

func (c *contexts) begin() {
	for _, sums := range c.sums {
		for _, x := range sums {
			x.sum = 0
		}
	}
}

// setBack forgets that anything was seen in the future.
func (c *contexts) setBack(now int64) {
	back := func(all map[uint64]*course) {
		for _, x := range all {
			x.seen = min(x.seen, now-1)
		}
	}
	back(c.series)
	for _, sums := range c.sums {
		back(sums)
	}
}

// mostValue bounds what a value counts as, so that neither a sum nor a difference of some
// overflows.
const mostValue = 1e150

// role is what a series is to a context: it explains, or is explained.
type role struct {
	rule     int
	on       uint64 // values of Context.On
	explains bool
}

// roles returns what a series is to the contexts.
func (c *contexts) roles(labels []ingest.Label) (all []role) {
	for i := range c.rules {
		r := &c.rules[i]
		explains, explained := r.With(labels), r.Match(labels)
		if !explains && !explained {
			continue
		}
		on, ok := c.on(r, labels)
		if !ok {
			continue
		}
		if explains {
			all = append(all, role{i, on, true})
		}
		if explained {
			all = append(all, role{i, on, false})
		}
	}
	return all
}

// take notes one series of a tick in its roles.
func (c *contexts) take(now int64, key uint64, roles []role, o detect.Output) {
	if math.IsNaN(o.Value) || math.IsInf(o.Value, 0) {
		return
	}
	for _, r := range roles {
		m, of := c.sums[r.rule], r.on
		if !r.explains {
			m, of = c.series, key
		}
		x := c.course(m, of)
		if x == nil {
			continue
		}
		if v := stat.Clamp(o.Value, mostValue); r.explains {
			x.sum += v
		} else {
			x.sum = v
		}
		x.seen = now
	}
}

func (c *contexts) course(m map[uint64]*course, key uint64) *course {
	x := m[key]
	if x == nil && len(m) < DefaultMaxMembers {
		x = &course{}
		m[key] = x
	}
	return x
}

// on returns the key of the values of Context.On, and false if one is missing.
func (c *contexts) on(r *Context, labels []ingest.Label) (uint64, bool) {
	c.buf = c.buf[:0]
	for _, name := range r.On {
		v := value(labels, name)
		if name == Workload && v == "" {
			v = WorkloadOf(value(labels, "pod"))
		}
		if v == "" {
			return 0, false
		}
		c.buf = append(append(c.buf, v...), 0xff)
	}
	return xxhash.Sum64(c.buf), true
}

// end brings all courses up to date, and forgets those that are gone.
func (c *contexts) end(now int64, stepMs float64) {
	advance := func(m map[uint64]*course) {
		for key, x := range m {
			switch {
			case now-x.seen > forgetMs:
				delete(m, key)
			case x.seen == now:
				x.n++
				x.fresh += math.Max(1/float64(x.n), math.Min(1, stepMs/courseFresh)) * (x.sum - x.fresh)
				x.usual += math.Max(1/float64(x.n), math.Min(1, stepMs/courseUsual)) * (x.sum - x.usual)
			}
		}
	}
	advance(c.series)
	for _, m := range c.sums {
		advance(m)
	}
}

// deviation returns by what share a course lies off its usual.
func (x *course) deviation() float64 {
	if x.n < courseReady || x.usual == 0 {
		return 0
	}
	return (x.fresh - x.usual) / math.Abs(x.usual)
}

// explain returns the name of what explains the deviation of a series, or "".
func (c *contexts) explain(key uint64, roles []role) string {
	x := c.series[key]
	if x == nil {
		return ""
	}
	own := x.deviation()
	for _, r := range roles {
		by := c.sums[r.rule][r.on]
		if r.explains || by == nil {
			continue
		}
		other := by.deviation()
		if own*other > 0 && math.Abs(other) >= leastRise && math.Abs(other) >= enough*math.Abs(own) {
			return c.rules[r.rule].Name
		}
	}
	return ""
}
