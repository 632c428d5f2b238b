package outbox

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/portent-dev/portent/internal/incident"
	"github.com/portent-dev/portent/internal/ticket"
)

// pollEvery bounds how late a task is that became due by time or in another
// process. A look costs one indexed read for each tracker.
const pollEvery = 250 * time.Millisecond

// grace is how long calls in flight may go on when the worker is told to stop.
const grace = 10 * time.Second

// Options of a worker. Queue, Logger and Registerer are needed.
type Options struct {
	Queue Queue
	// Inbox is counted in the metric portent_outbox_pending.
	Inbox    incident.Inbox
	Trackers map[string]ticket.Target
	// Config is DefaultConfig when it is zero.
	Config     Config
	Logger     *slog.Logger
	Registerer prometheus.Registerer
	// Actor names the worker in the audit records; "portent/outbox" when empty.
	Actor string
	// OnlyByPerson reports whether nothing may go out that no person asked for or
	// approved; nil means no. It is asked before each look.
	OnlyByPerson func() bool
	// Lost returns a channel that is closed when others may take what this process has in
	// flight: its calls are broken off then. It is asked before each look; nil means never.
	Lost func() <-chan struct{}
	// Random gives the jitter, 0 to 1; nil means math/rand.
	Random func() float64
}

// A Worker carries out the tasks of a queue.
type Worker struct {
	o       Options
	metrics *metrics
	wake    chan struct{}

	mu       sync.Mutex
	trackers map[string]ticket.Target
	config   Config
	running  map[string]int       // calls by tracker
	paused   map[string]time.Time // trackers that asked us to wait
}

// New returns a worker. It does nothing until Run.
func New(o Options) (*Worker, error) {
	if o.Queue == nil || o.Inbox == nil || o.Logger == nil || o.Registerer == nil {
		return nil, errors.New("outbox: Queue, Inbox, Logger and Registerer are needed")
	}
	if o.Config == (Config{}) {
		o.Config = DefaultConfig()
	}
	if err := o.Config.Validate(); err != nil {
		return nil, err
	}
	if o.Actor == "" {
		o.Actor = "portent/outbox"
	}
	if o.OnlyByPerson == nil {
		o.OnlyByPerson = func() bool { return false }
	}
	if o.Lost == nil {
		o.Lost = func() <-chan struct{} { return nil }
	}
	if o.Random == nil {
		o.Random = rand.Float64
	}
	w := &Worker{
		o: o, config: o.Config, trackers: maps.Clone(o.Trackers), wake: make(chan struct{}, 1),
		running: map[string]int{}, paused: map[string]time.Time{},
	}
	w.metrics = newMetrics(o.Registerer)
	w.metrics.trackers(w.trackers)
	return w, o.Registerer.Register(collector{w: w})
}

// SetTrackers replaces the trackers. Calls in flight end with the old ones.
// Tasks of a tracker that is not there wait until it is.
func (w *Worker) SetTrackers(trackers map[string]ticket.Target) {
	w.mu.Lock()
	w.trackers = maps.Clone(trackers)
	w.metrics.trackers(w.trackers)
	w.mu.Unlock()
	w.Wake()
}

// SetConfig replaces the configuration, from the next attempt on.
func (w *Worker) SetConfig(c Config) error {
	if err := c.Validate(); err != nil {
		return err
	}
	w.mu.Lock()
	w.config = c
	w.mu.Unlock()
	return nil
}

// Wake makes the worker look for tasks at once. It never blocks.
func (w *Worker) Wake() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// Run works until ctx ends. Then it takes no more tasks, gives calls in flight
// ten seconds to end, cancels them and returns when their outcome is written.
func (w *Worker) Run(ctx context.Context) error {
	calls, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	var wg sync.WaitGroup
	var failing bool
	for ctx.Err() == nil {
		err := w.dispatch(ctx, calls, &wg)
		if err != nil && ctx.Err() == nil && !failing {
			w.o.Logger.Error("outbox_claim_failed", "err", err)
		}
		failing = err != nil
		select {
		case <-w.wake:
		case <-time.After(pollEvery):
		case <-ctx.Done():
		}
	}
	stop := time.AfterFunc(grace, cancel)
	defer stop.Stop()
	wg.Wait()
	return nil
}

// dispatch claims for each tracker as many tasks as may run and starts them.
func (w *Worker) dispatch(ctx, calls context.Context, wg *sync.WaitGroup) error {
	w.mu.Lock()
	trackers, config := maps.Clone(w.trackers), w.config
	w.mu.Unlock()
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(trackers)) {
		free := w.free(name, config)
		if free == 0 {
			continue
		}
		lost := w.o.Lost()
		tasks, err := w.o.Queue.Claim(ctx, Claim{Now: time.Now(), Lease: config.lease(), Tracker: name, Limit: free, Actor: w.o.Actor, OnlyByPerson: w.o.OnlyByPerson()})
		if err != nil {
			errs = append(errs, err)
			continue
		}
		for _, t := range tasks {
			w.count(name, 1)
			wg.Go(func() {
				held, release := until(calls, lost)
				defer release()
				w.work(held, attempt{Task: t, target: trackers[name], config: config, random: w.o.Random(), actor: w.o.Actor})
				w.count(name, -1)
				w.Wake()
			})
		}
	}
	return errors.Join(errs...)
}

// until returns a context that also ends when lost is closed; release must be called.
func until(ctx context.Context, lost <-chan struct{}) (held context.Context, release func()) {
	held, cancel := context.WithCancel(ctx)
	if lost == nil {
		return held, cancel
	}
	go func() {
		select {
		case <-lost:
			cancel()
		case <-held.Done():
		}
	}()
	return held, cancel
}

// free is how many more calls of a tracker may run.
func (w *Worker) free(tracker string, config Config) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	if time.Now().Before(w.paused[tracker]) {
		return 0
	}
	return max(0, config.Concurrency-w.running[tracker])
}

func (w *Worker) count(tracker string, n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.running[tracker] += n
}

func (w *Worker) pause(tracker string, until time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if until.After(w.paused[tracker]) {
		w.paused[tracker] = until
	}
}

// work makes one attempt and writes its outcome.
func (w *Worker) work(ctx context.Context, a attempt) {
	start := time.Now()
	end := a.run(ctx)
	w.metrics.attempts.WithLabelValues(a.Tracker, end.reason()).Inc()
	w.metrics.seconds.WithLabelValues(a.Tracker).Observe(time.Since(start).Seconds())
	if !end.pause.IsZero() {
		w.pause(a.Tracker, end.pause)
	}
	log := w.o.Logger.With("task", a.ID, "incident", a.IncidentID, "tracker", a.Tracker, "kind", a.Kind, "attempt", a.Attempts)
	switch end.state {
	case StateDead:
		log.Error("ticket_task_dead", "reason", end.Reason, "err", end.Error)
	case StatePending:
		log.Debug("ticket_task_retried", "reason", end.Reason, "err", end.Error, "not_before", end.NotBefore)
	default:
		log.Debug("ticket_task_done", "ticket", end.Ticket.Key)
	}
	w.write(ctx, log, a, end, start.Add(a.config.lease()))
}

// write stores the outcome, and goes on trying while the task is ours: it is
// better to write late that a ticket was made than to search for it.
func (w *Worker) write(ctx context.Context, log *slog.Logger, a attempt, end ending, until time.Time) {
	store := map[State]func(context.Context, Task, Outcome) error{
		StateDone: w.o.Queue.Finish, StatePending: w.o.Queue.Retry, StateDead: w.o.Queue.Bury,
	}[end.state]
	for wait := 100 * time.Millisecond; ; wait = min(2*wait, 5*time.Second) {
		bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		err := store(bounded, a.Task, end.Outcome)
		cancel()
		switch {
		case err == nil:
			return
		case errors.Is(err, incident.ErrConflict), errors.Is(err, incident.ErrClosed) && ctx.Err() != nil, !time.Now().Add(wait).Before(until):
			log.Error("ticket_outcome_lost", "err", err, "hint", "the task is tried again when its lease is over, after a lookup")
			return
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done(): // told to stop: one more try, then the lease decides
			until = time.Now()
		}
	}
}
