package dataplane

import (
	"html"
	"net/url"
	"strings"
	"time"

	"github.com/grafana/grafana-plugin-sdk-go/data"
)

// HTML is text that Grafana shows as HTML in the bubble of an annotation, made by Text and Link only.
type HTML string

// Text escapes plain text, which is hostile until then.
func Text(s string) HTML { return HTML(html.EscapeString(s)) }

// Link is a link that opens in a new tab, or nothing when the address is not one of the web.
func Link(title, address string) HTML {
	if !IsWeb(address) {
		return ""
	}
	return HTML(`<a href="` + html.EscapeString(address) + `" target="_blank" rel="noopener noreferrer">` + html.EscapeString(title) + `</a>`)
}

// IsWeb reports whether address is one that a browser may be sent to: http or https with a host. It keeps
// javascript: and its like out of links.
func IsWeb(address string) bool {
	u, err := url.Parse(address)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != ""
}

// Annotation is one region on a graph.
type Annotation struct {
	Time  time.Time
	End   time.Time // zero while it lasts
	Now   time.Time // where a region that lasts is drawn to
	Title HTML      // Grafana puts it before the text, as HTML
	Text  HTML
	Tags  []string // without commas
}

// Annotations is a list of regions.
type Annotations []Annotation

// Frame has the fields that Grafana knows by name.
func (l Annotations) Frame() *data.Frame {
	starts, ends := make([]time.Time, len(l)), make([]time.Time, len(l))
	titles, texts, tags := make([]string, len(l)), make([]string, len(l)), make([]string, len(l))
	for i, a := range l {
		starts[i], ends[i] = a.Time.UTC(), a.End.UTC()
		if a.End.IsZero() {
			ends[i] = a.Now.UTC()
		}
		if ends[i].Before(starts[i]) {
			ends[i] = starts[i]
		}
		titles[i], texts[i], tags[i] = string(a.Title), string(a.Text), strings.Join(a.Tags, ",")
	}
	f := Table("Annotations",
		data.NewField("time", nil, starts), data.NewField("timeEnd", nil, ends),
		data.NewField("title", nil, titles), data.NewField("text", nil, texts), data.NewField("tags", nil, tags))
	f.Meta.PreferredVisualization = ""
	return f
}
