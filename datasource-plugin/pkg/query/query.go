// Package query is the query model of the data source: what the editor stores in a panel, read strictly and
// filled with defaults. It must not know where answers come from.
//
// Each query type keeps its settings under its own key, so the editor can switch between types without losing
// anything, and Grafana may add keys of its own beside them. Below that key every unknown field is an error.
// The front end has the same model in src/types.ts; both read the fixtures in testdata/queries.
package query

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
)

// Type says what a query asks for.
type Type string

// Query types.
const (
	TypeAnomalies Type = "anomalies"
	TypeIncidents Type = "incidents"
	TypeAsk       Type = "ask"
	TypeForecast  Type = "forecast"
	TypePatterns  Type = "patterns"
)

// View says in which shape the answer comes.
type View string

// Views. Annotations is set by the front end for annotation queries and is not offered in the query editor.
const (
	ViewTable       View = "table"
	ViewTimeSeries  View = "timeseries"
	ViewNumeric     View = "numeric"
	ViewAnnotations View = "annotations"
)

// Bounds of what one query may ask for.
const (
	MaxLimit       = 1000    // rows or series: more than anybody reads in a panel
	MaxMatchers    = 64      // label matchers
	MaxValueBytes  = 8 << 10 // of a matcher's value, metric or legend; multi-value variables make long regular expressions
	MaxQueryBytes  = 1 << 20 // of one query's JSON
	maxErrorValues = 60      // characters of a refused value that an error repeats
)

// Query is a parsed query: exactly one of the pointers is set, the one that Type names.
type Query struct {
	Type      Type       `json:"queryType"`
	Anomalies *Anomalies `json:"anomalies,omitempty"`
	Incidents *Incidents `json:"incidents,omitempty"`
	Ask       *Ask       `json:"ask,omitempty"`
	Forecast  *Forecast  `json:"forecast,omitempty"`
	Patterns  *Patterns  `json:"patterns,omitempty"`
}

// Error is a query that cannot be run as it stands. Its text is for the person who wrote the query.
type Error struct{ Text string }

func (e *Error) Error() string { return e.Text }

func errorf(format string, args ...any) *Error { return &Error{Text: fmt.Sprintf(format, args...)} }

// reader reads the settings of one query type from the JSON under the key of that type.
type reader func(q *Query, raw json.RawMessage) error

// types lists the query types in the order in which errors name them. It is read only.
var types = []struct {
	name Type
	read reader
}{
	{TypeAnomalies, readAnomalies},
	{TypeIncidents, readIncidents},
	{TypeAsk, readAsk},
	{TypeForecast, readForecast},
	{TypePatterns, readPatterns},
}

// Types returns the known query types in stable order.
func Types() []Type {
	names := make([]Type, 0, len(types))
	for _, t := range types {
		names = append(names, t.name)
	}
	return names
}

// Parse reads one query as Grafana sends it. The error is always an *Error.
func Parse(raw json.RawMessage) (Query, error) {
	if len(raw) > MaxQueryBytes {
		return Query{}, errorf("the query has %d bytes, at most %d are read", len(raw), MaxQueryBytes)
	}
	var keys map[string]json.RawMessage
	if err := json.Unmarshal(raw, &keys); err != nil {
		return Query{}, errorf("the query is not a JSON object: %v", err)
	}
	q := Query{}
	if t, ok := keys["queryType"]; ok {
		if err := json.Unmarshal(t, &q.Type); err != nil {
			return Query{}, errorf("queryType: want a string, got %s", clip(string(t)))
		}
	}
	for _, t := range types {
		if t.name != q.Type {
			continue
		}
		if err := t.read(&q, keys[string(t.name)]); err != nil {
			return Query{}, err
		}
		return q, nil
	}
	return Query{}, unknownType(q.Type)
}

func unknownType(got Type) *Error {
	known := make([]string, 0, len(types))
	for _, t := range Types() {
		known = append(known, string(t))
	}
	if got == "" {
		return errorf("queryType is missing, want one of: %s", strings.Join(known, ", "))
	}
	return errorf("unknown queryType %q, want one of: %s", clip(string(got)), strings.Join(known, ", "))
}

// strict decodes raw into v and refuses unknown fields. Absent and null leave v as it is.
func strict(where string, raw json.RawMessage, v any) error {
	if len(raw) == 0 || string(raw) == "null" {
		return nil
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	err := dec.Decode(v)
	if err == nil {
		if _, err = dec.Token(); errors.Is(err, io.EOF) {
			return nil
		}
		err = errors.New("text after the object")
	}
	var te *json.UnmarshalTypeError
	if errors.As(err, &te) {
		if te.Field != "" {
			where += "." + te.Field
		}
		return errorf("%s: want %s, got %s", where, kindName(te.Type.Kind()), te.Value)
	}
	return errorf("%s: %s", where, strings.TrimPrefix(err.Error(), "json: "))
}

func kindName(k reflect.Kind) string {
	switch k {
	case reflect.Struct, reflect.Map:
		return "an object"
	case reflect.Slice:
		return "a list"
	case reflect.Int:
		return "a whole number"
	case reflect.Float64:
		return "a number"
	default:
		return "a " + k.String()
	}
}

// oneOf reports an error that names what is allowed when got is none of them.
func oneOf[T ~string](where string, got T, allowed ...T) error {
	names := make([]string, 0, len(allowed))
	for _, a := range allowed {
		if got == a {
			return nil
		}
		names = append(names, string(a))
	}
	return errorf("%s: got %q, want one of: %s", where, clip(string(got)), strings.Join(names, ", "))
}

func limit(where string, got *int, byDefault int) error {
	switch {
	case *got == 0:
		*got = byDefault
	case *got < 0 || *got > MaxLimit:
		return errorf("%s: got %d, want 1 to %d", where, *got, MaxLimit)
	}
	return nil
}

func clip(s string) string {
	if r := []rune(s); len(r) > maxErrorValues {
		return string(r[:maxErrorValues]) + "…"
	}
	return s
}

// Matcher selects series or alerts by one label, with the operators of PromQL.
type Matcher struct {
	Label string `json:"label"`
	Op    string `json:"op"`
	Value string `json:"value"`
}

// ops is read only.
var ops = map[string]labels.MatchType{
	"=": labels.MatchEqual, "!=": labels.MatchNotEqual, "=~": labels.MatchRegexp, "!~": labels.MatchNotRegexp,
}

// Compile returns the matcher as Prometheus has it. The error is an *Error.
func (m Matcher) Compile() (*labels.Matcher, error) {
	op, ok := ops[m.Op]
	switch {
	case m.Label == "":
		return nil, errorf("a matcher has no label")
	case m.Label == model.MetricNameLabel:
		return nil, errorf("label %s cannot be matched: set the metric instead", model.MetricNameLabel)
	case !ok:
		return nil, errorf("label %s: got operator %q, want one of: =, !=, =~, !~", clip(m.Label), clip(m.Op))
	case len(m.Value) > MaxValueBytes || len(m.Label) > MaxValueBytes:
		return nil, errorf("label %s: at most %d bytes", clip(m.Label), MaxValueBytes)
	}
	lm, err := labels.NewMatcher(op, m.Label, m.Value)
	if err != nil {
		return nil, errorf("label %s: %q is not a regular expression: %v", clip(m.Label), clip(m.Value), err)
	}
	return lm, nil
}

// CompileAll compiles matchers in order. The error is an *Error.
func CompileAll(matchers []Matcher) ([]*labels.Matcher, error) {
	if len(matchers) > MaxMatchers {
		return nil, errorf("%d matchers, at most %d", len(matchers), MaxMatchers)
	}
	out := make([]*labels.Matcher, 0, len(matchers))
	for _, m := range matchers {
		lm, err := m.Compile()
		if err != nil {
			return nil, err
		}
		out = append(out, lm)
	}
	return out, nil
}
