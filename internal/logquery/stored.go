package logquery

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"
)

// Store is a system that keeps lines by time. Implementations are safe for concurrent
// use.
type Store interface {
	// Count returns how many lines of a part each stretch between two neighbouring
	// edges holds.
	Count(ctx context.Context, edges []time.Time, p Part) ([]float64, error)
	// Scan returns up to limit lines of a part, the oldest of the window, or the newest,
	// in order of time. It may give fewer when a limit of the store or of the context is
	// met, and then says so in Missing.
	Scan(ctx context.Context, w Window, limit int, maxBytes int64, p Part, newest bool) (Scanned, error)
	Narrow(f *Filter) Query
	Language() string
	// Executed returns the queries that ran since it was last called.
	Executed() []string
}

// Scanned is what Scan found.
type Scanned struct {
	Lines []Line
	Bytes int64
	More  bool     // there are more lines than the limit
	Cut   bool     // it stopped before the limit and the end of the window; Missing says why
	Notes []string // what is missing
}

// Stored makes a Source of a Store. When a window holds more lines than the limit, it
// is sampled in two strata: the lines that speak of an error, which get up to half of
// the limit and are mostly read whole, and the rest. A stratum that is too large is cut
// into time slices, of each of which the first lines are read, in proportion to how
// many it holds; each line then counts for as many as its slice has for each line
// read (stratified sampling: Cochran, "Sampling Techniques", 3rd ed. 1977, ch. 5).
type Stored struct{ Store }

var _ Source = Stored{}

const (
	// slicesOf a window are read each by itself when it is sampled.
	slicesOf = 60
	// scansAtOnce is a tenth of what a Loki lets one user have under way by default
	// (max_outstanding_per_tenant 2048, querier.max-concurrent 4 per process).
	scansAtOnce = 4
)

// Read reads a window.
func (s Stored) Read(ctx context.Context, w Window, l Limits, add func(Line)) (Read, error) {
	l, err := l.withDefaults()
	if err != nil {
		return Read{}, err
	}
	if w.IsZero() || !w.From.Before(w.To) {
		return Read{}, fmt.Errorf("window %s: want a start before its end", w)
	}
	w.From, w.To = w.From.Truncate(time.Millisecond), w.To.Truncate(time.Millisecond) // stores count in no finer steps
	ctx, cancel := context.WithTimeoutCause(ctx, l.Time, errTimeLimit)
	defer cancel()
	r := reading{Stored: s, w: w, l: l, add: add, out: Read{Window: w}}
	err = r.run(ctx)
	r.out.Queries = s.Executed()
	if err != nil {
		return r.out, err
	}
	slices.Sort(r.out.Partial)
	r.out.Partial = slices.Compact(r.out.Partial)
	return r.out, nil
}

// timeLimitError is the end of Limits.Time.
type timeLimitError struct{}

func (timeLimitError) Error() string { return "the time limit for reading is over" }

var errTimeLimit error = timeLimitError{}

// reading is one Read under way.
type reading struct {
	Stored
	w   Window
	l   Limits
	add func(Line)
	out Read
}

func (r *reading) run(ctx context.Context) error {
	edges := edgesOf(r.w)
	total, err := r.Count(ctx, edges, All)
	if err != nil {
		return r.newest(ctx, err)
	}
	sum := sumOf(total)
	r.out.Of = int64(sum)
	if sum <= float64(r.l.Lines) {
		return r.whole(ctx, All, sum, r.l.Lines)
	}
	bad, err := r.Count(ctx, edges, Errors)
	if err != nil { // the predicate may be too much for the store
		r.out.Sampled = sampledText(float64(r.l.Lines), sum, 0, 0)
		return r.sample(ctx, All, edges, total, r.l.Lines)
	}
	rest := make([]float64, len(total))
	for i := range rest {
		rest[i] = max(0, total[i]-bad[i])
	}
	errorBudget := int(min(sumOf(bad), float64(r.l.Lines)/2))
	r.out.Sampled = sampledText(float64(r.l.Lines), sum, float64(errorBudget), sumOf(bad))
	if err := r.stratum(ctx, Errors, edges, bad, errorBudget); err != nil {
		return err
	}
	return r.stratum(ctx, Others, edges, rest, r.l.Lines-errorBudget)
}

func sampledText(n, of, errorN, errorOf float64) string {
	text := fmt.Sprintf("about %.0f of %.0f lines were read, from the beginning of each of %d slices of the window; counts are scaled to all", n, of, slicesOf)
	switch {
	case errorOf == 0:
	case errorN >= errorOf:
		text += fmt.Sprintf("; all %.0f lines that speak of an error are among them", errorOf)
	default:
		text += fmt.Sprintf("; %.0f of them from the %.0f lines that speak of an error", errorN, errorOf)
	}
	return text
}

func (r *reading) stratum(ctx context.Context, p Part, edges []time.Time, counts []float64, budget int) error {
	switch sum := sumOf(counts); {
	case sum == 0 || budget == 0:
		return nil
	case sum <= float64(budget):
		return r.whole(ctx, p, sum, budget)
	}
	return r.sample(ctx, p, edges, counts, budget)
}

// whole reads all lines of a part. Lines that came since they were counted may make it
// more than the limit.
func (r *reading) whole(ctx context.Context, p Part, counted float64, limit int) error {
	s, err := r.Scan(ctx, r.w, limit, r.l.Bytes-r.out.Bytes, p, false)
	if err != nil {
		return r.failed(ctx, err)
	}
	r.take(s, 1)
	if !s.Cut && !s.More { // what was read is surer than what was counted: it may be milliseconds off at the edges
		r.out.Of += int64(len(s.Lines)) - int64(counted)
		counted = float64(len(s.Lines))
	}
	r.out.total[p] += max(counted, float64(len(s.Lines)))
	if s.Cut && counted > float64(len(s.Lines)) && len(s.Lines) > 0 {
		r.out.Partial = append(r.out.Partial, fmt.Sprintf("%d of %.0f lines were read, the oldest", len(s.Lines), counted))
		r.out.Truncated = true
	}
	return nil
}

// sample reads the first lines of each slice, several slices side by side.
func (r *reading) sample(ctx context.Context, p Part, edges []time.Time, counts []float64, budget int) error {
	total := sumOf(counts)
	got := make([]Scanned, len(counts))
	errs := make([]error, len(counts))
	bytes := (r.l.Bytes - r.out.Bytes) / int64(len(counts))
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(scansAtOnce)
	for i, n := range counts {
		if n == 0 {
			continue
		}
		want := max(1, int(math.Round(n/total*float64(budget))))
		g.Go(func() error {
			got[i], errs[i] = r.Scan(gctx, Window{edges[i], edges[i+1]}, want, max(bytes, 64<<10), p, false)
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	missing, read := 0.0, 0
	for i, n := range counts {
		if n == 0 {
			continue
		}
		k := float64(len(got[i].Lines))
		if k == 0 {
			missing += n
			continue
		}
		read++
		r.take(got[i], max(1, n/k))
		r.out.total[p] += max(n, k)
	}
	if err := firstError(errs); err != nil {
		if read == 0 {
			return r.failed(ctx, err)
		}
		r.out.Partial = append(r.out.Partial, fmt.Sprintf("slices of the window with %.0f lines were not read: %v", missing, causeOf(ctx, err)))
	}
	return nil
}

// newest reads the newest lines of a store that cannot say how many there are.
func (r *reading) newest(ctx context.Context, why error) error {
	if hopeless(why) {
		return r.failed(ctx, why)
	}
	s, err := r.Scan(ctx, r.w, r.l.Lines, r.l.Bytes, All, true)
	if err != nil {
		return r.failed(ctx, err)
	}
	r.take(s, 1)
	r.out.total[All] = float64(len(s.Lines))
	if s.More || s.Cut {
		r.out.Truncated = true
		r.out.Partial = append(r.out.Partial, fmt.Sprintf("how many lines there are is not known (%v): the newest %d were read", causeOf(ctx, why), len(s.Lines)))
		if len(s.Lines) > 0 {
			r.out.Window.From = s.Lines[0].Time
		}
	}
	return nil
}

// take hands lines on.
func (r *reading) take(s Scanned, weight float64) {
	for i := range s.Lines {
		s.Lines[i].Weight = weight
		r.out.read[s.Lines[i].Part]++
		r.add(s.Lines[i])
	}
	r.out.Lines += int64(len(s.Lines))
	r.out.Bytes += s.Bytes
	r.out.Partial = append(r.out.Partial, s.Notes...)
}

// failed makes the end of the time limit a limit rather than a failure where something
// was read already.
func (r *reading) failed(ctx context.Context, err error) error {
	err = causeOf(ctx, err)
	if r.out.Lines > 0 && !hopeless(err) {
		r.out.Partial = append(r.out.Partial, "not everything was read: "+err.Error())
		r.out.Truncated = true
		return nil
	}
	return err
}

// hopeless reports whether asking in another way would not help.
func hopeless(err error) bool {
	c := cmp.Or(reasonOf(err), "")
	switch c {
	case "canceled", "unauthorized", "forbidden", "not_found", "bad_data", "down":
		return true
	}
	return false
}

func firstError(errs []error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// causeOf tells the end of a context by its cause.
func causeOf(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// edgesOf cuts a window at whole multiples of a readable step, so that a store that
// aligns steps gives the same; the first and the last stretch may be shorter.
func edgesOf(w Window) []time.Time {
	step := stepFor(w, slicesOf)
	edges := []time.Time{w.From}
	for t := w.From.Truncate(step).Add(step); t.Before(w.To); t = t.Add(step) {
		edges = append(edges, t)
	}
	return append(edges, w.To)
}

func sumOf(of []float64) (sum float64) {
	for _, n := range of {
		sum += n
	}
	return sum
}
