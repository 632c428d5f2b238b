package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/portent-dev/portent/internal/incident"
	"github.com/portent-dev/portent/internal/incidentapi"
	"github.com/portent-dev/portent/internal/outbox"
	"github.com/portent-dev/portent/internal/policy"
	"github.com/portent-dev/portent/internal/ticket"
	"github.com/portent-dev/portent/internal/web"
)

// reportSpan is how far back the policy report looks.
const reportSpan = 7 * 24 * time.Hour

// maxClasses bounds the classes that the policy page lists: those that somebody said something of last.
const maxClasses = 50

// policyView gathers what there is to know about the policy.
func (s *server) policyView(ctx context.Context) (incidentapi.Policy, error) {
	p := s.gater.policy.Load()
	out := incidentapi.Policy{Version: p.Version(), Since: s.now().Add(-reportSpan).UTC()}
	var err error
	if out.Config, err = json.Marshal(p.Config()); err != nil {
		return out, err
	}
	if out.KillSwitch, err = s.switchView(ctx); err != nil {
		return out, err
	}
	counts, err := s.ledger.PolicyReport(ctx, out.Since)
	if err != nil {
		return out, err
	}
	out.Report = reportOf(counts)
	out.Classes, err = s.classes(ctx)
	return out, err
}

func (s *server) switchView(ctx context.Context) (incidentapi.Switch, error) {
	w, err := s.gater.store.Switch(ctx, outbox.KillSwitch)
	byConfig := s.gater.byConfig()
	return incidentapi.Switch{Engaged: w.Engaged || byConfig, ByConfig: byConfig, Actor: w.Actor, Reason: w.Reason, At: timeOrNull(w.At)}, err
}

func reportOf(counts []outbox.PolicyCount) []incidentapi.PolicyCount {
	out := []incidentapi.PolicyCount{}
	for _, c := range counts {
		if n := len(out); n == 0 || out[n-1].Rule != c.Rule || out[n-1].Phase != c.Phase {
			out = append(out, incidentapi.PolicyCount{Rule: c.Rule, Phase: c.Phase})
		}
		row := &out[len(out)-1]
		switch c.State {
		case outbox.StateHeld:
			row.Waiting += c.N
		case outbox.StateRecorded:
			row.Recorded += c.N
		case outbox.StateDropped:
			row.Dropped += c.N
		case outbox.StateDead:
			row.GivenUp += c.N
		case outbox.StatePending, outbox.StateInflight, outbox.StateDone:
			if c.ByPerson {
				row.Approved += c.N
			} else {
				row.Filed += c.N
			}
		}
	}
	return out
}

// classes are the classes of incidents that people said something of lately, the last first.
func (s *server) classes(ctx context.Context) ([]incidentapi.Routing, error) {
	out := []incidentapi.Routing{}
	vs, err := s.ledger.LastVerdicts(ctx, incident.MaxLimit)
	if err != nil {
		return out, err
	}
	type class struct{ cluster, name string }
	seen := map[class][]incident.Feedback{}
	var order []class
	for _, v := range vs {
		c := class{v.Cluster, v.Class}
		if _, ok := seen[c]; !ok {
			order = append(order, c)
		}
		if len(seen[c]) < policy.Window {
			seen[c] = append(seen[c], v)
		}
	}
	for _, c := range order[:min(len(order), maxClasses)] {
		out = append(out, routingToAPI(c.cluster, c.name, tallyOf(seen[c])))
	}
	return out, nil
}

// servePolicy answers GET /api/v1/policy.
func (s *server) servePolicy(w http.ResponseWriter, r *http.Request, _ principal) {
	v, err := s.policyView(r.Context())
	if err != nil {
		s.failed(w, r, err)
		return
	}
	web.JSON(w, http.StatusOK, v)
}

// serveSwitch answers POST /api/v1/policy/killswitch.
func (s *server) serveSwitch(w http.ResponseWriter, r *http.Request, p principal) {
	var a incidentapi.SwitchAction
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxActionBytes))
	if err == nil {
		err = json.Unmarshal(body, &a)
	}
	if err != nil {
		web.Error(w, http.StatusBadRequest, fmt.Errorf("read the body: %w", err), `send {"engaged":true,"reason":"…"}`)
		return
	}
	if err := s.pull(r.Context(), p, a); err != nil {
		s.switchFailed(w, r, err)
		return
	}
	v, err := s.switchView(r.Context())
	if err != nil {
		s.failed(w, r, err)
		return
	}
	web.JSON(w, http.StatusOK, v)
}

// errByConfig: the page cannot let go what the configuration holds.
var errByConfig = errors.New("the configuration engages the kill switch")

// pull engages the kill switch, which an approver may, or lets go, which takes an admin.
func (s *server) pull(ctx context.Context, p principal, a incidentapi.SwitchAction) error {
	a.Reason = ticket.OneLine(a.Reason, maxReason+1)
	switch {
	case a.Reason == "" || utf8.RuneCountInString(a.Reason) > maxReason:
		return errReason
	case !a.Engaged && !p.role.may(RoleAdmin):
		return fmt.Errorf("%w: to let go needs role %s", errRole, RoleAdmin)
	case !a.Engaged && s.gater.byConfig():
		return errByConfig
	}
	err := s.ledger.SetSwitch(ctx, outbox.Switch{Name: outbox.KillSwitch, Engaged: a.Engaged, Actor: p.name, Reason: a.Reason, At: s.now().UTC()})
	if err != nil {
		return err
	}
	s.metrics.decisions.WithLabelValues(actionSwitch).Inc()
	s.log.Warn("kill_switch", "engaged", a.Engaged, "actor", p.name, "reason", a.Reason)
	s.wakeOutbox()
	return nil
}

func (s *server) switchFailed(w http.ResponseWriter, r *http.Request, err error) {
	if errors.Is(err, errByConfig) {
		s.fail(w, r, http.StatusConflict, err, "set policy.kill_switch: false and reload")
		return
	}
	s.actionFailed(w, r, err)
}

// pageSwitch carries out what the form on the policy page asks for.
func (s *server) pageSwitch(w http.ResponseWriter, r *http.Request, p principal) {
	r.Body = http.MaxBytesReader(w, r.Body, maxActionBytes)
	engaged, err := strconv.ParseBool(r.PostFormValue("engaged"))
	if err != nil {
		s.pages.message(w, r, http.StatusBadRequest, errors.New("the form does not say what to do"), "go back and send it again")
		return
	}
	if err := s.pull(r.Context(), p, incidentapi.SwitchAction{Engaged: engaged, Reason: r.PostFormValue("reason")}); err != nil {
		s.switchFailed(w, r, err)
		return
	}
	http.Redirect(w, r, "../policy", http.StatusSeeOther)
}
