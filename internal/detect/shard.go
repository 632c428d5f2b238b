package detect

import (
	"encoding/binary"
	"math"
	"sync"
	"time"

	"github.com/cespare/xxhash/v2"

	"github.com/portent-dev/portent/internal/ingest"
)

// shardState holds the series whose hash falls to one shard.
type shardState struct {
	engine *Engine

	mu     sync.Mutex // guards everything below
	index  index
	series slab[series]
	slots  int // used so far; freed ones are in free
	free   []uint32
	sets   labelSets
	syms   symbols
	bank   Bank
	stats  Stats
	ids    []uint32       // scratch
	key    []byte         // scratch
	labels []ingest.Label // scratch
	out    Output         // scratch: on the stack it would be allocated for the interface call
}

// series is one series beside its detector's state: a cache line of 64 bytes.
type series struct {
	last     int64   // time of the newest sample, Unix ms
	raw      float64 // its value
	value    float64 // what was judged: raw, or the rate
	expected float64
	below    float32 // expected - lower
	above    float32 // upper - expected
	score    float32
	since    uint32 // Unix s at which the anomaly began, rounded up; 0 = none
	labelsAt uint32 // where the labels are kept, and how many
	labelsN  uint16
	class    uint16  // see Output.Class
	step     float32 // typical time between samples, ms; 0 = not known yet
	kind     ingest.Kind
	reason   Reason
	flags    flags
}

type flags uint8

const (
	live     flags = 1 << iota // the slot is in use
	sampled                    // last and raw are set
	ended                      // the newest sample was a stale marker
	based                      // raw can be the start of a rate
	shown                      // there is an output: value and what follows it
	ready                      // Output.Ready
	fleeting                   // the end of the series is no news
)

func (r *series) labels() labelRef { return labelRef{r.labelsAt, r.labelsN} }

// output returns what the series shows.
func (r *series) output() Output {
	if r.flags&shown == 0 {
		return Output{Class: r.class}
	}
	o := Output{T: r.last, Value: r.value, Score: float64(r.score), Since: int64(r.since) * 1000, Reason: r.reason, Class: r.class}
	o.Since = min(o.Since, o.T)
	if r.flags&ready != 0 {
		o.Ready, o.Expected = true, r.expected
		o.Lower, o.Upper = r.expected-float64(r.below), r.expected+float64(r.above)
		o.settle() // 32 bits may have moved a bound over the value
	}
	return o
}

// show keeps what the detector said of the newest sample.
func (r *series) show(o *Output) {
	r.flags = r.flags&^ready | shown
	if o.Ready {
		r.flags |= ready
	}
	r.value, r.expected, r.reason = o.Value, o.Expected, o.Reason
	r.below, r.above = float32(o.Expected-o.Lower), float32(o.Upper-o.Expected)
	r.since = uint32((o.Since + 999) / 1000)
	r.score = float32(o.Score)
	if o.Score > 1 {
		r.score = max(r.score, math.Nextafter32(1, 2))
	}
}

// hide forgets the output: what was said of an older sample is not news.
func (r *series) hide() {
	r.flags &^= shown | ready
	r.value, r.expected, r.below, r.above, r.score, r.since, r.reason = 0, 0, 0, 0, 0, 0, 0
}

func (s *shardState) open(e *Engine) {
	*s = shardState{engine: e, bank: e.row.Open(e.config())}
}

// hashOf spells the labels of a slot again, which only the loss of a series needs.
func (s *shardState) hashOf(slot int) uint64 {
	s.key = s.key[:0]
	for _, id := range s.sets.get(s.series.at(slot).labels()) {
		s.key = appendKey(s.key, s.syms.label(id))
	}
	return xxhash.Sum64(s.key)
}

// find returns the slot of the series with this key, or -1.
func (s *shardState) find(hash uint64, key []byte) int {
	return s.index.find(hash, func(slot int) bool {
		return s.matches(s.series.at(slot).labels(), key)
	})
}

// matches reports whether a label set is what key spells.
func (s *shardState) matches(ref labelRef, key []byte) bool {
	for _, id := range s.sets.get(ref) {
		p := &s.syms.pairs[id]
		n, m, rest := keyHead(key)
		if n != int(p.nameLen) || n+m != len(p.text) || string(rest[:n+m]) != p.text {
			return false
		}
		key = rest[n+m:]
	}
	return len(key) == 0
}

// A key spells a label set: for each label the lengths of name and value as four
// bytes each, then both. It is what is hashed and compared.
func appendKey(key []byte, labels ...ingest.Label) []byte {
	for _, l := range labels {
		key = binary.LittleEndian.AppendUint32(key, uint32(len(l.Name)))
		key = binary.LittleEndian.AppendUint32(key, uint32(len(l.Value)))
		key = append(append(key, l.Name...), l.Value...)
	}
	return key
}

// keyHead returns the lengths of the first name and value, and what follows them.
// A key that has ended gives lengths that fit no label.
func keyHead(key []byte) (name, value int, rest []byte) {
	if len(key) < 8 {
		return -1, -1, nil
	}
	return int(binary.LittleEndian.Uint32(key)), int(binary.LittleEndian.Uint32(key[4:])), key[8:]
}

// add makes the series that key spells. There must be room for it.
func (s *shardState) add(hash uint64, key []byte, kind ingest.Kind) int {
	s.ids = s.ids[:0]
	for len(key) > 0 {
		n, m, rest := keyHead(key)
		s.ids = append(s.ids, s.syms.acquire(bytesAsString(rest[:n]), bytesAsString(rest[n:n+m])))
		key = rest[n+m:]
	}
	slot := s.slots
	if n := len(s.free); n > 0 {
		slot, s.free = int(s.free[n-1]), s.free[:n-1]
	} else {
		s.slots++
		s.series.grow(slot)
	}
	ref := s.sets.add(s.ids)
	r := s.series.at(slot)
	*r = series{labelsAt: ref.at, labelsN: ref.n, kind: kind, flags: live}
	s.classify(r)
	s.bank.Reset(slot)
	s.index.add(hash, slot)
	return slot
}

// classify finds the class of a new series, and whether its end is news.
func (s *shardState) classify(r *series) {
	s.labels = s.labels[:0]
	for _, id := range s.sets.get(r.labels()) {
		s.labels = append(s.labels, s.syms.label(id))
	}
	o := &s.engine.opts
	ends := EndsByLabels
	if o.Classify != nil {
		if c := o.Classify(s.labels); c >= 0 && c < len(o.Classes) {
			r.class = uint16(c + 1)
			ends = o.Classes[c].Ends
			if r.kind == ingest.KindUnknown {
				r.kind = o.Classes[c].Kind
			}
		}
	}
	if ends == EndsUnseen || ends != EndsSeen && comesAndGoes(s.labels) {
		r.flags |= fleeting
	}
}

// drop forgets the series in slot.
func (s *shardState) drop(slot int) {
	r := s.series.at(slot)
	s.index.remove(s.hashOf(slot), slot)
	for _, id := range s.sets.get(r.labels()) {
		s.syms.release(id)
	}
	s.sets.remove(r.labels())
	*r = series{}
	s.free = append(s.free, uint32(slot))
	s.engine.series.Add(-1)
}

func (s *shardState) expire(nowMs int64) int {
	o := &s.engine.opts
	s.mu.Lock()
	defer s.mu.Unlock()
	dropped := 0
	for slot := range s.slots {
		r := s.series.at(slot)
		if r.flags&live == 0 {
			continue
		}
		if nowMs-r.last > o.ExpireAfter.Milliseconds() || r.last-nowMs > o.FutureTolerance.Milliseconds() {
			s.drop(slot)
			dropped++
		}
	}
	s.stats.SeriesExpired += uint64(dropped)
	return dropped
}

// current reports whether r has a value at now (Unix ms, 0 = time is not looked at).
// A series that is sampled rarely stays current for as long as it takes to know
// that it missed two samples.
func (s *shardState) current(r *series, now int64) bool {
	if r.flags&(live|ended|shown) != live|shown {
		return false
	}
	if now == 0 {
		return true
	}
	o := &s.engine.opts
	step, delay := float64(r.step), time.Duration(0)
	if r.class > 0 {
		c := &o.Classes[r.class-1]
		delay = c.Delay
		if step == 0 {
			step = float64(c.Interval.Milliseconds())
		}
	}
	after := max(o.StaleAfter.Milliseconds(), int64(2.5*step)) + delay.Milliseconds()
	return now-r.last <= after
}

// sourceMs is how far the newest sample of all may lie behind the time for samples
// that are missing to be missed: past that, it is the source that is late.
const sourceMs = 60 * 1000

// visible returns what the series shows at now, and false if that is nothing: it may
// have ended, or begun only. That a series is missing is shown instead of what its
// newest sample was, as long as that is news. A series without end marker is missed
// against the newest sample of all: when nothing comes, nothing has ended.
func (s *shardState) visible(slot int, r *series, now int64) (Output, bool) {
	if now != 0 && r.flags&(live|shown|fleeting) == live|shown && now-r.last > int64(r.step) {
		at := now
		if r.flags&ended == 0 {
			at = min(now, s.engine.newest.Load())
		}
		if now-at <= sourceMs && at > r.last {
			if o, missing := s.bank.Miss(slot, at, r.output()); missing {
				return o, true
			}
		}
	}
	if !s.current(r, now) {
		return Output{}, false
	}
	return r.output(), true
}

// look fills v with the next series from slot on that are current, and returns the
// slot to go on with, or -1 after the last.
func (s *shardState) look(v *view, slot int, now int64) int {
	v.reset()
	s.mu.Lock()
	defer s.mu.Unlock()
	for ; slot < s.slots && len(v.outputs) < viewLen; slot++ {
		r := s.series.at(slot)
		o, ok := s.visible(slot, r, now)
		if !ok {
			continue
		}
		for _, id := range s.sets.get(r.labels()) {
			v.labels = append(v.labels, s.syms.label(id))
		}
		v.ends = append(v.ends, len(v.labels))
		v.outputs = append(v.outputs, o)
	}
	if slot >= s.slots {
		return -1
	}
	return slot
}

func (s *shardState) addStats(sum *Stats, now int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for slot := range s.slots {
		r := s.series.at(slot)
		if r.flags&live == 0 {
			continue
		}
		sum.Series++
		if o, ok := s.visible(slot, r, now); ok && o.Ready {
			sum.Ready++
			if o.Score > 1 {
				sum.Anomalous++
			}
		}
	}
	sum.Bytes += s.series.bytes() + s.bank.MemoryBytes() + s.sets.bytes() + s.syms.bytes() + s.index.bytes() +
		int64(cap(s.free))*4
	t := &s.stats
	sum.SeriesAdded += t.SeriesAdded
	sum.SeriesStale += t.SeriesStale
	sum.SeriesExpired += t.SeriesExpired
	sum.SeriesRefused += t.SeriesRefused
	sum.Accepted += t.Accepted
	sum.Duplicate += t.Duplicate
	sum.OutOfOrder += t.OutOfOrder
	sum.TooFarAhead += t.TooFarAhead
	sum.Dropped += t.Dropped
	sum.NotFinite += t.NotFinite
	sum.CounterResets += t.CounterResets
}

// latestMs is in the year 2106: what lies beyond is no time, whatever the
// clock says, and differences of times stay far from overflow.
const latestMs = math.MaxUint32 * 1000

// take gives one sample to the series in slot and counts what became of it.
func (s *shardState) take(slot int, x ingest.Sample, now int64, res *ingest.Result) {
	r := s.series.at(slot)
	ahead := s.engine.opts.FutureTolerance.Milliseconds()
	switch {
	case x.T <= 0:
		res.OutOfOrder++
		return
	case x.T > latestMs || now != 0 && x.T-now > ahead:
		res.TooFarAhead++
		return
	case r.flags&sampled == 0:
	case x.T == r.last && math.Float64bits(x.V) == math.Float64bits(r.raw):
		res.Duplicate++
		return
	case x.T <= r.last && now != 0 && r.last-now > ahead:
		// The series was led into a future that is no more, by a clock that was
		// wrong. Waiting for it to come would silence the series: it starts anew.
		s.bank.Reset(slot)
		r.flags, r.step = r.flags&(live|fleeting), 0
		r.hide()
	case x.T <= r.last:
		res.OutOfOrder++
		return
	}
	res.Accepted++
	s.observe(slot, r, x)
}

// observe gives a sample that is in order to the detector.
func (s *shardState) observe(slot int, r *series, x ingest.Sample) {
	if ingest.IsStale(x.V) {
		if r.flags&ended == 0 {
			s.stats.SeriesStale++
		}
		r.flags = r.flags&^based | sampled | ended
		r.last, r.raw = x.T, x.V
		return
	}
	v, judged := x.V, true
	if r.kind == ingest.KindCounter {
		v, judged = s.rate(r, x)
	}
	if r.flags&sampled != 0 && r.flags&ended == 0 {
		r.learnStep(x.T - r.last)
	}
	s.out = r.output()
	s.out.T = 0
	if r.flags&sampled != 0 {
		s.out.T = r.last // of a marker or a first count, too: later samples come after it
	}
	r.flags = r.flags&^ended | sampled
	r.last, r.raw = x.T, x.V
	if !judged {
		r.hide()
		return
	}
	if math.IsNaN(v) || math.IsInf(v, 0) {
		s.stats.NotFinite++
	}
	s.bank.Observe(slot, x.T, v, &s.out)
	r.show(&s.out)
}

// learnStep follows the typical time between samples: quickly down, slowly up, so
// that gaps hardly count and a changed interval is known after some ten samples.
func (r *series) learnStep(dt int64) {
	d := float32(dt)
	if r.step == 0 {
		r.step = d
		return
	}
	r.step += max(-r.step/2, min(r.step/8, d-r.step))
}
