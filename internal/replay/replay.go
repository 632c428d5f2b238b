// Package replay says what would have fired: it replays the past through the engine
// of package detect, sample time by sample time, as the exporter would have seen it, and
// keeps of each series what a table and a chart need, in bounded memory.
//
// It is pure: no clock, no network, no file. It must not know where the past was read.
package replay

import (
	"slices"
	"strings"

	"github.com/portent-dev/portent/internal/detect"
	"github.com/portent-dev/portent/internal/ingest"
)

// Series is a stretch of one series. Labels are sorted by name, times ascend.
type Series struct {
	Labels  []ingest.Label
	Kind    ingest.Kind // KindUnknown: as its name says
	Samples []ingest.Sample
}

// Options says how to replay. Detect is that of the exporter.
type Options struct {
	Detect detect.Options
	HoldMs int64 // how long a score must stay above Threshold, as `for` of a rule
	// Routine holds back what a series has done at this time before, as the exporter does.
	Routine bool
}

// Run runs the past through an engine. Make it with New. It is not safe for concurrent use. It takes
// the engine's memory and a Recorder for each series, of which Options.Detect.MaxSeries
// bounds the number.
type Run struct {
	opts     Options
	engine   *detect.Engine
	routine  *Routine // nil without
	recorded map[string]*recorded
	order    []*recorded // as they came
	expired  int64
	samples  int
	from, to int64
}

type recorded struct {
	labels []ingest.Label
	*Recorder
}

// New makes a run without a past. A bad option is an error that says what is allowed.
func New(o Options) (*Run, error) {
	e, err := detect.NewEngine(o.Detect)
	if err != nil {
		return nil, err
	}
	r := &Run{opts: o, engine: e, recorded: map[string]*recorded{}}
	if o.Routine {
		r.routine = NewRoutine(o.Detect.Location)
	}
	return r, nil
}

// expireEveryMs is how often the engine forgets what ended, in the time of the data.
const expireEveryMs = 10 * 60_000

// Take replays a page of the past: all series of a stretch of time. The next page must be later.
func (r *Run) Take(page []Series) {
	next := make([]int, len(page))
	for {
		t, ok := earliest(page, next)
		if !ok {
			return
		}
		r.engine.SetNow(t)
		if t-r.expired >= expireEveryMs {
			r.engine.Expire(t)
			r.expired = t
		}
		app := r.engine.Appender()
		for i := range page {
			s := page[i].Samples
			if k := next[i]; k < len(s) && s[k].T == t {
				app.Append(page[i].Labels, page[i].Kind, s[k:k+1])
				next[i]++
				r.samples++
			}
		}
		app.Commit() // what has no room is counted by the engine: Report tells it
		if r.from == 0 {
			r.from = t
		}
		r.to = t
		r.look(t)
	}
}

func earliest(page []Series, next []int) (t int64, ok bool) {
	for i := range page {
		if k := next[i]; k < len(page[i].Samples) && (!ok || page[i].Samples[k].T < t) {
			t, ok = page[i].Samples[k].T, true
		}
	}
	return t, ok
}

// look records what is known of the series that have a sample at t.
func (r *Run) look(t int64) {
	var key []byte
	r.engine.ForEach(func(labels []ingest.Label, o detect.Output) bool {
		if o.T != t {
			return true
		}
		key = key[:0]
		for _, l := range labels {
			key = append(append(append(append(key, l.Name...), 0xff), l.Value...), 0xff)
		}
		rec, ok := r.recorded[string(key)]
		if !ok {
			rec = &recorded{slices.Clone(labels), NewRecorder(r.opts.HoldMs)}
			for i, l := range rec.labels {
				rec.labels[i] = ingest.Label{Name: strings.Clone(l.Name), Value: strings.Clone(l.Value)}
			}
			r.recorded[string(key)] = rec
			r.order = append(r.order, rec)
		}
		if r.routine != nil {
			o = r.routine.Show(labels, o)
		}
		rec.Add(o)
		return true
	})
}
