package ask

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"

	"github.com/portent-dev/portent/internal/logmine"
)

// logField is a field that sampled lines have.
type logField struct {
	name    string
	lines   int // that have it
	numbers int
	times   int // values like 1.5s
	sizes   int // values like 12KB
	values  map[string]int
}

// logSample is what a sample of lines is like.
type logSample struct {
	lines  []LogLine
	format string // json, logfmt, access or plain
	fields map[string]*logField
	levels map[string]int // of detected_level
}

var (
	rePair    = regexp.MustCompile(`(?:^|[ ,;])([a-zA-Z_@][a-zA-Z0-9_.@-]*)=("(?:[^"\\]|\\.)*"|[^\s,;"]+)`)
	reAccess  = regexp.MustCompile(`^\S+ \S+ \S+ \[[^\]]+\] "[A-Z]+ \S+ HTTP/[0-9.]+" [1-5]\d\d `)
	reNumber  = regexp.MustCompile(`^-?\d+(?:\.\d+)?$`)
	reElapsed = regexp.MustCompile(`^\d+(?:\.\d+)?(?:ns|us|µs|ms|s|m|h)$`)
	reSize    = regexp.MustCompile(`^\d+(?:\.\d+)?(?:[KMGT]i?)?B$`)
	reUnfit   = regexp.MustCompile(`[^a-zA-Z0-9_]`)
)

// look reads a sample of lines.
func look(lines []LogLine) logSample {
	s := logSample{lines: lines, format: "plain", fields: map[string]*logField{}, levels: map[string]int{}}
	n := map[string]int{}
	for _, l := range lines {
		if d := l.Labels["detected_level"]; d != "" {
			s.levels[d]++
		}
		n[s.read(l.Text)]++
	}
	for _, f := range [...]string{"json", "logfmt", "access"} {
		if 2*n[f] > len(lines) {
			s.format = f
		}
	}
	return s
}

// read takes the fields out of a line and returns its format.
func (s *logSample) read(text string) string {
	var obj map[string]any
	if strings.HasPrefix(text, "{") && json.Unmarshal([]byte(text), &obj) == nil {
		s.object("", obj, 0)
		return "json"
	}
	if reAccess.MatchString(text) {
		return "access"
	}
	pairs := rePair.FindAllStringSubmatchIndex(text, 64)
	for _, p := range pairs {
		v := strings.Trim(text[p[4]:p[5]], `"`)
		s.field(text[p[2]:p[3]], v)
	}
	if len(pairs) >= 2 && pairs[0][0] == 0 {
		return "logfmt"
	}
	return "plain"
}

// object adds the fields of a JSON object under the names that Loki gives them.
func (s *logSample) object(prefix string, obj map[string]any, depth int) {
	for k, v := range obj {
		switch v := v.(type) {
		case map[string]any:
			if depth < 3 {
				s.object(prefix+k+"_", v, depth+1)
			}
		case string:
			s.field(prefix+k, v)
		case float64:
			s.field(prefix+k, "0")
		case bool:
			s.field(prefix+k, "true")
		}
	}
}

// maxFieldValues bounds what is kept of a field: enough to see what it holds.
const maxFieldValues = 32

func (s *logSample) field(name, value string) {
	name = reUnfit.ReplaceAllString(name, "_")
	if name == "" || len(name) > 100 {
		return
	}
	if name[0] >= '0' && name[0] <= '9' {
		name = "_" + name
	}
	f := s.fields[name]
	if f == nil {
		f = &logField{name: name, values: map[string]int{}}
		s.fields[name] = f
	}
	f.lines++
	switch {
	case reNumber.MatchString(value):
		f.numbers++
	case reElapsed.MatchString(value):
		f.times++
	case reSize.MatchString(value):
		f.sizes++
	}
	if len(f.values) < maxFieldValues || f.values[value] > 0 {
		f.values[value]++
	}
}

// find returns the field that is called so: exactly, or by its last part.
func (s *logSample) find(names ...string) *logField {
	for _, n := range names {
		if f := s.fields[n]; f != nil {
			return f
		}
	}
	for _, n := range names {
		var best *logField
		for _, f := range s.fields {
			if low := snake(f.name); low == n || strings.ToLower(f.name) == n || low == n+"_name" || strings.HasSuffix(low, "_"+n) || strings.ReplaceAll(low, "_", "") == strings.ReplaceAll(n, "_", "") {
				if best == nil || f.lines > best.lines || f.lines == best.lines && f.name < best.name {
					best = f
				}
			}
		}
		if best != nil {
			return best
		}
	}
	return nil
}

// parser returns the stage that makes a label of the field.
func (s *logSample) parser(f *logField) LineParser {
	if s.format == "json" || s.format == "logfmt" {
		return LineParser{Kind: s.format}
	}
	return LineParser{"regexp", `\b` + f.name + `="?(?P<` + f.name + `>[^\s,;"]+)`}
}

// searchStem is what is searched for of a word: its root, so that "failed" finds
// "failure" as well.
func searchStem(w string) string {
	for _, end := range [...]string{"ations", "ation", "ures", "ure", "ings", "ing", "ies", "ed", "es", "s", "y"} {
		if strings.HasSuffix(w, end) && len(w)-len(end) >= 4 {
			return strings.TrimSuffix(w, end)
		}
	}
	return w
}

// literal returns the text that the patterns of the lines have for the words, all of
// them side by side, and "" if there is no such text in nine of ten lines.
func literal(lines []LogLine, words []string) string {
	m := logmine.New(logmine.Options{})
	for _, l := range lines {
		m.Add(logmine.Parse(l.Text).Message, 0, logmine.Unknown)
	}
	counts := map[string]int64{}
	for _, p := range m.Patterns() {
		for _, seg := range strings.Split(p.Template, logmine.Wildcard) {
			if t := spanOf(seg, words); t != "" {
				counts[t] += p.Count
				break
			}
		}
	}
	texts := make([]string, 0, len(counts))
	for t := range counts {
		texts = append(texts, t)
	}
	slices.Sort(texts)
	for _, t := range texts {
		in := 0
		for _, l := range lines {
			if strings.Contains(l.Text, t) {
				in++
			}
		}
		if 10*in >= 9*len(lines) {
			return t
		}
	}
	return ""
}

// spanOf returns the shortest stretch of whole words of seg that holds all of the
// words, unless it holds much else.
func spanOf(seg string, words []string) string {
	low := strings.ToLower(seg)
	if len(low) != len(seg) {
		return ""
	}
	first, last := len(low), 0
	want := 8
	for _, w := range words {
		i := strings.Index(low, w)
		if i < 0 {
			return ""
		}
		first, last = min(first, i), max(last, i+len(w))
		want += 2 * len(w)
	}
	for first > 0 && isWordByte(seg[first-1]) {
		first--
	}
	for last < len(seg) && isWordByte(seg[last]) {
		last++
	}
	if last-first > want+8 {
		return ""
	}
	return seg[first:last]
}

func isWordByte(b byte) bool {
	return b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z' || b >= '0' && b <= '9' || b == '_' || b >= 0x80
}
