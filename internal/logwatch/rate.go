package logwatch

import (
	"math"

	"github.com/portent-dev/portent/internal/logmine"
)

// Bounds of the judgement of rates.
const (
	// minLines is how many lines a window must hold, or was expected to, to be judged.
	minLines = 20
	// grownBy and shrunkTo are what a change must amount to.
	grownBy  = 3
	shrunkTo = 0.2
	// sure is the distance, in standard deviations of a negative binomial count, that
	// takes no second opinion; likely that with one: a detector's score above 1.
	sure   = 8
	likely = 4
	// staysMin is for how many minutes a rate must be as it was for the finding to end.
	staysMin = 5
	// longestMs is after which a changed rate is how things are.
	longestMs = 24 * hourMs
)

// windows are the minutes over which lines are counted: a short one finds what is
// much in a short time, a long one what is little.
var windows = [...]int64{5, 15, 60}

// judgeRates compares the lines of the last minutes with the week, for each pattern,
// once a minute.
//
// Lines come in bursts: their count is not Poisson's. A negative binomial count with
// mean m and variance m + c·m² is assumed, c from the counts by the hour (method of
// moments). The mean is not one: yesterday's, the last hours' and that of this time of
// day each are an honest expectation, and so is the busiest or the quietest hour of
// the week. A finding is outside of all of them.
func (w *Watch) judgeRates(s *stream, nowMs int64) {
	minute := nowMs/minuteMs - 1 // the last whole one
	for _, t := range s.tracks {
		key := findingKey{stream: s.name, track: t.root()}
		for _, kind := range [...]Kind{KindGrown, KindShrunk} {
			key.kind = kind
			if f := w.findings[key]; f != nil && f.EndMs == 0 {
				w.rejudge(f, t, minute, nowMs)
				key.kind = ""
				break
			}
		}
		if key.kind == "" {
			continue
		}
		if known := nowMs - max(t.firstMs, s.sinceMs); known < w.o.Baseline.Milliseconds() {
			if known > hourMs {
				t.usual.learn(t, minute)
			}
			continue
		}
		if t.novel && nowMs-t.firstMs < w.o.NewFor.Milliseconds() {
			t.usual.learn(t, minute)
			continue // it is a finding already, as new
		}
		if t.hours == nil || t.hours[len(t.hours)-1].hour < minute/60-weekHours {
			continue
		}
		w.judgeRate(s, t, minute, nowMs)
		t.usual.learn(t, minute)
	}
}

// extremes are the most and the fewest lines that windows held, and the longest time
// in minutes without a line, while nothing was wrong. They are forgotten slowly, and
// learnt an hour late: what is judged now must not be its own measure.
type extremes struct {
	span
	known   bool
	pending [2]span // of this hour and the one before
	hour    int64
}

type span struct {
	most, least [len(windows)]float64
	gap         float64
	any         bool
}

// forgets is what an hour takes off an extreme: half of it in twelve days.
const forgets = 0.0024

func (e *extremes) learn(t *track, minute int64) {
	if h := minute / 60; h != e.hour {
		e.take(&e.pending[1])
		e.pending[1], e.pending[0], e.hour = e.pending[0], span{}, h
	}
	p := &e.pending[0]
	for i, n := range windows {
		got := t.lines(minute, n)
		p.most[i] = max(p.most[i], got)
		if !p.any {
			p.least[i] = got
		}
		p.least[i] = min(p.least[i], got)
	}
	p.gap = max(p.gap, float64(minute-t.lastMs/minuteMs))
	p.any = true
}

// take adds an hour.
func (e *extremes) take(p *span) {
	if !p.any {
		return
	}
	for i := range windows {
		e.most[i] = max(e.most[i]*(1-forgets), p.most[i])
		if !e.known {
			e.least[i] = p.least[i]
		}
		e.least[i] = min(e.least[i]+(e.most[i]-e.least[i])*forgets, p.least[i])
	}
	e.gap = max(e.gap*(1-forgets), p.gap)
	e.known = true
}

// drop forgets what is pending: it is part of a finding.
func (e *extremes) drop() { e.pending = [2]span{} }

func (w *Watch) judgeRate(s *stream, t *track, minute, nowMs int64) {
	if !t.usual.known {
		return
	}
	b, ok := t.baseline(s, minute/60)
	if !ok {
		return
	}
	verdict, scored := Verdict{}, false
	if w.score != nil {
		verdict, scored = w.score(s.name, t.id)
	}
	// What was seen in a day says less of what is usual than what was seen in a week.
	beyond := 2.0
	if b.hours < 24 {
		beyond = 3
	}
	for i, n := range windows {
		part := float64(n) / 60
		got := t.lines(minute, n)
		up, down := b.most*part, b.least*part
		need := float64(sure)
		kind := KindGrown
		switch {
		case got >= minLines && got > grownBy*up:
			if scored && verdict.Score > 1 && verdict.Value > verdict.Expected {
				need, beyond = likely, beyond-0.5
			}
			if distance(got, up, b.spread) < need || got < beyond*t.usual.most[i] || n == 60 && got < b.busiest*1.2 {
				continue
			}
		case down >= minLines && got < shrunkTo*down:
			kind = KindShrunk
			if scored && verdict.Score > 1 && verdict.Value < verdict.Expected {
				need = likely
			}
			// Down to nothing, the spread of a count says little: what matters is how long the
			// pattern was quiet before.
			if got > 0 && (-distance(got, down, b.spread) < need/2 || got > t.usual.least[i]/2) ||
				got == 0 && float64(minute-t.lastMs/minuteMs) < beyond*t.usual.gap {
				continue
			}
		default:
			continue
		}
		expected := up
		if kind == KindShrunk {
			expected = down
		}
		w.begin(&Finding{
			Kind: kind, Stream: s.name, ID: t.id, Template: t.template, Example: t.example, Severity: t.severity,
			SinceMs: nowMs - n*minuteMs, Observed: got, Expected: expected, WindowMs: n * minuteMs,
		}, t)
		t.usual.drop()
		return
	}
	w.judgeSilence(s, t, minute, beyond)
}

// judgeSilence finds patterns that come too seldom for the windows and are quiet for
// longer than ever.
func (w *Watch) judgeSilence(s *stream, t *track, minute int64, beyond float64) {
	quiet := minute - t.lastMs/minuteMs
	if quiet <= 60 || float64(quiet) < beyond*t.usual.gap {
		return
	}
	b, ok := t.baseline(s, t.lastMs/hourMs) // the hours of the silence say nothing
	expected := b.least / 60 * float64(quiet)
	if !ok || expected < minLines {
		return
	}
	w.begin(&Finding{
		Kind: KindShrunk, Stream: s.name, ID: t.id, Template: t.template, Example: t.example, Severity: t.severity,
		SinceMs: t.lastMs, Expected: expected, WindowMs: quiet * minuteMs,
	}, t)
	t.usual.drop()
}

// rejudge ends a finding when the rate is as it was, or has been as it is for long.
func (w *Watch) rejudge(f *Finding, t *track, minute, nowMs int64) {
	n := min(max(f.WindowMs/minuteMs, 1), ringMinutes)
	got := t.lines(minute, n)
	expected := f.Expected * float64(n*minuteMs) / float64(max(f.WindowMs, minuteMs))
	f.Observed, f.seenMs = got, nowMs
	if nowMs-f.SinceMs > longestMs {
		f.EndMs = nowMs
		return
	}
	normal := got <= 1.5*expected+3
	if f.Kind == KindShrunk {
		normal = got >= 0.5*expected
	}
	if !normal {
		f.calm = 0
		return
	}
	if f.calm++; f.calm >= staysMin {
		f.EndMs = nowMs
	}
}

// rates is what to expect of an hour.
type rates struct {
	most, least float64 // of the honest expectations
	busiest     float64 // hour of the week
	spread      float64 // c
	hours       int64   // known
}

// baseline reads what to expect out of the hours before this one, from the stream's or
// the pattern's first whole hour on.
func (t *track) baseline(s *stream, hour int64) (rates, bool) {
	from := max(s.sinceMs, t.firstMs)/hourMs + 1
	from = max(from, hour-weekHours+1)
	known := hour - from // whole hours before this one
	if known < 2 {
		return rates{}, false
	}
	var sum, squares float64
	r := rates{hours: known}
	for h := from; h < hour; h++ {
		x := t.hour(h)
		sum += x
		squares += x * x
		r.busiest = max(r.busiest, x)
	}
	mean := sum / float64(known)
	if mean > 0 {
		if v := squares/float64(known) - mean*mean; v > mean {
			r.spread = (v - mean) / (mean * mean)
		}
	}
	r.most, r.least = mean, mean
	consider := func(x float64) { r.most, r.least = max(r.most, x), min(r.least, x) }
	consider((t.hour(hour-1) + t.hour(hour-2)) / 2)
	if known >= 24 {
		day := 0.0
		for h := hour - 24; h < hour; h++ {
			day += t.hour(h)
		}
		consider(day / 24)
		consider(max(t.hour(hour-24), t.hour(hour-23)))
		consider(min(t.hour(hour-24), t.hour(hour-23), t.hour(hour-25)))
	}
	return r, true
}

// distance returns how many standard deviations a count lies above its mean.
func distance(got, mean, spread float64) float64 {
	return (got - mean) / math.Sqrt(mean+spread*mean*mean+1)
}

// RateSeverity is how bad a changed rate of a pattern is: a flood of errors as bad as
// they say, anything that became silent a warning.
func RateSeverity(k Kind, s logmine.Severity) logmine.Severity {
	if k == KindShrunk {
		return logmine.Warning
	}
	return s
}
