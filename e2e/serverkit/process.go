package serverkit

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// Spec says how to start a process.
type Spec struct {
	Name    string // for messages
	Path    string
	Args    []string
	Dir     string   // working directory; "" is this process's
	Env     []string // added to this process's environment
	LogFile string   // takes stdout and stderr, appended
	// ReadyURL answers 200 when the process is ready; "" means ready once started.
	ReadyURL string
}

// Process is a started program in a process group of its own. Its methods may be called at any time and from any goroutine.
type Process struct {
	Spec
	cmd     *exec.Cmd
	done    chan struct{}
	err     error // how it ended; written before done is closed
	stopped atomic.Bool
}

// readyEvery is how often a starting server is asked whether it is ready.
const readyEvery = 100 * time.Millisecond

// Start starts a process and returns once it is ready. When it ends before or ctx ends, the error says so with the last lines
// of its log, and nothing is left running. The process lives on after ctx.
func Start(ctx context.Context, s Spec) (*Process, error) {
	log, err := os.OpenFile(s.LogFile, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", s.Name, err)
	}
	defer log.Close() // the child has its own copy
	cmd := exec.Command(s.Path, s.Args...)
	cmd.Dir = s.Dir
	cmd.Env = append(os.Environ(), s.Env...)
	cmd.Stdout, cmd.Stderr = log, log
	ownGroup(cmd)
	if err := startLocked(cmd); err != nil {
		return nil, fmt.Errorf("start %s: %w", s.Name, err)
	}
	p := &Process{Spec: s, cmd: cmd, done: make(chan struct{})}
	go func() {
		p.err = cmd.Wait()
		close(p.done)
	}()
	if err := p.waitReady(ctx); err != nil {
		p.Kill()
		return nil, fmt.Errorf("start %s: %w; the end of %s:\n%s", s.Name, err, s.LogFile, Tail(s.LogFile, 15))
	}
	return p, nil
}

func (p *Process) waitReady(ctx context.Context) error {
	if p.ReadyURL == "" {
		return nil
	}
	tick := time.NewTicker(readyEvery)
	defer tick.Stop()
	last := errors.New("not asked yet")
	for {
		select {
		case <-p.done:
			return fmt.Errorf("it ended before it was ready: %w", p.Err())
		case <-ctx.Done():
			return fmt.Errorf("not ready at %s (%w): %w", p.ReadyURL, last, context.Cause(ctx))
		case <-tick.C:
			if last = get(ctx, p.ReadyURL); last == nil {
				return nil
			}
		}
	}
}

func get(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return errors.New(resp.Status)
	}
	return nil
}

// PID is the process's id and that of its group.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Done is closed when the process has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Err is how the process ended: nil before that, after exit status 0, and after Stop.
func (p *Process) Err() error {
	select {
	case <-p.done:
	default:
		return nil
	}
	if p.stopped.Load() {
		return nil
	}
	if p.err == nil {
		return errors.New("exit status 0")
	}
	return p.err
}

// Stop asks the process to end and waits for it. After grace, everything in its group is killed.
func (p *Process) Stop(grace time.Duration) {
	p.stopped.Store(true)
	terminate(p.cmd)
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case <-p.done:
	case <-timer.C:
	}
	p.Kill() // also what a process that ended by itself left in its group
}

// Kill ends everything in the process's group at once, as SIGKILL does, and waits for the process.
func (p *Process) Kill() {
	p.stopped.Store(true)
	killGroup(p.cmd)
	<-p.done
}

// Tail is the last lines of a log file, at most 64 kB of it; "" when there is none.
func Tail(path string, lines int) string {
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	const most = 64 << 10
	info, err := f.Stat()
	if err != nil {
		return ""
	}
	b := make([]byte, min(info.Size(), most))
	n, _ := f.ReadAt(b, max(0, info.Size()-most))
	all := strings.Split(strings.TrimRight(string(b[:n]), "\n"), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

// FreePort is a loopback TCP port that nobody listens on: preferred if it is free, else the next free one of the hundred above
// it, else (and for 0) any. Another process may take it before the caller does.
func FreePort(preferred int) (int, error) {
	if preferred > 0 {
		for port := preferred; port < preferred+100 && port <= 65535; port++ {
			if free(port) {
				return port, nil
			}
		}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("find a free port: %w", err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

// free reports whether nobody listens on the port, neither on loopback nor on all addresses: some systems let a program bind
// 127.0.0.1 while another one holds 0.0.0.0, and clients would then meet either.
func free(port int) bool {
	for _, host := range []string{"127.0.0.1", ""} {
		l, err := net.Listen("tcp", net.JoinHostPort(host, strconv.Itoa(port)))
		if err != nil {
			return false
		}
		l.Close()
	}
	return true
}
