package jiratest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/portent-dev/portent/internal/ticket/doubletest"
)

func (s *Server) read(r *http.Request, params []string, _ []byte) doubletest.Answer {
	i := s.find(params[0])
	if i == nil {
		return noIssue()
	}
	fields := []string{"*all"}
	if f := r.URL.Query().Get("fields"); f != "" {
		fields = strings.Split(f, ",")
	}
	out := s.json(i.view, r, fields)
	if expand := r.URL.Query().Get("expand"); strings.Contains(expand, "transitions") {
		out["transitions"] = s.offers(i, strings.Contains(expand, "transitions.fields") && !s.o.NoMeta)
	}
	if names := r.URL.Query().Get("properties"); names != "" {
		out["properties"] = only(i.properties, strings.Split(names, ","))
	}
	return ok(out)
}

func only(m map[string]json.RawMessage, names []string) map[string]json.RawMessage {
	out := map[string]json.RawMessage{}
	for k, v := range m {
		if slices.Contains(names, k) || slices.Contains(names, "*all") {
			out[k] = v
		}
	}
	return out
}

// json is the view as GET and search show it. An empty list of fields is the
// default of search: the id alone.
func (s *Server) json(v view, r *http.Request, fields []string) map[string]any {
	id := strconv.FormatInt(v.id, 10)
	out := map[string]any{"id": id}
	if len(fields) == 0 || slices.Equal(fields, []string{"id"}) {
		return out
	}
	out["key"], out["self"] = v.key, self(r, "/issue/"+id)
	all := map[string]any{
		"summary": v.summary, "labels": v.labels, "status": v.status.json(), "project": map[string]any{"key": v.project},
		"issuetype": map[string]any{"name": v.typeName}, "creator": s.user(v.creator),
		"created": v.created.UTC().Format("2006-01-02T15:04:05.000-0700"), "updated": v.updated.UTC().Format("2006-01-02T15:04:05.000-0700"),
		"resolution": nil,
	}
	if i := s.find(id); i != nil && i.description != nil {
		all["description"] = i.description
	}
	if v.labels == nil {
		all["labels"] = []string{}
	}
	if v.priority != "" {
		all["priority"] = map[string]any{"name": v.priority}
	}
	if v.resolution != "" {
		all["resolution"] = map[string]any{"name": v.resolution}
	}
	if !slices.Contains(fields, "*all") {
		for name := range all {
			if !slices.Contains(fields, name) {
				delete(all, name)
			}
		}
	}
	out["fields"] = all
	return out
}

func (s *Server) comments(r *http.Request, params []string, _ []byte) doubletest.Answer {
	i := s.find(params[0])
	if i == nil {
		return noIssue()
	}
	list := slices.Clone(i.comments)
	if r.URL.Query().Get("orderBy") == "-created" {
		slices.Reverse(list)
	}
	from, to := span(r, len(list), 100)
	page, checked := []any{}, []any{}
	for _, c := range list[from:to] {
		page, checked = append(page, s.commentJSON(c, r, i, c.body)), append(checked, s.commentJSON(c, r, i, s.anyBody()))
	}
	whole := func(page []any) map[string]any {
		return map[string]any{"startAt": from, "maxResults": 100, "total": len(list), "comments": page}
	}
	return doubletest.Answer{Status: http.StatusOK, Body: whole(page), Checked: whole(checked)}
}

func (s *Server) transitions(r *http.Request, params []string, _ []byte) doubletest.Answer {
	i := s.find(params[0])
	if i == nil {
		return noIssue()
	}
	list := s.offers(i, strings.Contains(r.URL.Query().Get("expand"), "transitions.fields"))
	return ok(map[string]any{"expand": "transitions", "transitions": list})
}

// offers are the transitions from where the issue is.
func (s *Server) offers(i *issue, withFields bool) []any {
	p := s.projects[i.project]
	list := []any{}
	for _, t := range p.offered(i) {
		out := map[string]any{
			"id": t.ID, "name": t.Name, "to": p.status(t.To).json(), "hasScreen": len(t.Fields) > 0,
			"isGlobal": len(t.From) == 0, "isInitial": false, "isAvailable": true, "isConditional": false,
		}
		if withFields {
			fields := map[string]any{}
			for id, f := range t.Fields {
				fields[id] = f.json(id)
			}
			out["fields"] = fields
		}
		list = append(list, out)
	}
	return list
}

type searchRequest struct {
	JQL             string   `json:"jql"`
	Fields          []string `json:"fields"`
	MaxResults      *int     `json:"maxResults"`
	NextPageToken   string   `json:"nextPageToken"`
	ReconcileIssues []int64  `json:"reconcileIssues"`
}

func (s *Server) search(r *http.Request, _ []string, body []byte) doubletest.Answer {
	var req searchRequest
	must(json.Unmarshal(body, &req))
	size := 50
	if req.MaxResults != nil {
		size = *req.MaxResults
	}
	query, err := parseJQL(req.JQL)
	switch {
	case err != nil:
		return refuse(http.StatusBadRequest, err.Error())
	case query.where == nil:
		return refuse(http.StatusBadRequest, "Unbounded JQL queries are not allowed here. Please add a search restriction to your query.")
	case size < 1 || size > 5000:
		return refuse(http.StatusBadRequest, "The maxResults parameter must be between 1 and 5,000.")
	case len(req.ReconcileIssues) > 50:
		return refuse(http.StatusBadRequest, "The maximum number of issues that can be reconciled is 50.")
	}
	for _, p := range query.projects() {
		if s.projects[p] == nil {
			return refuse(http.StatusBadRequest, fmt.Sprintf("The value '%s' does not exist for the field 'project'.", p))
		}
	}
	hits := s.hits(query, req.ReconcileIssues)
	from := 0
	if req.NextPageToken != "" {
		if from, err = strconv.Atoi(strings.TrimPrefix(req.NextPageToken, "page-")); err != nil || from > len(hits) {
			return refuse(http.StatusBadRequest, "The provided next page token is invalid or expired.")
		}
	}
	to := min(from+size, len(hits))
	page := []any{}
	for _, v := range hits[from:to] {
		page = append(page, s.json(v, r, req.Fields))
	}
	out := map[string]any{"issues": page, "isLast": to == len(hits)}
	if to < len(hits) {
		out["nextPageToken"] = fmt.Sprintf("page-%d", to)
	}
	return ok(out)
}

// searchDC is the search of Data Center.
func (s *Server) searchDC(r *http.Request, _ []string, body []byte) doubletest.Answer {
	var req struct {
		JQL        string   `json:"jql"`
		Fields     []string `json:"fields"`
		StartAt    int      `json:"startAt"`
		MaxResults *int     `json:"maxResults"`
	}
	must(json.Unmarshal(body, &req))
	size := 50
	if req.MaxResults != nil {
		size = *req.MaxResults
	}
	query, err := parseJQL(req.JQL)
	if err != nil {
		return refuse(http.StatusBadRequest, err.Error())
	}
	if query.where == nil {
		query.where = func(view) bool { return true }
	}
	for _, p := range query.projects() {
		if s.projects[p] == nil {
			return refuse(http.StatusBadRequest, fmt.Sprintf("The value '%s' does not exist for the field 'project'.", p))
		}
	}
	hits := s.hits(query, nil)
	from := min(max(req.StartAt, 0), len(hits))
	page := []any{}
	for _, v := range hits[from:min(from+size, len(hits))] {
		page = append(page, s.json(v, r, req.Fields))
	}
	return ok(map[string]any{"startAt": from, "maxResults": size, "total": len(hits), "issues": page})
}

// hits are the views that match: as the index knows them, or as they are for the
// issues to be reconciled.
func (s *Server) hits(query jql, reconcile []int64) []view {
	var out []view
	for _, i := range s.issues {
		if i.deleted {
			continue
		}
		v, ok := s.seen(i)
		if slices.Contains(reconcile, i.id) {
			v, ok = i.view, true
		}
		if ok && query.where(v) {
			out = append(out, v)
		}
	}
	slices.SortFunc(out, byAge)
	if query.newestFirst {
		slices.Reverse(out)
	}
	return out
}
