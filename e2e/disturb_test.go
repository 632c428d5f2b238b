package e2e_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/e2e/disturb"
	"github.com/portent-dev/portent/e2e/servertest"
	"github.com/portent-dev/portent/e2e/stack"
)

// What `go tool mage run` starts sees what `go tool mage disturb` does, with the configuration and the rules as we ship them and
// without any history, within two minutes. The machine is played: a quiet one with two processors, on which a real disturbance
// would be seen as here. A machine that runs tests is not quiet.
func TestDisturbanceIsSeen(t *testing.T) {
	t.Parallel()
	flag := filepath.Join(t.TempDir(), "disturbed")
	machine := script(t, "PORTENT_TEST_MACHINE="+flag+" exec "+os.Args[0]+` "$@"`)
	s, err := stack.Start(t.Context(), stack.Options{
		Root: "..", Bin: filepath.Dir(program(t, "portent-receiver")), Data: t.TempDir(),
		Programs: map[string]string{
			stack.NodeExporter: machine,
			stack.Prometheus:   servertest.Binary(t, "prometheus"),
			stack.Alertmanager: servertest.Binary(t, "alertmanager"),
			stack.Loki:         servertest.Binary(t, "loki"),
		},
	})
	require.NoError(t, err)
	t.Cleanup(s.Stop)

	var out bytes.Buffer
	err = disturb.Run(t.Context(), disturb.Options{
		Stack:  s.State,
		Burner: script(t, "touch "+flag+"; cat >/dev/null; rm "+flag), // until its standard input ends, as the real one
		Out:    &out,
	})
	require.NoError(t, err, "%s", out.String())
	for _, step := range []string{"s  score ", "s  alert ", "s  incident ", "s  ticket ", "the disturbance has ended"} {
		require.Contains(t, out.String(), step)
	}
	require.NoFileExists(t, flag, "the burner has ended")
	t.Log("\n" + out.String())
}

// script writes a shell script.
func script(t testing.TB, body string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "script")
	require.NoError(t, os.WriteFile(path, []byte("#!/bin/sh\n"+body+"\n"), 0o700))
	return path
}

// playMachine serves the metrics of a quiet machine where the flags of a node_exporter say, and those of a disturbed one while the
// file exists. Noise is of the size that two idle processors showed.
func playMachine(disturbed string) error {
	address := ""
	for _, a := range os.Args {
		if v, ok := strings.CutPrefix(a, "--web.listen-address="); ok {
			address = v
		}
	}
	m := &machine{last: time.Now(), random: rand.New(rand.NewPCG(1, 2)), cpu: map[string]float64{}}
	return http.ListenAndServe(address, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, err := os.Stat(disturbed)
		w.Header().Set("Content-Type", "text/plain; version=0.0.4")
		fmt.Fprint(w, m.metrics(time.Now(), err == nil))
	}))
}

type machine struct {
	mu     sync.Mutex
	random *rand.Rand
	last   time.Time
	load   float64
	memory float64            // share of it that is taken by the disturbance
	cpu    map[string]float64 // seconds by mode, of each processor
}

// metrics moves the machine on to now and writes its state.
func (m *machine) metrics(now time.Time, disturbed bool) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	noise := func(size float64) float64 { return size * m.random.NormFloat64() }
	seconds := now.Sub(m.last).Seconds()
	m.last = now
	running, busy, nice, taken := 1.0, 0.06, 0.0, 0.0
	if disturbed {
		running, busy, nice, taken = 9, 0.52, 0.45, 0.4
	}
	m.load += (running/4 - m.load) * min(1, seconds/60) // the kernel's average over a minute
	m.memory += (taken - m.memory) * min(1, seconds/5)
	m.cpu["user"] += seconds * max(0, busy+noise(0.02))
	m.cpu["system"] += seconds * max(0, 0.02+noise(0.005))
	m.cpu["iowait"] += seconds * max(0, 0.002+noise(0.001))
	m.cpu["nice"] += seconds * nice

	var b strings.Builder
	b.WriteString("# TYPE node_cpu_seconds_total counter\n")
	for cpu := range 2 {
		for _, mode := range []string{"iowait", "nice", "system", "user"} {
			fmt.Fprintf(&b, "node_cpu_seconds_total{cpu=\"%d\",mode=%q} %.2f\n", cpu, mode, m.cpu[mode])
		}
	}
	fmt.Fprintf(&b, "# TYPE node_load1 gauge\nnode_load1 %.2f\n", max(0, m.load+noise(0.02)))
	fmt.Fprintf(&b, "# TYPE node_procs_running gauge\nnode_procs_running %.0f\n", max(1, running+noise(0.8)))
	fmt.Fprintf(&b, "# TYPE node_memory_MemAvailable_bytes gauge\nnode_memory_MemAvailable_bytes %.0f\n", 8e9*(1-m.memory)+noise(2e7))
	return b.String()
}
