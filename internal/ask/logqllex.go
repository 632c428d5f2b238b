package ask

import (
	"fmt"
	"regexp"
	"strings"
	"text/scanner"
	"time"
	"unicode/utf8"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/util/strutil"
)

// logToken is a token of LogQL. Text is lower case of keywords and operators, unquoted of strings.
type logToken struct {
	kind logKind
	text string
	at   int
	dur  time.Duration // of durations and ranges
}

type logKind byte

const (
	logEnd      logKind = iota
	logName             // of a label
	logWord             // a keyword or the name of a function
	logOp               // an operator or a bracket
	logString           //
	logNumeral          //
	logDuration         //
	logBytes            // a size
	logWindow           // [5m]
	logFlag             // --strict
)

// logWords are names that are never labels; logFuncs are labels where no parenthesis follows.
var (
	logWords = setOf("by", "without", "bool", "offset", "on", "ignoring", "group_left", "group_right", "or", "and", "unless", "unwrap", "json", "regexp",
		"logfmt", "unpack", "pattern", "label_format", "line_format", "decolorize", "drop", "keep", "variants", "of", "label_replace")
	logFuncs = func() map[string]bool {
		out := setOf(vectorOps...)
		for f := range rangeFuncs {
			out[f] = true
		}
		for _, f := range [...]string{"vector", "bytes", "duration", "duration_seconds", "ip"} {
			out[f] = true
		}
		return out
	}()
	logOps = []string{"|=", "|~", "|>", "!=", "!~", "!>", "=~", "==", ">=", "<=", "=", ">", "<", "|", "{", "}", "(", ")", ",", "+", "-", "*", "/", "%", "^"}
)

func setOf(names ...string) map[string]bool {
	out := map[string]bool{}
	for _, n := range names {
		out[n] = true
	}
	return out
}

var (
	reSizeTail = regexp.MustCompile(`^[0-9.BikKMGTP]+`)
	reByteSize = regexp.MustCompile(`^[0-9]+(?:\.[0-9]+)?(?i:[kmgtp]i?)?[bB]?$`)
	reDurTail  = regexp.MustCompile(`^[\p{N}nuµmshdwy.]+`)
	reFunction = regexp.MustCompile(`^\s*(?:\(|(?i:by|without)\s*\()`)
)

// lexLogQL cuts a text as Loki does: Go's scanner, with durations, sizes and windows put together.
func lexLogQL(text string) ([]logToken, error) {
	l := &logLexer{text: text}
	l.sc.Init(strings.NewReader(text))
	l.sc.Error = func(s *scanner.Scanner, msg string) {
		if l.err == nil {
			l.err = fmt.Errorf("at byte %d: %s", s.Position.Offset, msg)
		}
	}
	for {
		if err := l.scan(); err != nil {
			return nil, err
		}
		if l.err != nil {
			return nil, l.err
		}
		if n := len(l.out); n > 0 && l.out[n-1].kind == logEnd {
			return l.out, nil
		}
	}
}

type logLexer struct {
	text string
	sc   scanner.Scanner
	out  []logToken
	err  error
}

func (l *logLexer) rest() string { return l.text[l.sc.Pos().Offset:] }

// skip takes what a token has beside what the scanner took for it.
func (l *logLexer) skip(s string) {
	for range utf8.RuneCountInString(s) {
		l.sc.Next()
	}
}

func (l *logLexer) add(kind logKind, text string, dur time.Duration) {
	l.out = append(l.out, logToken{kind: kind, text: text, at: l.sc.Position.Offset, dur: dur})
}

func (l *logLexer) scan() error {
	r := l.sc.Scan()
	text := l.sc.TokenText()
	switch r {
	case scanner.EOF:
		l.add(logEnd, "the end", 0)
	case '#':
		line, _, _ := strings.Cut(l.rest(), "\n")
		l.skip(line)
	case '[':
		return l.window()
	case scanner.String, scanner.RawString:
		if !utf8.ValidString(text) {
			return fmt.Errorf("at byte %d: a string that is no UTF-8", l.sc.Position.Offset)
		}
		s, err := strutil.Unquote(text)
		if err != nil {
			return fmt.Errorf("at byte %d: %w", l.sc.Position.Offset, err)
		}
		l.add(logString, s, 0)
	case scanner.Int, scanner.Float:
		l.numeral(text)
	case scanner.Ident:
		lower := strings.ToLower(text)
		if logWords[lower] || logFuncs[lower] && reFunction.MatchString(l.rest()) {
			l.add(logWord, lower, 0)
		} else {
			l.add(logName, text, 0)
		}
	default:
		return l.operator(text)
	}
	return nil
}

func (l *logLexer) window() error {
	in, _, ok := strings.Cut(l.rest(), "]")
	d, err := model.ParseDuration(in)
	if !ok || err != nil {
		return fmt.Errorf("at byte %d: got %.20q, want a duration such as [5m]", l.sc.Position.Offset, in)
	}
	l.skip(in + "]")
	l.add(logWindow, in, time.Duration(d))
	return nil
}

func (l *logLexer) numeral(text string) {
	if tail := reDurTail.FindString(l.rest()); tail != "" {
		if d, ok := logQLDuration(text + tail); ok {
			l.skip(tail)
			l.add(logDuration, text+tail, d)
			return
		}
	}
	if tail := reSizeTail.FindString(l.rest()); tail != "" && reByteSize.MatchString(text+tail) {
		l.skip(tail)
		l.add(logBytes, text+tail, 0)
		return
	}
	l.add(logNumeral, text, 0)
}

// logQLDuration reads a duration as Prometheus writes it, else as Go does, which knows signs and fractions.
func logQLDuration(s string) (time.Duration, bool) {
	if d, err := model.ParseDuration(s); err == nil {
		return time.Duration(d), true
	}
	d, err := time.ParseDuration(s)
	return d, err == nil
}

func (l *logLexer) operator(text string) error {
	rest := l.rest()
	if text == "-" {
		for _, flag := range [...]string{"--strict", "--keep-empty"} {
			if after, ok := strings.CutPrefix(rest, flag[1:]); ok && (after == "" || !isFlagByte(after[0])) {
				l.skip(flag[1:])
				l.add(logFlag, flag, 0)
				return nil
			}
		}
		if tail := reDurTail.FindString(rest); tail != "" {
			if d, ok := logQLDuration("-" + tail); ok {
				l.skip(tail)
				l.add(logDuration, "-"+tail, d)
				return nil
			}
		}
	}
	for _, op := range logOps {
		if more, ok := strings.CutPrefix(op, text); ok && strings.HasPrefix(rest, more) {
			l.skip(more)
			l.add(logOp, op, 0)
			return nil
		}
	}
	return fmt.Errorf("at byte %d: %.10q is not known here", l.sc.Position.Offset, text)
}

func isFlagByte(b byte) bool { return b == '-' || b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z' }
