package logquery

import (
	"fmt"
	"strings"

	"github.com/portent-dev/portent/internal/logmine"
)

// Summary is one paragraph. Each clause stands on one pattern.
type Summary struct {
	Text    string
	Clauses []Clause
}

// Clause is a part of the summary with what backs it.
type Clause struct {
	Text    string
	Pattern *Pattern
}

// maxPhrase bounds a template within a sentence, in runes.
const maxPhrase = 120

// phrase quotes a template in a sentence.
func phrase(p *Pattern) string {
	t := strings.Join(strings.Fields(p.Template), " ")
	if r := []rune(t); len(r) > maxPhrase {
		t = string(r[:maxPhrase]) + "…"
	}
	return "“" + t + "” [" + p.ID + "]"
}

// summarize says in a paragraph what the answer holds. query writes a pattern's query,
// which each clause carries.
func summarize(a *Answer, all []*Pattern, query func(*Pattern)) Summary {
	var s Summary
	say := func(p *Pattern, format string, args ...any) {
		query(p)
		s.Clauses = append(s.Clauses, Clause{fmt.Sprintf(format, args...), p})
	}
	var shown []*Pattern
	var worst *Pattern
	bad := int64(0)
	for _, p := range all {
		if p.Count == 0 {
			continue
		}
		shown = append(shown, p)
		if p.Severity >= logmine.Error {
			bad += p.Count
			if worst == nil {
				worst = p
			}
		}
	}
	if len(shown) == 0 {
		s.Text = "There are no lines."
		return s
	}
	about := ""
	if a.Read.Sampled != "" {
		about = "about "
	}
	say(shown[0], "%s%d lines say %s, most often %s (%.0f %%)", about, a.Total, things(len(shown)), phrase(shown[0]), 100*shown[0].Share)
	if worst != nil && worst != shown[0] {
		say(worst, "%.1f %% of them are errors, most often %s (%d lines)", 100*float64(bad)/float64(max(1, a.Total)), phrase(worst), worst.Count)
	}
	if a.Before != nil {
		summarizeChanges(shown, all, say)
	}
	if len(a.Causes) > 0 {
		c := &a.Causes[0]
		why := ""
		if len(c.Why) > 0 {
			why = ": " + strings.Join(c.Why[:min(len(c.Why), 3)], ", and ")
		}
		say(c.Pattern, "the most probable cause is %s%s", phrase(c.Pattern), why)
	}
	var b strings.Builder
	for i, c := range s.Clauses {
		if i > 0 {
			b.WriteString("; ")
		}
		b.WriteString(c.Text)
	}
	s.Text = upperFirst(b.String()) + "."
	return s
}

func things(n int) string {
	if n == 1 {
		return "one thing"
	}
	return fmt.Sprintf("%d different things", n)
}

func upperFirst(s string) string { return strings.ToUpper(s[:1]) + s[1:] }

// summarizeChanges tells of each change the largest, of new ones the worst.
func summarizeChanges(shown, all []*Pattern, say func(*Pattern, string, ...any)) {
	var fresh, grown, gone *Pattern
	nFresh, nGrown, nGone := 0, 0, 0
	for _, p := range shown {
		switch p.Change { //nolint:exhaustive // the others are not told
		case New:
			if nFresh++; fresh == nil || p.Severity > fresh.Severity {
				fresh = p
			}
		case Grown:
			if nGrown++; grown == nil || p.ratio > grown.ratio {
				grown = p
			}
		}
	}
	for _, p := range all {
		if p.Change == Gone {
			if nGone++; gone == nil || p.Before > gone.Before {
				gone = p
			}
		}
	}
	if fresh != nil {
		which := "the largest"
		if fresh.Severity >= logmine.Warning {
			which = "the worst"
		}
		say(fresh, "%s, %s %s (%d lines)", plural(nFresh, "pattern is new", "patterns are new"), which, phrase(fresh), fresh.Count)
	}
	if grown != nil {
		say(grown, "%s, the most %s (%.1f times)", plural(nGrown, "has grown", "have grown"), phrase(grown), grown.ratio)
	}
	if gone != nil {
		say(gone, "%s, the largest %s (%d lines before)", plural(nGone, "is gone", "are gone"), phrase(gone), gone.Before)
	}
}

func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
