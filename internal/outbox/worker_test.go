package outbox_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/incident"
	"github.com/portent-dev/portent/internal/outbox"
	"github.com/portent-dev/portent/internal/sqlstore"
	"github.com/portent-dev/portent/internal/ticket"
)

// A fake is a tracker with a search that lags. Before each create it asks fault
// what shall go wrong.
type fake struct {
	mu      sync.Mutex
	lag     time.Duration
	fault   func(op string, n int) (before, after error) // before: no effect; after: in spite of the effect
	calls   map[string]int
	tickets []*made
	comment map[string]int // by update key
	busy    map[string]int // calls at once by ticket key
	overlap bool
	delay   time.Duration
}

type made struct {
	ticket.Ticket
	draft string
	at    time.Time
}

func newFake() *fake {
	return &fake{calls: map[string]int{}, comment: map[string]int{}, busy: map[string]int{}, fault: func(string, int) (error, error) { return nil, nil }}
}

// do runs one call: counts it, watches for calls at once, and lets it fail.
func (f *fake) do(ctx context.Context, op, key string, effect func() error) error {
	f.mu.Lock()
	f.calls[op]++
	f.busy[key]++
	f.overlap = f.overlap || f.busy[key] > 1
	before, after := f.fault(op, f.calls[op])
	delay := f.delay
	f.mu.Unlock()
	defer func() {
		f.mu.Lock()
		f.busy[key]--
		f.mu.Unlock()
	}()
	if delay > 0 {
		select {
		case <-time.After(delay):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if before != nil {
		return before
	}
	f.mu.Lock()
	err := effect()
	f.mu.Unlock()
	if err != nil {
		return err
	}
	return after
}

func (f *fake) Create(ctx context.Context, d ticket.Draft) (t ticket.Ticket, err error) {
	err = f.do(ctx, "create", d.Key, func() error {
		t = ticket.Ticket{Ref: ticket.Ref{Key: fmt.Sprintf("OPS-%d", len(f.tickets)+1), ID: strconv.Itoa(10000 + len(f.tickets)), URL: "https://t"}, State: ticket.Open, Status: "To Do"}
		f.tickets = append(f.tickets, &made{Ticket: t, draft: d.Key, at: time.Now()})
		return nil
	})
	return t, err
}

func (f *fake) Find(ctx context.Context, key string) (t ticket.Ticket, err error) {
	err = f.do(ctx, "find", key, func() error {
		for _, m := range f.tickets {
			if m.draft == key && !time.Now().Before(m.at.Add(f.lag)) {
				t = m.Ticket
				return nil
			}
		}
		return ticket.ErrNotFound
	})
	return t, err
}

func (f *fake) Get(_ context.Context, r ticket.Ref) (ticket.Ticket, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, m := range f.tickets {
		if m.Key == r.Key {
			return m.Ticket, nil
		}
	}
	return ticket.Ticket{}, ticket.ErrNotFound
}

func (f *fake) Update(ctx context.Context, r ticket.Ref, u ticket.Update) error {
	return f.do(ctx, "update", r.Key, func() error {
		for _, m := range f.tickets {
			if m.Key != r.Key {
				continue
			}
			f.comment[u.Key]++
			if u.State != ticket.Unchanged {
				m.State, m.Status = u.State, map[ticket.State]string{ticket.Open: "In Arbeit", ticket.Resolved: "Fertig"}[u.State]
			}
			return nil
		}
		return &ticket.Error{Reason: ticket.ReasonNotFound, Err: ticket.ErrNotFound}
	})
}

// A rig is a store, a tracker and the workers over them.
type rig struct {
	t     *testing.T
	dsn   string
	store *sqlstore.Store
	f     *fake
	reg   *prometheus.Registry
	conf  outbox.Config
	stop  func()
}

// bubble runs f in a synctest bubble, where time passes when nothing else happens.
func bubble(t *testing.T, f func(t *testing.T, r *rig)) {
	t.Helper()
	dsn := "sqlite:" + filepath.Join(t.TempDir(), "p.db")
	synctest.Test(t, func(t *testing.T) {
		r := &rig{t: t, dsn: dsn, f: newFake(), conf: outbox.DefaultConfig()}
		r.open()
		f(t, r)
		if r.stop != nil {
			r.stop()
		}
		_, err := r.store.VerifyAudit(t.Context())
		require.NoError(t, err)
		require.NoError(t, r.store.Close())
		require.False(t, r.f.overlap, "two calls for one ticket at once")
	})
}

func (r *rig) open() {
	var err error
	r.store, err = sqlstore.Open(r.t.Context(), sqlstore.Options{DSN: r.dsn, Logger: slog.New(slog.DiscardHandler), Registerer: prometheus.NewRegistry()})
	require.NoError(r.t, err)
}

func (r *rig) start() *outbox.Worker {
	r.reg = prometheus.NewRegistry()
	w, err := outbox.New(outbox.Options{
		Queue: r.store, Inbox: r.store, Trackers: map[string]ticket.Target{"jira": {Tracker: r.f, Name: "jira", SearchLag: r.f.lag}},
		Config: r.conf, Logger: slog.New(slog.DiscardHandler), Registerer: r.reg, Random: func() float64 { return 0.5 },
	})
	require.NoError(r.t, err)
	ctx, cancel := context.WithCancel(r.t.Context())
	done := make(chan struct{})
	go func() { defer close(done); _ = w.Run(ctx) }()
	r.stop = func() { cancel(); <-done; r.stop = nil }
	return w
}

// add decides tasks of an incident.
func (r *rig) add(id string, kinds ...incident.TaskKind) {
	var c incident.Change
	for i, k := range kinds {
		var payload any
		switch k {
		case incident.TaskCreate:
			payload = ticket.Draft{Key: "portent-" + id, Title: "t"}
		case incident.TaskResolve:
			payload = ticket.Update{Key: fmt.Sprintf("%s-%d", id, i), State: ticket.Resolved}
		case incident.TaskReopen:
			payload = ticket.Update{Key: fmt.Sprintf("%s-%d", id, i), State: ticket.Open}
		case incident.TaskUpdate:
			payload = ticket.Update{Key: fmt.Sprintf("%s-%d", id, i)}
		default:
			r.t.Fatalf("no payload for %s", k)
		}
		b, err := json.Marshal(payload)
		require.NoError(r.t, err)
		c.Tasks = append(c.Tasks, incident.Task{IncidentID: id, Tracker: "jira", Key: "portent-" + id, Kind: k, Payload: b})
	}
	require.NoError(r.t, r.store.Apply(r.t.Context(), c))
}

func (r *rig) stats() outbox.Stats {
	st, err := r.store.Stats(r.t.Context())
	require.NoError(r.t, err)
	return st
}

// drained waits, in the bubble's time, until nothing is to be done.
func (r *rig) drained(within time.Duration) time.Duration {
	r.t.Helper()
	start := time.Now()
	for r.stats().Todo["jira"] > 0 {
		require.Less(r.t, time.Since(start), within, "tasks left: %v", r.tasks(""))
		<-time.After(100 * time.Millisecond)
	}
	return time.Since(start)
}

func (r *rig) tasks(state outbox.State) []outbox.Task {
	ts, _, err := r.store.ListTasks(r.t.Context(), outbox.Query{State: state})
	require.NoError(r.t, err)
	return ts
}

// once requires one ticket for each of the incidents.
func (r *rig) once(ids ...string) {
	r.t.Helper()
	got := map[string]int{}
	for _, m := range r.f.tickets {
		got[m.draft]++
	}
	want := map[string]int{}
	for _, id := range ids {
		want["portent-"+id] = 1
	}
	require.Equal(r.t, want, got)
}

func retryable(reason ticket.Reason, after time.Duration) error {
	return &ticket.Error{Reason: reason, Retry: true, RetryAfter: after, Err: errors.New("told so")}
}

func TestLifeOfATicket(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		i := incident.Incident{ID: "a", Key: "k", Status: incident.StatusOpen, Severity: incident.SeverityWarning}
		require.NoError(t, r.store.Apply(t.Context(), incident.Change{Incidents: []incident.Incident{i}}))
		r.add("a", incident.TaskCreate, incident.TaskUpdate, incident.TaskResolve, incident.TaskReopen, incident.TaskResolve)
		r.start()
		r.drained(10 * time.Second)
		r.once("a")
		require.Equal(t, ticket.Resolved, r.f.tickets[0].State)
		require.Equal(t, map[string]int{"a-1": 1, "a-2": 1, "a-3": 1, "a-4": 1}, r.f.comment)
		require.Zero(t, r.f.calls["find"], "a first create needs no lookup")

		got, err := r.store.Get(t.Context(), "a")
		require.NoError(t, err)
		require.Equal(t, []incident.Ticket{{Tracker: "jira", Key: "OPS-1", ID: "10000", URL: "https://t", Status: "Fertig"}}, got.Tickets)
		var lines []string
		for _, e := range got.Timeline {
			lines = append(lines, e.Text)
		}
		require.Equal(t, []string{
			"jira: ticket OPS-1 created", "jira: ticket OPS-1 commented", "jira: ticket OPS-1 resolved (Fertig)",
			"jira: ticket OPS-1 reopened (In Arbeit)", "jira: ticket OPS-1 resolved (Fertig)",
		}, lines)
		rs, _, err := r.store.AuditRecords(t.Context(), sqlstore.AuditQuery{Subject: "a"})
		require.NoError(t, err)
		require.Len(t, rs, 10, "each action before and after")
		require.Equal(t, "ticket.create.before", rs[0].Action)
		require.Equal(t, "ticket.create.after", rs[1].Action)
		require.Contains(t, string(rs[1].Detail), `"ticket":"OPS-1"`)
	})
}

// The answer to a create is lost; the ticket shows in the search 30 s later.
func TestAnswerLostAndSearchLags(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.f.lag = 30 * time.Second
		r.f.fault = func(op string, n int) (error, error) {
			if op == "create" && n == 1 {
				return nil, &ticket.Error{Reason: ticket.ReasonNetwork, Retry: true, Ambiguous: true, Err: errors.New("connection reset")}
			}
			return nil, nil
		}
		r.add("a", incident.TaskCreate, incident.TaskResolve)
		r.start()
		r.drained(3 * time.Minute)
		r.once("a")
		require.Equal(t, 1, r.f.calls["create"])
		require.Equal(t, ticket.Resolved, r.f.tickets[0].State)
	})
}

// The answer is lost and the create had no effect: it is repeated, but not
// before the search would have shown it, and looked at once more later.
func TestAnswerLostWithoutEffect(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.f.lag = 30 * time.Second
		r.f.fault = func(op string, n int) (error, error) {
			if op == "create" && n == 1 {
				return &ticket.Error{Reason: ticket.ReasonTimeout, Ambiguous: true, Err: errors.New("no answer")}, nil
			}
			return nil, nil
		}
		start := time.Now()
		r.add("a", incident.TaskCreate)
		r.start()
		took := r.drained(3 * time.Minute)
		r.once("a")
		require.Equal(t, 2, r.f.calls["create"])
		require.GreaterOrEqual(t, r.f.tickets[0].at.Sub(start), 30*time.Second)
		require.GreaterOrEqual(t, took, 90*time.Second, "a sweep two lags later")
		finds := r.f.calls["find"]
		require.Greater(t, finds, 3)
		require.Less(t, finds, 20, "looking is not hammering")
		require.Equal(t, 1, r.tasks(outbox.StateDone)[1].Attempts-1, "lookups do not count as attempts")
	})
}

func TestStormsOfErrors(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.f.lag = 5 * time.Second
		var n int
		r.f.fault = func(string, int) (error, error) {
			n++
			switch n % 7 {
			case 1:
				return retryable(ticket.ReasonRateLimited, 3*time.Second), nil
			case 2, 3:
				return retryable(ticket.ReasonUnavailable, 0), nil
			case 4:
				return nil, &ticket.Error{Reason: ticket.ReasonTimeout, Retry: true, Ambiguous: true, Err: errors.New("no answer")}
			}
			return nil, nil
		}
		var ids []string
		for i := range 15 {
			id := fmt.Sprintf("i%02d", i)
			ids = append(ids, id)
			r.add(id, incident.TaskCreate, incident.TaskUpdate, incident.TaskResolve)
		}
		r.start()
		r.drained(time.Hour)
		r.once(ids...)
		require.Empty(t, r.stats().Dead)
		for _, m := range r.f.tickets {
			require.Equal(t, ticket.Resolved, m.State)
		}
		require.Len(t, r.f.comment, 30, "every update arrived")
	})
}

// A worker dies at the worst moments: before the call, with the call made and
// nothing written. The process that comes after makes no second ticket.
func TestKilledInTheMiddle(t *testing.T) {
	for _, tt := range []struct {
		name   string
		effect bool
	}{{"before the call", false}, {"after the call", true}} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T, r *rig) {
				r.f.lag = 20 * time.Second
				r.add("a", incident.TaskCreate, incident.TaskResolve)
				ts, err := r.store.Claim(t.Context(), outbox.Claim{Now: time.Now(), Lease: time.Hour, Tracker: "jira", Limit: 1, Actor: "w"})
				require.NoError(t, err)
				require.Len(t, ts, 1)
				if tt.effect {
					_, err = r.f.Create(t.Context(), ticket.Draft{Key: ts[0].Key})
					require.NoError(t, err)
				}
				require.NoError(t, r.store.Close()) // the kill: no outcome is written
				r.open()
				start := time.Now()
				r.start()
				r.drained(5 * time.Minute)
				r.once("a")
				require.Equal(t, ticket.Resolved, r.f.tickets[0].State)
				if !tt.effect {
					require.GreaterOrEqual(t, r.f.tickets[0].at.Sub(start), r.f.lag, "not before it was sure")
				}
			})
		})
	}
}

// The ticket is made, but the store cannot write that down for a while.
func TestStoreFailsAfterTheCall(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.f.delay = time.Second
		r.add("a", incident.TaskCreate)
		q := &failing{Queue: r.store, n: 4}
		w, err := outbox.New(outbox.Options{
			Queue: q, Inbox: r.store, Trackers: map[string]ticket.Target{"jira": {Tracker: r.f, Name: "jira"}},
			Logger: slog.New(slog.DiscardHandler), Registerer: prometheus.NewRegistry(),
		})
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); _ = w.Run(ctx) }()
		r.drained(time.Minute)
		cancel()
		<-done
		r.once("a")
		require.Zero(t, q.n)
	})
}

type failing struct {
	outbox.Queue
	n int
}

func (f *failing) Finish(ctx context.Context, t outbox.Task, o outbox.Outcome) error {
	if f.n > 0 {
		f.n--
		return fmt.Errorf("write: %w", incident.ErrFull)
	}
	return f.Queue.Finish(ctx, t, o)
}

func TestRetryAfterAndBackoff(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		var at []time.Time
		r.f.fault = func(_ string, n int) (error, error) {
			at = append(at, time.Now())
			switch {
			case n == 1:
				return retryable(ticket.ReasonUnavailable, 42*time.Second), nil
			case n < 6:
				return retryable(ticket.ReasonUnavailable, 0), nil
			}
			return nil, nil
		}
		r.add("a", incident.TaskCreate)
		r.start()
		r.drained(5 * time.Minute)
		require.Len(t, at, 6)
		want := []time.Duration{42 * time.Second, 1500 * time.Millisecond, 3 * time.Second, 6 * time.Second, 12 * time.Second} // ¾ of 2, 4, 8, 16
		for i, d := range want {
			require.InDelta(t, d.Seconds(), at[i+1].Sub(at[i]).Seconds(), 0.3, "wait %d", i)
		}
	})
}

// A tracker that says it is too much is left alone with every task.
func TestRateLimitPausesTheTracker(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.conf.Concurrency = 1
		r.f.fault = func(_ string, n int) (error, error) {
			if n == 1 {
				return retryable(ticket.ReasonRateLimited, time.Minute), nil
			}
			return nil, nil
		}
		start := time.Now()
		r.add("a", incident.TaskCreate)
		r.add("b", incident.TaskCreate)
		r.start()
		r.drained(5 * time.Minute)
		r.once("a", "b")
		for _, m := range r.f.tickets {
			require.GreaterOrEqual(t, m.at.Sub(start), time.Minute)
		}
	})
}

func TestDeadAndReplayed(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		broken := true
		r.f.fault = func(string, int) (error, error) {
			if broken {
				return &ticket.Error{Reason: ticket.ReasonInvalid, Err: errors.New("field 'x' is not on the screen")}, nil
			}
			return nil, nil
		}
		r.add("a", incident.TaskCreate, incident.TaskResolve)
		w := r.start()
		r.drained(10 * time.Second)
		dead := r.tasks(outbox.StateDead)
		require.Len(t, dead, 2)
		require.Equal(t, "invalid", dead[1].Reason)
		require.Contains(t, dead[1].LastError, "field 'x'")
		require.Equal(t, outbox.ReasonBlocked, dead[0].Reason)
		require.Equal(t, 1, r.f.calls["create"], "not tried in vain")
		require.NoError(t, testutil.GatherAndCompare(r.reg, strings.NewReader(`
# HELP portent_outbox_dead Tasks that were given up and wait for a person to replay them.
# TYPE portent_outbox_dead gauge
portent_outbox_dead{tracker="jira"} 2
# HELP portent_outbox_oldest_seconds Age of the oldest task to do, 0 when there is none.
# TYPE portent_outbox_oldest_seconds gauge
portent_outbox_oldest_seconds 0
# HELP portent_outbox_orphaned Tasks that wait for a tracker that is not configured.
# TYPE portent_outbox_orphaned gauge
portent_outbox_orphaned 0
# HELP portent_outbox_pending What was accepted and is not done: notifications to be processed and tasks on tickets. 0 when drained.
# TYPE portent_outbox_pending gauge
portent_outbox_pending 0
`), "portent_outbox_dead", "portent_outbox_oldest_seconds", "portent_outbox_orphaned", "portent_outbox_pending"))

		broken = false
		require.NoError(t, r.store.Replay(t.Context(), dead[1].ID, "ada", time.Now()))
		w.Wake()
		r.drained(10 * time.Second)
		r.once("a")
		require.Equal(t, ticket.Resolved, r.f.tickets[0].State)
	})
}

func TestGivesUpAfterMaxAttempts(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.conf.MaxAttempts = 5
		r.f.fault = func(string, int) (error, error) { return retryable(ticket.ReasonUnavailable, 0), nil }
		r.add("a", incident.TaskCreate)
		r.start()
		r.drained(10 * time.Minute)
		require.Equal(t, 5, r.f.calls["create"])
		require.Equal(t, "unavailable", r.tasks(outbox.StateDead)[0].Reason)
	})
}

// A comment that a tracker refuses, or a workflow without a way, holds up nothing.
func TestRefusedUpdateDoesNotBlock(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.f.fault = func(op string, n int) (error, error) {
			if op == "update" && n == 1 {
				return &ticket.Error{Reason: ticket.ReasonWorkflow, Err: errors.New("no transition")}, nil
			}
			return nil, nil
		}
		r.add("a", incident.TaskCreate, incident.TaskUpdate, incident.TaskResolve)
		r.start()
		r.drained(10 * time.Second)
		require.Equal(t, ticket.Resolved, r.f.tickets[0].State)
		require.Equal(t, 1, r.stats().Dead["jira"])
	})
}

func TestPanicOfATrackerIsAnError(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.add("a", incident.TaskCreate)
		w, err := outbox.New(outbox.Options{
			Queue: r.store, Inbox: r.store, Trackers: map[string]ticket.Target{"jira": {Tracker: panics{}, Name: "jira"}},
			Logger: slog.New(slog.DiscardHandler), Registerer: prometheus.NewRegistry(),
		})
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); _ = w.Run(ctx) }()
		r.drained(10 * time.Second)
		cancel()
		<-done
		dead := r.tasks(outbox.StateDead)
		require.Contains(t, dead[0].LastError, "BUG")
		require.False(t, dead[0].Uncertain.IsZero(), "a replay looks first")
	})
}

type panics struct{ ticket.Tracker }

func (panics) Create(context.Context, ticket.Draft) (ticket.Ticket, error) { panic("nil map") }

func TestStopLetsCallsEnd(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.f.delay = 5 * time.Second
		r.add("a", incident.TaskCreate)
		r.start()
		<-time.After(time.Second)
		r.stop()
		require.Empty(t, r.stats().Todo, "the call ended and was written")
		r.once("a")

		r.f.delay = time.Hour
		r.add("b", incident.TaskCreate)
		r.start()
		<-time.After(time.Second)
		start := time.Now()
		r.stop()
		require.LessOrEqual(t, time.Since(start), 11*time.Second, "a call that hangs is broken off")
		left := r.tasks(outbox.StatePending)
		require.Len(t, left, 1)
		require.Zero(t, left[0].Attempts)
	})
}

func TestTrackersCanBeReplaced(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		w := r.start()
		w.SetTrackers(nil)
		r.add("a", incident.TaskCreate)
		<-time.After(time.Minute)
		require.Equal(t, map[string]int{"jira": 1}, r.stats().Todo, "a task of an unknown tracker waits")
		require.NoError(t, testutil.GatherAndCompare(r.reg, strings.NewReader(`
# HELP portent_outbox_orphaned Tasks that wait for a tracker that is not configured.
# TYPE portent_outbox_orphaned gauge
portent_outbox_orphaned 1
`), "portent_outbox_orphaned"))
		w.SetTrackers(map[string]ticket.Target{"jira": {Tracker: r.f, Name: "jira"}})
		r.drained(10 * time.Second)
		r.once("a")
	})
}

func TestConcurrencyIsBounded(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.conf.Concurrency = 3
		r.f.delay = time.Second
		var ids []string
		for i := range 12 {
			ids = append(ids, fmt.Sprint("i", i))
			r.add(ids[i], incident.TaskCreate)
		}
		r.start()
		took := r.drained(time.Minute)
		r.once(ids...)
		require.GreaterOrEqual(t, took, 4*time.Second)
		require.Less(t, took, 6*time.Second, "and used")
	})
}

func TestConfig(t *testing.T) {
	require.NoError(t, outbox.DefaultConfig().Validate())
	for name, spoil := range map[string]func(*outbox.Config){
		"concurrency":  func(c *outbox.Config) { c.Concurrency = 0 },
		"call_timeout": func(c *outbox.Config) { c.CallTimeout = 0 },
		"backoff_min":  func(c *outbox.Config) { c.BackoffMin = 0 },
		"backoff_max":  func(c *outbox.Config) { c.BackoffMax = c.BackoffMin - 1 },
		"max_attempts": func(c *outbox.Config) { c.MaxAttempts = 0 },
	} {
		c := outbox.DefaultConfig()
		spoil(&c)
		require.ErrorContains(t, c.Validate(), name)
	}
	_, err := outbox.New(outbox.Options{})
	require.Error(t, err)
}
