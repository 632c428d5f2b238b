package app

import (
	"errors"
	"fmt"
	"slices"

	"github.com/prometheus/alertmanager/pkg/labels"

	"github.com/portent-dev/portent/internal/incident"
	"github.com/portent-dev/portent/internal/web"
)

// RoutingConfig says which trackers get a ticket for an incident: those of the first route all of whose
// matchers match, otherwise the default.
type RoutingConfig struct {
	// Default names trackers. Not given: the first tracker that is no remedy. An empty list: no ticket.
	Default []string      `yaml:"default"`
	Routes  []RouteConfig `yaml:"routes"`
}

// RouteConfig is one route. Matchers are written as in Alertmanager and match the labels of the incident
// (cluster, namespace, service, …) together with severity and alertname.
type RouteConfig struct {
	Matchers []string `yaml:"matchers"`
	// Trackers may be an empty list: incidents of this route get no ticket.
	Trackers []string `yaml:"trackers"`
}

func (c *RoutingConfig) validate(trackers []TrackerConfig) error {
	var errs []error
	known := func(key string, names []string) {
		for i, n := range names {
			if !slices.ContainsFunc(trackers, func(t TrackerConfig) bool { return t.Name == n }) {
				errs = append(errs, web.Invalid(fmt.Sprintf("%s[%d]", key, i), fmt.Errorf("no tracker is named %q; there are %s", n, trackerNames(trackers))))
			}
		}
	}
	known("default", c.Default)
	for i, n := range c.Default {
		if slices.ContainsFunc(trackers, func(t TrackerConfig) bool { return t.Name == n && t.Type == TrackerRemedy }) {
			errs = append(errs, web.Invalid(fmt.Sprintf("default[%d]", i), errors.New("a remedy is for a route with matchers, not for every incident")))
		}
	}
	for i, r := range c.Routes {
		key := fmt.Sprintf("routes[%d]", i)
		if len(r.Matchers) == 0 {
			errs = append(errs, web.Invalid(key+".matchers", errors.New("is missing: a route needs at least one; routing.default is for the rest")))
		}
		if _, err := parseMatchers(r.Matchers); err != nil {
			errs = append(errs, web.Invalid(key+".matchers", err))
		}
		if r.Trackers == nil {
			errs = append(errs, web.Invalid(key+".trackers", errors.New("is missing: name trackers, or give an empty list for no ticket")))
		}
		known(key+".trackers", r.Trackers)
	}
	return errors.Join(errs...)
}

// parseMatchers reads matchers in Alertmanager's syntax. All must match.
func parseMatchers(in []string) (labels.Matchers, error) {
	var out labels.Matchers
	for _, s := range in {
		m, err := labels.ParseMatcher(s)
		if err != nil {
			return nil, fmt.Errorf("%q is not a matcher such as cluster=\"prod\" or namespace=~\"shop|pay\": %w", s, err)
		}
		out = append(out, m)
	}
	return out, nil
}

func matches(ms labels.Matchers, value func(name string) string) bool {
	for _, m := range ms {
		if !m.Matches(value(m.Name)) {
			return false
		}
	}
	return true
}

// router picks the trackers of an incident. It is immutable.
type router struct {
	fallback []string
	routes   []route
}

type route struct {
	matchers labels.Matchers
	trackers []string
}

// newRouter wants a valid configuration.
func newRouter(c RoutingConfig, trackers []TrackerConfig) (*router, error) {
	r := &router{fallback: c.Default}
	if c.Default == nil && len(trackers) > 0 {
		for _, t := range trackers {
			if t.Type != TrackerRemedy {
				r.fallback = []string{t.Name}
				break
			}
		}
	}
	for _, rc := range c.Routes {
		ms, err := parseMatchers(rc.Matchers)
		if err != nil {
			return nil, err
		}
		r.routes = append(r.routes, route{ms, rc.Trackers})
	}
	return r, nil
}

// trackers returns the names of the trackers of an incident; none means no ticket.
func (r *router) trackers(inc incident.Incident) []string {
	value := incidentValue(inc)
	for _, x := range r.routes {
		if matches(x.matchers, value) {
			return x.trackers
		}
	}
	return r.fallback
}

// incidentValue is what matchers about an incident are held against: its labels, its severity, and the alertname of
// its probable cause.
func incidentValue(inc incident.Incident) func(name string) string {
	return func(name string) string {
		switch name {
		case "severity":
			return string(inc.Severity)
		case "alertname":
			if inc.RootCause.Alertname != "" {
				return inc.RootCause.Alertname
			}
		}
		if v, ok := inc.Labels[name]; ok {
			return v
		}
		if len(inc.Alerts) > 0 {
			return inc.Alerts[0].Labels[name]
		}
		return ""
	}
}
