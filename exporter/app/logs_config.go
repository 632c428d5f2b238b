package app

import (
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/common/model"

	"github.com/portent-dev/portent/internal/ingest/kafka"
	"github.com/portent-dev/portent/internal/ingest/linehttp"
	"github.com/portent-dev/portent/internal/ingest/lokitail"
	"github.com/portent-dev/portent/internal/logmine"
	"github.com/portent-dev/portent/internal/logwatch"
	"github.com/portent-dev/portent/internal/patternrules"
	"github.com/portent-dev/portent/internal/web"
)

// Logs says how log lines are taken and mined, and what is a finding.
type Logs struct {
	Intake      linehttp.Config `yaml:"intake"`
	GroupBy     []string        `yaml:"group_by"`
	MaxGroups   int             `yaml:"max_groups"`
	MaxPatterns int             `yaml:"max_patterns"`
	MaxSeries   int             `yaml:"max_series"`
	MaxScored   int             `yaml:"max_scored"`
	RulesFile   string          `yaml:"rules_file"`
	Learning    model.Duration  `yaml:"learning"`
	NewFor      model.Duration  `yaml:"new_for"`
	MinSeverity string          `yaml:"min_severity"`
	Baseline    model.Duration  `yaml:"baseline"`
	MaxFindings int             `yaml:"max_findings"`
	History     LogHistory      `yaml:"history"`
	Kafka       kafka.Config    `yaml:"kafka"`
	Loki        lokitail.Config `yaml:"loki"`
}

// LogHistory bounds what is remembered of patterns.
type LogHistory struct {
	Retention   model.Duration `yaml:"retention"`
	MaxPatterns int            `yaml:"max_patterns"`
	MaxBytes    int64          `yaml:"max_bytes"`
}

func defaultLogs() Logs {
	return Logs{
		Intake:  linehttp.DefaultConfig(),
		GroupBy: []string{"namespace", "app", "service_name", "job"},
		// A miner of 2,000 skeletons takes about 4 MiB when it is full.
		MaxGroups: 50, MaxPatterns: 2000, MaxSeries: 5000, MaxScored: 500,
		Learning: model.Duration(time.Hour), NewFor: model.Duration(time.Hour), MinSeverity: "warning",
		Baseline: model.Duration(3 * time.Hour), MaxFindings: 500,
		Kafka: kafka.DefaultConfig(), Loki: lokitail.DefaultConfig(),
		History: LogHistory{Retention: model.Duration(30 * 24 * time.Hour), MaxPatterns: 20_000, MaxBytes: 32 << 20},
	}
}

// watched returns the options of what watches the patterns. The configuration is valid.
func (l *Logs) watched() logwatch.Options {
	learning := time.Duration(l.Learning)
	if learning == 0 {
		learning = -1
	}
	return logwatch.Options{
		Learning: learning, NewFor: time.Duration(l.NewFor), Baseline: time.Duration(l.Baseline), MinSeverity: logmine.ParseSeverity(l.MinSeverity),
		MaxFindings: l.MaxFindings, Retention: time.Duration(l.History.Retention), MaxTracks: l.History.MaxPatterns,
	}
}

// setDirectory makes a relative rules_file start at the directory of the configuration.
func (l *Logs) setDirectory(dir string) {
	if l.RulesFile != "" && !filepath.IsAbs(l.RulesFile) {
		l.RulesFile = filepath.Join(dir, l.RulesFile)
	}
	l.Kafka.SetDirectory(dir)
	l.Loki.SetDirectory(dir)
}

// rules reads rules_file.
func (l *Logs) rules() (patternrules.File, error) {
	var f rulesFile
	if l.RulesFile == "" {
		return f.File, nil
	}
	err := web.LoadYAML(l.RulesFile, &f)
	return f.File, err
}

// rulesFile gives the errors of the rules their lines.
type rulesFile struct {
	patternrules.File `yaml:",inline"`
}

// Validate implements what web.LoadYAML asks.
func (f *rulesFile) Validate() error { return keyed(f.File.Validate()) }

var labelName = regexp.MustCompile(`^[a-zA-Z_][a-zA-Z0-9_]*$`)

// reservedLabels are those that series of patterns and alerts about them have.
var reservedLabels = []string{"pattern", "severity", "kind", "alertname", "name"}

func (l *Logs) validate() error {
	errs := []error{
		web.Invalid("intake", keyed(l.Intake.Validate())), web.Invalid("kafka", keyed(l.Kafka.Validate())), web.Invalid("loki", keyed(l.Loki.Validate())),
	}
	check := func(ok bool, key, format string, args ...any) {
		if !ok {
			errs = append(errs, web.Invalid(key, fmt.Errorf(format, args...)))
		}
	}
	for i, n := range l.GroupBy {
		key := fmt.Sprintf("group_by[%d]", i)
		check(labelName.MatchString(n) && !slices.Contains(reservedLabels, n) && !strings.HasPrefix(n, "__"), key, "%q cannot be a label beside %s", n, strings.Join(reservedLabels, ", "))
		check(!slices.Contains(l.GroupBy[:i], n), key, "%q is given twice", n)
	}
	check(len(l.GroupBy) <= 8, "group_by", "must not have more than 8 labels, has %d", len(l.GroupBy))
	check(l.MaxGroups > 0, "max_groups", "must be above 0, is %d", l.MaxGroups)
	check(l.MaxPatterns > 0, "max_patterns", "must be above 0, is %d", l.MaxPatterns)
	check(l.MaxSeries >= 0, "max_series", "must not be below 0, is %d", l.MaxSeries)
	check(l.MaxScored >= 0, "max_scored", "must not be below 0, is %d", l.MaxScored)
	check(l.NewFor > 0, "new_for", "must be above 0s")
	check(logmine.ParseSeverity(l.MinSeverity).String() == l.MinSeverity && l.MinSeverity != logmine.Unknown.String(), "min_severity",
		"must be one of debug, info, warning, error, critical, is %q", l.MinSeverity)
	check(time.Duration(l.Baseline) >= time.Hour, "baseline", "must be at least 1h, is %s", l.Baseline)
	check(l.MaxFindings > 0, "max_findings", "must be above 0, is %d", l.MaxFindings)
	check(time.Duration(l.History.Retention) >= 24*time.Hour, "history.retention", "must be at least 1d, is %s", l.History.Retention)
	check(l.History.MaxPatterns > 0, "history.max_patterns", "must be above 0, is %d", l.History.MaxPatterns)
	check(l.History.MaxBytes >= 64<<10, "history.max_bytes", "must be at least 65536, is %d", l.History.MaxBytes)
	return errors.Join(errs...)
}
