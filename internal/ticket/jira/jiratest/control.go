package jiratest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"

	"github.com/portent-dev/portent/internal/ticket/doubletest"
)

// controlIssues lists all issues and the labels that more than one carries, as
// JSON.
func (s *Server) controlIssues(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{ // a client that is gone is no fault of ours
		"issues": s.Issues(), "duplicates": s.Duplicates("portent-", false), "openDuplicates": s.Duplicates("portent-", true),
	})
}

// controlFaults adds a fault; kind "" heals the site.
func (s *Server) controlFaults(w http.ResponseWriter, r *http.Request) {
	var f doubletest.Fault
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<20)).Decode(&f); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	switch {
	case f.Kind == "":
		s.Heal()
	case !slices.Contains(doubletest.Kinds(), f.Kind):
		http.Error(w, fmt.Sprintf("unknown fault %q; known are %q", f.Kind, doubletest.Kinds()), http.StatusBadRequest)
		return
	default:
		s.Fail(f)
	}
	w.WriteHeader(http.StatusNoContent)
}
