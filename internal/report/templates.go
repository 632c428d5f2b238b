package report

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	amtemplate "github.com/prometheus/alertmanager/template"

	"github.com/prometheus/common/model"

	"github.com/portent-dev/portent/internal/incident"
	"github.com/portent-dev/portent/internal/ticket"
)

// TemplatesConfig overrides words of tickets by Go templates as Alertmanager has them: the same functions, and the
// same data where an incident has it. What is empty stays as it is.
type TemplatesConfig struct {
	// Files are globs of files with templates to call by name.
	Files []string `yaml:"files"`
	// Title is one line, Summary one or two sentences, Notes paragraphs that go in front of the first steps.
	Title   string `yaml:"title"`
	Summary string `yaml:"summary"`
	Notes   string `yaml:"notes"`
	// Labels are added to the ticket's; an empty one is left out.
	Labels []string `yaml:"labels"`
	// Priority is in the words of the tracker.
	Priority string `yaml:"priority"`
	// Team is who is asked to look, by which a tracker may pick a group.
	Team string `yaml:"team"`
}

// Validate compiles the templates and tries each on an incident made up for it.
func (c *TemplatesConfig) Validate() error {
	_, err := newTemplates(*c)
	return err
}

// templates are compiled. The zero value overrides nothing.
type templates struct {
	config TemplatesConfig
	tmpl   *amtemplate.Template
}

// Bounds of what templates write, in runes; what they do is the configuration's own business.
const (
	maxNotes    = 5000
	maxLabel    = 100
	maxPriority = 50
)

func newTemplates(c TemplatesConfig) (*templates, error) {
	tmpl, err := amtemplate.FromGlobs(c.Files)
	if err != nil {
		return nil, fmt.Errorf("files: %w", err)
	}
	t := &templates{c, tmpl}
	data := newTemplateData(sample(), "https://portent.example/incidents/01", "title", "summary")
	var errs []error
	for _, x := range append([]struct{ key, text string }{{"title", c.Title}, {"summary", c.Summary}, {"notes", c.Notes}, {"priority", c.Priority}, {"team", c.Team}}, labelTexts(c)...) {
		if _, err := tmpl.ExecuteTextString(x.text, data); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", x.key, err))
		}
	}
	return t, errors.Join(errs...)
}

func labelTexts(c TemplatesConfig) []struct{ key, text string } {
	var out []struct{ key, text string }
	for i, l := range c.Labels {
		out = append(out, struct{ key, text string }{fmt.Sprintf("labels[%d]", i), l})
	}
	return out
}

// TemplateData is what a template knows: Alertmanager's own data, with the incident for a group, and the incident.
type TemplateData struct {
	*amtemplate.Data
	Incident TemplateIncident
	// Default are the words that the template replaces.
	Default struct{ Title, Summary string }
}

// TemplateIncident is what a template knows of the incident itself.
type TemplateIncident struct {
	ID, URL, Status, Severity string
	StartedAt                 time.Time
	Labels                    amtemplate.KV
	Cause                     incident.RootCause
	Firing, Total             int
}

func newTemplateData(inc incident.Incident, url, title, summary string) TemplateData {
	d := TemplateData{
		Data: &amtemplate.Data{Receiver: "portent", Status: string(model.AlertResolved), GroupLabels: amtemplate.KV{}, CommonLabels: amtemplate.KV{}, CommonAnnotations: amtemplate.KV{}},
		Incident: TemplateIncident{
			ID: inc.ID, URL: url, Status: string(inc.Status), Severity: string(inc.Severity), StartedAt: inc.StartedAt, Labels: kv(inc.Labels), Cause: inc.RootCause,
		},
	}
	d.Default.Title, d.Default.Summary = title, summary
	d.Incident.Total, d.Incident.Firing = counts(inc)
	for i, a := range byStart(inc.Alerts) {
		x := amtemplate.Alert{
			Status: string(a.Status), Labels: kv(a.Labels), Annotations: kv(a.Annotations), StartsAt: a.StartsAt, EndsAt: a.EndsAt,
			GeneratorURL: a.GeneratorURL, Fingerprint: a.Fingerprint,
		}
		d.Alerts = append(d.Alerts, x)
		if a.Status == incident.AlertFiring {
			d.Status = string(model.AlertFiring)
		}
		if i == 0 {
			d.ExternalURL = a.ExternalURL
			maps.Copy(d.CommonLabels, x.Labels)
			maps.Copy(d.CommonAnnotations, x.Annotations)
			continue
		}
		keepCommon(d.CommonLabels, x.Labels)
		keepCommon(d.CommonAnnotations, x.Annotations)
	}
	d.GroupLabels = kv(inc.Labels)
	return d
}

func kv(m map[string]string) amtemplate.KV {
	out := make(amtemplate.KV, len(m))
	maps.Copy(out, m)
	return out
}

func keepCommon(common, other amtemplate.KV) {
	maps.DeleteFunc(common, func(k, v string) bool { return other[k] != v })
}

// text executes one template and cuts it to a line; empty when there is none, it fails, or it says nothing.
func (t *templates) text(text string, data TemplateData, most int) string {
	if t == nil || text == "" {
		return ""
	}
	out, err := t.tmpl.ExecuteTextString(text, data)
	if err != nil {
		return "" // it was tried when the configuration was read: this incident lacks what it asks for
	}
	return ticket.OneLine(out, most)
}

// override replaces the words of a draft that templates are given for.
func (t *templates) override(d *ticket.Draft, inc incident.Incident) {
	if t == nil {
		return
	}
	data := newTemplateData(inc, d.IncidentURL, d.Title, d.Summary)
	if s := t.text(t.config.Title, data, maxTitle); s != "" {
		d.Title = s
	}
	if s := t.text(t.config.Summary, data, maxSummary); s != "" {
		d.Summary = s
	}
	if s := t.text(t.config.Priority, data, maxPriority); s != "" {
		d.Priority = s
	}
	for _, l := range t.config.Labels {
		// A label must not look like a key, by which duplicates are found.
		if s := t.text(l, data, maxLabel); s != "" && !strings.HasPrefix(s, "portent-") && !slices.Contains(d.Labels, s) {
			d.Labels = append(d.Labels, s)
		}
	}
}

// notes are the paragraphs of the template, as text and nothing but text.
func (t *templates) notes(data TemplateData) ticket.Doc {
	if t == nil || t.config.Notes == "" {
		return nil
	}
	out, err := t.tmpl.ExecuteTextString(t.config.Notes, data)
	if err != nil {
		return nil // as in text
	}
	var d ticket.Doc
	for p := range strings.SplitSeq(ticket.Cut(ticket.Clean(out), maxNotes), "\n\n") {
		if p = strings.TrimSpace(p); p != "" {
			d = append(d, ticket.Paragraph(ticket.Text(p)))
		}
	}
	if d == nil {
		return nil
	}
	return append(ticket.Doc{ticket.Heading(3, ticket.Text("Notes"))}, d...)
}

// sample is an incident to try templates on.
func sample() incident.Incident {
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	a := incident.Alert{
		Fingerprint: "0123456789abcdef", StartsAt: at, Status: incident.AlertFiring, GeneratorURL: "https://prometheus.example/graph?g0.expr=up",
		Labels:      map[string]string{"alertname": "Sample", "severity": "critical", "namespace": "sample", "cluster": "sample"},
		Annotations: map[string]string{"summary": "sample", "description": "sample", "runbook_url": "https://runbooks.example/sample"},
	}
	return incident.Incident{
		ID: "01SAMPLE", Status: incident.StatusOpen, Severity: incident.SeverityCritical, StartedAt: at, Labels: map[string]string{"namespace": "sample", "cluster": "sample"},
		RootCause: incident.RootCause{Entity: "pod/sample", Alertname: "Sample", Confidence: .8}, Alerts: []incident.Alert{a}, Total: 1, Firing: 1,
	}
}
