package remotewrite

import (
	"errors"
	"fmt"
	"unicode/utf8"
)

// symbol is an entry of the table of a 2.0 request.
type symbol struct {
	text  string // aliases the message
	valid bool   // is UTF-8; looked at once, however often it is used
}

var (
	errNoSymbols   = errors.New("the symbols table is missing: it must be there and start with an empty string. Is this a message of remote write 1.0?")
	errFirstSymbol = errors.New("the first symbol is not an empty string")
	errOddRefs     = errors.New("labels_refs has an odd number of references")
	errBadRef      = errors.New("a reference points beyond the symbols table")
)

// Numbers of the fields of io.prometheus.write.v2.Request and its TimeSeries.
const (
	requestSymbols    = 4
	requestTimeseries = 5

	seriesLabelsRefs = 1
	seriesSamples    = 2
	seriesHistograms = 3
	seriesExemplars  = 4
	seriesMetadata   = 5
	seriesCreated    = 6 // created_timestamp of senders before 2.0-rc.4, for all samples
)

// v2 decodes an io.prometheus.write.v2.Request. Series seen before an error were
// given to yield already: the caller rolls back.
//
// It walks the top level twice, for protobuf lets symbols come after the series
// that refer to them. The first walk jumps over the series, so it is cheap.
func (d *decoder) v2(message []byte, yield func(*series)) error {
	d.start(message)
	if err := d.readSymbols(message); err != nil {
		return err
	}
	index := 0
	for b := message; len(b) > 0; {
		num, typ, rest, err := tag(b)
		if err != nil {
			return d.fail(b, "io.prometheus.write.v2.Request", err)
		}
		if num != requestTimeseries {
			if b, err = skip(rest, typ); err != nil {
				return d.fail(rest, "io.prometheus.write.v2.Request", err)
			}
			continue
		}
		body, rest, err := lengthed(rest)
		d.series.reset(index)
		if err == nil {
			err = d.seriesV2(body)
		}
		if err != nil {
			return d.failSeries(b, err)
		}
		yield(&d.series)
		index++
		b = rest
	}
	return nil
}

func (d *decoder) readSymbols(message []byte) error {
	d.symbols = d.symbols[:0]
	for b := message; len(b) > 0; {
		num, typ, rest, err := tag(b)
		if err != nil {
			return d.fail(b, "io.prometheus.write.v2.Request", err)
		}
		if num != requestSymbols {
			if num == requestTimeseries && typ != typeBytes {
				return d.fail(b, "io.prometheus.write.v2.Request", errMismatch)
			}
			if b, err = skip(rest, typ); err != nil {
				return d.fail(rest, "io.prometheus.write.v2.Request", err)
			}
			continue
		}
		var body []byte
		if typ != typeBytes {
			err = errMismatch
		} else {
			body, rest, err = lengthed(rest)
		}
		if err != nil {
			return d.fail(b, fmt.Sprintf("symbols[%d]", len(d.symbols)), err)
		}
		if len(d.symbols) >= 2*d.maxItems {
			return &LimitError{fmt.Sprintf("more than %d symbols in one request", 2*d.maxItems)}
		}
		d.symbols = append(d.symbols, symbol{alias(body), utf8.Valid(body)})
		b = rest
	}
	if len(d.symbols) == 0 {
		return errNoSymbols
	}
	if d.symbols[0].text != "" {
		return errFirstSymbol
	}
	return nil
}

// seriesV2 decodes an io.prometheus.write.v2.TimeSeries.
func (d *decoder) seriesV2(b []byte) error {
	d.refs = d.refs[:0]
	created := uint64(0)
	maxRefs := 2*d.maxLabels + 2 // so that too many show
	for len(b) > 0 {
		num, typ, rest, err := tag(b)
		if err != nil {
			return err
		}
		switch num {
		case seriesLabelsRefs:
			d.refs, rest, err = refs(d.refs, rest, typ, maxRefs)
		case seriesSamples, seriesHistograms, seriesExemplars, seriesMetadata:
			if typ != typeBytes {
				return errMismatch
			}
			var body []byte
			if body, rest, err = lengthed(rest); err == nil {
				err = d.fieldV2(num, body)
			}
		case seriesCreated:
			if typ != typeVarint {
				return errMismatch
			}
			created, rest, err = uvarint(rest)
		default:
			rest, err = skip(rest, typ)
		}
		if err != nil {
			return err
		}
		b = rest
	}
	d.series.created(int64(created))
	d.resolve()
	return nil
}

func (d *decoder) fieldV2(num uint32, body []byte) error {
	switch num {
	case seriesSamples:
		return d.sample(body)
	case seriesHistograms:
		return d.decodeHistogram(body)
	case seriesExemplars:
		return d.exemplarV2(body)
	default:
		return d.metadataV2(body)
	}
}

// resolve turns the references of a series into its labels.
func (d *decoder) resolve() {
	s := &d.series
	if len(d.refs)%2 != 0 {
		s.labelErr = errOddRefs
		return
	}
	for i := 0; i < len(d.refs); i += 2 {
		n, v := d.refs[i], d.refs[i+1]
		if int(n) >= len(d.symbols) || int(v) >= len(d.symbols) {
			s.labelErr = errBadRef
			return
		}
		name, value := d.symbols[n], d.symbols[v]
		d.put(name.text, value.text, name.valid && value.valid)
	}
}

// exemplarV2 checks an io.prometheus.write.v2.Exemplar; nothing of it is kept.
func (d *decoder) exemplarV2(b []byte) error {
	if err := d.count(); err != nil {
		return err
	}
	var t uint64
	var fault error
	odd := false // references come in pairs; several lists are one
	for len(b) > 0 {
		num, typ, rest, err := tag(b)
		if err != nil {
			return err
		}
		switch {
		case num == 1 && typ == typeVarint:
			var v uint64
			v, rest, err = uvarint(rest)
			fault, odd = d.exemplarRef(fault, odd, v), !odd
		case num == 1 && typ == typeBytes:
			var body []byte
			body, rest, err = lengthed(rest)
			for err == nil && len(body) > 0 {
				var v uint64
				if v, body, err = uvarint(body); err == nil {
					fault, odd = d.exemplarRef(fault, odd, v), !odd
				}
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
	if odd && fault == nil {
		fault = errOddRefs
	}
	d.endExemplar(t, fault)
	return nil
}

// exemplarRef checks one reference; isValue says whether it is the second of a pair.
func (d *decoder) exemplarRef(fault error, isValue bool, v uint64) error {
	switch {
	case fault != nil:
		return fault
	case v >= uint64(len(d.symbols)):
		return errBadRef
	case !d.symbols[v].valid:
		return errNotUTF8
	case !isValue && d.symbols[v].text == "":
		return errExemplarName
	}
	return nil
}

// metadataV2 decodes an io.prometheus.write.v2.Metadata. Help and unit are not
// used, but what refers beyond the symbols is wrong.
func (d *decoder) metadataV2(b []byte) error {
	for len(b) > 0 {
		num, typ, rest, err := tag(b)
		if err != nil {
			return err
		}
		if num != 1 && num != 3 && num != 4 {
			if b, err = skip(rest, typ); err != nil {
				return err
			}
			continue
		}
		if typ != typeVarint {
			return errMismatch
		}
		v, rest, err := uvarint(rest)
		if err != nil {
			return err
		}
		switch {
		case num == 1 && v <= uint64(metadataStateset):
			d.series.metadata = metadata(v)
		case num == 1:
			d.series.metadata = metadataUnspecified
		case v >= uint64(len(d.symbols)):
			d.series.labelErr = errBadRef
		}
		b = rest
	}
	return nil
}
