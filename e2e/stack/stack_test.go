package stack_test

import (
	"bytes"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/e2e/serverkit"
	"github.com/portent-dev/portent/e2e/stack"
)

// The test binary plays every server: it listens where its flags say, answers 200 to everything, and writes down its flags and the
// part of its environment that is about Grafana.
func TestMain(m *testing.M) {
	if os.Getenv("PORTENT_TEST_FAKE_SERVER") == "" {
		os.Exit(m.Run())
	}
	address := os.Getenv("GF_SERVER_HTTP_ADDR") + ":" + os.Getenv("GF_SERVER_HTTP_PORT")
	for _, a := range os.Args {
		if v, ok := strings.CutPrefix(a, "--web.listen-address="); ok {
			address = v
		}
		if v, ok := strings.CutPrefix(a, "-server.http-listen-port="); ok {
			address = "127.0.0.1:" + v
		}
	}
	fmt.Println("flags", os.Args[1:])
	for _, e := range os.Environ() {
		if strings.HasPrefix(e, "GF_") {
			fmt.Println(e)
		}
	}
	fmt.Println(http.ListenAndServe(address, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})))
	os.Exit(1)
}

// start starts a stack of fake servers on a small checkout of its own.
func start(t *testing.T, out *bytes.Buffer, data string) (*stack.Stack, error) {
	t.Helper()
	t.Setenv("PORTENT_TEST_FAKE_SERVER", "1")
	self, err := os.Executable()
	require.NoError(t, err)
	for _, name := range serverkit.Programs() {
		t.Setenv(serverkit.Variable(name), self)
	}
	root := t.TempDir()
	write := func(name, content string) {
		path := filepath.Join(root, filepath.FromSlash(name))
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
	}
	write("provisioning/prometheus/prometheus.yml", "a: 127.0.0.1:9090\nb: http://127.0.0.1:9750/x\nc: 127.0.0.1:1234\nd: 10.127.0.0.1:90900\n")
	write("dashboards/rules/x.rules.yml", "groups: []\n")
	require.NoError(t, os.MkdirAll(filepath.Join(root, "bin"), 0o755))
	for _, name := range []string{stack.Exporter, stack.Receiver} {
		require.NoError(t, os.Symlink(self, filepath.Join(root, "bin", name)))
	}
	s, err := stack.Start(t.Context(), stack.Options{Root: root, Data: data, Out: out})
	if err == nil {
		t.Cleanup(s.Stop)
	}
	return s, err
}

func TestStackStartsPrintsAndStops(t *testing.T) {
	t.Setenv("GRAFANA_HOME", "")
	t.Setenv("PATH", t.TempDir()) // no Grafana
	var out bytes.Buffer
	data := t.TempDir()
	_, err := stack.Load(data)
	require.ErrorIs(t, err, stack.ErrNotRunning)

	s, err := start(t, &out, data)
	require.NoError(t, err)
	state, err := stack.Load(data)
	require.NoError(t, err)
	require.Equal(t, s.Ports, state.Ports)
	require.Len(t, state.Processes, 6)
	for _, name := range []string{stack.Prometheus, stack.Alertmanager, stack.Loki, stack.NodeExporter, stack.Exporter, stack.Receiver} {
		resp, err := http.Get(state.URL(name))
		require.NoError(t, err, name)
		resp.Body.Close()
	}
	ports := map[int]bool{}
	for _, p := range s.Ports {
		ports[p] = true
	}
	require.Len(t, ports, len(s.Ports), "every part has a port of its own")

	// The configuration has the ports that were chosen in the place of those that it names, and no other number changed.
	rendered, err := os.ReadFile(filepath.Join(data, "config", "provisioning", "prometheus", "prometheus.yml"))
	require.NoError(t, err)
	require.Equal(t, fmt.Sprintf("a: 127.0.0.1:%d\nb: http://127.0.0.1:%d/x\nc: 127.0.0.1:1234\nd: 10.127.0.0.1:90900\n",
		s.Ports[stack.Prometheus], s.Ports[stack.Exporter]), string(rendered))

	out.Reset()
	s.Print(&out)
	for _, want := range []string{s.URL(stack.Receiver) + "/", "deploy/compose.yaml", "go tool mage disturb"} {
		require.Contains(t, out.String(), want)
	}

	s.Stop()
	for _, p := range state.Processes {
		require.ErrorIs(t, syscall.Kill(p.PID, 0), syscall.ESRCH, "%s still runs", p.Name)
	}
	_, err = stack.Load(data)
	require.ErrorIs(t, err, stack.ErrNotRunning)
	require.NoError(t, s.Wait(t.Context()), "a stop that was asked for is no failure")
}

func TestStackTakesTheNextPortAndRefusesASecondStack(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer taken.Close()
	port, err := serverkit.FreePort(taken.Addr().(*net.TCPAddr).Port)
	require.NoError(t, err)
	require.Greater(t, port, taken.Addr().(*net.TCPAddr).Port)

	var out bytes.Buffer
	data := t.TempDir()
	_, err = start(t, &out, data)
	require.NoError(t, err)
	// A second stack finds the ports of the first taken, and its data folder too.
	_, err = start(t, &out, data)
	require.ErrorContains(t, err, "a stack runs on "+data+" already")
	out.Reset()
	second, err := start(t, &out, t.TempDir())
	require.NoError(t, err)
	require.Contains(t, out.String(), "is taken: prometheus listens on "+strconv.Itoa(second.Ports[stack.Prometheus]))
}

func TestWaitSaysWhoDied(t *testing.T) {
	var out bytes.Buffer
	s, err := start(t, &out, t.TempDir())
	require.NoError(t, err)
	require.NoError(t, syscall.Kill(s.Process(stack.Alertmanager).PID(), syscall.SIGKILL))
	err = s.Wait(t.Context())
	require.ErrorContains(t, err, "alertmanager ended: signal: killed; the end of ")
	require.ErrorContains(t, err, "alertmanager.log:\nflags [")
}

func TestStackStopsEverythingWhenOnePartDoesNotStart(t *testing.T) {
	var out bytes.Buffer
	data := t.TempDir()
	broken := filepath.Join(t.TempDir(), "broken")
	require.NoError(t, os.WriteFile(broken, []byte("#!/bin/sh\necho cannot; exit 3\n"), 0o700))
	t.Setenv("PORTENT_TEST_FAKE_SERVER", "1")
	self, err := os.Executable()
	require.NoError(t, err)
	for _, name := range serverkit.Programs() {
		t.Setenv(serverkit.Variable(name), self)
	}
	t.Setenv(serverkit.Variable(stack.Prometheus), broken)
	root := t.TempDir()
	for _, dir := range []string{"provisioning", "dashboards", "bin"} {
		require.NoError(t, os.MkdirAll(filepath.Join(root, dir), 0o755))
	}
	for _, name := range []string{stack.Exporter, stack.Receiver} {
		require.NoError(t, os.Symlink(self, filepath.Join(root, "bin", name)))
	}
	_, err = stack.Start(t.Context(), stack.Options{Root: root, Data: data, Out: &out})
	require.ErrorContains(t, err, "start prometheus: it ended before it was ready: exit status 3")
	require.ErrorContains(t, err, "cannot")
	_, err = stack.Load(data)
	require.ErrorIs(t, err, stack.ErrNotRunning)
	started := regexp.MustCompile(`starting (\S+)`).FindAllStringSubmatch(out.String(), -1)
	require.Len(t, started, 5, "up to Prometheus, and nothing after it")
	// Nothing holds the data folder: another stack may start at once.
	_, err = start(t, &out, data)
	require.NoError(t, err)
}

func TestGrafanaIsStartedWhereItIs(t *testing.T) {
	home := t.TempDir()
	self, err := os.Executable()
	require.NoError(t, err)
	require.NoError(t, os.MkdirAll(filepath.Join(home, "bin"), 0o755))
	require.NoError(t, os.Symlink(self, filepath.Join(home, "bin", "grafana")))
	t.Setenv("GRAFANA_HOME", home)
	var out bytes.Buffer
	data := t.TempDir()
	s, err := start(t, &out, data)
	require.NoError(t, err)
	require.NotNil(t, s.Process(stack.Grafana))
	var log string
	require.Eventually(t, func() bool {
		log = serverkit.Tail(filepath.Join(data, "logs", "grafana.log"), 50)
		return strings.Contains(log, "GF_")
	}, 10*time.Second, 10*time.Millisecond)
	require.Contains(t, log, "flags [server --homepath "+home+"]")
	require.Contains(t, log, "GF_PLUGINS_ALLOW_LOADING_UNSIGNED_PLUGINS=portent-aiops-datasource")
	require.Contains(t, log, "GF_SERVER_HTTP_ADDR=127.0.0.1")
	link, err := os.Readlink(filepath.Join(data, "data", "grafana", "plugins", "portent-aiops-datasource"))
	require.NoError(t, err)
	require.True(t, strings.HasSuffix(link, filepath.Join("datasource-plugin", "dist")), link)
	out.Reset()
	s.Print(&out)
	require.Contains(t, out.String(), s.URL(stack.Grafana)+"/dashboards")
}
