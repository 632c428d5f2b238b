package app

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"go.yaml.in/yaml/v3"

	"github.com/portent-dev/portent/internal/ingest"
	"github.com/portent-dev/portent/internal/ingest/promquery"
	"github.com/portent-dev/portent/internal/preset"
	"github.com/portent-dev/portent/internal/web"
)

// allPresets in detection.presets stands for all that come with the program.
const allPresets = "all"

// configuredPreset names what detection.patterns make.
const configuredPreset = "configuration"

// readPresets reads preset_files, whose relative paths start at dir. Their content is part of the configuration: a reload
// takes a change of theirs for one of its own.
func (d *Detection) readPresets(dir string) error {
	d.files = nil
	for i, path := range d.PresetFiles {
		if !filepath.IsAbs(path) {
			path = filepath.Join(dir, path)
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return fmt.Errorf("detection.preset_files[%d]: %w", i, err)
		}
		p, err := preset.Parse(path, content)
		if err != nil {
			return fmt.Errorf("detection.preset_files[%d]: %w", i, err)
		}
		d.files = append(d.files, p)
	}
	return nil
}

// set returns what is known of the kinds of series: the presets, then the files, then the patterns of the configuration, of
// which the later ones win.
func (d *Detection) set() (*preset.Set, error) {
	names := slices.Clone(d.Presets)
	if slices.Contains(names, allPresets) {
		names = preset.Names()
	}
	for i, name := range names {
		names[i] = presetName(name)
	}
	all, err := preset.Builtin(names...)
	if err != nil {
		return nil, err
	}
	all = append(all, d.files...)
	if len(d.Patterns) > 0 {
		all = append(all, preset.Preset{Name: configuredPreset, Groups: d.Groups, Entries: d.Patterns})
	}
	return preset.New(all)
}

// patternError is how package preset names an entry: entries[3] (name): key: …
var patternError = regexp.MustCompile(`^entries\[(\d+)\] \([^)]*\): (?:([a-z_.]+)(, [a-z_, ]+)?: )?`)

// validatePatterns checks presets, patterns and groups.
func (d *Detection) validatePatterns() error {
	var errs []error
	for i, name := range d.Presets {
		if name == allPresets {
			continue
		}
		if _, err := preset.Builtin(presetName(name)); err != nil {
			errs = append(errs, web.Invalid(fmt.Sprintf("presets[%d]", i), err))
		}
	}
	if len(d.Patterns) > 0 {
		// Package preset checks what it reads, so that it is to read this as well.
		text, err := yaml.Marshal(preset.Preset{Name: configuredPreset, Groups: d.Groups, Entries: d.Patterns})
		if err == nil {
			_, err = preset.Parse(configuredPreset, text)
		}
		errs = append(errs, patternErrors(err))
	} else if len(d.Groups) > 0 {
		errs = append(errs, web.Invalid("groups", errors.New("no pattern is in any of them: want patterns with `in`")))
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	_, err := d.set()
	return web.Invalid("patterns", err)
}

// patternErrors gives the errors of package preset the keys of the configuration.
func patternErrors(err error) error {
	if err == nil {
		return nil
	}
	for {
		if joined, ok := err.(interface{ Unwrap() []error }); ok {
			var out []error
			for _, e := range joined.Unwrap() {
				out = append(out, patternErrors(e))
			}
			return errors.Join(out...)
		}
		if patternError.MatchString(err.Error()) {
			break
		}
		next := errors.Unwrap(err)
		if next == nil {
			return web.Invalid("patterns", err)
		}
		err = next
	}
	m := patternError.FindStringSubmatch(err.Error())
	// Class.Validate joins its errors into lines of one.
	var out []error
	for i, line := range strings.Split(strings.TrimPrefix(err.Error(), m[0]), "\n") {
		key := m[2]
		if i > 0 {
			first, rest, _ := strings.Cut(line, ": ")
			key, line = strings.Split(first, ",")[0], rest
		}
		key = strings.TrimSuffix("patterns["+m[1]+"]."+key, ".")
		out = append(out, web.Invalid(key, errors.New(line)))
	}
	return errors.Join(out...)
}

// ignored says what presets think not worth a model. It is safe for concurrent use.
type ignored struct {
	set       *preset.Set
	selectors [][]*labels.Matcher // of the entries that say so
	byName    sync.Map            // of metric names to bool: whether one of the selectors can take such a name
	names     atomic.Int64
}

// mostNames bounds how many metric names are remembered; further ones are looked at again each time.
const mostNames = 100_000

// newIgnored returns what is not worth a model: what files and patterns say, and, where the queries of the presets are asked, what
// those make superfluous. Without the queries that would leave the processors unwatched.
func newIgnored(c *Config) (*ignored, error) {
	d := c.Detection
	if !d.AskPresets || len(c.PromQL.Servers) == 0 {
		d.Presets = nil
	}
	set, err := d.set()
	if err != nil {
		return nil, fmt.Errorf("detection: %w", err)
	}
	g := &ignored{set: set}
	for class := range set.Classes() {
		e, ok := set.Entry(class)
		if !ok || e.As != preset.Ignore {
			continue
		}
		m, err := parseSelector(e.Match)
		if err != nil {
			return nil, fmt.Errorf("preset entry %s: %w", e.Name, err)
		}
		g.selectors = append(g.selectors, m)
	}
	return g, nil
}

// takes reports whether a series is not worth a model. It is asked for each series of each request, so that most are let pass
// by their name alone.
func (g *ignored) takes(ls []ingest.Label) bool {
	if g == nil || len(g.selectors) == 0 {
		return false
	}
	name := metricNameOf(ls)
	known, ok := g.byName.Load(name)
	if !ok {
		known = slices.ContainsFunc(g.selectors, func(sel []*labels.Matcher) bool { return nameFits(sel, name) })
		if g.names.Add(1) <= mostNames {
			g.byName.Store(strings.Clone(name), known)
		}
	}
	return known.(bool) && g.set.Ignores(ls) //nolint:forcetypeassert // ours
}

func nameFits(sel []*labels.Matcher, name string) bool {
	for _, m := range sel {
		if m.Name == model.MetricNameLabel && !m.Matches(name) {
			return false
		}
	}
	return true
}

// presetName lets people write kube-state-metrics as its project does.
func presetName(name string) string { return strings.ReplaceAll(name, "-", "_") }

// queries returns the queries to ask: with detection.ask_presets, the first server is asked those of the presets too, but for
// names that are taken.
func (c *Config) queries() (promquery.Config, error) {
	if !c.Detection.AskPresets || len(c.PromQL.Servers) == 0 {
		return c.PromQL, nil
	}
	set, err := c.Detection.set()
	if err != nil {
		return c.PromQL, err
	}
	taken := map[string]bool{}
	for _, s := range c.PromQL.Servers {
		for _, q := range s.Queries {
			taken[q.Name] = true
		}
	}
	out := promquery.Config{Servers: slices.Clone(c.PromQL.Servers)}
	first := &out.Servers[0]
	first.Queries = slices.Clone(first.Queries)
	for _, p := range set.Queries() {
		if taken[p.Name] {
			continue
		}
		q := promquery.DefaultQuery()
		q.Name, q.Expr, q.Kind = p.Name, p.Expr, promquery.KindGauge
		if p.Interval > 0 {
			q.Interval = model.Duration(p.Interval)
		}
		q.Timeout = min(model.Duration(30*time.Second), q.Interval)
		first.Queries = append(first.Queries, q)
	}
	return out, out.Validate()
}
