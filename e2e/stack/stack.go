// Package stack starts a whole Portent on this machine: Prometheus, Alertmanager, Loki and node_exporter as real servers, our
// exporter and receiver, and Grafana where there is one, with the configuration of provisioning/ and dashboards/, on loopback.
// `go tool mage run` is this package with a terminal.
//
// It must not know what is done with the running stack: the disturbance and the stories of e2e read its addresses.
package stack

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/rogpeppe/go-internal/lockedfile"

	"github.com/portent-dev/portent/e2e/serverkit"
)

// Options says where things are.
type Options struct {
	// Root is the checkout, which holds provisioning/, dashboards/ and the built plugin.
	Root string
	// Bin is the folder of our own programs; "" is Root/bin.
	Bin string
	// Programs names programs to use in the place of those that serverkit would find, by the name of the part.
	Programs map[string]string
	// Data keeps everything that the stack writes: data, logs, the configuration as it was started with. A stack that is
	// started again on the same folder goes on where it was.
	Data string
	// Out is told of progress; nil: nobody is.
	Out io.Writer
}

// Stack is a running stack.
type Stack struct {
	State
	out       io.Writer
	data      string
	unlock    func()
	processes []*serverkit.Process
	ended     chan *serverkit.Process // the first process that ended by itself
	stop      sync.Once
	stopped   chan struct{}

	shipped     sync.WaitGroup // the logs on their way to Loki
	endShipping context.CancelFunc
}

const (
	// readyWithin is how long one server may take to start. Prometheus replays its log, which grows with the data.
	readyWithin = 2 * time.Minute
	// stopWithin is how long the servers have to end before they are killed. Mage leaves its targets five seconds after a
	// Ctrl-C, and nothing may outlive them.
	stopWithin = 4 * time.Second
)

// Start starts everything and returns when all of it is ready. When one part does not start, the rest is stopped again.
func Start(ctx context.Context, o Options) (*Stack, error) {
	if o.Out == nil {
		o.Out = io.Discard
	}
	for _, dir := range []*string{&o.Root, &o.Data, &o.Bin} {
		if *dir == "" {
			continue
		}
		abs, err := filepath.Abs(*dir) // the processes have a working directory of their own
		if err != nil {
			return nil, err
		}
		*dir = abs
	}
	if o.Bin == "" {
		o.Bin = filepath.Join(o.Root, "bin")
	}
	for _, dir := range []string{"data", "logs"} {
		if err := os.MkdirAll(filepath.Join(o.Data, dir), 0o755); err != nil {
			return nil, err
		}
	}
	unlock, err := lock(o.Data)
	if err != nil {
		return nil, err
	}
	s := &Stack{out: o.Out, data: o.Data, unlock: unlock, ended: make(chan *serverkit.Process, 1), stopped: make(chan struct{})}
	if err := s.start(ctx, o); err != nil {
		s.Stop()
		return nil, err
	}
	shipping, end := context.WithCancel(context.WithoutCancel(ctx))
	s.shipped.Go(func() { s.ship(shipping) })
	s.endShipping = end
	return s, nil
}

// lock makes sure that one stack at a time uses the data folder.
func lock(data string) (func(), error) {
	got := make(chan func(), 1)
	failed := make(chan error, 1)
	go func() {
		unlock, err := lockedfile.MutexAt(filepath.Join(data, "lock")).Lock()
		if err != nil {
			failed <- err
			return
		}
		got <- unlock
	}()
	select {
	case unlock := <-got:
		return unlock, nil
	case err := <-failed:
		return nil, fmt.Errorf("lock %s: %w", data, err)
	case <-time.After(time.Second): // the lock waits; a stack that just ended needs no longer to let go
		go func() { (<-got)() }()
		return nil, fmt.Errorf("a stack runs on %s already; stop it, or set PORTENT_DATA to another folder", data)
	}
}

func (s *Stack) start(ctx context.Context, o Options) error {
	if err := s.choosePorts(); err != nil {
		return err
	}
	if err := s.render(o); err != nil {
		return err
	}
	specs, err := s.specs(ctx, o)
	if err != nil {
		return err
	}
	for _, spec := range specs {
		fmt.Fprintf(s.out, "starting %s\n", spec.Name)
		if err := rotate(spec.LogFile); err != nil {
			return err
		}
		ready, cancel := context.WithTimeout(ctx, readyWithin)
		p, err := serverkit.Start(ready, spec)
		cancel()
		if err != nil {
			return err
		}
		s.watch(p)
	}
	return s.save()
}

// watch notes the process and tells Wait when it ends by itself.
func (s *Stack) watch(p *serverkit.Process) {
	s.processes = append(s.processes, p)
	s.Processes = append(s.Processes, Running{Name: p.Name, PID: p.PID()})
	go func() {
		<-p.Done()
		if p.Err() == nil {
			return
		}
		select {
		case s.ended <- p:
		default: // another one ended first
		}
	}()
}

// Wait waits until ctx ends or Stop was called, which is no error, or one of the processes ends, which is. It stops nothing.
func (s *Stack) Wait(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case <-s.stopped:
		return nil
	case p := <-s.ended:
		return fmt.Errorf("%s ended: %w; the end of %s:\n%s", p.Name, p.Err(), p.LogFile, serverkit.Tail(p.LogFile, 15))
	}
}

// Stop stops everything that Start started, and nothing else. It takes five seconds at most; what has not ended by then is
// killed, and what it had acknowledged is on disk.
func (s *Stack) Stop() {
	s.stop.Do(func() {
		if s.endShipping != nil {
			s.endShipping()
			s.shipped.Wait()
		}
		var all sync.WaitGroup
		for _, p := range s.processes {
			all.Go(func() { p.Stop(stopWithin) })
		}
		all.Wait()
		if err := os.Remove(statePath(s.data)); err != nil && !errors.Is(err, os.ErrNotExist) {
			fmt.Fprintf(s.out, "%v\n", err)
		}
		s.unlock()
		close(s.stopped)
	})
}

// Process returns a process by its name, nil when there is none.
func (s *Stack) Process(name string) *serverkit.Process {
	for _, p := range s.processes {
		if p.Name == name {
			return p
		}
	}
	return nil
}

// rotate keeps the log of the run before, and no older one.
func rotate(path string) error {
	err := os.Rename(path, path+".old")
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}
