package app

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/portent-dev/portent/internal/alert"
	"github.com/portent-dev/portent/internal/incident"
	"github.com/portent-dev/portent/internal/web"
)

const (
	// keepOfRefused is how much of a body that is too large is kept for a person to look at: enough to see
	// which group it was.
	keepOfRefused = 64 << 10
	// retryAfter is what a sender is told to wait: about one group commit under load. Alertmanager has a
	// backoff of its own.
	retryAfter = 2 * time.Second
)

// serveWebhook takes one notification of Alertmanager. 200 means that it is on disk. Alertmanager tries again
// after 5xx and drops the notice for good after 4xx, 429 included, so a 4xx is only for what can never be
// processed, and keeps the body aside.
func (s *server) serveWebhook(w http.ResponseWriter, r *http.Request) {
	secure(w)
	set := s.settings.Load()
	if !set.access.mayPost(r) {
		s.metrics.notices.WithLabelValues(outcomeDenied).Inc()
		if n, ok := s.refusals.next("denied"); ok {
			s.log.Error("notification without a valid token: Alertmanager drops it", "remote", r.RemoteAddr, "times", n)
		}
		w.Header().Set("WWW-Authenticate", `Bearer realm="portent webhook"`)
		web.Error(w, http.StatusUnauthorized, errors.New("the webhook's token is missing or wrong"),
			"set http_config.authorization.credentials_file in the webhook_config of Alertmanager to webhook.token of the receiver")
		return
	}
	limit := set.config.Webhook.MaxBodyBytes
	release, ok := s.busy.acquire(r.ContentLength, limit, set.config.Webhook.MaxInFlightBytes)
	if !ok {
		s.unavailable(w, outcomeBusy, http.StatusServiceUnavailable, errors.New("busy: too much is being received"), "it is taken when it is sent again")
		return
	}
	defer release()
	if n := s.backlog.pending(r.Context()); n > set.config.Ready.MaxPending {
		s.unavailable(w, outcomeBusy, http.StatusServiceUnavailable, fmt.Errorf("busy: %d notifications wait to be processed, at most %d may", n, set.config.Ready.MaxPending),
			"it is taken when it is sent again; see the log of the receiver for why it is slow")
		return
	}
	n := incident.Notification{Source: incident.SourceAlertmanager, ReceivedAt: s.now().UTC()}
	if s.clockHeader != "" {
		var err error
		if n.Clock, err = clock(r.Header.Get(s.clockHeader)); err != nil {
			s.metrics.notices.WithLabelValues(outcomeRefused).Inc()
			web.Error(w, http.StatusBadRequest, fmt.Errorf("header %s: %w", s.clockHeader, err), "send an RFC 3339 time, or no such header")
			return
		}
	}
	var err error
	if n.Body, err = readBody(http.MaxBytesReader(w, r.Body, limit), min(r.ContentLength, limit)); err != nil {
		s.unreadable(w, r, n, err, limit)
		return
	}
	s.metrics.bodyBytes.Observe(float64(len(n.Body)))
	s.accept(w, r, n)
}

// readBody reads everything, into a buffer of the announced length (below 0: none was announced) if that holds
// it, as growing one copies it several times over.
func readBody(r io.Reader, length int64) ([]byte, error) {
	b := bytes.NewBuffer(make([]byte, 0, max(length, 0)+bytes.MinRead))
	_, err := b.ReadFrom(r)
	return b.Bytes(), err
}

// accept checks and stores a notification that was read whole.
func (s *server) accept(w http.ResponseWriter, r *http.Request, n incident.Notification) {
	lim := alert.DefaultLimits()
	lim.MaxBytes = int(s.settings.Load().config.Webhook.MaxBodyBytes)
	p, err := alert.Decode(n.Body, lim)
	if err != nil {
		s.refuse(w, r, n, http.StatusBadRequest, outcomeRefused, err)
		return
	}
	ctx, cancel := s.storeContext(r)
	defer cancel()
	start := time.Now()
	if err := s.inbox.Put(ctx, n); err != nil {
		status, hint := storeStatus(err)
		if status < 500 {
			status = http.StatusInternalServerError // a 4xx would make Alertmanager drop it
		}
		s.unavailable(w, outcomeUnavailable, status, fmt.Errorf("store the notification: %w", err), hint)
		return
	}
	s.metrics.putSeconds.Observe(time.Since(start).Seconds())
	s.metrics.notices.WithLabelValues(outcomeAccepted).Inc()
	s.metrics.alerts.Add(float64(len(p.Alerts)))
	s.metrics.truncated.Add(float64(p.TruncatedAlerts))
	s.wake()
	web.JSON(w, http.StatusOK, struct {
		Status string `json:"status"`
		Alerts int    `json:"alerts"`
	}{"stored", len(p.Alerts)})
}

// storeContext bounds the time of a write. A sender that hangs up does not end it: whether the notification
// was stored is then settled all the same, and storing it twice does no harm.
func (s *server) storeContext(r *http.Request) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(r.Context()), time.Duration(s.settings.Load().config.Webhook.Timeout))
}

// unreadable answers when the body could not be read: too large is for good, anything else (the sender hung
// up, was too slow) is worth another try.
func (s *server) unreadable(w http.ResponseWriter, r *http.Request, n incident.Notification, err error, limit int64) {
	var tooLarge *http.MaxBytesError
	if !errors.As(err, &tooLarge) {
		s.unavailable(w, outcomeUnavailable, http.StatusServiceUnavailable, fmt.Errorf("read the body: %w", err), "send it again")
		return
	}
	n.Body = n.Body[:min(len(n.Body), keepOfRefused)]
	s.refuse(w, r, n, http.StatusRequestEntityTooLarge, outcomeTooLarge,
		fmt.Errorf("the body is greater than webhook.max_body_bytes, %d: raise it, or set max_alerts in the webhook_config of Alertmanager", limit))
}

// refuse answers 4xx: the notice is lost for its sender, so its body is kept first, and it is told loudly.
func (s *server) refuse(w http.ResponseWriter, r *http.Request, n incident.Notification, status int, outcome string, err error) {
	ctx, cancel := s.storeContext(r)
	defer cancel()
	if kept := s.inbox.Refuse(ctx, n, err.Error()); kept != nil {
		_, hint := storeStatus(kept)
		s.unavailable(w, outcomeUnavailable, http.StatusServiceUnavailable, fmt.Errorf("keep a notification that cannot be processed (%w): %w", err, kept), hint)
		return
	}
	s.metrics.notices.WithLabelValues(outcome).Inc()
	if times, ok := s.refusals.next(outcome); ok {
		s.log.Error("notification refused: Alertmanager drops it; its body is kept under /api/v1/aside", "status", status, "err", err,
			"bytes", len(n.Body), "remote", r.RemoteAddr, "times", times)
	}
	hint := "the body is kept under /api/v1/aside"
	var bad *alert.Error
	if errors.As(err, &bad) && bad.Hint() != "" {
		hint = bad.Hint() + "; " + hint
	}
	web.Error(w, status, err, hint)
}

// unavailable answers 5xx: the sender tries again, nothing is lost.
func (s *server) unavailable(w http.ResponseWriter, outcome string, status int, err error, hint string) {
	s.metrics.notices.WithLabelValues(outcome).Inc()
	if times, ok := s.refusals.next(outcome); ok {
		s.log.Warn("notification not taken, the sender tries again", "status", status, "err", err, "times", times)
	}
	w.Header().Set("Retry-After", strconv.Itoa(int(retryAfter.Seconds())))
	web.Error(w, status, err, hint)
}

// clock reads the time of a replay. No header means no time.
func clock(v string) (time.Time, error) {
	if v == "" {
		return time.Time{}, nil
	}
	t, err := time.Parse(time.RFC3339Nano, v)
	if err != nil {
		return time.Time{}, fmt.Errorf("%.40q is not an RFC 3339 time", v)
	}
	return t.UTC(), nil
}
