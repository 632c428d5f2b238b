package app

import (
	"math"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/portent-dev/portent/internal/detect"
	"github.com/portent-dev/portent/internal/ingest"
	"github.com/portent-dev/portent/internal/preset"
)

// Bounds of what is remembered of limits that other series tell.
const (
	mostLimits = 100_000
	// limitHolds is for how long a limit counts after its newest sample: longer than any scrape interval, and shorter than it takes
	// for a pod of the same name to have another one.
	limitHolds = int64(3_600_000) // ms
)

// limitsFrom remembers the values of the series that tell the limits of others (limit_of), such as the memory limit of a container.
// They are taken before it is decided which series are scored, since they are constants that nobody scores. It is safe for
// concurrent use.
type limitsFrom struct {
	set     atomic.Pointer[preset.Set]
	leftOut prometheus.Counter

	mu   sync.Mutex
	seen map[limitKey]toldLimit
}

// limitKey is what a limit is of: a class, and the values of the labels that both series have.
type limitKey struct {
	class  int
	values string
}

type toldLimit struct {
	value float64
	at    int64 // of its sample, Unix ms
}

func newLimitsFrom(reg prometheus.Registerer) *limitsFrom {
	l := &limitsFrom{
		seen: map[limitKey]toldLimit{},
		leftOut: prometheus.NewCounter(prometheus.CounterOpts{
			Name: prefix + "limits_left_out_total", Help: "Samples of limits (limit_of) that found no room among those that are remembered.",
		}),
	}
	reg.MustRegister(l.leftOut, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: prefix + "limits", Help: "Limits of series (limit_of) that other series have told.",
	}, func() float64 {
		l.mu.Lock()
		defer l.mu.Unlock()
		return float64(len(l.seen))
	}))
	return l
}

// target returns a target that hands everything on to next and remembers the limits among it.
func (l *limitsFrom) target(next ingest.Target) ingest.Target { return &limitsTarget{next, l} }

type limitsTarget struct {
	next   ingest.Target
	limits *limitsFrom
}

var _ ingest.Target = (*limitsTarget)(nil)

func (t *limitsTarget) Appender() ingest.Appender {
	return &limitsAppender{t.next.Appender(), t.limits, t.limits.set.Load()}
}

type limitsAppender struct {
	ingest.Appender
	limits *limitsFrom
	set    *preset.Set
}

func (a *limitsAppender) Append(labels []ingest.Label, kind ingest.Kind, samples []ingest.Sample) {
	if a.set != nil && len(samples) > 0 {
		for _, class := range a.set.LimitsToldBy(labels) {
			a.limits.take(limitKey{class, a.set.LimitOn(class, labels)}, samples[len(samples)-1])
		}
	}
	a.Appender.Append(labels, kind, samples)
}

// take remembers a limit. A value that is none, as 0 and -1 are where there is no limit, and a stale marker forget it.
func (l *limitsFrom) take(key limitKey, s ingest.Sample) {
	l.mu.Lock()
	defer l.mu.Unlock()
	old, known := l.seen[key]
	switch {
	case known && s.T < old.at:
	case !(s.V > 0) || math.IsInf(s.V, 0):
		delete(l.seen, key)
	case !known && len(l.seen) >= mostLimits:
		l.leftOut.Inc()
	case known:
		l.seen[key] = toldLimit{s.V, s.T}
	default:
		key.values = strings.Clone(key.values)
		l.seen[key] = toldLimit{s.V, s.T}
	}
}

// use makes the rules of a set those that hold. Limits of other rules are forgotten.
func (l *limitsFrom) use(set *preset.Set) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.set.Store(set)
	clear(l.seen)
}

// expire forgets the limits that were told long before now (Unix ms).
func (l *limitsFrom) expire(now int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for key, x := range l.seen {
		if now-x.at > limitHolds {
			delete(l.seen, key)
		}
	}
}

// limitOf returns the limit of a series: what another series tells, or else the constant of its class.
func (l *limitsFrom) limitOf(labels []ingest.Label, o detect.Output, class func(detect.Output) detect.Class) (limit float64, known bool) {
	if o.Class == 0 {
		return 0, false
	}
	if set := l.set.Load(); set != nil && set.HasLimitOf(int(o.Class)-1) {
		key := limitKey{int(o.Class) - 1, set.LimitOn(int(o.Class)-1, labels)}
		l.mu.Lock()
		x, ok := l.seen[key]
		l.mu.Unlock()
		if ok {
			return x.value, true
		}
	}
	if c := class(o).Limit; c != nil {
		return *c, true
	}
	return 0, false
}

// told returns the limits that are known, lowest first, for tests.
func (l *limitsFrom) told() (values []float64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, x := range l.seen {
		values = append(values, x.value)
	}
	slices.Sort(values)
	return values
}
