// Package patternrules is what users say about log patterns, in one file: pins, names,
// merges and what to ignore, each by the pattern's id. It wins over mining.
//
//	patterns:
//	  - id: 3f1c9a0b77e2        # as /api/v1/patterns and `portent patterns` show it
//	    template: disk <*> is full   # or in place of the id; with both, they must belong together
//	    name: disk-full         # shown beside the id, and in log_pattern_info
//	    pin: true               # keep this template as it is: see logmine.Miner.SetPins
//	    merge: [aa01…, bb02…]   # counted as this pattern
//	    ignore: true            # counted as ignored, never told
//
// A rule whose pattern grew more general since goes with it, where the file gives the
// template or a history knows it. The package is pure; it must not know where the file
// is.
package patternrules

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/portent-dev/portent/internal/logmine"
)

// File is the document. The zero value says nothing.
type File struct {
	Patterns []Rule `yaml:"patterns"`
}

// Rule is about one pattern.
type Rule struct {
	ID       string   `yaml:"id"`
	Template string   `yaml:"template"`
	Name     string   `yaml:"name"`
	Pin      bool     `yaml:"pin"`
	Ignore   bool     `yaml:"ignore"`
	Merge    []string `yaml:"merge"`
}

// Bounds of a file.
const (
	maxRules    = 2000
	maxPins     = 500
	maxTemplate = 4 << 10
)

var (
	validID   = regexp.MustCompile(`^[0-9a-f]{12}$`)
	validName = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9._-]{0,63}$`)
)

// Validate reports everything that is wrong, each error beginning with its key.
func (f *File) Validate() error {
	var errs []error
	bad := func(i int, key, format string, args ...any) {
		errs = append(errs, fmt.Errorf("patterns[%d].%s: %s", i, key, fmt.Sprintf(format, args...)))
	}
	owner, names := map[string]int{}, map[string]int{}
	pins := 0
	claim := func(i int, key, id string) {
		if !validID.MatchString(id) {
			bad(i, key, "%q is no id: want 12 hex digits", cut(id))
		} else if j, taken := owner[id]; taken {
			bad(i, key, "%s is in patterns[%d] already", id, j)
		}
		owner[id] = i
	}
	for i := range f.Patterns {
		r := &f.Patterns[i]
		switch {
		case r.ID == "" && r.Template == "":
			bad(i, "id", "is missing, and so is template")
		case len(r.Template) > maxTemplate:
			bad(i, "template", "has %d bytes, more than %d", len(r.Template), maxTemplate)
		case r.ID != "" && r.Template != "" && logmine.IDOf(r.Template) != r.ID:
			bad(i, "template", "has the id %s, not %s", logmine.IDOf(r.Template), cut(r.ID))
		case r.Template != strings.TrimSpace(r.Template):
			bad(i, "template", "begins or ends with a blank")
		default:
			claim(i, "id", r.id())
		}
		for k, id := range r.Merge {
			claim(i, fmt.Sprintf("merge[%d]", k), id)
		}
		if r.Name != "" {
			if !validName.MatchString(r.Name) {
				bad(i, "name", "%q must be letters, digits, . _ and -, at most 64", cut(r.Name))
			} else if j, taken := names[r.Name]; taken {
				bad(i, "name", "%q is the name of patterns[%d] already", r.Name, j)
			}
			names[r.Name] = i
		}
		if r.Pin {
			if pins++; pins == maxPins+1 {
				bad(i, "pin", "there are more than %d pins", maxPins)
			}
			if r.Template == "" {
				bad(i, "pin", "needs the template, which says what is to stay")
			} else if logmine.Words(r.Template) == 0 {
				bad(i, "pin", "%q says no word: it would take every line", cut(r.Template))
			}
		}
		if r.Name == "" && !r.Pin && !r.Ignore && len(r.Merge) == 0 {
			bad(i, "id", "the rule says nothing: want one of name, pin, merge, ignore")
		}
	}
	if len(f.Patterns) > maxRules {
		errs = append(errs, fmt.Errorf("patterns: there are %d rules, more than %d", len(f.Patterns), maxRules))
	}
	return errors.Join(errs...)
}

func (r *Rule) id() string {
	if r.ID != "" {
		return r.ID
	}
	return logmine.IDOf(r.Template)
}

func cut(s string) string {
	if len(s) > 60 {
		return s[:60] + "…"
	}
	return s
}

// Pins returns the templates to pin.
func (f *File) Pins() []string {
	var out []string
	for i := range f.Patterns {
		if f.Patterns[i].Pin {
			out = append(out, f.Patterns[i].Template)
		}
	}
	return out
}

// Rules applies a file. It is not safe for concurrent use.
type Rules struct {
	rules []Rule
	byID  map[string]int // index of rules, by the ids that it is about
	hits  []int64        // patterns that each rule met in the last Apply… calls
}

// New makes Rules of a valid file.
func New(f File) *Rules {
	r := &Rules{rules: slices.Clone(f.Patterns), byID: map[string]int{}, hits: make([]int64, len(f.Patterns))}
	for i := range r.rules {
		r.byID[r.rules[i].id()] = i
		for _, id := range r.rules[i].Merge {
			r.byID[id] = i
		}
	}
	return r
}

// Pattern is a mined pattern and what users say of it.
type Pattern struct {
	logmine.Pattern
	Name   string
	Merged []string // ids of mined patterns that were counted here, besides its own
}

// Result is the patterns of a stream after the rules. The lines of a stream are the sum
// of all Patterns' counts and Ignored, as they were the sum of those given.
type Result struct {
	Patterns []Pattern
	Ignored  int64 // lines
}

// Apply applies the rules to the patterns of one stream. aliases returns the other ids
// that a pattern had in its history; it may be nil. The order is kept.
func (r *Rules) Apply(patterns []logmine.Pattern, aliases func(id string) []string) Result {
	out := Result{Patterns: make([]Pattern, 0, len(patterns))}
	at := map[int]int{} // rule to index of out.Patterns
	for i := range patterns {
		p := &patterns[i]
		k, ok := r.find(p, aliases)
		if !ok {
			out.Patterns = append(out.Patterns, Pattern{Pattern: *p})
			continue
		}
		r.hits[k]++
		rule := &r.rules[k]
		if rule.Ignore {
			out.Ignored += p.Count
			continue
		}
		if j, there := at[k]; there {
			out.Patterns[j].add(p, rule)
			continue
		}
		at[k] = len(out.Patterns)
		out.Patterns = append(out.Patterns, Pattern{Pattern: *p, Name: rule.Name})
	}
	for k, j := range at { // what was merged has the rule's own id
		p := &out.Patterns[j]
		if rule := &r.rules[k]; len(rule.Merge) > 0 && p.ID != rule.id() {
			p.Merged = append(p.Merged, p.ID)
			p.ID = rule.id()
			if rule.Template != "" {
				p.Template = rule.Template
			}
		}
	}
	return out
}

func (p *Pattern) add(q *logmine.Pattern, rule *Rule) {
	if q.ID == rule.id() { // its own text stands
		p.Merged = append(p.Merged, p.ID)
		p.ID, p.Template, p.Example, p.Kinds = q.ID, q.Template, q.Example, q.Kinds
	} else {
		p.Merged = append(p.Merged, q.ID)
	}
	p.Pattern = p.Pattern.Plus(q)
}

// find returns the rule of a pattern: by its id, by an id that it had, or by the
// template of a rule that it grew out of.
func (r *Rules) find(p *logmine.Pattern, aliases func(string) []string) (int, bool) {
	if k, ok := r.byID[p.ID]; ok {
		return k, true
	}
	if aliases != nil {
		for _, id := range aliases(p.ID) {
			if k, ok := r.byID[id]; ok {
				return k, true
			}
		}
	}
	for k := range r.rules {
		// A pinned template stays as it is: a more general pattern is another one.
		if t := r.rules[k].Template; t != "" && !r.rules[k].Pin && logmine.Covers(p.Template, t) && logmine.Words(p.Template) > 1 {
			return k, true
		}
	}
	return 0, false
}

// Unmatched returns the ids of the rules that met no pattern since the last call.
func (r *Rules) Unmatched() []string {
	var out []string
	for i := range r.rules {
		if r.hits[i] == 0 {
			out = append(out, r.rules[i].id())
		}
		r.hits[i] = 0
	}
	return out
}

// Rule returns the rule about an id.
func (r *Rules) Rule(id string) (Rule, bool) {
	k, ok := r.byID[id]
	if !ok {
		return Rule{}, false
	}
	return r.rules[k], true
}
