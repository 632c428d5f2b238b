package logquery

import (
	"cmp"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/portent-dev/portent/internal/logmine"
)

// Cause is a pattern that may be what began it all, and why.
type Cause struct {
	Pattern *Pattern
	// Confidence is the share of the points that speak for a cause which this pattern
	// has, 0 to 1. It is no probability.
	Confidence float64
	Why        []string // sentences, the weightiest first
	// With are the ids of patterns whose lines share requests with this one's.
	With []string
}

// Bounds of what is told.
const (
	maxCauses = 10
	maxWith   = 5
)

// The points that a cause can have. What they are worth is a judgement: order in time
// and along a request say most about cause and effect, the words of a line the least.
const (
	pointsRoot     = 2.0 // a stack trace that was reduced to its root
	pointsFirst    = 2.0 // it came first, and before the effect
	pointsTrace    = 2.0 // it comes first in requests over several services
	pointsChange   = 1.5 // how much it changed
	pointsSeverity = 1.5
	pointsWords    = 1.0 // it names what runs out or is refused, rather than what waits for it
	pointsShared   = 0.5 // its lines have a place or a thing in common
	pointsShare    = 0.5 // of all new errors
)

const allPoints = pointsRoot + pointsFirst + pointsTrace + pointsChange + pointsSeverity + pointsWords + pointsShared + pointsShare

var (
	// reOrigin are words of what breaks by itself.
	reOrigin = regexp.MustCompile(`(?i)no space left|disk full|out of memory|oom|too many open files|permission denied|certificate|expired|corrupt|quota|segfault|nil pointer|null ?pointer|deadlock|read-only file|invalid config|no such (file|host|column|table)|duplicate key|migration`)
	// reSymptom are words of what waits for something else.
	reSymptom = regexp.MustCompile(`(?i)time(d)? ?-?out|deadline exceeded|connection (refused|reset)|broken pipe|unavailable|retry|retrying|circuit|\b50[234]\b|upstream|context canceled|unreachable|backoff|unhealthy`)
)

// causes ranks what is new or grown.
func (c *collector) causes(a *Answer, all []*Pattern, q Request) []Cause {
	if a.Before == nil {
		return nil
	}
	candidates := candidatesOf(all, !q.Effect.IsZero())
	if len(candidates) == 0 {
		return nil
	}
	effect := q.Effect
	if effect.IsZero() {
		effect = c.effect(a)
	}
	f := c.requests(candidates)
	began := make(map[*Pattern]time.Time, len(candidates))
	first, lines := time.Time{}, 0.0
	for _, p := range candidates {
		began[p] = c.began(a, p)
		if t := began[p]; !t.IsZero() && (first.IsZero() || t.Before(first)) {
			first = t
		}
		lines += float64(p.Count)
	}
	out := make([]Cause, 0, len(candidates))
	for _, p := range candidates {
		j := judge{p: p, began: began[p], first: first, effect: effect, lines: lines, window: a.Window.Length(), before: a.Before.Window.Length()}
		out = append(out, j.judge(f[p]))
	}
	slices.SortStableFunc(out, func(x, y Cause) int {
		return cmp.Or(cmp.Compare(y.Confidence, x.Confidence), began[x.Pattern].Compare(began[y.Pattern]), cmp.Compare(x.Pattern.ID, y.Pattern.ID))
	})
	return out[:min(len(out), maxCauses)]
}

// candidatesOf returns what is new or grown and speaks of trouble. When somebody noticed
// trouble of which no line speaks, all that is new or grown beyond chance.
func candidatesOf(all []*Pattern, noticed bool) []*Pattern {
	changed := func(p *Pattern) bool { return p.Count > 0 && (p.Change == New || p.Change == Grown) }
	var bad, rest []*Pattern
	for _, p := range all {
		switch {
		case !changed(p):
		case p.Severity >= logmine.Warning || p.Cause != nil:
			bad = append(bad, p)
		case p.significant:
			rest = append(rest, p)
		}
	}
	if len(bad) == 0 && noticed {
		return rest
	}
	return bad
}

// effect is the first bucket with more errors than the window before explains.
func (c *collector) effect(a *Answer) time.Time {
	if len(a.Times) == 0 {
		return time.Time{}
	}
	errorsAt := make([]float64, len(a.Times))
	for _, v := range a.Volume {
		if v.Severity >= logmine.Error {
			for i, n := range v.Counts {
				errorsAt[i] += n
			}
		}
	}
	usual := 0.0
	for sev, s := range c.volume[before] {
		if sev >= logmine.Error {
			for _, r := range s.runs {
				usual += float64(r.n)
			}
		}
	}
	usual *= a.Step.Seconds() / max(1, a.Before.Window.Length().Seconds())
	for i, n := range errorsAt {
		if n > usual+3*math.Sqrt(usual)+3 {
			return a.Times[i]
		}
	}
	return time.Time{}
}

// began is when a pattern began to be what it is: its first line when it is new, else
// the first bucket beyond what was usual.
func (c *collector) began(a *Answer, p *Pattern) time.Time {
	if p.Change == New || len(p.Counts) == 0 {
		return p.First
	}
	usual := float64(p.Before) * a.Step.Seconds() / max(1, a.Before.Window.Length().Seconds())
	for i, n := range p.Counts {
		if n > usual+3*math.Sqrt(usual)+1 {
			return a.Times[i]
		}
	}
	return p.First
}

// judge weighs one candidate.
type judge struct {
	p                    *Pattern
	began, first, effect time.Time
	lines                float64 // of all candidates
	window, before       time.Duration
	points               float64
	why                  []reason
}

type reason struct {
	points float64
	text   string
}

// add gives a share of the points there are.
func (j *judge) add(points, share float64, format string, args ...any) {
	got := points * max(0, min(1, share))
	j.points += got
	if got > 0 && format != "" {
		j.why = append(j.why, reason{got, fmt.Sprintf(format, args...)})
	}
}

func (j *judge) judge(t requestsOf) Cause {
	p := j.p
	if p.Cause != nil {
		at := ""
		if p.Cause.Frame != "" {
			at = " at " + p.Cause.Frame
		}
		j.add(pointsRoot, 1, "its stack traces come down to %s%s", p.Cause.Class, at)
	}
	j.time()
	if t.several > 0 {
		j.add(pointsTrace, float64(t.first)/float64(t.several), "in %d of %d requests over several services it is the first of the new errors (in %s)", t.first, t.several, t.service)
	}
	j.change()
	j.add(pointsSeverity, map[logmine.Severity]float64{logmine.Critical: 1, logmine.Error: 0.8, logmine.Warning: 0.3}[p.Severity], "its lines say %s", p.Severity)
	text := p.Template
	if p.Cause != nil {
		text += " " + p.Cause.Class + " " + p.Cause.Message
	}
	switch {
	case reOrigin.MatchString(text):
		j.add(pointsWords, 1, "it names what breaks by itself (%q)", reOrigin.FindString(text))
	case !reSymptom.MatchString(text):
		j.add(pointsWords, 0.5, "")
	}
	for _, s := range p.Shared {
		j.add(pointsShared/float64(len(p.Shared)), 1, "%.0f %% of its lines have %s %s", 100*s.Share, s.Name, s.Value)
	}
	j.add(pointsShare, float64(p.Count)/max(1, j.lines), "")
	slices.SortStableFunc(j.why, func(a, b reason) int { return cmp.Compare(b.points, a.points) })
	c := Cause{Pattern: p, Confidence: j.points / allPoints, With: t.with}
	for _, r := range j.why {
		c.Why = append(c.Why, r.text)
	}
	return c
}

// time judges when it began: before what was noticed, and before the others.
func (j *judge) time() {
	if j.began.IsZero() {
		return
	}
	order := math.Exp(-10 * j.began.Sub(j.first).Seconds() / max(1, j.window.Seconds()))
	at := j.began.Format("15:04:05")
	switch lead := j.effect.Sub(j.began); {
	case j.effect.IsZero():
		j.add(pointsFirst/2, order, "it began at %s", at)
	case lead > 0:
		j.add(pointsFirst, order, "it began at %s, %s before errors rose", at, short(lead))
	case lead == 0:
		j.add(pointsFirst, order, "it began at %s, when errors rose", at)
	default:
		j.add(pointsFirst/4, order, "it began at %s, %s after errors rose", at, short(-lead))
	}
}

// change judges how much more of it there is.
func (j *judge) change() {
	p := j.p
	switch {
	case p.Change == New && p.significant:
		j.add(pointsChange, 1, "it is new: %d lines, none in the %s before", p.Count, short(j.before))
	case p.Change == New:
		j.add(pointsChange, 0.6, "it is new: %d lines, none in the %s before (so few may be chance)", p.Count, short(j.before))
	default:
		j.add(pointsChange, math.Log2(max(1, p.ratio))/5, "it grew %.1f times, from %d to %d lines", p.ratio, p.Before, p.Count)
	}
}

func short(d time.Duration) string {
	switch {
	case d >= time.Hour:
		d = d.Round(time.Minute)
	case d >= time.Second:
		d = d.Round(time.Second)
	default:
		return d.Round(time.Millisecond).String()
	}
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = s[:len(s)-2]
	}
	if strings.HasSuffix(s, "h0m") {
		s = s[:len(s)-2]
	}
	return s
}

// requestsOf says how the lines of a pattern stand in requests.
type requestsOf struct {
	several, first int // requests over several services that have it, and those where it comes first
	service        string
	with           []string
}

// requests follows traces through the candidates.
func (c *collector) requests(candidates []*Pattern) map[*Pattern]requestsOf {
	byRef := map[logmine.Ref]*Pattern{}
	for _, p := range candidates {
		for _, r := range p.refs {
			byRef[r] = p
		}
	}
	out := map[*Pattern]requestsOf{}
	with := map[*Pattern]map[string]int{}
	for _, visits := range c.traces {
		var first *visit
		services := map[string]bool{}
		seen := map[*Pattern]bool{}
		for i := range visits {
			v := &visits[i]
			services[v.service] = true
			if p := byRef[v.ref]; p != nil {
				seen[p] = true
				if first == nil || v.at < first.at {
					first = v
				}
			}
		}
		if len(services) < 2 || first == nil {
			continue
		}
		for p := range seen {
			r := out[p]
			r.several++
			if byRef[first.ref] == p {
				r.first++
				if r.service == "" || first.service < r.service {
					r.service = first.service
				}
			}
			out[p] = r
			for other := range seen {
				if other != p {
					if with[p] == nil {
						with[p] = map[string]int{}
					}
					with[p][other.ID]++
				}
			}
		}
	}
	for p, ids := range with {
		r := out[p]
		for id := range ids {
			r.with = append(r.with, id)
		}
		slices.SortFunc(r.with, func(a, b string) int { return cmp.Or(cmp.Compare(ids[b], ids[a]), cmp.Compare(a, b)) })
		r.with = r.with[:min(len(r.with), maxWith)]
		out[p] = r
	}
	return out
}
