package logmine

import "strings"

// Alike reports whether two templates are one pattern seen at different times: one is
// the other with more left out, or they say the same words in another form. A
// template grows more general as lines come, begins anew after a restart, and takes
// the form that most of its lines have.
func Alike(a, b string) bool {
	return a == b || Covers(a, b) || Covers(b, a) || sameWords(a, b)
}

// sameWords reports whether patterns of these templates are joined in spite of their
// form: see settle.
func sameWords(a, b string) bool {
	if !strings.Contains(a, Wildcard) || !strings.Contains(b, Wildcard) {
		return false
	}
	var bufA, bufB [128]byte
	x, n := signature(bufA[:0], a)
	if n < minMergeWords {
		return false
	}
	y, _ := signature(bufB[:0], b)
	return string(x) == string(y)
}

// Covers reports whether a template is another one with some of its words left out.
// Each place that is left out stands for something without a blank.
func Covers(general, special string) bool {
	for {
		before, after, more := strings.Cut(general, Wildcard)
		if !strings.HasPrefix(special, before) {
			return false
		}
		special = special[len(before):]
		if !more {
			return special == ""
		}
		general = after
		next := after
		if i := strings.Index(next, Wildcard); i >= 0 {
			next = next[:i]
		}
		end := strings.IndexByte(special, ' ')
		if end < 0 {
			end = len(special)
		}
		if next != "" {
			i := strings.Index(special, next)
			if i < 0 || i > end {
				return false
			}
			end = i
		}
		if end == 0 {
			return false
		}
		special = special[end:]
	}
}

// Words returns how many words a template says.
func Words(template string) int {
	var buf [256]byte
	_, n := signature(buf[:0], template)
	return n
}

// IDOf returns the id of the pattern with this template.
func IDOf(template string) string { return idOf(template) }
