package web

import (
	"fmt"
	"reflect"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Bounds of checking one file. References (aliases) can make a small file describe a huge tree.
const (
	maxNodes    = 100_000
	maxDepth    = 64
	maxProblems = 50
)

// checker walks a document beside the type that it is decoded into and collects everything that does not fit. The decoder
// alone would stop at the first value that a type's own UnmarshalYAML refuses, and would say neither line nor key.
type checker struct {
	problems []KeyError
	nodes    int
}

func check(doc *yaml.Node, into any) []KeyError {
	var c checker
	if len(doc.Content) > 0 {
		c.value(doc.Content[0], reflect.TypeOf(into).Elem(), "", 0)
	}
	sortProblems(c.problems)
	return c.problems
}

func (c *checker) add(line int, key, format string, args ...any) {
	if len(c.problems) < maxProblems {
		c.problems = append(c.problems, KeyError{Line: line, Key: key, Err: fmt.Errorf(format, args...)})
	}
}

func (c *checker) value(n *yaml.Node, t reflect.Type, key string, depth int) {
	for n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if c.nodes++; c.nodes > maxNodes || depth > maxDepth {
		if c.nodes == maxNodes+1 || depth > maxDepth {
			c.add(n.Line, key, "the file is nested too deeply or refers to itself too often")
		}
		return
	}
	if n.ShortTag() == "!!null" {
		return
	}
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	before := len(c.problems)
	switch {
	case t.Kind() == reflect.Struct && n.Kind == yaml.MappingNode:
		c.mapping(n, t, key, depth)
	case custom(t):
	case t.Kind() == reflect.Map && n.Kind == yaml.MappingNode:
		c.entries(n, t, key, depth)
	case t.Kind() == reflect.Slice && n.Kind == yaml.SequenceNode:
		for i, e := range n.Content {
			c.value(e, t.Elem(), fmt.Sprintf("%s[%d]", key, i), depth+1)
		}
	default:
		c.scalar(n, t, key)
		return
	}
	if custom(t) && len(c.problems) == before {
		if err := n.Decode(reflect.New(t).Interface()); err != nil {
			c.problems = append(c.problems, placed(err, n.Line, key))
		}
	}
}

// mapping checks a mapping against a struct's fields.
func (c *checker) mapping(n *yaml.Node, t reflect.Type, key string, depth int) {
	known := map[string]reflect.Type{}
	open := fields(t, known)
	seen := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		if k.ShortTag() == "!!merge" {
			c.value(v, t, key, depth+1)
			continue
		}
		path := join(key, k.Value)
		if line, twice := seen[k.Value]; twice {
			c.add(k.Line, path, "given twice, first at line %d", line)
			continue
		}
		seen[k.Value] = k.Line
		ft, ok := known[k.Value]
		switch {
		case ok:
			c.value(v, ft, path, depth+1)
		case !open:
			c.add(k.Line, path, "unknown key%s", suggest(k.Value, known))
		}
	}
}

func (c *checker) entries(n *yaml.Node, t reflect.Type, key string, depth int) {
	seen := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k := n.Content[i]
		if line, twice := seen[k.Value]; twice {
			c.add(k.Line, join(key, k.Value), "given twice, first at line %d", line)
			continue
		}
		seen[k.Value] = k.Line
		c.value(n.Content[i+1], t.Elem(), join(key, k.Value), depth+1)
	}
}

func (c *checker) scalar(n *yaml.Node, t reflect.Type, key string) {
	// Never printed: a value of a secret's type could be one.
	if err := n.Decode(reflect.New(t).Interface()); err != nil {
		c.add(n.Line, key, "want %s, got %s", wanted(t), got(n))
	}
}

// fields collects the keys of a struct, those of inlined structs too. It reports whether any key is allowed, as with an
// inlined map.
func fields(t reflect.Type, known map[string]reflect.Type) (open bool) {
	for i := range t.NumField() {
		f := t.Field(i)
		name, opts, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		if name == "-" || (!f.IsExported() && !f.Anonymous) {
			continue
		}
		if strings.Contains(opts, "inline") {
			ft := f.Type
			for ft.Kind() == reflect.Pointer {
				ft = ft.Elem()
			}
			if ft.Kind() != reflect.Struct || fields(ft, known) {
				open = true
			}
			continue
		}
		if name == "" {
			name = strings.ToLower(f.Name)
		}
		known[name] = f.Type
	}
	return open
}

// custom reports whether t decodes itself, in the way of this YAML package, of its predecessor or of encoding.
func custom(t reflect.Type) bool {
	p := reflect.PointerTo(t)
	for _, m := range []string{"UnmarshalYAML", "UnmarshalText"} {
		if _, ok := p.MethodByName(m); ok {
			return true
		}
	}
	return false
}

// placed gives an error of a type's own decoding its place. A line that the error names itself is more exact.
func placed(err error, line int, key string) KeyError {
	p := syntaxProblem(err)
	if p.Line == 0 {
		p.Line = line
	}
	p.Key = key
	return p
}

func wanted(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Bool:
		return "true or false"
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		if t.PkgPath() == "time" {
			return "a duration such as 30s"
		}
		return "a whole number"
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return "a whole number that is not negative"
	case reflect.Float32, reflect.Float64:
		return "a number"
	case reflect.Slice, reflect.Array:
		return "a list"
	case reflect.Map, reflect.Struct:
		return "keys with values"
	default:
		return "text"
	}
}

func got(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "keys with values"
	case yaml.SequenceNode:
		return "a list"
	case yaml.ScalarNode, yaml.DocumentNode, yaml.AliasNode:
	}
	return fmt.Sprintf("%q", cut(n.Value))
}

// cut shortens a value for a message.
func cut(s string) string {
	r := []rune(s)
	if len(r) > 40 {
		return string(r[:40]) + "…"
	}
	return s
}

func join(key, name string) string {
	if key == "" {
		return name
	}
	return key + "." + name
}

// suggest names the known key that is at most two edits away, or all of them when they are few.
func suggest(name string, known map[string]reflect.Type) string {
	best, dist := "", 3
	for k := range known {
		if d := distance(name, k); d < dist || (d == dist && k < best) {
			best, dist = k, d
		}
	}
	if best != "" && dist < 3 {
		return fmt.Sprintf(", did you mean %q?", best)
	}
	return ""
}

// distance is Levenshtein's edit distance (V. Levenshtein, Soviet Physics Doklady, 1966), by one row. Long names are never
// near: they are cut off, so that a hostile file costs little.
func distance(a, b string) int {
	if len(a) > 64 || len(b) > 64 {
		return 64
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		diag := row[0]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			diag, row[j] = row[j], min(row[j]+1, row[j-1]+1, diag+cost)
		}
	}
	return row[len(b)]
}
