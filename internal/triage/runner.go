package triage

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/portent-dev/portent/internal/incident"
)

// A Store is what the Runner needs of one.
type Store interface {
	incident.Store
	incident.Inbox
	incident.Recall
	// PutLearned keeps what correlation learned, and Learned returns it, nil at first.
	PutLearned(ctx context.Context, name string, body []byte) error
	Learned(ctx context.Context, name string) ([]byte, error)
	// Lead waits until this process is the only one that leads name; held ends
	// when it no longer is.
	Lead(ctx context.Context, name string) (held context.Context, release func(), err error)
}

// RunnerOptions are those of a Runner. All but Route, Trackers, Gate, Replay and Wrote
// are needed.
type RunnerOptions struct {
	Store  Store
	Policy Policy
	Writer Writer
	// Route names the trackers of an incident. When it is nil, each incident goes
	// to all Trackers.
	Route    Route
	Trackers []string
	// Gate says what becomes of each ticket. When it is nil, each is sent.
	Gate Gate
	// Replay: the time comes with a header and stands still between notifications;
	// after two quiet seconds what waits for time to pass is done.
	Replay     bool
	Logger     *slog.Logger
	Registerer prometheus.Registerer
	// Wrote is called when tasks were written, to wake the outbox.
	Wrote func()
}

const (
	// batchSize bounds the notifications of one transaction. Intake waits for it
	// where the store has one writer. It grows up to maxBatch, twice what the last one
	// had: what a batch costs besides its notifications (a commit, grouping anew) is then
	// shared by more of them.
	batchSize = 64
	maxBatch  = 512
	// After a batch the Runner rests restTimes as long as that took, at most maxRest,
	// while there is no backlog. What a batch costs besides its notifications is then
	// shared by those that come meanwhile, and intake has the writer for itself: at
	// 1,000 alerts a second it took two thirds of the processor time. Nobody waits for
	// it: tickets are held for minutes.
	restTimes = 3
	maxRest   = 250 * time.Millisecond
	// pollEvery bounds how late a notification is seen that another process stored.
	pollEvery = 250 * time.Millisecond
	// quietAfter is when a replay counts as over.
	quietAfter = 2 * time.Second
	// flushEvery is how often what is due by time is looked for.
	flushEvery = time.Second
	// learnedEvery is how often what was learned is kept: a crash costs that much of it, and
	// with it tickets for noise that was known. Where keeping takes long it is done less
	// often, so that it takes a hundredth of the time. In a replay hours pass in seconds.
	learnedEvery       = 10 * time.Second
	learnedEveryReplay = time.Second
	learnedShare       = 100
	// learnedName is what it is kept under.
	learnedName = "correlate"
	// retryMax bounds the wait after a failure of the store.
	retryMax = 5 * time.Second
)

// A Runner feeds a Triage from the inbox and stores what it decides. It is safe
// for concurrent use.
type Runner struct {
	o       RunnerOptions
	metrics *metrics
	wake    chan struct{}
	// Only step uses these: the size of the next batch, and how long to rest before it.
	size int
	rest time.Duration

	mu     sync.Mutex // of what follows
	triage *Triage
	loaded bool
	stuck  int // failures in a row that lie in the batch
	// last is when the time of correlation was last set; between notifications it
	// goes on with the wall clock, unless this is a replay.
	last, flushed time.Time
	saved         time.Time // when what was learned was kept
	saving        time.Duration
	busy, quiet   bool
	warned        bool // of rules that match nothing
}

// NewRunner returns a Runner. It does nothing until Run.
func NewRunner(o RunnerOptions) (*Runner, error) {
	if o.Store == nil || o.Writer == nil || o.Logger == nil || o.Registerer == nil {
		return nil, errors.New("triage: Store, Writer, Logger and Registerer are needed")
	}
	if o.Route == nil {
		trackers := o.Trackers
		o.Route = func(incident.Incident) []string { return trackers }
	}
	if o.Wrote == nil {
		o.Wrote = func() {}
	}
	t, err := New(o.Policy, o.Writer, o.Route)
	if err != nil {
		return nil, fmt.Errorf("triage policy: %w", err)
	}
	if o.Gate != nil {
		t.gate = o.Gate
	}
	return &Runner{o: o, triage: t, metrics: newMetrics(o.Registerer, o.Policy), wake: make(chan struct{}, 1)}, nil
}

// Reconfigure replaces policy and route from the next batch on. It fails, and
// changes nothing, when the policy is not valid.
func (r *Runner) Reconfigure(p Policy, route Route) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if route == nil {
		route = r.triage.route
	}
	if err := r.triage.Reconfigure(p, route); err != nil {
		return fmt.Errorf("triage policy: %w", err)
	}
	r.metrics.rules(p)
	r.warned = false
	return nil
}

// Wake makes the Runner look into the inbox at once. It never blocks.
func (r *Runner) Wake() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// Run works until ctx ends. Of several processes over one store one works, and
// the others wait to take over.
func (r *Runner) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		held, release, err := r.o.Store.Lead(ctx, "triage")
		if err != nil {
			if ctx.Err() != nil {
				return nil //nolint:nilerr // asked to stop: what failed by it is no failure
			}
			return err
		}
		r.lead(held)
		release()
	}
	return nil
}

// lead works while ctx is held.
func (r *Runner) lead(ctx context.Context) {
	r.mu.Lock()
	r.loaded = false // another one may have worked since
	r.mu.Unlock()
	var failing error
	wait := pollEvery
	for ctx.Err() == nil {
		more, err := r.step(ctx)
		switch {
		case err == nil:
			wait = pollEvery
		case ctx.Err() != nil:
			return
		default:
			if failing == nil || failing.Error() != err.Error() {
				r.o.Logger.Error("triage_failed", "err", err, "hint", "notifications are kept and tried again")
			}
			r.metrics.failures.Inc()
			wait = min(2*wait, retryMax)
		}
		failing = err
		if more && err == nil {
			sleep(ctx, r.rest)
			continue
		}
		select {
		case <-r.wake:
			if err != nil { // a wake is no reason to hammer a store that fails
				sleep(ctx, wait)
			}
		case <-time.After(wait):
		case <-ctx.Done():
		}
	}
}

func sleep(ctx context.Context, d time.Duration) {
	if d <= 0 {
		return
	}
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

// step does one batch, or what is due when there is none. More says that there
// may be another batch at once.
func (r *Runner) step(ctx context.Context) (more bool, err error) {
	size := max(batchSize, r.size)
	ns, err := r.o.Store.Next(ctx, size)
	if err != nil {
		return false, err
	}
	r.size, r.rest = min(max(batchSize, 2*len(ns)), maxBatch), 0
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.load(ctx); err != nil {
		return false, err
	}
	r.save(ctx)
	if len(ns) == 0 {
		return false, r.idle(ctx)
	}
	start := time.Now()
	err = r.process(ctx, ns)
	if len(ns) < size && !r.o.Replay { // in a replay minutes pass meanwhile
		r.rest = min(restTimes*time.Since(start), maxRest)
	}
	return true, err
}

// load fills the Triage from the store when it is void.
func (r *Runner) load(ctx context.Context) error {
	if r.loaded {
		return nil
	}
	clock, err := r.o.Store.Clock(ctx)
	if err != nil {
		return err
	}
	var all []incident.Incident
	seen := map[string]bool{}
	for _, q := range []incident.Query{ // the same that Commit keeps
		{Status: incident.StatusOpen, AlertsEach: loadedEach},
		{Firing: true, AlertsEach: loadedEach},
		{UpdatedSince: clock.Add(-r.triage.policy.memory()), AlertsEach: loadedEach},
	} {
		is, err := r.list(ctx, q)
		if err != nil {
			return err
		}
		for _, i := range is {
			if !seen[i.ID] {
				seen[i.ID] = true
				all = append(all, i)
			}
		}
	}
	if err := r.triage.Load(clock, all, r.learned(ctx)); err != nil {
		r.o.Logger.Warn("learned_unreadable", "err", err)
	}
	r.loaded = true
	r.last, r.busy, r.quiet = time.Now(), true, false // time that we were down does not count
	if !r.warned {
		r.warned = true
		r.warn(ctx)
	}
	r.o.Logger.Info("triage_loaded", "incidents", len(all), "clock", clock)
	return nil
}

// learned reads what was learned before. Without it incidents are the same, only worse told from noise for a day.
func (r *Runner) learned(ctx context.Context) []byte {
	b, err := r.o.Store.Learned(ctx, learnedName)
	if err != nil {
		r.o.Logger.Warn("learned_unreadable", "err", err)
	}
	return b
}

// save keeps what was learned, now and then.
func (r *Runner) save(ctx context.Context) {
	every := learnedEvery
	if r.o.Replay {
		every = learnedEveryReplay
	}
	if r.triage.Now().IsZero() || time.Since(r.saved) < max(every, learnedShare*r.saving) {
		return
	}
	start := time.Now()
	defer func() { r.saved = time.Now(); r.saving = r.saved.Sub(start) }()
	b, err := r.triage.Learned()
	if err == nil {
		err = r.o.Store.PutLearned(ctx, learnedName, b)
	}
	if err != nil && ctx.Err() == nil {
		r.o.Logger.Warn("learned_not_kept", "err", err)
	}
}

// list reads all pages.
func (r *Runner) list(ctx context.Context, q incident.Query) (all []incident.Incident, err error) {
	q.Limit = incident.MaxLimit
	for {
		is, next, err := r.o.Store.List(ctx, q)
		if err != nil {
			return nil, err
		}
		all = append(all, is...)
		if next == "" {
			return all, nil
		}
		q.Cursor = next
	}
}

// process judges a batch and stores what follows.
func (r *Runner) process(ctx context.Context, ns []incident.Notification) error {
	start := time.Now()
	c, err := r.judge(ctx, ns)
	if err == nil {
		err = r.apply(ctx, c)
	}
	if err != nil {
		r.loaded = false
		if r.hopeless(err) {
			return r.isolate(ctx, ns, err)
		}
		return err
	}
	r.stuck = 0
	for id, reason := range c.Aside {
		r.o.Logger.Warn("notification_set_aside", "id", id, "reason", reason)
	}
	r.last, r.busy, r.quiet = time.Now(), true, false
	r.metrics.notifications.Add(float64(len(ns) - len(c.Aside)))
	r.metrics.aside.Add(float64(len(c.Aside)))
	r.metrics.seconds.Observe(time.Since(start).Seconds())
	return nil
}

// How often a batch may fail for a reason that lies in it.
const (
	maxStuck     = 3
	maxConflicts = 10 // another process may be in the way for a while
)

// hopeless reports whether a batch fails because of what is in it.
func (r *Runner) hopeless(err error) bool {
	if _, ok := errors.AsType[*panicError](err); ok {
		return true
	}
	for _, other := range []error{incident.ErrFull, incident.ErrLocked, incident.ErrClosed, incident.ErrDamaged, context.Canceled, context.DeadlineExceeded} {
		if errors.Is(err, other) {
			return false
		}
	}
	r.stuck++
	if errors.Is(err, incident.ErrConflict) {
		return r.stuck >= maxConflicts
	}
	return r.stuck >= maxStuck
}

// isolate tries the notifications of a batch that fails one by one and sets the
// one at fault aside, so that it does not hold up the others.
func (r *Runner) isolate(ctx context.Context, ns []incident.Notification, cause error) error {
	if len(ns) == 1 {
		attrs := []any{"id", ns[0].ID, "err", cause}
		if bug, ok := errors.AsType[*panicError](cause); ok {
			attrs = append(attrs, "stack", bug.stack)
		}
		r.o.Logger.Error("notification_set_aside", attrs...)
		r.metrics.aside.Inc()
		return r.o.Store.Apply(ctx, incident.Change{Aside: map[int64]string{ns[0].ID: cause.Error()}})
	}
	for i := range ns {
		if err := r.load(ctx); err != nil {
			return err
		}
		if err := r.process(ctx, ns[i:i+1]); err != nil {
			return err
		}
	}
	return nil
}

func (r *Runner) judge(ctx context.Context, ns []incident.Notification) (c incident.Change, err error) {
	defer recoverTo(&err)
	return r.triage.Process(ns, recaller{ctx, r.o.Store})
}

// A recaller asks the store.
type recaller struct {
	ctx   context.Context
	store Store
}

func (r recaller) Known(fingerprints []string) ([]incident.Alert, error) {
	return r.store.Known(r.ctx, fingerprints)
}

func (r recaller) Incident(id string) (incident.Incident, error) { return r.store.Get(r.ctx, id) }

// idle does what is due by time.
func (r *Runner) idle(ctx context.Context) error {
	now := time.Now()
	if r.o.Replay {
		if !r.busy || r.quiet || now.Sub(r.last) < quietAfter {
			return nil
		}
		r.quiet = true
		return r.flush(ctx, r.triage.Quiet)
	}
	if now.Sub(r.flushed) < flushEvery || r.triage.Now().IsZero() {
		return nil
	}
	r.flushed = now
	// The time of correlation goes on with the wall clock, from where the alerts
	// left it: a day that is replayed in a minute is not disturbed by it.
	at := r.triage.Now().Add(now.Sub(r.last))
	r.last = now
	if err := r.silent(ctx, at); err != nil {
		return err
	}
	return r.flush(ctx, func() incident.Change { return r.triage.Flush(at) })
}

// silent ends the alerts that were not heard of for too long and that memory let go of. They
// are read through once in a hundredth of the time to live, a page at a time.
func (r *Runner) silent(ctx context.Context, at time.Time) error {
	before, ok := r.triage.LongSilent(at)
	if !ok {
		return nil
	}
	q := incident.AlertQuery{Firing: true, HeardBefore: before, Limit: incident.MaxLimit}
	for {
		as, next, err := r.o.Store.ListAlerts(ctx, q)
		if err != nil || len(as) == 0 {
			return err
		}
		r.triage.Silent(as)
		if err := r.flush(ctx, func() incident.Change { return r.triage.Flush(at) }); err != nil || next == "" {
			return err
		}
		q.Cursor = next
	}
}

func (r *Runner) flush(ctx context.Context, f func() incident.Change) (err error) {
	defer recoverTo(&err)
	return r.apply(ctx, f())
}

// apply stores a change. Memory follows only when that went well.
func (r *Runner) apply(ctx context.Context, c incident.Change) error {
	r.loaded = false
	if err := r.o.Store.Apply(ctx, c); err != nil {
		return err
	}
	r.triage.Commit()
	r.loaded = true
	r.metrics.update(r.triage)
	if len(c.Tasks) > 0 {
		r.o.Wrote()
	}
	return nil
}
