package stack

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/portent-dev/portent/e2e/serverkit"
)

// Names of the parts, as processes, logs and addresses are called.
const (
	NodeExporter = "node_exporter"
	Loki         = "loki"
	Receiver     = "portent-receiver"
	Alertmanager = "alertmanager"
	Prometheus   = "prometheus"
	Exporter     = "portent-exporter"
	Grafana      = "grafana"

	lokiGRPC = "loki-grpc" // a second port of Loki's, for itself
)

// ports are those that the configuration in provisioning/ names.
var ports = []struct {
	name string
	port int
}{
	{Prometheus, 9090}, {Alertmanager, 9093}, {Loki, 3100}, {NodeExporter, 9100}, {Exporter, 9750}, {Receiver, 9751}, {Grafana, 3000}, {lokiGRPC, 9095},
}

// State is what a running stack leaves in its data folder for others: who runs, and where.
type State struct {
	Started   time.Time      `json:"started"`
	PID       int            `json:"pid"` // of the process that stops the stack
	Ports     map[string]int `json:"ports"`
	Processes []Running      `json:"processes"`
}

// Running is one process of the stack.
type Running struct {
	Name string `json:"name"`
	PID  int    `json:"pid"`
}

// ErrNotRunning says that no stack runs on a data folder.
var ErrNotRunning = errors.New("no stack runs here; start one with `go tool mage run`")

// URL is the address of a part on loopback, without a slash at the end.
func (s State) URL(name string) string { return "http://127.0.0.1:" + strconv.Itoa(s.Ports[name]) }

// Load reads the state of the stack that runs on a data folder. Without one the error is ErrNotRunning.
func Load(data string) (State, error) {
	var s State
	b, err := os.ReadFile(statePath(data))
	if errors.Is(err, os.ErrNotExist) {
		return s, ErrNotRunning
	}
	if err != nil {
		return s, err
	}
	if err := json.Unmarshal(b, &s); err != nil {
		return s, fmt.Errorf("read %s: %w", statePath(data), err)
	}
	return s, nil
}

func statePath(data string) string { return filepath.Join(data, "run.json") }

// save writes the state by a rename, so that a reader sees all of it or none.
func (s *Stack) save() error {
	s.Started, s.PID = time.Now().UTC(), os.Getpid()
	b, err := json.MarshalIndent(s.State, "", "  ")
	if err != nil {
		return err
	}
	temp := statePath(s.data) + ".new"
	if err := os.WriteFile(temp, append(b, '\n'), 0o644); err != nil {
		return err
	}
	return os.Rename(temp, statePath(s.data))
}

// choosePorts takes the ports of the configuration, and for a taken one the next that is free.
func (s *Stack) choosePorts() error {
	s.Ports = map[string]int{}
	taken := map[int]bool{}
	for _, p := range ports {
		want := p.port
		port, err := serverkit.FreePort(want)
		for err == nil && taken[port] { // free still, but promised to another part
			port, err = serverkit.FreePort(port + 1)
		}
		if err != nil {
			return err
		}
		taken[port] = true
		s.Ports[p.name] = port
		if port != want {
			fmt.Fprintf(s.out, "port %d is taken: %s listens on %d\n", want, p.name, port)
		}
	}
	return nil
}
