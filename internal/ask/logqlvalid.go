package ask

import (
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"text/template"
)

// What Loki checks of a query only when it builds the pipeline is checked here as well: a query that the gate lets
// through must run.

// checkLineText checks what a line filter looks for.
func checkLineText(op string, t LogText) error {
	switch {
	case t.IP && op != "|=" && op != "!=":
		return fmt.Errorf("ip() stands behind |= and != only, not behind %s", op)
	case t.IP:
		return checkAddress(t.Text)
	case op == "|~" || op == "!~":
		_, err := regexp.Compile(t.Text)
		return err
	case op == "|>" || op == "!>":
		return checkPattern(t.Text, false)
	}
	return nil
}

// checkAddress takes an address, a network (10.0.0.0/8) or a range (10.0.0.1-10.0.0.9).
func checkAddress(s string) error {
	if _, err := netip.ParseAddr(s); err == nil {
		return nil
	}
	if _, err := netip.ParsePrefix(s); err == nil {
		return nil
	}
	if a, b, ok := strings.Cut(s, "-"); ok {
		from, err1 := netip.ParseAddr(a)
		to, err2 := netip.ParseAddr(b)
		if err1 == nil && err2 == nil && from.Zone() == "" && to.Zone() == "" && from.BitLen() == to.BitLen() && !to.Less(from) {
			return nil
		}
	}
	return fmt.Errorf("got %.60q, want an address, a network or a range of addresses", s)
}

// checkParser checks what the parsers regexp and pattern are told.
func checkParser(kind, text string) error {
	if kind == "pattern" {
		return checkPattern(text, true)
	}
	re, err := regexp.Compile(text)
	if err != nil {
		return err
	}
	names := slices.DeleteFunc(re.SubexpNames(), func(n string) bool { return n == "" })
	if len(names) == 0 {
		return errors.New("want a regular expression with a named group")
	}
	return once(names)
}

func once(names []string) error {
	sorted := slices.Sorted(slices.Values(names))
	if len(slices.Compact(sorted)) < len(names) {
		return errors.New("a name is given twice")
	}
	return nil
}

var reCapture = regexp.MustCompile(`<[A-Za-z_][A-Za-z0-9_]*>`)

// checkPattern checks a pattern of <name> and <_>. The parser must have names, the line filter none.
func checkPattern(text string, parser bool) error {
	at := reCapture.FindAllStringIndex(text, -1)
	var names []string
	for i, c := range at {
		if i > 0 && at[i-1][1] == c[0] {
			return errors.New("two captures follow one another with nothing between them")
		}
		if name := text[c[0]+1 : c[1]-1]; name != "_" {
			names = append(names, name)
		}
	}
	switch {
	case !parser && len(names) > 0:
		return fmt.Errorf("<%s>: a filter has <_> only", names[0])
	case parser && len(names) == 0:
		return errors.New("want at least one <name>")
	}
	return once(names)
}

var (
	rePath    = regexp.MustCompile(`^[ \t\n\r]*(?:[A-Za-z_]\w*|\[[ \t\n\r]*(?:"[^"\x00]*"|[0-9]+)[ \t\n\r]*\])(?:[ \t\n\r]*(?:\.[ \t\n\r]*[A-Za-z_]\w*|\[[ \t\n\r]*(?:"[^"\x00]*"|[0-9]+)[ \t\n\r]*\]))*[ \t\n\r]*$`)
	reKeyPath = regexp.MustCompile(`^[ \t\n\r]*(?:[A-Za-z_]\w*|"[^"\x00]*")(?:[ \t\n\r]*"[^"\x00]*")*[ \t\n\r]*$`)
)

// checkPath checks where a field stands: a.b["c"][0] of json, a key of logfmt.
func checkPath(kind, path string) error {
	if kind == "json" && !rePath.MatchString(path) || kind == "logfmt" && !reKeyPath.MatchString(path) {
		return fmt.Errorf("got %.60q, want where a field stands", path)
	}
	return nil
}

// templateFuncs are the functions that Loki's templates know; only their names matter here.
var templateFuncs = func() template.FuncMap {
	out := template.FuncMap{}
	for _, name := range strings.Fields(`__line__ __timestamp__ ToLower ToUpper Replace Trim TrimLeft TrimRight TrimPrefix TrimSuffix TrimSpace
		regexReplaceAll regexReplaceAllLiteral count urldecode urlencode bytes duration duration_seconds unixEpochMillis unixEpochNanos toDateInZone
		unixToTime alignLeft alignRight b64enc b64dec lower upper title trunc substr contains hasPrefix hasSuffix indent nindent replace repeat trim
		trimAll trimSuffix trimPrefix int float64 add sub mul div mod addf subf mulf divf max min maxf minf ceil floor round fromJson date toDate now
		unixEpoch default`) {
		out[name] = func() string { return "" }
	}
	return out
}()

func checkTemplate(text string) error {
	_, err := template.New("format").Funcs(templateFuncs).Parse(text)
	if err != nil {
		return fmt.Errorf("the template does not parse: %w", err)
	}
	return nil
}
