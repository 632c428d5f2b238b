package analyze

import "github.com/portent-dev/portent/internal/ingest"

// NameOf returns what people call a metric and whose it is: "working set of checkout-0".
// owner takes the place of what the labels say, if it is not empty. known is false when the
// labels do not say whose it is.
func (a *Actions) NameOf(labels map[string]string, owner string) (name string, known bool) {
	metric := labels[ingest.MetricName]
	name = a.subject(metric)
	if name == "" {
		name = plainName(metric)
	}
	if owner == "" {
		owner = ownerOf(labels)
	}
	if owner == "" {
		return name, false
	}
	return name + " of " + owner, true
}

// Suggest returns what a person would look at or do first about a metric that lies above or
// below what was expected, for the type of analysis that comes nearest.
func (a *Actions) Suggest(metric string, of Type, direction string) []string {
	return a.suggest(metric, of, direction)
}
