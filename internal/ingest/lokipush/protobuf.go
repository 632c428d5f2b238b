package lokipush

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/portent-dev/portent/internal/ingest"
	"github.com/portent-dev/portent/internal/ingest/linehttp"
)

// Numbers of fields in Loki's push.proto:
//
//	PushRequest{ repeated StreamAdapter streams = 1 }
//	StreamAdapter{ string labels = 1; repeated EntryAdapter entries = 2 }
//	EntryAdapter{ google.protobuf.Timestamp timestamp = 1; string line = 2; repeated LabelPairAdapter structuredMetadata = 3 }
//	LabelPairAdapter{ string name = 1; string value = 2 }
const (
	fieldStreams = 1

	fieldLabels  = 1
	fieldEntries = 2

	fieldTime     = 1
	fieldLine     = 2
	fieldMetadata = 3
)

func decodeProtobuf(body []byte, b *linehttp.Batch) error {
	n := 0
	return linehttp.Fields(body, func(num protowire.Number, typ protowire.Type, v []byte, _ uint64) error {
		if num != fieldStreams || typ != protowire.BytesType {
			return nil
		}
		n++
		if err := protobufStream(v, b); err != nil {
			return fmt.Errorf("streams[%d]: %w", n-1, err)
		}
		return nil
	})
}

func protobufStream(msg []byte, b *linehttp.Batch) error {
	var base []ingest.Label
	err := linehttp.Fields(msg, func(num protowire.Number, typ protowire.Type, v []byte, _ uint64) error {
		if num != fieldLabels || typ != protowire.BytesType {
			return nil
		}
		labels, err := parseLabels(linehttp.Alias(v))
		base = b.Labels(nil, labels)
		return err
	})
	if err != nil {
		return err
	}
	return linehttp.Fields(msg, func(num protowire.Number, typ protowire.Type, v []byte, _ uint64) error {
		if num != fieldEntries || typ != protowire.BytesType {
			return nil
		}
		return protobufEntry(v, base, b)
	})
}

func protobufEntry(msg []byte, base []ingest.Label, b *linehttp.Batch) error {
	var l ingest.Line
	var more []ingest.Label
	err := linehttp.Fields(msg, func(num protowire.Number, typ protowire.Type, v []byte, _ uint64) error {
		if typ != protowire.BytesType {
			return nil
		}
		switch num { //nolint:exhaustive // other fields are none of ours
		case fieldLine:
			l.Text = linehttp.Alias(v)
		case fieldTime:
			return linehttp.Fields(v, func(num protowire.Number, typ protowire.Type, _ []byte, n uint64) error {
				switch {
				case num == 1 && typ == protowire.VarintType:
					l.T += int64(n) * 1000
				case num == 2 && typ == protowire.VarintType:
					l.T += int64(n) / 1e6
				}
				return nil
			})
		case fieldMetadata:
			var x ingest.Label
			err := linehttp.Fields(v, func(num protowire.Number, typ protowire.Type, v []byte, _ uint64) error {
				switch {
				case num == 1 && typ == protowire.BytesType:
					x.Name = linehttp.Alias(v)
				case num == 2 && typ == protowire.BytesType:
					x.Value = linehttp.Alias(v)
				}
				return nil
			})
			more = append(more, x)
			return err
		}
		return nil
	})
	if err != nil {
		return err
	}
	l.Labels = b.Labels(base, more)
	hints(&l)
	return b.Add(l)
}

var errLabels = errors.New(`the labels of the stream are not of the form {name="value", …}`)

// parseLabels reads the labels of a stream as Prometheus writes them.
func parseLabels(s string) ([]ingest.Label, error) {
	s = strings.TrimSpace(s)
	if len(s) < 2 || s[0] != '{' || s[len(s)-1] != '}' {
		return nil, errLabels
	}
	s = strings.TrimSpace(s[1 : len(s)-1])
	var out []ingest.Label
	for s != "" {
		name, rest, ok := strings.Cut(s, "=")
		if !ok {
			return nil, errLabels
		}
		name = strings.TrimSpace(name)
		if q, err := strconv.Unquote(name); err == nil { // a name in UTF-8
			name = q
		}
		quoted, err := strconv.QuotedPrefix(strings.TrimLeft(rest, " "))
		if err != nil {
			return nil, errLabels
		}
		value, err := strconv.Unquote(quoted)
		if err != nil || name == "" {
			return nil, errLabels
		}
		out = append(out, ingest.Label{Name: name, Value: value})
		s = strings.TrimSpace(strings.TrimLeft(rest, " ")[len(quoted):])
		if s == "" {
			break
		}
		if s[0] != ',' {
			return nil, errLabels
		}
		s = strings.TrimSpace(s[1:])
	}
	return out, nil
}
