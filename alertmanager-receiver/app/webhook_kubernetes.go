package app

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"strings"

	"github.com/portent-dev/portent/internal/incident"
	"github.com/portent-dev/portent/internal/ingest/kubeevent"
	"github.com/portent-dev/portent/internal/ticket"
	"github.com/portent-dev/portent/internal/web"
)

// Bounds of what is kept of an event, in runes: Kubernetes itself bounds the message to 1024.
const (
	maxEventName    = 253
	maxEventMessage = 1024
)

// serveKubernetes takes one event as the webhook sink of kubernetes-event-exporter sends it. That sink never sends
// again: what cannot be stored is lost, and counted.
func (s *server) serveKubernetes(w http.ResponseWriter, r *http.Request) {
	secure(w)
	if !s.settings.Load().access.mayPost(r) {
		s.metrics.events.WithLabelValues(outcomeDenied).Inc()
		w.Header().Set("WWW-Authenticate", `Bearer realm="portent webhook"`)
		web.Error(w, http.StatusUnauthorized, errors.New("the webhook's token is missing or wrong"),
			"set the header Authorization: Bearer … of the sink to webhook.token of the receiver")
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, kubeevent.MaxBytes))
	if err != nil {
		s.metrics.events.WithLabelValues(outcomeTooLarge).Inc()
		web.Error(w, http.StatusRequestEntityTooLarge, err, "one event a request, of 1 MiB at most")
		return
	}
	e, err := kubeevent.Decode(body)
	if err != nil {
		s.metrics.events.WithLabelValues(outcomeRefused).Inc()
		web.Error(w, http.StatusBadRequest, err, "see docs/configuration/receiver.md for the configuration of the sink")
		return
	}
	ctx, cancel := s.storeContext(r)
	defer cancel()
	if err := s.objectEvents.PutObjectEvents(ctx, s.objectEvent(e)); err != nil {
		_, hint := storeStatus(err)
		s.metrics.events.WithLabelValues(outcomeUnavailable).Inc()
		web.Error(w, http.StatusServiceUnavailable, err, hint)
		return
	}
	s.metrics.events.WithLabelValues(outcomeAccepted).Inc()
	web.JSON(w, http.StatusOK, struct {
		Status string `json:"status"`
	}{"stored"})
}

// objectEvent is what is kept of an event. One without a time happened now, one without an identity is another one each
// time it says something else.
func (s *server) objectEvent(e kubeevent.Event) incident.ObjectEvent {
	short := func(v string) string { return ticket.OneLine(v, maxEventName) }
	out := incident.ObjectEvent{
		UID: e.UID, At: e.At, Cluster: short(e.Cluster), Namespace: short(e.Namespace), Kind: short(e.Kind), Name: short(e.Name),
		Reason: short(e.Reason), Message: ticket.OneLine(e.Message, maxEventMessage), Warning: e.Warning(), Count: e.Count, Node: short(e.Host),
	}
	if strings.EqualFold(e.Kind, "Node") {
		out.Node = out.Name
	}
	if now := s.now(); out.At.IsZero() || out.At.After(now) {
		out.At = now.UTC()
	}
	if out.UID == "" || len(out.UID) > maxEventName {
		h := sha256.Sum256([]byte(strings.Join([]string{e.Namespace, e.Kind, e.Name, e.Reason, e.Message, out.At.String()}, "\x00")))
		out.UID = hex.EncodeToString(h[:])
	}
	out.UID = cmp.Or(out.Cluster, "-") + "/" + out.UID
	return out
}
