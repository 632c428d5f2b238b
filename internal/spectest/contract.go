package spectest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// Contract is the API of one vendor: its operations, and schemas of what goes
// in and out of each. It is safe for concurrent use.
type Contract struct {
	name       string
	operations []Operation

	mu       sync.Mutex // guards what follows; a compiler is not safe for concurrent use
	compiler *jsonschema.Compiler
	compiled map[string]*jsonschema.Schema
}

// Operation is one method on one path.
type Operation struct {
	Method     string      `json:"method"`
	Path       string      `json:"path"`
	Parameters []Parameter `json:"parameters"`
	Request    *struct {
		Required bool `json:"required"`
		// Strict and Content are by media type. Only their keys are read here: the
		// schemas are compiled from the document when they are first needed.
		Strict  map[string]json.RawMessage `json:"strict"`
		Content map[string]json.RawMessage `json:"content"`
	} `json:"requestBody"`
	Responses map[string]map[string]json.RawMessage `json:"responses"`

	index    int // in the file's list
	segments []string
}

// Parameter is a parameter in the query, the path or a header.
type Parameter struct {
	Name     string          `json:"name"`
	In       string          `json:"in"`
	Required bool            `json:"required"`
	Schema   json.RawMessage `json:"schema"`
}

// contracts keeps what was read, by path: the largest file takes 100 ms to read
// and a package has many tests.
var contracts sync.Map

// Load returns the contract in contracts/<name>.contract.json. A test fails when
// it is absent.
func Load(t testing.TB, name string) *Contract {
	t.Helper()
	c, err := Open(Dir(t), name)
	if err != nil {
		t.Fatalf("%v", err)
	}
	return c
}

// Open is Load for what runs outside of a test; dir is the folder of the API
// descriptions.
func Open(dir, name string) (*Contract, error) {
	path := filepath.Join(dir, "contracts", name+".contract.json")
	if c, ok := contracts.Load(path); ok {
		return c.(*Contract), nil
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("open contract %s: %w", name, err)
	}
	c, err := Parse(name, text)
	if err != nil {
		return nil, err
	}
	kept, _ := contracts.LoadOrStore(path, c)
	return kept.(*Contract), nil
}

// Parse reads a contract that a test double holds itself: of operations that no
// description of the vendor's covers.
func Parse(name string, text []byte) (*Contract, error) {
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return nil, fmt.Errorf("read contract %s: %w", name, err)
	}
	var file struct{ Operations []Operation }
	if err := json.Unmarshal(text, &file); err != nil {
		return nil, fmt.Errorf("read contract %s: %w", name, err)
	}
	c := &Contract{name: name, operations: file.Operations, compiler: newCompiler(), compiled: map[string]*jsonschema.Schema{}}
	if err := c.compiler.AddResource(c.url(), doc); err != nil {
		return nil, fmt.Errorf("read contract %s: %w", name, err)
	}
	for i := range c.operations {
		c.operations[i].index = i
		c.operations[i].segments = strings.Split(c.operations[i].Path, "/")
	}
	return c, nil
}

// newCompiler checks formats, except "duration": the descriptions mean 10s by it
// where JSON Schema means PT10S.
func newCompiler() *jsonschema.Compiler {
	c := jsonschema.NewCompiler()
	c.RegisterFormat(&jsonschema.Format{Name: "duration", Validate: func(any) error { return nil }})
	c.AssertFormat()
	return c
}

func (c *Contract) url() string { return "spec:///" + c.name }

// Find returns the operation for a method and an escaped path, and the values of
// the path's parameters. Of several templates that fit, the one with the first
// literal segment where the others have a parameter wins.
func (c *Contract) Find(method, escapedPath string) (Operation, map[string]string, error) {
	segments := strings.Split(escapedPath, "/")
	var best *Operation
	var params map[string]string
	for i := range c.operations {
		op := &c.operations[i]
		if op.Method != method {
			continue
		}
		if p, ok := op.match(segments); ok && (best == nil || op.before(best)) {
			best, params = op, p
		}
	}
	if best == nil {
		return Operation{}, nil, fmt.Errorf("%s has no operation %s %s", c.name, method, escapedPath)
	}
	return *best, params, nil
}

func (o *Operation) match(segments []string) (map[string]string, bool) {
	if len(segments) != len(o.segments) {
		return nil, false
	}
	params := map[string]string{}
	for i, want := range o.segments {
		got, err := url.PathUnescape(segments[i])
		switch {
		case err != nil:
			return nil, false
		case isTemplate(want):
			if got == "" {
				return nil, false
			}
			params[want[1:len(want)-1]] = got
		case got != want:
			return nil, false
		}
	}
	return params, true
}

// before reports whether o is more specific than p. Both fit the same path.
func (o *Operation) before(p *Operation) bool {
	for i := range o.segments {
		if a, b := isTemplate(o.segments[i]), isTemplate(p.segments[i]); a != b {
			return b
		}
	}
	return false
}

func isTemplate(segment string) bool {
	return strings.HasPrefix(segment, "{") && strings.HasSuffix(segment, "}")
}

// check validates v against the schema at a JSON pointer of the contract, which
// is compiled when it is first used.
func (c *Contract) check(v any, pointer ...string) error {
	escaped := make([]string, len(pointer))
	for i, p := range pointer {
		escaped[i] = url.PathEscape(strings.NewReplacer("~", "~0", "/", "~1").Replace(p))
	}
	at := "#/" + strings.Join(escaped, "/")
	c.mu.Lock()
	s, ok := c.compiled[at]
	if !ok {
		var err error
		if s, err = c.compiler.Compile(c.url() + at); err != nil {
			c.mu.Unlock()
			return fmt.Errorf("compile %s%s: %w", c.name, at, err)
		}
		c.compiled[at] = s
	}
	c.mu.Unlock()
	return short(s.Validate(v))
}

// operation returns the pointer of part of an operation.
func (o *Operation) pointer(part ...string) []string {
	return slices.Concat([]string{"operations", strconv.Itoa(o.index)}, part)
}

// maxError bounds one violation in bytes: a document with a hundred alternatives
// explains itself at length.
const maxError = 2000

func short(err error) error {
	if err == nil {
		return nil
	}
	s := err.Error()
	if len(s) > maxError {
		s = strings.ToValidUTF8(s[:maxError], "") + " …"
	}
	return errors.New(s)
}
