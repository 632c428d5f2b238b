package otlplogs

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/portent-dev/portent/internal/ingest"
	"github.com/portent-dev/portent/internal/ingest/linehttp"
)

// The JSON form of the request. Unknown fields are ignored, as the specification says.
type jsonRequest struct {
	ResourceLogs []struct {
		Resource  json.RawMessage `json:"resource"`
		ScopeLogs []struct {
			LogRecords []json.RawMessage `json:"logRecords"`
		} `json:"scopeLogs"`
	} `json:"resourceLogs"`
}

type jsonRecord struct {
	Time       flexible       `json:"timeUnixNano"`
	Observed   flexible       `json:"observedTimeUnixNano"`
	Number     flexible       `json:"severityNumber"`
	Severity   string         `json:"severityText"`
	Body       jsonValue      `json:"body"`
	Attributes []jsonKeyValue `json:"attributes"`
	TraceID    string         `json:"traceId"`
}

type jsonKeyValue struct {
	Key   string    `json:"key"`
	Value jsonValue `json:"value"`
}

type jsonValue struct {
	String *string   `json:"stringValue"`
	Bool   *bool     `json:"boolValue"`
	Int    *flexible `json:"intValue"`
	Double *flexible `json:"doubleValue"`
	Bytes  *string   `json:"bytesValue"`
	Array  *struct {
		Values []jsonValue `json:"values"`
	} `json:"arrayValue"`
	Map *struct {
		Values []jsonKeyValue `json:"values"`
	} `json:"kvlistValue"`
}

// flexible is a number, or a string that holds one, or the name of an enumeration.
type flexible string

// UnmarshalJSON takes a string or a number.
func (f *flexible) UnmarshalJSON(p []byte) error {
	if len(p) > 0 && p[0] == '"' {
		return json.Unmarshal(p, (*string)(f))
	}
	if len(p) == 0 || p[0] != '-' && (p[0] < '0' || p[0] > '9') && string(p) != "null" {
		return errors.New("want a number or a string")
	}
	if string(p) != "null" {
		*f = flexible(p)
	}
	return nil
}

func (f flexible) uint() (uint64, error) {
	if f == "" {
		return 0, nil
	}
	return strconv.ParseUint(string(f), 10, 64)
}

func decodeJSON(body []byte, b *linehttp.Batch) error {
	var r jsonRequest
	if err := json.Unmarshal(body, &r); err != nil {
		return fmt.Errorf("JSON: %w", err)
	}
	for i, rl := range r.ResourceLogs {
		attributes, err := decodeResource(rl.Resource)
		if err != nil {
			return fmt.Errorf("resourceLogs[%d].resource: %w", i, err)
		}
		resource := b.Labels(nil, attributes)
		for j, sl := range rl.ScopeLogs {
			for k, raw := range sl.LogRecords {
				rec, err := decodeRecord(raw)
				if err == nil {
					err = rec.add(resource, b)
				}
				if err != nil {
					return fmt.Errorf("resourceLogs[%d].scopeLogs[%d].logRecords[%d]: %w", i, j, k, err)
				}
			}
		}
	}
	return nil
}

func decodeResource(raw json.RawMessage) ([]ingest.Label, error) {
	var r struct {
		Attributes []jsonKeyValue `json:"attributes"`
	}
	if len(raw) == 0 {
		return nil, nil
	}
	if err := linehttp.CheckRecord(raw); err != nil {
		return nil, err
	}
	if err := json.Unmarshal(raw, &r); err != nil {
		return nil, fmt.Errorf("JSON: %w", err)
	}
	return labelsOf(r.Attributes), nil
}

func decodeRecord(raw json.RawMessage) (record, error) {
	var j jsonRecord
	if err := linehttp.CheckRecord(raw); err != nil {
		return record{}, err
	}
	if err := json.Unmarshal(raw, &j); err != nil {
		return record{}, fmt.Errorf("JSON: %w", err)
	}
	at, err1 := j.Time.uint()
	observed, err2 := j.Observed.uint()
	if err := errors.Join(err1, err2); err != nil {
		return record{}, fmt.Errorf("time: %w", err)
	}
	number, _ := strconv.Atoi(string(j.Number)) // the name of an enumeration is no number: severityText says it
	return record{
		time: at, observed: observed, number: number, severity: j.Severity, trace: j.TraceID,
		body: j.Body.text(), attributes: labelsOf(j.Attributes),
	}, nil
}

func labelsOf(kvs []jsonKeyValue) []ingest.Label {
	out := make([]ingest.Label, 0, len(kvs))
	for i := range kvs {
		out = append(out, ingest.Label{Name: kvs[i].Key, Value: kvs[i].Value.text()})
	}
	return out
}

// text writes a value: a string as it is, anything with parts as JSON.
func (v *jsonValue) text() string {
	if v.String != nil {
		return *v.String
	}
	var b strings.Builder
	v.write(&b, 0)
	return b.String()
}

func (v *jsonValue) write(b *strings.Builder, depth int) {
	switch {
	case depth > maxDepth:
		b.WriteString(`"…"`)
	case v.String != nil:
		b.Write(quote(*v.String))
	case v.Bool != nil:
		b.WriteString(strconv.FormatBool(*v.Bool))
	case v.Int != nil:
		b.WriteString(string(*v.Int))
	case v.Double != nil:
		b.WriteString(string(*v.Double))
	case v.Bytes != nil:
		b.WriteString(*v.Bytes)
	case v.Array != nil:
		b.WriteByte('[')
		for i := range v.Array.Values {
			if i > 0 {
				b.WriteByte(',')
			}
			v.Array.Values[i].write(b, depth+1)
		}
		b.WriteByte(']')
	case v.Map != nil:
		b.WriteByte('{')
		for i := range v.Map.Values {
			if i > 0 {
				b.WriteByte(',')
			}
			b.Write(quote(v.Map.Values[i].Key))
			b.WriteByte(':')
			v.Map.Values[i].Value.write(b, depth+1)
		}
		b.WriteByte('}')
	}
}

func quote(s string) []byte {
	p, err := json.Marshal(s)
	if err != nil {
		panic("BUG: a string does not marshal: " + err.Error())
	}
	return p
}
