package query

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/common/model"
)

// ViewCauses is what most probably began it all.
const ViewCauses View = "causes"

// ComparePrevious is the window right before the one asked for, as long.
const ComparePrevious = "previous"

// Bounds of a patterns query.
const (
	DefaultPatternsLimit = 50   // more rows than a person reads
	DefaultLogsLimit     = 1000 // as Grafana's own Loki data source has it
	DefaultMaxLines      = 20_000
	minLines             = 100
	maxLines             = 200_000 // forty answers of a Loki with its defaults
)

// Patterns asks what log lines of Loki say.
type Patterns struct {
	View     View     `json:"view"`
	Query    string   `json:"query"`    // LogQL: a log query with any filters and parsers
	Severity []string `json:"severity"` // of the patterns, for logs of the lines; empty for all
	Compare  string   `json:"compare"`  // empty, previous, or how much earlier the other window is: 1d
	Change   []string `json:"change"`   // only patterns that did one of these; empty for all
	Pattern  string   `json:"pattern"`  // only the one with this id; empty for all
	Limit    int      `json:"limit"`    // patterns, or lines in view logs
	MaxLines int      `json:"maxLines"` // read from Loki at most, of both windows
}

// lineSeverities and changes are read only.
var (
	lineSeverities = []string{"unknown", "debug", "info", "warning", "error", "critical"}
	changes        = []string{"new", "grown", "gone", "shrunk", "same"}
	rePatternID    = regexp.MustCompile(`^[0-9a-f]{12}$`)
)

func readPatterns(q *Query, raw json.RawMessage) error {
	p := Patterns{}
	if err := strict("patterns", raw, &p); err != nil {
		return err
	}
	if p.View == "" {
		p.View = ViewTable
	}
	if err := oneOf("patterns.view", p.View, ViewTable, ViewTimeSeries, ViewNumeric, ViewLogs, ViewVolume, ViewCauses); err != nil {
		return err
	}
	switch {
	case strings.TrimSpace(p.Query) == "":
		return errorf(`patterns.query is empty, want a LogQL log query, such as {app="shop"} |= "error"`)
	case len(p.Query) > MaxValueBytes:
		return errorf("patterns.query: %d bytes, at most %d", len(p.Query), MaxValueBytes)
	case p.Pattern != "" && !rePatternID.MatchString(p.Pattern):
		return errorf("patterns.pattern: got %q, want the 12 hexadecimal digits of a pattern's id", clip(p.Pattern))
	case p.MaxLines == 0:
		p.MaxLines = DefaultMaxLines
	case p.MaxLines < minLines || p.MaxLines > maxLines:
		return errorf("patterns.maxLines: got %d, want %d to %d", p.MaxLines, minLines, maxLines)
	}
	byDefault := DefaultPatternsLimit
	if p.View == ViewLogs {
		byDefault = DefaultLogsLimit
	}
	if err := limit("patterns.limit", &p.Limit, byDefault); err != nil {
		return err
	}
	if err := p.readLists(); err != nil {
		return err
	}
	if err := p.readCompare(); err != nil {
		return err
	}
	q.Patterns = &p
	return nil
}

func (p *Patterns) readLists() error {
	one := func(where string, list *[]string, allowed []string) error {
		if *list == nil {
			*list = []string{}
		}
		for i, s := range *list {
			if err := oneOf(where, s, allowed...); err != nil {
				return err
			}
			if slices.Contains((*list)[:i], s) {
				return errorf("%s: %s is named twice", where, s)
			}
		}
		return nil
	}
	if err := one("patterns.severity", &p.Severity, lineSeverities); err != nil {
		return err
	}
	return one("patterns.change", &p.Change, changes)
}

func (p *Patterns) readCompare() error {
	if p.View == ViewCauses && p.Compare == "" {
		p.Compare = ComparePrevious
	}
	switch {
	case p.View == ViewLogs || p.View == ViewVolume:
		if p.Compare != "" || len(p.Change) > 0 || p.Pattern != "" {
			return errorf("patterns: view %s has no comparison and no single pattern", p.View)
		}
		return nil
	case p.Compare == "" && len(p.Change) > 0:
		return errorf("patterns.change needs patterns.compare: what changed is told against another window")
	case p.Compare == "" || p.Compare == ComparePrevious:
		return nil
	}
	if d, err := model.ParseDuration(p.Compare); err != nil || d <= 0 {
		return errorf("patterns.compare: got %q, want previous or a duration, such as 1d", clip(p.Compare))
	}
	return nil
}

// Earlier returns how much earlier the window is that a window of the given length is
// compared with; 0 for none.
func (p *Patterns) Earlier(length time.Duration) time.Duration {
	switch p.Compare {
	case "":
		return 0
	case ComparePrevious:
		return length
	}
	d, _ := model.ParseDuration(p.Compare) // checked when it was read
	return time.Duration(d)
}
