// Package replicas runs several receivers over one PostgreSQL behind one address, and kills them one after the other: what a
// cluster does to a deployment, in the small. Everything is real, the database too.
//
// It must not know what the receivers are used for: whoever runs it posts to the address and counts.
package replicas

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/portent-dev/portent/e2e/serverkit"
)

// Options say what to run. All but Args are needed.
type Options struct {
	Receiver string   // path of the program
	Config   string   // path of its configuration
	Args     []string // further flags
	Dir      string   // is there, and takes the database and the logs
	Count    int      // of the receivers
}

// Set is a running set. It is an http.Handler that passes requests on to its receivers in turn. Safe for concurrent use.
type Set struct {
	o         Options
	database  *Postgres
	addresses []string
	client    *http.Client
	turn      atomic.Uint64

	mu        sync.Mutex
	processes []*serverkit.Process
	victim    int
}

// Start starts the database and all receivers at once, which then make the schema together. They are ready when it returns.
func Start(ctx context.Context, o Options) (*Set, error) {
	if o.Count < 1 {
		return nil, fmt.Errorf("start receivers: got %d, want at least 1", o.Count)
	}
	database, err := StartPostgres(ctx, o.Dir)
	if err != nil {
		return nil, err
	}
	s := &Set{o: o, database: database, processes: make([]*serverkit.Process, o.Count), client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}}
	errs := make([]error, o.Count)
	var starting sync.WaitGroup
	for i := range o.Count {
		port, err := serverkit.FreePort(19751 + 100*i)
		if err != nil {
			return nil, errors.Join(err, s.Close())
		}
		s.addresses = append(s.addresses, "127.0.0.1:"+strconv.Itoa(port))
	}
	for i := range o.Count {
		starting.Go(func() { s.processes[i], errs[i] = s.start(ctx, i) })
	}
	starting.Wait()
	if err := errors.Join(errs...); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func (s *Set) start(ctx context.Context, i int) (*serverkit.Process, error) {
	return serverkit.Start(ctx, serverkit.Spec{
		Name: fmt.Sprintf("receiver %d", i), Path: s.o.Receiver, Dir: s.o.Dir,
		Args:    append([]string{"--config.file=" + s.o.Config, "--store=" + s.database.URL, "--web.listen-address=" + s.addresses[i]}, s.o.Args...),
		LogFile: s.log(i), ReadyURL: "http://" + s.addresses[i] + "/-/ready",
	})
}

func (s *Set) log(i int) string { return filepath.Join(s.o.Dir, fmt.Sprintf("receiver-%d.log", i)) }

// Log is the end of what each receiver wrote.
func (s *Set) Log() string {
	var b bytes.Buffer
	for i := range s.o.Count {
		fmt.Fprintf(&b, "receiver %d:\n%s\n", i, serverkit.Tail(s.log(i), 60))
	}
	return b.String()
}

// Kill kills the next receiver in turn as SIGKILL does, leaves it down for that long and starts it again. It returns when that
// one is ready. Calls wait for each other.
func (s *Set) Kill(ctx context.Context, down time.Duration) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := s.victim
	s.victim = (i + 1) % s.o.Count
	s.processes[i].Kill()
	select {
	case <-time.After(down):
	case <-ctx.Done():
		return ctx.Err()
	}
	p, err := s.start(ctx, i)
	if err == nil {
		s.processes[i] = p
	}
	return err
}

// Close ends everything.
func (s *Set) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.processes {
		if p != nil {
			p.Kill()
		}
	}
	s.database.Stop()
	return nil
}

// ServeHTTP passes a request on to the next receiver, and on to the one after it when that one does not take it, as balancers do:
// what changes something is sent once only, unless the connection was never made. When nobody answers it is 502.
func (s *Set) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	for range s.addresses {
		var resp *http.Response
		if resp, err = s.pass(r, body); err == nil {
			defer resp.Body.Close()
			for k, v := range resp.Header {
				w.Header()[k] = v
			}
			w.WriteHeader(resp.StatusCode)
			_, _ = io.Copy(w, resp.Body) // the sender sees an answer that is cut short
			return
		}
		var op *net.OpError
		if dialed := !errors.As(err, &op) || op.Op != "dial"; dialed && r.Method != http.MethodGet {
			break
		}
	}
	http.Error(w, err.Error(), http.StatusBadGateway)
}

func (s *Set) pass(r *http.Request, body []byte) (*http.Response, error) {
	next := s.addresses[s.turn.Add(1)%uint64(len(s.addresses))]
	req, err := http.NewRequestWithContext(r.Context(), r.Method, "http://"+next+r.URL.RequestURI(), bytes.NewReader(body)) //nolint:gosec // to our own receivers, whatever the path
	if err != nil {
		return nil, err
	}
	req.Header = r.Header.Clone()
	return s.client.Do(req) //nolint:gosec // as above
}

// WriteConfig writes a configuration file into a folder and returns its path.
func WriteConfig(dir, yaml string) (string, error) {
	path := filepath.Join(dir, "receivers.yml")
	return path, os.WriteFile(path, []byte(yaml), 0o600)
}
