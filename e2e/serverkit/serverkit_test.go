package serverkit

import (
	"bytes"
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestAtLeast(t *testing.T) {
	for _, c := range []struct {
		version, least string
		want           bool
	}{
		{"3.8.0", "3.8.0", true},
		{"3.15.0", "3.8.0", true},
		{"2.42.0", "3.8.0", false},
		{"3.7.9", "3.8.0", false},
		{"4.0.0", "3.8.0", true},
		{"3.8", "3.8.0", false},
		{"3.x.1", "3.8.0", false},
		{"", "3.8.0", false},
	} {
		require.Equal(t, c.want, atLeast(c.version, c.least), "%s against %s", c.version, c.least)
	}
}

func TestOwnVersion(t *testing.T) {
	f := func(name, module, want string) {
		t.Helper()
		require.Equal(t, want, ownVersion(name, module))
	}
	f("prometheus", "v0.315.0", "3.15.0")
	f("prometheus", "v0.308.1", "3.8.1")
	f("prometheus", "v0.53.4", "0.53.4") // a number too short to hold two: left as it is
	f("alertmanager", "v0.34.2", "0.34.2")
	f("loki", "v3.7.8", "3.7.8")
}

func TestVersionReadsWhatServersPrint(t *testing.T) {
	for _, c := range []struct{ name, output, want string }{
		{"prometheus", "prometheus, version 2.42.0+ds (branch: debian/sid, revision: 2.42.0+ds-5+b5)", "2.42.0"},
		{"loki", "loki, version 3.7.8 (branch: , revision: )", "3.7.8"},
		{"with v", "amtool, version v0.34.2 (branch: )", "0.34.2"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := Version(t.Context(), script(t, "echo '"+c.output+"'"))
			require.NoError(t, err)
			require.Equal(t, c.want, got)
		})
	}
	_, err := Version(t.Context(), script(t, "echo hello"))
	require.ErrorContains(t, err, "names no version")
	_, err = Version(t.Context(), script(t, "exit 3"))
	require.ErrorContains(t, err, "exit status 3")
}

func TestFindTakesTheOverrideAsItIs(t *testing.T) {
	path := script(t, "echo version 0.0.1")
	t.Setenv("PORTENT_PROMTOOL", path)
	got, err := Finder{}.Find(t.Context(), "promtool")
	require.NoError(t, err)
	require.Equal(t, path, got)

	t.Setenv("PORTENT_PROMTOOL", filepath.Join(t.TempDir(), "absent"))
	_, err = Finder{}.Find(t.Context(), "promtool")
	require.ErrorContains(t, err, "PORTENT_PROMTOOL")
}

func TestFindTakesOnlyARecentProgramFromPath(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("PATH", dir)
	p := program{name: "serve", aliases: []string{"debian-serve"}, min: "2.0.0"}
	_, ok := Finder{}.onPath(t.Context(), p)
	require.False(t, ok, "nothing there")

	write(t, filepath.Join(dir, "serve"), "echo serve, version 1.9.0")
	_, ok = Finder{}.onPath(t.Context(), p)
	require.False(t, ok, "too old")

	write(t, filepath.Join(dir, "debian-serve"), "echo serve, version 2.1.0")
	got, ok := Finder{}.onPath(t.Context(), p)
	require.True(t, ok)
	require.Equal(t, filepath.Join(dir, "debian-serve"), got)

	_, ok = Finder{IgnorePath: true}.onPath(t.Context(), p)
	require.False(t, ok, "told to leave PATH aside")
}

func TestFindNamesWhatItKnows(t *testing.T) {
	_, err := Finder{}.Find(t.Context(), "grafana")
	require.EqualError(t, err, `unknown program "grafana", known are alertmanager, amtool, logcli, loki, node_exporter, prometheus, promtool`)
}

// A build that fails must say why, leave nothing in the cache, and not keep the next one from working.
func TestBuildIsAllOrNothing(t *testing.T) {
	module := t.TempDir()
	write := func(name, content string) {
		t.Helper()
		require.NoError(t, os.WriteFile(filepath.Join(module, name), []byte(content), 0o600))
	}
	write("go.mod", "module example.com/tiny\n\ngo 1.26\n")
	write("main.go", "package main\n\nfunc main() { undefined() }\n")
	var out bytes.Buffer
	r := recipe{
		server:  server{name: "tiny", minutes: 1, variable: "main.version", programs: []program{{name: "tiny", pkg: "."}}},
		module:  module,
		finder:  Finder{Progress: &out},
		version: "1.2.3",
	}
	cache := t.TempDir()
	dir := filepath.Join(cache, r.key())

	err := r.build(t.Context(), dir)
	require.ErrorContains(t, err, "undefined: undefined")
	entries, readErr := os.ReadDir(cache)
	require.NoError(t, readErr)
	require.Empty(t, entries)

	write("main.go", "package main\n\nvar version string\n\nfunc main() { println(\"tiny, version\", version) }\n")
	require.NoError(t, r.build(t.Context(), dir))
	got, err := Version(t.Context(), filepath.Join(dir, "tiny"))
	require.NoError(t, err)
	require.Equal(t, "1.2.3", got)
	require.Contains(t, out.String(), "failed to build tiny 1.2.3")
	require.Contains(t, out.String(), "built tiny 1.2.3 in")
	require.Equal(t, "tiny-1.2.3-"+runtime.Version()+"-"+runtime.GOOS+"-"+runtime.GOARCH+"-", r.key())
}

func TestProgressCountsAndKeepsWhatTheCompilerSaid(t *testing.T) {
	var out bytes.Buffer
	p := newProgress(&out, server{name: "x"}, "1.0.0", "dir")
	for _, chunk := range []string{"go: downloading example.com/a v1.0.0\nexample.com", "/a/b\nexample.com/c\n", "# example.com/c\nc.go:1:2: wrong\n"} {
		_, err := p.Write([]byte(chunk))
		require.NoError(t, err)
	}
	p.finish(nil)
	require.Equal(t, 1, p.downloaded)
	require.Equal(t, 2, p.compiled)
	require.Equal(t, "# example.com/c\nc.go:1:2: wrong\n", p.tail())
}

func TestStartSaysWhyAProcessDidNotComeUp(t *testing.T) {
	log := filepath.Join(t.TempDir(), "log")
	_, err := Start(t.Context(), Spec{
		Name: "fragile", Path: script(t, "echo no such luck; exit 4"), LogFile: log, ReadyURL: "http://127.0.0.1:1/-/ready",
	})
	require.ErrorContains(t, err, "start fragile: it ended before it was ready: exit status 4")
	require.ErrorContains(t, err, "no such luck")

	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	_, err = Start(ctx, Spec{Name: "slow", Path: script(t, "exec sleep 60"), LogFile: log, ReadyURL: "http://127.0.0.1:1/-/ready"})
	require.ErrorContains(t, err, "start slow: not ready at http://127.0.0.1:1/-/ready")
	require.ErrorIs(t, err, context.DeadlineExceeded)
}

// What a process started itself goes with it, also when the process ignores the request to end.
func TestStopEndsTheWholeGroup(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("process groups are used on Linux alone")
	}
	dir := t.TempDir()
	pidFile := filepath.Join(dir, "pid")
	path := script(t, "trap '' TERM; sleep 300 & echo $! > "+pidFile+"; wait; wait")
	p, err := Start(t.Context(), Spec{Name: "stubborn", Path: path, LogFile: filepath.Join(dir, "log")})
	require.NoError(t, err)
	require.Eventually(t, func() bool { b, _ := os.ReadFile(pidFile); return len(b) > 1 }, 10*time.Second, 10*time.Millisecond)
	b, err := os.ReadFile(pidFile)
	require.NoError(t, err)
	grandchild := strings.TrimSpace(string(b))

	p.Stop(200 * time.Millisecond)
	require.NoError(t, p.Err(), "a stop that was asked for is no error")
	select {
	case <-p.Done():
	default:
		require.Fail(t, "still running after Stop")
	}
	require.Eventually(t, func() bool { return !alive(grandchild) }, 10*time.Second, 10*time.Millisecond)
}

func TestProcessTellsHowItEnded(t *testing.T) {
	p, err := Start(t.Context(), Spec{Name: "short", Path: script(t, "exit 7"), LogFile: filepath.Join(t.TempDir(), "log")})
	require.NoError(t, err)
	<-p.Done()
	require.EqualError(t, p.Err(), "exit status 7")
}

func TestFreePortPassesOverATakenOne(t *testing.T) {
	first, err := FreePort(0)
	require.NoError(t, err)
	l := listen(t, first)
	defer l.Close()
	next, err := FreePort(first)
	require.NoError(t, err)
	require.NotEqual(t, first, next)
}

func TestTail(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	require.Empty(t, Tail(path, 3))
	require.NoError(t, os.WriteFile(path, []byte(strings.Repeat("x", 100<<10)+"\na\nb\nc\n"), 0o600))
	require.Equal(t, "b\nc", Tail(path, 2))
}

func alive(pid string) bool {
	stat, err := os.ReadFile("/proc/" + pid + "/stat")
	return err == nil && !strings.Contains(string(stat), ") Z ")
}

// script writes a shell script with the body and returns its path.
func script(t *testing.T, body string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "script")
	write(t, path, body)
	return path
}

func write(t *testing.T, path, body string) {
	t.Helper()
	shell, err := exec.LookPath("sh")
	if err != nil {
		shell = "/bin/sh"
	}
	// The lock keeps a child forked meanwhile from holding the file open for writing, which would make it "busy" to run.
	syscall.ForkLock.Lock()
	defer syscall.ForkLock.Unlock()
	require.NoError(t, os.WriteFile(path, []byte("#!"+shell+"\n"+body+"\n"), 0o700))
}

func listen(t *testing.T, port int) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	require.NoError(t, err)
	return l
}
