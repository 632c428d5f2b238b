package enrich

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"text/template"

	"github.com/portent-dev/portent/internal/incident"
)

// A LinkTemplate makes the address of a page about an incident: a dashboard, Explore, Kibana.
type LinkTemplate struct {
	// Title is what the link says.
	Title string `yaml:"title"`
	// URL is a Go template. It knows .From and .To (Unix milliseconds), .FromISO and .ToISO (RFC 3339), .Labels (the first
	// value of each label that says where the incident is: namespace, pod, node, service, cluster …) and
	// .ID. Every value is escaped for a query string.
	URL string `yaml:"url"`
	// Needs are the labels without which the link makes no sense; it is left out then.
	Needs []string `yaml:"needs,omitempty"`
}

// Links writes links from templates.
type Links struct{ links []link }

type link struct {
	LinkTemplate
	url *template.Template
}

var _ Source = Links{}

// linkData is what a template knows.
type linkData struct {
	From, To, FromISO, ToISO, ID string
	Labels                       map[string]string
}

// NewLinks compiles templates and tries each. An error begins with the index of the template.
func NewLinks(templates []LinkTemplate) (Links, error) {
	var l Links
	for i, t := range templates {
		if t.Title == "" {
			return Links{}, fmt.Errorf("[%d].title: is needed", i)
		}
		parsed, err := template.New("url").Option("missingkey=zero").Parse(t.URL)
		if err != nil {
			return Links{}, fmt.Errorf("[%d].url: %w", i, err)
		}
		one := link{t, parsed}
		address, err := one.write(linkData{From: "0", To: "1", FromISO: "2026-01-01T00%3A00%3A00Z", ToISO: "2026-01-01T00%3A00%3A01Z", ID: "1", Labels: map[string]string{}})
		if err != nil {
			return Links{}, fmt.Errorf("[%d].url: %w", i, err)
		}
		if u, err := url.Parse(address); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
			return Links{}, fmt.Errorf("[%d].url: want a template of an http or https address, got %q", i, address)
		}
		l.links = append(l.links, one)
	}
	return l, nil
}

// Name implements Source.
func (Links) Name() string { return "links" }

// Look implements Source.
func (l Links) Look(_ context.Context, s Subject) ([]incident.Evidence, error) {
	data := linkData{
		From: strconv.FormatInt(s.From.UnixMilli(), 10), To: strconv.FormatInt(s.To.UnixMilli(), 10),
		FromISO: url.QueryEscape(s.From.UTC().Format("2006-01-02T15:04:05Z")), ToISO: url.QueryEscape(s.To.UTC().Format("2006-01-02T15:04:05Z")),
		ID: url.QueryEscape(s.Incident.ID), Labels: map[string]string{},
	}
	for _, name := range slices.Sorted(maps.Keys(s.Values)) {
		if values := s.Values[name]; len(values) > 0 {
			data.Labels[name] = url.QueryEscape(values[0])
		}
	}
	if len(s.Clusters) > 0 {
		data.Labels["cluster"] = url.QueryEscape(s.Clusters[0])
	}
	var out []incident.Evidence
	for _, one := range l.links {
		if slices.ContainsFunc(one.Needs, func(label string) bool { return data.Labels[label] == "" }) {
			continue
		}
		address, err := one.write(data)
		if err != nil {
			return out, fmt.Errorf("link %q: %w", one.Title, err)
		}
		out = append(out, incident.Evidence{Kind: incident.EvidenceLink, Title: one.Title, URL: address})
	}
	return out, nil
}

func (l link) write(data linkData) (string, error) {
	var b bytes.Buffer
	if err := l.url.Execute(&b, data); err != nil {
		return "", err
	}
	return b.String(), nil
}
