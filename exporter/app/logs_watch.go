package app

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/portent-dev/portent/internal/alertpush"
	"github.com/portent-dev/portent/internal/detect"
	"github.com/portent-dev/portent/internal/ingest"
	"github.com/portent-dev/portent/internal/ingest/kubehttp"
	"github.com/portent-dev/portent/internal/loghistory"
	"github.com/portent-dev/portent/internal/logwatch"
)

// watchEvery is how often findings are looked for: a new error is told this long after
// its line came, at most.
const watchEvery = 10 * time.Second

// rateMetric names the series of a pattern's rate in the engine.
const rateMetric = "log_pattern_lines_per_minute"

// toldKey tells findings apart.
type toldKey struct {
	stream, id string
	kind       logwatch.Kind
	since      int64
}

// findings returns the findings that the rules let through, with the ids and names that
// the rules give. The caller holds mu.
func (l *logs) findings(nowMs int64) []logwatch.Finding {
	all := l.watch.Findings(nowMs)
	out := all[:0]
	for _, f := range all {
		rule, ok := l.rules.Rule(f.ID)
		for _, id := range l.watch.Aliases(f.Stream, f.ID) {
			if !ok {
				rule, ok = l.rules.Rule(id)
			}
		}
		if ok && rule.Ignore {
			continue
		}
		out = append(out, f)
	}
	return out
}

// step looks at the patterns, keeps first sights, and returns what is to be told.
func (l *logs) step() ([]alertpush.Alert, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.look()
	now := l.now()
	findings := l.findings(now.UnixMilli())
	current := map[toldKey]bool{}
	var alerts []alertpush.Alert
	for i := range findings {
		f := &findings[i]
		key := toldKey{f.Stream, f.ID, f.Kind, f.SinceMs}
		if current[key] = true; !l.told[key] && f.EndMs == 0 {
			l.metrics.findings[f.Kind].Inc()
		}
		rule, _ := l.rules.Rule(f.ID)
		alerts = append(alerts, alertOf(f, rule.Name))
	}
	l.told = current
	sights := l.watch.TakeFirstSights()
	if l.store == nil {
		return alerts, nil
	}
	if err := l.store.Append(sights); err != nil {
		l.metrics.historyErrors.Inc()
		return alerts, err
	}
	return alerts, nil
}

// rates gives the engine the rates of the patterns that come often and the events of
// Kubernetes by reason, and takes what it thinks of the former.
func (l *logs) rates(target ingest.Target, each forEach) {
	now := l.now()
	minuteMs := now.Truncate(time.Minute).UnixMilli()
	batch := target.Appender()
	l.mu.Lock()
	most := l.config.MaxScored
	l.watch.Rates(now.UnixMilli(), most, func(stream, id string, lines float64) {
		labels := []ingest.Label{{Name: ingest.MetricName, Value: rateMetric}, {Name: "pattern", Value: id}}
		for name, v := range groupLabels(stream) {
			labels = append(labels, ingest.Label{Name: name, Value: v})
		}
		slices.SortFunc(labels, compareLabels)
		batch.Append(labels, ingest.KindGauge, []ingest.Sample{{T: minuteMs, V: lines}})
	})
	l.mu.Unlock()
	l.events.Each(func(k kubehttp.Key, n int64) {
		batch.Append(eventLabels(k), ingest.KindCounter, []ingest.Sample{{T: minuteMs, V: float64(n)}})
	})
	batch.Commit()
	verdicts := map[[2]string]logwatch.Verdict{}
	each(func(labels []ingest.Label, o detect.Output) bool {
		id, stream, ok := rateSeries(labels)
		if ok && o.Ready && len(verdicts) < 2*most {
			verdicts[[2]string{stream, id}] = logwatch.Verdict{Score: o.Score, Value: o.Value, Expected: o.Expected}
		}
		return true
	})
	l.mu.Lock()
	defer l.mu.Unlock()
	names := slices.Clone(l.config.GroupBy)
	l.watch.SetScores(func(stream, id string) (logwatch.Verdict, bool) {
		v, ok := verdicts[[2]string{streamOf(groupLabels(stream), names), id}]
		return v, ok
	})
}

// eventLabels names the series of a kind of event.
func eventLabels(k kubehttp.Key) []ingest.Label {
	var out []ingest.Label
	for _, l := range []ingest.Label{ // in the order of their names
		{Name: ingest.MetricName, Value: "kubernetes_events_total"},
		{Name: "cluster", Value: k.Cluster},
		{Name: "kind", Value: k.Kind},
		{Name: "namespace", Value: k.Namespace},
		{Name: "reason", Value: k.Reason},
		{Name: "type", Value: k.Type},
	} {
		if l.Value != "" {
			out = append(out, l)
		}
	}
	return out
}

// rateSeries reads the labels of a series that rates made: the pattern, and its stream
// in the form of streamOf.
func rateSeries(labels []ingest.Label) (id, stream string, ok bool) {
	rest := map[string]string{}
	var names []string
	for _, x := range labels {
		switch x.Name {
		case ingest.MetricName:
			ok = x.Value == rateMetric
		case "pattern":
			id = x.Value
		default:
			rest[x.Name] = x.Value
			names = append(names, x.Name)
		}
	}
	if !ok {
		return "", "", false
	}
	return id, streamOf(rest, names), true
}

// streamOf writes the labels of a stream in the order of their names.
func streamOf(labels map[string]string, names []string) string {
	slices.Sort(names)
	var values []string
	var kept []string
	for _, n := range names {
		if v := labels[n]; v != "" {
			kept, values = append(kept, n), append(values, v)
		}
	}
	return groupKey(kept, values)
}

// watchLogs looks for findings until ctx ends, and tells the Alertmanagers.
func (a *App) watchLogs(ctx context.Context, sender *alertpush.Sender) error {
	t := time.NewTicker(watchEvery)
	defer t.Stop()
	failing := ""
	minute := int64(-1)
	for {
		alerts, err := a.logs.step()
		if err != nil && err.Error() != failing {
			a.component("logs").Error("first sights of log patterns are not on disk", "err", err)
		}
		failing = ""
		if err != nil {
			failing = err.Error()
		}
		if sender != nil {
			sender.Set(a.logs.now(), alerts)
		}
		if m := a.logs.now().Unix() / 60; m != minute {
			minute = m
			a.logs.rates(a.target(a.gate), a.gate.engine.Load().ForEach)
			a.logs.expire()
		}
		select {
		case <-t.C:
		case <-ctx.Done():
			return nil
		}
	}
}

func (l *logs) expire() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.watch.Expire(l.now().UnixMilli())
}

// openHistory takes over what is known of patterns.
func (l *logs) openHistory(dir string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	store, loaded, err := loghistory.Open(dir)
	if err != nil {
		return err
	}
	l.store = store
	nowMs := l.now().UnixMilli()
	if loaded.Found {
		l.watch.Restore(loaded.State, nowMs)
	}
	for _, f := range loaded.Sights {
		l.watch.Replay(f, nowMs)
	}
	l.metrics.historyTorn.Add(float64(loaded.Torn))
	for _, f := range l.watch.Findings(nowMs) {
		l.told[toldKey{f.Stream, f.ID, f.Kind, f.SinceMs}] = true
	}
	if loaded.Refused != nil {
		l.metrics.historyRefused.Inc()
		return fmt.Errorf("read the history of log patterns (set aside as %s; what was in it is learnt anew): %w", badSuffix, loaded.Refused)
	}
	return nil
}

// saveHistory writes the history. What does not fit into its size is forgotten, the
// patterns unseen for longest first.
func (l *logs) saveHistory() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.store == nil {
		return nil
	}
	l.look()
	for {
		size, err := l.store.Save(l.watch.State(), l.config.History.MaxBytes)
		if errors.Is(err, loghistory.ErrTooLarge) && l.watch.Shrink(10) > 0 {
			continue
		}
		if err != nil {
			l.metrics.historyErrors.Inc()
			return err
		}
		l.metrics.historySize.Set(float64(size))
		return nil
	}
}

func (l *logs) closeHistory() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.store == nil {
		return nil
	}
	err := l.store.Close()
	l.store = nil
	return err
}
