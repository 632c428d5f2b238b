package enrich_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/enrich"
	"github.com/portent-dev/portent/internal/incident"
)

// pager is a past in pages, which counts how often it is asked.
type pager struct {
	all   []incident.Incident
	err   error
	asked int
}

func (p *pager) List(_ context.Context, q incident.Query) ([]incident.Incident, string, error) {
	p.asked++
	from := 0
	if q.Cursor != "" {
		if _, err := fmt.Sscan(q.Cursor, &from); err != nil {
			return nil, "", err
		}
	}
	to := min(from+q.Limit, len(p.all))
	if to == len(p.all) {
		return p.all[from:to], "", p.err
	}
	return p.all[from:to], strconv.Itoa(to), p.err
}

func TestLatelyKeepsThePastForAMinute(t *testing.T) {
	now := noon
	p := &pager{}
	for i := range 3000 {
		p.all = append(p.all, incident.Incident{ID: strconv.Itoa(i), StartedAt: noon.Add(-time.Duration(i) * time.Minute), EndedAt: noon.Add(-time.Duration(i)*time.Minute + 30*time.Second)})
	}
	l := enrich.NewLately(p, func() time.Time { return now })
	list := func() []incident.Incident {
		found, next, err := l.List(t.Context(), incident.Query{Since: noon.Add(-5 * time.Hour), Until: noon.Add(-4 * time.Hour)})
		require.NoError(t, err)
		require.Empty(t, next)
		return found
	}
	require.Len(t, list(), 60, "those that had not ended before, and began before")
	require.Equal(t, 2, p.asked, "two thousand at most")
	now = now.Add(59 * time.Second)
	require.Len(t, list(), 60)
	require.Equal(t, 2, p.asked)

	now = now.Add(time.Second)
	p.err = errors.New("gone")
	found, _, err := l.List(t.Context(), incident.Query{Until: noon.Add(time.Hour)})
	require.ErrorContains(t, err, "gone")
	require.Len(t, found, 2000, "what was known is better than nothing")
	p.err = nil
	require.Len(t, list(), 60)
}
