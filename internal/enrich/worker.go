package enrich

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/portent-dev/portent/internal/incident"
	"github.com/portent-dev/portent/internal/ticket"
)

// When a Worker looks, and how often.
const (
	// roundEvery is how late a new incident is seen; its ticket waits minutes, as a rule.
	roundEvery = 2 * time.Second
	// maxOpen bounds the incidents that are kept up to date: the newest. Beyond it nobody reads.
	maxOpen = 200
	// atOnce bounds the load on what is asked.
	atOnce = 4
	// again is when an open incident is looked at again, for as long as it is young; one that
	// doubled is after grownAfter.
	again      = 10 * time.Minute
	young      = 2 * time.Hour
	grownAfter = time.Minute
)

// A Store is what a Worker needs of one.
type Store interface {
	incident.Dossiers
	List(ctx context.Context, q incident.Query) (incidents []incident.Incident, next string, err error)
	Get(ctx context.Context, id string) (incident.Incident, error)
	Apply(ctx context.Context, c incident.Change) error
}

// WorkerOptions are those of a Worker. All are needed; TellByModel may return nil.
type WorkerOptions struct {
	Store Store
	// Enricher is asked each time, so that a reload counts at once.
	Enricher func() *Enricher
	// Comment tells a ticket that was filed before anything was found.
	Comment func(d incident.Dossier) ticket.Doc
	// Tell tells an incident that has its alerts and its dossier, at once.
	Tell func(inc incident.Incident) incident.Account
	// TellByModel gives what does the same with a language model, nil where there is none; it is asked each time, as Enricher is.
	// It may take its time: a ticket that is filed meanwhile has the words of Tell.
	TellByModel func() func(ctx context.Context, inc incident.Incident) incident.Account
	Now         func() time.Time
	Logger      *slog.Logger
	Registerer  prometheus.Registerer
	// Wrote is called when tasks were written, to wake the outbox.
	Wrote func()
}

// A Worker keeps the dossiers of open incidents: it looks when one opens, when one has grown and again every
// ten minutes. What it found goes into the ticket; one that was filed already gets it as a
// comment, once. It is safe for concurrent use.
type Worker struct {
	o       WorkerOptions
	metrics workerMetrics

	mu    sync.Mutex
	known map[string]*entry // of open incidents
}

// entry is what is known of one open incident.
type entry struct {
	dossier incident.Dossier
	total   int // alerts, when it was looked at
	// told: the ticket holds it. saved is false while the store does not know that.
	told, saved bool
	busy        bool
	// wordless: a model is to tell it.
	wordless bool
}

type workerMetrics struct {
	lookups  *prometheus.CounterVec
	dossiers prometheus.Gauge
}

// NewWorker returns a Worker. It does nothing until Run.
func NewWorker(o WorkerOptions) *Worker {
	w := &Worker{o: o, known: map[string]*entry{}, metrics: workerMetrics{
		lookups: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "portent_receiver_evidence_lookups_total",
			Help: "Evidence that was looked for about incidents: found all that was asked for (complete), or not all of it (partial).",
		}, []string{"outcome"}),
		dossiers: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "portent_receiver_evidence_incidents",
			Help: "Open incidents whose evidence is kept up to date.",
		}),
	}}
	for _, outcome := range []string{"complete", "partial"} {
		w.metrics.lookups.WithLabelValues(outcome)
	}
	o.Registerer.MustRegister(w.metrics.lookups, w.metrics.dossiers)
	return w
}

// Run works until ctx ends. A failure is logged once and tried again.
func (w *Worker) Run(ctx context.Context) error {
	var words sync.WaitGroup
	defer words.Wait()
	words.Go(func() { w.runWords(ctx) })
	failing := false
	for {
		err := w.Round(ctx)
		if err != nil && ctx.Err() == nil && !failing {
			w.o.Logger.Error("evidence_failed", "err", err)
		}
		failing = err != nil
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(roundEvery):
		}
	}
}

// Round looks once at all open incidents and at those of them that are due.
func (w *Worker) Round(ctx context.Context) error {
	open, _, err := w.o.Store.List(ctx, incident.Query{Status: incident.StatusOpen, Limit: maxOpen, Brief: true})
	if err != nil {
		return err
	}
	var (
		wg    sync.WaitGroup
		mu    sync.Mutex
		errs  []error
		slots = make(chan struct{}, atOnce)
	)
	for _, inc := range w.due(ctx, open) {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			if err := w.look(ctx, inc.ID); err != nil {
				mu.Lock()
				defer mu.Unlock()
				errs = append(errs, fmt.Errorf("incident %s: %w", inc.ID, err))
			}
		})
	}
	wg.Wait()
	return errors.Join(append(errs, w.save(ctx))...)
}

// due forgets what is no longer open and returns what is to be looked at.
func (w *Worker) due(ctx context.Context, open []incident.Incident) []incident.Incident {
	w.mu.Lock()
	defer w.mu.Unlock()
	for id := range w.known {
		if !slices.ContainsFunc(open, func(inc incident.Incident) bool { return inc.ID == id }) {
			delete(w.known, id)
		}
	}
	now := w.o.Now()
	var out []incident.Incident
	for _, inc := range open {
		e := w.known[inc.ID]
		if e == nil {
			e = w.recall(ctx, inc)
			w.known[inc.ID] = e
		}
		age := now.Sub(e.dossier.At)
		switch {
		case e.busy:
		case e.dossier.At.IsZero(),
			inc.Total >= 2*e.total && age >= grownAfter,
			age >= again && now.Sub(inc.StartedAt) < young:
			e.busy = true
			out = append(out, inc)
		}
	}
	w.metrics.dossiers.Set(float64(len(w.known)))
	return out
}

// recall is what an earlier process found.
func (w *Worker) recall(ctx context.Context, inc incident.Incident) *entry {
	d, err := w.o.Store.Dossier(ctx, inc.ID)
	if err != nil {
		return &entry{} // nothing was found yet, or it is looked for again
	}
	return &entry{dossier: d, total: inc.Total, told: d.Told, saved: true}
}

// look collects evidence about one incident, tells it, and keeps both.
func (w *Worker) look(ctx context.Context, id string) error {
	inc, err := w.o.Store.Get(ctx, id)
	if err != nil {
		w.unbusy(id)
		return err
	}
	d := w.o.Enricher().Collect(ctx, inc, w.o.Now())
	if err := ctx.Err(); err != nil {
		w.unbusy(id)
		return err
	}
	inc.Dossier = &d
	d.Account = w.o.Tell(inc)
	if len(d.Missing) > 0 {
		w.metrics.lookups.WithLabelValues("partial").Inc()
	} else {
		w.metrics.lookups.WithLabelValues("complete").Inc()
	}
	if w.keep(id, d, inc.Total) {
		return nil // its words are looked for: see Words
	}
	return w.tellOnce(ctx, inc)
}

func (w *Worker) unbusy(id string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if e := w.known[id]; e != nil {
		e.busy = false
	}
}

// keep replaces the dossier of an incident with total alerts, and reports whether a model is to tell it. The words of
// a model for the same evidence stay.
func (w *Worker) keep(id string, d incident.Dossier, total int) (wordless bool) {
	byModel := w.o.TellByModel() != nil
	w.mu.Lock()
	defer w.mu.Unlock()
	e := w.known[id]
	if e == nil { // it ended meanwhile
		return false
	}
	if old := e.dossier; old.Account.Model != "" && reflect.DeepEqual(old.Evidence, d.Evidence) {
		d.Account = old.Account
	}
	e.dossier, e.total, e.saved, e.busy = d, total, false, false
	e.wordless = byModel && len(d.Account.Sentences) > 0 && d.Account.Model == ""
	return e.wordless
}

// tellOnce tells the tickets of an incident that were filed before anything was found.
func (w *Worker) tellOnce(ctx context.Context, inc incident.Incident) error {
	w.mu.Lock()
	e := w.known[inc.ID]
	if e == nil || e.told || len(inc.Trackers) == 0 || !news(e.dossier) {
		w.mu.Unlock()
		return nil
	}
	e.told, e.saved = true, false
	d := e.dossier
	w.mu.Unlock()
	return w.tell(ctx, inc, d)
}

// news reports whether d holds what a ticket does not say by itself: it links to what alerts name.
func news(d incident.Dossier) bool {
	return slices.ContainsFunc(d.Evidence, func(e incident.Evidence) bool {
		return e.Kind != incident.EvidenceLink && e.Text != namedByAlert
	})
}

// tell adds what was found to tickets that were filed without it.
func (w *Worker) tell(ctx context.Context, inc incident.Incident, d incident.Dossier) error {
	payload, err := json.Marshal(ticket.Update{Key: inc.ID + "-evidence", Comment: w.o.Comment(d)})
	if err != nil {
		return err
	}
	var c incident.Change
	for _, tracker := range inc.Trackers {
		c.Tasks = append(c.Tasks, incident.Task{IncidentID: inc.ID, Tracker: tracker, Key: inc.TicketKey(), Kind: incident.TaskUpdate, Payload: payload})
	}
	if err := w.o.Store.Apply(ctx, c); err != nil {
		w.untell(inc.ID)
		return err
	}
	w.o.Wrote()
	return nil
}

func (w *Worker) untell(id string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if e := w.known[id]; e != nil {
		e.told = false
	}
}

// save writes what the store does not know yet.
func (w *Worker) save(ctx context.Context) error {
	w.mu.Lock()
	unsaved := map[string]incident.Dossier{}
	for id, e := range w.known {
		if !e.saved && !e.dossier.At.IsZero() {
			e.dossier.Told, e.saved = e.told, true
			unsaved[id] = e.dossier
		}
	}
	w.mu.Unlock()
	var errs []error
	for id, d := range unsaved {
		if err := w.o.Store.PutDossier(ctx, id, d); err != nil {
			errs = append(errs, err)
			w.mu.Lock()
			if e := w.known[id]; e != nil {
				e.saved = false
			}
			w.mu.Unlock()
		}
	}
	return errors.Join(errs...)
}

// ForTicket returns what is known of an incident whose ticket is being written, nil when nothing
// is yet. The ticket then counts as told.
func (w *Worker) ForTicket(id string) *incident.Dossier {
	w.mu.Lock()
	defer w.mu.Unlock()
	e := w.known[id]
	if e == nil || e.dossier.At.IsZero() {
		return nil
	}
	if !e.told {
		e.told, e.saved = true, false
	}
	d := e.dossier
	return &d
}
