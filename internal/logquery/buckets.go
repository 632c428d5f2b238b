package logquery

import "time"

// maxBuckets of a time series: what a panel or a terminal can show.
const maxBuckets = 120

// bucketer cuts time into buckets of equal length, counted from an origin. The length
// doubles whenever a time lies maxBuckets or more away from it, unless it is fixed.
type bucketer struct {
	origin int64 // Unix ms; 0 until the first line
	width  int64 // ms
	fixed  bool
	grown  uint8 // how often the length doubled
}

// firstWidth is the length that buckets of an unknown window begin with, in ms.
const firstWidth = 1000

func fixedBuckets(w Window, step time.Duration) bucketer {
	return bucketer{origin: w.From.UnixMilli(), width: step.Milliseconds(), fixed: true}
}

// at returns the bucket of a time in Unix ms.
func (b *bucketer) at(ms int64) int32 {
	if b.width == 0 {
		b.width = firstWidth
	}
	if b.origin == 0 {
		b.origin = ms - ms%b.width
	}
	at := floorDiv(ms-b.origin, b.width)
	for !b.fixed && (at >= maxBuckets || at < -maxBuckets) {
		b.width *= 2
		b.grown++
		at = floorDiv(at, 2)
	}
	return int32(max(-maxFixed, min(maxFixed, at)))
}

// maxFixed bounds the buckets of a fixed window, whose lines a source may still give
// wild times.
const maxFixed = 1 << 20

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b != 0 && a < 0 {
		q--
	}
	return q
}

// series counts lines by bucket. The zero value is empty.
type series struct {
	runs  []run
	grown uint8 // the bucketer's when it was last written
}

// run is a number of lines in one bucket.
type run struct {
	at int32
	n  float32
}

// add counts n lines. Lines come mostly in order of time, so that the bucket is one
// of the last; of others there may be several runs for a bucket.
func (s *series) add(b *bucketer, ms int64, n float64) {
	at := b.at(ms)
	s.regrow(b)
	for i := len(s.runs) - 1; i >= 0 && i >= len(s.runs)-4; i-- {
		if s.runs[i].at == at {
			s.runs[i].n += float32(n)
			return
		}
	}
	if len(s.runs) >= 4*maxBuckets {
		s.compact()
	}
	s.runs = append(s.runs, run{at, float32(n)})
}

// regrow brings runs to the length that buckets have now.
func (s *series) regrow(b *bucketer) {
	if s.grown == b.grown {
		return
	}
	for i := range s.runs {
		s.runs[i].at >>= b.grown - s.grown
	}
	s.grown = b.grown
	s.compact()
}

// compact joins the runs of one bucket.
func (s *series) compact() {
	sums := map[int32]float32{}
	kept := s.runs[:0]
	for _, r := range s.runs {
		if _, ok := sums[r.at]; !ok {
			kept = append(kept, run{at: r.at})
		}
		sums[r.at] += r.n
	}
	for i := range kept {
		kept[i].n = sums[kept[i].at]
	}
	s.runs = kept
}

// into adds the runs to counts, whose first is the bucket lo.
func (s *series) into(b *bucketer, counts []float64, lo int32) {
	s.regrow(b)
	for _, r := range s.runs {
		if i := int(r.at - lo); i >= 0 && i < len(counts) {
			counts[i] += float64(r.n)
		}
	}
}

// steps are lengths of buckets that a person can read. They are read only.
var steps = []time.Duration{
	time.Second, 2 * time.Second, 5 * time.Second, 10 * time.Second, 15 * time.Second, 30 * time.Second, time.Minute, 2 * time.Minute,
	5 * time.Minute, 10 * time.Minute, 15 * time.Minute, 30 * time.Minute, time.Hour, 2 * time.Hour, 3 * time.Hour, 6 * time.Hour,
	12 * time.Hour, 24 * time.Hour, 7 * 24 * time.Hour,
}

// stepFor returns the shortest readable step that cuts the window into at most n.
func stepFor(w Window, n int) time.Duration {
	for _, s := range steps {
		if w.Length() <= s*time.Duration(n) {
			return s
		}
	}
	return (w.Length()/time.Duration(n) + time.Second).Truncate(time.Second)
}
