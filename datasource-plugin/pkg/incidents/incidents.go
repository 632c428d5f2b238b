// Package incidents answers which incidents there are, from the receiver's HTTP API. It must not know Grafana's
// plugin protocol, addresses or credentials.
package incidents

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/grafana/grafana-plugin-sdk-go/data"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/portent-dev/portent/datasource-plugin/pkg/dataplane"
	"github.com/portent-dev/portent/datasource-plugin/pkg/query"
	"github.com/portent-dev/portent/internal/incidentapi"
)

// Receiver gives pages of incidents, newest first.
type Receiver interface {
	List(ctx context.Context, o incidentapi.ListOptions) (incidentapi.IncidentPage, error)
}

// Request is one query with what Grafana sends around it.
type Request struct {
	Query    query.Incidents
	From, To time.Time
	Link     string // address of the receiver that an administrator gave for browsers; empty: the incident's own
	Fallback string // address for browsers where neither gives one
}

// Bounds.
const (
	pageSize = 200
	// maxScanned incidents are read for one answer, whatever the filters leave: at a page of 200 that is 25
	// calls of a receiver that answers each in milliseconds.
	maxScanned = 5000
)

// Run answers one request. The frames follow the data plane contract.
func Run(ctx context.Context, r Receiver, req Request) (data.Frames, error) {
	f, err := newFilter(req)
	if err != nil {
		return nil, err
	}
	found, notices, err := f.collect(ctx, r)
	if err != nil {
		return nil, err
	}
	executed := f.describe()
	switch req.Query.View {
	case query.ViewTable:
		return dataplane.Finish(data.Frames{table(found, req)}, executed, notices), nil
	case query.ViewNumeric:
		return dataplane.Finish(numeric(found, req), executed, notices), nil
	case query.ViewAnnotations:
		return dataplane.Finish(data.Frames{annotations(found, req)}, executed, notices), nil
	default:
		return nil, fmt.Errorf("BUG: view %q", req.Query.View)
	}
}

// filter is what the receiver's API does not select itself.
type filter struct {
	Request
	matchers []*labels.Matcher
}

func newFilter(r Request) (*filter, error) {
	m, err := query.CompileAll(r.Query.Matchers)
	if err != nil {
		return nil, err
	}
	return &filter{r, m}, nil
}

// collect reads pages until the limit is reached.
func (f *filter) collect(ctx context.Context, r Receiver) ([]incidentapi.Incident, []data.Notice, error) {
	var found []incidentapi.Incident
	limit := f.Query.Limit
	if f.Query.View == query.ViewNumeric {
		limit = maxScanned // a count of the first 100 would be wrong without saying so
	}
	o := incidentapi.ListOptions{Status: f.Query.Status, Since: f.From, Limit: pageSize}
	for scanned := 0; ; {
		page, err := r.List(ctx, o)
		if err != nil {
			return nil, nil, err
		}
		scanned += len(page.Incidents)
		for _, inc := range page.Incidents {
			if !f.keeps(inc) {
				continue
			}
			if len(found) == limit {
				return found, notice("The newest %d incidents are shown; there are more.", limit), nil
			}
			found = append(found, inc)
		}
		switch {
		case page.Next == nil || *page.Next == "" || *page.Next == o.Cursor:
			return found, nil, nil
		case scanned >= maxScanned:
			return found, notice("Only the newest %d incidents were looked at; choose a shorter time range.", scanned), nil
		}
		o.Cursor = *page.Next
	}
}

func notice(format string, args ...any) []data.Notice {
	return []data.Notice{{Severity: data.NoticeSeverityWarning, Text: fmt.Sprintf(format, args...)}}
}

func (f *filter) keeps(inc incidentapi.Incident) bool {
	if inc.StartedAt.After(f.To) || inc.EndedAt != nil && inc.EndedAt.Before(f.From) {
		return false
	}
	if len(f.Query.Severity) > 0 && !slices.Contains(f.Query.Severity, inc.Severity) {
		return false
	}
	return len(f.matchers) == 0 || slices.ContainsFunc(inc.Alerts, f.matches)
}

// matches reports whether one alert has all labels asked for; an absent label is the empty one, as in PromQL.
func (f *filter) matches(a incidentapi.Alert) bool {
	for _, m := range f.matchers {
		if !m.Matches(a.Labels[m.Name]) {
			return false
		}
	}
	return true
}

// describe says for the query inspector what was asked of the receiver and what was filtered here.
func (f *filter) describe() string {
	lines := []string{fmt.Sprintf("GET %s?status=%s&since=%s", incidentapi.PathIncidents, f.Query.Status, f.From.UTC().Format(time.RFC3339))}
	if len(f.Query.Severity) > 0 {
		lines = append(lines, fmt.Sprintf("severity in %v", f.Query.Severity))
	}
	for _, m := range f.matchers {
		lines = append(lines, "an alert has "+m.String())
	}
	return strings.Join(lines, "\n")
}
