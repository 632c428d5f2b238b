package incidents

import (
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/grafana/grafana-plugin-sdk-go/data"

	"github.com/portent-dev/portent/datasource-plugin/pkg/dataplane"
	"github.com/portent-dev/portent/datasource-plugin/pkg/query"
	"github.com/portent-dev/portent/internal/incidentapi"
)

// page returns the address of an incident's page in a browser, or "" when there is none.
func (r Request) page(inc incidentapi.Incident) string {
	own := "/incidents/" + url.PathEscape(inc.ID)
	switch {
	case r.Link != "":
		return r.Link + own
	case dataplane.IsWeb(inc.URL):
		return inc.URL
	case r.Fallback != "":
		return r.Fallback + own
	}
	return ""
}

// Names of the columns, which dashboards refer to.
const (
	columnStarted    = "Started"
	columnEnded      = "Ended"
	columnStatus     = "Status"
	columnSeverity   = "Severity"
	columnTitle      = "Title"
	columnCause      = "Root cause"
	columnConfidence = "Confidence"
	columnAlerts     = "Alerts"
	columnFiring     = "Firing"
	columnTickets    = "Tickets"
	columnSummary    = "Summary"
	columnID         = "ID"
	columnPage       = "Incident page"
	columnTicketPage = "Ticket page"
)

// sizes of columns in pixels, so that title, cause and ticket are in sight. It is read only.
var sizes = map[string]map[string]any{
	columnStarted: {"width": 165}, columnEnded: {"width": 165}, columnStatus: {"width": 95}, columnSeverity: {"width": 85},
	columnTitle: {"minWidth": 250}, columnCause: {"minWidth": 200}, columnConfidence: {"width": 100}, columnAlerts: {"width": 70},
	columnFiring: {"width": 70}, columnTickets: {"width": 150}, columnSummary: {"minWidth": 250},
}

func merge(into, more map[string]any) map[string]any {
	out := maps.Clone(more)
	maps.Copy(out, into)
	return out
}

// table is one row for each incident, newest first.
func table(all []incidentapi.Incident, r Request) *data.Frame {
	n := len(all)
	started, ended := make([]time.Time, n), make([]*time.Time, n)
	status, severity, title, cause := make([]string, n), make([]string, n), make([]string, n), make([]string, n)
	tickets, summary, id, page, ticketPage := make([]string, n), make([]string, n), make([]string, n), make([]string, n), make([]string, n)
	confidence, alerts, firing := make([]*float64, n), make([]int64, n), make([]int64, n)
	for i, inc := range all {
		started[i], status[i], severity[i], title[i] = inc.StartedAt.UTC(), inc.Status, inc.Severity, inc.Title
		if inc.EndedAt != nil {
			ended[i] = new(inc.EndedAt.UTC())
		}
		if inc.RootCause != nil {
			cause[i], confidence[i] = rootCause(*inc.RootCause), &inc.RootCause.Confidence
		}
		alerts[i], firing[i] = int64(len(inc.Alerts)), firingAlerts(inc.Alerts)
		tickets[i], ticketPage[i] = ticketKeys(inc.Tickets)
		summary[i], id[i], page[i] = inc.Summary, inc.ID, r.page(inc)
	}
	field := func(name string, values any, c data.FieldConfig) *data.Field {
		f := data.NewField(name, nil, values)
		f.Config = &c
		if size := sizes[name]; size != nil {
			c.Custom = merge(c.Custom, size)
		}
		return f
	}
	hidden := data.FieldConfig{Custom: map[string]any{"hidden": true, "hideFrom": map[string]any{"viz": true}}}
	return dataplane.Table("Incidents",
		field(columnStarted, started, data.FieldConfig{}),
		field(columnEnded, ended, data.FieldConfig{Description: "Empty while the incident is open"}),
		field(columnStatus, status, colours(statusColours)),
		field(columnSeverity, severity, colours(severityColours)),
		field(columnTitle, title, data.FieldConfig{Links: link("Open the incident", columnPage)}),
		field(columnCause, cause, data.FieldConfig{Description: "The most probable cause"}),
		field(columnConfidence, confidence, *(&data.FieldConfig{Unit: "percentunit"}).SetMin(0).SetMax(1)),
		field(columnAlerts, alerts, data.FieldConfig{}),
		field(columnFiring, firing, data.FieldConfig{Description: "Alerts that still fire"}),
		field(columnTickets, tickets, data.FieldConfig{Links: link("Open the ticket", columnTicketPage)}),
		field(columnSummary, summary, data.FieldConfig{}),
		field(columnID, id, data.FieldConfig{}),
		field(columnPage, page, hidden),
		field(columnTicketPage, ticketPage, hidden),
	)
}

func rootCause(c incidentapi.RootCause) string {
	switch {
	case c.Entity == "":
		return c.Alertname
	case c.Alertname == "":
		return c.Entity
	}
	return c.Alertname + " on " + c.Entity
}

func firingAlerts(all []incidentapi.Alert) (n int64) {
	for _, a := range all {
		if a.Status == "firing" {
			n++
		}
	}
	return n
}

// ticketKeys returns all keys, and the address of the first that a browser may be sent to.
func ticketKeys(all []incidentapi.Ticket) (keys, page string) {
	var names []string
	for _, t := range all {
		if t.Key == "" {
			continue // the tracker has not made it yet
		}
		names = append(names, t.Key)
		if page == "" && dataplane.IsWeb(t.URL) {
			page = t.URL
		}
	}
	return strings.Join(names, ", "), page
}

// link takes the address from a hidden column of the same row.
func link(title, column string) []data.DataLink {
	return []data.DataLink{{Title: title, TargetBlank: true, URL: `${__data.fields["` + column + `"]}`}}
}

// Colours by value. They are read only.
var (
	severityColours = map[string]string{"critical": "red", "warning": "orange", "info": "blue"}
	statusColours   = map[string]string{incidentapi.StatusOpen: "orange", incidentapi.StatusResolved: "green", incidentapi.StatusDismissed: "text"}
)

func colours(of map[string]string) data.FieldConfig {
	m := data.ValueMapper{}
	for value, colour := range of {
		m[value] = data.ValueMappingResult{Text: value, Color: colour}
	}
	return data.FieldConfig{
		Mappings: data.ValueMappings{m},
		Custom:   map[string]any{"cellOptions": map[string]any{"type": "color-text"}},
	}
}

// numeric is the number of incidents by severity, also where it is 0: an alert rule needs the zero.
func numeric(all []incidentapi.Incident, r Request) data.Frames {
	count := map[string]float64{}
	for _, inc := range all {
		count[inc.Severity]++
	}
	var frames data.Frames
	for _, s := range query.Severities() {
		if len(r.Query.Severity) > 0 && !slices.Contains(r.Query.Severity, s) {
			continue
		}
		c := (&data.FieldConfig{DisplayNameFromDS: s, Color: map[string]any{"mode": "fixed", "fixedColor": severityColours[s]}}).SetDecimals(0)
		frames = append(frames, dataplane.Number("incidents", data.Labels{"severity": s}, count[s], c))
	}
	return frames
}

// annotations is one region for each incident, oldest first.
func annotations(all []incidentapi.Incident, r Request) *data.Frame {
	list := make(dataplane.Annotations, 0, len(all))
	for i := len(all) - 1; i >= 0; i-- {
		inc := all[i]
		text := dataplane.Text(inc.Summary)
		if l := dataplane.Link("Open the incident", r.page(inc)); l != "" {
			text += "<br>" + l
		}
		a := dataplane.Annotation{Time: inc.StartedAt, Now: r.To, Title: dataplane.Text(inc.Title), Text: text, Tags: []string{"incident", inc.Severity, inc.Status}}
		if inc.EndedAt != nil {
			a.End = *inc.EndedAt
		}
		list = append(list, a)
	}
	return list.Frame()
}
