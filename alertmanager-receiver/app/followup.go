package app

import (
	"context"
	"time"

	"github.com/portent-dev/portent/internal/followup"
)

// newFollowUp makes what keeps incidents in step with their tickets.
func (a *App) newFollowUp() *followup.Watch {
	return followup.New(followup.Options{
		Store: a.db, Actions: a.runner, Trackers: a.trackers.targets, Now: time.Now,
		Interval: func() time.Duration { return time.Duration(a.server.settings.Load().config.FollowUp.Interval) },
		Logger:   a.log.With("component", "follow_up"), Registerer: a.reg,
	})
}

// followUp asks for tickets in one of the replicas at a time. In a replay nobody closes tickets.
func (a *App) followUp(ctx context.Context) error {
	if a.opts.ClockHeader != "" {
		<-ctx.Done()
		return nil
	}
	for ctx.Err() == nil {
		held, release, err := a.db.Lead(ctx, "follow_up")
		if err != nil {
			if ctx.Err() != nil {
				return nil //nolint:nilerr // asked to stop: what failed by it is no failure
			}
			return err
		}
		err = a.tickets.Run(held)
		release()
		if err != nil {
			return err
		}
	}
	return nil
}
