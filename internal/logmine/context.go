package logmine

import "strings"

// sep returns what stands before token i.
func (s *scanner) sep(i int) string {
	if i == 0 {
		return s.line[:s.toks[0].start]
	}
	return s.line[s.toks[i-1].end:s.toks[i].start]
}

// next returns what stands behind token i.
func (s *scanner) next(i int) string {
	if i+1 < len(s.toks) {
		return s.line[s.toks[i].end:s.toks[i+1].start]
	}
	return s.line[s.toks[i].end:]
}

// context makes parameters of words by what stands around them.
func (s *scanner) context() {
	for i := len(s.toks) - 1; i >= 0; i-- {
		t := &s.toks[i]
		if t.kind != Word {
			continue
		}
		follows := Word // kind of the next token when one blank or slash lies between
		if i+1 < len(s.toks) {
			if n := s.next(i); n == " " || n == "/" {
				follows = s.toks[i+1].kind
			}
		}
		w, sep := s.text(*t), s.sep(i)
		switch {
		case isLiteralValue(w), isNothing(w) && behindKey(sep):
			t.kind = Bool
		case follows != Word && isMethod(w) && s.next(i) == " ":
			t.kind = Method
		case follows != Word && w == "HTTP" && s.next(i) == "/":
			t.kind = ID
		case sep == "{" && i > 0: // ComponentInfo{…}
			t.kind = Value
		case isCalendarWord(w) && (follows != Word || i > 0 && sep == " " && s.toks[i-1].kind != Word):
			t.kind = Time
		case i > 0 && s.toks[i-1].kind == Number && (sep == " " || sep == "") && isSizeUnit(w):
			t.kind = Size
		}
	}
}

// behindKey reports whether the separator ends a key: "key=", "key: ".
func behindKey(sep string) bool {
	sep = strings.TrimRight(sep, " ")
	return strings.HasSuffix(sep, "=") || strings.HasSuffix(sep, ":")
}

// fold joins neighbouring parameters that are one: the parts of an address or a
// date, a number and its unit, a quoted value behind a key.
func (s *scanner) fold() {
	out := s.toks[:0]
	quote := byte(0)
	for i := range s.toks {
		t := s.toks[i]
		sep := s.line[:t.start]
		if i > 0 {
			sep = s.line[s.toks[i-1].end:t.start]
		}
		if len(out) > 0 {
			prev := &out[len(out)-1]
			sep = s.line[prev.end:t.start]
			if quote != 0 {
				if strings.IndexByte(sep, quote) < 0 {
					prev.end = t.end
					continue
				}
				quote = 0
			}
			if prev.kind != Word && t.kind != Word && s.joins(*prev, sep, t) {
				prev.kind = joinedKind(prev.kind, sep, t.kind)
				prev.end = t.end
				continue
			}
		}
		if n := len(sep); n >= 2 && (sep[n-1] == '"' || sep[n-1] == '\'') && sep[n-2] == '=' && strings.IndexByte(s.line[t.end:], sep[n-1]) >= 0 {
			quote = sep[n-1]
			t.kind = Value
		}
		out = append(out, t)
	}
	if quote != 0 { // up to the closing quote, which no token follows
		last := &out[len(out)-1]
		if q := strings.IndexByte(s.line[last.end:], quote); q > 0 {
			last.end += int32(q)
		}
	}
	s.toks = out
}

func (s *scanner) joins(a token, sep string, b token) bool {
	switch {
	case sep == "":
		return true
	case len(sep) == 1 && strings.IndexByte(".:,/_-~", sep[0]) >= 0:
		return true
	case sep == " ":
		return b.kind == Size && a.kind == Number || a.kind == Time || b.kind == Time && a.kind == Number ||
			isDate(s.text(a)) && classes[s.line[b.start]]&isDigit != 0
	}
	return false
}

func joinedKind(a Kind, sep string, b Kind) Kind {
	switch {
	case b == Size || b == Time:
		return b
	case sep == " ":
		return Time
	case a == Number && b == Number && (sep == "," || sep == ":"):
		return Number
	}
	return a
}

// isDate reports whether s starts as a date with two dashes or slashes.
func isDate(s string) bool {
	return len(s) >= 8 && classes[s[0]]&isDigit != 0 && (strings.Count(s, "-") == 2 || strings.Count(s, "/") == 2)
}

// masks makes parameters of what Redact left in a line, brackets included.
func (s *scanner) masks() {
	for i := range s.toks {
		t := &s.toks[i]
		if t.start == 0 || int(t.end) >= len(s.line) || s.line[t.start-1] != '<' || s.line[t.end] != '>' ||
			!strings.HasPrefix(s.text(*t), maskOpen[1:]) {
			continue
		}
		t.start--
		t.end++
		t.kind = Secret
	}
	s.fold()
}
