package jiratest

import (
	"net/http"
	"regexp"

	"github.com/portent-dev/portent/internal/ticket/doubletest"
)

// The operations, for faults and counts.
const (
	OpAccount     = "account"
	OpComment     = "comment"
	OpComments    = "comments"
	OpCreate      = "create"
	OpLink        = "link"
	OpMeta        = "meta"
	OpPermissions = "permissions"
	OpProject     = "project"
	OpProperty    = "property"
	OpRead        = "read"
	OpSearch      = "search"
	OpStatuses    = "statuses"
	OpTransition  = "transition"
	OpTransitions = "transitions"
)

// writes are the operations that change something.
var writes = map[string]bool{OpCreate: true, OpComment: true, OpTransition: true, OpProperty: true, OpLink: true}

// route is an operation that the double plays. handle runs with the site locked.
type route struct {
	op      string
	method  string
	pattern *regexp.Regexp
	handle  func(s *Server, r *http.Request, params []string, body []byte) doubletest.Answer
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

// route finds what a request asks for.
func (s *Server) route(r *http.Request) (doubletest.Route, bool) {
	for _, rt := range tables[s.o.DataCenter] {
		m := rt.pattern.FindStringSubmatch(r.URL.Path)
		if rt.method != r.Method || m == nil {
			continue
		}
		out := doubletest.Route{
			Op: rt.op, Write: writes[rt.op], Contract: s.o.Contract, Allowed: authorized(r),
			Handle: func(r *http.Request, body []byte) doubletest.Answer {
				s.mu.Lock()
				defer s.mu.Unlock()
				return rt.handle(s, r, m[1:], body)
			},
		}
		if s.o.DataCenter { // its description begins below, and leaves out operations that it has
			out.Prefix = len("/rest")
			if rt.undescribed {
				out.Contract = nil
			}
		}
		return out, true
	}
	return doubletest.Route{}, false
}

func authorized(r *http.Request) bool {
	user, password, ok := r.BasicAuth()
	return ok && user == Email && password == Token || r.Header.Get("Authorization") == "Bearer "+Token
}
