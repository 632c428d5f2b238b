package remotewrite

import "math"

// histogram is a decoded native histogram. The fields follow the schema, which
// is the same in 1.0 and 2.0 (https://prometheus.io/docs/specs/native_histograms/).
type histogram struct {
	t     int64 // Unix milliseconds
	start int64 // when it began to count from zero; 0 = not known
	float bool  // counts are floats: the count field last seen was count_float

	count, zeroCount           uint64
	floatCount, floatZeroCount float64
	zeroIsFloat                bool

	sum           float64
	schema        int32
	zeroThreshold float64
	gauge         bool // reset_hint is GAUGE

	negative, positive buckets
	custom             []float64 // upper bounds of schema -53
}

// buckets are those of one side of zero.
type buckets struct {
	spans  []span
	deltas []int64   // of an integer histogram, each to the one before
	counts []float64 // of a float histogram, absolute
}

type span struct {
	offset int32
	length uint32
}

func (h *histogram) reset() {
	neg, pos, custom := h.negative, h.positive, h.custom
	*h = histogram{
		negative: buckets{neg.spans[:0], neg.deltas[:0], neg.counts[:0]},
		positive: buckets{pos.spans[:0], pos.deltas[:0], pos.counts[:0]},
		custom:   custom[:0],
	}
}

// Numbers of the fields of Histogram.
const (
	histCountInt       = 1
	histCountFloat     = 2
	histSum            = 3
	histSchema         = 4
	histZeroThreshold  = 5
	histZeroCountInt   = 6
	histZeroCountFloat = 7
	histNegativeSpans  = 8
	histNegativeDeltas = 9
	histNegativeCounts = 10
	histPositiveSpans  = 11
	histPositiveDeltas = 12
	histPositiveCounts = 13
	histResetHint      = 14
	histTimestamp      = 15
	histCustomValues   = 16
	histStartTimestamp = 17

	resetHintGauge = 3
)

// decode reads a Histogram message.
func (h *histogram) decode(b []byte) error {
	for len(b) > 0 {
		num, typ, body, err := tag(b)
		if err != nil {
			return err
		}
		switch num {
		case histNegativeSpans, histNegativeDeltas, histNegativeCounts:
			body, err = h.negative.decode(body, num-histNegativeSpans, typ)
		case histPositiveSpans, histPositiveDeltas, histPositiveCounts:
			body, err = h.positive.decode(body, num-histPositiveSpans, typ)
		case histCustomValues:
			h.custom, body, err = doubles(h.custom, body, typ)
		case histCountFloat, histSum, histZeroThreshold, histZeroCountFloat:
			body, err = h.decodeDouble(body, num, typ)
		case histCountInt, histSchema, histZeroCountInt, histResetHint, histTimestamp, histStartTimestamp:
			body, err = h.decodeVarint(body, num, typ)
		default:
			body, err = skip(body, typ)
		}
		if err != nil {
			return err
		}
		b = body
	}
	return nil
}

func (h *histogram) decodeDouble(b []byte, num uint32, typ uint8) ([]byte, error) {
	if typ != type64 {
		return b, errMismatch
	}
	v, b, err := double(b)
	switch num {
	case histCountFloat:
		h.floatCount, h.float, h.count = v, true, 0
	case histSum:
		h.sum = v
	case histZeroThreshold:
		h.zeroThreshold = v
	case histZeroCountFloat:
		h.floatZeroCount, h.zeroIsFloat, h.zeroCount = v, true, 0
	}
	return b, err
}

func (h *histogram) decodeVarint(b []byte, num uint32, typ uint8) ([]byte, error) {
	if typ != typeVarint {
		return b, errMismatch
	}
	v, b, err := uvarint(b)
	switch num {
	case histCountInt:
		h.count, h.float, h.floatCount = v, false, 0
	case histSchema:
		h.schema = int32(zigzag(v & math.MaxUint32))
	case histZeroCountInt:
		h.zeroCount, h.zeroIsFloat, h.floatZeroCount = v, false, 0
	case histResetHint:
		h.gauge = v == resetHintGauge
	case histTimestamp:
		h.t = int64(v)
	case histStartTimestamp:
		h.start = int64(v)
	}
	return b, err
}

// decode reads one field of a side: which is 0 for spans, 1 for deltas, 2 for counts.
func (s *buckets) decode(b []byte, which uint32, typ uint8) (rest []byte, err error) {
	switch which {
	case 1:
		s.deltas, rest, err = sint64s(s.deltas, b, typ)
		return rest, err
	case 2:
		s.counts, rest, err = doubles(s.counts, b, typ)
		return rest, err
	}
	if typ != typeBytes {
		return b, errMismatch
	}
	body, rest, err := lengthed(b)
	if err != nil {
		return b, err
	}
	var p span
	for len(body) > 0 {
		num, typ, next, err := tag(body)
		if err != nil {
			return b, err
		}
		if num == 1 || num == 2 {
			if typ != typeVarint {
				return b, errMismatch
			}
			var v uint64
			if v, next, err = uvarint(next); num == 1 {
				p.offset = int32(zigzag(v & math.MaxUint32))
			} else {
				p.length = uint32(v)
			}
		} else {
			next, err = skip(next, typ)
		}
		if err != nil {
			return b, err
		}
		body = next
	}
	s.spans = append(s.spans, p)
	return rest, nil
}
