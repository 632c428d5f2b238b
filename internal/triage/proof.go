package triage

import (
	"time"

	"github.com/portent-dev/portent/internal/incident"
)

// maxProof bounds the alerts in the record of one judgement about an incident: there are several in its life, and the one
// about its ticket names more.
const maxProof = 5

// proof names the alerts that a judgement rests on, with their queries and why they are where they are, for the audit
// chain: the first of those that count, and how many they were when that is more. nil counts all.
func proof(ks []*known, counts func(*known) bool) map[string]any {
	alerts, n := make([]map[string]string, 0, min(len(ks), maxProof)), 0
	for _, k := range ks {
		if counts != nil && !counts(k) {
			continue
		}
		if n++; n > maxProof {
			continue
		}
		e := map[string]string{"fingerprint": k.Fingerprint, "alertname": k.Name(), "startsAt": k.StartsAt.Format(time.RFC3339Nano)}
		if q := query(k.GeneratorURL); q != "" {
			e["query"] = q
		}
		if k.Why != "" {
			e["why"] = k.Why
		}
		alerts = append(alerts, e)
	}
	return map[string]any{"alerts": alerts, "of": n}
}

func fires(k *known) bool { return k.Status == incident.AlertFiring }

// Version names what a valid policy says, as records of the audit chain do.
func (p Policy) Version() (string, error) {
	c, err := p.compile()
	return c.version, err
}
