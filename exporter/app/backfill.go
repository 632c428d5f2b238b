package app

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/promql/parser"

	"github.com/portent-dev/portent/internal/ingest"
)

const (
	// minChunk is what a chunk shrinks to when queries fail, which they do if the answer is over a limit of the server.
	minChunk = time.Minute
	// Waits between attempts.
	minRetry = time.Second
	maxRetry = 30 * time.Second
)

// history is where the past comes from.
type history interface {
	// query evaluates a range selector at a time, or with a step an instant selector over a range, and returns the samples by
	// series. It is bounded in time and in bytes.
	query(ctx context.Context, q historyQuery) (model.Matrix, error)
	// externalLabels returns the labels that live samples have and the answers of query lack.
	externalLabels(ctx context.Context) (map[string]string, error)
	// kinds returns what is known of metrics, by name.
	kinds(ctx context.Context) (map[string]ingest.Kind, error)
}

// historyQuery asks for the samples of a selector after from, up to and including to.
type historyQuery struct {
	selector parser.VectorSelector
	from, to time.Time
	step     time.Duration // 0 = the samples as they were scraped
}

// backfill teaches the models from the history of a Prometheus, oldest first, so that a new exporter scores at once.
type backfill struct {
	config   Backfill
	source   history
	target   ingest.Target
	counters *ingest.Counters
	expire   func(ms int64) // forgets what ended long before a time of the history
	failures prometheus.Counter
	logger   *slog.Logger

	external map[string]string      // added to each series that lacks the label
	kinds    map[string]ingest.Kind // of metrics, by name
}

// run reads the history after from, up to and including to, and tells the part that is done. It returns an error when it gave
// up, after give_up_after without progress, or when ctx ended; what was read by then stays learnt.
func (b *backfill) run(ctx context.Context, from, to time.Time, progress func(done float64)) error {
	from, to = from.Truncate(time.Millisecond), to.Truncate(time.Millisecond) // as exact as PromQL is
	selectors := make([]parser.VectorSelector, len(b.config.Selectors))
	for i, s := range b.config.Selectors {
		m, err := parseSelector(s)
		if err != nil {
			return err
		}
		selectors[i] = parser.VectorSelector{LabelMatchers: m}
	}
	b.readExternal(ctx)
	b.readKinds(ctx)
	samples := 0
	chunk := time.Duration(b.config.Chunk)
	for t := from; t.Before(to); {
		n, end, err := b.chunk(ctx, selectors, t, to, &chunk)
		samples += n
		if err != nil {
			return fmt.Errorf("after %d samples up to %s: %w", samples, t.UTC().Format(time.RFC3339), err)
		}
		t = end
		b.expire(t.UnixMilli())
		progress(float64(t.Sub(from)) / float64(to.Sub(from)))
	}
	return nil
}

// readExternal learns the external labels, unless they are configured. A source that does not tell them has none, or they must
// be configured.
func (b *backfill) readExternal(ctx context.Context) {
	if b.external = b.config.ExternalLabels; b.external != nil {
		return
	}
	var err error
	if b.external, err = b.source.externalLabels(ctx); err != nil {
		b.logger.Warn("external labels are not known: if live samples carry any, set backfill.external_labels", "err", err)
	}
}

// readKinds learns which metrics are counters, as live samples of remote write 2.0 tell. Where nobody tells, names do.
func (b *backfill) readKinds(ctx context.Context) {
	var err error
	if b.kinds, err = b.source.kinds(ctx); err != nil {
		b.logger.Warn("types of metrics are not known: counters are told by their names", "err", err)
	}
}

func (b *backfill) kind(name string) ingest.Kind {
	if k := b.kinds[name]; k != ingest.KindUnknown {
		return k
	}
	return ingest.KindOf(name)
}

// chunk reads the samples between from and at most from plus size, of all selectors, and returns where it ended. A failure is
// tried again, over a shorter time.
func (b *backfill) chunk(ctx context.Context, selectors []parser.VectorSelector, from, most time.Time, size *time.Duration) (samples int, end time.Time, err error) {
	giveUp := time.Now().Add(time.Duration(b.config.GiveUp))
	wait := minRetry
	for {
		if end = from.Add(*size); end.After(most) {
			end = most
		}
		samples, err = b.read(ctx, selectors, from, end)
		if err == nil {
			return samples, end, nil
		}
		if ctx.Err() != nil {
			return samples, end, ctx.Err()
		}
		b.failures.Inc()
		if time.Now().Add(wait).After(giveUp) {
			return samples, end, fmt.Errorf("no answer for %s: %w", b.config.GiveUp, err)
		}
		*size = max(*size/2, min(minChunk, *size))
		b.logger.Warn("backfill query failed, trying again over a shorter time", "err", err, "chunk", *size, "wait", wait)
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return samples, end, ctx.Err()
		}
		wait = min(2*wait, maxRetry)
	}
}

func (b *backfill) read(ctx context.Context, selectors []parser.VectorSelector, from, to time.Time) (samples int, err error) {
	// All answers are there before any is handed on: a chunk that is read again must not have been taken by half, for its
	// first half would then be out of order.
	var parts []model.Matrix
	for _, s := range selectors {
		m, err := b.source.query(ctx, historyQuery{s, from, to, time.Duration(b.config.Step)})
		if err != nil {
			return 0, err
		}
		parts = append(parts, m)
	}
	var seen map[string]bool // a second selector may match what a first one did
	if len(parts) > 1 {
		seen = map[string]bool{}
	}
	for _, m := range parts {
		samples += b.take(m, seen)
	}
	return samples, nil
}

// take hands the series of one answer on, but those that were seen, if seen is not nil.
func (b *backfill) take(m model.Matrix, seen map[string]bool) (samples int) {
	app := b.target.Appender()
	var ls []ingest.Label
	var ss []ingest.Sample
	for _, s := range m {
		name := string(s.Metric[model.MetricNameLabel])
		if ingest.OwnOutput(name) {
			b.counters.Reject(ingest.ReasonOwnOutput, len(s.Values))
			continue
		}
		if seen != nil {
			key := s.Metric.String()
			if seen[key] {
				continue
			}
			seen[key] = true
		}
		ls, ss = ls[:0], ss[:0]
		for n, v := range b.external {
			if _, ok := s.Metric[model.LabelName(n)]; !ok && v != "" { // as Prometheus does it
				ls = append(ls, ingest.Label{Name: n, Value: v})
			}
		}
		for n, v := range s.Metric {
			if v != "" {
				ls = append(ls, ingest.Label{Name: string(n), Value: string(v)})
			}
		}
		slices.SortFunc(ls, func(a, b ingest.Label) int { return strings.Compare(a.Name, b.Name) })
		for _, p := range s.Values {
			ss = append(ss, ingest.Sample{T: int64(p.Timestamp), V: float64(p.Value)})
		}
		app.Append(ls, b.kind(name), ss)
		samples += len(ss)
	}
	b.counters.Add(app.Commit())
	return samples
}
