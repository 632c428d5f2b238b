package report

import (
	"strings"
	"unicode"

	"github.com/portent-dev/portent/internal/incident"
	"github.com/portent-dev/portent/internal/ticket"
)

// leadAlert returns the alert that names the incident: that of the probable cause, else the worst one,
// among equals the one that fired first, then the smaller fingerprint.
func leadAlert(inc incident.Incident) (incident.Alert, bool) {
	best := -1
	for i, a := range inc.Alerts {
		if best < 0 || leads(inc, a, inc.Alerts[best]) {
			best = i
		}
	}
	if best < 0 {
		return incident.Alert{}, false
	}
	return inc.Alerts[best], true
}

func leads(inc incident.Incident, a, b incident.Alert) bool {
	if c := inc.RootCause.Alertname; c != "" && (a.Name() == c) != (b.Name() == c) {
		return a.Name() == c
	}
	if ra, rb := rank(a), rank(b); ra != rb {
		return ra > rb
	}
	if !a.StartsAt.Equal(b.StartsAt) {
		return a.StartsAt.Before(b.StartsAt)
	}
	return a.Fingerprint < b.Fingerprint
}

func rank(a incident.Alert) int {
	return incident.Severity(strings.ToLower(a.Labels["severity"])).Rank()
}

func leadName(inc incident.Incident) string {
	if a, ok := leadAlert(inc); ok && a.Name() != "" {
		return a.Name()
	}
	return inc.RootCause.Alertname
}

// name is the alert's name for people.
func name(a incident.Alert) string {
	if n := value(a.Name()); n != "" {
		return n
	}
	return "unnamed alert"
}

// value makes a label value fit for one line.
func value(s string) string { return ticket.OneLine(s, maxValue) }

// describe returns what the alert says of itself, on one line.
func describe(a incident.Alert) string {
	for _, k := range []string{"summary", "description", "message"} {
		if s := ticket.OneLine(a.Annotations[k], maxText); s != "" {
			return s
		}
	}
	return ""
}

// sentence ends s with a full stop unless it ends in punctuation.
func sentence(s string) string {
	if s == "" || strings.ContainsAny(s[len(s)-1:], ".!?") || strings.HasSuffix(s, "…") {
		return s
	}
	return s + "."
}

// humanize turns the name of an alert into words: MemoryPressure and memory_pressure become "Memory
// pressure", KubePodOOMKilled becomes "Kube pod OOM killed". A name with spaces is words already.
func humanize(s string) string {
	s = value(s)
	if strings.ContainsRune(s, ' ') {
		return s
	}
	words := split(s)
	for i, w := range words {
		if i > 0 && !acronym(w) {
			words[i] = strings.ToLower(w)
		}
	}
	out := []rune(strings.Join(words, " "))
	if len(out) > 0 {
		out[0] = unicode.ToUpper(out[0])
	}
	return string(out)
}

// kebab turns the name of an alert into a label: MemoryPressure becomes "memory-pressure". What is neither
// a letter nor a digit separates words, as trackers refuse the rest.
func kebab(s string) string {
	words := split(strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) || unicode.IsDigit(r) {
			return r
		}
		return ' '
	}, value(s)))
	return ticket.Cut(strings.ToLower(strings.Join(words, "-")), maxValue)
}

// split cuts at separators and where a new word begins: aB, and ABc before the B.
func split(s string) []string {
	var words []string
	var word []rune
	flush := func() {
		if len(word) > 0 {
			words, word = append(words, string(word)), nil
		}
	}
	rs := []rune(s)
	for i, r := range rs {
		if r == '_' || r == '-' || r == '.' || r == ':' || unicode.IsSpace(r) {
			flush()
			continue
		}
		if unicode.IsUpper(r) && len(word) > 0 {
			before := rs[i-1]
			next := i+1 < len(rs) && unicode.IsLower(rs[i+1])
			if unicode.IsLower(before) || unicode.IsDigit(before) || unicode.IsUpper(before) && next {
				flush()
			}
		}
		word = append(word, r)
	}
	flush()
	return words
}

// acronym reports whether a word has more than one letter and no lower-case one.
func acronym(w string) bool {
	n := 0
	for _, r := range w {
		if unicode.IsLower(r) {
			return false
		}
		n++
	}
	return n > 1
}
