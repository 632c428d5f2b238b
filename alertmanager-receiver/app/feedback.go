package app

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/portent-dev/portent/internal/incident"
	"github.com/portent-dev/portent/internal/web"
)

// FeedbackConfig says where verdicts of people go besides, for the detectors to learn from.
type FeedbackConfig struct {
	// ExporterURL is the address of portent-exporter. Empty: they stay here.
	ExporterURL string     `yaml:"exporter_url"`
	Token       web.Secret `yaml:"token"`
	TokenFile   string     `yaml:"token_file"`
}

func (c *FeedbackConfig) validate() error {
	if c.ExporterURL != "" {
		if u, err := url.Parse(c.ExporterURL); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			return web.Invalid("exporter_url", errors.New("want http://host or https://host"))
		}
	}
	if c.Token != "" && c.TokenFile != "" {
		return web.Invalid("token_file", errors.New("give token or token_file, not both"))
	}
	return nil
}

const (
	// feedbackEvery is how late a verdict is told: nobody waits for it.
	feedbackEvery = 5 * time.Second
	// feedbackBatch bounds one round, feedbackTimeout one request.
	feedbackBatch   = 50
	feedbackTimeout = 10 * time.Second
	// maxFeedbackAlerts bounds what one incident teaches: a storm is the same news a hundred times.
	maxFeedbackAlerts = 20
	// feedbackTries with a wait that doubles up to feedbackMaxWait are about two days.
	feedbackTries   = 60
	feedbackMaxWait = time.Hour
)

// feedbackStore keeps verdicts until they were told.
type feedbackStore interface {
	Get(ctx context.Context, id string) (incident.Incident, error)
	UnsentFeedback(ctx context.Context, now time.Time, n int) ([]incident.Feedback, error)
	FeedbackSent(ctx context.Context, f incident.Feedback) error
	FeedbackFailed(ctx context.Context, f incident.Feedback, until time.Time, most int) (given bool, err error)
}

// teller tells the exporter what people said of incidents that its scores were in.
type teller struct {
	store  feedbackStore
	config func() FeedbackConfig
	client *http.Client
	log    *slog.Logger
	now    func() time.Time
}

// run works until ctx ends. Replicas may tell the same verdict twice: the exporter knows it by its id.
func (t *teller) run(ctx context.Context) error {
	for {
		if t.config().ExporterURL != "" {
			if err := t.round(ctx); err != nil && ctx.Err() == nil {
				t.log.Error("feedback_not_told", "err", err)
			}
		}
		select {
		case <-time.After(feedbackEvery):
		case <-ctx.Done():
			return nil
		}
	}
}

func (t *teller) round(ctx context.Context) error {
	fs, err := t.store.UnsentFeedback(ctx, t.now(), feedbackBatch)
	if err != nil {
		return err
	}
	wait := time.Minute
	for _, f := range fs {
		err := t.tell(ctx, f)
		if err == nil || errors.Is(err, errHopeless) {
			if err != nil {
				t.log.Warn("feedback_refused", "incident", f.IncidentID, "err", err)
			}
			if err := t.store.FeedbackSent(ctx, f); err != nil {
				return err
			}
			continue
		}
		given, serr := t.store.FeedbackFailed(ctx, f, t.now().Add(wait), feedbackTries)
		if serr != nil {
			return serr
		}
		t.log.Warn("feedback_put_off", "incident", f.IncidentID, "err", err, "given_up", given)
		wait = min(2*wait, feedbackMaxWait)
	}
	return nil
}

// errHopeless: sending it again would change nothing.
var errHopeless = errors.New("the exporter does not take it")

// tell sends the verdict for each alert that a score was behind, or takes it back.
func (t *teller) tell(ctx context.Context, f incident.Feedback) error {
	inc, err := t.store.Get(ctx, f.IncidentID)
	if errors.Is(err, incident.ErrNotFound) {
		return nil // gone with its retention: nothing to teach from
	}
	if err != nil {
		return err
	}
	seen := map[string]bool{}
	for _, a := range inc.Alerts {
		if a.Labels["metric"] == "" || seen[a.Fingerprint] || len(seen) == maxFeedbackAlerts {
			continue
		}
		seen[a.Fingerprint] = true
		if err := t.send(ctx, f, a); err != nil {
			return err
		}
	}
	return nil
}

func (t *teller) send(ctx context.Context, f incident.Feedback, a incident.Alert) error {
	ctx, cancel := context.WithTimeout(ctx, feedbackTimeout)
	defer cancel()
	c := t.config()
	id := f.IncidentID + "/" + a.Fingerprint
	method, path, body := http.MethodPost, "/api/v1/feedback", []byte(nil)
	if f.Verdict == incident.VerdictNone {
		method, path = http.MethodDelete, path+"/"+url.PathEscape(id)
	} else {
		var err error
		body, err = json.Marshal(map[string]any{"id": id, "labels": a.Labels, "verdict": f.Verdict, "reason": f.Reason, "by": f.Actor, "at": f.At.UTC()})
		if err != nil {
			return err
		}
	}
	req, err := http.NewRequestWithContext(ctx, method, strings.TrimSuffix(c.ExporterURL, "/")+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	token, err := web.ReadSecret(c.Token, c.TokenFile)
	if err != nil {
		return err
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token.Reveal())
	}
	resp, err := t.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(io.LimitReader(resp.Body, 500)) // a cut answer only costs the message
	switch {
	case resp.StatusCode/100 == 2, method == http.MethodDelete && resp.StatusCode == http.StatusNotFound:
		return nil
	case resp.StatusCode == http.StatusBadRequest, resp.StatusCode == http.StatusUnsupportedMediaType, resp.StatusCode == http.StatusRequestEntityTooLarge:
		return fmt.Errorf("%w: %s: %s", errHopeless, resp.Status, bytes.TrimSpace(text))
	}
	return fmt.Errorf("ask the exporter: %s: %s", resp.Status, bytes.TrimSpace(text))
}
