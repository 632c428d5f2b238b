package jiratest

import (
	"encoding/json"
	"fmt"
	"html"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/portent-dev/portent/internal/ticket/doubletest"
)

// Desk is the service desk of a project of Service Management.
type Desk struct {
	ID    string
	Types []RequestType
	// OnBehalf lets the account raise requests for others.
	OnBehalf bool
}

// RequestType is what customers may ask for, with its form.
type RequestType struct {
	ID, Name string
	// IssueType is the name of the issue type behind it.
	IssueType string
	Form      map[string]Field
}

// ServiceProject is a project of Service Management, whose forms are as Jira makes them: no labels and no priority.
func ServiceProject(key string) Project {
	p := DefaultProject(key)
	for i := range p.Transitions {
		p.Transitions[i].Portal = p.Transitions[i].ID == "31"
	}
	p.Desk = &Desk{ID: "7", OnBehalf: true, Types: []RequestType{
		{"24", "Get help", "Task", map[string]Field{"summary": {Name: "Summary", Required: true}}},
		{"25", "Report a system problem", "Incident", map[string]Field{
			"summary": {Name: "What is broken?", Required: true}, "description": {Name: "Details"},
		}},
	}}
	return p
}

// deskRoutes are those of the service desk's API.
var deskRoutes = func() []route {
	at := func(pattern string) *regexp.Regexp {
		return regexp.MustCompile(`^/rest/servicedeskapi` + pattern + `$`)
	}
	const name = `([^/]+)`
	return []route{
		{OpMeta, http.MethodGet, at(`/servicedesk`), (*Server).desks, false, true},
		{OpMeta, http.MethodGet, at(`/servicedesk/` + name + `/requesttype`), (*Server).requestTypes, false, true},
		{OpMeta, http.MethodGet, at(`/servicedesk/` + name + `/requesttype/` + name + `/field`), (*Server).requestForm, false, true},
		{OpCreate, http.MethodPost, at(`/request`), (*Server).request, false, true},
		{OpComment, http.MethodPost, at(`/request/` + name + `/comment`), (*Server).requestComment, false, true},
		{OpTransitions, http.MethodGet, at(`/request/` + name + `/transition`), (*Server).portalTransitions, false, true},
		{OpTransition, http.MethodPost, at(`/request/` + name + `/transition`), (*Server).portalTransition, false, true},
	}
}()

func deskRefuse(status int, message string) doubletest.Answer {
	return doubletest.Answer{Status: status, Body: map[string]any{"errorMessage": message, "i18nErrorMessage": map[string]any{"i18nKey": "sd.error", "parameters": []string{}}}}
}

// deskPage cuts a page: few items, so that clients have to turn pages.
func deskPage(r *http.Request, list []any) doubletest.Answer {
	const most = 2
	from, limit := 0, most
	if v, err := strconv.Atoi(r.URL.Query().Get("start")); err == nil {
		from = min(max(v, 0), len(list))
	}
	if v, err := strconv.Atoi(r.URL.Query().Get("limit")); err == nil {
		limit = min(max(v, 0), most)
	}
	to := min(from+limit, len(list))
	return ok(map[string]any{"size": to - from, "start": from, "limit": limit, "isLastPage": to == len(list), "values": list[from:to]})
}

func (s *Server) desks(r *http.Request, _ []string, _ []byte) doubletest.Answer {
	list := []any{}
	for _, key := range slices.Sorted(maps.Keys(s.projects)) {
		if p := s.projects[key]; p.Desk != nil {
			list = append(list, map[string]any{"id": p.Desk.ID, "projectId": "10000", "projectName": p.Key + " desk", "projectKey": p.Key})
		}
	}
	return deskPage(r, list)
}

// desk returns the project of a service desk.
func (s *Server) desk(id string) *Project {
	for _, p := range s.projects {
		if p.Desk != nil && p.Desk.ID == id {
			return p
		}
	}
	return nil
}

func (p *Project) requestType(id string) *RequestType {
	for i := range p.Desk.Types {
		if p.Desk.Types[i].ID == id {
			return &p.Desk.Types[i]
		}
	}
	return nil
}

func (s *Server) requestTypes(r *http.Request, params []string, _ []byte) doubletest.Answer {
	p := s.desk(params[0])
	if p == nil {
		return deskRefuse(http.StatusNotFound, "The Service Desk you are trying to view does not exist.")
	}
	list := []any{}
	for _, rt := range p.Desk.Types {
		list = append(list, map[string]any{"id": rt.ID, "name": rt.Name, "serviceDeskId": p.Desk.ID, "issueTypeId": p.typeID(rt.IssueType), "groupIds": []string{}})
	}
	return deskPage(r, list)
}

func (s *Server) requestForm(_ *http.Request, params []string, _ []byte) doubletest.Answer {
	p := s.desk(params[0])
	if p == nil || p.requestType(params[1]) == nil {
		return deskRefuse(http.StatusNotFound, "The request type does not exist.")
	}
	form := p.requestType(params[1]).Form
	var fields []any
	for _, id := range slices.Sorted(maps.Keys(form)) {
		f := form[id]
		values := []any{}
		for _, v := range f.Allowed {
			values = append(values, map[string]any{"value": v.ID, "label": v.Name, "children": []any{}})
		}
		def := []any{}
		if f.HasDefault {
			def = append(def, map[string]any{"value": "x", "label": "x", "children": []any{}})
		}
		fields = append(fields, map[string]any{
			"fieldId": id, "name": f.Name, "required": f.Required, "validValues": values, "defaultValues": def, "presetValues": []string{}, "visible": true,
			"jiraSchema": map[string]any{"type": "string", "system": id},
		})
	}
	return ok(map[string]any{"requestTypeFields": fields, "canRaiseOnBehalfOf": p.Desk.OnBehalf, "canAddRequestParticipants": true})
}

type requestCreate struct {
	ServiceDeskID      string                     `json:"serviceDeskId"`
	RequestTypeID      string                     `json:"requestTypeId"`
	RequestFieldValues map[string]json.RawMessage `json:"requestFieldValues"`
	RaiseOnBehalfOf    string                     `json:"raiseOnBehalfOf"`
	IsAdfRequest       bool                       `json:"isAdfRequest"`
}

func (s *Server) request(_ *http.Request, _ []string, body []byte) doubletest.Answer {
	var req requestCreate
	must(json.Unmarshal(body, &req))
	p := s.desk(req.ServiceDeskID)
	if p == nil {
		return deskRefuse(http.StatusBadRequest, "The Service Desk you are trying to view does not exist.")
	}
	rt := p.requestType(req.RequestTypeID)
	text, isText := req.RequestFieldValues["description"], len(req.RequestFieldValues["description"]) > 0
	isText = isText && text[0] == '"'
	switch {
	case slices.Contains(p.Denied, "CREATE_ISSUES"):
		return deskRefuse(http.StatusForbidden, "You do not have permission to create a request.")
	case rt == nil:
		return deskRefuse(http.StatusBadRequest, "The request type does not exist.")
	case req.IsAdfRequest && (s.o.NoADF || s.o.DataCenter):
		return deskRefuse(http.StatusBadRequest, "isAdfRequest is not supported.")
	case text != nil && req.IsAdfRequest == isText:
		return deskRefuse(http.StatusBadRequest, "description: the value has the wrong format.")
	case req.RaiseOnBehalfOf != "" && !p.Desk.OnBehalf:
		return deskRefuse(http.StatusForbidden, "You may not raise requests on behalf of others.")
	}
	i := &issue{properties: map[string]json.RawMessage{}, onBehalfOf: req.RaiseOnBehalfOf}
	i.project, i.status, i.creator, i.fields, i.typeName = p.Key, p.Statuses[0], Account, map[string]json.RawMessage{}, rt.IssueType
	form := *p
	form.Screen = rt.Form
	if errors := i.set(&form, req.RequestFieldValues); len(errors) > 0 {
		return deskRefuse(http.StatusBadRequest, fmt.Sprint(errors))
	}
	if isText && !s.o.DataCenter {
		i.description = document(i.text)
	}
	s.add(i)
	status := map[string]any{"status": i.status.Name, "statusCategory": strings.ToUpper(i.status.Category)}
	return doubletest.Answer{Status: http.StatusCreated, Body: map[string]any{
		"issueId": strconv.FormatInt(i.id, 10), "issueKey": i.key, "requestTypeId": rt.ID, "serviceDeskId": p.Desk.ID, "currentStatus": status,
	}}
}

func (s *Server) requestComment(_ *http.Request, params []string, body []byte) doubletest.Answer {
	i := s.find(params[0])
	if i == nil || s.projects[i.project].Desk == nil {
		return deskRefuse(http.StatusNotFound, "The request does not exist or you may not see it.")
	}
	req := struct {
		Body   string
		Public *bool
	}{}
	must(json.Unmarshal(body, &req))
	raw, _ := json.Marshal(req.Body)
	if req.Body == "" || units(raw) > maxText {
		return deskRefuse(http.StatusBadRequest, "The comment is empty or too long.")
	}
	if !s.o.DataCenter {
		raw = document(req.Body)
	}
	c := comment{id: s.commentID(), body: raw, author: Account, created: s.o.Now(), public: req.Public == nil || *req.Public}
	i.comments = append(i.comments, c)
	s.touch(i)
	return doubletest.Answer{Status: http.StatusCreated, Body: map[string]any{"id": c.id, "body": req.Body, "public": c.public}}
}

func (s *Server) portalTransitions(r *http.Request, params []string, _ []byte) doubletest.Answer {
	i := s.find(params[0])
	if i == nil {
		return deskRefuse(http.StatusNotFound, "The request does not exist or you may not see it.")
	}
	list := []any{}
	for _, t := range s.projects[i.project].offered(i) {
		if t.Portal {
			list = append(list, map[string]any{"id": t.ID, "name": t.Name})
		}
	}
	return deskPage(r, list)
}

func (s *Server) portalTransition(_ *http.Request, params []string, body []byte) doubletest.Answer {
	i := s.find(params[0])
	if i == nil {
		return deskRefuse(http.StatusNotFound, "The request does not exist or you may not see it.")
	}
	var req struct{ ID string }
	must(json.Unmarshal(body, &req))
	p := s.projects[i.project]
	for _, t := range p.offered(i) {
		if t.Portal && t.ID == req.ID {
			return s.pass(i, p, t, nil)
		}
	}
	return deskRefuse(http.StatusBadRequest, "The transition is not enabled for customers.")
}

// editIssue changes fields, labels and properties of an issue, or nothing of it.
func (s *Server) editIssue(_ *http.Request, params []string, body []byte) doubletest.Answer {
	i := s.find(params[0])
	if i == nil {
		return noIssue()
	}
	var req struct {
		Fields     map[string]json.RawMessage
		Update     map[string][]struct{ Add string }
		Properties []struct {
			Key   string
			Value json.RawMessage
		}
	}
	must(json.Unmarshal(body, &req))
	p := s.projects[i.project]
	if slices.Contains(p.Denied, "EDIT_ISSUES") {
		return refuse(http.StatusForbidden, "You do not have permission to edit this issue.")
	}
	errors := map[string]string{}
	for _, id := range slices.Concat(slices.Collect(maps.Keys(req.Fields)), slices.Collect(maps.Keys(req.Update))) {
		if p.Edit != nil && !slices.Contains(p.Edit, id) {
			errors[id] = fmt.Sprintf("Field '%s' cannot be set. It is not on the appropriate screen, or unknown.", id)
		}
	}
	if len(errors) > 0 {
		return refuseFields(errors)
	}
	for id, raw := range req.Fields {
		if msg := i.setField(p, id, raw); msg != "" {
			return refuseFields(map[string]string{id: msg})
		}
	}
	for _, l := range req.Update["labels"] {
		if !slices.Contains(i.labels, l.Add) {
			i.labels = append(i.labels, l.Add)
		}
	}
	for _, prop := range req.Properties {
		i.properties[prop.Key] = s.property(prop.Value)
	}
	s.touch(i)
	return doubletest.Answer{Status: http.StatusNoContent, Empty: true}
}

var (
	escaped = regexp.MustCompile(`\\([^A-Za-z0-9\s])`)
	linked  = regexp.MustCompile(`(^|[^\\])\[([^|\]]*[^|\]\\])\|[^\]]*\]`)
)

// document is what Jira makes of wiki markup, as far as its words go.
func document(wiki string) json.RawMessage {
	lines := []any{}
	for line := range strings.Lines(wiki) {
		line = html.UnescapeString(escaped.ReplaceAllString(linked.ReplaceAllString(strings.TrimRight(line, "\n"), "$1$2"), "$1"))
		line = strings.TrimSuffix(strings.TrimPrefix(line, "{{"), "}}")
		if line != "" {
			lines = append(lines, map[string]any{"type": "paragraph", "content": []any{map[string]any{"type": "text", "text": line}}})
		}
	}
	raw, err := json.Marshal(map[string]any{"type": "doc", "version": 1, "content": lines})
	must(err)
	return raw
}

// flatten returns the words of a description: wiki markup, or a document.
func flatten(raw json.RawMessage) string {
	var s string
	if json.Unmarshal(raw, &s) == nil {
		return s
	}
	var b strings.Builder
	var walk func(raw json.RawMessage)
	walk = func(raw json.RawMessage) {
		var n struct {
			Text    string
			Content []json.RawMessage
		}
		if json.Unmarshal(raw, &n) != nil {
			return
		}
		b.WriteString(n.Text)
		for _, c := range n.Content {
			walk(c)
		}
		b.WriteByte('\n')
	}
	walk(raw)
	return b.String()
}
