package jiratest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf16"

	"github.com/portent-dev/portent/internal/ticket/doubletest"
)

type createRequest struct {
	Fields     map[string]json.RawMessage `json:"fields"`
	Properties []struct {
		Key   string          `json:"key"`
		Value json.RawMessage `json:"value"`
	} `json:"properties"`
}

func (s *Server) create(r *http.Request, _ []string, body []byte) doubletest.Answer {
	var req createRequest
	must(json.Unmarshal(body, &req))
	var target struct{ Key string }
	must(json.Unmarshal(req.Fields["project"], &target))
	p := s.projects[target.Key]
	if p == nil || p.Archived {
		return refuseFields(map[string]string{"project": "valid project is required"})
	}
	if slices.Contains(p.Denied, "CREATE_ISSUES") {
		return refuse(http.StatusForbidden, "You do not have permission to create issues in this project.")
	}
	i := &issue{properties: map[string]json.RawMessage{}}
	i.project, i.status, i.creator, i.fields = p.Key, p.Statuses[0], Account, map[string]json.RawMessage{}
	if errors := i.set(p, req.Fields); len(errors) > 0 {
		return refuseFields(errors)
	}
	for _, prop := range req.Properties {
		i.properties[prop.Key] = s.property(prop.Value)
	}
	s.add(i)
	id := strconv.FormatInt(i.id, 10)
	return doubletest.Answer{Status: http.StatusCreated, Body: map[string]any{"id": id, "key": i.key, "self": self(r, "/issue/"+id)}}
}

// property is the value of a property as the site keeps it: old versions of Data
// Center take a string for the JSON in it.
func (s *Server) property(raw json.RawMessage) json.RawMessage {
	var text string
	if s.o.NoMeta && json.Unmarshal(raw, &text) == nil && json.Valid([]byte(text)) {
		return json.RawMessage(text)
	}
	return raw
}

// maxText is Jira's bound of a text field. It is held against the whole document
// here, the strictest reading.
const maxText = 32767

// set takes the fields of a create and returns what Jira would say against them.
func (i *issue) set(p *Project, fields map[string]json.RawMessage) map[string]string {
	errors := map[string]string{}
	for id, raw := range fields {
		if _, ok := p.Screen[id]; !ok {
			errors[id] = fmt.Sprintf("Field '%s' cannot be set. It is not on the appropriate screen, or unknown.", id)
			continue
		}
		if msg := i.setField(p, id, raw); msg != "" {
			errors[id] = msg
		}
	}
	for id, f := range p.Screen {
		if _, given := fields[id]; f.Required && !f.HasDefault && !given {
			errors[id] = f.Name + " is required."
		}
	}
	return errors
}

func (i *issue) setField(p *Project, id string, raw json.RawMessage) string {
	switch id {
	case "project":
	case "issuetype":
		var v map[string]any
		must(json.Unmarshal(raw, &v))
		if i.typeName = p.typeName(v); i.typeName == "" {
			return "Specify a valid issue type"
		}
	case "summary":
		must(json.Unmarshal(raw, &i.summary))
		if strings.TrimSpace(i.summary) == "" {
			return "You must specify a summary of the issue."
		}
	case "description":
		i.description, i.text = raw, flatten(raw)
		if units(raw) > maxText {
			return tooLong
		}
	case "labels":
		must(json.Unmarshal(raw, &i.labels))
	case "priority":
		var v Value
		must(json.Unmarshal(raw, &v))
		if i.priority = pick(p.Screen[id].Allowed, v); i.priority == "" {
			return "The priority selected is invalid."
		}
	default:
		i.fields[id] = raw
	}
	return ""
}

const tooLong = "The entered text is too long. It exceeds the allowed limit of 32,767 characters."

func units(raw json.RawMessage) int {
	var s string
	if json.Unmarshal(raw, &s) != nil { // ADF
		s = string(raw)
	}
	return len(utf16.Encode([]rune(s)))
}

// pick returns the name of the allowed value that v selects.
func pick(allowed []Value, v Value) string {
	for _, a := range allowed {
		if a.ID == v.ID || v.ID == "" && a.Name == v.Name {
			return a.Name
		}
	}
	return ""
}

// must is for bodies that the description has already held.
func must(err error) {
	if err != nil {
		panic("BUG: a checked body does not decode: " + err.Error())
	}
}

func noIssue() doubletest.Answer {
	return refuse(http.StatusNotFound, "Issue does not exist or you do not have permission to see it.")
}

func (s *Server) comment(r *http.Request, params []string, body []byte) doubletest.Answer {
	i := s.find(params[0])
	if i == nil {
		return noIssue()
	}
	var req struct{ Body json.RawMessage }
	must(json.Unmarshal(body, &req))
	if units(req.Body) > maxText {
		return refuseFields(map[string]string{"comment": tooLong})
	}
	if !s.o.DataCenter && !strings.Contains(string(req.Body), `"text"`) || string(req.Body) == `""` {
		return refuseFields(map[string]string{"comment": "Comment body can not be empty!"})
	}
	c := comment{id: s.commentID(), body: req.Body, author: Account, created: s.o.Now()}
	i.comments = append(i.comments, c)
	s.touch(i)
	return doubletest.Answer{Status: http.StatusCreated, Body: s.commentJSON(c, r, i, c.body), Checked: s.commentJSON(c, r, i, s.anyBody())}
}

// anyBody stands for the body of a comment where an answer is checked: the body
// itself was checked when it was sent, and a document of 32767 characters takes
// the validator a second.
func (s *Server) anyBody() json.RawMessage {
	if s.o.DataCenter {
		return json.RawMessage(`""`)
	}
	return json.RawMessage(`{"type":"doc","version":1,"content":[]}`)
}

func (s *Server) commentJSON(c comment, r *http.Request, i *issue, body json.RawMessage) map[string]any {
	at := c.created.UTC().Format(time.RFC3339)
	out := map[string]any{
		"self": self(r, fmt.Sprintf("/issue/%d/comment/%s", i.id, c.id)), "id": c.id, "body": body,
		"author": s.user(c.author), "created": at, "updated": at,
	}
	if !s.o.DataCenter {
		out["jsdPublic"] = c.public
	}
	return out
}

func (s *Server) transition(_ *http.Request, params []string, body []byte) doubletest.Answer {
	i := s.find(params[0])
	if i == nil {
		return noIssue()
	}
	var req struct {
		Transition struct{ ID string }
		Fields     map[string]json.RawMessage
	}
	must(json.Unmarshal(body, &req))
	p := s.projects[i.project]
	for _, t := range p.offered(i) {
		if t.ID == req.Transition.ID {
			return s.pass(i, p, t, req.Fields)
		}
	}
	return refuse(http.StatusBadRequest, fmt.Sprintf("Transition id '%s' is not valid for this issue.", req.Transition.ID))
}

// offered are the transitions from the issue's status that the account may make.
func (p *Project) offered(i *issue) []Transition {
	var out []Transition
	for _, t := range p.Transitions {
		if (len(t.From) == 0 || slices.Contains(t.From, i.status.ID)) && !slices.Contains(p.Denied, "TRANSITION_ISSUES") {
			out = append(out, t)
		}
	}
	return out
}

// pass moves the issue through a transition whose screen holds fields.
func (s *Server) pass(i *issue, p *Project, t Transition, fields map[string]json.RawMessage) doubletest.Answer {
	errors := map[string]string{}
	resolution := ""
	for id, raw := range fields {
		f, ok := t.Fields[id]
		if !ok {
			errors[id] = fmt.Sprintf("Field '%s' cannot be set. It is not on the appropriate screen, or unknown.", id)
			continue
		}
		if id == "resolution" {
			var v Value
			must(json.Unmarshal(raw, &v))
			if resolution = pick(f.Allowed, v); resolution == "" {
				errors[id] = "The resolution selected is invalid."
			}
		}
	}
	for id, f := range t.Fields {
		if _, given := fields[id]; f.Required && !f.HasDefault && !given {
			errors[id] = f.Name + " is required."
		}
	}
	if len(errors) > 0 {
		return refuseFields(errors)
	}
	for id, raw := range fields {
		if id != "resolution" {
			i.fields[id] = raw
		}
	}
	i.status = p.status(t.To)
	i.resolution = resolution
	if resolution == "" && i.status.Category == "done" {
		i.resolution = "Done" // set by the workflow itself where no screen asks
	}
	s.touch(i)
	return doubletest.Answer{Status: http.StatusNoContent, Empty: true}
}

func (s *Server) setProperty(_ *http.Request, params []string, body []byte) doubletest.Answer {
	i := s.find(params[0])
	if i == nil {
		return noIssue()
	}
	if slices.Contains(s.projects[i.project].Denied, "EDIT_ISSUES") {
		return refuse(http.StatusForbidden, "You do not have permission to edit this issue.")
	}
	_, had := i.properties[params[1]]
	i.properties[params[1]] = s.property(body)
	if had {
		return ok(map[string]any{})
	}
	return doubletest.Answer{Status: http.StatusCreated, Body: map[string]any{}}
}

func (s *Server) link(_ *http.Request, _ []string, body []byte) doubletest.Answer {
	var req struct {
		Type         struct{ Name string }
		InwardIssue  struct{ Key string }
		OutwardIssue struct{ Key string }
	}
	must(json.Unmarshal(body, &req))
	from, to := s.find(req.InwardIssue.Key), s.find(req.OutwardIssue.Key)
	switch {
	case from == nil || to == nil:
		return noIssue()
	case req.Type.Name != "Duplicate" && req.Type.Name != "Relates" && req.Type.Name != "Blocks":
		return refuse(http.StatusNotFound, "No issue link type with name '"+req.Type.Name+"' found.")
	case slices.Contains(s.projects[from.project].Denied, "LINK_ISSUES"):
		return refuse(http.StatusNotFound, "No issue link type found, or you do not have permission to link issues.")
	}
	l := link{req.Type.Name, from.key, to.key}
	if !slices.Contains(from.links, l) {
		from.links, to.links = append(from.links, l), append(to.links, l)
	}
	return doubletest.Answer{Status: http.StatusCreated, Body: map[string]any{}}
}
