package servicenow

import (
	"cmp"
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/portent-dev/portent/internal/ticket"
	"github.com/portent-dev/portent/internal/ticketrest"
)

// eventPath takes events for Event Management.
// Source: ServiceNow documentation, "Send events via web service".
const eventPath = "/api/global/em/jsonv2"

// Bounds of what an event says, in runes: the columns out of the box.
const (
	maxEventText = 4000
	maxEventNote = 2000
)

// eventSource stands in every event of ours. With it and the key events become one alert.
const eventSource = "Portent"

type events struct {
	Records []event `json:"records"`
}

// event is a row of em_event. AdditionalInfo is JSON in a string, TimeOfEvent is GMT.
type event struct {
	Source          string `json:"source"`
	EventClass      string `json:"event_class"`
	Node            string `json:"node"`
	Type            string `json:"type"`
	MessageKey      string `json:"message_key"`
	Severity        string `json:"severity"`
	Description     string `json:"description,omitempty"`
	AdditionalInfo  string `json:"additional_info,omitempty"`
	TimeOfEvent     string `json:"time_of_event"`
	ResolutionState string `json:"resolution_state"`
}

const (
	severityClear = "0"
	resolutionNew = "New"
	resolutionEnd = "Closing"
)

// open sends the event of a new incident. Event Management makes one alert of all
// events with one message_key, so it can be sent any number of times. The severity
// is kept in the reference: every later event needs it.
func (t *Tracker) open(ctx context.Context, d ticket.Draft) (ticket.Ticket, error) {
	severity := cmp.Or(level(t.cfg.EventSeverity, d), t.cfg.EventSeverity["warning"], "4")
	e := t.event(d.Key, severity)
	e.Description = ticket.Cut(ticket.OneLine(d.Title, maxShort)+"\n\n"+description(d), maxEventText)
	if !d.StartedAt.IsZero() {
		e.TimeOfEvent = d.StartedAt.UTC().Format(time.DateTime)
	}
	info := map[string]string{"portent_key": d.Key}
	if l := labels(d.Labels); l != "" {
		info["labels"] = l
	}
	if u, ok := ticket.SafeURL(d.IncidentURL); ok {
		info["incident_url"] = ticket.Cut(u, maxEventNote)
	}
	if err := t.post(ctx, e, info); err != nil {
		return ticket.Ticket{}, err
	}
	return ticket.Ticket{
		Ref:   ticket.Ref{Key: d.Key, ID: severity, URL: t.site + "/em_alert_list.do?sysparm_query=message_key%3D" + d.Key},
		State: ticket.Open, Status: string(ticket.Open),
	}, nil
}

// follow sends what became of it: a comment as the description of the alert, and
// the end as severity 0. An alert that begins again gets its severity back.
func (t *Tracker) follow(ctx context.Context, r ticket.Ref, u ticket.Update) error {
	if ticket.CheckKey(r.Key) != nil {
		return notFound("not a key of ours")
	}
	if u.State == ticket.Unchanged && u.Comment.Empty() {
		return nil
	}
	severity := r.ID
	if len(severity) != 1 || severity < "1" || severity > "5" {
		severity = cmp.Or(t.cfg.EventSeverity["warning"], "4")
	}
	e := t.event(r.Key, severity)
	if u.State == ticket.Resolved {
		e.Severity, e.ResolutionState = severityClear, resolutionEnd
	}
	e.Description = fit(u.Comment, maxEventNote)
	return t.post(ctx, e, map[string]string{"portent_key": r.Key, "portent_update": u.Key})
}

func (t *Tracker) event(key, severity string) event {
	return event{
		Source: eventSource, EventClass: eventSource, Node: cmp.Or(t.cfg.CmdbCI, "portent"), Type: "incident", MessageKey: key, Severity: severity,
		TimeOfEvent: t.c.Now().UTC().Format(time.DateTime), ResolutionState: resolutionNew,
	}
}

func (t *Tracker) post(ctx context.Context, e event, info map[string]string) error {
	b, err := json.Marshal(info)
	if err != nil {
		return &ticket.Error{Reason: ticket.ReasonInvalid, Err: err}
	}
	e.AdditionalInfo = string(b)
	var answer any // any JSON: a sleeping instance answers 200 with a page
	return t.c.Do(ctx, ticketrest.Call{Op: opEvent, Method: http.MethodPost, Path: eventPath, Body: events{Records: []event{e}}, Effect: true}, &answer)
}
