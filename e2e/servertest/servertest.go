// Package servertest starts the real servers in tests: on a free loopback port, with the test's own configuration, stopped when
// the test ends. A server that is not on PATH is built first (serverkit), which takes minutes once; `go tool mage servers`
// does it beforehand.
package servertest

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/e2e/serverkit"
)

// Config is what a server is started with. The zero value starts it with a configuration that does nothing but run.
type Config struct {
	YAML  string            // main configuration file; "" is a minimal one
	Files map[string]string // further files beside it, by relative name
	Args  []string          // further flags, after ours
	Dir   string            // keeps the data; "" is a new temporary folder
	Port  int               // to listen on; 0 is a free one
}

// Server is a running server.
type Server struct {
	URL  string // without a slash at the end
	Port int
	Dir  string // working directory: configuration, data, log

	t       testing.TB
	spec    serverkit.Spec
	process *serverkit.Process
}

const (
	// readyWithin is how long a server may take to start on a machine that is busy with other tests.
	readyWithin = 60 * time.Second
	// stopWithin is how long it may take to end before it is killed.
	stopWithin = 10 * time.Second
)

// Binary is the path of a program that serverkit knows, built when need be. The test fails when it cannot be had.
func Binary(t testing.TB, program string) string {
	t.Helper()
	ctx := t.Context()
	if d, ok := t.(interface{ Deadline() (time.Time, bool) }); ok {
		if at, set := d.Deadline(); set {
			var cancel context.CancelFunc
			ctx, cancel = context.WithDeadline(ctx, at.Add(-5*time.Second)) // time left to say what to do
			defer cancel()
		}
	}
	path, err := serverkit.Finder{Progress: os.Stderr}.Find(ctx, program)
	require.NoError(t, err, "%s is needed; `go tool mage servers` builds the real servers beforehand", program)
	return path
}

// FreePort is a loopback TCP port that nobody listens on.
func FreePort(t testing.TB) int {
	t.Helper()
	port, err := serverkit.FreePort(0)
	require.NoError(t, err)
	return port
}

// Prometheus starts a Prometheus that accepts remote write, lifecycle calls and out-of-date targets for long enough to test.
func Prometheus(t testing.TB, c Config) *Server {
	t.Helper()
	s := prepare(t, "prometheus", c, "global: {scrape_interval: 1s}\n")
	s.spec.Args = append([]string{
		"--config.file=" + s.config(), "--storage.tsdb.path=" + filepath.Join(s.Dir, "data"),
		"--web.listen-address=127.0.0.1:" + strconv.Itoa(s.Port), "--web.enable-lifecycle", "--web.enable-remote-write-receiver",
		// Stopping must not wait a minute for a remote write receiver that the test has stopped already.
		"--storage.remote.flush-deadline=1s", "--log.level=warn",
	}, c.Args...)
	s.spec.ReadyURL = s.URL + "/-/ready"
	return s.run()
}

// Alertmanager starts an Alertmanager without a cluster.
func Alertmanager(t testing.TB, c Config) *Server {
	t.Helper()
	s := prepare(t, "alertmanager", c, "route: {receiver: none}\nreceivers: [{name: none}]\n")
	s.spec.Args = append([]string{
		"--config.file=" + s.config(), "--storage.path=" + filepath.Join(s.Dir, "data"),
		"--web.listen-address=127.0.0.1:" + strconv.Itoa(s.Port), "--cluster.listen-address=", "--log.level=warn",
	}, c.Args...)
	s.spec.ReadyURL = s.URL + "/-/ready"
	return s.run()
}

// Loki starts a Loki in one process. Its configuration is provisioning/loki/loki.yml, unless YAML says otherwise; the ports
// are set by flags, the data are kept where the configuration says, below Dir.
func Loki(t testing.TB, c Config) *Server {
	t.Helper()
	if c.YAML == "" {
		root, err := serverkit.ModuleRoot()
		require.NoError(t, err)
		yaml, err := os.ReadFile(filepath.Join(root, "provisioning", "loki", "loki.yml"))
		require.NoError(t, err)
		c.YAML = string(yaml)
	}
	s := prepare(t, "loki", c, "")
	s.spec.Args = append([]string{
		"-config.file=" + s.config(), "-server.http-listen-address=127.0.0.1", "-server.http-listen-port=" + strconv.Itoa(s.Port),
		"-server.grpc-listen-address=127.0.0.1", "-server.grpc-listen-port=" + strconv.Itoa(FreePort(t)),
	}, c.Args...)
	s.spec.ReadyURL = s.URL + "/ready"
	return s.run()
}

// Program starts a program that is used as ours are: --config.file, --web.listen-address, ready at /-/ready.
func Program(t testing.TB, name, path string, c Config) *Server {
	t.Helper()
	s := prepareAt(t, name, path, c, "")
	s.spec.Args = append([]string{"--config.file=" + s.config(), "--web.listen-address=127.0.0.1:" + strconv.Itoa(s.Port)}, c.Args...)
	s.spec.ReadyURL = s.URL + "/-/ready"
	return s.run()
}

func prepare(t testing.TB, program string, c Config, minimal string) *Server {
	t.Helper()
	return prepareAt(t, program, Binary(t, program), c, minimal)
}

func prepareAt(t testing.TB, name, path string, c Config, minimal string) *Server {
	t.Helper()
	dir := c.Dir
	if dir == "" {
		dir = t.TempDir()
	}
	port := c.Port
	if port == 0 {
		port = FreePort(t)
	}
	s := &Server{t: t, Port: port, Dir: dir}
	s.URL = "http://127.0.0.1:" + strconv.Itoa(s.Port)
	yaml := c.YAML
	if yaml == "" {
		yaml = minimal
	}
	for name, content := range c.Files {
		file := filepath.Join(dir, filepath.FromSlash(name))
		require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o755))
		require.NoError(t, os.WriteFile(file, []byte(content), 0o600))
	}
	require.NoError(t, os.WriteFile(s.config(), []byte(yaml), 0o600))
	s.spec = serverkit.Spec{Name: name, Path: path, Dir: dir, LogFile: filepath.Join(dir, name+".log")}
	return s
}

func (s *Server) config() string { return filepath.Join(s.Dir, "config.yml") }

func (s *Server) run() *Server {
	s.t.Helper()
	s.start()
	s.t.Cleanup(func() {
		s.Stop()
		if s.t.Failed() {
			s.t.Logf("the end of the log of %s at %s:\n%s", s.spec.Name, s.URL, serverkit.Tail(s.spec.LogFile, 40))
		}
	})
	return s
}

func (s *Server) start() {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), readyWithin)
	defer cancel()
	p, err := serverkit.Start(ctx, s.spec)
	require.NoError(s.t, err)
	s.process = p
}

// Stop asks the server to end and waits until it has. A second call does nothing.
func (s *Server) Stop() { s.process.Stop(stopWithin) }

// Kill ends the server at once, as SIGKILL does.
func (s *Server) Kill() { s.process.Kill() }

// Restart stops the server if it runs and starts it again with the same flags, port and data.
func (s *Server) Restart() {
	s.t.Helper()
	s.Stop()
	s.start()
}
