package remotewrite

import (
	"errors"
	"fmt"

	"github.com/portent-dev/portent/internal/ingest"
)

// decoder turns a decompressed request into calls of yield, one for each series,
// in order. In steady state it does not allocate: everything below is used again
// by the next request. Not safe for concurrent use.
type decoder struct {
	maxLabels int // of a series or an exemplar; more is a labelErr
	maxItems  int // samples, histograms, exemplars of a request, and symbols twice over

	whole     []byte // the message
	items     int
	series    series
	histogram histogram    // scratch
	refs      []uint32     // scratch, 2.0
	symbols   []symbol     // 2.0
	families  []familyType // 1.0: the metadata of the request; names alias it
}

var (
	errNotUTF8      = errors.New("a label is not valid UTF-8")
	errLabelCount   = errors.New("too many labels")
	errExemplarTime = errors.New("an exemplar has no timestamp")
	errExemplarName = errors.New("an exemplar has an empty label name")
)

// LimitError says that a request is well-formed but larger than we take.
type LimitError struct{ What string }

func (e *LimitError) Error() string { return e.What }

func (d *decoder) start(message []byte) {
	// Labels of an earlier message alias a buffer that has changed since: putV1 must
	// not take them for valid.
	clear(d.series.labels[:cap(d.series.labels)])
	d.whole = message
	d.items = 0
	d.families = d.families[:0]
}

// fail adds the place to an error of the wire format. rest is what was left of
// the message when it went wrong; it shares its end with d.whole.
func (d *decoder) fail(rest []byte, path string, err error) error {
	var limit *LimitError
	if errors.As(err, &limit) {
		return err
	}
	return &MessageError{Offset: cap(d.whole) - cap(rest), Path: path, Err: err}
}

func (d *decoder) failSeries(rest []byte, err error) error {
	return d.fail(rest, fmt.Sprintf("timeseries[%d]", d.series.index), err)
}

// count takes note of one more sample, histogram or exemplar.
func (d *decoder) count() error {
	if d.items++; d.items > d.maxItems {
		return &LimitError{fmt.Sprintf("more than %d samples in one request", d.maxItems)}
	}
	return nil
}

// sample decodes a Sample message, the same in 1.0 and 2.0 but for the start
// timestamp (field 3).
func (d *decoder) sample(b []byte) error {
	if err := d.count(); err != nil {
		return err
	}
	var p ingest.Sample
	// Nearly every sample has just these two fields in this order.
	if len(b) >= 10 && b[0] == 1<<3|type64 && b[9] == 2<<3|typeVarint {
		v, rest, err := double(b[1:])
		if err != nil {
			return err
		}
		t, rest, err := uvarint(rest[1:])
		if err != nil {
			return err
		}
		p.V, p.T, b = v, int64(t), rest
	}
	for len(b) > 0 {
		num, typ, rest, err := tag(b)
		if err != nil {
			return err
		}
		switch num {
		case 1:
			if typ != type64 {
				return errMismatch
			}
			p.V, rest, err = double(rest)
		case 2, 3:
			if typ != typeVarint {
				return errMismatch
			}
			var v uint64
			if v, rest, err = uvarint(rest); num == 2 {
				p.T = int64(v)
			} else {
				p.Start = int64(v)
			}
		default:
			rest, err = skip(rest, typ)
		}
		if err != nil {
			return err
		}
		b = rest
	}
	d.series.samples = append(d.series.samples, p)
	return nil
}

// decodeHistogram decodes and checks a Histogram message, the same in both.
func (d *decoder) decodeHistogram(b []byte) error {
	if err := d.count(); err != nil {
		return err
	}
	d.histogram.reset()
	if err := d.histogram.decode(b); err != nil {
		return err
	}
	d.series.histograms = append(d.series.histograms, d.histogram.sample())
	return nil
}

// put adds a label to the series, or takes note that it cannot.
func (d *decoder) put(name, value string, valid bool) {
	s := &d.series
	switch {
	case len(s.labels) == d.maxLabels:
		s.labelErr = errLabelCount
	case !valid:
		if s.labelErr == nil {
			s.labelErr = errNotUTF8
		}
	default:
		s.labels = append(s.labels, ingest.Label{Name: name, Value: value})
	}
}
