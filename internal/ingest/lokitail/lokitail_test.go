package lokitail_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/config"
	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/e2e/servertest"
	"github.com/portent-dev/portent/internal/ingest"
	"github.com/portent-dev/portent/internal/ingest/linehttp/linetest"
	"github.com/portent-dev/portent/internal/ingest/lokitail"
)

func start(t *testing.T, url, query string, target ingest.LineTarget) *prometheus.Registry {
	t.Helper()
	c := lokitail.DefaultConfig()
	client := config.DefaultHTTPClientConfig
	client.EnableHTTP2 = false
	c.Tails = []lokitail.Tail{{URL: url, Query: query, Tenant: "fake", HTTPClient: client}}
	reg := prometheus.NewRegistry()
	s, err := lokitail.New(lokitail.Options{Config: c, Target: target, Registerer: reg, Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() { cancel(); require.NoError(t, <-done) })
	return reg
}

func value(t *testing.T, reg *prometheus.Registry, name string) (sum float64) {
	t.Helper()
	families, err := reg.Gather()
	require.NoError(t, err)
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == "portent_exporter_loki_tail_"+name {
				sum += m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
	}
	return sum
}

func push(t *testing.T, url string, lines ...string) {
	t.Helper()
	var values []string
	for i, l := range lines {
		values = append(values, fmt.Sprintf(`["%d",%q]`, time.Now().UnixNano()+int64(i), l))
	}
	resp, err := http.Post(url+"/loki/api/v1/push", "application/json",
		bytes.NewReader([]byte(`{"streams":[{"stream":{"app":"web"},"values":[`+strings.Join(values, ",")+`]}]}`)))
	require.NoError(t, err)
	defer resp.Body.Close()
	require.Equal(t, 204, resp.StatusCode)
}

// TestRealLoki: a tail gives what is pushed, what the query takes of it, and after a
// restart of Loki what came meanwhile; each line once.
func TestRealLoki(t *testing.T) {
	loki := servertest.Loki(t, servertest.Config{})
	target := &linetest.Target{}
	reg := start(t, loki.URL, `{app="web"} |= "line"`, target)
	require.Eventually(t, func() bool { return value(t, reg, "connected") == 1 }, 30*time.Second, 50*time.Millisecond)
	got := map[string]int{}
	collect := func(n int) {
		t.Helper()
		require.Eventually(t, func() bool {
			for _, l := range target.Take() {
				got[l.Text]++
				require.Contains(t, l.Labels, ingest.Label{Name: "app", Value: "web"})
				require.Positive(t, l.T)
			}
			return len(got) >= n
		}, 40*time.Second, 50*time.Millisecond, "%d of %d lines", len(got), n)
	}
	push(t, loki.URL, "line 1", "nothing", "line 2")
	collect(2)
	loki.Restart()
	push(t, loki.URL, "line 3", "line 4") // most likely before the tail is connected again
	collect(4)
	push(t, loki.URL, "line 5")
	collect(5)
	require.Equal(t, map[string]int{"line 1": 1, "line 2": 1, "line 3": 1, "line 4": 1, "line 5": 1}, got)
	require.Positive(t, value(t, reg, "reconnects_total"))
}

// server is a Loki that says what a test wants.
type server struct {
	mu       sync.Mutex
	messages chan string
	ended    chan struct{} // one for each connection that is over
	stored   string        // answer of query_range
	starts   []string
}

func (s *server) serve(t *testing.T) string {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("/loki/api/v1/tail", func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Scope-OrgID") != "fake" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		c, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		defer func() { _ = c.CloseNow(); s.ended <- struct{}{} }()
		ctx := c.CloseRead(r.Context())
		for {
			select {
			case m := <-s.messages:
				if m == "" || c.Write(ctx, websocket.MessageText, []byte(m)) != nil {
					return
				}
			case <-ctx.Done():
				return
			}
		}
	})
	mux.HandleFunc("/loki/api/v1/query_range", func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.starts = append(s.starts, r.FormValue("start"))
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"status":"success","data":{"resultType":"streams","result":[%s]}}`, s.stored)
	})
	srv := httptest.NewServer(mux)
	t.Cleanup(srv.Close)
	return srv.URL
}

// TestDropped: what Loki leaves out of a tail is fetched, and lines that are no lines are
// counted.
func TestDropped(t *testing.T) {
	now := time.Now().UnixNano()
	stream := func(values string) string { return `{"stream":{"app":"web","level":"warn"},"values":[` + values + `]}` }
	one, two := fmt.Sprintf(`["%d","one"]`, now), fmt.Sprintf(`["%d","two"]`, now+1)
	s := &server{messages: make(chan string), ended: make(chan struct{}, 8)}
	target := &linetest.Target{}
	reg := start(t, s.serve(t), `{app="web"}`, target)
	s.messages <- `{"streams":[` + stream(one+`,["x","bad"],["1"],[1,2]`) + `]}`
	require.Eventually(t, func() bool { return value(t, reg, "lines_total") == 1 }, 10*time.Second, 10*time.Millisecond)
	require.InDelta(t, 3, value(t, reg, "lines_bad_total"), 0)
	s.mu.Lock()
	s.stored = stream(one + "," + two)
	s.mu.Unlock()
	s.messages <- `{"streams":[],"dropped_entries":[{"labels":{},"timestamp":"1"}]}`
	require.Eventually(t, func() bool { return value(t, reg, "lines_total") == 2 }, 10*time.Second, 10*time.Millisecond)
	got := target.Take()
	require.Equal(t, "two", got[1].Text)
	require.Equal(t, "warn", got[1].Severity)
	require.InDelta(t, 1, value(t, reg, "lines_repeated_total"), 0)
	s.messages <- "no JSON"
	require.Eventually(t, func() bool { return value(t, reg, "reconnects_total") == 1 }, 10*time.Second, 10*time.Millisecond)
	<-s.ended // nobody but the next connection can take what follows
	s.messages <- ""
	require.Eventually(t, func() bool { return value(t, reg, "reconnects_total") == 2 }, 10*time.Second, 10*time.Millisecond)
}

func TestConfig(t *testing.T) {
	c := lokitail.DefaultConfig()
	require.NoError(t, c.Validate())
	c.Tails = []lokitail.Tail{{URL: "loki", Query: "{}", HTTPClient: config.HTTPClientConfig{EnableHTTP2: true}}, {URL: "http://u:p@a"}}
	c.MaxGap = model.Duration(-1)
	err := c.Validate()
	for _, key := range []string{"tails[0].url", "tails[0].http_client.enable_http2", "tails[1].url", "tails[1].query", "max_gap"} {
		require.ErrorContains(t, err, key)
	}
	require.NotContains(t, err.Error(), "u:p")
}
