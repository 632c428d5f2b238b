package analyze

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/portent-dev/portent/internal/detect"
	"github.com/portent-dev/portent/internal/ingest"
)

// Limits bound a request.
type Limits struct {
	MaxSeries int
	MaxPoints int // of all series together
}

// BadInput says what is wrong with a request: which field, and what was expected there.
type BadInput struct { //nolint:errname // reads as what it is
	Field string // as in metric_series[3].values[17]
	Err   error  // what is wrong with it
	Hint  string // what is expected
}

// Error implements error.
func (b *BadInput) Error() string { return b.Field + ": " + b.Err.Error() }

// Unwrap returns what is wrong.
func (b *BadInput) Unwrap() error { return b.Err }

func bad(field, hint, format string, args ...any) error {
	return &BadInput{Field: field, Err: fmt.Errorf(format, args...), Hint: hint}
}

type wireRequest struct {
	Cluster     string            `json:"cluster_id"`
	Series      []json.RawMessage `json:"metric_series"`
	Type        *Type             `json:"analysis_type"`
	Sensitivity *string           `json:"threshold_sensitivity"`
}

type wireSeries struct {
	Metric map[string]string `json:"metric"`
	Values []json.RawMessage `json:"values"`
	Type   string            `json:"type"`
}

// Decode reads the body of POST /v1/analyze/metrics. What is wrong with it is a
// *BadInput; other errors are in's.
func Decode(in io.Reader, l Limits) (Request, error) {
	body, err := io.ReadAll(in)
	if err != nil {
		return Request{}, err
	}
	var w wireRequest
	if err := unmarshal(body, &w, "body", `a JSON object with cluster_id, metric_series, analysis_type and threshold_sensitivity`); err != nil {
		return Request{}, err
	}
	r := Request{Cluster: w.Cluster, Type: All, Sensitivity: detect.Medium}
	if w.Cluster == "" {
		return r, bad("cluster_id", `a name such as "prod-eu-1"`, "is missing or empty")
	}
	if w.Type != nil {
		if r.Type = *w.Type; !slices.Contains(Types(), r.Type) {
			return r, bad("analysis_type", "one of "+list(Types())+"; left out it is all", "%q is unknown", r.Type)
		}
	}
	if w.Sensitivity != nil {
		if r.Sensitivity = detect.Sensitivity(*w.Sensitivity); !slices.Contains(detect.Sensitivities(), r.Sensitivity) {
			return r, bad("threshold_sensitivity", "one of "+list(detect.Sensitivities())+"; left out it is medium", "%q is unknown", r.Sensitivity)
		}
	}
	r.Series, err = decodeSeries(w.Series, "metric_series", l)
	return r, err
}

// DecodeQueryRange reads an answer of Prometheus's /api/v1/query_range.
func DecodeQueryRange(in io.Reader, l Limits) ([]Series, error) {
	body, err := io.ReadAll(in)
	if err != nil {
		return nil, err
	}
	var w struct {
		Status, Error string
		Data          struct {
			ResultType string
			Result     []json.RawMessage
		}
	}
	const want = `the answer of Prometheus's /api/v1/query_range: {"status":"success","data":{"resultType":"matrix","result":[…]}}`
	if err := unmarshal(body, &w, "input", want); err != nil {
		return nil, err
	}
	if w.Status != "success" {
		if w.Error != "" {
			return nil, bad("status", want, "the query failed: %s", w.Error)
		}
		return nil, bad("status", want, "is %q", w.Status)
	}
	if w.Data.ResultType != "matrix" {
		return nil, bad("data.resultType", "matrix, as /api/v1/query_range answers", "is %q", w.Data.ResultType)
	}
	if w.Data.Result == nil {
		w.Data.Result = []json.RawMessage{}
	}
	return decodeSeries(w.Data.Result, "data.result", l)
}

func list[S ~string](values []S) string {
	names := make([]string, len(values))
	for i, v := range values {
		names[i] = string(v)
	}
	return strings.Join(names, ", ")
}

// unmarshal decodes a value that is to be the whole of data.
func unmarshal(data []byte, into any, field, want string) error {
	err := json.Unmarshal(data, into)
	if err == nil {
		return nil
	}
	var wrong *json.UnmarshalTypeError
	if errors.As(err, &wrong) {
		if wrong.Field != "" {
			field = strings.TrimPrefix(field+"."+wrong.Field, "body.")
		}
		return bad(field, want, "is a JSON %s", wrong.Value)
	}
	return bad(field, want, "is no JSON: %w", err)
}

const wantSeries = `{"metric":{"__name__":"…", …},"values":[[<unix seconds>,"<number>"], …]}, and "type":"counter" or "gauge" where the name does not say it`

func decodeSeries(raw []json.RawMessage, field string, l Limits) ([]Series, error) {
	if raw == nil {
		return nil, bad(field, "a list of series as Prometheus answers a query_range: "+wantSeries, "is missing")
	}
	if len(raw) > l.MaxSeries {
		return nil, bad(field, fmt.Sprintf("at most %d; ask for fewer at a time", l.MaxSeries), "holds %d series", len(raw))
	}
	out := make([]Series, 0, len(raw))
	points := 0
	for i, data := range raw {
		at := fmt.Sprintf("%s[%d]", field, i)
		var w wireSeries
		if err := unmarshal(data, &w, at, wantSeries); err != nil {
			return nil, err
		}
		if points += len(w.Values); points > l.MaxPoints {
			return nil, bad(field, fmt.Sprintf("at most %d values of all series together; a longer step or a shorter range gives fewer", l.MaxPoints),
				"holds more than %d values", l.MaxPoints)
		}
		s, err := w.series(at)
		if err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	return out, nil
}

func (w *wireSeries) series(at string) (Series, error) {
	s := Series{Labels: w.Metric, T: make([]int64, 0, len(w.Values)), V: make([]float64, 0, len(w.Values))}
	if s.Labels == nil {
		s.Labels = map[string]string{}
	}
	switch w.Type {
	case "":
		s.Counter = ingest.KindOf(w.Metric[ingest.MetricName]) == ingest.KindCounter
	case "counter", "gauge":
		s.Counter = w.Type == "counter"
	default:
		return s, bad(at+".type", "counter or gauge; left out, the name says it (…_total and the like are counters)", "%q is unknown", w.Type)
	}
	if w.Values == nil {
		return s, bad(at+".values", wantSeries, "is missing")
	}
	last := int64(math.MinInt64)
	for k, raw := range w.Values {
		t, v, err := point(raw)
		if err != nil {
			return s, bad(fmt.Sprintf("%s.values[%d]", at, k), `[<unix seconds>, "<number>"], as Prometheus writes it`, "%w", err)
		}
		if t <= last {
			return s, bad(fmt.Sprintf("%s.values[%d]", at, k), "times that ascend", "is not later than the value before")
		}
		last = t
		if !math.IsNaN(v) && !math.IsInf(v, 0) && math.Abs(v) <= maxValue {
			s.T, s.V = append(s.T, t), append(s.V, v)
		}
	}
	return s, nil
}

const (
	// maxValue keeps sums of squares finite; what lies beyond is no measurement.
	maxValue = 1e120
	// maxSeconds is the year 9999, the last that RFC 3339 can write.
	maxSeconds = 253402300799
)

// point reads [<unix seconds>, "<number>"].
func point(raw json.RawMessage) (ms int64, v float64, err error) {
	var pair []json.RawMessage
	if err := json.Unmarshal(raw, &pair); err != nil || len(pair) != 2 {
		return 0, 0, fmt.Errorf("%s is no pair", clip(raw))
	}
	seconds, err := strconv.ParseFloat(string(bytes.TrimSpace(pair[0])), 64)
	if err != nil || !(seconds >= 0 && seconds <= maxSeconds) {
		return 0, 0, fmt.Errorf("%s is no time", clip(pair[0]))
	}
	text := strings.Trim(string(bytes.TrimSpace(pair[1])), `"`)
	v, err = strconv.ParseFloat(text, 64)
	if err != nil && !errors.Is(err, strconv.ErrRange) {
		return 0, 0, fmt.Errorf("%s is no number", clip(pair[1]))
	}
	return int64(math.Round(seconds * 1000)), v, nil
}

// clip shortens what is quoted of the input.
func clip(raw []byte) string {
	const most = 60
	if len(raw) > most {
		return strconv.Quote(string(raw[:most]) + "…")
	}
	return strconv.Quote(string(raw))
}
