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
}

// routes are tried in order.
func routes() []route {
	at := func(pattern string) *regexp.Regexp { return regexp.MustCompile(`^/rest/api/3` + pattern + `$`) }
	const name = `([^/]+)`
	return []route{
		{OpAccount, http.MethodGet, at(`/myself`), (*Server).myself},
		{OpPermissions, http.MethodGet, at(`/mypermissions`), (*Server).permissions},
		{OpProject, http.MethodGet, at(`/project/` + name), (*Server).project},
		{OpStatuses, http.MethodGet, at(`/project/` + name + `/statuses`), (*Server).statuses},
		{OpMeta, http.MethodGet, at(`/issue/createmeta/` + name + `/issuetypes`), (*Server).issueTypes},
		{OpMeta, http.MethodGet, at(`/issue/createmeta/` + name + `/issuetypes/` + name), (*Server).createFields},
		{OpCreate, http.MethodPost, at(`/issue`), (*Server).create},
		{OpRead, http.MethodGet, at(`/issue/` + name), (*Server).read},
		{OpComments, http.MethodGet, at(`/issue/` + name + `/comment`), (*Server).comments},
		{OpComment, http.MethodPost, at(`/issue/` + name + `/comment`), (*Server).comment},
		{OpTransitions, http.MethodGet, at(`/issue/` + name + `/transitions`), (*Server).transitions},
		{OpTransition, http.MethodPost, at(`/issue/` + name + `/transitions`), (*Server).transition},
		{OpProperty, http.MethodPut, at(`/issue/` + name + `/properties/` + name), (*Server).setProperty},
		{OpLink, http.MethodPost, at(`/issueLink`), (*Server).link},
		{OpSearch, http.MethodPost, at(`/search/jql`), (*Server).search},
	}
}

var table = routes()

func (s *Server) route(r *http.Request) (route, []string) {
	for _, rt := range table {
		if rt.method == r.Method {
			if m := rt.pattern.FindStringSubmatch(r.URL.Path); m != nil {
				return rt, m[1:]
			}
		}
	}
	return route{op: "unknown"}, nil
}
