package jira

import (
	"strings"
	"unicode"

	"github.com/portent-dev/portent/internal/ticket"
)

const (
	// maxLabel is Jira's bound of one label, in runes.
	maxLabel = 255
	// maxLabels bounds the labels of one ticket: more help nobody, and an alert may
	// bring hundreds.
	maxLabels = 20
	// keyPrefix begins the labels that name an incident.
	keyPrefix = "portent-"
)

// isKey reports whether a label could be taken for the key of an incident.
func isKey(label string) bool { return strings.HasPrefix(strings.ToLower(label), keyPrefix) }

// labelsOf returns the labels of a new ticket: its key, those of the
// configuration, and those of the draft as far as Jira takes them. A label from
// the draft that looks like a key is left out: it comes from an alert, and
// another incident's ticket would be found by it.
func labelsOf(key string, configured, fromDraft []string) []string {
	out := append([]string{key}, configured...)
	seen := map[string]bool{}
	for _, l := range out {
		seen[l] = true
	}
	for _, l := range fromDraft {
		l = cleanLabel(l)
		if l == "" || seen[l] || isKey(l) || len(out) >= maxLabels {
			continue
		}
		seen[l] = true
		out = append(out, l)
	}
	return out
}

// cleanLabel makes s a label: what is no letter, digit or harmless punctuation
// becomes '-'.
func cleanLabel(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) || unicode.IsDigit(r) || strings.ContainsRune("-_.:/=@#+", r) {
			return r
		}
		return '-'
	}, ticket.OneLine(s, 4*maxLabel))
	runes := []rune(strings.Trim(s, "-"))
	if len(runes) > maxLabel {
		runes = runes[:maxLabel]
	}
	return string(runes)
}
