// Package disturb makes a real disturbance on this machine and watches the running stack notice it: first as a score, then as an
// alert, an incident and a ticket. `go tool mage disturb` is this package with a terminal.
//
// It must not know how the stack works inside: it looks where a user would look, at the APIs.
package disturb

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"time"

	"github.com/portent-dev/portent/e2e/stack"
)

// Kind is what the disturbance takes.
type Kind string

// The kinds of disturbance.
const (
	CPU    Kind = "cpu"
	Memory Kind = "memory"
	Both   Kind = "both"
)

// Kinds lists the known ones.
func Kinds() []Kind { return []Kind{CPU, Memory, Both} }

// Options says what to disturb. Zero values have the defaults named.
type Options struct {
	Stack  stack.State
	Burner string        // path of the portent-disturbance program
	Kind   Kind          // "" = Both
	Length time.Duration // 0 = DefaultLength
	Out    io.Writer     // is told what is seen, when it is seen
}

const (
	// DefaultLength is how long the disturbance lasts when nobody stops it: long enough to be seen through scraping, rules and
	// grouping on a slow machine, short enough to wait for.
	DefaultLength = 2 * time.Minute
	// within is the promise: so soon after its start the disturbance is visible as a ticket.
	within = 2 * time.Minute
	// learnWithin is how long to wait for a baseline on a stack that was started a moment ago.
	learnWithin = 10 * time.Minute
	// every is how often the APIs are asked.
	every = time.Second
	// spinnersPerCPU threads spin for each processor: enough to fill it and to stand in line, as a runaway service does. On a machine
	// that is busy already, as many more as twice its load, up to mostSpinners: what is to be seen must stand out.
	spinnersPerCPU = 4
	mostSpinners   = 64
	// memoryShare of the memory that is free is taken: seen well, and nobody is killed for it.
	memoryShare = 0.4
	// memoryMost is taken at most: more would take too long to fill.
	memoryMost = 16 << 30
)

// watched are the series that the disturbance moves, as input of the exporter.
const watched = `metric=~"node_cpu_seconds_total|node_load1|node_procs_running|node_memory_MemAvailable_bytes"`

// ErrUnseen says that not all of score, alert, incident and ticket were seen in time.
var ErrUnseen = errors.New("not everything was seen within " + within.String())

// Run waits for a baseline, starts the disturbance and returns when score, alert, incident and ticket were seen, or with
// ErrUnseen two minutes after its start. The disturbance has ended when Run returns, also when ctx ended it.
func Run(ctx context.Context, o Options) error {
	if o.Kind == "" {
		o.Kind = Both
	}
	if o.Length == 0 {
		o.Length = DefaultLength
	}
	if !slices.Contains(Kinds(), o.Kind) {
		return fmt.Errorf("unknown disturbance %q, known are %q", o.Kind, Kinds())
	}
	if err := learn(ctx, o); err != nil {
		return err
	}
	w, err := newWatch(ctx, o)
	if err != nil {
		return err
	}
	end, err := start(ctx, o)
	if err != nil {
		return err
	}
	defer end()
	return w.run(ctx)
}

// learn waits until the watched series have a baseline: before that nothing can be unusual.
func learn(ctx context.Context, o Options) error {
	ctx, cancel := context.WithTimeoutCause(ctx, learnWithin, fmt.Errorf("no baseline after %s; is the exporter scraped?", learnWithin))
	defer cancel()
	tick := time.NewTicker(every)
	defer tick.Stop()
	said := time.Time{}
	const sayEvery = 30 * time.Second
	for {
		inputs, err := o.Stack.Query(ctx, "count(anomaly_score{"+watched+"})")
		if err != nil {
			return err
		}
		ready, err := o.Stack.Query(ctx, "count(anomaly_expected{"+watched+"})")
		if err != nil {
			return err
		}
		if n := first(ready); n > 0 && n == first(inputs) {
			return nil
		}
		if time.Since(said) > sayEvery {
			said = time.Now()
			fmt.Fprintf(o.Out, "waiting for a baseline, which takes about three minutes from the start of the stack: %.0f of %.0f series have one\n",
				first(ready), first(inputs))
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func first(s []stack.Series) float64 {
	if len(s) == 0 {
		return 0
	}
	return s[0].Value
}

// start starts the burner. The returned function ends it and waits until it has ended.
func start(ctx context.Context, o Options) (func(), error) {
	args := []string{"-length=" + o.Length.String(), "-spinners=0"}
	what := ""
	if o.Kind != Memory {
		n, err := spinners(ctx, o)
		if err != nil {
			return nil, err
		}
		args[1] = "-spinners=" + strconv.Itoa(n)
		what = fmt.Sprintf("all processors (%d threads)", n)
	}
	if o.Kind != CPU {
		free, err := freeMemory(ctx, o)
		if err != nil {
			return nil, err
		}
		take := int64(min(free*memoryShare, memoryMost))
		args = append(args, "-memory="+strconv.FormatInt(take, 10))
		if what != "" {
			what += " and "
		}
		what += fmt.Sprintf("%.1f GB of memory", float64(take)/1e9)
	}
	cmd := exec.CommandContext(ctx, o.Burner, args...)
	pipe, err := cmd.StdinPipe() // closed by the kernel when this process dies, which ends the burner
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start the disturbance: %w", err)
	}
	fmt.Fprintf(o.Out, "process %d (portent-disturbance) takes %s for %s at most\n", cmd.Process.Pid, what, o.Length)
	return func() {
		pipe.Close()
		_ = cmd.Wait()
		fmt.Fprintln(o.Out, "the disturbance has ended")
	}, nil
}

// spinners is how many threads stand out on this machine now.
func spinners(ctx context.Context, o Options) (int, error) {
	load, err := o.Stack.Query(ctx, "max(node_load1)")
	if err != nil {
		return 0, err
	}
	return min(max(spinnersPerCPU*runtime.NumCPU(), int(2*first(load))), mostSpinners), nil
}

// freeMemory asks node_exporter's metric: the same number whose change is to be seen.
func freeMemory(ctx context.Context, o Options) (float64, error) {
	s, err := o.Stack.Query(ctx, "min(node_memory_MemAvailable_bytes)")
	if err != nil {
		return 0, err
	}
	if len(s) == 0 {
		return 0, errors.New("node_exporter gives no free memory here; use the disturbance cpu")
	}
	return s[0].Value, nil
}
