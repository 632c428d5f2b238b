// Package replay says what would have fired: it replays the past through the engine
// of package detect, sample time by sample time, as the exporter would have seen it, with
// what is allowed to whom and with groups (package verdict), and keeps of each series
// what a table and a chart need, in bounded memory.
//
// It is pure: no clock, no network, no file. It must not know where the past was read.
package replay

import (
	"math"
	"slices"
	"strings"

	"github.com/portent-dev/portent/internal/allowance"
	"github.com/portent-dev/portent/internal/detect"
	"github.com/portent-dev/portent/internal/detect/group"
	"github.com/portent-dev/portent/internal/ingest"
	"github.com/portent-dev/portent/internal/verdict"
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
	// Book says what is allowed to whom; nil = nothing to anybody. Rollouts are learnt from
	// Page.Rollouts.
	Book *allowance.Book
	// Groups judge series by one another; nil = there are none. It has seen nothing yet.
	Groups *group.Watch
	// GroupsEveryMs is how often they are looked at, in the time of the data.
	GroupsEveryMs int64
	// MaxGroups bounds the groups that are reported.
	MaxGroups int
}

// Page is a stretch of the past: all series of it, and those that tell of rollouts.
type Page struct{ Series, Rollouts []Series }

// Run runs the past through an engine. Make it with New. It is not safe for concurrent use. It takes
// the engine's memory and a Recorder for each series, of which Options.Detect.MaxSeries
// bounds the number.
type Run struct {
	opts     Options
	engine   *detect.Engine
	recorded map[string]*recorded
	order    []*recorded // as they came
	groups   int         // of these
	ticked   int64       // when groups were looked at
	expired  int64
	samples  int
	heldBack int
	from, to int64
}

type recorded struct {
	labels []ingest.Label
	unit   string
	*Recorder

	// Of a group: what was said at each score that was the highest so far since it rose
	// above Threshold, by time.
	group bool
	most  float64
	told  map[int64]string
}

// mostTold bounds recorded.told: a firing has a few new peaks.
const mostTold = 10 * mostFirings

// New makes a run without a past. A bad option is an error that says what is allowed.
func New(o Options) (*Run, error) {
	e, err := detect.NewEngine(o.Detect)
	if err != nil {
		return nil, err
	}
	return &Run{opts: o, engine: e, recorded: map[string]*recorded{}}, nil
}

// expireEveryMs is how often the engine forgets what ended, in the time of the data.
const expireEveryMs = 10 * 60_000

// Take replays a page of the past. The next page must be later.
func (r *Run) Take(p Page) {
	page, next, rolled := p.Series, make([]int, len(p.Series)), make([]int, len(p.Rollouts))
	for {
		t, ok := earliest(page, next)
		if !ok {
			return
		}
		r.engine.SetNow(t)
		r.roll(p.Rollouts, rolled, t)
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
		view := verdict.View{Groups: r.opts.Groups}
		if r.opts.Book != nil {
			view.Judge = r.opts.Book.At(t)
		}
		r.tick(t, view)
		r.look(t, view)
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

// roll gives the book what tells of rollouts up to t.
func (r *Run) roll(page []Series, next []int, t int64) {
	if r.opts.Book == nil {
		return
	}
	for i := range page {
		s := page[i].Samples
		for ; next[i] < len(s) && s[next[i]].T <= t; next[i]++ {
			r.opts.Book.See(page[i].Labels, s[next[i]].T, s[next[i]].V)
		}
	}
}

// tick looks at the groups, and records what they show.
func (r *Run) tick(t int64, view verdict.View) {
	w := r.opts.Groups
	if w == nil || r.ticked != 0 && t-r.ticked < r.opts.GroupsEveryMs {
		return
	}
	r.ticked = t
	w.Tick(t, func(f func([]ingest.Label, detect.Output) bool) {
		r.engine.ForEach(func(labels []ingest.Label, o detect.Output) bool { return f(labels, view.Allow(labels, o).Out) })
	})
	w.Results(func(g group.Result) bool {
		if g.Ready {
			r.group(t, &g)
		}
		return true
	})
	for _, rec := range r.order { // a score that is no longer published ends what it fired
		if rec.group && rec.last < t && rec.now != nil {
			rec.Add(detect.Output{T: t, Value: math.NaN()})
		}
	}
}

// groupScoreName is what the exporter publishes the score of a group as.
const groupScoreName = "anomaly_group_score"

func (r *Run) group(t int64, g *group.Result) {
	parts := []string{"\xfe" + g.Group} // no label begins so
	for _, l := range g.Labels {
		parts = append(parts, l.Name, l.Value)
	}
	key := strings.Join(parts, "\xff")
	rec := r.recorded[key]
	if rec == nil {
		if r.groups >= r.opts.MaxGroups {
			return
		}
		r.groups++
		labels := []ingest.Label{{Name: ingest.MetricName, Value: groupScoreName}, {Name: "group", Value: g.Group}}
		for _, l := range g.Labels {
			if l.Name == ingest.MetricName {
				l.Name = "metric"
			}
			labels = append(labels, l)
		}
		rec = &recorded{labels: labels, Recorder: NewRecorder(r.opts.HoldMs), group: true, told: map[int64]string{}}
		r.recorded[key] = rec
		r.order = append(r.order, rec)
	}
	switch {
	case g.Score <= calm:
		rec.most = 0
	case g.Score > Threshold && g.Score > rec.most && len(rec.told) < mostTold:
		rec.most = g.Score
		rec.told[t] = verdict.Sentence(g, func(labels []ingest.Label) string { return detect.Output{}.Finding(labels, "").Subject() })
	}
	rec.Add(detect.Output{T: t, Value: g.Score, Score: g.Score, Upper: Threshold, Ready: true, Since: g.Since})
}

// look records what is shown of the series that have a sample at t.
func (r *Run) look(t int64, view verdict.View) {
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
			rec = &recorded{labels: slices.Clone(labels), unit: r.engine.Class(o).Unit, Recorder: NewRecorder(r.opts.HoldMs)}
			for i, l := range rec.labels {
				rec.labels[i] = ingest.Label{Name: strings.Clone(l.Name), Value: strings.Clone(l.Value)}
			}
			r.recorded[string(key)] = rec
			r.order = append(r.order, rec)
		}
		shown := view.Show(labels, o).Out
		if o.Score > Threshold && shown.Score <= Threshold {
			r.heldBack++
		}
		rec.Add(shown)
		return true
	})
}
