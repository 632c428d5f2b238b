package app

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/portent-dev/portent/internal/incidentapi"
	"github.com/portent-dev/portent/internal/noise"
	"github.com/portent-dev/portent/internal/web"
)

// noiseLog returns what was counted from the day of since on, by us and by Alertmanager, and keeps what that records; the same
// again is not counted again.
type noiseLog interface {
	Noise(ctx context.Context, since time.Time) ([]noise.Count, error)
	Recorded(ctx context.Context, since time.Time) ([]noise.RecordedCount, error)
	PutRecorded(ctx context.Context, rs []noise.Recorded) error
}

// maxNoiseRows bounds each list of a report: beyond it nobody reads.
const maxNoiseRows = 500

// noiseReport adds up what was counted since.
func noiseReport(ctx context.Context, log noiseLog, since time.Time) (incidentapi.NoiseReport, error) {
	cs, err := log.Noise(ctx, since)
	if err != nil {
		return incidentapi.NoiseReport{}, err
	}
	r := noise.Summarize(cs)
	out := incidentapi.NoiseReport{Since: timeOrNull(since), Notifications: r.Notifications, Total: noiseRow(noise.Row{Figures: r.Total})}
	for _, l := range []struct {
		to   *[]incidentapi.Noise
		rows []noise.Row
	}{{&out.Rules, r.Rules}, {&out.Teams, r.Teams}, {&out.KeptOut, r.Kept}, {&out.Weeks, r.Weeks}} {
		n := min(len(l.rows), maxNoiseRows)
		out.Cut += len(l.rows) - n
		*l.to = make([]incidentapi.Noise, n)
		for i, row := range l.rows[:n] {
			(*l.to)[i] = noiseRow(row)
		}
	}
	out.Alertmanager, err = alertmanagerNoise(ctx, log, since)
	return out, err
}

func noiseRow(r noise.Row) incidentapi.Noise {
	return incidentapi.Noise{Name: r.Name, Notices: r.Notices, Alerts: r.Alerts, KeptOut: r.KeptOut, Incidents: r.Incidents, Tickets: r.Tickets}
}

// sinceOf reads a time or a day; an empty text is the zero time.
func sinceOf(text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	for _, layout := range []string{time.RFC3339Nano, time.DateOnly} {
		if t, err := time.Parse(layout, text); err == nil {
			return t.UTC(), nil
		}
	}
	return time.Time{}, fmt.Errorf("since: got %.40q, want a time as 2026-11-22T10:00:00Z or a day as 2026-11-22", text)
}

func (s *server) serveNoise(w http.ResponseWriter, r *http.Request, _ principal) {
	v, err := values(r, "since")
	var since time.Time
	if err == nil {
		since, err = sinceOf(v.Get("since"))
	}
	if err != nil {
		s.fail(w, r, http.StatusBadRequest, err, "leave it out for all that is kept")
		return
	}
	report, err := noiseReport(r.Context(), s.noise, since)
	if err != nil {
		s.failed(w, r, err)
		return
	}
	web.JSON(w, http.StatusOK, report)
}
