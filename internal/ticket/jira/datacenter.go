package jira

import (
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"net/url"

	"github.com/portent-dev/portent/internal/ticket"
	"github.com/portent-dev/portent/internal/ticketrest"
)

// What Data Center does otherwise than Cloud, besides its markup.

// searchDC is search for Data Center: pages by number, and nothing to reconcile.
func (t *Tracker) searchDC(ctx context.Context, key string) ([]issue, error) {
	body := searchBodyDC{JQL: t.findJQL(key), Fields: []string{"labels"}, MaxResults: searchPageSize}
	var hits []issue
	for range maxSearchPages {
		var p searchPageDC
		if err := t.c.Do(ctx, ticketrest.Call{Op: opSearch, Method: http.MethodPost, Path: "/search", Body: body}, &p); err != nil {
			return nil, err
		}
		hits = t.appendHits(hits, p.Issues, key)
		if body.StartAt += len(p.Issues); len(p.Issues) == 0 || body.StartAt >= p.Total {
			break
		}
	}
	return oldestFirst(hits), nil
}

// transitionsDC reads them with the issue, whose description has an expand; that
// of the list of transitions has none, and without one it tells no fields.
func (t *Tracker) transitionsDC(ctx context.Context, i issue) ([]transition, error) {
	var out issue
	err := t.c.Do(ctx, ticketrest.Call{Op: opTransitions, Method: http.MethodGet, Path: issuePath(i.ID), Query: url.Values{
		"expand": {"transitions,transitions.fields"}, "fields": {"status"},
	}}, &out)
	return out.Transitions, err
}

// unseenFields is what a transition with an unknown screen may want.
func (t *Tracker) unseenFields(to ticket.State, resolution string) map[string]any {
	out := map[string]any{}
	maps.Copy(out, t.cfg.TransitionFields)
	if to == ticket.Resolved && resolution != "" {
		out["resolution"] = map[string]string{"name": resolution}
	}
	return out
}

// assumedScreen is the create screen of a site that does not tell it: versions
// before 8.4. What is not on the real one is refused by name.
func (t *Tracker) assumedScreen() *screen {
	s := &screen{typeName: t.cfg.IssueType, assumed: true, fields: map[string]fieldDescriptor{}, readAt: t.c.Now()}
	for _, name := range ours {
		s.fields[name] = fieldDescriptor{FieldID: name}
	}
	for name := range t.cfg.Fields {
		s.fields[name] = fieldDescriptor{FieldID: name}
	}
	for _, fields := range t.cfg.TeamFields {
		for name := range fields {
			s.fields[name] = fieldDescriptor{FieldID: name}
		}
	}
	return s
}

// issueType selects the issue type in a create.
func (s *screen) issueType() map[string]string {
	if s.assumed {
		return map[string]string{"name": s.typeName}
	}
	return map[string]string{"id": s.typeID}
}

// markup is a document in the form that the site takes: ADF or wiki markup.
func (t *Tracker) markup(doc ticket.Doc, tail []ticket.Block) any {
	if t.cfg.Deployment == DataCenter {
		return wiki(doc, tail...)
	}
	return render(doc, tail...)
}

// lastLine returns the last line of a comment in the site's form.
func (t *Tracker) lastLine(body json.RawMessage) string {
	if t.cfg.Deployment != DataCenter {
		return lastLine(body)
	}
	var s string
	if json.Unmarshal(body, &s) != nil {
		return ""
	}
	return lastWikiLine(s)
}

// property is the value of an entity property. The description of Data Center
// wants a string, which its versions keep as it is or take for the JSON in it:
// readProperty reads both.
func (t *Tracker) property(v any) any {
	if t.cfg.Deployment == DataCenter {
		return string(encode(v))
	}
	return v
}

func readProperty(raw json.RawMessage, out any) error {
	var s string
	if json.Unmarshal(raw, &s) == nil {
		raw = json.RawMessage(s)
	}
	return json.Unmarshal(raw, out)
}
