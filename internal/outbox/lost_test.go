package outbox_test

import (
	"context"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/incident"
	"github.com/portent-dev/portent/internal/outbox"
	"github.com/portent-dev/portent/internal/ticket"
)

// When others may take what is in flight, its calls are broken off, and it is tried again.
func TestLostTasksAreBrokenOff(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		lost := make(chan struct{})
		var next atomic.Bool
		w, err := outbox.New(outbox.Options{
			Queue: r.store, Inbox: r.store, Trackers: map[string]ticket.Target{"jira": {Tracker: r.f, Name: "jira"}}, Logger: slog.New(slog.DiscardHandler),
			Registerer: prometheus.NewRegistry(), Lost: func() <-chan struct{} {
				if next.Load() {
					return nil
				}
				return lost
			},
		})
		require.NoError(t, err)
		r.f.delay = 20 * time.Second
		r.add("a", incident.TaskCreate)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- w.Run(ctx) }()
		<-time.After(time.Second)
		require.Len(t, r.tasks(outbox.StateInflight), 1)
		next.Store(true) // another session
		close(lost)
		<-time.After(50 * time.Millisecond)
		require.Len(t, r.tasks(outbox.StatePending), 1, "at once")
		r.drained(time.Minute)
		r.once("a")
		cancel()
		require.NoError(t, <-done)
	})
}
