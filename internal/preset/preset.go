// Package preset says what the metrics of well-known exporters are: how they behave,
// which deviations matter, what belongs together, and what explains what. Presets
// are YAML files; those in builtin come with the program, users add and override.
//
// It must not know where series come from, nor who asks the queries: it turns files
// into detect.Class, group.Rule and PromQL text.
package preset

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/promql/parser"
	"go.yaml.in/yaml/v3"

	"github.com/portent-dev/portent/internal/detect"
)

// Preset is one file: what is known of one exporter.
type Preset struct {
	Name string `yaml:"name"`
	// About says of which program, and from which version on.
	About string `yaml:"about"`
	// Groups are sets of labels by which series belong together: the joint score is of
	// each such set. Presets that use the same name give it the same labels.
	Groups  map[string][]string `yaml:"groups,omitempty"`
	Entries []Entry             `yaml:"entries"`
}

// Entry is one kind of series: what a selector takes, or what a query returns.
type Entry struct {
	Name  string `yaml:"name"`
	Means string `yaml:"means"` // for people
	As    As     `yaml:"as"`
	// Match selects series as they are sent here, Query asks Prometheus for them; one
	// of the two is given.
	Match string `yaml:"match,omitempty"`
	Query string `yaml:"query,omitempty"`
	Unit  string `yaml:"unit,omitempty"`

	Direction     detect.Direction   `yaml:"direction,omitempty"`
	MinAbsolute   float64            `yaml:"min_absolute,omitempty"`
	MinRelative   float64            `yaml:"min_relative,omitempty"`
	Low           *float64           `yaml:"low,omitempty"`
	High          *float64           `yaml:"high,omitempty"`
	QuietAtBounds bool               `yaml:"quiet_at_bounds,omitempty"`
	Limit         *float64           `yaml:"limit,omitempty"`
	LimitOf       *LimitOf           `yaml:"limit_of,omitempty"` // goes before Limit where there is such a series
	Sensitivity   detect.Sensitivity `yaml:"sensitivity,omitempty"`
	Season        detect.Season      `yaml:"season,omitempty"`
	WarmUp        model.Duration     `yaml:"warm_up,omitempty"`
	Delay         model.Duration     `yaml:"delay,omitempty"`
	Interval      model.Duration     `yaml:"interval,omitempty"`
	Off           []string           `yaml:"off,omitempty"`
	Ends          detect.Ends        `yaml:"ends,omitempty"`

	In     []string `yaml:"in,omitempty"`    // names of Groups
	Peers  []string `yaml:"peers,omitempty"` // labels that siblings share
	Unless *Unless  `yaml:"unless,omitempty"`
}

// As says what the values are.
type As string

// The kinds of values.
const (
	Value    As = "value"    // as it is
	Rate     As = "rate"     // of a counter, per second
	Ratio    As = "ratio"    // a share, 0 to 1
	Quantile As = "quantile" // of a histogram
	Ignore   As = "ignore"   // not worth a model: constants, times of creation
)

// Unless names what explains a deviation of an entry.
type Unless struct {
	Match string   `yaml:"match"`
	On    []string `yaml:"on"` // labels that both have
	Means string   `yaml:"means"`
}

//go:embed builtin/*.yaml
var builtin embed.FS

// Names lists the presets that come with the program, sorted.
func Names() []string {
	files, err := builtin.ReadDir("builtin")
	if err != nil {
		panic("BUG: preset: " + err.Error())
	}
	var names []string
	for _, f := range files {
		names = append(names, strings.TrimSuffix(f.Name(), ".yaml"))
	}
	slices.Sort(names)
	return names
}

// Builtin returns the presets of these names. An unknown one is an error that lists
// the known ones.
func Builtin(names ...string) ([]Preset, error) {
	var all []Preset
	for _, name := range names {
		content, err := builtin.ReadFile("builtin/" + name + ".yaml")
		if err != nil {
			return nil, fmt.Errorf("unknown preset %q: want one of %s", name, strings.Join(Names(), ", "))
		}
		p, err := Parse(name+".yaml", content)
		if err != nil {
			return nil, err
		}
		all = append(all, p)
	}
	return all, nil
}

// Parse reads one file and checks it. Unknown keys are errors; each error names the
// entry and the key.
func Parse(file string, content []byte) (Preset, error) {
	var p Preset
	d := yaml.NewDecoder(bytes.NewReader(content))
	d.KnownFields(true)
	if err := d.Decode(&p); err != nil {
		if errors.Is(err, io.EOF) {
			err = errors.New("the file is empty: want name and entries")
		}
		return Preset{}, fmt.Errorf("%s: %w", file, err)
	}
	if err := p.validate(); err != nil {
		return Preset{}, fmt.Errorf("%s: %w", file, err)
	}
	return p, nil
}

func (p *Preset) validate() error {
	var errs []error
	if p.Name == "" {
		errs = append(errs, errors.New("name: want one"))
	}
	seen := map[string]bool{}
	for i := range p.Entries {
		e := &p.Entries[i]
		if seen[e.Name] {
			errs = append(errs, fmt.Errorf("entries[%d] (%s): the name is given twice", i, e.Name))
		}
		seen[e.Name] = true
		for _, err := range e.problems(p) {
			errs = append(errs, fmt.Errorf("entries[%d] (%s): %w", i, e.Name, err))
		}
	}
	return errors.Join(errs...)
}

// problems lists what is wrong with an entry.
func (e *Entry) problems(p *Preset) (errs []error) {
	fail := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if !model.LegacyValidation.IsValidMetricName(e.Name) {
		fail("name: %q is no name of a metric, such as node_cpu_busy", e.Name)
	}
	if (e.Match == "") == (e.Query == "") {
		fail("match, query: want one of the two")
	}
	switch e.As {
	case Value, Rate, Ignore:
	case Ratio, Quantile:
		if e.Query == "" {
			fail("as: %s is the result of a query, not of a series that is sent", e.As)
		}
	default:
		fail("as: unknown value %q: want one of %q", string(e.As), []As{Value, Rate, Ratio, Quantile, Ignore})
	}
	if e.Match != "" {
		if _, err := selector(e.Match); err != nil {
			fail("match: %w", err)
		}
	}
	if e.Query != "" {
		if _, err := parser.NewParser(parser.Options{}).ParseExpr(e.Query); err != nil {
			fail("query: %q is no PromQL: %w", e.Query, err)
		}
	}
	for _, name := range e.In {
		if len(p.Groups[name]) == 0 {
			fail("in: no group %q in groups, or one without labels", name)
		}
	}
	if u := e.Unless; u != nil {
		if _, err := selector(u.Match); err != nil {
			fail("unless.match: %w", err)
		}
		if len(u.On) == 0 || u.Means == "" {
			fail("unless: want labels to match on, and what it means")
		}
	}
	if e.LimitOf != nil {
		errs = append(errs, e.LimitOf.problems()...)
	}
	c := e.class()
	if err := c.Validate(); err != nil {
		errs = append(errs, err)
	}
	return errs
}

// class returns the settings of an entry.
func (e *Entry) class() detect.Class {
	c := detect.Class{
		Name: e.Name, Unit: e.Unit, Means: e.Means, Kind: e.kind(), Direction: e.Direction, MinAbsolute: e.MinAbsolute, MinRelative: e.MinRelative,
		Low: e.Low, High: e.High, QuietAtBounds: e.QuietAtBounds, Sensitivity: e.Sensitivity, Season: e.Season,
		Interval: time.Duration(e.Interval), Delay: time.Duration(e.Delay), WarmUp: time.Duration(e.WarmUp),
		Off: e.Off, Limit: e.Limit, Ends: e.Ends,
	}
	return c
}
