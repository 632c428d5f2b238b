// Package elastictest plays an Elasticsearch or an OpenSearch in tests: it holds each
// request and each of its own answers to the vendor's description, keeps documents,
// sorts and pages them, and fails on demand as the real ones do. There is no real one
// to test against.
package elastictest

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/portent-dev/portent/internal/spectest"
)

// Doc is a document. Source holds @timestamp and message.
type Doc struct {
	ID     string
	Time   time.Time
	Source map[string]any
}

// Fault spoils the answers of an operation: search, open, close, info.
type Fault struct {
	Op     string
	Times  int // how often; 0 is always
	Status int // with the vendor's own error body, or Body
	Body   string
	Header http.Header
	// Spoil changes a good answer.
	Spoil func(answer map[string]any)
}

// Server is a running double.
type Server struct {
	URL        string
	OpenSearch bool
	// MaxPage refuses larger pages, as index.max_result_window does.
	MaxPage int
	// Auth is the Authorization header that is asked for; "" asks for none.
	Auth string

	t        testing.TB
	contract *spectest.Contract

	mu     sync.Mutex
	docs   []Doc
	views  map[string]int // open points in time: pages read of each
	opened int
	faults []*Fault
	calls  map[string]int
}

// index is the only one that exists.
const index = "logs-1"

// New starts a double.
func New(t testing.TB, openSearch bool) *Server {
	t.Helper()
	name := "elasticsearch"
	if openSearch {
		name = "opensearch"
	}
	s := &Server{OpenSearch: openSearch, MaxPage: 10_000, t: t, contract: spectest.Load(t, name), views: map[string]int{}, calls: map[string]int{}}
	srv := httptest.NewServer(s)
	t.Cleanup(srv.Close)
	s.URL = srv.URL
	return s
}

// Add keeps documents.
func (s *Server) Add(docs ...Doc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, d := range docs {
		if d.ID == "" {
			d.ID = fmt.Sprintf("d%06d", len(s.docs))
		}
		if d.Source["@timestamp"] == nil {
			d.Source["@timestamp"] = d.Time.UTC().Format("2006-01-02T15:04:05.000Z07:00")
		}
		s.docs = append(s.docs, d)
	}
}

// Fail adds a fault. Later ones come after earlier ones are used up.
func (s *Server) Fail(f Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = append(s.faults, &f)
}

// Calls returns how often an operation was asked for.
func (s *Server) Calls(op string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls[op]
}

// Open returns how many points in time are open.
func (s *Server) Open() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.views)
}

func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err == nil {
		err = s.contract.CheckRequest(r, body)
	}
	if err != nil {
		s.t.Errorf("request against the description: %v\n%s", err, body)
	}
	if s.Auth != "" && r.Header.Get("Authorization") != s.Auth {
		s.write(w, r, http.StatusUnauthorized, problem("security_exception", "missing authentication credentials", 401))
		return
	}
	op, status, answer := s.answer(r, body)
	if f := s.fault(op); f != nil {
		if f.Spoil != nil {
			f.Spoil(answer)
		}
		for k, v := range f.Header {
			w.Header()[k] = v
		}
		if f.Status != 0 {
			status = f.Status
			answer = problem("fault", "a fault", status)
		}
		if f.Body != "" {
			w.WriteHeader(status)
			_, _ = io.WriteString(w, f.Body) // the client may be gone
			return
		}
	}
	s.write(w, r, status, answer)
}

func (s *Server) fault(op string) *Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls[op]++
	for i, f := range s.faults {
		if f.Op != op {
			continue
		}
		if f.Times == 1 {
			s.faults = slices.Delete(s.faults, i, i+1)
		} else if f.Times > 1 {
			f.Times--
		}
		return f
	}
	return nil
}

func (s *Server) write(w http.ResponseWriter, r *http.Request, status int, answer map[string]any) {
	raw, err := json.Marshal(answer)
	if err != nil {
		s.t.Errorf("BUG: %v", err)
	}
	w.Header().Set("Content-Type", "application/json")
	if status == http.StatusOK {
		if err := s.contract.CheckResponse(r.Method, r.URL.EscapedPath(), status, w.Header(), raw); err != nil {
			s.t.Errorf("the double's own answer against the description: %v\n%s", err, raw)
		}
	}
	w.WriteHeader(status)
	_, _ = w.Write(raw) // the client may be gone
}

func problem(kind, reason string, status int) map[string]any {
	cause := map[string]any{"type": kind, "reason": reason}
	return map[string]any{"status": status, "error": map[string]any{"type": "outer_" + kind, "reason": "all shards failed", "root_cause": []any{cause}}}
}

var shards = map[string]any{"total": 3, "successful": 3, "failed": 0, "skipped": 0}

// answer does what is asked.
func (s *Server) answer(r *http.Request, body []byte) (op string, status int, answer map[string]any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	path := strings.TrimPrefix(r.URL.Path, "/")
	switch {
	case path == "":
		v := map[string]any{
			"number": "8.19.0", "build_flavor": "default", "build_type": "tar", "build_hash": "x", "build_date": "2026-01-01T00:00:00Z", "build_snapshot": false,
			"lucene_version": "9.12.0", "minimum_wire_compatibility_version": "7.17.0", "minimum_index_compatibility_version": "7.0.0",
		}
		if s.OpenSearch {
			v["number"], v["distribution"] = "2.19.0", "opensearch"
			delete(v, "build_flavor")
		}
		return "info", 200, map[string]any{"name": "n", "cluster_name": "c", "cluster_uuid": "u", "tagline": "You Know, for Search", "version": v}
	case r.Method == http.MethodPost && (strings.HasSuffix(path, "/_pit") || strings.HasSuffix(path, "/_search/point_in_time")):
		s.opened++
		id := fmt.Sprintf("view-%d-0", s.opened)
		s.views[id] = 0
		if s.OpenSearch {
			return "open", 200, map[string]any{"pit_id": id, "_shards": shards, "creation_time": 1}
		}
		return "open", 200, map[string]any{"id": id, "_shards": shards}
	case r.Method == http.MethodDelete:
		return s.closeView(body)
	case strings.HasSuffix(path, "_search"):
		return s.search(path, body)
	}
	return "unknown", 404, problem("unknown", r.Method+" "+path, 404)
}

func (s *Server) closeView(body []byte) (op string, status int, answer map[string]any) {
	var in struct {
		ID    string   `json:"id"`
		PITID []string `json:"pit_id"`
	}
	if err := json.Unmarshal(body, &in); err != nil {
		return "close", 400, problem("parse", err.Error(), 400)
	}
	for _, id := range append(in.PITID, in.ID) {
		delete(s.views, id)
	}
	if s.OpenSearch {
		return "close", 200, map[string]any{"pits": []any{map[string]any{"pit_id": in.PITID[0], "successful": true}}}
	}
	return "close", 200, map[string]any{"succeeded": true, "num_freed": 1}
}
