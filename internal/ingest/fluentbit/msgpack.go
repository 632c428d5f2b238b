package fluentbit

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"github.com/portent-dev/portent/internal/ingest/linehttp"
)

// decodeMsgpack reads records, one after the other or in an array. A record is a map;
// [time, map] and [[time, metadata], map], the forms in which Fluent Bit keeps its
// chunks and the forward protocol sends them, are taken too.
func decodeMsgpack(body []byte, b *linehttp.Batch) error {
	r := reader{rest: body}
	for n := 0; len(r.rest) > 0; n++ {
		v, err := r.value(0)
		if err == nil {
			err = records(b, v)
		}
		if err != nil {
			return fmt.Errorf("msgpack: value %d: %w", n, err)
		}
	}
	return nil
}

var errNoRecord = errors.New("no record: want a map, [time, map] or a list of them")

func records(b *linehttp.Batch, v any) error {
	switch x := v.(type) {
	case map[string]any:
		return add(b, x, 0)
	case []any:
		if len(x) == 2 {
			if m, ok := x[1].(map[string]any); ok {
				at := x[0]
				if meta, ok := at.([]any); ok && len(meta) > 0 {
					at = meta[0]
				}
				if ms := millis(at); ms != 0 {
					return add(b, m, ms)
				}
			}
		}
		for _, e := range x {
			if _, ok := e.(map[string]any); !ok {
				if _, ok := e.([]any); !ok {
					return errNoRecord
				}
			}
			if err := records(b, e); err != nil {
				return err
			}
		}
		return nil
	}
	return errNoRecord
}

// maxDepth bounds how deep values nest.
const maxDepth = 64

var (
	errShort = errors.New("it ends inside a value")
	errDepth = fmt.Errorf("values nest deeper than %d", maxDepth)
	errType  = errors.New("0xc1, which no value begins with")
)

// reader reads MessagePack (https://github.com/msgpack/msgpack/blob/master/spec.md).
// Strings and binaries become strings, which are copies; numbers int64 or float64;
// EventTime of the forward protocol float64 seconds; other extensions nil. A key of a
// map that is no string is left out with its value.
type reader struct {
	rest   []byte
	values int
}

// maxValues bounds the values of one request: a value of one byte takes 16 in memory.
const maxValues = 4_000_000

func (r *reader) take(n uint64) ([]byte, error) {
	if n > uint64(len(r.rest)) {
		return nil, errShort
	}
	p := r.rest[:n]
	r.rest = r.rest[n:]
	return p, nil
}

func (r *reader) uint(bytes uint64) (uint64, error) {
	p, err := r.take(bytes)
	if err != nil {
		return 0, err
	}
	var v uint64
	for _, b := range p {
		v = v<<8 | uint64(b)
	}
	return v, nil
}

func (r *reader) value(depth int) (any, error) {
	if depth > maxDepth {
		return nil, errDepth
	}
	if r.values++; r.values > maxValues {
		return nil, &linehttp.LimitError{What: "values", Most: maxValues}
	}
	p, err := r.take(1)
	if err != nil {
		return nil, err
	}
	switch c := p[0]; {
	case c < 0x80:
		return int64(c), nil
	case c >= 0xe0:
		return int64(int8(c)), nil
	case c&0xf0 == 0x80:
		return r.mapOf(uint64(c&0x0f), depth)
	case c&0xf0 == 0x90:
		return r.list(uint64(c&0x0f), depth)
	case c&0xe0 == 0xa0:
		return r.str(uint64(c & 0x1f))
	default:
		return r.long(c, depth)
	}
}

// long reads a value whose first byte says only its type.
func (r *reader) long(c byte, depth int) (any, error) {
	switch c {
	case 0xc0:
		return nil, nil
	case 0xc2, 0xc3:
		return c == 0xc3, nil
	case 0xca:
		v, err := r.uint(4)
		return float64(math.Float32frombits(uint32(v))), err
	case 0xcb:
		v, err := r.uint(8)
		return math.Float64frombits(v), err
	case 0xcc, 0xcd, 0xce, 0xcf:
		v, err := r.uint(1 << (c - 0xcc))
		return int64(min(v, math.MaxInt64)), err
	case 0xd0, 0xd1, 0xd2, 0xd3:
		n := uint64(1) << (c - 0xd0)
		v, err := r.uint(n)
		shift := 64 - 8*n
		return int64(v<<shift) >> shift, err
	case 0xc4, 0xc5, 0xc6:
		return r.sized(1<<(c-0xc4), r.str)
	case 0xd9, 0xda, 0xdb:
		return r.sized(1<<(c-0xd9), r.str)
	case 0xdc, 0xdd:
		return r.sized(2<<(c-0xdc), func(n uint64) (any, error) { return r.list(n, depth) })
	case 0xde, 0xdf:
		return r.sized(2<<(c-0xde), func(n uint64) (any, error) { return r.mapOf(n, depth) })
	case 0xc7, 0xc8, 0xc9:
		return r.sized(1<<(c-0xc7), r.ext)
	case 0xd4, 0xd5, 0xd6, 0xd7, 0xd8:
		return r.ext(1 << (c - 0xd4))
	}
	return nil, errType
}

func (r *reader) sized(bytes uint64, read func(uint64) (any, error)) (any, error) {
	n, err := r.uint(bytes)
	if err != nil {
		return nil, err
	}
	return read(n)
}

func (r *reader) str(n uint64) (any, error) {
	p, err := r.take(n)
	return string(p), err
}

func (r *reader) ext(n uint64) (any, error) {
	kind, err := r.take(1)
	if err != nil {
		return nil, err
	}
	p, err := r.take(n)
	if err != nil || kind[0] != 0 || n != 8 {
		return nil, err
	}
	return float64(binary.BigEndian.Uint32(p)) + float64(binary.BigEndian.Uint32(p[4:]))/1e9, nil
}

func (r *reader) list(n uint64, depth int) (any, error) {
	if n > uint64(len(r.rest)) {
		return nil, errShort // a value takes a byte at least
	}
	var out []any
	for range n {
		v, err := r.value(depth + 1)
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, nil
}

func (r *reader) mapOf(n uint64, depth int) (any, error) {
	if 2*n > uint64(len(r.rest)) {
		return nil, errShort
	}
	out := map[string]any{}
	for range n {
		k, err := r.value(depth + 1)
		if err != nil {
			return nil, err
		}
		v, err := r.value(depth + 1)
		if err != nil {
			return nil, err
		}
		if key, ok := k.(string); ok {
			out[key] = v
		}
	}
	return out, nil
}
