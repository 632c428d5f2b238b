// Package prompt is the registry of what models are asked: versioned files, with
// judged cases beside them. A prompt is changed by adding a version, never by editing one
// that was released, so that an audit record names exactly what was asked.
//
// Every value that goes into a prompt is written as JSON: text of strangers cannot leave
// its quotes.
package prompt

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
	"text/template"

	"go.yaml.in/yaml/v3"

	"github.com/portent-dev/portent/internal/llm"
)

//go:embed prompts
var files embed.FS

// A Template is one version of a prompt.
type Template struct {
	Name    string
	Version int
	About   string
	// Hash is the first 12 hex digits of the SHA-256 of its file.
	Hash string
	// Text is the file as it is.
	Text string
	// Schema of the answer, nil for plain text.
	Schema json.RawMessage

	system, user *template.Template
}

// All returns every version of every prompt, by name and version.
func All() ([]Template, error) {
	paths, err := fs.Glob(files, "prompts/*/*.md")
	if err != nil {
		return nil, err
	}
	out := make([]Template, 0, len(paths))
	for _, p := range paths {
		t, err := load(p)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", p, err)
		}
		out = append(out, t)
	}
	slices.SortFunc(out, func(a, b Template) int {
		return cmp.Or(strings.Compare(a.Name, b.Name), cmp.Compare(a.Version, b.Version))
	})
	return out, nil
}

// Get returns a version of a prompt; version 0 is the newest.
func Get(name string, version int) (Template, error) {
	all, err := All()
	if err != nil {
		return Template{}, err
	}
	known := []string{}
	for _, t := range slices.Backward(all) {
		if t.Name == name && (version == 0 || t.Version == version) {
			return t, nil
		}
		known = append(known, fmt.Sprintf("%s@%d", t.Name, t.Version))
	}
	slices.Sort(known)
	if version != 0 {
		name = fmt.Sprintf("%s@%d", name, version)
	}
	return Template{}, fmt.Errorf("no prompt %q; there are %s", name, strings.Join(known, ", "))
}

// load reads a file: YAML between two lines of ---, then ## System and ## User.
func load(file string) (Template, error) {
	text, err := files.ReadFile(file)
	if err != nil {
		return Template{}, err
	}
	sum := sha256.Sum256(text)
	t := Template{Name: path.Base(path.Dir(file)), Text: string(text), Hash: hex.EncodeToString(sum[:6])}
	if t.Version, err = strconv.Atoi(strings.TrimSuffix(path.Base(file), ".md")); err != nil || t.Version < 1 {
		return Template{}, errors.New("want NUMBER.md")
	}
	head, body, ok := strings.Cut(strings.TrimPrefix(t.Text, "---\n"), "\n---\n")
	if !ok {
		return Template{}, errors.New("want a head of YAML between two lines of ---")
	}
	var fields struct {
		About  string         `yaml:"about"`
		Schema map[string]any `yaml:"schema"`
	}
	d := yaml.NewDecoder(strings.NewReader(head))
	d.KnownFields(true)
	if err := d.Decode(&fields); err != nil {
		return Template{}, err
	}
	t.About = fields.About
	if fields.Schema != nil {
		if t.Schema, err = json.Marshal(fields.Schema); err != nil {
			return Template{}, err
		}
	}
	system, user, ok := strings.Cut(body, "\n## User\n")
	if _, system, ok2 := strings.Cut(system, "## System\n"); ok && ok2 {
		if t.system, err = parse(system); err == nil {
			t.user, err = parse(user)
		}
		return t, err
	}
	return Template{}, errors.New("want ## System and ## User")
}

func parse(text string) (*template.Template, error) {
	return template.New("prompt").Option("missingkey=zero").Funcs(template.FuncMap{"json": quote}).Parse(strings.TrimSpace(text))
}

// quote writes a value as JSON on one line.
func quote(v any) (string, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false) // < and > are no danger here, and cost tokens
	err := e.Encode(v)
	return strings.TrimSuffix(b.String(), "\n"), err
}

// Render fills the prompt in. data is a map or a struct with the fields that the file names.
func (t Template) Render(data any) (llm.Prompt, error) {
	p := llm.Prompt{Name: t.Name, Version: t.Version, Schema: t.Schema}
	for _, part := range []struct {
		of *template.Template
		to *string
	}{{t.system, &p.System}, {t.user, &p.User}} {
		var b strings.Builder
		if err := part.of.Execute(&b, data); err != nil {
			return llm.Prompt{}, fmt.Errorf("prompt %s@%d: %w", t.Name, t.Version, err)
		}
		*part.to = strings.TrimSpace(b.String())
	}
	return p, nil
}
