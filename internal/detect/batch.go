package detect

import (
	"unsafe"

	"github.com/cespare/xxhash/v2"

	"github.com/portent-dev/portent/internal/ingest"
)

// Appender starts a batch. Until Commit nothing of it is visible.
func (e *Engine) Appender() ingest.Appender {
	b, ok := e.batches.Get().(*batch)
	if !ok {
		b = &batch{engine: e, heads: make([]int32, len(e.shards))}
	}
	b.reset()
	return b
}

// batch copies what it is given, since labels and samples are dead after each call,
// and hands it over shard by shard at the end.
type batch struct {
	engine  *Engine
	keys    []byte // label sets of all entries, as appendKey writes them
	samples []ingest.Sample
	entries []batchEntry
	heads   []int32 // per shard: its first entry, or -1; set by Commit
	res     ingest.Result
}

// batchEntry is one call of Append.
type batchEntry struct {
	hash    uint64
	key     span
	samples span
	next    int32 // the next entry of the same shard, or -1; set by Commit
	kind    ingest.Kind
}

type span struct{ from, to uint32 }

// What a batch may keep for the next one: more than a usual request of 2,000
// samples needs, less than what a malicious one would leave behind for good.
const (
	keepKeyBytes = 4 << 20
	keepSamples  = 64 << 10
)

func (b *batch) reset() {
	b.keys, b.samples, b.entries, b.res = b.keys[:0], b.samples[:0], b.entries[:0], ingest.Result{}
	for i := range b.heads {
		b.heads[i] = -1
	}
}

func (b *batch) Append(labels []ingest.Label, kind ingest.Kind, samples []ingest.Sample) {
	if len(samples) == 0 {
		return
	}
	from := len(b.keys)
	if len(labels) > maxLabels || from > maxBatchBytes || len(b.samples)+len(samples) > maxBatchBytes/24 {
		b.res.Dropped += len(samples) // of no shard: counted by the engine itself
		return
	}
	b.keys = appendKey(b.keys, labels...)
	b.samples = append(b.samples, samples...)
	hash := xxhash.Sum64(b.keys[from:])
	b.entries = append(b.entries, batchEntry{
		hash: hash, kind: kind,
		key:     span{uint32(from), uint32(len(b.keys))},
		samples: span{uint32(len(b.samples) - len(samples)), uint32(len(b.samples))},
	})
}

// maxBatchBytes bounds one batch far above any request that a receiver lets in, and
// keeps the 32-bit spans from overflowing.
const maxBatchBytes = 1 << 30

// Commit gives the batch to the engine. Series of one shard are taken in the order
// of Append, under one hold of the shard's lock.
func (b *batch) Commit() ingest.Result {
	e := b.engine
	// Linked back to front, so that each list runs front to back.
	for i := len(b.entries) - 1; i >= 0; i-- {
		x := &b.entries[i]
		sh := e.shard(x.hash)
		x.next, b.heads[sh] = b.heads[sh], int32(i)
	}
	now := e.now.Load()
	e.unplaced.Add(uint64(b.res.Dropped))
	for sh, first := range b.heads {
		if first >= 0 {
			e.shards[sh].commit(b, first, now)
		}
	}
	res := b.res
	b.put()
	return res
}

// Rollback forgets the batch.
func (b *batch) Rollback() { b.put() }

// put returns the batch to the pool, unless it grew far beyond the usual.
func (b *batch) put() {
	if cap(b.keys) <= keepKeyBytes && cap(b.samples) <= keepSamples {
		b.engine.batches.Put(b)
	}
}

func (s *shardState) commit(b *batch, first int32, now int64) {
	var res ingest.Result
	newest := int64(0)
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := first; i >= 0; i = b.entries[i].next {
		x := &b.entries[i]
		samples := b.samples[x.samples.from:x.samples.to]
		if onlyEnds(samples) && s.find(x.hash, b.keys[x.key.from:x.key.to]) < 0 {
			res.Accepted += len(samples) // the end of a series that nobody knows: nothing to keep
			continue
		}
		slot := s.place(x, b.keys[x.key.from:x.key.to])
		if slot < 0 {
			res.Dropped += len(samples)
			continue
		}
		for _, sample := range samples {
			s.take(slot, sample, now, &res)
		}
		newest = max(newest, s.series.at(slot).last)
	}
	s.engine.advance(newest)
	s.count(res)
	b.res.Add(res)
}

// onlyEnds reports whether all samples are stale markers.
func onlyEnds(samples []ingest.Sample) bool {
	for _, x := range samples {
		if !ingest.IsStale(x.V) {
			return false
		}
	}
	return true
}

// place returns the slot of the entry's series, made if it is new, or -1 when there
// is no room.
func (s *shardState) place(x *batchEntry, key []byte) int {
	if slot := s.find(x.hash, key); slot >= 0 {
		if r := s.series.at(slot); x.kind != ingest.KindUnknown && x.kind != r.kind {
			// The source has learnt, or changed its mind, what the series is. Only
			// between a rate and a value as it is was something else modelled so far.
			if x.kind == ingest.KindCounter || r.kind == ingest.KindCounter {
				s.bank.Reset(slot)
				r.flags &^= based
				r.hide()
			}
			r.kind = x.kind
		}
		return slot
	}
	if e := s.engine; e.series.Add(1) > int64(e.opts.MaxSeries) {
		e.series.Add(-1)
		s.stats.SeriesRefused++
		return -1
	}
	s.stats.SeriesAdded++
	kind := x.kind
	if kind == ingest.KindUnknown {
		kind = ingest.KindOf(keyMetric(key))
	}
	return s.add(x.hash, key, kind)
}

// keyMetric returns the metric's name in key, or "". It aliases key.
func keyMetric(key []byte) string {
	for len(key) > 0 {
		n, m, rest := keyHead(key)
		if string(rest[:n]) == ingest.MetricName {
			return bytesAsString(rest[n : n+m])
		}
		key = rest[n+m:]
	}
	return ""
}

func (s *shardState) count(res ingest.Result) {
	s.stats.Accepted += uint64(res.Accepted)
	s.stats.Duplicate += uint64(res.Duplicate)
	s.stats.OutOfOrder += uint64(res.OutOfOrder)
	s.stats.TooFarAhead += uint64(res.TooFarAhead)
	s.stats.Dropped += uint64(res.Dropped)
}

// bytesAsString views b as a string that is dead once b changes.
func bytesAsString(b []byte) string {
	return unsafe.String(unsafe.SliceData(b), len(b)) //nolint:gosec // the string lives for one look-up
}
