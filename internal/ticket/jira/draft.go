package jira

import (
	"errors"
	"fmt"
	"strings"

	"github.com/portent-dev/portent/internal/ticket"
)

var errNoLabels = errors.New("the create screen has no field Labels: without it a second ticket for the same incident cannot be prevented; " +
	"add Labels to the screen of this issue type")

// draftBody is the create request for d: only what is on the screen.
func (t *Tracker) draftBody(d ticket.Draft, s *screen) (issueBody, error) {
	if _, ok := s.fields["labels"]; !ok {
		return issueBody{}, fmt.Errorf("project %s, issue type %q: %w", t.cfg.Project, t.cfg.IssueType, errNoLabels)
	}
	fields := map[string]any{
		"project":   map[string]string{"key": t.cfg.Project},
		"issuetype": s.issueType(),
		"summary":   ticket.OneLine(d.Title, maxSummary),
		"labels":    labelsOf(d.Key, t.cfg.Labels, d.Labels),
	}
	if _, ok := s.fields["description"]; ok {
		fields["description"] = t.markup(description(d))
	}
	t.choices(fields, d, s)
	return issueBody{Fields: fields, Properties: []property{{Key: propIncident, Value: t.property(incidentOf(d))}}}, nil
}

// choices adds the priority and what the configuration gives, as far as it is on the screen.
func (t *Tracker) choices(fields map[string]any, d ticket.Draft, s *screen) {
	if f, ok := s.fields["priority"]; ok {
		if v, ok := choose(f, t.priority(d)); ok {
			fields["priority"] = v
		}
	}
	for _, all := range []map[string]any{t.cfg.Fields, t.cfg.TeamFields[d.Team]} {
		for name, v := range all {
			if _, ok := s.fields[name]; ok {
				fields[name] = v
			}
		}
	}
}

// maxSummary is Jira's bound of the summary, in runes.
const maxSummary = 255

func (t *Tracker) priority(d ticket.Draft) string {
	if d.Priority != "" {
		return d.Priority
	}
	return t.cfg.Priorities[d.Severity]
}

// choose returns the value that selects name in a field with allowed values. A
// field that does not list its values gets the name as it is; a name that is not
// allowed is left out, so that Jira takes its default instead of refusing the
// ticket.
func choose(f fieldDescriptor, name string) (map[string]string, bool) {
	if name == "" {
		return nil, false
	}
	for _, v := range f.AllowedValues {
		if v.ID == name || strings.EqualFold(v.Name, name) {
			return map[string]string{"id": v.ID}, true
		}
	}
	if len(f.AllowedValues) > 0 {
		return nil, false
	}
	return map[string]string{"name": name}, true
}

// description is the body of a new issue, and its last lines, which are never cut.
func description(d ticket.Draft) (doc ticket.Doc, tail []ticket.Block) {
	if s := strings.TrimSpace(ticket.Clean(d.Summary)); s != "" {
		doc = append(doc, ticket.Paragraph(ticket.Text(s)))
	}
	doc = append(doc, d.Body...)
	if _, ok := ticket.SafeURL(d.IncidentURL); ok {
		tail = append(tail, ticket.Paragraph(ticket.Link("Open the incident in Portent", d.IncidentURL)))
	}
	return doc, tail
}

// incidentOf is the property of an issue that is made for d.
func incidentOf(d ticket.Draft) incidentProperty {
	return incidentProperty{Key: d.Key, Severity: d.Severity, StartedAt: d.StartedAt.UTC(), URL: d.IncidentURL}
}
