package jiratest_test

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/spectest"
	"github.com/portent-dev/portent/internal/ticket/doubletest"
	"github.com/portent-dev/portent/internal/ticket/jira/jiratest"
)

// reports collects violations instead of failing the test.
type reports struct {
	mu   sync.Mutex
	list []string
}

func (r *reports) add(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.list = append(r.list, err.Error())
}

func (r *reports) take() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := r.list
	r.list = nil
	return out
}

// send sends a request as a client with credentials does.
func send(t *testing.T, base, method, path, body string) (int, http.Header, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, base+path, strings.NewReader(body))
	require.NoError(t, err)
	req.SetBasicAuth(jiratest.Email, jiratest.Token)
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return resp.StatusCode, resp.Header, string(b)
}

const issue = `{"fields":{"project":{"key":"OPS"},"issuetype":{"id":"10001"},"summary":"s","labels":["portent-1"]}}`

func search(jql string) string {
	b, _ := json.Marshal(map[string]any{"jql": jql, "fields": []string{"labels"}}) //nolint:errchkjson // strings
	return string(b)
}

func TestViolationsAreReported(t *testing.T) {
	t.Parallel()
	var r reports
	site, url := jiratest.Start(t, jiratest.Options{Report: r.add})
	for _, tc := range []struct{ method, path, body string }{
		{"POST", "/rest/api/3/issue", `{"field":{}}`},
		{"POST", "/rest/api/3/issue", `{"fields":{"project":{"key":"OPS"},"issuetype":{"id":"10001"},"summary":"s","description":"plain"}}`},
		{"POST", "/rest/api/3/search/jql", `{"jql":"project = OPS","startAt":0}`},
		{"GET", "/rest/api/3/issue/OPS-1?field=summary", ""},
		{"GET", "/rest/api/2/issue/OPS-1", ""},
		{"POST", "/rest/api/3/issue/OPS-1/comment", `{"body":"text"}`},
		{"DELETE", "/rest/api/3/issue/OPS-1", ""}, // in the description, but not played
	} {
		status, _, _ := send(t, url, tc.method, tc.path, tc.body)
		require.GreaterOrEqual(t, status, 400, tc.path)
		require.Len(t, r.take(), 1, tc.path)
	}
	require.Empty(t, site.Issues())
	status, _, _ := send(t, url, "POST", "/rest/api/3/issue", issue)
	require.Equal(t, http.StatusCreated, status)
	require.Empty(t, r.take())
	require.Equal(t, "OPS-1", site.Issue("OPS-1").Key)
}

func TestCredentials(t *testing.T) {
	t.Parallel()
	_, url := jiratest.Start(t, jiratest.Options{})
	resp, err := http.Get(url + "/rest/api/3/myself")
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, http.StatusUnauthorized, resp.StatusCode)
	status, _, body := send(t, url, "GET", "/rest/api/3/myself", "")
	require.Equal(t, http.StatusOK, status)
	require.Contains(t, body, jiratest.Account)
}

func TestSearchLags(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 22, 10, 40, 0, 0, time.UTC)
	site, url := jiratest.Start(t, jiratest.Options{SearchLag: 30 * time.Second, Now: func() time.Time { return now }})
	send(t, url, "POST", "/rest/api/3/issue", issue)
	find := func(body string) int {
		status, _, answer := send(t, url, "POST", "/rest/api/3/search/jql", body)
		require.Equal(t, http.StatusOK, status, answer)
		var page struct{ Issues []any }
		require.NoError(t, json.Unmarshal([]byte(answer), &page))
		return len(page.Issues)
	}
	require.Zero(t, find(search(`labels = "portent-1"`)))
	require.Equal(t, 1, find(`{"jql":"labels = \"portent-1\"","reconcileIssues":[10001]}`), "an id that is known forces consistency")
	now = now.Add(30 * time.Second)
	require.Equal(t, 1, find(search(`labels = "portent-1"`)))
	// A change takes its time as well.
	site.SetStatus("OPS-1", "Done")
	require.Zero(t, find(search(`statusCategory = done`)))
	require.Equal(t, 1, find(search(`statusCategory = new`)))
	now = now.Add(30 * time.Second)
	require.Equal(t, 1, find(search(`statusCategory = done`)))
}

func TestJQL(t *testing.T) {
	t.Parallel()
	_, url := jiratest.Start(t, jiratest.Options{})
	send(t, url, "POST", "/rest/api/3/issue", issue)
	f := func(jql string, want int) {
		t.Helper()
		status, _, answer := send(t, url, "POST", "/rest/api/3/search/jql", search(jql))
		require.Equal(t, http.StatusOK, status, answer)
		var page struct{ Issues []any }
		require.NoError(t, json.Unmarshal([]byte(answer), &page))
		require.Len(t, page.Issues, want, jql)
	}
	bad := func(jql, want string) {
		t.Helper()
		status, _, answer := send(t, url, "POST", "/rest/api/3/search/jql", search(jql))
		require.Equal(t, http.StatusBadRequest, status, jql)
		require.Contains(t, answer, want)
	}
	f(`project = OPS`, 1)
	f(`project = "OPS" AND labels = "portent-1" ORDER BY created ASC`, 1)
	f(`labels = PORTENT-1`, 1) // JQL compares without case
	f(`labels = "portent-"`, 0)
	f(`labels != x`, 1)
	f(`labels in (x, "portent-1") and not key = OPS-2`, 1)
	f(`labels not in ("portent-1")`, 0)
	f(`(labels = x or id = 10001) AND summary = s order by created desc`, 1)
	f(`labels = "x\" OR project = \"OPS"`, 0)
	f(`labels = "portent\u002d1"`, 1)
	bad(``, "Unbounded")
	bad(`order by created`, "Unbounded")
	bad(`project = NONE`, "does not exist for the field 'project'")
	bad(`labels = "x`, "reserved")
	bad(`labels = x OR`, "a field")
	bad(`labels =`, "a value")
	bad(`labels = "a\qb"`, "illegal JQL escape")
	bad(`labels ~ x`, "not supported by the 'labels' field")
	f(`summary ~ s`, 1)
	f(`summary ~ "\"s x\""`, 0)
	bad(`label = x`, "Field 'label' does not exist")
	bad(`labels in (x`, "or ')'")
	bad(`labels = x y`, "AND or OR")
}

func TestFaults(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 22, 10, 40, 0, 0, time.UTC)
	site, url := jiratest.Start(t, jiratest.Options{Now: func() time.Time { return now }})
	site.Fail(doubletest.Fault{Op: jiratest.OpCreate, Kind: doubletest.RateLimit, RetryAfter: 5 * time.Second, Skip: 1})
	status, _, _ := send(t, url, "POST", "/rest/api/3/issue", issue)
	require.Equal(t, http.StatusCreated, status)
	status, h, _ := send(t, url, "POST", "/rest/api/3/issue", issue)
	require.Equal(t, http.StatusTooManyRequests, status)
	require.Equal(t, "5", h.Get("Retry-After"))
	require.Equal(t, "2026-11-22T10:40Z", h.Get("X-RateLimit-Reset"))
	require.Equal(t, "jira-burst-based", h.Get("RateLimit-Reason"))
	require.Len(t, site.Issues(), 1)
	require.Equal(t, 2, site.Sent(jiratest.OpCreate))
	require.Empty(t, site.Duplicates("portent-", false))
	send(t, url, "POST", "/rest/api/3/issue", issue)
	require.Equal(t, map[string][]string{"portent-1": {"OPS-1", "OPS-2"}}, site.Duplicates("portent-", true))
	site.SetStatus("OPS-2", "Done")
	require.Empty(t, site.Duplicates("portent-", true))
	require.Len(t, site.Duplicates("portent-", false), 1)
	require.Panics(t, func() { site.Fail(doubletest.Fault{Kind: "earthquake"}) })
}

// TestListen walks the double as another process sees it.
func TestListen(t *testing.T) {
	t.Parallel()
	var r reports
	site, url, closing, err := jiratest.Listen("127.0.0.1:0", jiratest.Options{Contract: spectest.Load(t, "jira-cloud"), Report: r.add, Now: time.Now})
	require.NoError(t, err)
	defer closing()
	status, _, _ := send(t, url, "POST", "/_faults", `{"op":"create","kind":"gateway"}`)
	require.Equal(t, http.StatusNoContent, status)
	status, _, _ = send(t, url, "POST", "/rest/api/3/issue", issue)
	require.Equal(t, http.StatusGatewayTimeout, status)
	status, _, body := send(t, url, "GET", "/_issues", "")
	require.Equal(t, http.StatusOK, status)
	require.Contains(t, body, "portent-1")
	require.Len(t, site.Issues(), 1)
	status, _, body = send(t, url, "POST", "/_faults", `{"kind":"earthquake"}`)
	require.Equal(t, http.StatusBadRequest, status)
	require.Contains(t, body, "rate_limit")
	send(t, url, "POST", "/_faults", `{"kind":"status","status":500}`)
	send(t, url, "POST", "/_faults", `{}`)
	status, _, _ = send(t, url, "GET", "/rest/api/3/myself", "")
	require.Equal(t, http.StatusOK, status)
	require.Empty(t, r.take())
	_, _, _, err = jiratest.Listen("not an address", jiratest.Options{Contract: spectest.Load(t, "jira-cloud"), Report: r.add, Now: time.Now})
	require.Error(t, err)
	_, err = jiratest.New(jiratest.Options{})
	require.Error(t, err)
}
