package main

import (
	"bufio"
	"bytes"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/e2e/servertest"
)

// The test binary is the program when it is told so: what is tested is the whole process, with its signals and exit codes.
func TestMain(m *testing.M) {
	if os.Getenv("PORTENT_TEST_RUN_MAIN") != "" {
		main()
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func program(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], args...)
	cmd.Env = append(os.Environ(), "PORTENT_TEST_RUN_MAIN=1")
	cmd.Dir = t.TempDir()
	return cmd
}

func TestExitCodes(t *testing.T) {
	good, bad := filepath.Join(t.TempDir(), "good.yml"), filepath.Join(t.TempDir(), "bad.yml")
	require.NoError(t, os.WriteFile(good, []byte("detection: {sensitivity: low}\n"), 0o600))
	require.NoError(t, os.WriteFile(bad, []byte("detection: {sensitivity: lower}\nexport: {max: 1}\n"), 0o600))
	for _, tc := range []struct {
		name           string
		args           []string
		code           int
		stdout, stderr string
	}{
		{"version", []string{"--version"}, 0, "portent-exporter, version", ""},
		{"help", []string{"--help"}, 0, "--web.listen-address", ""},
		{"unknown flag", []string{"--nope"}, 2, "", "unknown long flag '--nope'"},
		{"argument", []string{"serve"}, 2, "", "unexpected serve"},
		{"check of the defaults", []string{"--config.check"}, 0, "OK\n", ""},
		{"check", []string{"--config.check", "--config.file", good}, 0, "OK\n", ""},
		{"check finds everything", []string{"--config.check", "--config.file", bad}, 1, "", "line 2: export.max: unknown key"},
		{"check of the web configuration", []string{"--config.check", "--web.config.file", "none.yml"}, 1, "", "none.yml"},
		{"bad configuration", []string{"--config.file", bad}, 1, "", "export.max: unknown key"},
		{"no such file", []string{"--config.file", "none.yml"}, 1, "", "none.yml"},
		{"bad address", []string{"--web.listen-address", "nowhere:nothing"}, 1, "", "listen on nowhere:nothing"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			cmd := program(t, tc.args...)
			var stdout, stderr bytes.Buffer
			cmd.Stdout, cmd.Stderr = &stdout, &stderr
			err := cmd.Run()
			require.Equal(t, tc.code, cmd.ProcessState.ExitCode(), "%v: %s%s", err, &stdout, &stderr)
			require.Contains(t, stdout.String(), tc.stdout)
			require.Contains(t, stderr.String(), tc.stderr)
			if tc.stdout == "" {
				require.Empty(t, stdout.String())
			}
			if tc.code == 0 {
				require.Empty(t, stderr.String())
			}
		})
	}
}

func TestSignals(t *testing.T) {
	for _, sig := range []os.Signal{syscall.SIGTERM, os.Interrupt} {
		t.Run(sig.String(), func(t *testing.T) {
			cmd := program(t, "--web.listen-address", addr(t))
			log, err := cmd.StderrPipe()
			require.NoError(t, err)
			require.NoError(t, cmd.Start())
			lines := bufio.NewScanner(log)
			waitFor(t, lines, "TLS is disabled")
			require.NoError(t, cmd.Process.Signal(sig))
			waitFor(t, lines, "msg=ended models_kept=true")
			require.NoError(t, cmd.Wait())
			require.FileExists(t, filepath.Join(cmd.Dir, "data", "exporter", "models.snapshot"))
		})
	}
}

func TestASecondSignalForces(t *testing.T) {
	address := addr(t)
	cmd := program(t, "--web.listen-address", address)
	log, err := cmd.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	lines := bufio.NewScanner(log)
	waitFor(t, lines, "TLS is disabled")
	// A request that never ends its body keeps the first signal waiting.
	body, w, err := os.Pipe()
	require.NoError(t, err)
	defer w.Close()
	go func() {
		r, err := http.NewRequest(http.MethodPost, "http://"+address+"/api/v1/write", body)
		if err != nil {
			return
		}
		r.Header.Set("Content-Type", "application/x-protobuf")
		r.Header.Set("Content-Encoding", "snappy")
		if resp, err := http.DefaultClient.Do(r); err == nil {
			resp.Body.Close()
		}
	}()
	require.Eventually(t, func() bool {
		resp, err := http.Get("http://" + address + "/metrics")
		if err != nil {
			return false
		}
		defer resp.Body.Close()
		var b bytes.Buffer
		_, err = b.ReadFrom(resp.Body)
		return err == nil && strings.Contains(b.String(), "portent_exporter_http_requests_in_flight 2\n")
	}, 5e9, 1e7)
	require.NoError(t, cmd.Process.Signal(syscall.SIGTERM))
	waitFor(t, lines, "shutting down")
	require.NoError(t, cmd.Process.Signal(syscall.SIGTERM))
	require.Error(t, cmd.Wait())
	status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus)
	require.True(t, ok)
	require.Equal(t, syscall.SIGTERM, status.Signal())
}

// addr returns a free loopback address.
func addr(t *testing.T) string {
	t.Helper()
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(servertest.FreePort(t)))
}

// waitFor reads the log up to a line that holds text.
func waitFor(t *testing.T, lines *bufio.Scanner, text string) {
	t.Helper()
	var seen strings.Builder
	for lines.Scan() {
		if strings.Contains(lines.Text(), text) {
			return
		}
		seen.WriteString(lines.Text() + "\n")
	}
	require.Fail(t, "the log ended without "+text, "%s", seen.String())
}
