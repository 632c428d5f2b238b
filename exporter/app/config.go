package app

import (
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/common/config"
	"github.com/prometheus/common/model"

	"github.com/portent-dev/portent/internal/alertpush"
	"github.com/portent-dev/portent/internal/detect"
	"github.com/portent-dev/portent/internal/ingest/federate"
	"github.com/portent-dev/portent/internal/ingest/promquery"
	"github.com/portent-dev/portent/internal/ingest/remotewrite"
	"github.com/portent-dev/portent/internal/preset"
	"github.com/portent-dev/portent/internal/web"
)

// Config is the exporter's configuration file. Start from Default: the zero value is not useful.
type Config struct {
	RemoteWrite remotewrite.Config `yaml:"remote_write"`
	PromQL      promquery.Config   `yaml:"promql"`
	Federate    federate.Config    `yaml:"federate"`
	Detection   Detection          `yaml:"detection"`
	Export      Export             `yaml:"export"`
	ScoreWriter ScoreWriter        `yaml:"score_writer"`
	API         API                `yaml:"api"`
	Feedback    Feedback           `yaml:"feedback"`
	Maintenance Maintenance        `yaml:"maintenance"`
	Rollouts    Rollouts           `yaml:"rollouts"`
	Analysis    Analysis           `yaml:"analysis"`
	Logs        Logs               `yaml:"logs"`
	Alerting    alertpush.Config   `yaml:"alerting"`
	State       State              `yaml:"state"`
	Backfill    Backfill           `yaml:"backfill"`
}

// Detection says how samples are judged, and which.
type Detection struct {
	Detector        string             `yaml:"detector"`
	Sensitivity     detect.Sensitivity `yaml:"sensitivity"`
	MaxSeries       int                `yaml:"max_series"`
	ExpireAfter     model.Duration     `yaml:"expire_after"`
	StaleAfter      model.Duration     `yaml:"stale_after"`
	FutureTolerance model.Duration     `yaml:"future_tolerance"`
	TimeZone        string             `yaml:"time_zone"`
	Keep            []string           `yaml:"keep"`
	Drop            []string           `yaml:"drop"`
	// Presets, PresetFiles and Patterns say what is known of kinds of series; the later ones win.
	Presets     []string            `yaml:"presets"`
	PresetFiles []string            `yaml:"preset_files"`
	AskPresets  bool                `yaml:"ask_presets"` // the first server under promql is asked the queries of presets too
	Groups      map[string][]string `yaml:"groups"`      // of patterns: labels by which series belong together
	Patterns    []preset.Entry      `yaml:"patterns"`

	files []preset.Preset // of PresetFiles
}

// Export says what /metrics publishes.
type Export struct {
	MaxSeries int      `yaml:"max_series"`
	Outputs   []Output `yaml:"outputs"`
}

// State says where the models are kept over a restart. An empty directory means nowhere.
type State struct {
	Directory        string         `yaml:"directory"`
	SnapshotInterval model.Duration `yaml:"snapshot_interval"`
}

// Backfill says where the models learn from at the start. An empty URL means that they learn from live samples alone.
type Backfill struct {
	URL       string         `yaml:"url"`
	Window    model.Duration `yaml:"window"`
	Queries   bool           `yaml:"queries"`
	Step      model.Duration `yaml:"step"`
	Selectors []string       `yaml:"selectors"`
	// ExternalLabels are those that Prometheus adds when it sends. Nil asks it for them.
	ExternalLabels map[string]string       `yaml:"external_labels"`
	Chunk          model.Duration          `yaml:"chunk"`
	Timeout        model.Duration          `yaml:"timeout"`
	GiveUp         model.Duration          `yaml:"give_up_after"`
	HTTPClient     config.HTTPClientConfig `yaml:"http_client"`
}

// Default returns the configuration that holds without a file: remote write in, scores out.
func Default() Config {
	return Config{
		RemoteWrite: remotewrite.DefaultConfig(),
		Detection: Detection{
			Detector:        detect.DefaultDetector,
			Sensitivity:     detect.Medium,
			MaxSeries:       detect.DefaultMaxSeries,
			ExpireAfter:     model.Duration(detect.DefaultExpireAfter),
			StaleAfter:      model.Duration(detect.DefaultStaleAfter),
			FutureTolerance: model.Duration(detect.DefaultFutureTolerance),
			TimeZone:        "UTC",
			Keep:            []string{},
			// Each bucket of a classic histogram is a series of its own that says what its neighbours say: ten times the cost
			// for nothing that _count and _sum do not show.
			Drop:        []string{`{le!=""}`},
			Presets:     []string{allPresets},
			PresetFiles: []string{},
			Groups:      map[string][]string{},
			Patterns:    []preset.Entry{},
		},
		Export: Export{
			// 20,000 series make 80,000 lines in a scrape, which Prometheus takes in well under a second.
			MaxSeries: 20_000,
			Outputs:   []Output{OutputScore, OutputExpected, OutputLower, OutputUpper},
		},
		ScoreWriter: defaultScoreWriter(),
		Feedback:    defaultFeedback(),
		Maintenance: defaultMaintenance(),
		Rollouts:    defaultRollouts(),
		Analysis:    DefaultAnalysis(),
		Logs:        defaultLogs(),
		Alerting:    alertpush.DefaultConfig(),
		State:       State{Directory: "data/exporter", SnapshotInterval: model.Duration(5 * time.Minute)},
		Backfill: Backfill{
			Window:     model.Duration(24 * time.Hour),
			Queries:    true,
			Selectors:  []string{`{__name__!=""}`},
			Chunk:      model.Duration(30 * time.Minute),
			Timeout:    model.Duration(time.Minute),
			GiveUp:     model.Duration(5 * time.Minute),
			HTTPClient: config.DefaultHTTPClientConfig,
		},
	}
}

// Load reads the file at path over the defaults and checks all of it. An empty path gives the defaults. Relative paths in
// http_client and of analysis.actions_file are taken from the directory that the file is in, as Prometheus does.
func Load(path string) (Config, error) {
	c := Default()
	if path == "" {
		return c, nil
	}
	if err := web.LoadYAML(path, &c); err != nil {
		return Config{}, err
	}
	c.PromQL.SetDirectory(filepath.Dir(path))
	c.Federate.SetDirectory(filepath.Dir(path))
	c.Backfill.HTTPClient.SetDirectory(filepath.Dir(path))
	c.ScoreWriter.HTTPClient.SetDirectory(filepath.Dir(path))
	c.Analysis.setDirectory(filepath.Dir(path))
	if err := c.Detection.readPresets(filepath.Dir(path)); err != nil {
		return Config{}, fmt.Errorf("%s: %w", path, err)
	}
	if _, err := c.Detection.set(); err != nil {
		return Config{}, fmt.Errorf("%s: detection: %w", path, err)
	}
	c.Logs.setDirectory(filepath.Dir(path))
	c.Alerting.SetDirectory(filepath.Dir(path))
	if _, err := c.Logs.rules(); err != nil {
		return Config{}, fmt.Errorf("%s: logs.rules_file: %w", path, err)
	}
	c.API.setDirectory(filepath.Dir(path))
	if _, err := c.Analysis.actions(); err != nil {
		return Config{}, fmt.Errorf("%s: analysis.%w", path, err)
	}
	return c, nil
}

// Validate reports everything that is wrong, with the key of each.
func (c *Config) Validate() error {
	return errors.Join(
		web.Invalid("remote_write", keyed(c.RemoteWrite.Validate())),
		web.Invalid("promql", keyed(c.PromQL.Validate())),
		web.Invalid("federate", keyed(c.Federate.Validate())),
		web.Invalid("detection", c.Detection.validate()),
		web.Invalid("export", c.Export.validate()),
		web.Invalid("score_writer", c.ScoreWriter.validate()),
		web.Invalid("api", c.API.validate()),
		web.Invalid("feedback", c.Feedback.validate()),
		web.Invalid("maintenance", c.Maintenance.validate()),
		web.Invalid("rollouts", c.Rollouts.validate()),
		web.Invalid("analysis", c.Analysis.validate()),
		web.Invalid("logs", c.Logs.validate()),
		web.Invalid("alerting", keyed(c.Alerting.Validate())),
		web.Invalid("state", c.State.validate()),
		web.Invalid("backfill", c.Backfill.validate()),
	)
}

// leadingKey is how the packages that know no YAML file begin their errors: servers[0].queries[1].name: …
var leadingKey = regexp.MustCompile(`^([a-z_]+(?:\[\d+\])?(?:\.[a-z_]+(?:\[\d+\])?)*): `)

// keyed makes errors that begin with a key into ones that web gives a line.
func keyed(err error) error {
	if err == nil {
		return nil
	}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		var out []error
		for _, e := range joined.Unwrap() {
			out = append(out, keyed(e))
		}
		return errors.Join(out...)
	}
	m := leadingKey.FindStringSubmatch(err.Error())
	if m == nil {
		return err
	}
	return web.Invalid(m[1], errors.New(strings.TrimPrefix(err.Error(), m[0])))
}

func (d *Detection) validate() error {
	var errs []error
	check := func(ok bool, key, format string, args ...any) {
		if !ok {
			errs = append(errs, web.Invalid(key, fmt.Errorf(format, args...)))
		}
	}
	_, err := detect.Lookup(d.Detector)
	errs = append(errs, web.Invalid("detector", err))
	_, err = d.Sensitivity.Period()
	errs = append(errs, web.Invalid("sensitivity", err))
	check(d.MaxSeries > 0, "max_series", "must be above 0, is %d", d.MaxSeries)
	check(d.StaleAfter > 0, "stale_after", "must be above 0s")
	check(d.FutureTolerance > 0, "future_tolerance", "must be above 0s")
	check(d.ExpireAfter >= d.StaleAfter, "expire_after", "must not be below stale_after (%s), is %s", d.StaleAfter, d.ExpireAfter)
	if _, err := time.LoadLocation(d.TimeZone); err != nil {
		errs = append(errs, web.Invalid("time_zone", fmt.Errorf("%q is no zone of the IANA database such as Europe/Berlin", d.TimeZone)))
	}
	_, err = newSelection(d.Keep, d.Drop)
	return errors.Join(append(errs, err, d.validatePatterns())...)
}

// modelled returns d without what can change under a running engine.
func (d Detection) modelled() Detection {
	d.Keep, d.Drop = nil, nil
	return d
}

// engine returns the options of the engine. The configuration is valid.
func (d *Detection) engine() (detect.Options, error) {
	loc, err := time.LoadLocation(d.TimeZone)
	if err != nil {
		return detect.Options{}, fmt.Errorf("time zone: %w", err)
	}
	set, err := d.set()
	if err != nil {
		return detect.Options{}, err
	}
	return detect.Options{
		Classes: set.Classes(), Classify: set.Classify,
		Detector: d.Detector, Sensitivity: d.Sensitivity, MaxSeries: d.MaxSeries, Location: loc,
		ExpireAfter: time.Duration(d.ExpireAfter), StaleAfter: time.Duration(d.StaleAfter), FutureTolerance: time.Duration(d.FutureTolerance),
	}, nil
}

func (e *Export) validate() error {
	var errs []error
	if e.MaxSeries < 0 {
		errs = append(errs, web.Invalid("max_series", fmt.Errorf("must not be below 0, is %d", e.MaxSeries)))
	}
	for i, o := range e.Outputs {
		if !slices.ContainsFunc(families[:], func(f family) bool { return f.output == o }) {
			errs = append(errs, web.Invalid(fmt.Sprintf("outputs[%d]", i), fmt.Errorf("unknown output %q: want one of %q", o, outputs())))
		} else if slices.Contains(e.Outputs[:i], o) {
			errs = append(errs, web.Invalid(fmt.Sprintf("outputs[%d]", i), fmt.Errorf("%q is given twice", o)))
		}
	}
	return errors.Join(errs...)
}

// families returns the rows of the table that are to be published.
func (e *Export) families() []family {
	var out []family
	for _, f := range families {
		if slices.Contains(e.Outputs, f.output) {
			out = append(out, f)
		}
	}
	return out
}

func outputs() []Output {
	var out []Output
	for _, f := range families {
		out = append(out, f.output)
	}
	return out
}

// minSnapshotInterval keeps a mistyped unit from writing to the disk all the time.
const minSnapshotInterval = 10 * time.Second

func (s *State) validate() error {
	var errs []error
	if time.Duration(s.SnapshotInterval) < minSnapshotInterval {
		errs = append(errs, web.Invalid("snapshot_interval", fmt.Errorf("must be at least %s, is %s", minSnapshotInterval, s.SnapshotInterval)))
	}
	if s.Directory != "" {
		errs = append(errs, web.Invalid("directory", writable(s.Directory)))
	}
	return errors.Join(errs...)
}

func (b *Backfill) validate() error {
	var errs []error
	check := func(ok bool, key, message string) {
		if !ok {
			errs = append(errs, web.Invalid(key, errors.New(message)))
		}
	}
	if b.URL != "" {
		u, err := url.Parse(b.URL)
		check(err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != "", "url", "must be an address such as http://localhost:9090")
	}
	check(b.Window > 0, "window", "must be above 0s")
	check(b.Chunk > 0, "chunk", "must be above 0s")
	check(b.Timeout > 0, "timeout", "must be above 0s")
	check(b.GiveUp > 0, "give_up_after", "must be above 0s")
	check(len(b.Selectors) > 0, "selectors", "must hold at least one")
	for name := range b.ExternalLabels {
		check(model.UTF8Validation.IsValidLabelName(name) && name != model.MetricNameLabel, "external_labels."+name, "cannot be an external label")
	}
	for i, s := range b.Selectors {
		_, err := parseSelector(s)
		errs = append(errs, web.Invalid(fmt.Sprintf("selectors[%d]", i), err))
	}
	return errors.Join(append(errs, web.Invalid("http_client", b.HTTPClient.Validate()))...)
}
