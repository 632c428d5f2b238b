package incidenttest

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/incident"
)

func note(n int) incident.Notification {
	return incident.Notification{Source: incident.SourceAlertmanager, ReceivedAt: minute(n), Body: fmt.Appendf(nil, `{"n":%d}`, n)}
}

func put(t *testing.T, s Stores, ns ...incident.Notification) {
	t.Helper()
	require.NoError(t, s.Inbox.Put(t.Context(), ns...))
}

func next(t *testing.T, s Stores, limit int) []incident.Notification {
	t.Helper()
	ns, err := s.Inbox.Next(t.Context(), limit)
	require.NoError(t, err)
	return ns
}

func pending(t *testing.T, s Stores) int {
	t.Helper()
	n, err := s.Inbox.Pending(t.Context())
	require.NoError(t, err)
	return n
}

func apply(t *testing.T, s Stores, c incident.Change) {
	t.Helper()
	require.NoError(t, s.Store.Apply(t.Context(), c))
}

func inboxOrder(t *testing.T, s Stores) {
	require.NoError(t, s.Inbox.Put(t.Context()), "nothing")
	require.Empty(t, next(t, s, 10))
	a := note(1)
	a.Clock = minute(-5)
	put(t, s, a, note(2))
	put(t, s, note(3))
	require.Equal(t, 3, pending(t, s))

	ns := next(t, s, 2)
	require.Len(t, ns, 2)
	require.Len(t, next(t, s, 2), 2, "reading does not take")
	want := a
	want.ID, want.Digest = ns[0].ID, incident.BodyDigest(a)
	require.Equal(t, want, ns[0])
	require.True(t, ns[1].Clock.IsZero())
	require.Less(t, ns[0].ID, ns[1].ID)

	apply(t, s, incident.Change{Done: []int64{ns[0].ID}})
	require.Equal(t, 2, pending(t, s))
	require.Equal(t, ns[1].ID, next(t, s, 1)[0].ID)

	err := s.Store.Apply(t.Context(), incident.Change{Done: []int64{ns[0].ID}})
	require.ErrorIs(t, err, incident.ErrConflict, "a notification is processed once")
	err = s.Store.Apply(t.Context(), incident.Change{Done: []int64{ns[1].ID, 1 << 40}})
	require.ErrorIs(t, err, incident.ErrConflict)
	require.Equal(t, 2, pending(t, s), "nothing was written")
}

func inboxDuplicates(t *testing.T, s Stores) {
	put(t, s, note(1), note(1))
	again := note(1)
	again.ReceivedAt, again.Clock = minute(9), minute(9)
	put(t, s, again)
	require.Equal(t, 1, pending(t, s), "an equal body that waits is stored once")

	other := note(1)
	other.Source = "kubernetes"
	put(t, s, other)
	require.Equal(t, 2, pending(t, s), "from another source it is another")

	ns := next(t, s, 2)
	apply(t, s, incident.Change{Done: []int64{ns[0].ID, ns[1].ID}})
	put(t, s, again)
	require.Equal(t, 1, pending(t, s), "once processed, the same body says something new: still so")
}

func inboxConcurrent(t *testing.T, s Stores) {
	const writers, each = 16, 20
	var wg sync.WaitGroup
	errs := make(chan error, writers*each)
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				errs <- s.Inbox.Put(t.Context(), note(w*each+i))
			}
		})
	}
	// Meanwhile the other writer works.
	require.Eventually(t, func() bool { return pending(t, s) >= 10 }, time.Minute, time.Millisecond)
	apply(t, s, incident.Change{Incidents: []incident.Incident{NewIncident(1)}})
	wg.Wait()
	close(errs)
	for err := range errs {
		require.NoError(t, err)
	}
	require.Equal(t, writers*each, pending(t, s))
	ids := map[int64]bool{}
	for _, n := range next(t, s, 1000) {
		ids[n.ID] = true
	}
	require.Len(t, ids, writers*each)
}

func inboxAside(t *testing.T, s Stores) {
	put(t, s, note(1), note(2))
	ns := next(t, s, 2)
	apply(t, s, incident.Change{Done: []int64{ns[0].ID}, Aside: map[int64]string{ns[1].ID: "cannot be read"}})
	require.Zero(t, pending(t, s))
	require.NoError(t, s.Inbox.Refuse(t.Context(), note(3), "version 7"))
	require.Zero(t, pending(t, s))

	aside, err := s.Inbox.Aside(t.Context(), 10)
	require.NoError(t, err)
	require.Len(t, aside, 2)
	require.Equal(t, "version 7", aside[0].Reason)
	require.Equal(t, note(3).Body, aside[0].Body)
	require.Equal(t, "cannot be read", aside[1].Reason)
	require.Equal(t, ns[1], aside[1].Notification)
}

func inboxReopen(t *testing.T, s Stores) {
	put(t, s, note(1))
	apply(t, s, incident.Change{Incidents: []incident.Incident{NewIncident(1)}, Tasks: []incident.Task{NewTask(NewIncident(1).ID, "jira", incident.TaskCreate)}})
	s = s.Reopen()
	require.Equal(t, 1, pending(t, s))
	got, err := s.Store.Get(t.Context(), NewIncident(1).ID)
	require.NoError(t, err)
	require.Equal(t, int64(1), got.Version)
	require.Len(t, claim(t, s, "jira", 0, 10), 1)
}
