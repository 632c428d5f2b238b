package jiratest

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// issue is an issue with its history in the search index.
type issue struct {
	view
	description json.RawMessage
	comments    []comment
	properties  map[string]json.RawMessage
	links       []link
	onBehalfOf  string
	oldKeys     []string // before moves; they still lead here
	deleted     bool
	index       []indexed
}

// view is what a search shows of an issue.
type view struct {
	id         int64
	key        string
	project    string
	typeName   string
	summary    string
	labels     []string
	priority   string
	status     State
	resolution string
	creator    string
	created    time.Time
	updated    time.Time
	fields     map[string]json.RawMessage // further fields
	text       string                     // of the description
}

// indexed is a view that the search knows from a time on.
type indexed struct {
	from time.Time
	view view
}

type comment struct {
	id      string
	body    json.RawMessage
	author  string
	created time.Time
	public  bool // customers see it
}

type link struct{ kind, inward, outward string }

// touch brings the issue's present state on its way to the index.
func (s *Server) touch(i *issue) {
	i.updated = s.o.Now()
	v := i.view
	v.labels = slices.Clone(i.labels)
	i.index = append(i.index, indexed{from: i.updated.Add(s.o.SearchLag), view: v})
}

// seen returns what the search knows of the issue.
func (s *Server) seen(i *issue) (view, bool) {
	now := s.o.Now()
	for k := len(i.index) - 1; k >= 0; k-- {
		if !i.index[k].from.After(now) {
			return i.index[k].view, true
		}
	}
	return view{}, false
}

// find returns the issue with that key, old key or id.
func (s *Server) find(name string) *issue {
	for _, i := range s.issues {
		if !i.deleted && (strconv.FormatInt(i.id, 10) == name || strings.EqualFold(i.key, name) || slices.Contains(i.oldKeys, name)) {
			return i
		}
	}
	return nil
}

// nextKey counts the keys of a project.
func (s *Server) nextKey(project string) string {
	n := 1
	for _, i := range s.issues {
		for _, key := range append([]string{i.key}, i.oldKeys...) {
			if strings.HasPrefix(key, project+"-") {
				n++
			}
		}
	}
	return fmt.Sprintf("%s-%d", project, n)
}

func (s *Server) add(i *issue) {
	i.id = int64(10001 + len(s.issues))
	i.key = s.nextKey(i.project)
	i.created = s.o.Now()
	s.issues = append(s.issues, i)
	s.touch(i)
}

// Issue is an issue as it is now, for assertions.
type Issue struct {
	ID, Key     string
	Summary     string
	Description json.RawMessage
	Labels      []string
	Priority    string
	Type        string
	Status      string
	Category    string
	Resolution  string
	Creator     string
	OnBehalfOf  string
	Comments    []json.RawMessage // ADF
	Public      int               // how many of them customers see
	Properties  map[string]json.RawMessage
	Fields      map[string]json.RawMessage
	// Links are "<type> <key>" to the issue that this one is inward of.
	Links []string
}

// Issues returns all issues that were not deleted, oldest first, also those that
// no answer told of.
func (s *Server) Issues() []Issue {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []Issue
	for _, i := range s.issues {
		if i.deleted {
			continue
		}
		is := Issue{
			ID: strconv.FormatInt(i.id, 10), Key: i.key, Summary: i.summary, Description: i.description, Labels: slices.Clone(i.labels),
			Priority: i.priority, Type: i.typeName, Status: i.status.Name, Category: i.status.Category, Resolution: i.resolution,
			Creator: i.creator, OnBehalfOf: i.onBehalfOf, Properties: i.properties, Fields: i.fields,
		}
		for _, c := range i.comments {
			is.Comments = append(is.Comments, c.body)
			if c.public {
				is.Public++
			}
		}
		for _, l := range i.links {
			if l.inward == i.key {
				is.Links = append(is.Links, l.kind+" "+l.outward)
			}
		}
		out = append(out, is)
	}
	return out
}

// Issue returns the issue with that key, old key or id; it panics without one.
func (s *Server) Issue(name string) Issue {
	s.mu.Lock()
	i := s.find(name)
	s.mu.Unlock()
	for _, is := range s.Issues() {
		if i != nil && is.ID == strconv.FormatInt(i.id, 10) {
			return is
		}
	}
	panic("jiratest: no issue " + name)
}

// Duplicates returns the labels with the prefix that more than one issue made by
// the client carries, each with the keys of those issues. With openOnly, closed
// issues do not count.
func (s *Server) Duplicates(prefix string, openOnly bool) map[string][]string {
	by := map[string][]string{}
	for _, i := range s.Issues() {
		if i.Creator != Account || openOnly && i.Category == "done" {
			continue
		}
		for _, l := range i.Labels {
			if strings.HasPrefix(l, prefix) {
				by[l] = append(by[l], i.Key)
			}
		}
	}
	for l, keys := range by {
		if len(keys) < 2 {
			delete(by, l)
		}
	}
	return by
}

// SetStatus moves an issue as a person does, outside of any workflow.
func (s *Server) SetStatus(key, status string) {
	s.edit(key, func(i *issue) {
		states := s.projects[i.project].Statuses
		n := slices.IndexFunc(states, func(st State) bool { return st.Name == status })
		if n < 0 {
			panic("jiratest: no status " + status)
		}
		i.status = states[n]
	})
}

// Comment writes a comment as a person does.
func (s *Server) Comment(key, text string) {
	s.edit(key, func(i *issue) {
		body := fmt.Appendf(nil, `{"type":"doc","version":1,"content":[{"type":"paragraph","content":[{"type":"text","text":%q}]}]}`, text)
		i.comments = append(i.comments, comment{id: s.commentID(), body: body, author: Person, created: s.o.Now()})
	})
}

// Label adds a label as a person does.
func (s *Server) Label(key, label string) {
	s.edit(key, func(i *issue) { i.labels = append(i.labels, label) })
}

// Move moves an issue to another project: a new key, the same id.
func (s *Server) Move(key, project string) {
	s.edit(key, func(i *issue) {
		if s.projects[project] == nil {
			panic("jiratest: no project " + project)
		}
		next := s.nextKey(project)
		i.oldKeys = append(i.oldKeys, i.key)
		i.project, i.key = project, next
	})
}

// Delete deletes an issue.
func (s *Server) Delete(key string) { s.edit(key, func(i *issue) { i.deleted = true }) }

// Clone copies an issue as a person does: labels come along, entity properties
// do not. It returns the key of the copy.
func (s *Server) Clone(key string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	from := s.find(key)
	i := &issue{view: from.view, description: from.description, properties: map[string]json.RawMessage{}}
	i.summary, i.creator, i.labels = "CLONE - "+i.summary, Person, slices.Clone(i.labels)
	s.add(i)
	return i.key
}

func (s *Server) edit(key string, f func(*issue)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := s.find(key)
	if i == nil {
		panic("jiratest: no issue " + key)
	}
	f(i)
	s.touch(i)
}

func (s *Server) commentID() string {
	n := 0
	for _, i := range s.issues {
		n += len(i.comments)
	}
	return strconv.Itoa(20000 + n)
}

func byAge(a, b view) int { return cmp.Compare(a.id, b.id) }
