package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/incidentapi"
	"github.com/portent-dev/portent/internal/ticket/doubletest"
	"github.com/portent-dev/portent/internal/ticket/jira/jiratest"
)

// asMain makes the test binary be the program itself, so that real processes can be killed.
const asMain = "PORTENT_RECEIVER_TEST_AS_MAIN"

func TestMain(m *testing.M) {
	if os.Getenv(asMain) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// process is a receiver of its own over a data directory that outlives it.
type process struct {
	t    *testing.T
	dir  string
	args []string
	url  string
	cmd  *exec.Cmd
	log  *syncBuffer
	done chan error
}

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// receiver prepares a process with the given configuration, on a free loopback port. It does not start it.
func receiver(t *testing.T, config string, args ...string) *process {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	addr := l.Addr().String()
	require.NoError(t, l.Close())
	p := &process{t: t, dir: t.TempDir(), url: "http://" + addr, log: &syncBuffer{}}
	p.args = append([]string{
		"--config.file=" + filepath.Join(p.dir, "receiver.yml"), "--web.listen-address=" + addr, "--store=sqlite:" + filepath.Join(p.dir, "receiver.db"),
	}, args...)
	p.config(config)
	t.Cleanup(func() {
		p.kill()
		if t.Failed() {
			t.Logf("log of the receiver:\n%s", p.log)
		}
	})
	return p
}

func (p *process) config(content string) {
	require.NoError(p.t, os.WriteFile(filepath.Join(p.dir, "receiver.yml"), []byte(content), 0o600))
}

func (p *process) start() {
	p.t.Helper()
	p.launch()
	p.eventually("ready", func() bool {
		r, err := http.Get(p.url + "/-/ready")
		if err != nil {
			return false
		}
		defer r.Body.Close()
		return r.StatusCode == http.StatusOK
	})
}

func (p *process) launch() {
	p.cmd = exec.Command(os.Args[0], p.args...)
	p.cmd.Env = append(os.Environ(), asMain+"=1")
	p.cmd.Stdout, p.cmd.Stderr = p.log, p.log
	require.NoError(p.t, p.cmd.Start())
	p.done = make(chan error, 1)
	go func() { p.done <- p.cmd.Wait() }()
}

func (p *process) kill() {
	if p.cmd != nil && p.cmd.ProcessState == nil {
		_ = p.cmd.Process.Kill() // it may have ended by itself
		<-p.done
	}
	p.cmd = nil
}

// stop asks the process to end and returns its exit status.
func (p *process) stop() int {
	p.t.Helper()
	require.NoError(p.t, p.cmd.Process.Signal(syscall.SIGTERM))
	select {
	case <-p.done:
	case <-time.After(30 * time.Second):
		p.t.Fatal("the receiver does not stop")
	}
	code := p.cmd.ProcessState.ExitCode()
	p.cmd = nil
	return code
}

func (p *process) eventually(what string, f func() bool) {
	p.t.Helper()
	require.Eventually(p.t, f, 40*time.Second, 20*time.Millisecond, what)
}

func (p *process) post(body string) (status int) {
	r, err := http.Post(p.url+incidentapi.PathWebhook, "application/json", strings.NewReader(body))
	if err != nil {
		return 0
	}
	defer r.Body.Close()
	_, _ = io.Copy(io.Discard, r.Body) // the status is all that counts
	return r.StatusCode
}

func (p *process) client() *incidentapi.Client {
	c, err := incidentapi.New(incidentapi.Options{URL: p.url})
	require.NoError(p.t, err)
	return c
}

// incidents returns all incidents; none while it cannot be asked.
func (p *process) incidents() []incidentapi.Incident {
	page, err := p.client().List(p.t.Context(), incidentapi.ListOptions{Limit: 1000})
	if err != nil {
		return nil
	}
	return page.Incidents
}

var pendingSample = regexp.MustCompile(`(?m)^portent_outbox_pending (\d+)$`)

// drained reports whether everything that was accepted is done.
func (p *process) drained() bool {
	r, err := http.Get(p.url + "/metrics")
	if err != nil {
		return false
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	m := pendingSample.FindSubmatch(b)
	return err == nil && m != nil && string(m[1]) == "0"
}

// notice is a notification of one firing alert in a namespace of its own.
func notice(namespace string, status string) string {
	now := time.Now().UTC()
	end := "0001-01-01T00:00:00Z"
	if status == "resolved" {
		end = now.Format(time.RFC3339Nano)
	}
	h := uint64(14695981039346656037)
	for _, c := range []byte(namespace) {
		h = (h ^ uint64(c)) * 1099511628211
	}
	b, _ := json.Marshal(map[string]any{
		"version": "4", "groupKey": "{}:" + namespace, "status": status, "receiver": "portent", "externalURL": "http://am:9093", "truncatedAlerts": 0,
		"groupLabels": map[string]string{}, "commonLabels": map[string]string{}, "commonAnnotations": map[string]string{},
		"alerts": []any{map[string]any{
			"status": status, "labels": map[string]string{"alertname": "Broken", "namespace": namespace, "severity": "critical", "cluster": "c1-" + namespace},
			"annotations": map[string]string{"summary": "it is broken"}, "startsAt": started.Format(time.RFC3339Nano), "endsAt": end,
			"generatorURL": "http://p:9090/graph?g0.expr=up", "fingerprint": fmt.Sprintf("%016x", h),
		}},
	})
	return string(b)
}

// started is when the alerts of these tests began to fire.
var started = time.Now().Add(-time.Minute).UTC()

func jiraConfig(url string) string {
	return fmt.Sprintf("trackers:\n  - type: jira\n    jira: {url: %q, email: %s, token: %s, project: OPS, search_lag: 2s, timeout: 5s}\n"+
		"outbox: {backoff_min: 100ms, backoff_max: 1s, call_timeout: 5s}\n", url, jiratest.Email, jiratest.Token)
}

func TestKilledBetweenDurableWriteAndTicket(t *testing.T) {
	site, url := jiratest.Start(t, jiratest.Options{SearchLag: time.Second})
	p := receiver(t, jiraConfig(url))
	p.start()
	site.Fail(doubletest.Fault{Op: jiratest.OpCreate, Kind: doubletest.Status, Status: 503, Times: 1000}) // no ticket can be made
	require.Equal(t, 200, p.post(notice("shop", "firing")))
	p.eventually("a first attempt", func() bool { return site.Sent(jiratest.OpCreate) > 0 })
	p.kill()
	require.Empty(t, site.Issues())

	site.Heal()
	p.start()
	p.eventually("the ticket in the API", func() bool {
		incs := p.incidents()
		return len(incs) == 1 && len(incs[0].Tickets) == 1 && incs[0].Tickets[0].Key != ""
	})
	p.eventually("drained", p.drained)
	require.Len(t, site.Issues(), 1)
	require.Equal(t, "OPS-1", p.incidents()[0].Tickets[0].Key)
}

func TestKilledWhileJiraCreatesTheTicket(t *testing.T) {
	site, url := jiratest.Start(t, jiratest.Options{SearchLag: time.Second})
	p := receiver(t, jiraConfig(url))
	p.start()
	site.Fail(doubletest.Fault{Op: jiratest.OpCreate, Kind: doubletest.Hang}) // made, never answered
	require.Equal(t, 200, p.post(notice("shop", "firing")))
	p.eventually("the ticket in Jira", func() bool { return len(site.Issues()) == 1 })
	p.kill()

	p.start()
	p.eventually("the ticket in the API", func() bool {
		incs := p.incidents()
		return len(incs) == 1 && len(incs[0].Tickets) == 1 && incs[0].Tickets[0].Key == "OPS-1"
	})
	p.eventually("drained", p.drained)
	require.Len(t, site.Issues(), 1, "it was looked up, not made again")
	require.Empty(t, site.Duplicates("portent-", false))
}

func TestKilledRightAfterTheAnswer(t *testing.T) {
	p := receiver(t, "")
	for i := range 5 {
		p.start()
		require.Equal(t, 200, p.post(notice(fmt.Sprintf("ns-%d", i), "firing")))
		p.kill() // at once: most often before it was processed
	}
	p.start()
	p.eventually("drained", p.drained)
	incs := p.incidents()
	require.Len(t, incs, 5)
	keys := map[string]bool{}
	for _, inc := range incs {
		require.Len(t, inc.Tickets, 1)
		keys[inc.Tickets[0].Key] = true
	}
	require.Len(t, keys, 5, "one ticket each")
}

func TestStopsGracefullyUnderLoad(t *testing.T) {
	p := receiver(t, "")
	p.start()
	var acked atomic.Int64
	var wg sync.WaitGroup
	stop := make(chan struct{})
	for w := range 8 {
		wg.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				switch p.post(notice(fmt.Sprintf("ns-%d-%d", w, i), "firing")) {
				case 200:
					acked.Add(1)
				case 0: // no connection any more
					return
				}
			}
		})
	}
	p.eventually("load", func() bool { return acked.Load() > 300 })
	require.Zero(t, p.stop(), "a graceful end is a success")
	close(stop)
	wg.Wait()
	require.NotContains(t, p.log.String(), "level=ERROR")
	require.Contains(t, p.log.String(), "msg=stopped")

	p.start()
	p.eventually("processed", func() bool {
		n, cursor := 0, ""
		for {
			page, err := p.client().Alerts(t.Context(), incidentapi.AlertOptions{Limit: 1000, Cursor: cursor})
			if err != nil {
				return false
			}
			n += len(page.Alerts)
			if page.Next == nil {
				return int64(n) >= acked.Load()
			}
			cursor = *page.Next
		}
	})
}

func TestReloadIsAllOrNothing(t *testing.T) {
	p := receiver(t, "routing:\n  default: []\n")
	p.start()
	require.Equal(t, 200, p.post(notice("before", "firing")))
	p.eventually("drained", p.drained)
	require.Empty(t, p.incidents()[0].Tickets, "no ticket is wanted")

	reload := func() (int, string) {
		r, err := http.Post(p.url+"/-/reload", "", nil)
		require.NoError(t, err)
		defer r.Body.Close()
		b, err := io.ReadAll(r.Body)
		require.NoError(t, err)
		return r.StatusCode, string(b)
	}
	p.config("routing:\n  default: [jira]\nlinks: {prometheus: x}\n")
	code, body := reload()
	require.Equal(t, 500, code)
	require.Contains(t, body, "routing.default[0]")
	require.Contains(t, body, "links.prometheus", "everything that is wrong at once")
	p.config("max_store_bytes: 10000000\n")
	code, body = reload()
	require.Equal(t, 500, code)
	require.Contains(t, body, "max_store_bytes: cannot change while the receiver runs")
	require.Equal(t, 200, p.post(notice("still", "firing")))
	p.eventually("drained", p.drained)
	for _, inc := range p.incidents() {
		require.Empty(t, inc.Tickets, "the old configuration goes on")
	}

	p.config("routing:\n  default: [local]\n")
	require.NoError(t, p.cmd.Process.Signal(syscall.SIGHUP))
	p.eventually("reloaded", func() bool { return strings.Contains(p.log.String(), "configuration reloaded") })
	require.Equal(t, 200, p.post(notice("after", "firing")))
	p.eventually("a ticket", func() bool {
		for _, inc := range p.incidents() {
			if len(inc.Tickets) == 1 && inc.Tickets[0].Key == "LOCAL-1" {
				return true
			}
		}
		return false
	})
}

func TestFlags(t *testing.T) {
	run := func(p *process) (int, string) {
		p.launch()
		<-p.done
		code := p.cmd.ProcessState.ExitCode()
		p.cmd = nil
		return code, p.log.String()
	}
	code, out := run(receiver(t, "", "--config.check"))
	require.Zero(t, code)
	require.Equal(t, "OK\n", out)
	code, out = run(receiver(t, "trackers: [{type: bugzilla}]\n", "--config.check"))
	require.Equal(t, 1, code)
	require.Contains(t, out, "known are jira, local")
	code, out = run(receiver(t, "trackers: [{type: bugzilla}]\n"))
	require.Equal(t, 1, code)
	require.Contains(t, out, "known are jira, local")
	code, out = run(receiver(t, "", "--no-such-flag"))
	require.Equal(t, 2, code)
	require.Contains(t, out, "no-such-flag")
	code, out = run(receiver(t, "", "--web.listen-address=0.0.0.0:0"))
	require.Equal(t, 1, code)
	require.Contains(t, out, "nobody would be asked who they are")
	code, out = run(receiver(t, "access: [{name: a, role: viewer, token: 0123456789abcdef}]\n", "--web.listen-address=0.0.0.0:0"))
	require.Equal(t, 1, code)
	require.Contains(t, out, "anybody could post alerts")
	p := receiver(t, "")
	p.args[2] = "--store=mysql:x"
	code, out = run(p)
	require.Equal(t, 1, code)
	require.Contains(t, out, "unknown kind")
}

func TestListensOnLoopbackOnlyAndSaysWhy(t *testing.T) {
	p := receiver(t, "")
	_, port, err := net.SplitHostPort(strings.TrimPrefix(p.url, "http://"))
	require.NoError(t, err)
	p.args[1] = "--web.listen-address=:" + port
	p.start()
	require.Contains(t, p.log.String(), "listening on loopback only: nobody is asked who they are")
	require.Contains(t, p.log.String(), "listening=127.0.0.1:"+port)
}

func TestTwoProcessesCannotShareAFile(t *testing.T) {
	p := receiver(t, "")
	p.start()
	q := receiver(t, "", "--store=sqlite:"+filepath.Join(p.dir, "receiver.db"))
	q.args = append(q.args[:2:2], q.args[3])
	q.launch()
	<-q.done
	require.Equal(t, 1, q.cmd.ProcessState.ExitCode())
	require.Contains(t, q.log.String(), "locked")
	q.cmd = nil
}
