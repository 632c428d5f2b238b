package detect

import (
	"io"

	"github.com/portent-dev/portent/internal/ingest"
)

var _ ingest.Target = (*Engine)(nil)

// Engine runs one detector per series. It is safe for concurrent use.
type Engine struct{ now int64 }

// NewEngine makes an engine without series. An unknown detector or sensitivity is
// an error that lists the known ones.
func NewEngine(o Options) (*Engine, error) { return &Engine{}, nil }

// Appender starts a batch.
func (e *Engine) Appender() ingest.Appender { return &appender{e} }

// SetNow tells the time, Unix ms.
func (e *Engine) SetNow(ms int64) { e.now = ms }

// Expire drops the series that ended, and returns how many.
func (e *Engine) Expire(nowMs int64) int { return 0 }

// Stats returns the counts now.
func (e *Engine) Stats() Stats { return Stats{} }

// ForEach calls f with every series that has a current value, in a stable order,
// until f returns false. labels are valid during the call only. A shard is locked
// while its series are visited: f must be quick and must not call the engine.
func (e *Engine) ForEach(f func(labels []ingest.Label, o Output) bool) {}

// Snapshot writes the state of all series.
func (e *Engine) Snapshot(w io.Writer) error { return nil }

// Restore replaces the state of all series by what Snapshot wrote. On an error
// (ErrVersion, ErrCorrupt, or of r) the engine is unchanged.
func (e *Engine) Restore(r io.Reader) error { return nil }

type appender struct{ e *Engine }

func (a *appender) Append(labels []ingest.Label, kind ingest.Kind, samples []ingest.Sample) {}
func (a *appender) Commit() ingest.Result                                                  { return ingest.Result{} }
func (a *appender) Rollback()                                                              {}
