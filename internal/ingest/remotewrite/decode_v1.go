package remotewrite

import (
	"errors"
	"unicode/utf8"

	"github.com/portent-dev/portent/internal/ingest"
)

// errWrongSchema is the answer to a 2.0 message sent as 1.0. Its fields have
// other numbers on purpose, so it decodes to nothing; to answer "written" would
// lose it.
var errWrongSchema = errors.New("this is a message of remote write 2.0, sent with the content type of 1.0")

// v1 decodes a prometheus.WriteRequest. Series seen before an error were given
// to yield already: the caller rolls back.
func (d *decoder) v1(message []byte, yield func(*series)) error {
	d.start(message)
	index, foreign := 0, false
	for b := message; len(b) > 0; {
		num, typ, rest, err := tag(b)
		if err != nil {
			return d.fail(b, "prometheus.WriteRequest", err)
		}
		if num != 1 {
			foreign = foreign || num == requestSymbols || num == requestTimeseries
			if num == 3 {
				b, err = d.metadataV1(rest, typ)
			} else {
				b, err = skip(rest, typ)
			}
			if err != nil {
				return d.fail(rest, "prometheus.WriteRequest", err)
			}
			continue
		}
		var body []byte
		if typ != typeBytes {
			err = errMismatch
		} else {
			body, rest, err = lengthed(rest)
		}
		d.series.reset(index)
		if err == nil {
			err = d.seriesV1(body)
		}
		if err != nil {
			return d.failSeries(b, err)
		}
		yield(&d.series)
		index++
		b = rest
	}
	if foreign && index == 0 {
		return errWrongSchema
	}
	return nil
}

// seriesV1 decodes a prometheus.TimeSeries.
func (d *decoder) seriesV1(b []byte) error {
	for len(b) > 0 {
		num, typ, rest, err := tag(b)
		if err != nil {
			return err
		}
		if num < 1 || num > 4 {
			if b, err = skip(rest, typ); err != nil {
				return err
			}
			continue
		}
		if typ != typeBytes {
			return errMismatch
		}
		body, rest, err := lengthed(rest)
		if err != nil {
			return err
		}
		switch num {
		case 1:
			var name, value []byte
			if name, value, err = labelV1(body); err == nil {
				d.putV1(alias(name), alias(value))
			}
		case 2:
			err = d.sample(body)
		case 3:
			err = d.exemplarV1(body)
		case 4:
			err = d.decodeHistogram(body)
		}
		if err != nil {
			return err
		}
		b = rest
	}
	return nil
}

// labelV1 decodes a prometheus.Label. Nearly every label is its name and its value,
// each shorter than 128 bytes; that is read without a loop, which makes the decoder
// a quarter faster (BenchmarkDecode/v1).
func labelV1(b []byte) (name, value []byte, err error) {
	if len(b) >= 4 && b[0] == 1<<3|typeBytes && b[1] < 0x80 {
		if at := 2 + int(b[1]); at+2 <= len(b) && b[at] == 2<<3|typeBytes && b[at+1] < 0x80 && at+2+int(b[at+1]) == len(b) {
			return b[2:at], b[at+2:], nil
		}
	}
	return labelFields(b)
}

// labelFields decodes a label whatever its form.
func labelFields(b []byte) (name, value []byte, err error) {
	for len(b) > 0 {
		num, typ, rest, err := tag(b)
		if err != nil {
			return nil, nil, err
		}
		if num != 1 && num != 2 {
			if b, err = skip(rest, typ); err != nil {
				return nil, nil, err
			}
			continue
		}
		if typ != typeBytes {
			return nil, nil, errMismatch
		}
		body, rest, err := lengthed(rest)
		if err != nil {
			return nil, nil, err
		}
		if num == 1 {
			name = body
		} else {
			value = body
		}
		b = rest
	}
	return name, value, nil
}

// putV1 adds a label after a look at its text. What stands in the same place of the
// series before is valid, and in most series most labels are the same: to compare
// is cheaper than to look at every byte again (BenchmarkDecode/v1: an eighth).
func (d *decoder) putV1(name, value string) {
	var before ingest.Label
	if n := len(d.series.labels); n < cap(d.series.labels) {
		before = d.series.labels[:n+1][n] // of this message or empty; see start
	}
	valid := (name == before.Name || utf8.ValidString(name)) && (value == before.Value || utf8.ValidString(value))
	d.put(name, value, valid)
}

// exemplarV1 checks a prometheus.Exemplar; nothing of it is kept.
func (d *decoder) exemplarV1(b []byte) error {
	if err := d.count(); err != nil {
		return err
	}
	var t uint64
	var fault error
	for len(b) > 0 {
		num, typ, rest, err := tag(b)
		if err != nil {
			return err
		}
		switch {
		case num == 1 && typ == typeBytes:
			var body, name, value []byte
			if body, rest, err = lengthed(rest); err == nil {
				name, value, err = labelV1(body)
			}
			if !utf8.Valid(name) || !utf8.Valid(value) {
				fault = errNotUTF8
			} else if len(name) == 0 {
				fault = errExemplarName
			}
		case num == 3 && typ == typeVarint:
			t, rest, err = uvarint(rest)
		case num == 2 && typ != type64 || num == 1 || num == 3:
			err = errMismatch
		default:
			rest, err = skip(rest, typ)
		}
		if err != nil {
			return err
		}
		b = rest
	}
	d.endExemplar(t, fault)
	return nil
}

// endExemplar counts an exemplar as good or bad.
func (d *decoder) endExemplar(t uint64, fault error) {
	if fault == nil && t == 0 {
		fault = errExemplarTime
	}
	if fault != nil {
		d.series.badExemplar(fault)
		return
	}
	d.series.exemplars++
}

// metadataV1 decodes a prometheus.MetricMetadata, of which the type is kept.
func (d *decoder) metadataV1(b []byte, typ uint8) (rest []byte, err error) {
	if typ != typeBytes {
		return b, errMismatch
	}
	body, rest, err := lengthed(b)
	if err != nil {
		return b, err
	}
	if err := d.count(); err != nil {
		return b, err
	}
	var f familyType
	for len(body) > 0 {
		num, typ, next, err := tag(body)
		if err != nil {
			return b, err
		}
		switch {
		case num == 1 && typ == typeVarint:
			var v uint64
			if v, next, err = uvarint(next); v <= uint64(metadataStateset) {
				f.typ = metadata(v)
			}
		case num == 2 && typ == typeBytes:
			var name []byte
			name, next, err = lengthed(next)
			f.name = alias(name)
		case num == 1 || num == 2:
			err = errMismatch
		default:
			next, err = skip(next, typ)
		}
		if err != nil {
			return b, err
		}
		body = next
	}
	if f.name != "" && f.typ != metadataUnspecified {
		d.families = append(d.families, f)
	}
	return rest, nil
}
