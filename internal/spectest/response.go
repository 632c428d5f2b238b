package spectest

import (
	"bytes"
	"fmt"
	"mime"
	"net/http"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// CheckResponse reports in what an answer to a method on an escaped path differs
// from the contract. A status that the contract does not list is refused, except
// 429 and 5xx: any gateway may give those, and few contracts list them; their
// bodies are then free.
func (c *Contract) CheckResponse(method, escapedPath string, status int, header http.Header, body []byte) error {
	op, _, err := c.Find(method, escapedPath)
	if err != nil {
		return err
	}
	what := fmt.Sprintf("answer %d to %s %s", status, method, op.Path)
	key := strconv.Itoa(status)
	content, ok := op.Responses[key]
	if !ok {
		key = "default"
		content, ok = op.Responses[key]
	}
	if !ok {
		if status == http.StatusTooManyRequests || status >= 500 {
			return nil
		}
		return fmt.Errorf("%s: the contract has no such status", what)
	}
	if status == http.StatusNoContent {
		if len(body) > 0 {
			return fmt.Errorf("%s has a body", what)
		}
		return nil
	}
	if len(content) == 0 {
		return nil
	}
	media, _, err := mime.ParseMediaType(header.Get("Content-Type"))
	if err != nil {
		return fmt.Errorf("%s: content type %q: %w", what, header.Get("Content-Type"), err)
	}
	if _, ok := content[media]; !ok {
		return fmt.Errorf("%s: content type %q is not in the contract", what, media)
	}
	if media != "application/json" {
		return nil // no contract has a schema for the others
	}
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("%s is not JSON: %w", what, err)
	}
	return wrap(what, c.check(v, op.pointer("responses", key, media)...))
}

// Schema is a single compiled schema. It is safe for concurrent use.
type Schema struct {
	name   string
	schema *jsonschema.Schema
}

// LoadSchema compiles the schema at path, which is relative to the folder of the
// API descriptions, such as "inbound/alertmanager-webhook-v4.schema.json".
func LoadSchema(t testing.TB, path string) *Schema {
	t.Helper()
	s, err := CompileFile(filepath.Join(Dir(t), path))
	if err != nil {
		t.Fatalf("%v", err)
	}
	return s
}

// CompileFile compiles a schema file of any draft from anywhere, such as one
// that the project itself has in testdata. References to files beside it are
// followed.
func CompileFile(path string) (*Schema, error) {
	s, err := newCompiler().Compile(path)
	if err != nil {
		return nil, fmt.Errorf("compile schema %s: %w", filepath.Base(path), err)
	}
	return &Schema{name: filepath.Base(path), schema: s}, nil
}

// Check reports in what a JSON document differs from the schema.
func (s *Schema) Check(document []byte) error {
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(document))
	if err != nil {
		return fmt.Errorf("%s: not JSON: %w", s.name, err)
	}
	if err := s.schema.Validate(v); err != nil {
		return wrap(s.name, short(err))
	}
	return nil
}
