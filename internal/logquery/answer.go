package logquery

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/portent-dev/portent/internal/logmine"
)

// Request is what is asked about the lines of a Source.
type Request struct {
	Window Window
	// Before is a window to compare with; nil for none. Lines of both are mined together,
	// so that a pattern is the same in both.
	Before *Window
	Limits Limits // of each window
	// Effect is when the trouble was noticed whose cause is looked for; zero is when
	// errors began to grow, and that only lines which speak of trouble are causes.
	Effect time.Time
	// Patterns bounds how many come back, the most frequent first; 0 is DefaultPatterns.
	// What is left out is counted as Other.
	Patterns int
	// Severities keeps patterns whose lines are mostly of one of these; empty keeps all.
	Severities []logmine.Severity
	// Changes keeps patterns that did one of these; empty keeps all. It needs Before.
	Changes []Change
	// Pattern keeps the pattern with this id; "" keeps all.
	Pattern string
	// Buckets is how many steps the series have at most, up to 120; 0 is 60.
	Buckets int
}

// DefaultPatterns is how many patterns an answer has when none are asked for.
const (
	DefaultPatterns = 50
	defaultBuckets  = 60
)

// Answer is what the lines say. Total = the Counts of Patterns + Other.
type Answer struct {
	Window  Window
	Step    time.Duration
	Times   []time.Time // the start of each bucket; empty where lines carry no time
	Read    Read
	Before  *Read
	Total   int64 // lines of the window, scaled where it was sampled
	Other   int64 // lines of no pattern, and of patterns that are not shown
	Hidden  int   // patterns that are not shown because there are too many
	Found   int   // patterns of the window and of the one compared with
	Volume  []Volume
	Entries []Pattern
	Causes  []Cause
	Summary Summary
}

// Volume is how many lines of a severity there are.
type Volume struct {
	Severity logmine.Severity
	Count    int64
	Counts   []float64 // by bucket
}

// Pattern is one thing that lines say.
type Pattern struct {
	ID       string
	Template string
	Count    int64 // lines, scaled where they were sampled
	Events   int64 // fewer than lines read where an event has several lines
	Share    float64
	Severity logmine.Severity
	First    time.Time // zero where lines carry no time
	Last     time.Time
	Example  string // redacted
	Kinds    []logmine.Kind
	Entities []logmine.EntityCount
	Shared   []Shared  // what most of its lines have in common
	Counts   []float64 // by bucket
	Change   Change    // "" without a window to compare with
	Before   int64     // lines in that window
	P        float64   // how likely such a change is by chance, corrected for the number of patterns; 1 without comparison
	Cause    *logmine.Cause
	Query    Query
	Services []string // the most frequent first

	significant      bool
	read, readBefore float64
	ratio            float64 // of the rates, now to before
	refs             []logmine.Ref
}

// Significant reports whether the change is more than chance: see compare.
func (p *Pattern) Significant() bool { return p.significant }

// Shared is a label or an entity that most lines of a pattern have in common.
type Shared struct {
	Name, Value string
	Share       float64 // of the lines, a lower bound
}

// Run answers a request.
func Run(ctx context.Context, src Source, q Request) (*Answer, error) {
	if q.Buckets <= 0 || q.Buckets > maxBuckets {
		q.Buckets = defaultBuckets
	}
	if q.Patterns <= 0 {
		q.Patterns = DefaultPatterns
	}
	if len(q.Changes) > 0 && q.Before == nil {
		return nil, errors.New("what changed cannot be told without a window to compare with")
	}
	var b bucketer
	if !q.Window.IsZero() {
		step := stepFor(q.Window, q.Buckets)
		b = fixedBuckets(Window{q.Window.From.Truncate(step), q.Window.To}, step)
	}
	c := newCollector(b)
	c.keepLines = src.Language() != ""
	a := &Answer{Window: q.Window}
	if q.Before != nil {
		c.side = before
		r, err := src.Read(ctx, *q.Before, q.Limits, c.add)
		if err != nil {
			return nil, err
		}
		c.flush()
		a.Before = &r
	}
	c.side = now
	var err error
	if a.Read, err = src.Read(ctx, q.Window, q.Limits, c.add); err != nil {
		return nil, err
	}
	c.flush()
	c.answer(a, src, q)
	return a, nil
}

// answer tells what was collected.
func (c *collector) answer(a *Answer, src Source, q Request) {
	all := c.patterns()
	a.Found = len(all)
	c.times(a, q)
	a.Total = int64(math.Round(c.scaled(now, &a.Read)))
	if a.Before != nil {
		c.compare(all, a)
	}
	n := c.narrower(all)
	slices.SortFunc(all, func(x, y *Pattern) int {
		return cmp.Or(cmp.Compare(y.Count, x.Count), cmp.Compare(y.Before, x.Before), cmp.Compare(x.Template, y.Template))
	})
	for _, p := range all {
		p.Share = float64(p.Count) / float64(max(1, a.Total))
		p.Counts = c.counts(a, p)
		p.Shared = c.shared(p)
		p.Services = c.services(p)
	}
	shown := slices.DeleteFunc(slices.Clone(all), func(p *Pattern) bool { return !q.keeps(p) })
	if len(shown) > q.Patterns {
		a.Hidden = len(shown) - q.Patterns
		shown = shown[:q.Patterns]
	}
	causes := c.causes(a, all, q)
	query := func(p *Pattern) {
		if p.Query.Text == "" {
			p.Query = c.query(n, src, p)
		}
	}
	a.Other = a.Total
	for _, p := range shown {
		query(p)
		a.Other -= p.Count
	}
	for i := range causes {
		query(causes[i].Pattern)
	}
	for _, p := range shown {
		a.Entries = append(a.Entries, *p)
	}
	a.Causes = causes
	a.Summary = summarize(a, all, query)
}

// scaled is how many lines there are: what was counted where the source could say it.
func (c *collector) scaled(s side, r *Read) float64 {
	if r.Of > 0 && !r.Truncated {
		return max(float64(r.Of), c.weight[s])
	}
	return c.weight[s]
}

func (q *Request) keeps(p *Pattern) bool {
	switch {
	case q.Pattern != "" && p.ID != q.Pattern:
		return false
	case len(q.Severities) > 0 && !slices.Contains(q.Severities, p.Severity):
		return false
	case len(q.Changes) > 0 && !slices.Contains(q.Changes, p.Change):
		return false
	}
	return p.Count > 0 || p.Before > 0
}

// patterns joins skeletons to patterns, in order of their ids.
func (c *collector) patterns() []*Pattern {
	byID := map[string]*Pattern{}
	for i := range c.refs {
		ref := logmine.Ref(i)
		mined, ok := c.miner.Pattern(ref)
		if !ok {
			continue
		}
		p := byID[mined.ID]
		if p == nil {
			p = &Pattern{
				ID: mined.ID, Template: mined.Template, Severity: mined.Severity(), Example: mined.Example, Kinds: mined.Kinds,
				Entities: mined.Entities, Events: mined.Events, P: 1,
			}
			byID[mined.ID] = p
		}
		p.refs = append(p.refs, ref)
		s := &c.refs[i]
		t := &s.win[now]
		p.read += t.read
		p.readBefore += s.win[before].read
		if s.cause.Class != "" && p.Cause == nil {
			p.Cause = &s.cause
		}
		if first := time.UnixMilli(t.first).UTC(); t.first != 0 && (p.First.IsZero() || first.Before(p.First)) {
			p.First = first
		}
		if last := time.UnixMilli(t.last).UTC(); t.last != 0 && last.After(p.Last) {
			p.Last = last
		}
	}
	out := slices.SortedFunc(maps.Values(byID), func(a, b *Pattern) int { return cmp.Compare(a.ID, b.ID) })
	for _, p := range out {
		p.Count = int64(math.Round(c.weightOf(p, now)))
		p.Before = int64(math.Round(c.weightOf(p, before)))
	}
	return out
}

func (c *collector) weightOf(p *Pattern, s side) (sum float64) {
	for _, r := range p.refs {
		sum += c.refs[r].win[s].weight
	}
	return sum
}

// times sets the buckets of the answer.
func (c *collector) times(a *Answer, q Request) {
	lo, hi := int32(math.MaxInt32), int32(math.MinInt32)
	if c.time.fixed {
		lo, hi = 0, c.time.at(q.Window.To.UnixMilli()-1)
	} else {
		for _, v := range c.volume[now] {
			v.regrow(&c.time)
			for _, r := range v.runs {
				lo, hi = min(lo, r.at), max(hi, r.at)
			}
		}
	}
	if lo > hi {
		return
	}
	a.Step = time.Duration(c.time.width) * time.Millisecond
	for at := lo; at <= hi; at++ {
		a.Times = append(a.Times, time.UnixMilli(c.time.origin+int64(at)*c.time.width).UTC())
	}
	if a.Window.IsZero() {
		a.Window = Window{a.Times[0], a.Times[len(a.Times)-1].Add(a.Step)}
	}
	for _, sev := range slices.Sorted(maps.Keys(c.volume[now])) {
		v := Volume{Severity: sev, Counts: make([]float64, len(a.Times))}
		c.volume[now][sev].into(&c.time, v.Counts, lo)
		v.Count = int64(math.Round(sumOf(v.Counts)))
		a.Volume = append(a.Volume, v)
	}
}

// counts returns the lines of a pattern by bucket.
func (c *collector) counts(a *Answer, p *Pattern) []float64 {
	if len(a.Times) == 0 {
		return nil
	}
	out := make([]float64, len(a.Times))
	lo := int32(floorDiv(a.Times[0].UnixMilli()-c.time.origin, c.time.width))
	for _, r := range p.refs {
		c.refs[r].win[now].series.into(&c.time, out, lo)
	}
	return out
}

// narrower learns the lines of all patterns.
func (c *collector) narrower(all []*Pattern) *narrower {
	n := newNarrower()
	for _, p := range all {
		forms := []string{p.Template}
		if mined, ok := c.miner.Pattern(p.refs[0]); ok {
			forms = mined.Forms()
		}
		for _, r := range p.refs {
			n.add(p.ID, forms, c.refs[r].samples)
		}
	}
	return n
}

// query writes the query behind a pattern. Of stack traces, whose lines a store keeps
// one by one, it finds the line that names the cause.
func (c *collector) query(n *narrower, src Source, p *Pattern) Query {
	if src.Language() == "" {
		return Query{}
	}
	several := false
	templates := []string{}
	for _, r := range p.refs {
		several = several || c.refs[r].several
		for _, k := range c.refs[r].keys {
			if mined, ok := c.keys.Pattern(k); ok && !slices.Contains(templates, mined.Template) {
				templates = append(templates, mined.Template)
			}
		}
	}
	if !several || p.Cause == nil {
		f := n.filter(p.ID)
		if p.Cause != nil && f != nil && !f.Exact {
			f = n.traceFilter(p, f)
		}
		if several && f != nil {
			f.Exact, f.Note = false, "it gives the first line of each event, not those indented under it"
		}
		return src.Narrow(f)
	}
	f := &Filter{Must: p.Cause.Class[strings.LastIndexByte(p.Cause.Class, '.')+1:], Note: "it gives the line of each stack trace that names the cause, not its frames"}
	for _, t := range templates[:min(len(templates), maxExcept)] {
		if re := literalRegexp(literalsOf(t)); re != "" {
			f.Regexp = joinRegexps(f.Regexp, re)
			f.Literals = literalsOf(t)
		}
	}
	if f.Regexp == "" {
		return src.Narrow(n.filter(p.ID))
	}
	return src.Narrow(f)
}

func joinRegexps(a, b string) string {
	if a == "" {
		return b
	}
	return "(?:" + a + "|" + b + ")"
}
