package alert

import "fmt"

// Reason is why a payload was refused, from a bounded set: a metric label.
type Reason string

// The reasons.
const (
	ReasonEmpty    Reason = "empty"     // no body
	ReasonTooLarge Reason = "too_large" // more bytes, alerts or labels than Limits allow
	ReasonNotJSON  Reason = "not_json"  // not JSON, or cut off
	ReasonVersion  Reason = "version"   // not version 4: a custom payload or another product
	ReasonMissing  Reason = "missing"   // something is not there
	ReasonBadType  Reason = "bad_type"  // a number where text is wanted, and so on
	ReasonBadValue Reason = "bad_value" // right type, impossible value
)

// Reasons lists all of them, for metrics that shall show zero.
func Reasons() []Reason {
	return []Reason{ReasonEmpty, ReasonTooLarge, ReasonNotJSON, ReasonVersion, ReasonMissing, ReasonBadType, ReasonBadValue}
}

// An Error says what of a payload is wrong. Its text is fit for an HTTP answer:
// what it quotes of the body is cut and escaped.
type Error struct {
	Reason Reason
	// Path is where, as in alerts[3].startsAt; empty for the whole body.
	Path string
	// Got is what was there, Want what was expected.
	Got, Want string
	hint      string
}

func (e *Error) Error() string {
	where := e.Path
	if where == "" {
		where = "body"
	}
	return fmt.Sprintf("alertmanager webhook: %s: got %s, want %s", where, e.Got, e.Want)
}

// Hint says what the sender's operator can do about it.
func (e *Error) Hint() string {
	if e.hint != "" {
		return e.hint
	}
	return "send Alertmanager's default webhook payload (version 4) without a custom payload template"
}

// quote cuts hostile text and makes it visible.
func quote(s string) string {
	const most = 60
	for i := range s {
		if i > most {
			return fmt.Sprintf("%q…", s[:i])
		}
	}
	return fmt.Sprintf("%q", s)
}
