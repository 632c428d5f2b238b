// Package alertpush sends alerts to Alertmanagers: POST /api/v2/alerts
// (https://github.com/prometheus/alertmanager/blob/main/api/v2/openapi.yaml), each
// alert to each of them, as Prometheus does.
//
// An Alertmanager forgets alerts at their endsAt, and keeps them in memory alone as far
// as it knows: what is active is sent again on an interval, with an endsAt several
// intervals ahead. One that was down or restarted has all of it an interval after it is
// back. What ended is sent as resolved for a while, so that the end reaches it too.
//
// It must not know what an alert is about.
package alertpush

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/config"
	"github.com/prometheus/common/model"
)

// Alert is one that is active or has ended. Its labels identify it: an alert with other
// labels is another one.
type Alert struct {
	Labels, Annotations map[string]string
	StartsAt            time.Time
	EndsAt              time.Time // zero while it is active
	GeneratorURL        string
}

// Options of a Sender. Config is valid.
type Options struct {
	Config     Config
	Registerer prometheus.Registerer
	Logger     *slog.Logger
}

// Sender keeps what is to be sent and sends it. It is safe for concurrent use.
type Sender struct {
	config  Config
	targets []*target
	metrics *metrics

	mu    sync.Mutex
	known map[string]*held // by labels
	wake  chan struct{}
}

type held struct {
	alert Alert
	key   string
	until time.Time // after which one that ended is forgotten
}

// New makes a Sender. Run sends.
func New(o Options) (*Sender, error) {
	if err := o.Config.Validate(); err != nil {
		return nil, err
	}
	s := &Sender{config: o.Config.withDefaults(), metrics: newMetrics(o.Registerer), known: map[string]*held{}, wake: make(chan struct{}, 1)}
	for i, am := range s.config.Alertmanagers {
		client, err := config.NewClientFromConfig(am.HTTPClient, "alertmanager")
		if err != nil {
			return nil, fmt.Errorf("alertmanagers[%d].http_client: %w", i, err)
		}
		s.targets = append(s.targets, &target{
			url: strings.TrimRight(am.URL, "/") + "/api/v2/alerts", name: am.host(), client: client, changed: make(chan struct{}, 1),
			timeout: time.Duration(s.config.Timeout), metrics: s.metrics.of(am.host()), logger: o.Logger.With("alertmanager", am.host()),
		})
	}
	return s, nil
}

// Set says what is active, and what ended of late, at a time. An alert that was given
// before and is not any more has ended then. Those beyond max_alerts, the newest, are
// left out and counted.
func (s *Sender) Set(now time.Time, alerts []Alert) {
	s.mu.Lock()
	defer s.mu.Unlock()
	given := map[string]bool{}
	changed := false
	alerts = slices.Clone(alerts)
	slices.SortStableFunc(alerts, func(a, b Alert) int { return a.StartsAt.Compare(b.StartsAt) })
	for _, a := range alerts {
		a = s.complete(a)
		key := keyOf(a.Labels)
		h := s.known[key]
		switch {
		case given[key]: // same labels: the first one stands
			continue
		case h == nil && !a.EndsAt.IsZero() && now.Sub(a.EndsAt) > s.resendResolved():
			continue
		case h == nil && len(s.known) >= s.config.MaxAlerts:
			s.metrics.dropped.Inc()
			continue
		case h == nil:
			h = &held{key: key}
			s.known[key] = h
			changed = true
		}
		given[key] = true
		if !a.EndsAt.IsZero() && h.alert.EndsAt.IsZero() {
			changed = true
			h.until = now.Add(s.resendResolved())
		}
		h.alert = a
	}
	for key, h := range s.known {
		switch {
		case !given[key] && h.alert.EndsAt.IsZero():
			h.alert.EndsAt, h.until, changed = now, now.Add(s.resendResolved()), true
		case !h.alert.EndsAt.IsZero() && now.After(h.until):
			delete(s.known, key)
		}
	}
	s.metrics.active.Set(float64(len(s.known)))
	if changed {
		for _, t := range s.targets {
			t.wake()
		}
	}
}

// resendResolved is how long an end is repeated: through an outage of some minutes, and
// shorter than any resolve_timeout would keep the alert anyway.
func (s *Sender) resendResolved() time.Duration { return 15 * time.Minute }

// complete adds the external labels and bounds the texts.
func (s *Sender) complete(a Alert) Alert {
	labels := map[string]string{}
	for name, v := range a.Labels {
		if v != "" {
			labels[name] = cut(v, maxLabelBytes)
		}
	}
	for name, v := range s.config.ExternalLabels {
		if _, own := labels[name]; !own {
			labels[name] = v
		}
	}
	annotations := map[string]string{}
	for name, v := range a.Annotations {
		if v != "" {
			annotations[name] = cut(v, maxAnnotationBytes)
		}
	}
	a.Labels, a.Annotations = labels, annotations
	return a
}

// Bounds of texts. Alertmanager has none of its own, but what it sends on has.
const (
	maxLabelBytes      = 1 << 10
	maxAnnotationBytes = 8 << 10
)

func cut(s string, limit int) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	if len(s) <= limit {
		return s
	}
	return strings.ToValidUTF8(s[:limit], "") + "…"
}

func keyOf(labels map[string]string) string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(labels)) {
		b.WriteString(name + "\xff" + labels[name] + "\xff")
	}
	return b.String()
}

// Run sends until ctx ends. What is active is then left to end by its endsAt: another
// process may go on with it.
func (s *Sender) Run(ctx context.Context) error {
	var all sync.WaitGroup
	for _, t := range s.targets {
		all.Go(func() { t.run(ctx, s) })
	}
	all.Wait()
	return ctx.Err()
}

// wireAlert is postableAlert of the API.
type wireAlert struct {
	Labels       map[string]string `json:"labels"`
	Annotations  map[string]string `json:"annotations,omitempty"`
	StartsAt     string            `json:"startsAt"`
	EndsAt       string            `json:"endsAt"`
	GeneratorURL string            `json:"generatorURL,omitempty"`
}

// batches returns what is to be sent now, max_batch alerts at a time, in a stable order.
func (s *Sender) batches(now time.Time) [][]wireAlert {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []wireAlert
	for _, key := range slices.Sorted(maps.Keys(s.known)) {
		a := &s.known[key].alert
		end := a.EndsAt
		if end.IsZero() {
			end = now.Add(endsAfter * time.Duration(s.config.ResendInterval))
		}
		if !end.After(a.StartsAt) {
			end = a.StartsAt.Add(time.Millisecond) // equal times are refused
		}
		out = append(out, wireAlert{a.Labels, a.Annotations, stamp(a.StartsAt), stamp(end), a.GeneratorURL})
	}
	return slices.Collect(slices.Chunk(out, maxBatch))
}

const (
	// endsAfter is how many intervals ahead the end of an active alert lies, as in
	// Prometheus: two may fail without its ending.
	endsAfter = 4
	// maxBatch is how many alerts go in one request.
	maxBatch = 64
)

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }

// target is one Alertmanager.
type target struct {
	url, name string
	client    *http.Client
	timeout   time.Duration
	changed   chan struct{}
	metrics   targetMetrics
	logger    *slog.Logger
	failing   string // what was logged last
}

func (t *target) wake() {
	select {
	case t.changed <- struct{}{}:
	default: // it is awake already
	}
}

// run sends on each interval and whenever something changed. After a failure it tries
// again sooner, at first after a second.
func (t *target) run(ctx context.Context, s *Sender) {
	interval := time.Duration(s.config.ResendInterval)
	backoff := time.Second
	for {
		wait := interval
		if err := t.send(ctx, s); err != nil && ctx.Err() == nil {
			if text := err.Error(); text != t.failing {
				t.logger.Warn("alerts not sent; they are sent again", "err", err)
				t.failing = text
			}
			wait = min(backoff, interval)
			backoff = min(2*backoff, interval)
		} else if err == nil {
			if t.failing != "" {
				t.logger.Info("alerts are sent again")
			}
			t.failing, backoff = "", time.Second
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		case <-t.changed:
			timer.Stop()
		}
	}
}

func (t *target) send(ctx context.Context, s *Sender) error {
	var errs []error
	for _, batch := range s.batches(time.Now()) {
		err := t.post(ctx, batch)
		t.metrics.requests.Inc()
		if err != nil {
			t.metrics.errors.Inc()
			errs = append(errs, err)
			if !errors.Is(err, errRefused) {
				break // it is down: the rest would wait for its timeout too
			}
			continue
		}
		t.metrics.sent.Add(float64(len(batch)))
	}
	return errors.Join(errs...)
}

// errRefused says that Alertmanager took a request for wrong. It answers 400 when one
// alert of many is bad, and has taken the good ones.
var errRefused = errors.New("refused")

func (t *target) post(ctx context.Context, batch []wireAlert) error {
	body, err := json.Marshal(batch)
	if err != nil {
		return fmt.Errorf("%w: %w", errRefused, err)
	}
	ctx, cancel := context.WithTimeout(ctx, t.timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, t.url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	start := time.Now()
	resp, err := t.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	said, _ := io.ReadAll(io.LimitReader(resp.Body, 300)) // for the message alone
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 1<<20))
	t.metrics.duration.Observe(time.Since(start).Seconds())
	switch {
	case resp.StatusCode/100 == 2:
		return nil
	case resp.StatusCode == http.StatusBadRequest:
		return fmt.Errorf("%w: %s: %s", errRefused, resp.Status, bytes.TrimSpace(said))
	}
	return fmt.Errorf("%s: %s", resp.Status, bytes.TrimSpace(said))
}

// validLabel reports whether a label can be an external one.
func validLabel(name string) bool {
	return model.LegacyValidation.IsValidLabelName(name) && !strings.HasPrefix(name, "__") && name != model.AlertNameLabel
}
