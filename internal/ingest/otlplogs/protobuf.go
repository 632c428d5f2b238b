package otlplogs

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"math"
	"strconv"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/portent-dev/portent/internal/ingest"
	"github.com/portent-dev/portent/internal/ingest/linehttp"
)

// Numbers of fields are those of opentelemetry/proto/logs/v1/logs.proto and
// common/v1/common.proto.

func decodeProtobuf(body []byte, b *linehttp.Batch) error {
	n := 0
	return linehttp.Fields(body, func(num protowire.Number, typ protowire.Type, v []byte, _ uint64) error {
		if num != 1 || typ != protowire.BytesType { // resource_logs
			return nil
		}
		n++
		if err := resourceLogs(v, b); err != nil {
			return fmt.Errorf("resource_logs[%d]: %w", n-1, err)
		}
		return nil
	})
}

func resourceLogs(msg []byte, b *linehttp.Batch) error {
	var attributes []ingest.Label
	err := linehttp.Fields(msg, func(num protowire.Number, typ protowire.Type, v []byte, _ uint64) error {
		if num != 1 || typ != protowire.BytesType { // resource
			return nil
		}
		return linehttp.Fields(v, func(num protowire.Number, typ protowire.Type, v []byte, _ uint64) error {
			if num != 1 || typ != protowire.BytesType { // attributes
				return nil
			}
			l, err := keyValue(v)
			attributes = append(attributes, l)
			return err
		})
	})
	if err != nil {
		return err
	}
	resource := b.Labels(nil, attributes)
	return linehttp.Fields(msg, func(num protowire.Number, typ protowire.Type, v []byte, _ uint64) error {
		if num != 2 || typ != protowire.BytesType { // scope_logs
			return nil
		}
		return linehttp.Fields(v, func(num protowire.Number, typ protowire.Type, v []byte, _ uint64) error {
			if num != 2 || typ != protowire.BytesType { // log_records
				return nil
			}
			return logRecord(v, resource, b)
		})
	})
}

func logRecord(msg []byte, resource []ingest.Label, b *linehttp.Batch) error {
	var r record
	err := linehttp.Fields(msg, func(num protowire.Number, typ protowire.Type, v []byte, n uint64) (err error) {
		switch {
		case num == 1 && typ == protowire.Fixed64Type:
			r.time = n
		case num == 11 && typ == protowire.Fixed64Type:
			r.observed = n
		case num == 2 && typ == protowire.VarintType:
			r.number = int(min(n, 100))
		case num == 3 && typ == protowire.BytesType:
			r.severity = linehttp.Alias(v)
		case num == 5 && typ == protowire.BytesType:
			r.body, err = anyText(v)
		case num == 6 && typ == protowire.BytesType:
			var l ingest.Label
			l, err = keyValue(v)
			r.attributes = append(r.attributes, l)
		case num == 9 && typ == protowire.BytesType && len(v) == 16:
			r.trace = hex.EncodeToString(v)
		}
		return err
	})
	if err != nil {
		return err
	}
	return r.add(resource, b)
}

func keyValue(msg []byte) (l ingest.Label, err error) {
	err = linehttp.Fields(msg, func(num protowire.Number, typ protowire.Type, v []byte, _ uint64) (err error) {
		switch {
		case num == 1 && typ == protowire.BytesType:
			l.Name = linehttp.Alias(v)
		case num == 2 && typ == protowire.BytesType:
			l.Value, err = anyText(v)
		}
		return err
	})
	return l, err
}

// anyText writes an AnyValue: a string as it is, anything with parts as JSON.
func anyText(msg []byte) (string, error) {
	text, isString := "", false
	err := linehttp.Fields(msg, func(num protowire.Number, typ protowire.Type, v []byte, _ uint64) error {
		isString = num == 1 && typ == protowire.BytesType
		if isString {
			text = linehttp.Alias(v)
		}
		return nil
	})
	if err != nil || isString {
		return text, err
	}
	var b strings.Builder
	err = writeAny(&b, msg, 0)
	return b.String(), err
}

func writeAny(b *strings.Builder, msg []byte, depth int) error {
	if depth > maxDepth {
		b.WriteString(`"…"`)
		return nil
	}
	return linehttp.Fields(msg, func(num protowire.Number, typ protowire.Type, v []byte, n uint64) error {
		switch {
		case num == 1 && typ == protowire.BytesType:
			b.Write(quote(linehttp.Alias(v)))
		case num == 2 && typ == protowire.VarintType:
			b.WriteString(strconv.FormatBool(n != 0))
		case num == 3 && typ == protowire.VarintType:
			b.WriteString(strconv.FormatInt(int64(n), 10))
		case num == 4 && typ == protowire.Fixed64Type:
			b.WriteString(strconv.FormatFloat(math.Float64frombits(n), 'g', -1, 64))
		case num == 5 && typ == protowire.BytesType:
			return writeList(b, v, '[', ']', func(v []byte) error { return writeAny(b, v, depth+1) })
		case num == 6 && typ == protowire.BytesType:
			return writeList(b, v, '{', '}', func(v []byte) error { return writeKeyValue(b, v, depth+1) })
		case num == 7 && typ == protowire.BytesType:
			b.WriteString(base64.StdEncoding.EncodeToString(v))
		}
		return nil
	})
}

func writeList(b *strings.Builder, msg []byte, open, end byte, write func([]byte) error) error {
	b.WriteByte(open)
	n := 0
	err := linehttp.Fields(msg, func(num protowire.Number, typ protowire.Type, v []byte, _ uint64) error {
		if num != 1 || typ != protowire.BytesType {
			return nil
		}
		if n++; n > 1 {
			b.WriteByte(',')
		}
		return write(v)
	})
	b.WriteByte(end)
	return err
}

func writeKeyValue(b *strings.Builder, msg []byte, depth int) error {
	return linehttp.Fields(msg, func(num protowire.Number, typ protowire.Type, v []byte, _ uint64) error {
		switch {
		case num == 1 && typ == protowire.BytesType:
			b.Write(quote(linehttp.Alias(v)))
			b.WriteByte(':')
		case num == 2 && typ == protowire.BytesType:
			return writeAny(b, v, depth)
		}
		return nil
	})
}
