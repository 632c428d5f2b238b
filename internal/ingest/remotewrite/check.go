package remotewrite

import (
	"errors"
	"fmt"
	"math"
	"math/bits"

	"github.com/portent-dev/portent/internal/ingest"
)

// The rules a native histogram must keep, after "Native histograms",
// https://prometheus.io/docs/specs/native_histograms/ and the comments of the
// protobuf schema. We differ from Prometheus's own check in being stricter where
// it trusts the sender: the buckets of a float histogram must add up to its count
// too, sums may not overflow, and an integer histogram may not bring the fields
// of a float one.
const (
	schemaCustom = -53 // buckets with bounds of their own, as of a classic histogram
	schemaMin    = -4
	schemaMax    = 8

	// floatTolerance is how far, relative to the count, the buckets of a float
	// histogram may add up beside it. Such histograms are results of PromQL
	// (rate, avg, sum), whose buckets and count are rounded apart; a millionth is
	// far above double rounding over thousands of additions, and far below one
	// lost bucket that anyone would miss.
	floatTolerance = 1e-6
)

var (
	errHistogramSpans     = errors.New("the spans do not have as many buckets as are given")
	errHistogramOffset    = errors.New("a span after the first has a negative offset")
	errHistogramNegative  = errors.New("a bucket has a negative count")
	errHistogramOverflow  = errors.New("the counts of the buckets overflow 64 bits")
	errHistogramType      = errors.New("integer and float counts are mixed")
	errHistogramZero      = errors.New("the zero bucket has a negative count or threshold")
	errHistogramCount     = errors.New("the count of observations is negative")
	errHistogramBounds    = errors.New("only custom buckets may have bounds of their own")
	errCustomZero         = errors.New("custom buckets have no zero bucket")
	errCustomNegative     = errors.New("custom buckets have no negative side")
	errCustomOffset       = errors.New("a span of custom buckets has a negative offset")
	errCustomOrder        = errors.New("the bounds of custom buckets do not rise, or are not finite")
	errCustomSpansTooLong = errors.New("the spans of custom buckets reach beyond the bounds")
)

// check reports the first rule that the histogram breaks. A stale marker has no
// buckets and breaks none.
func (h *histogram) check() error {
	if err := h.checkTypes(); err != nil {
		return err
	}
	switch {
	case h.schema == schemaCustom:
		if err := h.checkCustom(); err != nil {
			return err
		}
	case h.schema >= schemaMin && h.schema <= schemaMax:
		if len(h.custom) > 0 {
			return errHistogramBounds
		}
	default:
		return fmt.Errorf("schema %d is not known: want %d, or %d to %d", h.schema, schemaCustom, schemaMin, schemaMax)
	}
	if err := h.positive.checkSpans(h.float); err != nil {
		return fmt.Errorf("positive side: %w", err)
	}
	if err := h.negative.checkSpans(h.float); err != nil {
		return fmt.Errorf("negative side: %w", err)
	}
	if h.zeroThreshold < 0 || math.IsNaN(h.zeroThreshold) {
		return errHistogramZero
	}
	if h.float {
		return h.checkFloatCount()
	}
	return h.checkCount()
}

func (h *histogram) checkTypes() error {
	var mixed bool
	if h.float {
		mixed = len(h.positive.deltas) > 0 || len(h.negative.deltas) > 0 || h.zeroCount != 0
	} else {
		mixed = len(h.positive.counts) > 0 || len(h.negative.counts) > 0 || h.floatZeroCount != 0
	}
	if mixed {
		return errHistogramType
	}
	return nil
}

func (h *histogram) checkCustom() error {
	if h.zeroCount != 0 || h.floatZeroCount != 0 || h.zeroThreshold != 0 {
		return errCustomZero
	}
	if n := &h.negative; len(n.spans) > 0 || len(n.deltas) > 0 || len(n.counts) > 0 {
		return errCustomNegative
	}
	for i, bound := range h.custom {
		if math.IsNaN(bound) || math.IsInf(bound, 0) || i > 0 && bound <= h.custom[i-1] {
			return errCustomOrder
		}
	}
	var reach int64 // buckets from the first bound to the end of the last span
	for _, s := range h.positive.spans {
		if s.offset < 0 {
			return errCustomOffset
		}
		reach += int64(s.offset) + int64(s.length)
	}
	// One more than there are bounds: the last bucket ends at +Inf.
	if reach > int64(len(h.custom))+1 {
		return errCustomSpansTooLong
	}
	return nil
}

func (s *buckets) checkSpans(float bool) error {
	given := len(s.deltas)
	if float {
		given = len(s.counts)
	}
	var n uint64 // cannot overflow: at most maxList spans of less than 2^32
	for i, p := range s.spans {
		if i > 0 && p.offset < 0 {
			return errHistogramOffset
		}
		n += uint64(p.length)
	}
	if n != uint64(given) {
		return errHistogramSpans
	}
	return nil
}

// checkCount holds the count of an integer histogram to its buckets. With a NaN
// among the observations the sum is NaN, and such observations are in no bucket.
func (h *histogram) checkCount() error {
	total := h.zeroCount
	for _, side := range [...]*buckets{&h.positive, &h.negative} {
		var count int64
		for _, d := range side.deltas {
			if d > 0 && count > math.MaxInt64-d {
				return errHistogramOverflow
			}
			if count += d; count < 0 {
				return errHistogramNegative
			}
			var carry uint64
			if total, carry = bits.Add64(total, uint64(count), 0); carry != 0 {
				return errHistogramOverflow
			}
		}
	}
	if total == h.count || math.IsNaN(h.sum) && !ingest.IsStale(h.sum) && total < h.count {
		return nil
	}
	if ingest.IsStale(h.sum) {
		return nil // what a stale marker counts does not matter
	}
	return fmt.Errorf("the count is %d, but the buckets add up to %d", h.count, total)
}

// checkFloatCount does the same for a float histogram, within floatTolerance.
// Where PromQL made NaN or Inf of a count there is nothing to compare.
func (h *histogram) checkFloatCount() error {
	if h.floatZeroCount < 0 {
		return errHistogramZero
	}
	if h.floatCount < 0 {
		return errHistogramCount
	}
	total := h.floatZeroCount
	for _, side := range [...]*buckets{&h.positive, &h.negative} {
		for _, c := range side.counts {
			if c < 0 {
				return errHistogramNegative
			}
			total += c
		}
	}
	diff := total - h.floatCount
	if ingest.IsStale(h.sum) || math.IsNaN(diff) || math.IsInf(diff, 0) {
		return nil
	}
	if tolerance := floatTolerance * h.floatCount; diff > tolerance || diff < -tolerance && !math.IsNaN(h.sum) {
		return fmt.Errorf("the count is %g, but the buckets add up to %g", h.floatCount, total)
	}
	return nil
}

// sample returns what the engine is given of a histogram.
func (h *histogram) sample() histogramSample {
	count := float64(h.count)
	if h.float {
		count = h.floatCount
	}
	if ingest.IsStale(h.sum) {
		count = h.sum // the whole histogram ends, so does its count
	}
	return histogramSample{t: h.t, start: h.start, count: count, sum: h.sum, gauge: h.gauge, err: h.check()}
}
