package jiratest

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// jql is a parsed query: the part of JQL that clients of a ticket system send.
type jql struct {
	where       func(view) bool // nil when nothing restricts the search
	newestFirst bool
	named       []string // the projects that the query names
}

func (q jql) projects() []string { return q.named }

// jqlError is an error in Jira's own words.
type jqlError string

func (e jqlError) Error() string { return string(e) }

func jqlErrorf(format string, args ...any) error { return jqlError(fmt.Sprintf(format, args...)) }

type token struct {
	text   string
	quoted bool
}

var lexer = regexp.MustCompile(`^\s*(?:("(?:[^"\\\x00-\x1f]|\\.)*")|(!=|[=(),~])|([^\s()=!<>~,"'\\]+))`)

func lex(text string) ([]token, error) {
	var out []token
	for strings.TrimSpace(text) != "" {
		m := lexer.FindStringSubmatch(text)
		if m == nil {
			return nil, jqlErrorf("Error in the JQL Query: The character %q is a reserved JQL character.", strings.TrimSpace(text)[:1])
		}
		switch {
		case m[1] != "":
			s, err := unquote(m[1])
			if err != nil {
				return nil, err
			}
			out = append(out, token{s, true})
		default:
			out = append(out, token{text: m[2] + m[3]})
		}
		text = text[len(m[0]):]
	}
	return out, nil
}

// unquote undoes the escapes of a JQL string.
func unquote(s string) (string, error) {
	s = s[1 : len(s)-1]
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' {
			b.WriteByte(s[i])
			continue
		}
		i++
		switch s[i] {
		case '"', '\\', '\'', ' ':
			b.WriteByte(s[i])
		case 'n':
			b.WriteByte('\n')
		case 't':
			b.WriteByte('\t')
		case 'r':
			b.WriteByte('\r')
		case 'u':
			n, err := strconv.ParseUint(s[min(i+1, len(s)):min(i+5, len(s))], 16, 16)
			if err != nil {
				return "", illegalEscape(s[i-1:])
			}
			b.WriteRune(rune(n))
			i += 4
		default:
			return "", illegalEscape(s[i-1:])
		}
	}
	return b.String(), nil
}

func illegalEscape(s string) error {
	return jqlErrorf("Error in the JQL Query: '%s' is an illegal JQL escape sequence.", s[:min(2, len(s))])
}

type parser struct {
	tokens []token
	named  []string
}

func parseJQL(text string) (jql, error) {
	tokens, err := lex(text)
	if err != nil {
		return jql{}, err
	}
	p := &parser{tokens: tokens}
	var q jql
	if !p.at("order") && len(p.tokens) > 0 {
		if q.where, err = p.or(); err != nil {
			return jql{}, err
		}
	}
	if p.word("order") {
		if !p.word("by") || !p.word("created") {
			return jql{}, p.unexpected("by created")
		}
		q.newestFirst = p.word("desc")
		if !q.newestFirst {
			p.word("asc")
		}
	}
	if len(p.tokens) > 0 {
		return jql{}, p.unexpected("AND or OR")
	}
	q.named = p.named
	return q, nil
}

func (p *parser) at(word string) bool {
	return len(p.tokens) > 0 && !p.tokens[0].quoted && strings.EqualFold(p.tokens[0].text, word)
}

func (p *parser) word(word string) bool {
	if !p.at(word) {
		return false
	}
	p.tokens = p.tokens[1:]
	return true
}

func (p *parser) unexpected(want string) error {
	got := "the end of the query"
	if len(p.tokens) > 0 {
		got = "'" + p.tokens[0].text + "'"
	}
	return jqlErrorf("Error in the JQL Query: Expecting %s but got %s.", want, got)
}

func (p *parser) or() (func(view) bool, error) {
	left, err := p.and()
	for err == nil && p.word("or") {
		l := left
		var right func(view) bool
		right, err = p.and()
		left = func(v view) bool { return l(v) || right(v) }
	}
	return left, err
}

func (p *parser) and() (func(view) bool, error) {
	left, err := p.clause()
	for err == nil && p.word("and") {
		l := left
		var right func(view) bool
		right, err = p.clause()
		left = func(v view) bool { return l(v) && right(v) }
	}
	return left, err
}

func (p *parser) clause() (func(view) bool, error) {
	if p.word("not") {
		inner, err := p.clause()
		return func(v view) bool { return !inner(v) }, err
	}
	if p.word("(") {
		inner, err := p.or()
		if err == nil && !p.word(")") {
			err = p.unexpected("')'")
		}
		return inner, err
	}
	if len(p.tokens) == 0 {
		return nil, p.unexpected("a field")
	}
	field := strings.ToLower(p.tokens[0].text)
	get, ok := jqlFields[field]
	if !ok {
		return nil, jqlErrorf("Field '%s' does not exist or you do not have permission to view it.", p.tokens[0].text)
	}
	p.tokens = p.tokens[1:]
	if p.at("~") {
		return p.contains(field, get)
	}
	negated := p.at("!=") || p.at("not")
	p.word("not")
	values, err := p.operand()
	if err != nil {
		return nil, err
	}
	if field == "project" && !negated {
		p.named = append(p.named, values...)
	}
	return func(v view) bool {
		have := get(v)
		hit := slices.ContainsFunc(have, func(h string) bool {
			return slices.ContainsFunc(values, func(w string) bool { return strings.EqualFold(h, w) })
		})
		if negated {
			return len(have) > 0 && !hit // as Jira: != does not match empty
		}
		return hit
	}, nil
}

// contains reads the words of a text search: a phrase where they stand in quotes of their own, else all of them.
func (p *parser) contains(field string, get func(view) []string) (func(view) bool, error) {
	p.word("~")
	if field != "description" && field != "summary" {
		return nil, jqlErrorf("The operator '~' is not supported by the '%s' field.", field)
	}
	v, err := p.value()
	if err != nil {
		return nil, err
	}
	phrase := len(v) > 1 && strings.HasPrefix(v, `"`) && strings.HasSuffix(v, `"`)
	want := words(v)
	return func(v view) bool {
		have := words(strings.Join(get(v), " "))
		if !phrase {
			return !slices.ContainsFunc(want, func(w string) bool { return !slices.Contains(have, w) })
		}
		for i := range have {
			if len(have)-i >= len(want) && slices.Equal(have[i:i+len(want)], want) {
				return len(want) > 0
			}
		}
		return false
	}, nil
}

// words are what the index of Jira keeps of a text.
func words(s string) []string {
	return strings.FieldsFunc(strings.ToLower(s), func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) && r != '_' })
}

// operand reads an operator and its values.
func (p *parser) operand() ([]string, error) {
	switch {
	case p.word("="), p.word("!="):
		v, err := p.value()
		return []string{v}, err
	case p.word("in"):
		if !p.word("(") {
			return nil, p.unexpected("'('")
		}
		var out []string
		for {
			v, err := p.value()
			if err != nil {
				return nil, err
			}
			out = append(out, v)
			if p.word(")") {
				return out, nil
			}
			if !p.word(",") {
				return nil, p.unexpected("',' or ')'")
			}
		}
	}
	return nil, p.unexpected("operator")
}

// reserved are words that a value must quote. The list of Jira is longer; these
// are the ones that change what a query means.
var reserved = []string{"and", "or", "not", "in", "is", "order", "by", "empty", "null", "was", "changed", "(", ")", ",", "=", "!="}

func (p *parser) value() (string, error) {
	if len(p.tokens) == 0 || !p.tokens[0].quoted && slices.Contains(reserved, strings.ToLower(p.tokens[0].text)) {
		return "", p.unexpected("a value")
	}
	v := p.tokens[0].text
	p.tokens = p.tokens[1:]
	return v, nil
}

var jqlFields = map[string]func(view) []string{
	"project":        func(v view) []string { return []string{v.project} },
	"labels":         func(v view) []string { return v.labels },
	"key":            func(v view) []string { return []string{v.key} },
	"id":             func(v view) []string { return []string{strconv.FormatInt(v.id, 10)} },
	"status":         func(v view) []string { return []string{v.status.Name} },
	"statuscategory": func(v view) []string { return []string{v.status.Category} },
	"issuetype":      func(v view) []string { return []string{v.typeName} },
	"description":    func(v view) []string { return []string{v.text} },
	"summary":        func(v view) []string { return []string{v.summary} },
}
