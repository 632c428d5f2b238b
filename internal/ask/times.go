package ask

import (
	"slices"
	"strings"
	"time"

	"github.com/prometheus/prometheus/promql/parser"
)

// Stretch is a stretch of time as a query has it: as lengths, seen from the time at which it runs.
type Stretch struct {
	Window time.Duration // how long it is; 0 for a moment
	Ago    time.Duration // how long before now it ends
	Back   time.Duration // how much earlier the stretch lies that it is compared with
}

// StretchOf returns the stretch that a question, or the words of it that CalendarWords returned, names at q.Now. All
// of it is 0 where none is named.
func StretchOf(q Question) Stretch {
	w, _ := takeWhen(normalize(q.Text), q)
	s := Stretch{Window: w.window, Ago: w.end, Back: w.offset}
	if w.told && s.Window == 0 && s.Ago == 0 && !w.compare && w.ahead == 0 {
		s.Window = time.Second // "today", at midnight
	}
	return s
}

// probes are how much later a question is asked again to see whether it names another stretch then. They fall on other
// hours, days, weeks and months.
var probes = []time.Duration{
	77 * time.Minute, 5*time.Hour + 41*time.Minute, 9 * time.Hour, 13*time.Hour + 7*time.Minute, 29 * time.Hour, 79 * time.Hour, 8 * 24 * time.Hour, 20*24*time.Hour + time.Hour,
}

// CalendarWords returns the words of a question that name a time by the clock or the calendar: "since midnight",
// "this week", "between 14:00 and 16:00 yesterday". Their stretch is another length, or lies elsewhere, when the same
// question is asked tomorrow: whoever stores a query stores them with it, and runs Retime before the query. "" where
// there are none: "in the last 3 hours" is as long whenever it is asked.
func CalendarWords(q Question) string {
	if len(q.Text) > maxQuestionBytes || !moves(q) {
		return ""
	}
	norm := normalize(q.Text)
	words := q
	_, rest := takeWhen(norm, q)
	taken := missing(norm, rest)
	for _, words.Text = range [...]string{taken, taken + " yesterday"} { // which is read, and not taken, beside clock times
		if taken != "" && sameTimes(q, words) {
			return words.Text
		}
	}
	return norm // the words say what they say only where they stand
}

func moves(q Question) bool {
	first := StretchOf(q)
	return slices.ContainsFunc(probes, func(d time.Duration) bool { return StretchOf(later(q, d)) != first })
}

func sameTimes(a, b Question) bool {
	return StretchOf(a) == StretchOf(b) && !slices.ContainsFunc(probes, func(d time.Duration) bool { return StretchOf(later(a, d)) != StretchOf(later(b, d)) })
}

func later(q Question, d time.Duration) Question {
	q.Now = q.Now.Add(d)
	return q
}

// missing is what was blanked out of a text.
func missing(text, rest string) string {
	if len(text) != len(rest) {
		return ""
	}
	out := []byte(text)
	for i := range out {
		if rest[i] != ' ' {
			out[i] = 0
		}
	}
	var parts []string
	for part := range strings.SplitSeq(string(out), "\x00") {
		if part = strings.TrimSpace(part); part != "" {
			parts = append(parts, part)
		}
	}
	return strings.Join(parts, " ")
}

// Retime rewrites a query that was written when its question named the stretch from, for a time at which it names the
// stretch to: windows as long as from's get the length of to's, and offsets and ages follow. What is as long by chance
// follows as well, which a stretch by the clock hardly ever is. A query that does not parse is an error.
func Retime(l Language, query string, from, to Stretch) (string, error) {
	if from == to {
		return query, nil
	}
	if l == LogQL {
		e, err := ParseLogQL(query)
		if err != nil {
			return "", err
		}
		LogRanges(e, func(r *LogRange) {
			r.Window, r.Offset = from.window(r.Window, to), from.offset(r.Offset, to)
		})
		return e.String(), nil
	}
	e, err := parser.NewParser(parser.Options{}).ParseExpr(query)
	if err != nil {
		return "", err
	}
	parser.Inspect(e, func(n parser.Node, _ []parser.Node) error {
		switch n := n.(type) {
		case *parser.MatrixSelector:
			n.Range = from.window(n.Range, to)
		case *parser.SubqueryExpr:
			n.Range, n.OriginalOffset = from.window(n.Range, to), from.offset(n.OriginalOffset, to)
		case *parser.VectorSelector:
			n.OriginalOffset = from.offset(n.OriginalOffset, to)
		case *parser.NumberLiteral: // an age: "which pods started today"
			if from.Window > 0 && n.Val == from.Window.Seconds() {
				n.Val = to.Window.Seconds()
			}
		}
		return nil
	})
	return e.String(), nil
}

// window and offset are what a length of the query is in the stretch to. Queries hold whole milliseconds.
func (s Stretch) window(d time.Duration, to Stretch) time.Duration {
	if s.Window > 0 && d == s.Window.Truncate(time.Millisecond) {
		return max(to.Window, time.Second)
	}
	return d
}

func (s Stretch) offset(d time.Duration, to Stretch) time.Duration {
	switch {
	case d == 0:
	case d == s.Ago.Truncate(time.Millisecond):
		return to.Ago
	case s.Back != 0 && d == (s.Ago+s.Back).Truncate(time.Millisecond):
		return to.Ago + to.Back
	}
	return d
}
