package app

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/prometheus/common/model"

	"github.com/portent-dev/portent/internal/incident"
	"github.com/portent-dev/portent/internal/ticket"
	"github.com/portent-dev/portent/internal/web"
)

// maxCallback bounds what a tracker sends back: an issue with long fields.
const maxCallback = 1 << 20

// ticketKeys keeps the incidents of tickets.
type ticketKeys interface {
	IncidentOfTicket(ctx context.Context, key string) (string, error)
}

// A callback is the webhook of one kind of tracker. What it sends is not believed: it names a ticket, which is
// then asked for.
type callback struct {
	name string
	// signature checks the sender's signature; nil where the vendor has none.
	signature func(secret string, r *http.Request, body []byte) bool
	// keys returns what may name the ticket: our own key on it, its key, its id.
	keys func(body []byte) ([]string, error)
}

// callbacks are the kinds, by the last part of their path.
var callbacks = map[string]callback{
	TrackerJira:       {TrackerJira, jiraSignature, jiraKeys},
	TrackerServiceNow: {TrackerServiceNow, nil, serviceNowKeys},
	TrackerPagerDuty:  {TrackerPagerDuty, pagerDutySignature, pagerDutyKeys},
}

// serveCallback answers POST /api/v1/webhook/{jira,servicenow,pagerduty}. An event about a ticket that is not ours is
// taken and forgotten: their webhooks send all, and would be disabled for errors.
func (s *server) serveCallback(w http.ResponseWriter, r *http.Request) {
	secure(w)
	c := callbacks[r.URL.Path[strings.LastIndexByte(r.URL.Path, '/')+1:]]
	body, ok := s.callbackBody(w, r, c)
	if !ok {
		return
	}
	keys, err := c.keys(body)
	if err != nil {
		s.metrics.callbacks.WithLabelValues(c.name, outcomeRefused).Inc()
		web.Error(w, http.StatusBadRequest, fmt.Errorf("the body is no event of %s: %w", c.name, err), "see docs/configuration/receiver.md for how to set the webhook up")
		return
	}
	id, err := s.incidentOf(r.Context(), keys)
	switch {
	case errors.Is(err, incident.ErrNotFound):
		s.metrics.callbacks.WithLabelValues(c.name, outcomeForeign).Inc()
		web.JSON(w, http.StatusOK, map[string]string{"status": "not about an incident of ours"})
	case err != nil:
		s.metrics.callbacks.WithLabelValues(c.name, outcomeUnavailable).Inc()
		s.failed(w, r, err)
	default:
		s.metrics.callbacks.WithLabelValues(c.name, outcomeAccepted).Inc()
		s.hint(id)
		web.JSON(w, http.StatusAccepted, map[string]string{"status": "looked at", "incident": id})
	}
}

// callbackBody reads the body of somebody who may send it: by signature where a secret is configured, else by token.
func (s *server) callbackBody(w http.ResponseWriter, r *http.Request, c callback) ([]byte, bool) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxCallback))
	if err != nil {
		s.metrics.callbacks.WithLabelValues(c.name, outcomeTooLarge).Inc()
		web.Error(w, http.StatusRequestEntityTooLarge, err, "an event has 1 MiB at most")
		return nil, false
	}
	set := s.settings.Load()
	secret := set.callbackSecrets[c.name]
	if c.signature != nil && secret != "" {
		ok := c.signature(secret, r, body)
		if !ok {
			s.metrics.callbacks.WithLabelValues(c.name, outcomeDenied).Inc()
			web.Error(w, http.StatusUnauthorized, errors.New("the signature is missing or wrong"), "set the same secret in "+c.name+" and in webhook.secrets of the receiver")
		}
		return body, ok
	}
	if !set.access.mayPost(r) {
		s.metrics.callbacks.WithLabelValues(c.name, outcomeDenied).Inc()
		web.Error(w, http.StatusUnauthorized, errors.New("the webhook's token is missing or wrong"), "send webhook.token as bearer token, or configure a secret where "+c.name+" signs")
		return nil, false
	}
	return body, true
}

// incidentOf returns the first incident that one of the keys names.
func (s *server) incidentOf(ctx context.Context, keys []string) (string, error) {
	for _, key := range keys {
		if id, ok := strings.CutPrefix(key, "portent-"); ok {
			if _, err := s.store.Get(ctx, id); !errors.Is(err, incident.ErrNotFound) {
				return id, err
			}
		}
		id, err := s.ticketKeys.IncidentOfTicket(ctx, key)
		if !errors.Is(err, incident.ErrNotFound) {
			return id, err
		}
	}
	return "", incident.ErrNotFound
}

func jiraKeys(body []byte) ([]string, error) {
	var e struct {
		Issue struct {
			Key    string `json:"key"`
			ID     string `json:"id"`
			Fields struct {
				Labels []string `json:"labels"`
			} `json:"fields"`
		} `json:"issue"`
	}
	if err := json.Unmarshal(body, &e); err != nil {
		return nil, err
	}
	keys := make([]string, 0, 3)
	for _, l := range e.Issue.Fields.Labels {
		if strings.HasPrefix(l, "portent-") && len(keys) < 2 {
			keys = append(keys, l)
		}
	}
	return named(append(keys, e.Issue.Key, e.Issue.ID), "issue.key")
}

func serviceNowKeys(body []byte) ([]string, error) {
	var e struct {
		Correlation string `json:"correlation_id"`
		Number      string `json:"number"`
		SysID       string `json:"sys_id"`
	}
	if err := json.Unmarshal(body, &e); err != nil {
		return nil, err
	}
	return named([]string{e.Correlation, e.Number, e.SysID}, "correlation_id, number or sys_id")
}

func pagerDutyKeys(body []byte) ([]string, error) {
	var e struct {
		Event struct {
			Type string `json:"event_type"`
			Data struct {
				ID  string  `json:"id"`
				Key *string `json:"incident_key"`
			} `json:"data"`
		} `json:"event"`
	}
	if err := json.Unmarshal(body, &e); err != nil {
		return nil, err
	}
	keys := []string{e.Event.Data.ID}
	if e.Event.Data.Key != nil {
		keys = []string{*e.Event.Data.Key, e.Event.Data.ID}
	}
	if e.Event.Type == "" {
		return nil, errors.New("want event.event_type")
	}
	return named(keys, "event.data.id")
}

// named drops empty keys; none at all is an error.
func named(keys []string, want string) ([]string, error) {
	var out []string
	for _, k := range keys {
		if k != "" && len(k) <= ticket.MaxKey {
			out = append(out, k)
		}
	}
	if out == nil {
		return nil, errors.New("want " + want)
	}
	return out, nil
}

// jiraSignature checks X-Hub-Signature (WebSub), which Jira sends for a webhook with a secret.
func jiraSignature(secret string, r *http.Request, body []byte) bool {
	given, ok := strings.CutPrefix(r.Header.Get("X-Hub-Signature"), "sha256=")
	return ok && signed(secret, body, given)
}

// pagerDutySignature checks X-PagerDuty-Signature, which has one v1= for each secret while it is rotated.
func pagerDutySignature(secret string, r *http.Request, body []byte) bool {
	for part := range strings.SplitSeq(r.Header.Get("X-PagerDuty-Signature"), ",") {
		if given, ok := strings.CutPrefix(strings.TrimSpace(part), "v1="); ok && signed(secret, body, given) {
			return true
		}
	}
	return false
}

func signed(secret string, body []byte, given string) bool {
	want, err := hex.DecodeString(given)
	if err != nil {
		return false
	}
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write(body)
	return hmac.Equal(mac.Sum(nil), want)
}

// paletteEvent is the body that is to be written into the HTTP channel of Palette's ClusterHealth alert, which has no format
// of its own.
type paletteEvent struct {
	Cluster string `json:"cluster"`
	Project string `json:"project"`
	State   string `json:"state"` // unhealthy or healthy, in any case
	Message string `json:"message"`
}

// paletteReceiver and paletteAlert name the alerts that are made of Palette's.
const (
	paletteReceiver = "palette"
	paletteAlert    = "PaletteClusterUnhealthy"
)

// servePalette answers POST /api/v1/webhook/palette: a cluster that Palette calls unhealthy is an alert like any other, until
// it calls it healthy.
func (s *server) servePalette(w http.ResponseWriter, r *http.Request) {
	secure(w)
	body, ok := s.callbackBody(w, r, callback{name: paletteReceiver})
	if !ok {
		return
	}
	var e paletteEvent
	err := json.Unmarshal(body, &e)
	e.State = strings.ToLower(e.State)
	if err == nil && (e.Cluster == "" || e.State != "healthy" && e.State != "unhealthy") {
		err = errors.New(`want "cluster", and "state" healthy or unhealthy`)
	}
	if err != nil {
		s.metrics.callbacks.WithLabelValues(paletteReceiver, outcomeRefused).Inc()
		web.Error(w, http.StatusBadRequest, err, `write {"cluster":"…","project":"…","state":"unhealthy","message":"…"} into the body of the HTTP channel`)
		return
	}
	n := incident.Notification{Source: incident.SourceAlertmanager, ReceivedAt: s.now().UTC()}
	if n.Body, err = s.paletteNotice(r.Context(), e, n.ReceivedAt); err != nil {
		s.failed(w, r, err)
		return
	}
	s.metrics.callbacks.WithLabelValues(paletteReceiver, outcomeAccepted).Inc()
	s.accept(w, r, n)
}

// paletteNotice is the event as a notification of Alertmanager. What is told again while it goes on began when it was first
// told.
func (s *server) paletteNotice(ctx context.Context, e paletteEvent, now time.Time) ([]byte, error) {
	labels := map[string]string{"alertname": paletteAlert, "severity": "critical", "cluster": ticket.OneLine(e.Cluster, maxEventName)}
	if e.Project != "" {
		labels["project"] = ticket.OneLine(e.Project, maxEventName)
	}
	set := model.LabelSet{}
	for k, v := range labels {
		set[model.LabelName(k)] = model.LabelValue(v)
	}
	fingerprint := set.Fingerprint().String()
	known, err := s.recall.Known(ctx, []string{fingerprint})
	if err != nil {
		return nil, err
	}
	started := now
	if len(known) > 0 && known[0].Status == incident.AlertFiring {
		started = known[0].StartsAt
	}
	alert := map[string]any{
		"status": "firing", "labels": labels, "fingerprint": fingerprint, "startsAt": started.Format(time.RFC3339Nano), "endsAt": "0001-01-01T00:00:00Z",
		"annotations":  map[string]string{"summary": "Palette reports cluster " + labels["cluster"] + " as " + e.State, "description": ticket.OneLine(e.Message, maxEventMessage)},
		"generatorURL": "",
	}
	if e.State == "healthy" {
		alert["status"], alert["endsAt"] = "resolved", now.Format(time.RFC3339Nano)
	}
	return json.Marshal(map[string]any{
		"version": "4", "receiver": paletteReceiver, "status": alert["status"], "groupKey": paletteReceiver + ":" + fingerprint, "externalURL": "",
		"groupLabels": labels, "commonLabels": labels, "commonAnnotations": map[string]string{}, "truncatedAlerts": 0, "alerts": []any{alert},
	})
}
