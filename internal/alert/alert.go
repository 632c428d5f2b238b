// Package alert is an alert on the wire: it decodes the webhook of Alertmanager,
// version 4. It decides nothing and imports nothing of ours.
//
// Alertmanager drops a notice for good when the answer is 4xx, so the decoder
// refuses only what is hopeless and repairs or tolerates the rest: keys it does
// not know, a missing fingerprint, bytes that are not UTF-8, an end that is set
// on a firing alert.
package alert

import (
	"time"
)

// Status is firing or resolved.
type Status string

// The states of an alert and of a group.
const (
	Firing   Status = "firing"
	Resolved Status = "resolved"
)

// A Payload is a webhook request of Alertmanager.
type Payload struct {
	// Receiver is the name as in Alertmanager's configuration, without the
	// regular expression quoting that it has on the wire.
	Receiver string
	Status   Status
	// GroupKey changes with the configuration of Alertmanager and ExternalURL
	// differs within a pair: neither identifies anything.
	GroupKey    string
	ExternalURL string
	// TruncatedAlerts is how many alerts of the group were left out.
	TruncatedAlerts int
	// Reason is notification_reason, empty before Alertmanager 0.32.
	Reason            string
	GroupLabels       map[string]string
	CommonLabels      map[string]string
	CommonAnnotations map[string]string
	RouteLabels       map[string]string
	// Alerts are those of the group that were sent. One that is absent is not
	// resolved.
	Alerts []Alert
}

// An Alert is one alert of a payload. Fingerprint with StartsAt identifies it.
type Alert struct {
	Status      Status
	Labels      map[string]string
	Annotations map[string]string
	// StartsAt is never zero. It may lie in the future when clocks differ.
	StartsAt time.Time
	// EndsAt is zero while firing, and also when resolved without a time.
	EndsAt       time.Time
	GeneratorURL string
	// Fingerprint is 16 lower-case hex digits.
	Fingerprint string
}

// Limits bound a payload.
type Limits struct {
	// MaxBytes bounds the body.
	MaxBytes int
	// MaxAlerts bounds the alerts of one payload.
	MaxAlerts int
	// MaxLabels bounds the labels, and the annotations, of one alert.
	MaxLabels int
}

// DefaultLimits are far above what Alertmanager sends: an alert takes about
// 1 kB, and a group of 12 000 alerts is a whole data centre. More than that is
// refused, since a body is held in memory several times over.
func DefaultLimits() Limits {
	return Limits{MaxBytes: 32 << 20, MaxAlerts: 50_000, MaxLabels: 1000}
}
