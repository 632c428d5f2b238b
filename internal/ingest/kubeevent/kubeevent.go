// Package kubeevent reads events of Kubernetes as the webhook sink of
// kubernetes-event-exporter sends them: one core/v1 Event in a request, with the
// object's labels and owners added.
//
// That sink does not try again: what is refused is lost. So whatever can be
// understood is taken, and a field that is missing stays empty. A sink with a
// `layout` of its own sends whatever its user wrote, and is refused.
package kubeevent

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
)

// MaxBytes bounds one event. Kubernetes itself bounds the message to 1 KiB; the
// rest is labels, annotations and owners, at most 256 KiB of them.
const MaxBytes = 1 << 20

// An Event is one event. Texts are as they were sent, so as hostile as their
// sender.
type Event struct {
	// UID is the event's own. The same event again, with a greater count, has the
	// same one. Empty when it was not sent.
	UID string
	// At is the first that was sent of series.lastObservedTime, lastTimestamp,
	// eventTime, firstTimestamp and metadata.creationTimestamp, zero without any.
	At time.Time
	// Cluster is what the sink is configured with, mostly empty.
	Cluster string
	// Namespace, Kind and Name are those of the object that the event is about;
	// Namespace is empty for objects of the cluster, such as nodes.
	Namespace, Kind, Name string
	Reason, Message       string
	// Type is Normal or Warning; other words are possible by the API's rules.
	Type string
	// Count is how often it happened, at least 1.
	Count int
	// Component reported it; Host is the node it ran on, empty when it is not known.
	Component, Host string
	// Labels are those of the object, Owner is its controller as kind/name.
	Labels map[string]string
	Owner  string
	// Deleted: the object was gone when the event was sent.
	Deleted bool
}

// Warning reports whether the event is of type Warning.
func (e Event) Warning() bool { return strings.EqualFold(e.Type, "Warning") }

// Decode reads the body of one request. An error says what was expected.
func Decode(body []byte) (Event, error) {
	if len(body) > MaxBytes {
		return Event{}, fmt.Errorf("an event of %d bytes: want at most %d", len(body), MaxBytes)
	}
	var w wire
	if err := json.Unmarshal(body, &w); err != nil {
		return Event{}, fmt.Errorf("want one event of kubernetes-event-exporter as JSON: %w", err)
	}
	if w.Object.Kind == "" || w.Object.Name == "" || w.Reason == "" {
		return Event{}, errors.New("want involvedObject.kind, involvedObject.name and reason: " +
			"the webhook sink of kubernetes-event-exporter must have no layout of its own")
	}
	return w.event(), nil
}

// wire is what is read of the JSON.
type wire struct {
	Metadata struct {
		Namespace string `json:"namespace"`
		UID       string `json:"uid"`
		Created   stamp  `json:"creationTimestamp"`
	} `json:"metadata"`
	Reason  string `json:"reason"`
	Message string `json:"message"`
	Source  struct {
		Component string `json:"component"`
		Host      string `json:"host"`
	} `json:"source"`
	First     stamp  `json:"firstTimestamp"`
	Last      stamp  `json:"lastTimestamp"`
	EventTime stamp  `json:"eventTime"`
	Count     int64  `json:"count"`
	Type      string `json:"type"`
	Series    struct {
		Count int64 `json:"count"`
		Last  stamp `json:"lastObservedTime"`
	} `json:"series"`
	Component string `json:"reportingComponent"`
	Cluster   string `json:"clusterName"`
	Object    struct {
		Kind      string            `json:"kind"`
		Namespace string            `json:"namespace"`
		Name      string            `json:"name"`
		Labels    map[string]string `json:"labels"`
		Owners    []struct {
			Kind       string `json:"kind"`
			Name       string `json:"name"`
			Controller bool   `json:"controller"`
		} `json:"ownerReferences"`
		Deleted bool `json:"deleted"`
	} `json:"involvedObject"`
}

func (w *wire) event() Event {
	e := Event{
		UID: w.Metadata.UID, Cluster: w.Cluster, Namespace: w.Object.Namespace, Kind: w.Object.Kind, Name: w.Object.Name,
		Reason: w.Reason, Message: w.Message, Type: w.Type, Component: cmp.Or(w.Source.Component, w.Component), Host: w.Source.Host,
		Labels: w.Object.Labels, Deleted: w.Object.Deleted,
		Count: int(min(max(w.Count, w.Series.Count, 1), maxCount)),
	}
	for _, at := range []stamp{w.Series.Last, w.Last, w.EventTime, w.First, w.Metadata.Created} {
		if !at.IsZero() {
			e.At = at.UTC()
			break
		}
	}
	for _, o := range w.Object.Owners {
		if o.Controller {
			e.Owner = strings.ToLower(o.Kind) + "/" + o.Name
			break
		}
	}
	return e
}

// maxCount bounds what a sender may claim, so that sums of counts stay numbers.
const maxCount = 1 << 30

// A stamp is a time that may be null, empty or unreadable: an event is worth having without it.
type stamp struct{ time.Time }

// UnmarshalJSON implements json.Unmarshaler.
func (s *stamp) UnmarshalJSON(b []byte) error {
	var text string
	if json.Unmarshal(b, &text) != nil {
		return nil //nolint:nilerr // no text, so no time
	}
	if t, err := time.Parse(time.RFC3339Nano, text); err == nil && t.Year() > 1 && t.Year() < 10_000 {
		s.Time = t
	}
	return nil
}
