package app

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/portent-dev/portent/internal/ticket/jira"
	"github.com/portent-dev/portent/internal/web"
)

// The types of trackers.
const (
	TrackerLocal = "local"
	TrackerJira  = "jira"
)

// trackerTypes are the known ones, for the error about an unknown one.
var trackerTypes = []string{TrackerJira, TrackerLocal}

// TrackerConfig is one tracker. Name stands in tickets, metrics and the API; it defaults to the type.
type TrackerConfig struct {
	Name string       `yaml:"name"`
	Type string       `yaml:"type"`
	Jira *jira.Config `yaml:"jira"`
}

// trackerName is what can be a metric label value and part of a file name and looks right in a page.
var trackerName = regexp.MustCompile(`^[a-z0-9]([a-z0-9_-]{0,38}[a-z0-9])?$`)

func validateTrackers(ts []TrackerConfig) error {
	var errs []error
	seen := map[string]bool{}
	locals := 0
	for i, t := range ts {
		key := fmt.Sprintf("trackers[%d]", i)
		if !slices.Contains(trackerTypes, t.Type) {
			errs = append(errs, web.Invalid(key+".type", fmt.Errorf("unknown tracker type %q; known are %s", t.Type, strings.Join(trackerTypes, ", "))))
			continue
		}
		if !trackerName.MatchString(t.Name) {
			errs = append(errs, web.Invalid(key+".name", fmt.Errorf("%q: want up to 40 of a-z, 0-9, - and _", t.Name)))
		}
		if seen[t.Name] {
			errs = append(errs, web.Invalid(key+".name", fmt.Errorf("%q is the name of an earlier tracker", t.Name)))
		}
		seen[t.Name] = true
		switch t.Type {
		case TrackerLocal:
			if locals++; locals > 1 {
				errs = append(errs, web.Invalid(key+".type", errors.New("there is one local tracker at most: its tickets live in this receiver")))
			}
		case TrackerJira:
			if t.Jira == nil {
				errs = append(errs, web.Invalid(key+".jira", errors.New("is missing: a tracker of type jira needs url, project and token")))
			} else {
				errs = append(errs, web.Invalid(key+".jira", t.Jira.Validate()))
			}
		}
		if t.Jira != nil && t.Type != TrackerJira {
			errs = append(errs, web.Invalid(key+".jira", fmt.Errorf("does not belong to a tracker of type %s", t.Type)))
		}
	}
	return errors.Join(errs...)
}

func trackerNames(ts []TrackerConfig) string {
	if len(ts) == 0 {
		return "none"
	}
	var names []string
	for _, t := range ts {
		names = append(names, t.Name)
	}
	return strings.Join(names, ", ")
}
