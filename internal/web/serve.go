package web

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	toolkitweb "github.com/prometheus/exporter-toolkit/web"
	"golang.org/x/sync/errgroup"
)

// state is what changes while a server runs.
type state struct {
	listeners []net.Listener
	draining  atomic.Bool
	reloading sync.Mutex
}

// SignalContext returns a context that the first SIGINT or SIGTERM cancels, for a graceful end. A second one ends the process
// at once, as if nobody had caught it. stop gives the signals back.
func SignalContext(parent context.Context) (ctx context.Context, stop context.CancelFunc) {
	ctx, cancel := context.WithCancel(parent)
	signals := make(chan os.Signal, 2)
	stopped := make(chan struct{})
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		for n := 0; ; n++ {
			select {
			case sig := <-signals:
				cancel()
				if n > 0 {
					force(sig)
				}
			case <-stopped:
				return
			}
		}
	}()
	var once sync.Once
	return ctx, func() {
		once.Do(func() {
			signal.Stop(signals)
			close(stopped)
			cancel()
		})
	}
}

// force ends the process by the signal, so that its exit status tells what ended it.
func force(sig os.Signal) {
	signal.Reset(sig)
	p, err := os.FindProcess(os.Getpid())
	if err == nil {
		err = p.Signal(sig)
	}
	if err != nil {
		os.Exit(1)
	}
}

// Listen opens the sockets, so that an address in use is an error before the process does anything else. Run calls it if
// nobody did. With systemd socket activation it opens nothing.
func (s *Server) Listen() error {
	if s.systemd() || len(s.state.listeners) > 0 {
		return nil
	}
	if s.opts.WebConfig.WebListenAddresses == nil || len(*s.opts.WebConfig.WebListenAddresses) == 0 {
		return toolkitweb.ErrNoListeners
	}
	for _, a := range *s.opts.WebConfig.WebListenAddresses {
		l, err := net.Listen("tcp", a)
		if err != nil {
			return errors.Join(fmt.Errorf("listen on %s: %w", a, err), s.closeListeners())
		}
		s.state.listeners = append(s.state.listeners, l)
	}
	return nil
}

// Addrs returns the addresses that Listen opened, with the port that the system chose for port 0.
func (s *Server) Addrs() []net.Addr {
	var out []net.Addr
	for _, l := range s.state.listeners {
		out = append(out, l.Addr())
	}
	return out
}

// Close gives the sockets of Listen back, for a process that does not get as far as Run.
func (s *Server) Close() error { return s.closeListeners() }

func (s *Server) closeListeners() error {
	var errs []error
	for _, l := range s.state.listeners {
		errs = append(errs, l.Close())
	}
	s.state.listeners = nil
	return errors.Join(errs...)
}

func (s *Server) systemd() bool {
	return s.opts.WebConfig.WebSystemdSocket != nil && *s.opts.WebConfig.WebSystemdSocket
}

// Run serves until ctx ends, then stops accepting, lets requests in flight finish within the shutdown timeout, and returns.
// SIGHUP reloads the configuration meanwhile. It returns nil after a shutdown in which every request finished.
func (s *Server) Run(ctx context.Context) error {
	if err := s.Listen(); err != nil {
		return err
	}
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	defer signal.Stop(hup)

	servers := s.servers()
	g, gctx := errgroup.WithContext(ctx)
	for i, srv := range servers {
		g.Go(func() error {
			if err := s.serve(srv, i); !errors.Is(err, http.ErrServerClosed) {
				return err
			}
			return nil
		})
	}
	g.Go(func() error {
		for {
			select {
			case <-hup:
				// The error is in the log and in a metric: the old configuration goes on.
				_ = s.reload()
			case <-gctx.Done():
				return s.shutdown(servers)
			}
		}
	})
	return g.Wait()
}

// servers returns one http.Server a listener: exporter-toolkit sets the handler of the server that it is given, so one
// server over several listeners would be written by several goroutines and ask for the password several times.
func (s *Server) servers() []*http.Server {
	n := len(s.state.listeners)
	if s.systemd() {
		n = 1
	}
	out := make([]*http.Server, n)
	for i := range out {
		out[i] = &http.Server{
			Handler:           s.handler,
			ReadHeaderTimeout: min(readHeaderTimeout, s.opts.ReadTimeout),
			ReadTimeout:       s.opts.ReadTimeout,
			WriteTimeout:      s.opts.WriteTimeout,
			IdleTimeout:       idleTimeout,
			MaxHeaderBytes:    maxHeaderBytes,
			// Handshake errors and the like: one line for each bad client, which a port scan makes many of.
			ErrorLog: slog.NewLogLogger(s.opts.Logger.Handler(), slog.LevelDebug),
		}
	}
	return out
}

func (s *Server) serve(srv *http.Server, i int) error {
	if s.systemd() {
		return toolkitweb.ListenAndServe(srv, s.opts.WebConfig, s.opts.Logger)
	}
	return toolkitweb.Serve(s.state.listeners[i], srv, s.opts.WebConfig, s.opts.Logger)
}

func (s *Server) shutdown(servers []*http.Server) error {
	s.state.draining.Store(true)
	s.opts.Logger.Info("shutting down", "timeout", s.opts.ShutdownTimeout)
	ctx, cancel := context.WithTimeout(context.Background(), s.opts.ShutdownTimeout)
	defer cancel()
	var g errgroup.Group
	for _, srv := range servers {
		g.Go(func() error {
			if err := srv.Shutdown(ctx); err != nil {
				return errors.Join(fmt.Errorf("requests still in flight after %s: %w", s.opts.ShutdownTimeout, err), srv.Close())
			}
			return nil
		})
	}
	return g.Wait()
}

// reload calls the process's Reload, one call at a time, logs the outcome and keeps it in the metrics.
func (s *Server) reload() error {
	if s.opts.Reload == nil {
		s.opts.Logger.Info("nothing to reload")
		return nil
	}
	s.state.reloading.Lock()
	defer s.state.reloading.Unlock()
	start := time.Now()
	if err := s.opts.Reload(); err != nil {
		s.metrics.reloaded(false)
		s.opts.Logger.Error("configuration not reloaded, the old one stays", "err", err)
		return err
	}
	s.metrics.reloaded(true)
	s.opts.Logger.Info("configuration reloaded", "duration", time.Since(start))
	return nil
}
