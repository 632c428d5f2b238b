package web_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	toolkitweb "github.com/prometheus/exporter-toolkit/web"
	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/web"
)

func flags(configFile string, addresses ...string) *toolkitweb.FlagConfig {
	return &toolkitweb.FlagConfig{WebListenAddresses: &addresses, WebConfigFile: &configFile}
}

func options() web.Options {
	return web.Options{
		Name:      "portent-test",
		Logger:    slog.New(slog.DiscardHandler),
		WebConfig: flags("", "127.0.0.1:0"),
		Registry:  prometheus.NewRegistry(),
		Mux:       http.NewServeMux(),
	}
}

func newServer(t *testing.T, o web.Options) *web.Server {
	t.Helper()
	s, err := web.New(o)
	require.NoError(t, err)
	return s
}

// start runs a server and returns its addresses and a function that stops it and returns the error of Run.
func start(t *testing.T, s *web.Server) (addrs []net.Addr, stop func() error) {
	t.Helper()
	require.NoError(t, s.Listen())
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(cancel)
	return s.Addrs(), func() error {
		cancel()
		return <-done
	}
}

func do(h http.Handler, method, path string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(method, path, nil))
	return w
}

func TestNewNamesWhatIsMissing(t *testing.T) {
	for name, unset := range map[string]func(*web.Options){
		"name":       func(o *web.Options) { o.Name = "" },
		"logger":     func(o *web.Options) { o.Logger = nil },
		"web config": func(o *web.Options) { o.WebConfig = nil },
		"registry":   func(o *web.Options) { o.Registry = nil },
		"mux":        func(o *web.Options) { o.Mux = nil },
	} {
		o := options()
		unset(&o)
		_, err := web.New(o)
		require.EqualError(t, err, "web: "+name+" is required")
	}
}

func TestRoutes(t *testing.T) {
	o := options()
	var notReady error
	var reloadErr error
	o.Ready = func() error { return notReady }
	o.Reload = func() error { return reloadErr }
	o.Landing = &web.Landing{Description: "Tests <b>things</b>.", Links: []web.Link{{"/api/v1/x", "X", "the x"}}}
	o.Mux.HandleFunc("POST /api/v1/x", func(w http.ResponseWriter, _ *http.Request) { web.JSON(w, http.StatusAccepted, []int{1}) })
	h := newServer(t, o).Handler()

	f := func(method, path string, code int, body string) {
		t.Helper()
		w := do(h, method, path)
		require.Equal(t, code, w.Code, "%s %s", method, path)
		require.Contains(t, w.Body.String(), body)
	}
	f("GET", "/-/healthy", 200, "portent-test is healthy.")
	f("GET", "/-/ready", 200, "portent-test is ready.")
	f("POST", "/-/reload", 200, "configuration reloaded")
	f("PUT", "/-/reload", 200, "configuration reloaded")
	f("GET", "/-/reload", 405, `"hint":"use POST, PUT"`)
	f("POST", "/api/v1/x", 202, "[1]\n")
	f("GET", "/nowhere", 404, `{"error":"no such path","hint":`)
	f("GET", "/", 200, "Tests &lt;b&gt;things&lt;/b&gt;.")
	f("GET", "/", 200, `href="/api/v1/x"`)
	f("GET", "/metrics", 200, "portent_test_config_last_reload_successful 1")
	f("GET", "/metrics", 200, `portent_test_http_requests_total{code="404",route="unmatched"} 1`)

	notReady = errors.New("filling up")
	f("GET", "/-/ready", 503, `"error":"filling up"`)
	reloadErr = errors.New("x.yml: line 3: boom")
	f("POST", "/-/reload", 500, `"error":"reload configuration: x.yml: line 3: boom"`)
	f("GET", "/metrics", 200, "portent_test_config_last_reload_successful 0")
	reloadErr = nil
	f("POST", "/-/reload", 200, "")
	f("GET", "/metrics", 200, "portent_test_config_last_reload_successful 1")
}

func TestWithoutReloadThereIsNoReload(t *testing.T) {
	h := newServer(t, options()).Handler()
	require.Equal(t, 404, do(h, "POST", "/-/reload").Code)
	require.NotContains(t, do(h, "GET", "/metrics").Body.String(), "last_reload")
}

func TestGuardStandsBeforeReload(t *testing.T) {
	o := options()
	reloads := 0
	o.Reload = func() error { reloads++; return nil }
	o.Guard = func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("X-Role") != "admin" {
				web.Error(w, http.StatusForbidden, errors.New("not an admin"), "")
				return
			}
			h.ServeHTTP(w, r)
		})
	}
	h := newServer(t, o).Handler()
	require.Equal(t, 403, do(h, "POST", "/-/reload").Code)
	require.Equal(t, 403, do(h, "PUT", "/-/reload").Code)
	require.Zero(t, reloads)
	r := httptest.NewRequest(http.MethodPost, "/-/reload", nil)
	r.Header.Set("X-Role", "admin")
	h.ServeHTTP(httptest.NewRecorder(), r)
	require.Equal(t, 1, reloads)
	require.Equal(t, 200, do(h, "GET", "/-/healthy").Code)
}

func TestMetricsAnswersInOpenMetrics(t *testing.T) {
	h := newServer(t, options()).Handler()
	r := httptest.NewRequest(http.MethodGet, "/metrics", nil)
	r.Header.Set("Accept", "application/openmetrics-text;version=1.0.0")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	require.Contains(t, w.Header().Get("Content-Type"), "application/openmetrics-text")
	require.True(t, strings.HasSuffix(w.Body.String(), "# EOF\n"))
}

func TestRequestMetricsAreBounded(t *testing.T) {
	o := options()
	o.Mux.HandleFunc("GET /items/{id}", func(http.ResponseWriter, *http.Request) {})
	h := newServer(t, o).Handler()
	for i := range 100 {
		do(h, "GET", fmt.Sprintf("/items/%d", i))
		do(h, "GET", fmt.Sprintf("/other/%d", i))
		do(h, fmt.Sprintf("METHOD%d", i), "/items/1")
	}
	require.NoError(t, testutil.GatherAndCompare(o.Registry, strings.NewReader(`
# HELP portent_test_http_requests_total HTTP requests answered, by the pattern of the route and the status code.
# TYPE portent_test_http_requests_total counter
portent_test_http_requests_total{code="200",route="GET /items/{id}"} 100
portent_test_http_requests_total{code="404",route="unmatched"} 100
portent_test_http_requests_total{code="405",route="unmatched"} 100
`), "portent_test_http_requests_total"))
}

func TestPanicIsAnswered(t *testing.T) {
	o := options()
	var log bytes.Buffer
	o.Logger = slog.New(slog.NewTextHandler(&log, nil))
	o.Mux.HandleFunc("GET /boom", func(http.ResponseWriter, *http.Request) { panic("kaboom") })
	o.Mux.HandleFunc("GET /late", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "half")
		panic("kaboom")
	})
	s := newServer(t, o)
	w := do(s.Handler(), "GET", "/boom")
	require.Equal(t, 500, w.Code)
	var body map[string]string
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &body))
	require.Equal(t, "internal error", body["error"])
	require.NotContains(t, w.Body.String(), "kaboom")
	require.Contains(t, log.String(), "panic=kaboom")
	require.Contains(t, log.String(), "server_test.go") // the stack

	// An answer that was begun is cut off, so that the client does not take half for the whole.
	require.PanicsWithError(t, http.ErrAbortHandler.Error(), func() { do(s.Handler(), "GET", "/late") })
	require.Contains(t, do(s.Handler(), "GET", "/metrics").Body.String(), "portent_test_http_panics_total 2")
}

func TestFlushReachesTheClient(t *testing.T) {
	o := options()
	next := make(chan struct{})
	o.Mux.HandleFunc("GET /slow", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "first\n")
		w.(http.Flusher).Flush()
		<-next
		_, _ = io.WriteString(w, "second\n")
	})
	addrs, stop := start(t, newServer(t, o))
	resp, err := http.Get("http://" + addrs[0].String() + "/slow")
	require.NoError(t, err)
	defer resp.Body.Close()
	line, err := bufio.NewReader(resp.Body).ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, "first\n", line)
	close(next)
	require.NoError(t, stop())
}

func TestShutdownDrains(t *testing.T) {
	o := options()
	began, finish := make(chan struct{}), make(chan struct{})
	o.Mux.HandleFunc("POST /work", func(w http.ResponseWriter, r *http.Request) {
		close(began)
		<-finish
		web.JSON(w, 200, "done")
	})
	s := newServer(t, o)
	addrs, stop := start(t, s)
	answer := make(chan string, 1)
	go func() {
		resp, err := http.Post("http://"+addrs[0].String()+"/work", "", nil)
		if err != nil {
			answer <- err.Error()
			return
		}
		defer resp.Body.Close()
		b, _ := io.ReadAll(resp.Body)
		answer <- string(b)
	}()
	<-began
	stopped := make(chan error, 1)
	go func() { stopped <- stop() }()
	require.Eventually(t, func() bool { return do(s.Handler(), "GET", "/-/ready").Code == 503 }, 5*time.Second, time.Millisecond)
	select {
	case err := <-stopped:
		require.Fail(t, "stopped before the request ended", "%v", err)
	default:
	}
	close(finish)
	require.NoError(t, <-stopped)
	require.Equal(t, "\"done\"\n", <-answer)
	_, err := net.Dial("tcp", addrs[0].String())
	require.ErrorIs(t, err, syscall.ECONNREFUSED)
}

func TestShutdownGivesUpAfterTheTimeout(t *testing.T) {
	o := options()
	o.ShutdownTimeout = 10 * time.Millisecond
	began, release := make(chan struct{}), make(chan struct{})
	o.Mux.HandleFunc("GET /stuck", func(http.ResponseWriter, *http.Request) { close(began); <-release })
	addrs, stop := start(t, newServer(t, o))
	go func() {
		if resp, err := http.Get("http://" + addrs[0].String() + "/stuck"); err == nil {
			resp.Body.Close()
		}
	}()
	<-began
	require.ErrorIs(t, stop(), context.DeadlineExceeded)
	close(release)
}

func TestSIGHUPReloads(t *testing.T) {
	o := options()
	reloads := make(chan struct{}, 1)
	o.Reload = func() error { reloads <- struct{}{}; return nil }
	addrs, stop := start(t, newServer(t, o))
	// The handler of the signal is there once the server answers: Run installs it before it serves.
	resp, err := http.Get("http://" + addrs[0].String() + "/-/healthy")
	require.NoError(t, err)
	resp.Body.Close()
	require.NoError(t, syscall.Kill(os.Getpid(), syscall.SIGHUP))
	<-reloads
	require.NoError(t, stop())
}

func TestReloadsNeverOverlap(t *testing.T) {
	o := options()
	var now, most atomic.Int32
	o.Reload = func() error {
		most.Store(max(most.Load(), now.Add(1)))
		<-time.After(time.Millisecond) // long enough that calls without a lock would meet
		now.Add(-1)
		return nil
	}
	h := newServer(t, o).Handler()
	done := make(chan struct{})
	for range 8 {
		go func() { do(h, "POST", "/-/reload"); done <- struct{}{} }()
	}
	for range 8 {
		<-done
	}
	require.EqualValues(t, 1, most.Load())
}

func TestListenFailsForAnAddressInUse(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	o := options()
	o.WebConfig = flags("", "127.0.0.1:0", l.Addr().String())
	s := newServer(t, o)
	require.ErrorIs(t, s.Listen(), syscall.EADDRINUSE)
	require.Empty(t, s.Addrs())
}

func TestCloseGivesThePortBack(t *testing.T) {
	s := newServer(t, options())
	require.NoError(t, s.Listen())
	address := s.Addrs()[0].String()
	require.NoError(t, s.Close())
	l, err := net.Listen("tcp", address)
	require.NoError(t, err)
	require.NoError(t, l.Close())
}

func TestSeveralAddressesWithBasicAuth(t *testing.T) {
	// The password is "portent", hashed with cost 4 so that the test is quick.
	file := filepath.Join(t.TempDir(), "web.yml")
	require.NoError(t, os.WriteFile(file, []byte("basic_auth_users:\n  ann: $2a$04$5Odvbh1DKny34aytlPg1KOEBIDZ8t8rok2zT2avudR9IHP89Z.Fiq\n"), 0o600))
	o := options()
	o.WebConfig = flags(file, "127.0.0.1:0", "127.0.0.1:0")
	addrs, stop := start(t, newServer(t, o))
	require.Len(t, addrs, 2)
	for _, a := range addrs {
		f := func(user, password string, want int) {
			t.Helper()
			r, err := http.NewRequest(http.MethodGet, "http://"+a.String()+"/-/healthy", nil)
			require.NoError(t, err)
			r.SetBasicAuth(user, password)
			resp, err := http.DefaultClient.Do(r)
			require.NoError(t, err)
			resp.Body.Close()
			require.Equal(t, want, resp.StatusCode)
		}
		f("ann", "portent", 200)
		f("ann", "wrong", 401)
		f("bob", "portent", 401)
	}
	require.NoError(t, stop())
}

func TestBrokenWebConfigStopsTheStart(t *testing.T) {
	file := filepath.Join(t.TempDir(), "web.yml")
	require.NoError(t, os.WriteFile(file, []byte("tls_server_config:\n  cert_file: nowhere.crt\n  key_file: nowhere.key\n"), 0o600))
	o := options()
	o.WebConfig = flags(file, "127.0.0.1:0")
	_, err := web.New(o)
	require.ErrorContains(t, err, "web config file "+file)
	require.ErrorContains(t, err, "nowhere.crt")
}

func TestHeadersAreBounded(t *testing.T) {
	addrs, stop := start(t, newServer(t, options()))
	r, err := http.NewRequest(http.MethodGet, "http://"+addrs[0].String()+"/-/healthy", nil)
	require.NoError(t, err)
	r.Header.Set("X-Long", strings.Repeat("x", 128<<10))
	resp, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	resp.Body.Close()
	require.Equal(t, http.StatusRequestHeaderFieldsTooLarge, resp.StatusCode)
	require.NoError(t, stop())
}

func TestSlowHeadersAreCutOff(t *testing.T) {
	o := options()
	o.ReadTimeout = 50 * time.Millisecond
	addrs, stop := start(t, newServer(t, o))
	// A slowloris: one more header line now and then, for ever.
	c, err := net.Dial("tcp", addrs[0].String())
	require.NoError(t, err)
	defer c.Close()
	_, err = io.WriteString(c, "GET /-/healthy HTTP/1.1\r\nHost: x\r\n")
	require.NoError(t, err)
	require.NoError(t, c.SetReadDeadline(time.Now().Add(10*time.Second)))
	closed := make(chan error, 1)
	go func() {
		_, err := io.ReadAll(c)
		closed <- err
	}()
	for {
		select {
		case err := <-closed:
			require.NotErrorIs(t, err, os.ErrDeadlineExceeded, "the server hung up")
			require.NoError(t, stop())
			return
		case <-time.After(5 * time.Millisecond):
			_, _ = io.WriteString(c, "X-More: 1\r\n") // fails once the server has hung up
		}
	}
}

func TestSlowBodyIsCutOff(t *testing.T) {
	o := options()
	o.ReadTimeout = 50 * time.Millisecond
	failed := make(chan error, 1)
	o.Mux.HandleFunc("POST /body", func(_ http.ResponseWriter, r *http.Request) {
		_, err := io.ReadAll(r.Body)
		failed <- err
	})
	addrs, stop := start(t, newServer(t, o))
	c, err := net.Dial("tcp", addrs[0].String())
	require.NoError(t, err)
	defer c.Close()
	_, err = io.WriteString(c, "POST /body HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nslow")
	require.NoError(t, err)
	require.ErrorIs(t, <-failed, os.ErrDeadlineExceeded)
	require.NoError(t, stop())
}
