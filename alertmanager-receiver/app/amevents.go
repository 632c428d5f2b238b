package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"github.com/portent-dev/portent/internal/amevents"
	"github.com/portent-dev/portent/internal/incidentapi"
	"github.com/portent-dev/portent/internal/noise"
	"github.com/portent-dev/portent/internal/web"
)

// NoiseConfig says what else tells about noise.
type NoiseConfig struct {
	// EventFiles are written by Alertmanager's event recorder.
	EventFiles []string `yaml:"event_files"`
}

// maxEventFiles bounds them: a pair of Alertmanagers has two.
const maxEventFiles = 16

func (c NoiseConfig) validate() error {
	if len(c.EventFiles) > maxEventFiles {
		return web.Invalid("event_files", fmt.Errorf("got %d, want %d at most", len(c.EventFiles), maxEventFiles))
	}
	var errs []error
	for i, path := range c.EventFiles {
		if !filepath.IsAbs(path) {
			errs = append(errs, web.Invalid(fmt.Sprintf("event_files[%d]", i), fmt.Errorf("%q: want an absolute path", path)))
		}
	}
	return errors.Join(errs...)
}

// eventFileEvery is how often a file is looked at: a report by the day is in no hurry.
const eventFileEvery = 5 * time.Second

// readEventFiles reads the files of the configuration until ctx ends. Every replica that has a file may read it: nothing is
// counted twice.
func (a *App) readEventFiles(ctx context.Context) error {
	var g errgroup.Group
	count := a.server.metrics.amEvents
	for _, path := range a.server.settings.Load().config.Noise.EventFiles {
		g.Go(func() error {
			return amevents.Tail(ctx, amevents.Options{
				Path: path, Store: a.db, Every: eventFileEvery, Logger: a.log.With("component", "noise"),
				Count: func(events, refused int) {
					count.WithLabelValues(outcomeAccepted).Add(float64(events))
					count.WithLabelValues(outcomeRefused).Add(float64(refused))
				},
			})
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}

// maxEventBody bounds what a webhook of the event recorder sends: 1 MiB in a batch unless told otherwise, or one event.
const maxEventBody = 8 << 20

func newAMEvents(reg prometheus.Registerer) *prometheus.CounterVec {
	v := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "portent_receiver_alertmanager_events_total",
		Help: "Events of Alertmanager's event recorder, by outcome. It sends again what is unavailable, and the report is short of what is refused.",
	}, []string{"outcome"})
	for _, o := range []string{outcomeAccepted, outcomeRefused, outcomeTooLarge, outcomeDenied, outcomeUnavailable} {
		v.WithLabelValues(o)
	}
	reg.MustRegister(v)
	return v
}

// serveAMEvents takes what the event recorder of an Alertmanager posts.
func (s *server) serveAMEvents(w http.ResponseWriter, r *http.Request) {
	secure(w)
	if !s.settings.Load().access.mayPost(r) {
		s.metrics.amEvents.WithLabelValues(outcomeDenied).Inc()
		w.Header().Set("WWW-Authenticate", `Bearer realm="portent webhook"`)
		web.Error(w, http.StatusUnauthorized, errors.New("the webhook's token is missing or wrong"), "set http_config.authorization of the output to webhook.token of the receiver")
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxEventBody))
	if err != nil {
		s.metrics.amEvents.WithLabelValues(outcomeTooLarge).Inc()
		web.Error(w, http.StatusRequestEntityTooLarge, err, "lower batch_max_bytes of the output to 8 MiB or less")
		return
	}
	rs, n, err := amevents.Decode(body)
	if err != nil {
		s.metrics.amEvents.WithLabelValues(outcomeRefused).Inc()
		web.Error(w, http.StatusBadRequest, err, "see docs/configuration/receiver.md for the configuration of event_recorder")
		return
	}
	ctx, cancel := s.storeContext(r)
	defer cancel()
	if err := s.noise.PutRecorded(ctx, rs); err != nil {
		_, hint := storeStatus(err)
		s.metrics.amEvents.WithLabelValues(outcomeUnavailable).Inc()
		web.Error(w, http.StatusServiceUnavailable, err, hint)
		return
	}
	s.metrics.amEvents.WithLabelValues(outcomeAccepted).Add(float64(n))
	web.JSON(w, http.StatusOK, map[string]string{"status": "stored"})
}

// alertmanagerNoise is the part of the report that Alertmanager tells, nil when it tells nothing.
func alertmanagerNoise(ctx context.Context, log noiseLog, since time.Time) (*incidentapi.AlertmanagerNoise, error) {
	cs, err := log.Recorded(ctx, since)
	if err != nil || len(cs) == 0 {
		return nil, err
	}
	r := noise.SummarizeBefore(cs)
	out := &incidentapi.AlertmanagerNoise{Total: beforeRow(noise.BeforeRow{Before: r.Total})}
	for _, l := range []struct {
		to   *[]incidentapi.Before
		rows []noise.BeforeRow
	}{{&out.Rules, r.Rules}, {&out.Silences, r.Silences}, {&out.Inhibitions, r.Inhibitions}, {&out.Receivers, r.Receivers}} {
		n := min(len(l.rows), maxNoiseRows)
		out.Cut += len(l.rows) - n
		*l.to = make([]incidentapi.Before, n)
		for i, row := range l.rows[:n] {
			(*l.to)[i] = beforeRow(row)
		}
	}
	return out, nil
}

func beforeRow(r noise.BeforeRow) incidentapi.Before {
	return incidentapi.Before{Name: r.Name, Created: r.Created, Silenced: r.Silenced, Inhibited: r.Inhibited, Delivered: r.Delivered}
}
