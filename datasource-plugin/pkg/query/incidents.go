package query

import (
	"encoding/json"
	"slices"

	"github.com/portent-dev/portent/internal/incidentapi"
)

// DefaultIncidentsLimit is the number of incidents that a query returns when it names none.
const DefaultIncidentsLimit = 100

// Severities of an incident, the worst first. It is read only.
var severities = []string{"critical", "warning", "info"}

// Severities returns the severities of an incident, the worst first.
func Severities() []string { return slices.Clone(severities) }

// Incidents asks for the incidents of the receiver that were open within the time range.
type Incidents struct {
	View     View      `json:"view"`
	Status   string    `json:"status"`   // empty for all
	Severity []string  `json:"severity"` // empty for all
	Matchers []Matcher `json:"matchers"` // at least one alert of the incident has all of them
	Limit    int       `json:"limit"`    // the newest
}

func readIncidents(q *Query, raw json.RawMessage) error {
	in := Incidents{}
	if err := strict("incidents", raw, &in); err != nil {
		return err
	}
	if in.View == "" {
		in.View = ViewTable
	}
	if err := oneOf("incidents.view", in.View, ViewTable, ViewNumeric, ViewAnnotations); err != nil {
		return err
	}
	if in.Status != "" {
		err := oneOf("incidents.status", in.Status, incidentapi.StatusOpen, incidentapi.StatusResolved, incidentapi.StatusDismissed)
		if err != nil {
			return err
		}
	}
	for i, s := range in.Severity {
		if err := oneOf("incidents.severity", s, severities...); err != nil {
			return err
		}
		if slices.Contains(in.Severity[:i], s) {
			return errorf("incidents.severity: %s is named twice", s)
		}
	}
	if in.Severity == nil {
		in.Severity = []string{}
	}
	if in.Matchers == nil {
		in.Matchers = []Matcher{}
	}
	if _, err := CompileAll(in.Matchers); err != nil {
		return err
	}
	if err := limit("incidents.limit", &in.Limit, DefaultIncidentsLimit); err != nil {
		return err
	}
	q.Incidents = &in
	return nil
}
