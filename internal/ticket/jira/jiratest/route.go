package jiratest

import (
	"net/http"
	"regexp"
	"slices"

	"github.com/portent-dev/portent/internal/ticket/doubletest"
)

// The operations, for faults and counts.
const (
	OpAccount     = "account"
	OpComment     = "comment"
	OpComments    = "comments"
	OpCreate      = "create"
	OpEdit        = "edit"
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
var writes = map[string]bool{OpCreate: true, OpComment: true, OpTransition: true, OpProperty: true, OpLink: true, OpEdit: true}

// route is an operation that the double plays. handle runs with the site locked.
type route struct {
	op      string
	method  string
	pattern *regexp.Regexp
	handle  func(s *Server, r *http.Request, params []string, body []byte) doubletest.Answer
	// undescribed: Data Center has it, and its description says nothing of it.
	undescribed bool
	desk        bool // of Service Management
}

// routes are tried in order.
func routes(version string) []route {
	at := func(pattern string) *regexp.Regexp {
		return regexp.MustCompile(`^/rest/api/` + version + pattern + `$`)
	}
	const name = `([^/]+)`
	return []route{
		{OpAccount, http.MethodGet, at(`/myself`), (*Server).myself, false, false},
		{OpPermissions, http.MethodGet, at(`/mypermissions`), (*Server).permissions, true, false},
		{OpProject, http.MethodGet, at(`/project/` + name), (*Server).project, false, false},
		{OpStatuses, http.MethodGet, at(`/project/` + name + `/statuses`), (*Server).statuses, true, false},
		{OpMeta, http.MethodGet, at(`/issue/createmeta/` + name + `/issuetypes`), (*Server).issueTypes, true, false},
		{OpMeta, http.MethodGet, at(`/issue/createmeta/` + name + `/issuetypes/` + name), (*Server).createFields, true, false},
		{OpCreate, http.MethodPost, at(`/issue`), (*Server).create, false, false},
		{OpRead, http.MethodGet, at(`/issue/` + name), (*Server).read, false, false},
		{OpEdit, http.MethodPut, at(`/issue/` + name), (*Server).editIssue, false, false},
		{OpComments, http.MethodGet, at(`/issue/` + name + `/comment`), (*Server).comments, false, false},
		{OpComment, http.MethodPost, at(`/issue/` + name + `/comment`), (*Server).comment, false, false},
		{OpTransitions, http.MethodGet, at(`/issue/` + name + `/transitions`), (*Server).transitions, false, false},
		{OpTransition, http.MethodPost, at(`/issue/` + name + `/transitions`), (*Server).transition, false, false},
		{OpProperty, http.MethodPut, at(`/issue/` + name + `/properties/` + name), (*Server).setProperty, false, false},
		{OpLink, http.MethodPost, at(`/issueLink`), (*Server).link, true, false},
		{OpSearch, http.MethodPost, at(`/search/jql`), (*Server).search, false, false},
		{OpSearch, http.MethodPost, at(`/search`), (*Server).searchDC, false, false},
	}
}

var tables = map[bool][]route{false: routes("3"), true: routes("2")}

// route finds what a request asks for.
func (s *Server) route(r *http.Request) (doubletest.Route, bool) {
	for _, rt := range slices.Concat(tables[s.o.DataCenter], deskRoutes) {
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
		switch {
		case rt.desk && s.o.DeskContract == nil:
			continue
		case rt.desk: // one description for Cloud and Data Center
			out.Contract = s.o.DeskContract
		case s.o.DataCenter: // its description begins below, and leaves out operations that it has
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
