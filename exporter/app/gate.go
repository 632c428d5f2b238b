package app

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/portent-dev/portent/internal/detect"
	"github.com/portent-dev/portent/internal/ingest"
)

// maxHeldBytes bounds what is held while the history is read in: 100,000 samples a second for a minute, or a thousand for
// more than an hour. Beyond it senders are told to come again, which Prometheus does.
const maxHeldBytes = 128 << 20

// What a held sample and a held series cost, for the bound.
const (
	heldSampleBytes = 24
	heldSeriesBytes = 200
)

// idleTimeout is how long an exchange of the engine waits for batches that are open. A batch is open for the milliseconds
// that a request takes to decode.
const idleTimeout = 10 * time.Second

// gate stands before the engine. While the history is read in, or the engine exchanged, it holds what comes in, and hands it
// on afterwards: a series takes its samples in the order of time only, so that a live sample that went ahead would shut the
// history out. No call waits for another batch to end, since a source may have two batches open at a time.
type gate struct {
	engine    atomic.Pointer[detect.Engine]
	bytes     atomic.Int64 // about what is held
	mostBytes int64
	learnt    atomic.Int64 // Unix ms up to which the history was read; 0 if it was not

	mu    sync.Mutex
	holds int // reasons to hold: the history, an exchange
	held  *held
	open  int           // batches of the engine that have not ended
	idle  chan struct{} // closed when open falls to 0; nil if nobody waits

	history sync.Mutex // held for each batch of the history, and while the engine is exchanged
}

// held is what came in meanwhile, by series: order matters within a series only.
type held struct {
	series map[string]*heldSeries
	order  []*heldSeries // as they came, so that a full engine keeps the same ones in each run
}

type heldSeries struct {
	labels  []ingest.Label
	kind    ingest.Kind
	samples []ingest.Sample
}

var _ ingest.Target = (*gate)(nil)

func newGate(e *detect.Engine) *gate {
	g := &gate{held: newHeld(), mostBytes: maxHeldBytes}
	g.engine.Store(e)
	return g
}

func newHeld() *held { return &held{series: map[string]*heldSeries{}} }

// full reports whether the bound of what may be held is reached.
func (g *gate) full() bool { return g.bytes.Load() >= g.mostBytes }

// hold makes the gate keep what comes in until release is called as often as hold.
func (g *gate) hold() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.holds++
}

// release hands on what was held, and lets what comes in pass from then on.
func (g *gate) release() {
	for {
		g.mu.Lock()
		last := g.holds == 1
		h := g.held
		// Whoever comes while much is handed on is held again, so that nobody waits long; the small rest is handed on with the
		// gate closed.
		if !last || len(h.order) <= releaseBatch {
			if last {
				g.pass(h.order)
				g.held = newHeld()
				g.bytes.Store(0)
			}
			g.holds--
			g.mu.Unlock()
			return
		}
		g.held = newHeld()
		g.bytes.Store(0)
		g.open++ // an exchange waits for it
		g.mu.Unlock()
		g.pass(h.order)
		g.ended()
	}
}

// releaseBatch is how many held series are handed on at a time: some milliseconds.
const releaseBatch = 1000

func (g *gate) pass(series []*heldSeries) {
	for part := range slices.Chunk(series, releaseBatch) {
		app := g.engine.Load().Appender()
		for _, s := range part {
			app.Append(s.labels, s.kind, s.samples)
		}
		app.Commit() // the engine counts what became of them
	}
}

// exchange replaces the engine by what makeNew returns; nothing comes in between. After an error the old one stays.
func (g *gate) exchange(makeNew func(old *detect.Engine) (*detect.Engine, error)) error {
	g.hold()
	defer g.release()
	g.history.Lock()
	defer g.history.Unlock()
	if err := g.wait(idleTimeout); err != nil {
		return err
	}
	e, err := makeNew(g.engine.Load())
	if err != nil {
		return err
	}
	g.engine.Store(e)
	return nil
}

// wait waits until no batch of the engine is open.
func (g *gate) wait(timeout time.Duration) error {
	g.mu.Lock()
	if g.open == 0 {
		g.mu.Unlock()
		return nil
	}
	if g.idle == nil {
		g.idle = make(chan struct{})
	}
	idle := g.idle
	g.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	select {
	case <-idle:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("samples were still being taken in after %s", timeout)
	}
}

// Appender starts a batch, held or of the engine.
func (g *gate) Appender() ingest.Appender {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.holds > 0 {
		return &holdingAppender{gate: g}
	}
	g.open++
	return &passingAppender{gate: g, Appender: g.engine.Load().Appender(), learnt: g.learnt.Load()}
}

// direct is the way past what is held, for the history: one batch at a time.
type direct struct{ gate *gate }

func (d direct) Appender() ingest.Appender {
	d.gate.history.Lock()
	return &directAppender{gate: d.gate, Appender: d.gate.engine.Load().Appender()}
}

type directAppender struct {
	ingest.Appender
	gate *gate
}

func (a *directAppender) Commit() ingest.Result {
	defer a.gate.history.Unlock()
	return a.Appender.Commit()
}

func (a *directAppender) Rollback() {
	defer a.gate.history.Unlock()
	a.Appender.Rollback()
}

// passingAppender is the engine's, and keeps it from being exchanged until it ends.
//
// After a backfill Prometheus still sends what it kept for the exporter while that was away, and the models have it from the
// history already. Such samples are no fault of the sender: they count as duplicates, not as out of order, which would be
// answered with 400 and end up as errors in Prometheus's log.
type passingAppender struct {
	ingest.Appender
	gate   *gate
	learnt int64 // as gate.learnt
	known  int   // samples of the time that was learnt from the history
}

func (a *passingAppender) Append(labels []ingest.Label, kind ingest.Kind, samples []ingest.Sample) {
	if a.learnt != 0 {
		for i := range samples {
			if samples[i].T <= a.learnt {
				a.known++
			}
		}
	}
	a.Appender.Append(labels, kind, samples)
}

func (a *passingAppender) Commit() ingest.Result {
	defer a.gate.ended()
	r := a.Appender.Commit()
	n := min(a.known, r.OutOfOrder)
	r.OutOfOrder -= n
	r.Duplicate += n
	return r
}

func (a *passingAppender) Rollback() {
	defer a.gate.ended()
	a.Appender.Rollback()
}

func (g *gate) ended() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.open--; g.open == 0 && g.idle != nil {
		close(g.idle)
		g.idle = nil
	}
}

// holdingAppender copies a batch and keeps it at Commit. What is held counts as accepted: whether a sample is in order is
// known only when it is handed on.
type holdingAppender struct {
	gate  *gate
	batch []*heldSeries
	res   ingest.Result
}

func (a *holdingAppender) Append(labels []ingest.Label, kind ingest.Kind, samples []ingest.Sample) {
	// Sources that pull have no sender to send away: what finds no room is lost, and counted as such.
	if a.gate.full() {
		a.res.Dropped += len(samples)
		return
	}
	a.res.Accepted += len(samples)
	a.batch = append(a.batch, &heldSeries{cloneLabels(labels), kind, slices.Clone(samples)})
}

func (a *holdingAppender) Commit() ingest.Result {
	g := a.gate
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.holds == 0 { // released while this batch was open
		g.pass(a.batch)
		return a.res
	}
	g.bytes.Add(g.held.add(a.batch))
	return a.res
}

func (a *holdingAppender) Rollback() {}

// add keeps a batch and returns about how many bytes that takes.
func (h *held) add(batch []*heldSeries) (bytes int64) {
	var key []byte
	for _, s := range batch {
		key = appendIdentity(key[:0], s.labels)
		bytes += int64(heldSampleBytes * len(s.samples))
		old, ok := h.series[string(key)]
		if !ok {
			h.series[string(key)] = s
			h.order = append(h.order, s)
			bytes += int64(heldSeriesBytes + 2*len(key))
			continue
		}
		if s.kind != ingest.KindUnknown {
			old.kind = s.kind
		}
		old.samples = append(old.samples, s.samples...)
	}
	return bytes
}

func cloneLabels(labels []ingest.Label) []ingest.Label {
	out := make([]ingest.Label, len(labels))
	for i, l := range labels {
		out[i] = ingest.Label{Name: strings.Clone(l.Name), Value: strings.Clone(l.Value)}
	}
	return out
}
