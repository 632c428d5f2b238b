package alert

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"strings"
	"time"

	"github.com/prometheus/common/model"
)

// wire is the body as it comes. Times and the version are read by hand, so that
// an error can say which alert it is in.
type wire struct {
	Version           json.RawMessage   `json:"version"`
	Receiver          string            `json:"receiver"`
	Status            string            `json:"status"`
	GroupKey          string            `json:"groupKey"`
	ExternalURL       string            `json:"externalURL"`
	TruncatedAlerts   int64             `json:"truncatedAlerts"`
	Reason            string            `json:"notification_reason"`
	GroupLabels       map[string]string `json:"groupLabels"`
	CommonLabels      map[string]string `json:"commonLabels"`
	CommonAnnotations map[string]string `json:"commonAnnotations"`
	RouteLabels       map[string]string `json:"routeLabels"`
	Alerts            []wireAlert       `json:"alerts"`
}

type wireAlert struct {
	Status       string            `json:"status"`
	Labels       map[string]string `json:"labels"`
	Annotations  map[string]string `json:"annotations"`
	StartsAt     string            `json:"startsAt"`
	EndsAt       string            `json:"endsAt"`
	GeneratorURL string            `json:"generatorURL"`
	Fingerprint  string            `json:"fingerprint"`
}

// Decode reads the body of a webhook. It keeps nothing of body. Every error is
// an *Error.
func Decode(body []byte, lim Limits) (Payload, error) {
	if len(body) > lim.MaxBytes {
		return Payload{}, &Error{
			Reason: ReasonTooLarge, Got: fmt.Sprintf("%d bytes", len(body)), Want: fmt.Sprintf("at most %d", lim.MaxBytes),
			hint: "set max_alerts in the webhook_config of Alertmanager, or group by more labels",
		}
	}
	var w wire
	err := json.Unmarshal(body, &w)
	// The version comes first: what is not a webhook shall be told so, and not
	// that some key has a wrong type.
	if err != nil || string(w.Version) != `"4"` {
		if e := checkVersion(body); e != nil {
			return Payload{}, e
		}
	}
	if err != nil {
		return Payload{}, jsonError(body, err)
	}
	if w.Alerts == nil {
		return Payload{}, &Error{Reason: ReasonMissing, Path: "alerts", Got: "nothing", Want: "a list of alerts"}
	}
	if len(w.Alerts) > lim.MaxAlerts {
		return Payload{}, &Error{
			Reason: ReasonTooLarge, Path: "alerts", Got: fmt.Sprintf("%d alerts", len(w.Alerts)), Want: fmt.Sprintf("at most %d", lim.MaxAlerts),
			hint: "set max_alerts in the webhook_config of Alertmanager, or group by more labels",
		}
	}
	p := Payload{
		Receiver: unquoteMeta(w.Receiver), Status: Status(w.Status), GroupKey: w.GroupKey, ExternalURL: w.ExternalURL,
		TruncatedAlerts: int(max(0, min(w.TruncatedAlerts, 1<<30))), Reason: w.Reason, GroupLabels: w.GroupLabels,
		CommonLabels: w.CommonLabels, CommonAnnotations: w.CommonAnnotations, RouteLabels: w.RouteLabels,
		Alerts: make([]Alert, 0, len(w.Alerts)),
	}
	for i := range w.Alerts {
		a, err := w.Alerts[i].alert(lim)
		if err != nil {
			err.Path = fmt.Sprintf("alerts[%d].%s", i, err.Path)
			return Payload{}, err
		}
		p.Alerts = append(p.Alerts, a)
	}
	return p, nil
}

func checkVersion(body []byte) *Error {
	trimmed := bytes.TrimLeft(body, " \t\r\n")
	switch {
	case len(trimmed) == 0:
		return &Error{Reason: ReasonEmpty, Got: "an empty body", Want: "a JSON object"}
	case trimmed[0] == '<':
		return &Error{Reason: ReasonNotJSON, Got: "HTML or XML", Want: "a JSON object"}
	case trimmed[0] == '[':
		return &Error{
			Reason: ReasonBadType, Got: "a list", Want: "a JSON object",
			hint: "this looks like a list of alerts for the API of Alertmanager; send it there, and let Alertmanager call this webhook",
		}
	}
	var v struct {
		Version *json.RawMessage `json:"version"`
	}
	if err := json.Unmarshal(body, &v); err != nil {
		return jsonError(body, err)
	}
	if v.Version == nil {
		return &Error{
			Reason: ReasonVersion, Path: "version", Got: "nothing", Want: `"4"`,
			hint: "this is not Alertmanager's own payload: remove the payload template from its webhook_config",
		}
	}
	if s := string(*v.Version); s != `"4"` {
		hint := "only version 4 of the webhook is understood, which Alertmanager has sent since 0.6"
		if s == `"1"` {
			hint = "version 1 is sent by Grafana's own alerting, not by Alertmanager: point it to an Alertmanager"
		}
		return &Error{Reason: ReasonVersion, Path: "version", Got: "version " + quote(s), Want: `"4"`, hint: hint}
	}
	return nil
}

func (w *wireAlert) alert(lim Limits) (Alert, *Error) {
	a := Alert{
		Status: Status(w.Status), Labels: w.Labels, Annotations: w.Annotations,
		GeneratorURL: w.GeneratorURL, Fingerprint: w.Fingerprint,
	}
	if a.Status != Firing && a.Status != Resolved {
		return a, &Error{Reason: ReasonBadValue, Path: "status", Got: quote(w.Status), Want: `"firing" or "resolved"`}
	}
	if n := max(len(w.Labels), len(w.Annotations)); n > lim.MaxLabels {
		return a, &Error{Reason: ReasonTooLarge, Path: "labels", Got: fmt.Sprintf("%d labels or annotations", n), Want: fmt.Sprintf("at most %d", lim.MaxLabels)}
	}
	if len(a.Labels) == 0 {
		return a, &Error{Reason: ReasonMissing, Path: "labels", Got: "nothing", Want: "at least one label"}
	}
	switch {
	case a.Fingerprint == "":
		a.Fingerprint = fingerprint(a.Labels)
	case !isFingerprint(a.Fingerprint):
		return a, &Error{Reason: ReasonBadValue, Path: "fingerprint", Got: quote(a.Fingerprint), Want: "16 lower-case hex digits"}
	}
	var err *Error
	if a.StartsAt, err = parseTime("startsAt", w.StartsAt); err != nil {
		return a, err
	}
	if a.StartsAt.IsZero() {
		return a, &Error{Reason: ReasonMissing, Path: "startsAt", Got: "no time", Want: "when the alert began to fire"}
	}
	if a.EndsAt, err = parseTime("endsAt", w.EndsAt); err != nil {
		return a, err
	}
	if a.Status == Firing {
		a.EndsAt = time.Time{} // older versions send when it would expire
	} else if !a.EndsAt.IsZero() && a.EndsAt.Before(a.StartsAt) {
		a.EndsAt = a.StartsAt
	}
	return a, nil
}

// The times that can be kept as Unix nanoseconds.
var (
	firstTime = time.Date(1970, 1, 1, 0, 0, 0, 0, time.UTC)
	lastTime  = time.Date(2262, 1, 1, 0, 0, 0, 0, time.UTC)
)

// parseTime returns the zero time for the zero time and for no text.
func parseTime(path, s string) (time.Time, *Error) {
	if s == "" {
		return time.Time{}, nil
	}
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		return t, &Error{Reason: ReasonBadValue, Path: path, Got: quote(s), Want: "an RFC 3339 time"}
	}
	t = t.UTC()
	if t.IsZero() {
		return time.Time{}, nil
	}
	if !t.After(firstTime) || !t.Before(lastTime) {
		return t, &Error{Reason: ReasonBadValue, Path: path, Got: quote(s), Want: "a time between 1970 and 2262"}
	}
	return t, nil
}

func isFingerprint(s string) bool {
	if len(s) != 16 {
		return false
	}
	for _, c := range []byte(s) {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

// fingerprint is what Alertmanager computes: FNV-1a over the sorted labels.
func fingerprint(labels map[string]string) string {
	ls := make(model.LabelSet, len(labels))
	for k, v := range labels {
		ls[model.LabelName(k)] = model.LabelValue(v)
	}
	return ls.Fingerprint().String()
}

// unquoteMeta takes back regexp.QuoteMeta, which Alertmanager applies to the
// name of the receiver (template.go). A name that cannot have come out of it is
// left as it is.
func unquoteMeta(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) {
			i++
		}
		b.WriteByte(s[i])
	}
	if regexp.QuoteMeta(b.String()) != s {
		return s
	}
	return b.String()
}

// jsonError turns an error of encoding/json into ours.
func jsonError(body []byte, err error) *Error {
	if e, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return &Error{Reason: ReasonBadType, Path: cut(e.Field), Got: "a JSON " + cut(e.Value), Want: wanted(e.Type.Kind())}
	}
	e := &Error{Reason: ReasonNotJSON, Got: "no valid JSON (" + cut(err.Error()) + ")", Want: "a JSON object"}
	if s, ok := errors.AsType[*json.SyntaxError](err); ok {
		n := min(int(s.Offset), len(body))
		line := 1 + bytes.Count(body[:n], []byte("\n"))
		column := n - (bytes.LastIndexByte(body[:n], '\n') + 1)
		e.Got = fmt.Sprintf("no valid JSON (line %d, column %d: %s)", line, column, cut(err.Error()))
	}
	return e
}

func wanted(kind reflect.Kind) string {
	switch kind {
	case reflect.String:
		return "text"
	case reflect.Map, reflect.Struct:
		return "an object"
	case reflect.Slice:
		return "a list"
	default:
		return "a whole number"
	}
}

func cut(s string) string {
	if len(s) > 100 {
		s = s[:100] + "…"
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}
