package triage

import (
	"crypto/sha256"
	"strconv"
	"strings"
	"time"

	"github.com/oklog/ulid/v2"
)

// place is where an alert belongs: the labels that say so, and their text, which
// the key of its incident begins with.
type place struct {
	key    string
	labels map[string]string
}

// place finds the place of an alert: everything of the scope, then namespace
// and service. An alert that has neither stands alone with its name. Nothing of
// Alertmanager's routing is in it: neither groupKey nor externalURL is stable.
func (c compiled) place(labels map[string]string) place {
	p := place{labels: map[string]string{}}
	var key []string
	take := func(as, label string) {
		key = append(key, as+"="+strconv.Quote(labels[label]))
		p.labels[as] = labels[label]
	}
	for _, l := range c.ScopeLabels {
		if labels[l] != "" {
			take(l, l)
		}
	}
	scope := len(key)
	for _, f := range []struct {
		as     string
		labels []string
	}{{"namespace", c.NamespaceLabels}, {"service", c.ServiceLabels}} {
		for _, l := range f.labels {
			if labels[l] != "" {
				take(f.as, l)
				break
			}
		}
	}
	if len(key) == scope {
		take("alertname", "alertname")
	}
	p.key = strings.Join(key, " ")
	return p
}

// newID makes the id of an incident: a ULID in lower case, which sorts by the
// start of the incident and is safe in labels, URLs and file names. Its random
// part is a hash of the key, the first alert and the incident which that alert
// was in before, if any, so that two processes that decide the same at once meet
// in the store and not in the tracker.
func newID(start time.Time, key, fingerprint, before string) string {
	sum := sha256.Sum256([]byte(key + "\x00" + fingerprint + "\x00" + strconv.FormatInt(start.UnixNano(), 10) + "\x00" + before))
	var id ulid.ULID
	if err := id.SetTime(uint64(max(0, start.UnixMilli()))); err != nil {
		panic("BUG: start of an incident: " + err.Error()) // the decoder bounds times
	}
	if err := id.SetEntropy(sum[:10]); err != nil {
		panic("BUG: " + err.Error())
	}
	return strings.ToLower(id.String())
}
