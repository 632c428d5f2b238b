// Package reconcile asks Alertmanager what fires, and tells the receiver what notices have not told: that an alert is
// over whose resolved notice was lost (a restart of Alertmanager forgets whom it told), and alerts that a notification
// left out (max_alerts) or whose first notice never came.
//
// What it finds goes into the inbox as notifications, the same way as everything else, so that it is durable, judged in
// order and done once. It decides nothing about incidents and is needed for none of them: without it they go by notices
// and their time to live.
package reconcile

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/portent-dev/portent/internal/incident"
)

// Store is what is needed of one.
type Store interface {
	ListAlerts(ctx context.Context, q incident.AlertQuery) (alerts []incident.Alert, next string, err error)
	Put(ctx context.Context, ns ...incident.Notification) error
}

// Options of a Worker. All but Receiver are needed.
type Options struct {
	Store Store
	// Alertmanagers are the addresses of all that send notices: an alert is over when none of them knows it.
	Alertmanagers []string
	Client        *http.Client
	// Receiver is the name in Alertmanager's configuration whose alerts are ours. When it is empty, alerts that we do
	// not know are left alone.
	Receiver string
	// Interval between two rounds.
	Interval   time.Duration
	Logger     *slog.Logger
	Registerer prometheus.Registerer
	// Wake is called when something was put into the inbox.
	Wake func()
	Now  func() time.Time
}

const (
	// grace is how long an alert must have been heard of to be missed: Alertmanager holds an alert that Prometheus sends no
	// more for some minutes, and tells its end with the next group_interval.
	grace = 15 * time.Minute
	// unheard is how old an alert must be to be told of without a notice, which takes a group_wait, or a group_interval
	// of usually five minutes.
	unheard = 6 * time.Minute
	// settled is how long an Alertmanager must run before what it does not know counts as over: after a restart it
	// knows nothing until Prometheus has sent everything again.
	settled = 10 * time.Minute
	// perNotice bounds the alerts of one notification that we write, maxKnown those that are compared in a round.
	perNotice = 200
	maxKnown  = 100_000
)

// A Worker reconciles until its context ends. Use one.
type Worker struct {
	o        Options
	missed   map[incident.AlertID]bool // in the last round: absent from every Alertmanager
	over     prometheus.Counter
	found    prometheus.Counter
	failures prometheus.Counter
	failing  string
}

// New returns a Worker.
func New(o Options) (*Worker, error) {
	if o.Store == nil || o.Client == nil || o.Logger == nil || o.Registerer == nil || o.Wake == nil || o.Now == nil || o.Interval <= 0 {
		return nil, errors.New("reconcile: Store, Client, Interval, Logger, Registerer, Wake and Now are needed")
	}
	for _, a := range o.Alertmanagers {
		if err := CheckAddress(a); err != nil {
			return nil, fmt.Errorf("reconcile: Alertmanager: %w", err)
		}
	}
	f := promauto.With(o.Registerer)
	counter := func(name, help string) prometheus.Counter {
		return f.NewCounter(prometheus.CounterOpts{Name: "portent_receiver_reconcile_" + name, Help: help})
	}
	return &Worker{
		o: o, missed: map[incident.AlertID]bool{},
		over:     counter("resolved_total", "Alerts that no Alertmanager knows any more and whose resolved notice never came."),
		found:    counter("found_total", "Alerts that fire and that no notice told of."),
		failures: counter("failures_total", "Rounds that failed."),
	}, nil
}

// CheckAddress reports what is wrong with the address of an Alertmanager.
func CheckAddress(a string) error {
	if u, err := url.Parse(a); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return fmt.Errorf("got %q, want an address as http://alertmanager:9093", a)
	}
	return nil
}

// Run works until ctx ends. A round that fails changes nothing and is tried again with the next.
func (w *Worker) Run(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(w.o.Interval):
		}
		err := w.Round(ctx)
		if ctx.Err() != nil {
			return nil //nolint:nilerr // asked to stop
		}
		text := ""
		if err != nil {
			w.failures.Inc()
			text = err.Error()
		}
		if text != w.failing && err != nil {
			w.o.Logger.Warn("reconcile_failed", "err", err)
		}
		w.failing = text
	}
}

// Round compares once. When one Alertmanager does not answer nothing is taken as over.
func (w *Worker) Round(ctx context.Context) error {
	now := w.o.Now()
	var listed []Listed
	complete := true
	var errs []error
	for _, a := range w.o.Alertmanagers {
		as, up, err := w.ask(ctx, a)
		if err != nil {
			errs = append(errs, fmt.Errorf("ask Alertmanager %s: %w", a, err))
		}
		complete = complete && err == nil && now.Sub(up) >= settled
		listed = append(listed, as...)
	}
	known, err := w.known(ctx)
	if err != nil {
		return errors.Join(append(errs, err)...)
	}
	news := Compare(known, listed, w.o.Receiver, now)
	var out []Change
	missed := map[incident.AlertID]bool{}
	for _, c := range news {
		if !c.Over {
			out = append(out, c)
			w.found.Inc()
			continue
		}
		if !complete {
			continue
		}
		id := incident.AlertID{Fingerprint: c.Fingerprint, StartsAt: c.StartsAt.UnixNano()}
		if missed[id] = true; w.missed[id] { // twice in a row: what is missing for a moment may be on its way
			out = append(out, c)
			w.over.Inc()
		}
	}
	w.missed = missed
	if err := w.put(ctx, out, now); err != nil {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// known returns the firing alerts that we know, in incidents and kept out.
func (w *Worker) known(ctx context.Context) (out []incident.Alert, err error) {
	for _, suppressed := range []bool{false, true} {
		q := incident.AlertQuery{Firing: true, Suppressed: suppressed, Limit: incident.MaxLimit}
		for {
			as, next, err := w.o.Store.ListAlerts(ctx, q)
			if err != nil {
				return nil, err
			}
			out = append(out, as...)
			if len(out) > maxKnown {
				return nil, fmt.Errorf("more than %d alerts fire: not compared", maxKnown)
			}
			if q.Cursor = next; next == "" {
				break
			}
		}
	}
	return out, nil
}

// A Change is what notices have not told.
type Change struct {
	Fingerprint         string
	StartsAt            time.Time
	Labels, Annotations map[string]string
	GeneratorURL        string
	// Over: it is over; else it fires.
	Over bool
}

// Compare says what the alerts listed by all Alertmanagers tell beyond those known to fire: which of these are over, and
// which of receiver fire unknown. What is young is left to its notices.
func Compare(known []incident.Alert, listed []Listed, receiver string, now time.Time) (out []Change) {
	fires, knows := map[string]bool{}, map[string]bool{}
	for _, l := range listed {
		fires[l.Fingerprint] = true
	}
	for _, k := range known {
		knows[k.Fingerprint] = true
		if !fires[k.Fingerprint] && now.Sub(k.UpdatedAt) >= grace && now.Sub(k.StartsAt) >= grace {
			out = append(out, Change{k.Fingerprint, k.StartsAt, k.Labels, k.Annotations, k.GeneratorURL, true})
		}
	}
	for _, l := range listed {
		if knows[l.Fingerprint] || receiver == "" || !slices.Contains(l.Receivers, receiver) || l.State != "active" || now.Sub(l.StartsAt) < unheard {
			continue
		}
		knows[l.Fingerprint] = true // the other Alertmanager lists it too
		out = append(out, Change{l.Fingerprint, l.StartsAt, l.Labels, l.Annotations, l.GeneratorURL, false})
	}
	return out
}

// put writes changes as notifications of Alertmanager.
func (w *Worker) put(ctx context.Context, cs []Change, now time.Time) error {
	if len(cs) == 0 {
		return nil
	}
	var ns []incident.Notification
	for part := range slices.Chunk(cs, perNotice) {
		ns = append(ns, incident.Notification{Source: incident.SourceAlertmanager, ReceivedAt: now, Body: body(part, w.o.Receiver, now)})
	}
	if err := w.o.Store.Put(ctx, ns...); err != nil {
		return err
	}
	w.o.Wake()
	return nil
}

// body is a webhook request, version 4.
func body(cs []Change, receiver string, now time.Time) []byte {
	type wire struct {
		Status       string            `json:"status"`
		Labels       map[string]string `json:"labels"`
		Annotations  map[string]string `json:"annotations"`
		StartsAt     time.Time         `json:"startsAt"`
		EndsAt       time.Time         `json:"endsAt"`
		GeneratorURL string            `json:"generatorURL"`
		Fingerprint  string            `json:"fingerprint"`
	}
	as := make([]wire, len(cs))
	status := "resolved"
	for i, c := range cs {
		as[i] = wire{"firing", c.Labels, c.Annotations, c.StartsAt, time.Time{}, c.GeneratorURL, c.Fingerprint}
		if c.Over {
			as[i].Status, as[i].EndsAt = "resolved", now
		} else {
			status = "firing"
		}
	}
	sum := sha256.New()
	for _, c := range cs {
		sum.Write([]byte(c.Fingerprint))
	}
	b, err := json.Marshal(map[string]any{
		"version": "4", "receiver": receiver, "status": status, "groupKey": "reconcile/" + hex.EncodeToString(sum.Sum(nil)[:8]), "alerts": as,
		"groupLabels": map[string]string{}, "commonLabels": map[string]string{}, "commonAnnotations": map[string]string{}, "externalURL": "", "truncatedAlerts": 0,
	})
	if err != nil {
		panic("BUG: notification cannot be encoded: " + err.Error())
	}
	return b
}

// join makes the address of a path of the API.
func join(base, path string) string { return strings.TrimRight(base, "/") + path }
