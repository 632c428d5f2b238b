package jira

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/portent-dev/portent/internal/ticket"
	"github.com/portent-dev/portent/internal/ticketrest"
)

// request makes a request. A site that takes no document is asked again with text: a refusal of the content has no effect.
func (t *Tracker) request(ctx context.Context, d ticket.Draft, s *screen) (createdIssue, error) {
	made, err := t.postRequest(ctx, d, s)
	if err != nil && !t.desk.text.Load() && ticket.AsError(err).Reason == ticket.ReasonInvalid {
		t.desk.text.Store(true)
		again, err2 := t.postRequest(ctx, d, s)
		if err2 == nil || ticket.AsError(err2).Ambiguous {
			return again, err2
		}
		t.desk.text.Store(false) // it was not that
	}
	return made, err
}

func (t *Tracker) postRequest(ctx context.Context, d ticket.Draft, s *screen) (createdIssue, error) {
	body, err := t.requestBody(d, s)
	if err != nil {
		return createdIssue{}, &ticket.Error{Reason: ticket.ReasonInvalid, Err: err}
	}
	var made createdRequest
	err = t.desk.c.Do(ctx, ticketrest.Call{Op: opCreate, Method: http.MethodPost, Path: "/request", Body: body, Want: []int{http.StatusCreated}, Effect: true}, &made)
	return createdIssue{ID: made.IssueID, Key: made.IssueKey}, err
}

var errNoMark = errors.New("the form of the request type has neither Labels nor Description: without one of them a second ticket for the same incident " +
	"cannot be prevented; add one of them to the form")

// requestBody is the create request for d: only what is on the form.
func (t *Tracker) requestBody(d ticket.Draft, s *screen) (requestBody, error) {
	_, described := s.fields["description"]
	_, labelled := s.fields["labels"]
	if !described && !labelled {
		return requestBody{}, fmt.Errorf("project %s, request type %q: %w", t.cfg.Project, t.desk.RequestType, errNoMark)
	}
	b := requestBody{ServiceDeskID: s.desk, RequestTypeID: s.requestType, RaiseOnBehalfOf: t.desk.RaiseOnBehalfOf, Fields: map[string]any{}}
	if _, ok := s.fields["summary"]; ok {
		b.Fields["summary"] = ticket.OneLine(d.Title, maxSummary)
	}
	if described {
		doc, tail := description(d)
		tail = append(tail, ticket.Paragraph(ticket.Mono(keyMark+d.Key)))
		if b.IsADF = !t.desk.text.Load(); b.IsADF {
			b.Fields["description"] = render(doc, tail...)
		} else {
			b.Fields["description"] = wiki(doc, tail...)
		}
	}
	if labelled {
		b.Fields["labels"] = labelsOf(d.Key, t.cfg.Labels, d.Labels)
	}
	t.choices(b.Fields, d, s)
	return b, nil
}

// keyMark begins the last line of a request's description. By it a request whose answer was lost is found: properties
// cannot be set when it is made, and few forms have labels. The blank keeps the key a word of its own in Jira's index.
const keyMark = "portent-key: "

// markedKey returns the key in the last line of a request's description, or "".
func (t *Tracker) markedKey(i issue) string {
	if t.desk == nil || len(i.Fields.Description) == 0 {
		return ""
	}
	key, ok := strings.CutPrefix(t.lastLine(i.Fields.Description), keyMark)
	if !ok || ticket.CheckKey(key) != nil {
		return ""
	}
	return key
}

// mark does to a request what its create could not: the property that is ours, and labels and priority where the form has
// none. What fails is logged only: the request is there, and its last line names the incident.
func (t *Tracker) mark(ctx context.Context, id string, d ticket.Draft, s *screen, labels []string) {
	prop := property{Key: propIncident, Value: t.property(incidentOf(d))}
	b := editBody{Properties: []property{prop}, Fields: map[string]any{}}
	if _, ok := s.fields["labels"]; !ok {
		b.label(labels, labelsOf(d.Key, t.cfg.Labels, d.Labels), t.cfg.Deployment)
	}
	if _, ok := s.fields["priority"]; !ok && t.priority(d) != "" {
		b.Fields["priority"] = map[string]string{"name": t.priority(d)}
	}
	var err error
	if len(b.Fields)+len(b.Update) > 0 {
		err = t.c.Do(ctx, ticketrest.Call{Op: opEdit, Method: http.MethodPut, Path: issuePath(id), Body: b, Want: []int{http.StatusOK, http.StatusNoContent}, Empty: true, Effect: true}, nil)
		if err == nil {
			return
		}
		t.logger.Warn("request has no labels and no priority: they are neither on the form nor on the edit screen", "id", id, "err", err)
	}
	err = t.c.Do(ctx, ticketrest.Call{
		Op: opProperty, Method: http.MethodPut, Path: issuePath(id, "properties", propIncident), Body: prop.Value,
		Want: []int{http.StatusOK, http.StatusCreated}, Empty: true, Effect: true,
	}, nil)
	if err != nil {
		t.logger.Warn("request has no property of ours: it is known by the last line of its description", "id", id, "err", err)
	}
}

// label adds labels to those that are there. The description of Data Center has no way to add one alone.
func (b *editBody) label(have, add []string, where Deployment) {
	if where == DataCenter {
		b.Fields["labels"] = slices.Compact(slices.Sorted(slices.Values(slices.Concat(have, add))))
		return
	}
	var ops []map[string]string
	for _, l := range add {
		ops = append(ops, map[string]string{"add": l})
	}
	b.Update = map[string]any{"labels": ops}
}

// remark marks a request that was found and whose create had no answer.
func (t *Tracker) remark(ctx context.Context, i issue, key string) {
	if _, ok := i.Properties[propIncident]; ok || t.desk == nil {
		return
	}
	if s, err := t.createScreen(ctx); err == nil {
		t.mark(ctx, i.ID, ticket.Draft{Key: key}, s, i.Fields.Labels)
	}
}
