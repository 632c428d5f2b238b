package disturb

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/portent-dev/portent/e2e/stack"
	"github.com/portent-dev/portent/internal/incidentapi"
)

// watch looks for what is new since it was made, step by step: the alert of a score, the incident of an alert, its ticket.
type watch struct {
	Options
	start time.Time

	// What was there before and does not count.
	oldScores map[string]bool
	oldAlerts map[string]bool // by fingerprint and start

	scored    bool
	explained map[string]bool // explanations that were told, by series
	alerts    map[string]bool // fingerprints of new ones
	incidents map[string]bool
	tickets   map[string]bool
}

func newWatch(ctx context.Context, o Options) (*watch, error) {
	w := &watch{
		Options: o, oldScores: map[string]bool{}, oldAlerts: map[string]bool{},
		explained: map[string]bool{}, alerts: map[string]bool{}, incidents: map[string]bool{}, tickets: map[string]bool{},
	}
	scores, err := o.Stack.Query(ctx, "anomaly_score{"+watched+"} > 1")
	if err != nil {
		return nil, err
	}
	for _, s := range scores {
		w.oldScores[s.Name()] = true
	}
	alerts, err := o.Stack.Alerts(ctx)
	if err != nil {
		return nil, err
	}
	for _, a := range alerts {
		w.oldAlerts[alertKey(a)] = true
	}
	if _, err := o.Stack.Incidents(ctx); err != nil {
		return nil, err
	}
	return w, nil
}

func alertKey(a stack.Alert) string { return a.Fingerprint + a.StartsAt.UTC().Format(time.RFC3339Nano) }

// run looks every second until everything was seen.
func (w *watch) run(ctx context.Context) error {
	w.start = time.Now()
	ctx, cancel := context.WithTimeoutCause(ctx, within, ErrUnseen)
	defer cancel()
	tick := time.NewTicker(every)
	defer tick.Stop()
	var last error
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			if err := context.Cause(ctx); last == nil {
				return fmt.Errorf("%w: %s", err, w.missing())
			}
			return fmt.Errorf("%w: %s; the last look: %w", context.Cause(ctx), w.missing(), last)
		}
		// A busy machine may answer late; the next look will tell.
		if last = w.look(ctx); last == nil && w.missing() == "" {
			w.say("score, explanation, alert, incident and ticket were seen")
			return nil
		}
	}
}

// missing names what has not been seen yet.
func (w *watch) missing() string {
	var names []string
	for _, step := range []struct {
		name string
		seen bool
	}{{"score", w.scored}, {"explanation", len(w.explained) > 0}, {"alert", len(w.alerts) > 0}, {"incident", len(w.incidents) > 0}, {"ticket", len(w.tickets) > 0}} {
		if !step.seen {
			names = append(names, "no "+step.name)
		}
	}
	return strings.Join(names, ", ")
}

func (w *watch) look(ctx context.Context) error {
	if err := w.lookForScores(ctx); err != nil {
		return err
	}
	if err := w.lookForWords(ctx); err != nil {
		return err
	}
	if err := w.lookForAlerts(ctx); err != nil {
		return err
	}
	return w.lookForIncidents(ctx)
}

func (w *watch) lookForScores(ctx context.Context) error {
	scores, err := w.Stack.Query(ctx, "anomaly_score{"+watched+"} > 1")
	if err != nil {
		return err
	}
	for _, s := range scores {
		if name := s.Name(); !w.oldScores[name] {
			w.oldScores[name] = true
			w.scored = true
			w.say("score    %.1f  %s%s", s.Value, s.Labels["metric"], s.Name("__name__", "metric"))
		}
	}
	return nil
}

// lookForWords tells why the exporter finds a series unusual, once a series.
func (w *watch) lookForWords(ctx context.Context) error {
	if !w.scored {
		return nil // what is unusual already is not ours
	}
	all, err := w.Stack.Anomalies(ctx, "{"+strings.Replace(watched, "metric=~", "__name__=~", 1)+"}")
	if err != nil {
		return err
	}
	for _, a := range all {
		if key := (stack.Series{Labels: a.Labels}).Name(); !w.explained[key] {
			w.explained[key] = true
			w.say("why      %s", a.Explanation)
		}
	}
	return nil
}

func (w *watch) lookForAlerts(ctx context.Context) error {
	alerts, err := w.Stack.Alerts(ctx)
	if err != nil {
		return err
	}
	for _, a := range alerts {
		if key := alertKey(a); !w.oldAlerts[key] {
			w.oldAlerts[key] = true
			w.alerts[a.Fingerprint] = true
			w.say("alert    %s (%s) %s", a.Labels["alertname"], a.Status.State, describe(a.Labels))
		}
	}
	return nil
}

// describe names what an alert is about, without the labels that all of them share.
func describe(labels map[string]string) string {
	return stack.Series{Labels: labels}.Name("alertname", "severity", "cluster")
}

func (w *watch) lookForIncidents(ctx context.Context) error {
	incidents, err := w.Stack.Incidents(ctx)
	if err != nil {
		return err
	}
	for _, i := range incidents {
		if !slices.ContainsFunc(i.Alerts, func(a incidentapi.Alert) bool { return w.alerts[a.Fingerprint] }) {
			continue
		}
		if !w.incidents[i.ID] {
			w.incidents[i.ID] = true
			w.say("incident %s  %s  %s/incidents/%s", i.ID, i.Title, w.Stack.URL(stack.Receiver), i.ID)
		}
		for _, t := range i.Tickets {
			if key := t.Tracker + " " + t.Key; t.Key != "" && !w.tickets[key] {
				w.tickets[key] = true
				w.say("ticket   %s (%s, %s)  %s", t.Key, t.Tracker, t.Status, t.URL)
			}
		}
	}
	return nil
}

// say prints a line with the seconds since the start of the disturbance.
func (w *watch) say(format string, args ...any) {
	fmt.Fprintf(w.Out, "%5.0fs  %s\n", time.Since(w.start).Seconds(), fmt.Sprintf(format, args...))
}
