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
func (a *App) followUp(ctx context.Context) error { return a.leading(ctx, "follow_up", a.tickets.Run) }

// ask asks people about drafts in one of the replicas at a time. In a replay nobody is asked.
func (a *App) ask(ctx context.Context) error { return a.leading(ctx, "ask", a.server.asker.run) }

// leading runs something while this replica is the one for it, and never in a replay.
func (a *App) leading(ctx context.Context, name string, run func(context.Context) error) error {
	if a.opts.ClockHeader != "" {
		<-ctx.Done()
		return nil
	}
	for ctx.Err() == nil {
		held, release, err := a.db.Lead(ctx, name)
		if err != nil {
			if ctx.Err() != nil {
				return nil //nolint:nilerr // asked to stop: what failed by it is no failure
			}
			return err
		}
		err = run(held)
		release()
		if err != nil {
			return err
		}
	}
	return nil
}
