package app

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	toolkitweb "github.com/prometheus/exporter-toolkit/web"
	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/incidentapi"
	"github.com/portent-dev/portent/internal/ticket/jira/jiratest"
)

// logBuffer collects the log of an App.
type logBuffer struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// options are those of an App on a free loopback port over a store of its own.
func options(t testing.TB, config string) (Options, *logBuffer) {
	t.Helper()
	dir := t.TempDir()
	file := filepath.Join(dir, "receiver.yml")
	require.NoError(t, os.WriteFile(file, []byte(config), 0o600))
	systemd, none := false, ""
	log := &logBuffer{}
	return Options{
		ConfigFile: file, Store: "sqlite:" + filepath.Join(dir, "receiver.db"), Logger: slog.New(slog.NewTextHandler(log, nil)),
		WebConfig: &toolkitweb.FlagConfig{WebListenAddresses: &[]string{"127.0.0.1:0"}, WebSystemdSocket: &systemd, WebConfigFile: &none},
	}, log
}

// running starts an App and ends it with the test. It returns its address.
func running(t testing.TB, o Options) (*App, string) {
	t.Helper()
	a, err := New(t.Context(), o)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-done)
	})
	return a, "http://" + a.Addrs()[0].String()
}

func post(t testing.TB, url, body string, header ...string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(body))
	require.NoError(t, err)
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	return do(t, req)
}

func get(t testing.TB, url string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	require.NoError(t, err)
	return do(t, req)
}

func do(t testing.TB, req *http.Request) (int, string) {
	t.Helper()
	r, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	require.NoError(t, err)
	return r.StatusCode, string(b)
}

func TestFromNotificationToTicketPage(t *testing.T) {
	o, _ := options(t, "")
	_, url := running(t, o)
	code, body := post(t, url+hook, notice("PaymentsDown"))
	require.Equal(t, 200, code, body)
	c, err := incidentapi.New(incidentapi.Options{URL: url})
	require.NoError(t, err)
	var inc incidentapi.Incident
	require.Eventually(t, func() bool {
		page, err := c.List(t.Context(), incidentapi.ListOptions{})
		if err != nil || len(page.Incidents) != 1 || len(page.Incidents[0].Tickets) != 1 {
			return false
		}
		inc = page.Incidents[0]
		return inc.Tickets[0].Key != ""
	}, 10*time.Second, 10*time.Millisecond)
	require.Equal(t, "[Auto] Payments down - shop namespace", inc.Title)
	require.Equal(t, url+"/tickets/LOCAL-1", inc.Tickets[0].URL, "the address is made of the listen address")

	code, body = get(t, inc.Tickets[0].URL)
	require.Equal(t, 200, code)
	require.Contains(t, body, "Payments down - shop namespace")
	require.Contains(t, body, `href="../incidents/`+inc.ID)
	code, body = get(t, url+"/incidents/"+inc.ID)
	require.Equal(t, 200, code)
	require.Contains(t, body, `href="../tickets/LOCAL-1"`)

	inc, err = c.Dismiss(t.Context(), inc.ID, "it was the load test")
	require.NoError(t, err)
	require.Equal(t, "dismissed", inc.Status)
	require.Eventually(t, func() bool {
		_, body := get(t, url+"/tickets/LOCAL-1")
		return strings.Contains(body, "it was the load test")
	}, 10*time.Second, 10*time.Millisecond, "the ticket is told")
	for _, path := range []string{"/-/healthy", "/-/ready", "/metrics", "/", "/outbox", "/suppressed"} {
		code, _ := get(t, url+path)
		require.Equal(t, 200, code, path)
	}
	code, body = get(t, url+"/nowhere")
	require.Equal(t, 404, code)
	require.JSONEq(t, `{"error":"no such path","hint":"the paths are listed in the documentation"}`, body)
}

// The store takes no more: the sender is told to come again, and what was acknowledged is processed when there is room.
func TestFullStore(t *testing.T) {
	o, _ := options(t, "max_store_bytes: 1048576\n")
	accepted, refused := 0, 0
	t.Run("full", func(t *testing.T) {
		_, url := running(t, o)
		big := strings.Replace(notice("A"), "it is broken", strings.Repeat("long ", 20000), 1)
		for i := range 40 {
			code, body := post(t, url+hook, strings.NewReplacer(`"alertname":"A"`, fmt.Sprintf(`"alertname":"A%d"`, i), "a350557aa430340e", fmt.Sprintf("%016x", i+1)).Replace(big))
			switch code {
			case 200:
				accepted++
			case 503:
				refused++
				require.Contains(t, body, "make room")
			default:
				t.Fatalf("%d %s", code, body)
			}
		}
	})
	require.Positive(t, accepted)
	require.Positive(t, refused)

	require.NoError(t, os.WriteFile(o.ConfigFile, nil, 0o600))
	_, url := running(t, o)
	require.Eventually(t, func() bool {
		_, body := get(t, url+"/api/v1/alerts?limit=1000")
		var page incidentapi.AlertPage
		return json.Unmarshal([]byte(body), &page) == nil && len(page.Alerts) == accepted
	}, 20*time.Second, 20*time.Millisecond)
}

// A body without end costs a bounded amount of memory and gets an answer.
func TestHugeBody(t *testing.T) {
	o, _ := options(t, "webhook: {max_body_bytes: 65536}\n")
	_, url := running(t, o)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url+hook, io.LimitReader(zeros{}, 1<<30))
	require.NoError(t, err)
	r, err := http.DefaultTransport.RoundTrip(req)
	if err == nil { // the sender may see the connection close before it reads the answer
		defer r.Body.Close()
		require.Equal(t, 413, r.StatusCode)
	}
	require.Eventually(t, func() bool {
		_, body := get(t, url+"/metrics")
		return strings.Contains(body, `portent_receiver_notifications_total{outcome="too_large"} 1`)
	}, 10*time.Second, 10*time.Millisecond)
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func TestStartErrorsSayWhatToDo(t *testing.T) {
	start := func(config string, change func(*Options)) error {
		o, _ := options(t, config)
		if change != nil {
			change(&o)
		}
		a, err := New(t.Context(), o)
		if err == nil {
			require.NoError(t, a.Close())
		}
		return err
	}
	require.NoError(t, start("", nil))
	require.ErrorContains(t, start("trackers: [{type: x}]\n", nil), "known are jira, local")
	require.ErrorContains(t, start("", func(o *Options) { *o.WebConfig.WebListenAddresses = []string{"0.0.0.0:0"} }), "nobody would be asked who they are")
	require.ErrorContains(t, start("webhook: {token_file: /nowhere}\n", nil), "webhook: read secret")
	require.ErrorContains(t, start("", func(o *Options) { o.Store = "sqlite:/nowhere/at/all/x.db" }), "/nowhere/at/all/x.db")
	require.NoError(t, start("webhook: {open: true}\naccess: [{name: a, role: viewer, token: 0123456789abcdef}]\n", func(o *Options) { *o.WebConfig.WebListenAddresses = []string{"0.0.0.0:0"} }))

	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer taken.Close()
	require.ErrorContains(t, start("", func(o *Options) { *o.WebConfig.WebListenAddresses = []string{taken.Addr().String()} }), "address already in use")

	damaged := filepath.Join(t.TempDir(), "damaged.db")
	require.NoError(t, os.WriteFile(damaged, []byte(strings.Repeat("this is not a database ", 1000)), 0o600))
	require.ErrorContains(t, start("", func(o *Options) { o.Store = "sqlite:" + damaged }), "damaged")
}

func jiraYAML(url, project string) string {
	return fmt.Sprintf("trackers:\n  - {type: local}\n  - type: jira\n    name: ops\n    jira: {url: %q, email: %s, token: %s, project: %s}\nrouting: {default: [ops]}\n", url, jiratest.Email, jiratest.Token, project)
}

func TestJiraIsAskedWhetherTheConfigurationFits(t *testing.T) {
	_, url := jiratest.Start(t, jiratest.Options{})
	o, _ := options(t, jiraYAML(url, "NOPE"))
	_, err := New(t.Context(), o)
	require.ErrorContains(t, err, "trackers[1].jira: jira configuration does not fit the site")
	require.NotContains(t, err.Error(), jiratest.Token)

	down := httptest.NewServer(http.NotFoundHandler())
	down.Close()
	o, log := options(t, jiraYAML(down.URL, "OPS"))
	a, err := New(t.Context(), o)
	require.NoError(t, err, "a tracker that is down is no reason not to take notifications")
	require.NoError(t, a.Close())
	require.Contains(t, log.String(), "tracker cannot be asked now")
}

func TestReloadKeepsWhatDidNotChange(t *testing.T) {
	_, url := jiratest.Start(t, jiratest.Options{Projects: []jiratest.Project{jiratest.DefaultProject("OPS"), jiratest.DefaultProject("DEV")}})
	o, _ := options(t, jiraYAML(url, "OPS"))
	a, addr := running(t, o)
	tracker := func() *builtTracker { return (*a.trackers.active.Load())["ops"] }
	before := tracker()
	_, body := get(t, addr+"/metrics")
	require.Contains(t, body, `portent_receiver_jira_requests_total{operation="create issue",outcome="ok",tracker="ops"} 0`)

	code, body := post(t, addr+"/-/reload", "")
	require.Equal(t, 200, code, body)
	require.Same(t, before, tracker(), "with its caches and counters")

	require.NoError(t, os.WriteFile(o.ConfigFile, []byte(jiraYAML(url, "NOPE")), 0o600))
	code, body = post(t, addr+"/-/reload", "")
	require.Equal(t, 500, code)
	require.Contains(t, body, "does not fit the site")
	require.Same(t, before, tracker(), "nothing has changed")
	_, body = get(t, addr+"/metrics")
	require.Contains(t, body, "portent_receiver_config_last_reload_successful 0")

	require.NoError(t, os.WriteFile(o.ConfigFile, []byte(jiraYAML(url, "DEV")), 0o600))
	code, _ = post(t, addr+"/-/reload", "")
	require.Equal(t, 200, code)
	require.NotSame(t, before, tracker())
	_, body = get(t, addr+"/metrics")
	require.Equal(t, 1, strings.Count(body, `portent_receiver_jira_requests_total{operation="create issue",outcome="ok",tracker="ops"}`))

	require.NoError(t, os.WriteFile(o.ConfigFile, []byte("access: [{name: a, role: admin, token: 0123456789abcdef}]\n"), 0o600))
	code, _ = post(t, addr+"/-/reload", "")
	require.Equal(t, 200, code)
	require.Nil(t, tracker(), "taken out")
	code, _ = post(t, addr+"/-/reload", "")
	require.Equal(t, 401, code, "from now on somebody must be admin")
	code, _ = post(t, addr+"/-/reload", "", "Authorization", "Bearer 0123456789abcdef")
	require.Equal(t, 200, code)
}

// A notification that was taken while the receiver was being told to stop is there after the next start.
func TestConcurrentIntake(t *testing.T) {
	o, _ := options(t, "")
	_, url := running(t, o)
	var wg sync.WaitGroup
	for w := range 16 {
		wg.Go(func() {
			for i := range 20 {
				code, body := post(t, url+hook, strings.NewReplacer(`"alertname":"A"`, fmt.Sprintf(`"alertname":"A%d"`, w), `"namespace":"shop"`, fmt.Sprintf(`"namespace":"n%d"`, i)).Replace(notice("A")))
				if code != 200 {
					t.Errorf("%d %s", code, body)
				}
			}
		})
	}
	wg.Wait()
	require.Eventually(t, func() bool {
		_, body := get(t, url+"/metrics")
		return strings.Contains(body, "portent_outbox_pending 0\n")
	}, 20*time.Second, 20*time.Millisecond)
	var page incidentapi.AlertPage
	_, body := get(t, url+"/api/v1/alerts?limit=1000")
	require.NoError(t, json.Unmarshal([]byte(body), &page))
	require.NotEmpty(t, page.Alerts)
	require.Nil(t, page.Next)
}

// Basic auth is asked for by the web configuration; the access list gives its users their roles.
func TestUsersOfTheWebConfiguration(t *testing.T) {
	o, _ := options(t, "access:\n  - {name: Alice, role: viewer, user: alice}\n  - {name: ghost, role: admin, user: ghost}\n")
	file := filepath.Join(t.TempDir(), "web.yml")
	// bcrypt of alices-password, cost 4, made once for this test
	require.NoError(t, os.WriteFile(file, []byte("basic_auth_users:\n  alice: $2a$04$WCCNP1IAlcAjyP7GPhHdFeaZbRFsONBapBHmqidQ.YOs2cN3LiO0i\n"), 0o600))
	o.WebConfig.WebConfigFile = &file
	_, url := running(t, o)
	ask := func(method, path, user, password string) (int, string) {
		req, err := http.NewRequestWithContext(t.Context(), method, url+path, nil)
		require.NoError(t, err)
		if user != "" {
			req.SetBasicAuth(user, password)
		}
		return do(t, req)
	}
	code, _ := ask(http.MethodGet, "/api/v1/incidents", "", "")
	require.Equal(t, 401, code)
	code, _ = ask(http.MethodGet, "/api/v1/incidents", "alice", "wrong")
	require.Equal(t, 401, code)
	code, _ = ask(http.MethodGet, "/api/v1/incidents", "ghost", "")
	require.Equal(t, 401, code, "a name of the access list that the web configuration does not know")
	code, body := ask(http.MethodGet, "/", "alice", "alices-password")
	require.Equal(t, 200, code)
	require.Contains(t, body, "Signed in as Alice (viewer)")
	code, body = ask(http.MethodPost, "/-/reload", "alice", "alices-password")
	require.Equal(t, 403, code)
	require.Contains(t, body, "it needs role admin")
}
