package remotewrite

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"unsafe"
)

// This file reads the protobuf wire format
// (https://protobuf.dev/programming-guides/encoding/). It is our own because the
// generated decoders allocate a string for each label and a slice for each
// series; here strings alias the message and slices are used again
// (BenchmarkDecode). Each function takes what is left of a message and returns
// what is left after it. Errors are fixed values, so that the good path does
// not allocate; decoder.fail adds the place.

// Wire types.
const (
	typeVarint = 0
	type64     = 1
	typeBytes  = 2
	type32     = 5
)

var (
	errTruncated = errors.New("the message ends inside a field")
	errVarint    = errors.New("a number has more than 64 bits")
	errTag       = errors.New("a field has the number 0 or one beyond 2^29-1")
	errType      = errors.New("a field has a wire type that protobuf 3 does not use")
	errMismatch  = errors.New("a field has another wire type than its schema says")
	errPacked    = errors.New("a list of 64-bit numbers has a length that is no multiple of 8")
	errList      = fmt.Errorf("a list has more than %d numbers", maxList)
)

// maxList bounds the buckets and bounds of one histogram. Prometheus keeps
// histograms to some hundred buckets; without a bound a megabyte of one-byte
// deltas would become eight of memory.
const maxList = 1 << 16

// uvarint reads a varint.
func uvarint(b []byte) (uint64, []byte, error) {
	if len(b) > 0 && b[0] < 0x80 {
		return uint64(b[0]), b[1:], nil
	}
	return uvarintLong(b)
}

func uvarintLong(b []byte) (uint64, []byte, error) {
	v, n := binary.Uvarint(b)
	if n > 0 {
		return v, b[n:], nil
	}
	if n == 0 {
		return 0, b, errTruncated
	}
	return 0, b, errVarint
}

// tag reads the number and the wire type of the next field.
func tag(b []byte) (num uint32, typ uint8, rest []byte, err error) {
	v, rest, err := uvarint(b)
	if err != nil {
		return 0, 0, b, err
	}
	if v < 8 || v > math.MaxUint32 {
		return 0, 0, b, errTag
	}
	return uint32(v >> 3), uint8(v & 7), rest, nil
}

// lengthed reads the body of a field of type typeBytes. It aliases b.
func lengthed(b []byte) (body, rest []byte, err error) {
	n, rest, err := uvarint(b)
	if err != nil {
		return nil, b, err
	}
	if n > uint64(len(rest)) {
		return nil, b, errTruncated
	}
	return rest[:n], rest[n:], nil
}

// double reads a 64-bit float.
func double(b []byte) (float64, []byte, error) {
	if len(b) < 8 {
		return 0, b, errTruncated
	}
	return math.Float64frombits(binary.LittleEndian.Uint64(b)), b[8:], nil
}

// skip passes over the value of a field that the schema does not name.
func skip(b []byte, typ uint8) ([]byte, error) {
	switch typ {
	case typeVarint:
		_, rest, err := uvarint(b)
		return rest, err
	case typeBytes:
		_, rest, err := lengthed(b)
		return rest, err
	case type64:
		if len(b) < 8 {
			return b, errTruncated
		}
		return b[8:], nil
	case type32:
		if len(b) < 4 {
			return b, errTruncated
		}
		return b[4:], nil
	}
	return b, errType
}

// refs appends the references of a repeated uint32 field, packed or not, up to
// most in all; more are read and dropped, so that len(out) == most may mean more.
func refs(into []uint32, b []byte, typ uint8, most int) (out []uint32, rest []byte, err error) {
	if typ == typeVarint {
		v, rest, err := uvarint(b)
		if len(into) < most {
			into = append(into, uint32(min(v, math.MaxUint32)))
		}
		return into, rest, err
	}
	if typ != typeBytes {
		return into, b, errMismatch
	}
	body, rest, err := lengthed(b)
	for err == nil && len(body) > 0 {
		var v uint64
		if v, body, err = uvarint(body); err == nil && len(into) < most {
			into = append(into, uint32(min(v, math.MaxUint32)))
		}
	}
	return into, rest, err
}

// sint64s appends the zigzag numbers of a repeated field, packed or not.
func sint64s(into []int64, b []byte, typ uint8) (out []int64, rest []byte, err error) {
	if typ == typeVarint {
		if len(into) == maxList {
			return into, b, errList
		}
		v, rest, err := uvarint(b)
		return append(into, zigzag(v)), rest, err
	}
	if typ != typeBytes {
		return into, b, errMismatch
	}
	body, rest, err := lengthed(b)
	for err == nil && len(body) > 0 {
		var v uint64
		if len(into) == maxList {
			return into, b, errList
		}
		if v, body, err = uvarint(body); err == nil {
			into = append(into, zigzag(v))
		}
	}
	return into, rest, err
}

// doubles appends the floats of a repeated field, packed or not.
func doubles(into []float64, b []byte, typ uint8) (out []float64, rest []byte, err error) {
	if typ == type64 {
		if len(into) == maxList {
			return into, b, errList
		}
		v, rest, err := double(b)
		return append(into, v), rest, err
	}
	if typ != typeBytes {
		return into, b, errMismatch
	}
	body, rest, err := lengthed(b)
	if err == nil && len(body)%8 != 0 {
		err = errPacked
	}
	for err == nil && len(body) > 0 {
		if len(into) == maxList {
			return into, b, errList
		}
		var v float64
		v, body, err = double(body)
		into = append(into, v)
	}
	return into, rest, err
}

func zigzag(v uint64) int64 { return int64(v>>1) ^ -int64(v&1) }

// alias returns b as a string without a copy: it is dead once the buffer of the
// request is used again.
func alias(b []byte) string {
	return unsafe.String(unsafe.SliceData(b), len(b)) //nolint:gosec // the doc comments of series and state say who may hold it, and how long
}

// MessageError says what is wrong with a protobuf message and where. Nothing of
// such a message is written.
type MessageError struct {
	Offset int    // bytes from the start of the decompressed message
	Path   string // for example timeseries[3]
	Err    error
}

func (e *MessageError) Error() string {
	return fmt.Sprintf("protobuf message is malformed at byte %d, in %s: %v", e.Offset, e.Path, e.Err)
}

func (e *MessageError) Unwrap() error { return e.Err }
