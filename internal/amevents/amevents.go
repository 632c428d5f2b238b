// Package amevents reads what Alertmanager's event recorder writes (0.33 and newer, feature flag event-recorder): lines of a
// file, or bodies of its webhook, one event or an array of them. Each event becomes a noise.Recorded, which says what
// Alertmanager did with an alert before, or instead of, telling us.
//
// The format is protobuf's JSON of eventrecorder.proto; field names are read in both spellings that this allows. Events that
// say nothing about noise are passed over, and so are fields that are not known.
package amevents

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/portent-dev/portent/internal/noise"
)

// MaxEvents bounds the events of one body: Alertmanager sends 100 at a time unless told otherwise.
const MaxEvents = 10_000

// maxText bounds the texts that are kept, in bytes.
const maxText = 200

type (
	label  struct{ Key, Value string }
	labels struct{ Labels []label }
	alert  struct {
		Fingerprint json.Number // a string, as 64 bits are in protobuf's JSON
		Name        string
		Labels      labels
		StartsAt    string
	}
	muted struct {
		Fingerprint json.Number
		Labels      labels
	}
	matcher     struct{ Rendered string }
	inhibitRule struct {
		Name           string
		SourceMatchers []matcher
		TargetMatchers []matcher
	}
	silence struct {
		ID        string
		CreatedBy string
		Comment   string
	}
	event struct {
		Timestamp string `json:"@timestamp"`
		Instance  string
		Data      struct {
			AlertCreated      *struct{ Alert alert }
			SilenceMutedAlert *struct {
				Silence    silence
				MutedAlert muted
			}
			InhibitionMutedAlert *struct {
				InhibitRules []inhibitRule
				MutedAlert   muted
			}
			Notification *struct {
				GroupInfo struct {
					GroupID      string
					GroupKey     string
					ReceiverName string
				}
				FlushID     json.Number
				Integration struct {
					Name  string
					Index json.Number
				}
			}
		}
	}
)

// Decode reads a line or a body. It returns what counts, and how many events it read. The error says where the JSON is wrong.
func Decode(b []byte) (out []noise.Recorded, n int, err error) {
	b = bytes.TrimSpace(b)
	var events []event
	if len(b) > 0 && b[0] == '[' {
		err = json.Unmarshal(b, &events)
	} else {
		events = make([]event, 1)
		err = json.Unmarshal(b, &events[0])
	}
	if err != nil {
		return nil, 0, fmt.Errorf("no event of Alertmanager's event recorder: %w", err)
	}
	if len(events) > MaxEvents {
		return nil, 0, fmt.Errorf("got %d events, want %d at most: lower batch_max_events", len(events), MaxEvents)
	}
	for i := range events {
		at, err := time.Parse(time.RFC3339Nano, events[i].Timestamp)
		if err != nil {
			return nil, 0, errors.New("no event of Alertmanager's event recorder: @timestamp is no RFC 3339 time")
		}
		if r, ok := events[i].recorded(); ok {
			r.Day = at.UTC().Truncate(24 * time.Hour)
			out = append(out, r)
		}
	}
	return out, len(events), nil
}

// recorded is what an event says; ok is false when that is nothing about noise.
func (e event) recorded() (r noise.Recorded, ok bool) {
	switch d := e.Data; {
	case d.AlertCreated != nil:
		a := d.AlertCreated.Alert
		r = noise.Recorded{What: noise.Created, ID: id(a.Fingerprint) + "/" + short(a.StartsAt)}
		r.Rule, r.Team = rule(a.Labels), team(a.Labels)
	case d.SilenceMutedAlert != nil:
		m, s := d.SilenceMutedAlert.MutedAlert, d.SilenceMutedAlert.Silence
		r = noise.Recorded{What: noise.Silenced, ID: id(m.Fingerprint), Rule: rule(m.Labels), Team: team(m.Labels)}
		r.By = short(cmp.Or(s.Comment, s.ID) + " (" + s.CreatedBy + ")")
	case d.InhibitionMutedAlert != nil:
		m := d.InhibitionMutedAlert.MutedAlert
		r = noise.Recorded{What: noise.Inhibited, ID: id(m.Fingerprint), Rule: rule(m.Labels), Team: team(m.Labels)}
		if rs := d.InhibitionMutedAlert.InhibitRules; len(rs) > 0 {
			r.By = short(rs[0].String())
		}
	case d.Notification != nil:
		n := d.Notification
		r = noise.Recorded{What: noise.Delivered, By: short(n.GroupInfo.ReceiverName + "/" + n.Integration.Name)}
		r.ID = short(cmp.Or(n.GroupInfo.GroupID, n.GroupInfo.GroupKey) + "/" + n.FlushID.String() + "/" + n.Integration.Index.String() + "/" + e.Instance + "/" + e.Timestamp)
	default:
		return r, false
	}
	return r, true
}

// String names an inhibition rule as people know it: by its name, else by its matchers.
func (r inhibitRule) String() string {
	if r.Name != "" {
		return r.Name
	}
	text := func(ms []matcher) string {
		all := make([]string, len(ms))
		for i, m := range ms {
			all[i] = m.Rendered
		}
		return strings.Join(all, ", ")
	}
	return text(r.SourceMatchers) + " inhibits " + text(r.TargetMatchers)
}

// id is a fingerprint as Alertmanager's API writes it.
func id(n json.Number) string {
	v, err := strconv.ParseUint(n.String(), 10, 64)
	if err != nil {
		return short(n.String())
	}
	return fmt.Sprintf("%016x", v)
}

func rule(ls labels) string { return short(cmp.Or(ls.get("alertname"), "(no alertname)")) }

func team(ls labels) string {
	return short(cmp.Or(ls.get("team"), ls.get("owner"), ls.get("squad")))
}

func (ls labels) get(name string) string {
	for _, l := range ls.Labels {
		if l.Key == name {
			return l.Value
		}
	}
	return ""
}

func short(s string) string {
	if len(s) <= maxText {
		return s
	}
	cut := maxText
	for cut > 0 && s[cut]&0xc0 == 0x80 { // not within a rune
		cut--
	}
	return s[:cut]
}
