package app

import (
	"fmt"
	"net/http"
	"time"

	"github.com/portent-dev/portent/internal/incidentapi"
)

type noiseView struct {
	Page   page
	Report incidentapi.NoiseReport
	Spans  []choice
	Steps  []noiseStep
	Tables []noiseTable
	Saved  string
	Cut    string
}

// noiseStep is one step from notifications to tickets, as a bar.
type noiseStep struct {
	Name  string
	Count int64
	Width int64 // in thousandths of the greatest
}

type noiseTable struct {
	ID, Head, First string
	Rows            []incidentapi.Noise
}

// pageNoise shows how notifications became alerts, incidents and tickets.
func (s *server) pageNoise(w http.ResponseWriter, r *http.Request, p principal) {
	spans := []struct {
		key, text string
		span      time.Duration
	}{{"7d", "7 days", 7 * 24 * time.Hour}, {"30d", "30 days", 30 * 24 * time.Hour}, {"all", "All that is kept", 0}}
	want := r.URL.Query().Get("span")
	if want == "" {
		want = spans[0].key
	}
	g := s.pages.frame("Noise", navNoise, 0, p)
	v := noiseView{Page: g}
	var since time.Time
	known := false
	for _, x := range spans {
		v.Spans = append(v.Spans, choice{Href: g.Root + "noise?span=" + x.key, Text: x.text, Current: x.key == want})
		if x.key == want {
			known = true
			if x.span > 0 {
				since = s.now().Add(-x.span)
			}
		}
	}
	if !known {
		s.pages.message(w, r, http.StatusBadRequest, fmt.Errorf("span=%.20q: want 7d, 30d or all", want), "choose one on the page about noise")
		return
	}
	report, err := noiseReport(r.Context(), s.noise, since)
	if err != nil {
		s.failed(w, r, err)
		return
	}
	v.Report = report
	t := report.Total
	top := max(int64(1), report.Notifications, t.Alerts, t.Incidents, t.Tickets)
	for _, x := range []struct {
		name string
		n    int64
	}{{"Notifications", report.Notifications}, {"Alerts", t.Alerts}, {"Incidents", t.Incidents}, {"Tickets", t.Tickets}} {
		v.Steps = append(v.Steps, noiseStep{x.name, x.n, 1000 * x.n / top})
	}
	if t.Alerts > 0 {
		v.Saved = fmt.Sprintf("%.0f %% of the alerts needed no ticket of their own; %s kept out.", 100*(1-float64(t.Tickets)/float64(t.Alerts)), count(int(t.KeptOut), "alert", "was", "were"))
	}
	if report.Cut > 0 {
		v.Cut = fmt.Sprintf("%d rows with the least are not shown.", report.Cut)
	}
	for _, x := range []noiseTable{
		{"rules", "By rule", "Alert", report.Rules}, {"teams", "By team", "Team", report.Teams}, {"kept", "Kept out, by rule", "Rule", report.KeptOut}, {"weeks", "By week", "Week", report.Weeks},
	} {
		if len(x.Rows) > 0 {
			v.Tables = append(v.Tables, x)
		}
	}
	s.show(w, r, "noise.html", v)
}
