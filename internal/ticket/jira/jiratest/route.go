package jiratest

import (
	"net/http"
	"regexp"
)

// route is an operation that the double plays. handle runs with the site locked.
type route struct {
	op      string
	method  string
	pattern *regexp.Regexp
	handle  func(s *Server, r *http.Request, params []string, body []byte) answer
	// undescribed: Data Center has it, and its description says nothing of it.
	undescribed bool
}

// routes are tried in order.
func routes(version string) []route {
	at := func(pattern string) *regexp.Regexp {
		return regexp.MustCompile(`^/rest/api/` + version + pattern + `$`)
	}
	const name = `([^/]+)`
	return []route{
		{OpAccount, http.MethodGet, at(`/myself`), (*Server).myself, false},
		{OpPermissions, http.MethodGet, at(`/mypermissions`), (*Server).permissions, true},
		{OpProject, http.MethodGet, at(`/project/` + name), (*Server).project, false},
		{OpStatuses, http.MethodGet, at(`/project/` + name + `/statuses`), (*Server).statuses, true},
		{OpMeta, http.MethodGet, at(`/issue/createmeta/` + name + `/issuetypes`), (*Server).issueTypes, true},
		{OpMeta, http.MethodGet, at(`/issue/createmeta/` + name + `/issuetypes/` + name), (*Server).createFields, true},
		{OpCreate, http.MethodPost, at(`/issue`), (*Server).create, false},
		{OpRead, http.MethodGet, at(`/issue/` + name), (*Server).read, false},
		{OpComments, http.MethodGet, at(`/issue/` + name + `/comment`), (*Server).comments, false},
		{OpComment, http.MethodPost, at(`/issue/` + name + `/comment`), (*Server).comment, false},
		{OpTransitions, http.MethodGet, at(`/issue/` + name + `/transitions`), (*Server).transitions, false},
		{OpTransition, http.MethodPost, at(`/issue/` + name + `/transitions`), (*Server).transition, false},
		{OpProperty, http.MethodPut, at(`/issue/` + name + `/properties/` + name), (*Server).setProperty, false},
		{OpLink, http.MethodPost, at(`/issueLink`), (*Server).link, true},
		{OpSearch, http.MethodPost, at(`/search/jql`), (*Server).search, false},
		{OpSearch, http.MethodPost, at(`/search`), (*Server).searchDC, false},
	}
}

var tables = map[bool][]route{false: routes("3"), true: routes("2")}

func (s *Server) route(r *http.Request) (route, []string) {
	for _, rt := range tables[s.o.DataCenter] {
		if rt.method == r.Method {
			if m := rt.pattern.FindStringSubmatch(r.URL.Path); m != nil {
				return rt, m[1:]
			}
		}
	}
	return route{op: "unknown"}, nil
}
