package app

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/tsdb/fileutil"

	"github.com/portent-dev/portent/internal/allowance"
	"github.com/portent-dev/portent/internal/detect"
	"github.com/portent-dev/portent/internal/ingest"
	"github.com/portent-dev/portent/internal/verdict"
	"github.com/portent-dev/portent/internal/web"
)

// Feedback says what verdicts of people do.
type Feedback struct {
	Step     float64        `yaml:"step"`
	Most     float64        `yaml:"most"`
	Least    float64        `yaml:"least"`
	HalfLife model.Duration `yaml:"half_life"`
}

// Maintenance says when much is allowed to whom.
type Maintenance struct {
	Factor  float64            `yaml:"factor"`
	Windows []ConfiguredWindow `yaml:"windows"`
}

// ConfiguredWindow is a window, once or again and again.
type ConfiguredWindow struct {
	Match  []string `yaml:"match"`
	Reason string   `yaml:"reason"`
	// Start and End are of a window that opens once, RFC 3339.
	Start string `yaml:"start"`
	End   string `yaml:"end"`
	// At and For are of one that recurs: a time of the day, and for how long.
	At       string         `yaml:"at"`
	For      model.Duration `yaml:"for"`
	Days     []string       `yaml:"days"`
	TimeZone string         `yaml:"time_zone"`
}

// Rollouts says how rollouts are found and what they explain.
type Rollouts struct {
	Factor float64        `yaml:"factor"`
	Lasts  model.Duration `yaml:"lasts"`
}

func defaultFeedback() Feedback {
	d := allowance.Defaults()
	return Feedback{Step: d.Step, Most: d.Most, Least: d.Least, HalfLife: model.Duration(time.Duration(d.HalfLifeMs) * time.Millisecond)}
}

func defaultMaintenance() Maintenance {
	return Maintenance{Factor: allowance.Defaults().Maintenance, Windows: []ConfiguredWindow{}}
}

func defaultRollouts() Rollouts {
	d := allowance.Defaults()
	return Rollouts{Factor: d.Rollout, Lasts: model.Duration(time.Duration(d.RolloutMs) * time.Millisecond)}
}

func (f *Feedback) validate() error {
	var errs []error
	check := func(ok bool, key, format string, args ...any) {
		if !ok {
			errs = append(errs, web.Invalid(key, fmt.Errorf(format, args...)))
		}
	}
	check(f.Step >= 1 && f.Step <= 2, "step", "must be 1 to 2, is %g", f.Step)
	check(f.Most >= 1 && f.Most <= 10, "most", "must be 1 to 10, is %g", f.Most)
	check(f.Least >= 0.5 && f.Least <= 1, "least", "must be 0.5 to 1, is %g", f.Least)
	check(time.Duration(f.HalfLife) >= time.Hour, "half_life", "must be at least 1h, is %s", f.HalfLife)
	return errors.Join(errs...)
}

func (m *Maintenance) validate() error {
	var errs []error
	if !(m.Factor >= 1 && m.Factor <= detect.MaxScore) {
		errs = append(errs, web.Invalid("factor", fmt.Errorf("must be 1 to %d, is %g", detect.MaxScore, m.Factor)))
	}
	for i := range m.Windows {
		_, err := m.Windows[i].window(i)
		errs = append(errs, web.Invalid(fmt.Sprintf("windows[%d]", i), keyed(err)))
	}
	return errors.Join(errs...)
}

func (r *Rollouts) validate() error {
	var errs []error
	if !(r.Factor >= 1 && r.Factor <= detect.MaxScore) {
		errs = append(errs, web.Invalid("factor", fmt.Errorf("must be 1 to %d, is %g", detect.MaxScore, r.Factor)))
	}
	if r.Lasts <= 0 || time.Duration(r.Lasts) > 24*time.Hour {
		errs = append(errs, web.Invalid("lasts", fmt.Errorf("must be above 0s and at most 1d, is %s", r.Lasts)))
	}
	return errors.Join(errs...)
}

// window returns the window that is meant. Errors begin with the key.
func (c *ConfiguredWindow) window(i int) (allowance.Window, error) {
	w := allowance.Window{ID: fmt.Sprintf("maintenance.windows[%d]", i), Match: c.Match, Reason: c.Reason, By: "configuration"}
	for _, t := range []struct {
		key, text string
		into      *int64
	}{{"start", c.Start, &w.Start}, {"end", c.End, &w.End}} {
		if t.text == "" {
			continue
		}
		at, err := time.Parse(time.RFC3339, t.text)
		if err != nil {
			return w, fmt.Errorf("%s: %q: want RFC 3339, as in 2026-03-01T12:00:00Z", t.key, t.text)
		}
		*t.into = at.UnixMilli()
	}
	if c.At != "" || c.For != 0 {
		every, err := c.every()
		if err != nil {
			return w, err
		}
		w.Every = every
	} else if len(c.Days) > 0 || c.TimeZone != "" {
		return w, errors.New("at: days and time_zone belong to a window that recurs: want at and for")
	}
	return w, w.Prepare()
}

func (c *ConfiguredWindow) every() (*allowance.Every, error) {
	at, err := time.Parse("15:04", c.At)
	if err != nil {
		return nil, fmt.Errorf("at: %q: want a time of the day such as 02:30", c.At)
	}
	e := &allowance.Every{Minute: at.Hour()*60 + at.Minute(), LengthMs: time.Duration(c.For).Milliseconds(), Zone: c.TimeZone}
	for _, name := range c.Days {
		day, ok := weekday(name)
		if !ok {
			return nil, fmt.Errorf("days: %q is no day of the week such as monday", name)
		}
		e.Days = append(e.Days, day)
	}
	return e, nil
}

func weekday(name string) (time.Weekday, bool) {
	for d := range time.Weekday(7) {
		if s := d.String(); len(name) >= 3 && len(name) <= len(s) && equalFold(name, s[:len(name)]) && (len(name) == 3 || len(name) == len(s)) {
			return d, true
		}
	}
	return 0, false
}

func equalFold(a, b string) bool {
	for i := range len(a) {
		if a[i]|0x20 != b[i]|0x20 {
			return false
		}
	}
	return len(a) == len(b)
}

// allowed returns the options of the book. The configuration is valid.
func (c *Config) allowed() (allowance.Options, []allowance.Window, error) {
	o := allowance.Options{
		Step: c.Feedback.Step, Most: c.Feedback.Most, Least: c.Feedback.Least, HalfLifeMs: time.Duration(c.Feedback.HalfLife).Milliseconds(),
		Maintenance: c.Maintenance.Factor, Rollout: c.Rollouts.Factor, RolloutMs: time.Duration(c.Rollouts.Lasts).Milliseconds(),
	}
	var windows []allowance.Window
	for i := range c.Maintenance.Windows {
		w, err := c.Maintenance.Windows[i].window(i)
		if err != nil {
			return o, nil, fmt.Errorf("maintenance.windows[%d]: %w", i, err)
		}
		windows = append(windows, w)
	}
	return o, windows, nil
}

// allowances keeps the book of what raises the bar, on disk and in use.
type allowances struct {
	book    *allowance.Book
	logger  *slog.Logger
	metrics *allowanceMetrics

	mu    sync.Mutex // of the file
	path  string     // "" = kept in memory only
	saved uint64     // allowance.Book.Changed of the file
}

// allowancesName is the file in the state directory.
const allowancesName = "allowances.json"

func (a *App) openAllowances() {
	x := &allowances{book: allowance.New(allowance.Defaults()), logger: a.component("allowances")}
	x.metrics = newAllowanceMetrics(a.reg, x.book)
	a.allow = x
}

// load reads what was kept. What cannot be read is set aside and said.
func (x *allowances) load(dir string) {
	x.path = filepath.Join(dir, allowancesName)
	data, err := os.ReadFile(x.path)
	if errors.Is(err, os.ErrNotExist) {
		return
	}
	if err == nil {
		err = x.book.Load(data)
	}
	if err != nil {
		x.metrics.errors.Inc()
		aside := fmt.Sprintf("%s.%d%s", x.path, time.Now().UnixMilli(), badSuffix)
		x.logger.Error("feedback, windows and rollouts are not read", "err", err, "kept_as", aside, "set_aside", os.Rename(x.path, aside))
	}
}

// save writes what is kept, whole or not at all, unless nothing has changed since the last time.
func (x *allowances) save() error {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.path == "" || x.book.Changed() == x.saved {
		return nil
	}
	err := x.write()
	if err != nil {
		x.metrics.errors.Inc()
		return fmt.Errorf("write %s: %w", allowancesName, err)
	}
	return nil
}

func (x *allowances) write() (err error) {
	data, changed, err := x.book.Save()
	if err != nil {
		return err
	}
	tmp := x.path + ".tmp"
	f, err := os.OpenFile(tmp, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		_ = os.Remove(tmp) // it takes room on a disk that may be full
		return err
	}
	if err := fileutil.Rename(tmp, x.path); err != nil { // atomic, and syncs the directory
		return err
	}
	x.saved = changed
	return nil
}

// adjust returns a visitor of the same series with the scores that are left after what is allowed.
func (x *allowances) adjust(each forEach, now int64) forEach {
	j := x.book.At(now)
	if j == nil {
		x.metrics.hold(map[allowance.Kind]int{})
		return each
	}
	return func(f func([]ingest.Label, detect.Output) bool) {
		held := map[allowance.Kind]int{}
		whole, view := true, verdict.View{Judge: j}
		each(func(labels []ingest.Label, o detect.Output) bool {
			s := view.Allow(labels, o)
			if o.Score > 1 && s.Out.Score <= 1 {
				held[s.Most]++
			}
			whole = f(labels, s.Out)
			return whole
		})
		if whole {
			x.metrics.hold(held)
		}
	}
}

// watch gives the samples that tell of rollouts to the book, before they are selected.
type rolloutTarget struct {
	next ingest.Target
	book *allowance.Book
	told prometheus.Counter
}

var _ ingest.Target = (*rolloutTarget)(nil)

func (t *rolloutTarget) Appender() ingest.Appender { return &rolloutAppender{t.next.Appender(), t} }

type rolloutAppender struct {
	ingest.Appender
	target *rolloutTarget
}

func (a *rolloutAppender) Append(labels []ingest.Label, kind ingest.Kind, samples []ingest.Sample) {
	for i := range labels {
		if labels[i].Name != ingest.MetricName {
			continue
		}
		if allowance.TellsRollouts(labels[i].Value) {
			for _, s := range samples {
				if a.target.book.See(labels, s.T, s.V) {
					a.target.told.Inc()
				}
			}
		}
		break
	}
	a.Appender.Append(labels, kind, samples)
}

type allowanceMetrics struct {
	feedback *prometheus.CounterVec
	rollouts prometheus.Counter
	errors   prometheus.Counter
	held     map[allowance.Kind]*atomic.Int64
}

func newAllowanceMetrics(reg prometheus.Registerer, book *allowance.Book) *allowanceMetrics {
	m := &allowanceMetrics{
		feedback: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: prefix + "feedback_total", Help: "Verdicts of people on anomalies: dismissed, confirmed, or one taken back (undone).",
		}, []string{"verdict"}),
		rollouts: prometheus.NewCounter(prometheus.CounterOpts{
			Name: prefix + "rollouts_total", Help: "Rollouts that were seen in the telemetry or told by a call.",
		}),
		errors: prometheus.NewCounter(prometheus.CounterOpts{
			Name: prefix + "allowances_errors_total", Help: "Times that feedback, windows and rollouts could not be read from or written to disk.",
		}),
		held: map[allowance.Kind]*atomic.Int64{},
	}
	for _, v := range []string{string(allowance.Dismissed), string(allowance.Confirmed), "undone"} {
		m.feedback.WithLabelValues(v)
	}
	reg.MustRegister(m.feedback, m.rollouts, m.errors)
	for _, k := range allowance.Kinds() {
		n := &atomic.Int64{}
		m.held[k] = n
		reg.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: prefix + "series_held_back", ConstLabels: prometheus.Labels{"reason": string(k)},
			Help: "Series that would have a score above 1, and have not because feedback, maintenance or a rollout raises their bar.",
		}, func() float64 { return float64(n.Load()) }))
	}
	gauge := func(name, help string, labels prometheus.Labels, f func(now int64) int) {
		reg.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: prefix + name, Help: help, ConstLabels: labels},
			func() float64 { return float64(f(time.Now().UnixMilli())) }))
	}
	const classes = "Classes of series whose bar feedback has raised or lowered."
	gauge("feedback_classes", classes, prometheus.Labels{"bar": "raised"}, func(now int64) int { n, _ := book.Raised(now); return n })
	gauge("feedback_classes", classes, prometheus.Labels{"bar": "lowered"}, func(now int64) int { _, n := book.Raised(now); return n })
	gauge("rollouts_active", "Rollouts that explain something now.", nil, book.Rollouts)
	gauge("maintenance_windows_open", "Maintenance windows that are open now.", nil, func(now int64) (n int) {
		_, open := book.Windows(now)
		for _, o := range open {
			if o {
				n++
			}
		}
		return n
	})
	return m
}

func (m *allowanceMetrics) hold(n map[allowance.Kind]int) {
	for k, v := range m.held {
		v.Store(int64(n[k]))
	}
}
