// Package servicenowtest plays a ServiceNow instance for tests: the part of the
// Table API that Portent uses, with its state and its faults. Every request is
// held to a description derived from the vendor's documents, strictly, and so is
// every answer.
//
// Like the real one it ignores a term of a query that it does not understand, and
// drops unknown columns and the ends of long texts without a word.
package servicenowtest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/portent-dev/portent/internal/spectest"
	"github.com/portent-dev/portent/internal/ticket/doubletest"
)

// The credentials that the double accepts, as basic auth, bearer or API key.
const (
	User   = "portent"
	Secret = "snow-secret-55d0"
)

// The operations, for faults and counts.
const (
	OpCreate  = "create"
	OpSearch  = "search"
	OpRead    = "read"
	OpUpdate  = "update"
	OpChoices = "choices"
	OpGroups  = "groups"
	OpEvent   = "event"
)

// Incident is a row. Columns that are not there are empty.
type Incident struct {
	Columns map[string]string
	Notes   []string
}

// Event is a row of em_event.
type Event map[string]string

// Server is an instance. Its fields are set before it is used. It is safe for
// concurrent use.
type Server struct {
	doubletest.Server
	// IgnoreQueries ignores every term of a query.
	IgnoreQueries bool
	// CloseCodes are the resolution codes; nil means that sys_choice may not be read.
	CloseCodes []string
	// Categories are those of an incident.
	Categories []string
	// Groups are the names of groups.
	Groups []string
	// MaxShort is how many characters short_description holds.
	MaxShort int
	// Mandatory are columns that a resolve needs besides those out of the box.
	Mandatory []string
	now       func() time.Time

	mu       sync.Mutex
	rows     []*Incident
	events   []Event
	onCreate func()
}

// OnCreate calls f before the next create takes its effect, such as to play
// another writer between a search and a create.
func (s *Server) OnCreate(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.onCreate = f
}

// Start serves a new instance for the length of a test and returns its address. A
// violation fails the test.
func Start(t testing.TB, now func() time.Time) (*Server, string) {
	t.Helper()
	contract := spectest.Load(t, "servicenow")
	s := &Server{now: now, CloseCodes: []string{"Duplicate", "Solution provided"}, Categories: []string{"inquiry", "software"}, Groups: []string{"Service Desk"}, MaxShort: 160}
	s.Server = doubletest.Server{
		Report: func(err error) { t.Errorf("servicenow: %v", err) },
		Find:   func(r *http.Request) (doubletest.Route, bool) { return s.route(r, contract) },
		Unknown: func(error) doubletest.Answer {
			return failure(http.StatusBadRequest, "Requested URI does not represent any resource", "")
		},
		Refused: func(error) doubletest.Answer {
			return failure(http.StatusUnauthorized, "User Not Authenticated", "Required to provide Auth information")
		},
		Invalid: func(err error) doubletest.Answer {
			return failure(http.StatusBadRequest, "Invalid request", err.Error())
		},
		RateLimited: func(f doubletest.Fault) doubletest.Answer {
			a := failure(http.StatusTooManyRequests, "Rate limit exceeded", "Rate limit of 100 requests per hour for Table API exceeded")
			a.Header = http.Header{
				"X-Ratelimit-Limit": {"100"}, "X-Ratelimit-Rule": {"287ebd7da9fe198100f92cc8d1d2154e"},
				"X-Ratelimit-Reset": {strconv.FormatInt(now().Add(f.RetryAfter).Unix(), 10)},
			}
			if !f.OwnHeader {
				a.Header.Set("Retry-After", strconv.Itoa(int(f.RetryAfter.Seconds())))
			}
			return a
		},
	}
	return s, s.Server.Start(t)
}

func failure(status int, message, detail string) doubletest.Answer {
	return doubletest.Answer{Status: status, Body: map[string]any{"error": map[string]any{"message": message, "detail": detail}, "status": "failure"}}
}

func result(status int, v any) doubletest.Answer {
	return doubletest.Answer{Status: status, Body: map[string]any{"result": v}}
}

const table = "/api/now/table/"

func (s *Server) route(r *http.Request, contract *spectest.Contract) (doubletest.Route, bool) {
	user, password, basic := r.BasicAuth()
	rt := doubletest.Route{Contract: contract, Allowed: basic && user == User && password == Secret || r.Header.Get("Authorization") == "Bearer "+Secret}
	if r.Header.Get("X-Sn-Apikey") == Secret {
		rt.Allowed = true
		r.Header.Set("Authorization", "Bearer by-key") // the description asks for this header, an instance for either
	}
	locked := func(f func(*http.Request, []byte) doubletest.Answer) func(*http.Request, []byte) doubletest.Answer {
		return func(r *http.Request, body []byte) doubletest.Answer {
			s.mu.Lock()
			defer s.mu.Unlock()
			return f(r, body)
		}
	}
	name, id, one := strings.Cut(strings.TrimPrefix(r.URL.Path, table), "/")
	switch {
	case r.URL.Path == "/api/global/em/jsonv2" && r.Method == http.MethodPost:
		rt.Op, rt.Write, rt.Handle = OpEvent, true, locked(s.event)
	case name == "sys_choice" && !one:
		rt.Op, rt.Handle = OpChoices, locked(s.choices)
	case name == "sys_user_group" && !one:
		rt.Op, rt.Handle = OpGroups, locked(s.groups)
	case name != "incident" || one && len(id) != 32:
		return rt, false
	case r.Method == http.MethodGet && !one:
		rt.Op, rt.Handle = OpSearch, locked(s.search)
	case r.Method == http.MethodPost && !one:
		rt.Op, rt.Write, rt.Handle = OpCreate, true, locked(s.create)
	case r.Method == http.MethodGet:
		rt.Op, rt.Handle = OpRead, locked(s.read)
	case r.Method == http.MethodPatch:
		rt.Op, rt.Write, rt.Handle = OpUpdate, true, locked(s.update)
	default:
		return rt, false
	}
	return rt, true
}

// columns are those of the table that are played. Others are dropped.
var columns = []string{
	"sys_id", "number", "state", "correlation_id", "correlation_display", "short_description", "description", "urgency", "impact", "priority",
	"assignment_group", "caller_id", "category", "cmdb_ci", "close_code", "close_notes", "parent_incident", "sys_created_on", "sys_created_by",
	"work_notes", "contact_type", "subcategory",
}

func (s *Server) byID(r *http.Request) *Incident {
	id := strings.TrimPrefix(r.URL.Path, table+"incident/")
	for _, i := range s.rows {
		if i.Columns["sys_id"] == id {
			return i
		}
	}
	return nil
}

var noRecord = failure(http.StatusNotFound, "No Record found", "Record doesn't exist or ACL restricts the record retrieval")

// show is a row as an answer has it: journal columns are empty unless display
// values are asked for.
func (s *Server) show(i *Incident, r *http.Request) map[string]any {
	out := map[string]any{}
	asked := strings.Split(r.URL.Query().Get("sysparm_fields"), ",")
	for _, c := range columns {
		if !slices.Contains(asked, c) && asked[0] != "" {
			continue
		}
		out[c] = i.Columns[c]
		if c == "work_notes" && r.URL.Query().Get("sysparm_display_value") == "true" {
			var journal strings.Builder
			for _, n := range slices.Backward(i.Notes) {
				fmt.Fprintf(&journal, "2026-11-22 10:40:00 - Portent (Work notes)\n%s\n\n", n)
			}
			out[c] = journal.String()
		}
	}
	out["sys_id"], out["number"] = i.Columns["sys_id"], i.Columns["number"] // the description wants both
	return out
}

func (s *Server) search(r *http.Request, _ []byte) doubletest.Answer {
	q := r.URL.Query()
	list := []any{}
	limit, err := strconv.Atoi(q.Get("sysparm_limit"))
	if err != nil {
		limit = 10_000
	}
	for _, i := range s.rows {
		if len(list) < limit && (s.IgnoreQueries || matches(i.Columns, q.Get("sysparm_query"))) {
			list = append(list, s.show(i, r))
		}
	}
	return result(http.StatusOK, list)
}

// matches reads terms column=value. Others are ignored, as an instance does.
func matches(row map[string]string, query string) bool {
	for term := range strings.SplitSeq(query, "^") {
		if name, want, ok := strings.Cut(term, "="); ok && slices.Contains(columns, name) && row[name] != want {
			return false
		}
	}
	return true
}

func (s *Server) create(r *http.Request, body []byte) doubletest.Answer {
	if f := s.onCreate; f != nil {
		s.onCreate = nil
		s.mu.Unlock()
		f()
		s.mu.Lock()
	}
	n := len(s.rows) + 1
	i := &Incident{Columns: map[string]string{
		"sys_id": fmt.Sprintf("%032x", 0xc537bae64f41120+n), "number": fmt.Sprintf("INC%07d", 10000+n), "state": "1", "urgency": "3", "impact": "3",
		"sys_created_on": s.now().UTC().Format(time.DateTime), "sys_created_by": User,
	}}
	if a, ok := s.apply(i, body); !ok {
		return a
	}
	s.rows = append(s.rows, i)
	return result(http.StatusCreated, s.show(i, r))
}

func (s *Server) read(r *http.Request, _ []byte) doubletest.Answer {
	i := s.byID(r)
	if i == nil {
		return noRecord
	}
	return result(http.StatusOK, s.show(i, r))
}

func (s *Server) update(r *http.Request, body []byte) doubletest.Answer {
	i := s.byID(r)
	if i == nil {
		return noRecord
	}
	if a, ok := s.apply(i, body); !ok {
		return a
	}
	return result(http.StatusOK, s.show(i, r))
}

// apply writes the columns of a body, or nothing of them.
func (s *Server) apply(i *Incident, body []byte) (doubletest.Answer, bool) {
	var sent map[string]string
	if err := json.Unmarshal(body, &sent); err != nil {
		return failure(http.StatusBadRequest, "Exception while reading request", err.Error()), false
	}
	if state := i.Columns["state"]; state == "7" || state == "8" {
		return failure(http.StatusForbidden, "Operation Failed", "Operation against file 'incident' was aborted by Business Rule: closed incidents are read-only"), false
	}
	next := map[string]string{}
	for k, v := range i.Columns {
		next[k] = v
	}
	for k, v := range sent {
		if !slices.Contains(columns, k) || k == "priority" || k == "work_notes" {
			continue
		}
		if most := map[string]int{"short_description": s.MaxShort, "description": 4000}[k]; most > 0 {
			v = string([]rune(v)[:min(len([]rune(v)), most)])
		}
		next[k] = v
	}
	if next["state"] == "6" {
		var missing []string
		for _, k := range append([]string{"close_code", "close_notes"}, s.Mandatory...) {
			if next[k] == "" {
				missing = append(missing, k)
			}
		}
		if len(missing) > 0 {
			return failure(http.StatusForbidden, "Operation Failed", "Data Policy Exception: The following fields are mandatory: "+strings.Join(missing, ", ")), false
		}
	}
	i.Columns = next
	if n := sent["work_notes"]; n != "" {
		i.Notes = append(i.Notes, n)
	}
	return doubletest.Answer{}, true
}

func (s *Server) choices(*http.Request, []byte) doubletest.Answer {
	if s.CloseCodes == nil {
		return failure(http.StatusForbidden, "Operation Failed", "ACL Exception")
	}
	list := []any{map[string]any{"name": "incident", "element": "state", "label": "New", "value": "1"}}
	for _, c := range s.CloseCodes {
		list = append(list, map[string]any{"name": "incident", "element": "close_code", "label": c, "value": c})
	}
	for _, c := range s.Categories {
		list = append(list, map[string]any{"name": "incident", "element": "category", "label": c, "value": c})
	}
	return result(http.StatusOK, list)
}

func (s *Server) groups(r *http.Request, _ []byte) doubletest.Answer {
	list := []any{}
	for n, g := range s.Groups {
		row := map[string]string{"sys_id": fmt.Sprintf("%032x", n+1), "name": g}
		if name, want, _ := strings.Cut(r.URL.Query().Get("sysparm_query"), "="); row[name] == want {
			list = append(list, row)
		}
	}
	return result(http.StatusOK, list)
}

// Incident returns the incident with the number.
func (s *Server) Incident(number string) Incident {
	for _, i := range s.Incidents("") {
		if i.Columns["number"] == number {
			return i
		}
	}
	return Incident{}
}

// Incidents returns the incidents with the correlation_id, all for "".
func (s *Server) Incidents(correlation string) []Incident {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []Incident
	for _, i := range s.rows {
		if correlation == "" || i.Columns["correlation_id"] == correlation {
			c := Incident{Columns: map[string]string{}, Notes: slices.Clone(i.Notes)}
			for k, v := range i.Columns {
				c.Columns[k] = v
			}
			out = append(out, c)
		}
	}
	return out
}

// Set changes columns of an incident, as a person with all rights does.
func (s *Server) Set(number string, columns map[string]string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, i := range s.rows {
		if i.Columns["number"] == number {
			for k, v := range columns {
				i.Columns[k] = v
			}
		}
	}
}

// Copy copies an incident, as another attempt at the same create leaves it.
func (s *Server) Copy(number, by string) string {
	i := s.Incident(number)
	s.mu.Lock()
	defer s.mu.Unlock()
	n := len(s.rows) + 1
	i.Columns["sys_id"], i.Columns["number"], i.Columns["sys_created_by"] = fmt.Sprintf("%032x", 0xc537bae64f41120+n), fmt.Sprintf("INC%07d", 10000+n), by
	i.Columns["state"] = "1"
	s.rows = append(s.rows, &Incident{Columns: i.Columns})
	return i.Columns["number"]
}

func (s *Server) event(_ *http.Request, body []byte) doubletest.Answer {
	var sent struct{ Records []Event }
	if err := json.Unmarshal(body, &sent); err != nil {
		return failure(http.StatusBadRequest, "Exception while reading request", err.Error())
	}
	s.events = append(s.events, sent.Records...)
	return doubletest.Answer{Status: http.StatusOK, Body: map[string]any{"Default Bulk Endpoint": strconv.Itoa(len(sent.Records)) + " events were inserted"}}
}

// Events returns the events that were sent, in order.
func (s *Server) Events() []Event {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.events)
}

// Alerts are what Event Management makes of them: of those with one source and
// message_key the last counts.
func (s *Server) Alerts() map[string]Event {
	out := map[string]Event{}
	for _, e := range s.Events() {
		out[e["source"]+"/"+e["message_key"]] = e
	}
	return out
}
