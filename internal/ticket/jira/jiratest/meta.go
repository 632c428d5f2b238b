package jiratest

import (
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/portent-dev/portent/internal/ticket/doubletest"
)

func self(r *http.Request, path string) string {
	version := "3"
	if strings.HasPrefix(r.URL.Path, "/rest/api/2") {
		version = "2"
	}
	return "http://" + r.Host + "/rest/api/" + version + path
}

// user is an account as the site names it.
func (s *Server) user(id string) map[string]any {
	if s.o.DataCenter {
		return map[string]any{"key": "JIRAUSER-" + id, "name": id, "displayName": id, "active": true}
	}
	return map[string]any{"accountId": id, "active": true, "displayName": id}
}

func (s *Server) myself(r *http.Request, _ []string, _ []byte) doubletest.Answer {
	if s.o.DataCenter {
		return ok(s.user(Account))
	}
	return ok(map[string]any{"self": self(r, "/user?accountId="+Account), "accountId": Account, "accountType": "app", "displayName": "Portent", "active": true})
}

// noProject is Jira's answer for what does not exist and for what may not be
// seen alike.
func noProject(key string) doubletest.Answer {
	return refuse(http.StatusNotFound, "No project could be found with key '"+key+"'.")
}

func (s *Server) project(r *http.Request, params []string, _ []byte) doubletest.Answer {
	p := s.projects[params[0]]
	if p == nil {
		return noProject(params[0])
	}
	return ok(map[string]any{
		"self": self(r, "/project/"+p.Key), "id": "10000", "key": p.Key, "name": p.Key, "archived": p.Archived,
		"projectTypeKey": "software", "simplified": false, "style": "classic",
	})
}

func (s *Server) permissions(r *http.Request, _ []string, _ []byte) doubletest.Answer {
	p := s.projects[r.URL.Query().Get("projectKey")]
	if p == nil {
		return noProject(r.URL.Query().Get("projectKey"))
	}
	names := r.URL.Query().Get("permissions")
	if s.o.DataCenter {
		names = "BROWSE_PROJECTS,CREATE_ISSUES,ADD_COMMENTS,TRANSITION_ISSUES,EDIT_ISSUES,LINK_ISSUES"
	}
	if names == "" {
		return refuse(http.StatusBadRequest, "The 'permissions' query parameter is required.")
	}
	out := map[string]any{}
	for i, key := range strings.Split(names, ",") {
		out[key] = map[string]any{"id": strconv.Itoa(10 + i), "key": key, "name": key, "type": "PROJECT", "havePermission": !slices.Contains(p.Denied, key)}
	}
	return ok(map[string]any{"permissions": out})
}

func (p *Project) typeID(name string) string {
	return strconv.Itoa(10001 + slices.Index(p.Types, name))
}

func (p *Project) typeName(v map[string]any) string {
	for _, t := range p.Types {
		if v["id"] == p.typeID(t) || v["id"] == nil && v["name"] == t {
			return t
		}
	}
	return ""
}

func (s *Server) statuses(r *http.Request, params []string, _ []byte) doubletest.Answer {
	p := s.projects[params[0]]
	if p == nil {
		return noProject(params[0])
	}
	var all []any
	for _, st := range p.Statuses {
		all = append(all, st.json())
	}
	var out []any
	for _, t := range p.Types {
		out = append(out, map[string]any{"self": self(r, "/issuetype/"+p.typeID(t)), "id": p.typeID(t), "name": t, "subtask": false, "statuses": all})
	}
	return ok(out)
}

func (st State) json() map[string]any {
	category := map[string]struct {
		id   int
		name string
	}{"new": {2, "To Do"}, "indeterminate": {4, "In Progress"}, "done": {3, "Done"}}[st.Category]
	return map[string]any{"id": st.ID, "name": st.Name, "statusCategory": map[string]any{"id": category.id, "key": st.Category, "name": category.name}}
}

// span cuts the page that the query asks for out of n items.
func span(r *http.Request, n, size int) (from, to int) {
	if v, err := strconv.Atoi(r.URL.Query().Get("startAt")); err == nil {
		from = min(max(v, 0), n)
	}
	if v, err := strconv.Atoi(r.URL.Query().Get("maxResults")); err == nil {
		size = min(max(v, 0), size)
	}
	return from, min(from+size, n)
}

// metaPage is how many items a page of metadata has at most here, few enough
// that clients have to turn pages.
const metaPage = 4

func (s *Server) issueTypes(r *http.Request, params []string, _ []byte) doubletest.Answer {
	p := s.projects[params[0]]
	if s.o.NoMeta {
		return doubletest.Answer{Status: http.StatusNotFound, Text: "null for uri"}
	}
	if p == nil {
		return refuse(http.StatusBadRequest, "Project not found")
	}
	list := []any{}
	if !slices.Contains(p.Denied, "CREATE_ISSUES") {
		for _, t := range p.Types {
			list = append(list, map[string]any{"self": self(r, "/issuetype/"+p.typeID(t)), "id": p.typeID(t), "name": t, "subtask": false})
		}
	}
	from, to := span(r, len(list), metaPage)
	return ok(map[string]any{"startAt": from, "maxResults": metaPage, "total": len(list), s.listName("issueTypes"): list[from:to]})
}

func (s *Server) createFields(r *http.Request, params []string, _ []byte) doubletest.Answer {
	p := s.projects[params[0]]
	if p == nil || p.typeName(map[string]any{"id": params[1]}) == "" {
		return refuse(http.StatusBadRequest, "Project or issue type not found")
	}
	var list []any
	for _, id := range slices.Sorted(maps.Keys(p.Screen)) {
		f := p.Screen[id].json(id)
		f["fieldId"] = id
		list = append(list, f)
	}
	from, to := span(r, len(list), metaPage)
	return ok(map[string]any{"startAt": from, "maxResults": metaPage, "total": len(list), s.listName("fields"): list[from:to]})
}

func (f Field) json(id string) map[string]any {
	out := map[string]any{
		"key": id, "name": f.Name, "required": f.Required, "hasDefaultValue": f.HasDefault,
		"operations": []string{"set"}, "schema": map[string]any{"type": "string", "system": id},
	}
	if f.Allowed != nil {
		out["allowedValues"] = f.Allowed
	}
	return out
}

// listName is how a page of metadata calls its list.
func (s *Server) listName(cloud string) string {
	if s.o.DataCenter {
		return "values"
	}
	return cloud
}
