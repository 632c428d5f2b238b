package ask

import (
	"regexp"
	"strings"
	"time"
)

// reLasting says of a time that it is how long something took.
var reLasting = regexp.MustCompile(`\b(?:took|takes?|taking|long(?:er)?|durations?|slow(?:er|est)?|latency|elapsed|lasted|lasting|waited|response times?|old(?:er)?|behind|delay(?:ed|s)?|than|exceed\w*)\b`)

// spans takes "over 4 hours" for the time to look at, where nothing is said that takes time.
func (t *logTask) spans() {
	th := t.in.threshold
	if th == nil || th.op != ">" || t.when.window > 0 || reLasting.MatchString(t.norm) {
		return
	}
	if d := units[strings.TrimSuffix(th.unit, "s")]; d >= time.Minute && th.value > 0 {
		t.when.window, t.when.told, t.in.threshold = time.Duration(th.value*float64(d)), true, nil
	}
}

// Bounds of what is taken to be cited from lines: fewer words stand side by side by chance.
const (
	minCited = 3
	maxCited = 10
)

// verbatim returns the longest stretch of the question that lines have word for word and that holds all of words, as the lines
// write it: "no space left on device". "" if there is none, or lines spell it in several ways.
func verbatim(norm string, words []string, lines []LogLine) string {
	said := strings.Fields(norm)
	for n := min(maxCited, len(said)); n >= minCited; n-- {
		for i := 0; i+n <= len(said); i++ {
			text := strings.Trim(strings.Join(said[i:i+n], " "), `?.,;:!"'`)
			if !holdsAll(text, words) {
				continue
			}
			if cited := spelt(text, lines); cited != "" {
				return cited
			}
		}
	}
	return ""
}

func holdsAll(text string, words []string) bool {
	for _, w := range words {
		if !strings.Contains(text, w) {
			return false
		}
	}
	return true
}

// spelt returns a text as the lines that have it write it; "" if none has it, or not all of those in the same way.
func spelt(text string, lines []LogLine) string {
	out := ""
	for _, l := range lines {
		low := strings.ToLower(l.Text)
		at := strings.Index(low, text)
		if at < 0 || len(low) != len(l.Text) {
			continue
		}
		cited := l.Text[at : at+len(text)]
		if out != "" && out != cited {
			return ""
		}
		out = cited
	}
	return out
}
