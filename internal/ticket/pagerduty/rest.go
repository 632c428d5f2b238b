package pagerduty

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/portent-dev/portent/internal/ticket"
	"github.com/portent-dev/portent/internal/ticketrest"
)

// The operations of the REST API, as they stand in errors and in metrics.
const (
	opSearch  = "search"
	opNotes   = "read notes"
	opNote    = "note"
	opResolve = "resolve incident"
)

// The states of an incident.
const (
	statusTriggered = "triggered"
	statusResolved  = "resolved"
)

type pdIncident struct {
	ID      string `json:"id"`
	Number  int64  `json:"incident_number"`
	Status  string `json:"status"`
	Key     string `json:"incident_key"`
	HTMLURL string `json:"html_url"`
	Alerts  struct {
		All int `json:"all"`
	} `json:"alert_counts"`
}

func (i pdIncident) state() ticket.State {
	if i.Status == statusResolved {
		return ticket.Resolved
	}
	return ticket.Open
}

// maxIncidents bounds how many incidents of one key are looked at: one more each
// time it was reopened.
const maxIncidents = 25

// incidents returns the incidents whose alerts have the key, newest first.
func (t *Tracker) incidents(ctx context.Context, key string) ([]pdIncident, error) {
	var page struct {
		Incidents []pdIncident `json:"incidents"`
	}
	err := t.api.Do(ctx, ticketrest.Call{Op: opSearch, Method: http.MethodGet, Path: "/incidents", Query: url.Values{
		"incident_key": {key},
		"date_range":   {"all"}, // else one month
		"sort_by":      {"created_at:desc"},
		"limit":        {"25"},
	}}, &page)
	if err != nil {
		return nil, err
	}
	var out []pdIncident
	for _, i := range page.Incidents {
		// An incident with alerts has no key of its own; one that has another is not
		// ours, whatever the search made of the question.
		if (i.Key == "" || i.Key == key) && validID(i.ID) {
			out = append(out, i)
		}
	}
	slices.SortStableFunc(out, func(a, b pdIncident) int { return int(max(min(b.Number-a.Number, 1), -1)) })
	return out[:min(len(out), maxIncidents)], nil
}

// validID reports whether s can stand in a path.
func validID(s string) bool {
	return s != "" && len(s) <= 40 && !strings.ContainsFunc(s, func(r rune) bool {
		return (r < 'A' || r > 'Z') && (r < 'a' || r > 'z') && (r < '0' || r > '9')
	})
}

// noteMark is the last line of each note of ours, by which it is known again.
const noteMark = "portent-update:"

// maxNote bounds a note in runes. PagerDuty states no bound; its app cuts longer
// ones from sight.
const maxNote = 20_000

// hasNote reports whether one of the incidents has the note of that update. Only
// the last line counts: what stands before it comes from alerts.
func (t *Tracker) hasNote(ctx context.Context, in []pdIncident, updateKey string) (bool, error) {
	for _, i := range in {
		var page struct {
			Notes []struct {
				Content string `json:"content"`
			} `json:"notes"`
		}
		if err := t.api.Do(ctx, ticketrest.Call{Op: opNotes, Method: http.MethodGet, Path: "/incidents/" + i.ID + "/notes"}, &page); err != nil {
			return false, err
		}
		for _, n := range page.Notes {
			lines := strings.Split(strings.TrimSpace(n.Content), "\n")
			if strings.TrimSpace(lines[len(lines)-1]) == noteMark+updateKey {
				return true, nil
			}
		}
	}
	return false, nil
}

type noteBody struct {
	Note struct {
		Content string `json:"content"`
	} `json:"note"`
}

func (t *Tracker) note(ctx context.Context, id, updateKey string, d ticket.Doc) error {
	var b noteBody
	b.Note.Content = fit(d, maxNote) + "\n\n" + noteMark + updateKey
	return t.api.Do(ctx, ticketrest.Call{
		Op: opNote, Method: http.MethodPost, Path: "/incidents/" + id + "/notes", Header: http.Header{"From": {t.cfg.From}},
		Body: b, Want: []int{http.StatusOK, http.StatusCreated}, Effect: true,
	}, nil)
}

type statusBody struct {
	Incident struct {
		Type   string `json:"type"`
		Status string `json:"status"`
	} `json:"incident"`
}

func (t *Tracker) resolveIncident(ctx context.Context, id string) error {
	var b statusBody
	b.Incident.Type, b.Incident.Status = "incident_reference", statusResolved
	return t.api.Do(ctx, ticketrest.Call{
		Op: opResolve, Method: http.MethodPut, Path: "/incidents/" + id, Header: http.Header{"From": {t.cfg.From}}, Body: b, Effect: true,
	}, nil)
}
