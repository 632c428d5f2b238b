package spectest_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/spectest"
)

type sample struct {
	Name        string
	Method      string
	Path        string
	Query       map[string]any
	Headers     map[string]string
	ContentType string
	Body        json.RawMessage
	Bad         bool
	Response    *struct {
		Status json.RawMessage // a number, or "default"
		Body   json.RawMessage
	}
}

// request builds what the sample describes. Bulk bodies are written in the file
// as an array of their lines.
func (s sample) request(t *testing.T) (*http.Request, []byte) {
	query := url.Values{}
	for name, v := range s.Query {
		switch v := v.(type) {
		case string:
			query.Set(name, v)
		case []any:
			for _, item := range v {
				query.Add(name, item.(string))
			}
		default:
			require.Failf(t, "query", "%T", v)
		}
	}
	u := "https://vendor.example" + s.Path
	if len(query) > 0 {
		u += "?" + query.Encode()
	}
	r, err := http.NewRequest(s.Method, u, nil)
	require.NoError(t, err)
	for name, v := range s.Headers {
		r.Header.Set(name, v)
	}
	body := []byte(s.Body)
	if s.ContentType == "application/x-ndjson" {
		var lines []json.RawMessage
		require.NoError(t, json.Unmarshal(s.Body, &lines))
		var b bytes.Buffer
		for _, line := range lines {
			require.NoError(t, json.Compact(&b, line))
			b.WriteByte('\n')
		}
		body = b.Bytes()
	}
	if len(body) > 0 && r.Header.Get("Content-Type") == "" {
		r.Header.Set("Content-Type", "application/json")
		if s.ContentType != "" {
			r.Header.Set("Content-Type", s.ContentType)
		}
	}
	return r, body
}

// TestSamples runs every good and every bad request that comes with the
// descriptions through the checker: a checker that accepts all, or refuses what
// vendors accept, fails here.
func TestSamples(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(filepath.Join(spectest.Dir(t), "samples", "*.json"))
	require.NoError(t, err)
	require.Len(t, files, 15, "the folder of samples changed: look at what is new")
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".json")
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile(file)
			require.NoError(t, err)
			var samples []sample
			require.NoError(t, json.Unmarshal(text, &samples))
			require.NotEmpty(t, samples)
			c := spectest.Load(t, name)
			for _, s := range samples {
				r, body := s.request(t)
				err := c.CheckRequest(r, body)
				if s.Bad {
					require.Error(t, err, s.Name)
				} else {
					require.NoError(t, err, s.Name)
				}
				if s.Response == nil {
					continue
				}
				status := http.StatusBadRequest // falls under "default"
				if string(s.Response.Status) != `"default"` {
					require.NoError(t, json.Unmarshal(s.Response.Status, &status), s.Name)
				}
				h := http.Header{"Content-Type": {"application/json"}}
				require.NoError(t, c.CheckResponse(s.Method, r.URL.EscapedPath(), status, h, s.Response.Body), s.Name)
			}
		})
	}
}

func TestInboundSamples(t *testing.T) {
	t.Parallel()
	read := func(file string) []byte {
		text, err := os.ReadFile(filepath.Join(spectest.Dir(t), "inbound", file))
		require.NoError(t, err)
		return text
	}
	webhook := spectest.LoadSchema(t, "inbound/alertmanager-webhook-v4.schema.json")
	require.NoError(t, webhook.Check(read("sample-alertmanager-webhook.json")))
	require.Error(t, webhook.Check([]byte(`{}`)))
	require.Error(t, webhook.Check([]byte(`{`)))
	var events map[string]json.RawMessage // by the kind of recorder that made them
	require.NoError(t, json.Unmarshal(read("sample-k8s-event-exporter.json"), &events))
	require.NotEmpty(t, events)
	event := spectest.LoadSchema(t, "inbound/k8s-event-exporter.schema.json")
	for name, text := range events {
		require.NoError(t, event.Check(text), name)
	}
	require.Error(t, event.Check([]byte(`{}`)))
	for _, name := range []string{"loki-push", "otlp-logs", "pagerduty-webhook-v3"} {
		require.Error(t, spectest.LoadSchema(t, "inbound/"+name+".schema.json").Check([]byte(`[]`)), name)
	}
}

func TestRequestViolations(t *testing.T) {
	t.Parallel()
	c := spectest.Load(t, "jira-cloud")
	good := `{"jql":"labels = \"x\"","maxResults":2}`
	for _, tc := range []struct{ name, method, target, contentType, body, want string }{
		{"unknown path", "GET", "/rest/api/3/isue/OPS-1", "", "", "no operation"},
		{"unknown method", "PATCH", "/rest/api/3/issue/OPS-1", "", "", "no operation"},
		{"empty path parameter", "GET", "/rest/api/3/issue/", "", "", "no operation"},
		{"unknown query", "GET", "/rest/api/3/issue/OPS-1?field=summary", "", "", `unknown query name "field"`},
		{"wrong query type", "GET", "/rest/api/3/issue/OPS-1?updateHistory=perhaps", "", "", "updateHistory"},
		{"broken query", "GET", "/rest/api/3/issue/OPS-1?a=%zz", "", "", "query"},
		{"no body", "POST", "/rest/api/3/search/jql", "", "", "no body"},
		{"no content type", "POST", "/rest/api/3/search/jql", "", good, "content type"},
		{"wrong content type", "POST", "/rest/api/3/search/jql", "text/plain", good, "want one of"},
		{"broken JSON", "POST", "/rest/api/3/search/jql", "application/json", good[:9], "not JSON"},
		{"two documents", "POST", "/rest/api/3/search/jql", "application/json", good + good, "not JSON"},
		{"misspelt key", "POST", "/rest/api/3/search/jql", "application/json", `{"jqll":"x"}`, "jqll"},
		{"body on GET", "GET", "/rest/api/3/issue/OPS-1", "application/json", good, "has a body"},
		{"good", "POST", "/rest/api/3/search/jql", "application/json; charset=utf-8", good, ""},
		{"good escaped path", "PUT", "/rest/api/3/issue/OPS-1/properties/a%2Fb", "application/json", `1`, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			r, err := http.NewRequest(tc.method, "https://x.example"+tc.target, nil)
			require.NoError(t, err)
			if tc.contentType != "" {
				r.Header.Set("Content-Type", tc.contentType)
			}
			err = c.CheckRequest(r, []byte(tc.body))
			if tc.want == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, tc.want)
		})
	}
}

func TestResponseViolations(t *testing.T) {
	t.Parallel()
	c := spectest.Load(t, "jira-cloud")
	for _, tc := range []struct {
		name, method, path string
		status             int
		contentType, body  string
		want               string
	}{
		{"good", "POST", "/rest/api/3/issue", 201, "application/json", `{"id":"1","key":"OPS-1","self":"x"}`, ""},
		{"unknown key", "POST", "/rest/api/3/issue", 201, "application/json", `{"id":"1","kee":"OPS-1"}`, "kee"},
		{"wrong type", "POST", "/rest/api/3/issue", 201, "application/json", `{"id":1}`, "id"},
		{"unlisted status", "POST", "/rest/api/3/issue", 204, "", "", "no such status"},
		{"gateway", "POST", "/rest/api/3/issue", 502, "text/html", "<html>", ""},
		{"rate limit", "POST", "/rest/api/3/issue", 429, "text/plain", "slow down", ""},
		{"HTML", "POST", "/rest/api/3/issue", 201, "text/html", "<html>", "content type"},
		{"no content type", "POST", "/rest/api/3/issue", 201, "", "{}", "content type"},
		{"broken JSON", "POST", "/rest/api/3/issue", 201, "application/json", "{", "not JSON"},
		{"body with 204", "PUT", "/rest/api/3/issue/OPS-1", 204, "application/json", "{}", "has a body"},
		{"unknown path", "PUT", "/rest/api/3/x", 204, "", "", "no operation"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			err := c.CheckResponse(tc.method, tc.path, tc.status, http.Header{"Content-Type": {tc.contentType}}, []byte(tc.body))
			if tc.want == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, tc.want)
		})
	}
}

func TestFindPrefersLiteralSegments(t *testing.T) {
	t.Parallel()
	c := spectest.Load(t, "jira-cloud")
	op, _, err := c.Find("POST", "/rest/api/3/issue/bulk")
	require.NoError(t, err)
	require.Equal(t, "/rest/api/3/issue/bulk", op.Path)
	op, params, err := c.Find("GET", "/rest/api/3/issue/OPS%2D1/comment/7")
	require.NoError(t, err)
	require.Equal(t, "/rest/api/3/issue/{issueIdOrKey}/comment/{id}", op.Path)
	require.Equal(t, map[string]string{"issueIdOrKey": "OPS-1", "id": "7"}, params)
}

// fatal records what a helper would fail a test with.
type fatal struct {
	testing.TB
	failed bool
}

func (f *fatal) Helper()               {}
func (f *fatal) Fatalf(string, ...any) { f.failed = true; panic(f) }

func TestAbsentDescriptionsFailTheTest(t *testing.T) {
	t.Setenv("PORTENT_SPECS", t.TempDir())
	f := &fatal{TB: t}
	require.Panics(t, func() { spectest.Dir(f) })
	require.True(t, f.failed)
	_, err := spectest.Open(t.TempDir(), "jira-cloud")
	require.Error(t, err)
}

func TestForms(t *testing.T) {
	t.Parallel()
	c := spectest.Load(t, "prometheus")
	f := func(path, form, want string) {
		t.Helper()
		r, err := http.NewRequest(http.MethodPost, "https://x.example"+path, nil)
		require.NoError(t, err)
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		err = c.CheckRequest(r, []byte(form))
		if want == "" {
			require.NoError(t, err)
			return
		}
		require.ErrorContains(t, err, want)
	}
	f("/query", "limit=10&query=up", "")
	f("/query", "query=10&limit=10&time=1700000000.5&timeout=10s", "")
	f("/query_range", "query=up&start=1&end=2026-10-01T00:00:00Z&step=15s", "")
	f("/series", "match[]=up", "")
	f("/series", "match[]=up&match[]=down&limit=5", "")
	f("/query", "limit=ten&query=up", "limit")
	f("/query", "limit=10", "query")
	f("/query", "qery=up", "qery")
	f("/query", "query=%zz", "body")
}
