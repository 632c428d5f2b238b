package enrich

import (
	"context"
	"sync"
	"time"

	"github.com/portent-dev/portent/internal/incident"
)

// Lately is a Past that keeps what it read for a minute: in a storm hundreds of incidents open at once, and each looks
// through the same two thousand before it, which was a third of the receiver's processor time. It holds maxPast
// incidents without their alerts, some 2 MB. It is safe for concurrent use.
type Lately struct {
	past Past
	now  func() time.Time

	mu  sync.Mutex
	at  time.Time
	all []incident.Incident
}

var _ Past = (*Lately)(nil)

// lateAge is how old what is kept may be: an incident that ended since is missed by the next one only.
const lateAge = time.Minute

// NewLately returns a Lately that reads from past.
func NewLately(past Past, now func() time.Time) *Lately { return &Lately{past: past, now: now} }

// List returns all incidents that it keeps and that were between q.Since and q.Until; of q nothing else counts. There is no
// next page.
func (l *Lately) List(ctx context.Context, q incident.Query) (out []incident.Incident, next string, err error) {
	all, err := l.read(ctx)
	for _, i := range all {
		if i.StartedAt.Before(q.Until) && (i.EndedAt.IsZero() || !i.EndedAt.Before(q.Since)) {
			out = append(out, i)
		}
	}
	return out, "", err
}

// read returns what is kept, newest first; it is never changed. An error leaves what there was.
func (l *Lately) read(ctx context.Context) ([]incident.Incident, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	if !l.at.IsZero() && now.Sub(l.at) < lateAge {
		return l.all, nil
	}
	q := incident.Query{Since: now.Add(-lookBack), Limit: incident.MaxLimit, Brief: true}
	var all []incident.Incident
	for range maxPast / incident.MaxLimit {
		page, next, err := l.past.List(ctx, q)
		if err != nil {
			return l.all, err
		}
		all = append(all, page...)
		if next == "" {
			break
		}
		q.Cursor = next
	}
	l.at, l.all = now, all
	return all, nil
}
