package prompt

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"reflect"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v3"
)

// A Case is a question to a model, and what its answer must hold.
type Case struct {
	Name string `yaml:"name"`
	// Data fills the prompt in.
	Data   map[string]any `yaml:"data"`
	Expect []Expectation  `yaml:"expect"`
	// Answer is one that passes: the judge is tested by it.
	Answer string `yaml:"answer"`
}

// An Expectation is about one field of the answer, or about all of it where Field is empty.
type Expectation struct {
	Field    string `yaml:"field"`
	Is       any    `yaml:"is"`
	Contains string `yaml:"contains"`
	Not      string `yaml:"not"`
	Matches  string `yaml:"matches"`
}

// Cases returns the judged cases of the prompt, none where it has no file of them.
func (t Template) Cases() ([]Case, error) {
	file := "prompts/" + t.Name + "/cases.yml"
	text, err := files.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	d := yaml.NewDecoder(strings.NewReader(string(text)))
	d.KnownFields(true)
	var cases []Case
	if err := d.Decode(&cases); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return cases, nil
}

// Judge returns what is wrong with an answer; nothing when it will do.
func (c Case) Judge(answer string) []string {
	var fields map[string]any
	if err := json.Unmarshal([]byte(answer), &fields); err != nil {
		return []string{"the answer is no JSON object: " + err.Error()}
	}
	var faults []string
	for _, e := range c.Expect {
		if fault := e.check(fields, answer); fault != "" {
			faults = append(faults, fault)
		}
	}
	return faults
}

func (e Expectation) check(fields map[string]any, answer string) string {
	var value any = answer
	if e.Field != "" {
		value = fields[e.Field]
	}
	text := fmt.Sprint(value)
	switch {
	case e.Is != nil && !reflect.DeepEqual(value, e.Is):
		return fmt.Sprintf("%s is %q, want %q", e.Field, text, fmt.Sprint(e.Is))
	case e.Contains != "" && !strings.Contains(text, e.Contains):
		return fmt.Sprintf("%s is %q, want %q in it", e.Field, text, e.Contains)
	case e.Not != "" && strings.Contains(text, e.Not):
		return fmt.Sprintf("%s is %q, want it without %q", e.Field, text, e.Not)
	case e.Matches != "":
		re, err := regexp.Compile(e.Matches)
		if err != nil {
			return fmt.Sprintf("matches %q: %s", e.Matches, err)
		}
		if !re.MatchString(text) {
			return fmt.Sprintf("%s is %q, want it to match %s", e.Field, text, e.Matches)
		}
	}
	return ""
}
