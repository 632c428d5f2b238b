package reconcile

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
)

// A Listed alert is one of Alertmanager's API v2.
type Listed struct {
	Fingerprint         string
	StartsAt            time.Time
	Labels, Annotations map[string]string
	GeneratorURL        string
	Receivers           []string
	State               string // active, suppressed or unprocessed
}

// maxAnswer bounds an answer: some ten thousand alerts.
const maxAnswer = 64 << 20

// ask returns what one Alertmanager knows, silenced and inhibited alerts too, and since when it runs.
func (w *Worker) ask(ctx context.Context, base string) ([]Listed, time.Time, error) {
	var status struct {
		Uptime time.Time `json:"uptime"`
	}
	if err := w.get(ctx, join(base, "/api/v2/status"), &status); err != nil {
		return nil, time.Time{}, err
	}
	var wire []struct {
		Fingerprint  string            `json:"fingerprint"`
		StartsAt     time.Time         `json:"startsAt"`
		Labels       map[string]string `json:"labels"`
		Annotations  map[string]string `json:"annotations"`
		GeneratorURL string            `json:"generatorURL"`
		Receivers    []struct {
			Name string `json:"name"`
		} `json:"receivers"`
		Status struct {
			State string `json:"state"`
		} `json:"status"`
	}
	if err := w.get(ctx, join(base, "/api/v2/alerts"), &wire); err != nil {
		return nil, time.Time{}, err
	}
	out := make([]Listed, 0, len(wire))
	for _, a := range wire {
		l := Listed{Fingerprint: a.Fingerprint, StartsAt: a.StartsAt, Labels: a.Labels, Annotations: a.Annotations, GeneratorURL: a.GeneratorURL, State: a.Status.State}
		if l.Fingerprint == "" || l.StartsAt.IsZero() {
			return nil, time.Time{}, errors.New("an alert has no fingerprint or start: want the API v2 of Alertmanager")
		}
		for _, r := range a.Receivers {
			l.Receivers = append(l.Receivers, r.Name)
		}
		out = append(out, l)
	}
	return out, status.Uptime, nil
}

// askTimeout bounds one request.
const askTimeout = 30 * time.Second

func (w *Worker) get(ctx context.Context, url string, into any) error {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	req.Header.Set("Accept", "application/json")
	resp, err := w.o.Client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("GET %s: %s", req.URL.Path, resp.Status)
	}
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil {
		return err
	}
	if len(b) > maxAnswer {
		return fmt.Errorf("GET %s: more than %d bytes", req.URL.Path, maxAnswer)
	}
	if err := json.Unmarshal(b, into); err != nil {
		return fmt.Errorf("GET %s: %w", req.URL.Path, err)
	}
	return nil
}
