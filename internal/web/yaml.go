package web

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// maxConfigBytes bounds a configuration file; a path to the wrong file must not fill the memory.
const maxConfigBytes = 4 << 20

// KeyError is one thing that is wrong in a configuration file.
type KeyError struct {
	// Line counts from 1; 0 when the problem has no place in the file.
	Line int
	// Key is the path of the key, as in detection.sensitivity or promql.sources[1].url.
	Key string
	Err error
}

// Error implements error: "line 3: detection.sensitivity: …".
func (p KeyError) Error() string {
	var b strings.Builder
	if p.Line > 0 {
		fmt.Fprintf(&b, "line %d: ", p.Line)
	}
	if p.Key != "" {
		b.WriteString(p.Key + ": ")
	}
	b.WriteString(p.Err.Error())
	return b.String()
}

// Unwrap returns what is wrong.
func (p KeyError) Unwrap() error { return p.Err }

// Invalid returns the error of a Validate method: err is wrong with the value at key, a path as in KeyError. LoadYAML adds the
// line. A nil err gives nil; several errors of one section are joined with errors.Join.
func Invalid(key string, err error) error {
	if err == nil {
		return nil
	}
	return KeyError{Key: key, Err: err}
}

// ConfigError holds everything that is wrong in one configuration file, ordered by line.
type ConfigError struct {
	File     string
	Problems []KeyError
}

// Error implements error, one problem a line.
func (e *ConfigError) Error() string {
	if len(e.Problems) == 1 {
		return e.File + ": " + e.Problems[0].Error()
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %d problems", e.File, len(e.Problems))
	for _, p := range e.Problems {
		b.WriteString("\n  " + p.Error())
	}
	return b.String()
}

// LoadYAML reads the file at path into the struct that into points to, which holds the defaults. It is strict: an unknown or
// repeated key, a value of the wrong type and a second document are errors. If into has a method Validate() error it is
// called at the end; errors made by Invalid get their line. Everything wrong is reported at once, as *ConfigError. After an
// error what into holds is undefined. An empty file changes nothing.
func LoadYAML(path string, into any) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("read configuration: %w", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxConfigBytes+1))
	if err != nil {
		return fmt.Errorf("read configuration: %w", err)
	}
	if len(b) > maxConfigBytes {
		return fmt.Errorf("read configuration: %s is over %d bytes", path, maxConfigBytes)
	}
	return ParseYAML(path, b, into)
}

// ParseYAML is LoadYAML for content that is already read; name stands in errors for the file.
func ParseYAML(name string, content []byte, into any) error {
	var doc yaml.Node
	dec := yaml.NewDecoder(bytes.NewReader(content))
	if err := dec.Decode(&doc); errors.Is(err, io.EOF) {
		return wrapProblems(name, nil, validate(into))
	} else if err != nil {
		return &ConfigError{name, []KeyError{syntaxProblem(err)}}
	}
	if err := dec.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return &ConfigError{name, []KeyError{{Err: errors.New("only one YAML document is allowed")}}}
	}
	if probs := check(&doc, into); len(probs) > 0 {
		return &ConfigError{name, probs}
	}
	strict := yaml.NewDecoder(bytes.NewReader(content))
	strict.KnownFields(true)
	if err := strict.Decode(into); err != nil && !errors.Is(err, io.EOF) {
		return &ConfigError{name, []KeyError{syntaxProblem(err)}}
	}
	return wrapProblems(name, &doc, validate(into))
}

func validate(into any) error {
	if v, ok := into.(interface{ Validate() error }); ok {
		return v.Validate()
	}
	return nil
}

// syntaxProblem takes the line out of the texts of the YAML package: "yaml: line 3: …".
func syntaxProblem(err error) KeyError {
	var te *yaml.TypeError
	msg := strings.TrimPrefix(err.Error(), "yaml: ")
	if errors.As(err, &te) && len(te.Errors) > 0 {
		msg = strings.Join(te.Errors, "; ")
	}
	var p KeyError
	if n, rest, ok := lineOf(msg); ok {
		p.Line, msg = n, rest
	}
	p.Err = errors.New(msg)
	return p
}

func lineOf(msg string) (line int, rest string, ok bool) {
	head, rest, found := strings.Cut(msg, ": ")
	if !found {
		return 0, msg, false
	}
	if _, err := fmt.Sscanf(head, "line %d", &line); err != nil {
		return 0, msg, false
	}
	return line, rest, true
}

// wrapProblems turns what Validate returned into a *ConfigError, with lines from doc, which is nil for an empty file.
func wrapProblems(name string, doc *yaml.Node, err error) error {
	if err == nil {
		return nil
	}
	probs := flatten(err, "")
	for i := range probs {
		probs[i].Line = lineAt(doc, probs[i].Key)
	}
	sortProblems(probs)
	return &ConfigError{name, probs}
}

// flatten splits joined errors and joins the keys of nested problems.
func flatten(err error, key string) []KeyError {
	switch e := err.(type) { //nolint:errorlint // the tree is walked node by node: what is wrapped comes in its turn
	case KeyError:
		k := e.Key
		if key != "" && k != "" {
			k = key + "." + k
		} else if k == "" {
			k = key
		}
		return flatten(e.Err, k)
	case interface{ Unwrap() []error }:
		var out []KeyError
		for _, sub := range e.Unwrap() {
			out = append(out, flatten(sub, key)...)
		}
		return out
	}
	return []KeyError{{Key: key, Err: err}}
}

func sortProblems(p []KeyError) {
	slices.SortStableFunc(p, func(a, b KeyError) int { return cmp.Or(cmp.Compare(a.Line, b.Line), strings.Compare(a.Key, b.Key)) })
}

// lineAt returns the line of the deepest key of path that the document has; 0 if it has none, as for a value by default.
func lineAt(doc *yaml.Node, path string) int {
	if doc == nil || len(doc.Content) == 0 || path == "" {
		return 0
	}
	n, line := doc.Content[0], 0
	for part := range strings.FieldsFuncSeq(path, func(r rune) bool { return r == '.' || r == '[' || r == ']' }) {
		next, at := child(n, part)
		if next == nil {
			break
		}
		n, line = next, at
	}
	return line
}

// child returns the value under a key or index and the line where it begins.
func child(n *yaml.Node, part string) (*yaml.Node, int) {
	for n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	switch n.Kind {
	case yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			if n.Content[i].Value == part {
				return n.Content[i+1], n.Content[i].Line
			}
		}
	case yaml.SequenceNode:
		var i int
		if _, err := fmt.Sscanf(part, "%d", &i); err == nil && i >= 0 && i < len(n.Content) {
			return n.Content[i], n.Content[i].Line
		}
	case yaml.DocumentNode, yaml.ScalarNode, yaml.AliasNode:
	}
	return nil, 0
}
