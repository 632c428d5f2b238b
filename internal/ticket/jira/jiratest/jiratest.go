// Package jiratest plays Jira Cloud and Jira Data Center for tests: the part of
// their REST APIs, version 3 and 2, that Portent uses, with its state, its lagging search and its faults.
//
// Every request is held to the vendor's description, strictly, and so is every
// answer, so that neither a client nor this double can drift from it unnoticed.
// Violations go to Options.Report, not only into a 400 that a client would
// swallow.
package jiratest

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/portent-dev/portent/internal/spectest"
	"github.com/portent-dev/portent/internal/ticket/doubletest"
)

// Account and Person are the account ids of the client and of people.
const (
	Account = "5b10a2844c20165700ede21g"
	Person  = "5b10ac8d82e05b22cc7d4ef5"
)

// Email and Token are the credentials that the double accepts, as basic auth or
// the token alone as bearer.
const (
	Email = "portent@example.com"
	Token = "jira-token-3f9c" //nolint:gosec // opens nothing but this double
)

// Options are how the double behaves. Contract, Report and Now are required.
type Options struct {
	Contract *spectest.Contract
	// DeskContract describes Service Management; needed where a project has a desk.
	DeskContract *spectest.Contract
	// NoADF refuses requests whose text is a document.
	NoADF bool
	// DataCenter plays that instead of Cloud.
	DataCenter bool
	// NoMeta leaves the screens untold and takes properties that are strings
	// for JSON, as old versions of Data Center do.
	NoMeta bool
	// Report is called with every violation of the description.
	Report func(error)
	Now    func() time.Time
	// SearchLag is how long a write takes to reach the search.
	SearchLag time.Duration
	// Projects are the projects of the site. None means DefaultProject("OPS").
	Projects []Project
}

// Server is a site. It is safe for concurrent use.
type Server struct {
	doubletest.Server
	o Options

	mu       sync.Mutex
	projects map[string]*Project
	issues   []*issue // by number
}

// New returns a site without issues, as an http.Handler.
func New(o Options) (*Server, error) {
	if o.Contract == nil || o.Report == nil || o.Now == nil {
		return nil, errors.New("jiratest: Contract, Report and Now are required")
	}
	if len(o.Projects) == 0 {
		o.Projects = []Project{DefaultProject("OPS")}
	}
	s := &Server{o: o, projects: map[string]*Project{}}
	for _, p := range o.Projects {
		s.projects[p.Key] = &p
	}
	s.Server = doubletest.Server{
		Report: o.Report, Find: s.route, RateLimited: s.rateLimited, Refused: unauthorized,
		Unknown: func(error) doubletest.Answer { return refuse(http.StatusNotFound, "Not found") },
		Invalid: func(error) doubletest.Answer {
			return refuse(http.StatusBadRequest, "Invalid request payload. Refer to the REST API documentation and try again.")
		},
	}
	return s, nil
}

// Start serves a new site for the length of a test and returns its address. A
// violation fails the test. o.Contract and o.Report may be left out.
func Start(t testing.TB, o Options) (*Server, string) {
	t.Helper()
	if o.Contract == nil {
		name := "jira-cloud"
		if o.DataCenter {
			name = "jira-dc"
		}
		o.Contract = spectest.Load(t, name)
	}
	if slices.ContainsFunc(o.Projects, func(p Project) bool { return p.Desk != nil }) && o.DeskContract == nil {
		o.DeskContract = spectest.Load(t, "jira-service-management")
	}
	if o.Report == nil {
		o.Report = func(err error) { t.Errorf("jira: %v", err) }
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	s, err := New(o)
	if err != nil {
		t.Fatalf("%v", err)
	}
	return s, s.Server.Start(t)
}

// Listen serves a new site on addr (such as 127.0.0.1:0) until closing is
// called, for stories whose client is another process. Besides Jira's API it
// answers GET /_issues and POST /_faults.
func Listen(addr string, o Options) (s *Server, url string, closing func(), err error) {
	if s, err = New(o); err != nil {
		return nil, "", nil, err
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, "", nil, fmt.Errorf("jiratest: %w", err)
	}
	mux := http.NewServeMux()
	mux.Handle("/", s)
	mux.HandleFunc("GET /_issues", s.controlIssues)
	mux.HandleFunc("POST /_faults", s.controlFaults)
	web := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = web.Serve(l) }() // ends with Close
	return s, "http://" + l.Addr().String(), func() { _ = web.Close() }, nil
}
