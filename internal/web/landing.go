package web

import (
	"fmt"
	"html"
	"net/http"

	"github.com/prometheus/common/version"
	toolkitweb "github.com/prometheus/exporter-toolkit/web"
)

// Landing is a page at / that says what the process is and links to its paths.
type Landing struct {
	// Description is one sentence, plain text.
	Description string
	// Links are the process's own paths; those of every server are added.
	Links []Link
}

// Link is one entry of a landing page. All three are plain text.
type Link struct {
	Path, Text, Description string
}

func (l *Landing) handler(name string) (http.Handler, error) {
	links := append(append([]Link(nil), l.Links...),
		Link{"/metrics", "Metrics", "what Prometheus scrapes"},
		Link{"/-/healthy", "Health", "answers 200 while the process lives"},
		Link{"/-/ready", "Readiness", "answers 200 when it can serve"})
	c := toolkitweb.LandingConfig{
		Name:        html.EscapeString(name),
		Description: html.EscapeString(l.Description),
		Version:     html.EscapeString(version.Info()),
		Profiling:   "false", // no /debug/pprof is served
	}
	for _, k := range links {
		c.Links = append(c.Links, toolkitweb.LandingLinks{
			Address: html.EscapeString(k.Path), Text: html.EscapeString(k.Text), Description: html.EscapeString(k.Description),
		})
	}
	page, err := toolkitweb.NewLandingPage(c)
	if err != nil {
		return nil, fmt.Errorf("landing page: %w", err)
	}
	return page, nil
}
