package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"
	"unicode/utf8"

	"github.com/portent-dev/portent/internal/incident"
	"github.com/portent-dev/portent/internal/outbox"
	"github.com/portent-dev/portent/internal/ticket"
	"github.com/portent-dev/portent/internal/ticket/slack"
)

// slackSecrets are the signing secrets of the apps that people press buttons of, by tracker: its own, else the one of
// webhook.secrets. Under "" stands the latter.
func (c *Config) slackSecrets(common string) (map[string][]string, error) {
	out := map[string][]string{}
	if common != "" {
		out[""] = []string{common}
	}
	var errs []error
	for _, t := range c.Trackers {
		if t.Slack == nil {
			continue
		}
		own, err := t.Slack.Signing()
		errs = append(errs, err)
		for _, s := range own {
			out[t.Name] = append(out[t.Name], s.Reveal())
		}
		if len(own) == 0 && common != "" {
			out[t.Name] = []string{common}
		}
	}
	return out, errors.Join(errs...)
}

// slackSigners returns the trackers whose app signed a request. An app speaks for its own trackers only: what another
// workspace signed decides nothing here, even where its channel has the same id.
func slackSigners(secrets map[string][]string, h http.Header, body []byte, now time.Time) (map[string]bool, error) {
	signers := map[string]bool{}
	why := errors.New("no signing secret is configured")
	for name, all := range secrets {
		for _, secret := range all {
			if err := slackSigned(secret, h, body, now); err != nil {
				why = err
				continue
			}
			signers[name] = true
		}
	}
	if len(signers) == 0 {
		return nil, why
	}
	return signers, nil
}

// slackActions are what buttons do, with what the form says that asks for the reason.
var slackActions = map[string]struct{ do, title, send, says string }{
	slack.ActionApprove:  {actionApprove, "Approve", "Approve", "It goes out as it stands in the incident."},
	slack.ActionDismiss:  {actionDismiss, "Dismiss", "Dismiss", "The whole incident is dismissed, and what waits for it is dropped."},
	slack.ActionEscalate: {actionEscalate, "Escalate", "Escalate", "The incident becomes critical, and everybody who is told of escalations is told."},
}

// formMeta is what a form carries: what was pressed, and where.
type formMeta struct {
	Value   string `json:"value"`
	Action  string `json:"action"`
	Channel string `json:"channel"`
	Tracker string `json:"tracker"`
}

// askReason opens the form for what somebody pressed, if they may see what it is about. Nothing is decided yet.
func (s *server) askReason(ctx context.Context, in interaction, who principal, name string, v pressed, action string) (text, outcome string) {
	ch, ok := s.asker.channels()[name]
	if !ok { // a reload took it away
		return "The tracker " + name + " is not in use any more. Nothing was done.", outcomeRefused
	}
	a := slackActions[action]
	meta, err := json.Marshal(formMeta{Value: v.String(), Action: action, Channel: in.Channel.ID, Tracker: name})
	if err != nil {
		return "That could not be done now.", outcomeUnavailable
	}
	inc, whole, err := s.see(ctx, who, v.Incident)
	if err == nil && !whole {
		err = errPart
	}
	if err != nil {
		return s.pressFailed(who, v, action, err)
	}
	title := ticket.OneLine(inc.Title, 150) + "\n"
	err = ch.AskReason(ctx, in.TriggerID, slack.Reason{Title: a.title, Says: title + a.says, Send: a.send, Meta: string(meta), Most: maxReason})
	if err != nil {
		s.log.Warn("form_not_opened", "tracker", name, "err", err)
		return "Slack opened no form to ask for your reason. Nothing was done. Press again, or use the page of the incident.", outcomeUnavailable
	}
	return "", outcomeAccepted
}

// submit decides what somebody wrote a reason for. refusal is shown in the form, which then stays open; without one it closes.
func (s *server) submit(ctx context.Context, in interaction, trackers []TrackerConfig) (refusal, outcome string) {
	if in.View.CallbackID != slack.FormReason {
		return "", outcomeForeign
	}
	var m formMeta
	if json.Unmarshal([]byte(in.View.Meta), &m) != nil {
		return "", outcomeForeign
	}
	in.Channel.ID = m.Channel
	name, who, known := pressedBy(in, trackers)
	switch _, ok := slackActions[m.Action]; {
	case name == "" || !ok:
		return "", outcomeForeign
	case !known:
		s.metrics.denied.WithLabelValues("role").Inc()
		return "You are not among those who may decide here.", outcomeDenied
	}
	v, err := s.prompted(ctx, name, m.Value)
	if err != nil {
		return "This was not asked here, or is older than what is kept.", outcomeForeign
	}
	reason := ticket.OneLine(in.View.State.Values[slack.FieldReason][slack.FieldReason].Value, maxReason+1)
	if n := utf8.RuneCountInString(reason); n == 0 || n > maxReason {
		return fmt.Sprintf("Write a reason of 1 to %d characters.", maxReason), outcomeRefused
	}
	text, outcome := s.decidePressed(ctx, who, v, m.Action, reason)
	s.asker.hurry()
	if outcome != outcomeAccepted {
		return text, outcome
	}
	s.asker.whisper(name, in.User.ID, text)
	return "", outcome
}

// prompted reads what a button carries, and refuses what its channel was never asked.
func (s *server) prompted(ctx context.Context, tracker, value string) (pressed, error) {
	v, err := parsePressed(value)
	if err != nil {
		return v, err
	}
	p, err := s.asker.store.Prompt(ctx, v.Task, tracker)
	if err == nil && p.IncidentID != v.Incident {
		err = incident.ErrNotFound
	}
	return v, err
}

// answerForm says in a form why nothing was done.
func answerForm(w http.ResponseWriter, refusal string) {
	w.Header().Set("Content-Type", "application/json")
	b, err := json.Marshal(map[string]any{"response_action": "errors", "errors": map[string]string{slack.FieldReason: refusal}})
	if err != nil {
		return // a string always can be encoded
	}
	_, _ = w.Write(b) // a client that is gone is no fault of ours
}

// approvedBefore reports whether somebody approved exactly this before.
func approvedBefore(all []outbox.Approval, v pressed, who string) bool {
	for _, a := range all {
		if a.TaskID == v.Task && a.Hash == v.Hash && a.Actor == who {
			return true
		}
	}
	return false
}
