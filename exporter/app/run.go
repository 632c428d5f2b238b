package app

import (
	"context"
	"errors"
	"sync"
	"time"
)

const (
	// tickEvery is how exactly the engine knows the time: staleness and the future are counted in minutes.
	tickEvery = time.Second
	// expireEvery bounds how late a series is forgotten. Each pass looks at every series.
	expireEvery = time.Minute
)

// Run serves until ctx ends, then lets requests in flight finish, writes the models to disk and returns.
func (a *App) Run(ctx context.Context) (err error) {
	defer func() { err = errors.Join(err, a.closeState()) }()
	if err := a.server.Listen(); err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var loops sync.WaitGroup
	var whole bool
	loops.Go(func() { a.tick(ctx) })
	loops.Go(func() { a.watchGroups(ctx) })
	loops.Go(func() {
		if whole = a.learn(ctx); whole {
			a.keep(ctx)
		}
	})
	a.startParts(ctx)
	err = a.server.Run(ctx) // returns when the last request has been answered
	stop()
	a.stopParts()
	loops.Wait()
	if !whole {
		a.logger.Warn("ended while reading the history: no snapshot is written, since models that know half of it would not learn the rest")
		return err
	}
	if err = errors.Join(err, a.save()); err == nil {
		a.logger.Info("ended", "models_kept", a.state != nil)
	}
	return err
}

// tick tells the engine the time and forgets what ended.
func (a *App) tick(ctx context.Context) {
	var c clock
	start := time.Now()
	expired := start
	t := time.NewTicker(tickEvery)
	defer t.Stop()
	for {
		now := time.Now()
		if jump := c.tick(now, now.Sub(start)); jump != 0 {
			a.clockJumps.Inc()
			a.logger.Warn("the clock of this machine jumped", "by", jump, "now", now.UTC(), "nothing_is_forgotten_for", jumpGrace)
		}
		e := a.gate.engine.Load()
		e.SetNow(now.UnixMilli())
		if now.Sub(expired) >= expireEvery && c.steady() && !a.learning.Load() {
			expired = now
			if n := e.Expire(now.UnixMilli()); n > 0 {
				a.logger.Debug("series forgotten", "count", n)
			}
		}
		select {
		case <-t.C:
		case <-ctx.Done():
			return
		}
	}
}

// learn reads the history, if any is known, and lets the live samples pass that were held meanwhile. It reports whether the
// models are whole, which they are not when ctx ended first.
func (a *App) learn(ctx context.Context) (whole bool) {
	if len(a.teachers) == 0 {
		return true
	}
	now := time.Now()
	for _, t := range a.teachers {
		from := now.Add(-time.Duration(a.reloader.Current().Backfill.Window))
		if a.restored.After(from) {
			from = a.restored
		}
		t.teach(ctx, from, now)
		if ctx.Err() != nil {
			return false
		}
	}
	a.gate.learnt.Store(now.UnixMilli())
	a.gate.release()
	a.learning.Store(false)
	a.backfills.running.Set(0)
	a.logSave(a.save())
	return true
}

// keep writes a snapshot now and then.
func (a *App) keep(ctx context.Context) {
	for {
		select {
		case <-time.After(time.Duration(a.reloader.Current().State.SnapshotInterval)):
			a.logSave(a.save())
		case <-ctx.Done():
			return
		}
	}
}

// save writes a snapshot, if the models are kept at all.
func (a *App) save() error {
	if a.state == nil {
		return nil
	}
	return errors.Join(a.state.save(a.gate.engine.Load()), a.state.saveGroups(a.groups.watch.Load()), a.savePatterns(), a.allow.save())
}

func (a *App) logSave(err error) {
	if err != nil {
		a.logger.Error("models not written to disk, the snapshot before stays", "err", err)
	}
}
