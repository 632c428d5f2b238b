package promquery

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/portent-dev/portent/internal/promapi"
)

// How a backfill reads.
const (
	// slicePoints is how many points of each series one answer holds at most: well
	// below promapi.MaxPoints, so that a query of the default cap stays within the
	// default bytes (1,000 series × 1,000 points × some 30 bytes).
	slicePoints = 1000
	// backfillAttempts is how often a stretch is asked for when the server is down or
	// slow, with pauses of 1, 2, 4, 8 and 16 s in between: half a minute, in which a
	// Prometheus restarts.
	backfillAttempts = 6
	firstPause       = time.Second
)

// Backfill evaluates every query over the past, from after from up to and including
// to, at the very times that Run would have, so that the target knows the series
// when Run begins. Time goes forward over all queries together: each stretch is read
// of every query before the next one.
//
// progress is called from this goroutine, with the number of stretches done and of
// all. A query that cannot be evaluated is left out from there on; the error says
// which and why, and what the other queries gave was taken.
func (s *Source) Backfill(ctx context.Context, from, to time.Time, progress func(done, total int)) error {
	if len(s.queries) == 0 || !from.Before(to) {
		return nil
	}
	stretch := time.Duration(s.queries[0].Interval)
	for _, q := range s.queries {
		stretch = min(stretch, time.Duration(q.Interval))
	}
	stretch *= slicePoints
	slices := int((to.Sub(from) + stretch - 1) / stretch)
	total, done := slices*len(s.queries), 0
	failed := make(map[*query]error)
	for start := from; start.Before(to); start = start.Add(stretch) {
		end := start.Add(stretch)
		if end.After(to) {
			end = to
		}
		for _, q := range s.queries {
			if failed[q] == nil {
				failed[q] = q.backfill(ctx, start, end)
			}
			if ctx.Err() != nil {
				return fmt.Errorf("backfill stopped after %d of %d stretches: %w", done, total, ctx.Err())
			}
			done++
			progress(done, total)
		}
	}
	var errs []error
	for _, q := range s.queries {
		if err := failed[q]; err != nil {
			errs = append(errs, fmt.Errorf("backfill of query %s: %w", q.Name, err))
		}
	}
	return errors.Join(errs...)
}

// backfill reads one stretch, in halves when the server or the bounds want it.
func (q *query) backfill(ctx context.Context, from, to time.Time) error {
	interval := time.Duration(q.Interval)
	first := from.Truncate(interval).Add(interval) // after from
	last := to.Truncate(interval)
	if last.Before(first) {
		return nil
	}
	err := q.readRange(ctx, first, last)
	if points := int(last.Sub(first)/interval) + 1; points > 1 && tooMuch(err) {
		middle := first.Add(interval * time.Duration(points/2-1))
		return errors.Join(q.backfill(ctx, from, middle), q.backfill(ctx, middle, to))
	}
	return err
}

// tooMuch reports whether a shorter stretch may succeed.
func tooMuch(err error) bool {
	switch promapi.ReasonOf(err) {
	case promapi.ReasonTooLarge, promapi.ReasonExecution, promapi.ReasonTimeout:
		return true
	default:
		return false
	}
}

// readRange reads [first, last], and tries again while the server is away.
func (q *query) readRange(ctx context.Context, first, last time.Time) error {
	pause := firstPause
	for attempt := 1; ; attempt++ {
		answer, err := q.api.QueryRange(ctx, q.Expr, promapi.Range{Start: first, End: last, Step: time.Duration(q.Interval)}, 0)
		if err == nil {
			var r result
			if r, err = q.result(answer.Value); err == nil {
				q.takeRange(r)
				return nil
			}
		}
		if !transient(err) || attempt == backfillAttempts {
			return err
		}
		q.metrics.failures[promapi.ReasonOf(err)].Inc()
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		}
		pause *= 2
	}
}

// transient reports whether a failure may pass by itself.
func transient(err error) bool {
	switch promapi.ReasonOf(err) {
	case promapi.ReasonDown, promapi.ReasonTooMany, promapi.ReasonServer:
		return true
	default:
		return false
	}
}

// takeRange hands a stretch on. Series that come and go in it are left to the
// target: a gap in the past is no end that anyone waits for.
func (q *query) takeRange(r result) {
	app := q.target.Appender()
	for _, s := range q.limit(r) {
		app.Append(s.labels, s.kind, s.samples)
	}
	q.counters.Add(app.Commit())
}
