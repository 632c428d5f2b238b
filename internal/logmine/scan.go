package logmine

import "strings"

// token is a piece of a line: a word or a parameter. What stands between two tokens
// is the separator that belongs to the second.
type token struct {
	start, end int32
	kind       Kind
}

// maxTokens bounds what is looked at of one line. A line of more tokens (a dumped
// table, a hostile one) ends in one parameter.
const maxTokens = 400

// scanner cuts lines into tokens. The zero value is ready; it is not safe for
// concurrent use, and its tokens are valid until the next call.
type scanner struct {
	line string
	toks []token
}

// scan cuts line into words and parameters by their own bytes and then by what
// stands around them.
func (s *scanner) scan(line string) []token {
	s.line, s.toks = line, s.toks[:0]
	for i := 0; i < len(line); {
		if classes[line[i]]&(isSpace|isHard) != 0 {
			i++
			continue
		}
		if len(s.toks) >= maxTokens {
			s.emit(i, len(line), Any)
			break
		}
		j, soft := s.chunkEnd(i)
		if soft < 0 {
			s.word(i, j)
		} else {
			s.chunk(i, j, soft)
		}
		i = j
	}
	s.context()
	s.fold()
	return s.toks
}

func (s *scanner) emit(a, b int, k Kind) {
	s.toks = append(s.toks, token{int32(a), int32(b), k})
}

func (s *scanner) text(t token) string { return s.line[t.start:t.end] }

// chunkEnd returns where the run that starts at i ends: before white space, a
// bracket, a quote, a comma; and where its first soft separator stands, or -1. A URL
// or path with a query runs on over = and commas.
func (s *scanner) chunkEnd(i int) (j, soft int) {
	line := s.line
	soft = -1
	for j = i; j < len(line); j++ {
		c := classes[line[j]]
		if c&(isSpace|isHard) != 0 {
			break
		}
		if c&isSoft != 0 && soft < 0 {
			soft = j
		}
	}
	if soft < 0 {
		return j, soft
	}
	ch := line[i:j]
	if j < len(line) && classes[line[j]]&isHard != 0 && strings.IndexByte(ch, '?') >= 0 && (isURL(ch) || isPath(ch)) {
		for j < len(line) && (classes[line[j]]&(isSpace|isHard) == 0 ||
			(line[j] == '=' || line[j] == ',' || line[j] == ';') && j+1 < len(line) && classes[line[j+1]]&(isLetter|isDigit) != 0) {
			j++
		}
	}
	return j, soft
}

// chunk cuts a run without white space whose first soft separator stands at soft.
func (s *scanner) chunk(i, j, soft int) {
	for j > i+1 && (s.line[j-1] == '.' || s.line[j-1] == ':' || s.line[j-1] == '!' || s.line[j-1] == '?') {
		j-- // the punctuation of a sentence
	}
	if soft >= j {
		s.word(i, j)
		return
	}
	ch := s.line[i:j]
	if s.behindEquals(i) && classes[ch[0]]&(isLetter|isDigit) != 0 && strings.ContainsAny(ch, ":/") {
		k := Value
		if isURL(ch) {
			k = URL
		}
		s.emit(i, j, k)
		return
	}
	if at := strings.IndexByte(ch, '@'); at > 0 && at < len(ch)-1 && !isURL(ch) {
		if allOf(ch[:at], isLetter) && strings.IndexByte(ch[at:], '.') > 1 && kindOfWord(ch[at+1:]) <= Name {
			s.emit(i, j, Email)
			return
		}
		s.part(i, i+at)
		s.part(i+at+1, j)
		return
	}
	s.part(i, j)
}

// behindEquals reports whether an equals sign stands before i, blanks between them
// allowed.
func (s *scanner) behindEquals(i int) bool {
	for i > 0 && s.line[i-1] == ' ' {
		i--
	}
	return i > 0 && s.line[i-1] == '='
}

func (s *scanner) part(i, j int) {
	switch ch := s.line[i:j]; {
	case isURL(ch):
		s.emit(i, j, URL)
	case isHexGroups(ch):
		s.emit(i, j, IP)
	case isPath(ch):
		s.emit(i, j, Path)
	case strings.Count(ch, "~") >= 2:
		s.emit(i, j, ID)
	default:
		for p := i; p < j; {
			if classes[s.line[p]]&isSoft != 0 {
				p++
				continue
			}
			q := p
			for q < j && classes[s.line[q]]&isSoft == 0 {
				q++
			}
			s.word(p, q)
			p = q
		}
	}
}

// word emits line[a:b] without the punctuation at its ends; a minus before a digit
// belongs to the number. A number behind the last dot of a word is a parameter of
// its own (core.2275).
func (s *scanner) word(a, b int) {
	line := s.line
	for a < b && line[a] == '.' {
		a++
	}
	for b > a && (line[b-1] == '.' || line[b-1] == '-') {
		b--
	}
	for a < b && line[a] == '-' && (a+1 >= b || classes[line[a+1]]&isDigit == 0) {
		a++
	}
	if a >= b || b == a+1 && line[a] == '_' {
		return
	}
	w := line[a:b]
	if d := strings.LastIndexByte(w, '.'); d > 0 && allOf(w[d+1:], isDigit) && allOf(w[:d], isLetter) {
		s.emit(a, a+d, Word)
		s.emit(a+d+1, b, Number)
		return
	}
	s.emit(a, b, kindOfWord(w))
}
