package enrich

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/portent-dev/portent/internal/incident"
	"github.com/portent-dev/portent/internal/report"
	"github.com/portent-dev/portent/internal/runbook"
)

// Runbooks finds the runbook: that which an alert names itself, else those of a folder that
// fit what the alerts say.
type Runbooks struct {
	// Index is nil without a folder.
	Index *runbook.Index
	// URL makes the address of a runbook of the index; empty: none.
	URL func(path string) string
}

var _ Source = Runbooks{}

// namedByAlert marks what a ticket links to anyhow.
const namedByAlert = "Named by the alert."

// maxFitting is how many runbooks of the folder are shown: beyond three nobody reads.
const maxFitting = 3

// Name implements Source.
func (Runbooks) Name() string { return "runbooks" }

// Look implements Source.
func (x Runbooks) Look(_ context.Context, s Subject) ([]incident.Evidence, error) {
	var out []incident.Evidence
	seen := map[string]bool{}
	for _, a := range s.Incident.Alerts {
		if u := report.Runbook(a); u != "" && !seen[u] {
			seen[u] = true
			out = append(out, incident.Evidence{Kind: incident.EvidenceRunbook, Title: "Runbook of " + a.Name(), Text: namedByAlert, URL: u})
		}
	}
	if x.Index == nil || len(out) >= maxFitting {
		return out, nil
	}
	for _, r := range x.Index.Search(words(s.Incident), maxFitting-len(out)) {
		e := incident.Evidence{Kind: incident.EvidenceRunbook, Title: fmt.Sprintf("%s (%s)", r.Title, r.Path), Text: "Fits by its words: " + r.Excerpt}
		if x.URL != nil {
			e.URL = x.URL(r.Path)
		}
		out = append(out, e)
	}
	return out, nil
}

// words is what the alerts say of themselves, each text once: that of the probable cause counts twice.
func words(inc incident.Incident) string {
	var texts []string
	for _, a := range inc.Alerts {
		for _, t := range []string{a.Name(), a.Annotations["summary"], a.Annotations["description"], a.Annotations["message"]} {
			if t != "" && !slices.Contains(texts, t) && len(texts) < 4*maxValues {
				texts = append(texts, t)
			}
		}
	}
	return strings.Join(append(texts, inc.RootCause.Alertname), "\n")
}
