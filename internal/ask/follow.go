package ask

import (
	"regexp"
	"slices"
	"strings"
)

// A follow-up ("and by pod?", "only in prod", "what about last week?") is the
// question before it with a part replaced: its time, what it is by, or a name.

var (
	reLead   = regexp.MustCompile(`^(?:(?:and|or|now|ok|okay|but|only|just|also|then|same|the same|thing|what about|how about|show|me|that|it|again|please|instead|for that|those|them)\b[ ,:]*)+`)
	reBegins = regexp.MustCompile(`^(?:by|per|in|on|for|over|during|within|without|except|excluding|since|between|today|yesterday|top \d+|bottom \d+|as a graph|graph|plot|as a chart|last|the last|compared|vs|versus)\b`)
	reByWhat = regexp.MustCompile(`\b(?:by|per|for each|grouped by) [a-z_-]+(?:(?:,| and|, and) [a-z_-]+)*`)
	reTopK   = regexp.MustCompile(`\b(?:top|bottom) \d{1,3}\b`)
)

// maxFollowWords is how long a follow-up is at most: a longer one is a question.
const maxFollowWords = 9

// follow returns the question that a follow-up means, and next itself if it is none.
// All text is normalized.
func (t *Rules) follow(previous, next string) string {
	if previous == "" {
		return next
	}
	text := strings.TrimRight(next, "?!. ")
	led := reLead.FindString(text)
	rest := strings.TrimSpace(text[len(led):])
	if led == "" && !reBegins.MatchString(rest) || len(strings.Fields(rest)) > maxFollowWords {
		return next
	}
	if rest == "" {
		return previous
	}
	previous = strings.TrimRight(previous, "?!. ")
	if when, _ := takeWhen(rest, Question{}); when.told {
		old, without := takeWhen(previous, Question{})
		if old.told {
			previous = without
		}
	}
	if reByWhat.MatchString(rest) {
		previous = reByWhat.ReplaceAllString(previous, " ")
	}
	if reTopK.MatchString(rest) {
		previous = reTopK.ReplaceAllString(previous, " ")
	}
	previous = t.replaceNames(previous, rest)
	if !reBegins.MatchString(rest) {
		rest = "for " + rest
	}
	return strings.Join(strings.Fields(previous+" "+rest), " ")
}

// replaceNames takes the names out of previous in whose place rest puts others: those
// of the same label.
func (t *Rules) replaceNames(previous, rest string) string {
	old, fresh := cutWords(previous), cutWords(rest)
	for i, f := range fresh {
		labels := t.labelsOf(f)
		if len(labels) == 0 || negated(fresh, i) {
			continue
		}
		for j, o := range old {
			if o.text == f.text || negated(old, j) || !slices.ContainsFunc(t.labelsOf(o), func(l string) bool { return slices.Contains(labels, l) }) {
				continue
			}
			end := o.end
			if j+1 < len(old) && kindWords[old[j+1].stem] != nil && kindWords[old[j+1].text] != nil { // "payments namespace"
				end = old[j+1].end
			}
			previous = previous[:o.start] + strings.Repeat(" ", end-o.start) + previous[end:]
		}
	}
	return previous
}

// labelsOf returns the labels that have the word as a value.
func (t *Rules) labelsOf(w word) []string {
	if stopWords[w.text] || kindWords[w.stem] != nil {
		return nil
	}
	var out []string
	if t.catalog != nil {
		if v, ok := t.catalog.labelled(w.text); ok {
			out = append(out, v.labels...)
		} else if n, ok := t.catalog.partName(w.text, wholes); ok {
			out = append(out, n.labels...)
		}
	}
	if t.logs != nil {
		out = append(out, t.logs.exact[w.text]...)
	}
	return out
}
