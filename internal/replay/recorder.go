package replay

import (
	"math"

	"github.com/portent-dev/portent/internal/detect"
)

// Threshold is the score above which a series fires, and calm the score below which it
// must fall to end that: the rule SeriesAnomalous that comes with Portent has the same.
const (
	Threshold = 1
	calm      = 0.8
)

// Bounds of what is kept of one series.
const (
	// mostBuckets is how many points a chart has at most. When there are more, neighbours are
	// joined, so that a chart has at least half as many. No screen shows more.
	mostBuckets = 1200
	// mostFirings is how many firings of one series are kept; the rest is counted.
	mostFirings = 200
)

// Firing is a time in which a series was anomalous.
type Firing struct {
	Start int64 // Unix ms at which the score rose above Threshold
	End   int64 // and fell below calm, or the last sample if it had not
	Open  bool  // it had not
	// Peak is what was known at the highest score.
	Peak detect.Output
}

// Recorder keeps what one series showed. The zero value is not useful: make it with
// NewRecorder. It takes some 70 kB at most. It is not safe for concurrent use.
type Recorder struct {
	holdMs  int64
	buckets []bucket
	width   int64 // of a bucket, ms; doubled whenever there are too many
	origin  int64 // start of the first

	samples int
	peak    float64
	last    int64
	firings []Firing
	total   int // firings, those not kept included
	now     *Firing
	told    bool // now has lasted for holdMs and is counted
}

// bucket is what a chart shows of a stretch of time.
type bucket struct {
	t                 int64 // of its first sample
	least, most, last float64
	lower, upper      float64
	score             float64 // the highest
	banded            bool
}

// NewRecorder makes a recorder whose firings last at least holdMs (the `for` of a rule).
func NewRecorder(holdMs int64) *Recorder { return &Recorder{holdMs: holdMs, width: 1} }

// Add takes what is known after one more sample. Times must ascend.
func (r *Recorder) Add(o detect.Output) {
	if r.samples == 0 {
		r.origin = o.T
	}
	r.samples++
	r.last = o.T
	r.peak = max(r.peak, o.Score)
	r.chart(o)
	r.fire(o)
}

func (r *Recorder) chart(o detect.Output) {
	at := (o.T - r.origin) / r.width
	n := len(r.buckets)
	if n == 0 || (r.buckets[n-1].t-r.origin)/r.width != at {
		if n == mostBuckets {
			r.halve()
			r.chart(o)
			return
		}
		r.buckets = append(r.buckets, bucket{t: o.T, least: math.Inf(1), most: math.Inf(-1), last: math.NaN()})
		n++
	}
	b := &r.buckets[n-1]
	b.score = max(b.score, o.Score)
	if finite(o.Value) {
		v := drawn(o.Value)
		b.least, b.most, b.last = min(b.least, v), max(b.most, v), v
	}
	if o.Ready {
		b.lower, b.upper, b.banded = drawn(o.Lower), drawn(o.Upper), true
	}
}

// drawn keeps differences of values finite.
func drawn(v float64) float64 { return max(-1e300, min(1e300, v)) }

// halve joins neighbouring buckets until there is room for as many again.
func (r *Recorder) halve() {
	for len(r.buckets) > mostBuckets/2 {
		r.width *= 2
		out := r.buckets[:0]
		for _, b := range r.buckets {
			if n := len(out); n > 0 && (out[n-1].t-r.origin)/r.width == (b.t-r.origin)/r.width {
				out[n-1].join(b)
				continue
			}
			out = append(out, b)
		}
		r.buckets = out
	}
}

func (b *bucket) join(next bucket) {
	b.least, b.most, b.score = min(b.least, next.least), max(b.most, next.most), max(b.score, next.score)
	if finite(next.last) {
		b.last = next.last
	}
	if next.banded {
		b.lower, b.upper, b.banded = next.lower, next.upper, true
	}
}

func (r *Recorder) fire(o detect.Output) {
	switch {
	case r.now == nil && o.Score > Threshold:
		r.now, r.told = &Firing{Start: o.T, Peak: o}, false
	case r.now == nil:
		return
	case o.Score > r.now.Peak.Score:
		r.now.Peak = o
	}
	r.now.End = o.T
	lasted := o.T-r.now.Start >= r.holdMs
	switch {
	case !r.told && o.Score <= Threshold: // a rule's `for` begins anew
		r.now = nil
	case !r.told && lasted:
		r.told = true
		r.total++
	case r.told && o.Score <= calm:
		r.close()
	}
}

// close ends the firing that goes on.
func (r *Recorder) close() {
	if len(r.firings) < mostFirings {
		r.firings = append(r.firings, *r.now)
	}
	r.now = nil
}

// Firings returns what fired, in order of time, and how many there were: above mostFirings
// only the first are kept.
func (r *Recorder) Firings() (kept []Firing, total int) {
	kept = r.firings[:len(r.firings):len(r.firings)]
	if r.now != nil && r.told && len(kept) < mostFirings {
		f := *r.now
		f.Open = true
		kept = append(kept, f)
	}
	return kept, r.total
}

// Peak returns the highest score.
func (r *Recorder) Peak() float64 { return r.peak }

// Samples returns how many samples were taken.
func (r *Recorder) Samples() int { return r.samples }

func finite(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }
