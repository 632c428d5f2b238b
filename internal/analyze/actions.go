package analyze

import (
	"bytes"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"

	"go.yaml.in/yaml/v3"
)

// DefaultActionsFile is the table that holds without another: the beginning of one's own.
//
//go:embed actions.yml
var DefaultActionsFile []byte

// Actions is the table of what to call a metric and what to do about it. Make it with
// ParseActions. It is read only, and safe for concurrent use.
type Actions struct{ rules []rule }

// rule is one entry of the table. A field left out allows anything.
type rule struct {
	Metric    string   `yaml:"metric"`    // regular expression for the whole name
	Types     []Type   `yaml:"types"`     // of analysis
	Direction string   `yaml:"direction"` // above or below
	Subject   string   `yaml:"subject"`   // what people call the metric
	Actions   []string `yaml:"actions"`

	name *regexp.Regexp
}

// maxActions is how many actions are suggested for one anomaly.
const maxActions = 5

// ParseActions reads a table: YAML, strict. It names what is wrong by line or entry.
func ParseActions(data []byte) (*Actions, error) {
	var file struct {
		Rules []rule `yaml:"rules"`
	}
	d := yaml.NewDecoder(bytes.NewReader(data))
	d.KnownFields(true)
	if err := d.Decode(&file); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	for i := range file.Rules {
		if err := file.Rules[i].check(); err != nil {
			return nil, fmt.Errorf("rules[%d]: %w", i, err)
		}
	}
	return &Actions{file.Rules}, nil
}

func (r *rule) check() (err error) {
	if r.name, err = regexp.Compile("^(?:" + r.Metric + ")$"); err != nil {
		return fmt.Errorf("metric: %w", err)
	}
	if r.Metric == "" {
		r.name = regexp.MustCompile("")
	}
	for _, t := range r.Types {
		if t == All || !slices.Contains(Types(), t) {
			return fmt.Errorf("types: %q is unknown: want some of %s", t, list(slices.DeleteFunc(Types(), func(t Type) bool { return t == All })))
		}
	}
	if r.Direction != "" && r.Direction != "above" && r.Direction != "below" {
		return fmt.Errorf("direction: %q: want above or below", r.Direction)
	}
	if r.Subject == "" && len(r.Actions) == 0 {
		return errors.New("neither subject nor actions: want at least one")
	}
	return nil
}

// subject returns what people call a metric, "" if no rule says it.
func (a *Actions) subject(metric string) string {
	for _, r := range a.rules {
		if r.Subject != "" && r.name.MatchString(metric) {
			return r.Subject
		}
	}
	return ""
}

// suggest returns the actions of the rules that fit, in their order, each once.
func (a *Actions) suggest(metric string, of Type, direction string) []string {
	out := []string{}
	for _, r := range a.rules {
		fits := r.name.MatchString(metric) && (len(r.Types) == 0 || slices.Contains(r.Types, of)) && (r.Direction == "" || r.Direction == direction)
		if !fits {
			continue
		}
		for _, action := range r.Actions {
			if len(out) < maxActions && !slices.Contains(out, action) {
				out = append(out, action)
			}
		}
	}
	return out
}
