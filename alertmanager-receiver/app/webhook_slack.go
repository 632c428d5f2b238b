package app

import (
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/portent-dev/portent/internal/incident"
	"github.com/portent-dev/portent/internal/incidentapi"
	"github.com/portent-dev/portent/internal/outbox"
	"github.com/portent-dev/portent/internal/ticket/slack"
	"github.com/portent-dev/portent/internal/web"
)

const (
	// slackSkew is how far the time of a signature may be from ours: what Slack's documentation says.
	slackSkew = 5 * time.Minute
	// slackTimeout of deciding: Slack shows an error after 3 s.
	slackTimeout = 2500 * time.Millisecond
)

// pressed is what a button carries: which payload of which draft.
type pressed struct {
	Incident string
	Task     int64
	Hash     string
}

// String is the form of a button's value.
func (p pressed) String() string { return fmt.Sprintf("1 %s %d %s", p.Incident, p.Task, p.Hash) }

var pressedForm = regexp.MustCompile(`^1 ([0-9A-Za-z_-]{1,100}) ([1-9][0-9]{0,17}) ([0-9a-f]{64})$`)

func parsePressed(s string) (pressed, error) {
	m := pressedForm.FindStringSubmatch(s)
	if m == nil {
		return pressed{}, errors.New("the button carries no draft of ours")
	}
	task, err := strconv.ParseInt(m[2], 10, 64)
	return pressed{Incident: m[1], Task: task, Hash: m[3]}, err
}

// interaction is the part that we read of what Slack sends when somebody presses a button.
type interaction struct {
	Type string `json:"type"`
	// TriggerID lets a form be opened, for three seconds.
	TriggerID string `json:"trigger_id"`
	User      struct {
		ID string `json:"id"`
	} `json:"user"`
	Channel struct {
		ID string `json:"id"`
	} `json:"channel"`
	Actions []struct {
		ActionID string `json:"action_id"`
		Value    string `json:"value"`
	} `json:"actions"`
	// View is the form that was filled in.
	View struct {
		CallbackID string `json:"callback_id"`
		Meta       string `json:"private_metadata"`
		State      struct {
			Values map[string]map[string]struct {
				Value string `json:"value"`
			} `json:"values"`
		} `json:"state"`
	} `json:"view"`
}

// serveSlack answers POST /api/v1/webhook/slack: a button that somebody pressed, or the form that asked for the reason. Only what
// Slack signed is read, and
// only who the tracker's configuration names may decide. The answer is 200 whenever Slack is not to blame: what it
// has to say goes to the person who pressed.
func (s *server) serveSlack(w http.ResponseWriter, r *http.Request) {
	secure(w)
	count := func(outcome string) { s.metrics.callbacks.WithLabelValues(TrackerSlack, outcome).Inc() }
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxCallback))
	if err != nil {
		count(outcomeTooLarge)
		web.Error(w, http.StatusRequestEntityTooLarge, err, "an interaction has 1 MiB at most")
		return
	}
	set := s.settings.Load()
	signers, err := slackSigners(set.slackSecrets, r.Header, body, s.now())
	if err != nil {
		count(outcomeDenied)
		web.Error(w, http.StatusUnauthorized, err, "set signing_secrets of the tracker, or webhook.secrets.slack, to the signing secret of the app, and keep the clock right")
		return
	}
	trackers := slices.DeleteFunc(slices.Clone(set.config.Trackers), func(t TrackerConfig) bool { return !signers[t.Name] })
	in, err := readInteraction(r.Header, body)
	if err != nil {
		count(outcomeRefused)
		web.Error(w, http.StatusBadRequest, err, "set the request URL of the app's interactivity to this address, and nothing else")
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), cmp.Or(s.slackWithin, slackTimeout))
	defer cancel()
	switch first, err := s.firstPress(ctx, r.Header); {
	case err != nil:
		count(outcomeUnavailable)
		s.failed(w, r, err)
		return
	case !first:
		count(outcomeRefused)
		web.Error(w, http.StatusConflict, errors.New("this press of a button came before"), "press again: each press is signed anew")
		return
	}
	if in.Type == "view_submission" {
		refusal, outcome := s.submit(ctx, in, trackers)
		if count(outcome); refusal != "" {
			answerForm(w, refusal)
			return
		}
	} else {
		count(s.press(ctx, in, trackers))
	}
	w.WriteHeader(http.StatusOK)
}

// firstPress reports whether a signed request is the first with its signature, over all replicas. Slack sends none twice, and
// whoever caught one shall not undo with it what was decided since.
func (s *server) firstPress(ctx context.Context, h http.Header) (bool, error) {
	id := hashOf("slack:" + strings.ToLower(h.Get("X-Slack-Signature")) + ":" + h.Get("X-Slack-Request-Timestamp"))
	seen := func() bool {
		_, err := s.sessions.Session(ctx, id, s.now())
		return err == nil
	}
	if seen() {
		return false, nil
	}
	// As long as the signature is taken, whichever of the two clocks is ahead.
	err := s.sessions.PutSession(ctx, id, json.RawMessage(`{}`), s.now(), s.now().Add(2*slackSkew))
	if err != nil && seen() {
		return false, nil // another replica was faster
	}
	return err == nil, err
}

// slackSigned checks X-Slack-Signature: version 0, an HMAC over the time and the body as it came.
func slackSigned(secret string, h http.Header, body []byte, now time.Time) error {
	if secret == "" {
		return errors.New("no signing secret is configured")
	}
	stamp := h.Get("X-Slack-Request-Timestamp")
	sec, err := strconv.ParseInt(stamp, 10, 64)
	if err != nil {
		return errors.New("X-Slack-Request-Timestamp is missing or no number")
	}
	if d := now.Sub(time.Unix(sec, 0)); d > slackSkew || d < -slackSkew {
		return fmt.Errorf("the signature is of another time: %s from now, at most %s may be", d.Round(time.Second), slackSkew)
	}
	given, err := hex.DecodeString(strings.TrimPrefix(h.Get("X-Slack-Signature"), "v0="))
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte("v0:" + stamp + ":"))
	mac.Write(body)
	if err != nil || !strings.HasPrefix(h.Get("X-Slack-Signature"), "v0=") || !hmac.Equal(mac.Sum(nil), given) {
		return errors.New("the signature is missing or wrong")
	}
	return nil
}

func readInteraction(h http.Header, body []byte) (interaction, error) {
	var in interaction
	if t, _, err := mime.ParseMediaType(h.Get("Content-Type")); err != nil || t != "application/x-www-form-urlencoded" {
		return in, errors.New("want Content-Type application/x-www-form-urlencoded")
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return in, fmt.Errorf("the body is no form: %w", err)
	}
	if err := json.Unmarshal([]byte(form.Get("payload")), &in); err != nil {
		return in, fmt.Errorf("the payload of the form is no JSON: %w", err)
	}
	if in.Type == "" {
		return in, errors.New("want payload.type")
	}
	return in, nil
}

// press asks whoever pressed a button for the reason, and returns what became of it.
func (s *server) press(ctx context.Context, in interaction, trackers []TrackerConfig) (outcome string) {
	if in.Type != "block_actions" || len(in.Actions) != 1 {
		return outcomeForeign
	}
	b := in.Actions[0]
	a, ok := slackActions[b.ActionID]
	if !ok {
		return outcomeForeign // links are announced too
	}
	name, who, known := pressedBy(in, trackers)
	if name == "" {
		return outcomeForeign
	}
	tell := func(text string) { s.asker.whisper(name, in.User.ID, text) }
	if !known {
		s.metrics.denied.WithLabelValues("role").Inc()
		tell("You are not among those who may decide here. Nothing was done. Whoever runs Portent can name you in approvers of the tracker " + name + ".")
		return outcomeDenied
	}
	if !who.role.may(actionRoles[a.do]) {
		s.metrics.denied.WithLabelValues("role").Inc()
		tell("Your role, " + string(who.role) + ", may not do this. Nothing was done.")
		return outcomeDenied
	}
	v, err := s.prompted(ctx, name, b.Value)
	if err != nil { // a button that this channel was never given
		tell("This was not asked here, or is older than what is kept. Nothing was done.")
		return outcomeForeign
	}
	text, outcome := s.askReason(ctx, in, who, name, v, b.ActionID)
	if text != "" {
		tell(text)
	}
	return outcome
}

// pressedBy returns the tracker whose channel the message is in, who pressed, and whether that may be.
func pressedBy(in interaction, trackers []TrackerConfig) (tracker string, who principal, known bool) {
	for _, t := range trackers {
		if t.Type != TrackerSlack || t.Slack == nil || len(t.Slack.Approvers) == 0 || t.Slack.Channel != in.Channel.ID {
			continue
		}
		if tracker == "" {
			tracker = t.Name
		}
		if a, ok := t.Slack.Approvers[in.User.ID]; ok {
			scope, err := parseMatchers(a.Matchers)
			if err != nil {
				return t.Name, principal{}, false // the configuration was checked: not reached
			}
			who = principal{name: a.As, role: Role(a.Role), scope: scope}
			if who.name == "" {
				who.name = "slack:" + in.User.ID
			}
			return t.Name, who, true
		}
	}
	return tracker, who, false
}

// decidePressed carries out what somebody pressed and says what came of it.
func (s *server) decidePressed(ctx context.Context, who principal, v pressed, action, reason string) (text, outcome string) {
	before, err := s.ledger.ApprovalsOf(ctx, v.Incident)
	if err == nil && action == slack.ActionApprove && approvedBefore(before, v, who.name) {
		return "You have approved this already.", outcomeAccepted
	}
	if err == nil {
		d := decision{Incident: v.Incident, Do: slackActions[action].do, Action: incidentapi.Action{Reason: reason}}
		if action == slack.ActionApprove {
			d.Task, d.Hash = v.Task, v.Hash
		}
		_, err = s.carryOut(ctx, who, d)
	}
	switch {
	case err != nil:
		return s.pressFailed(who, v, action, err)
	case action == slack.ActionApprove && s.stillWaits(ctx, v):
		return "Approved. It takes somebody else as well.", outcomeAccepted
	case action == slack.ActionApprove:
		return "Approved. What you saw is what is sent.", outcomeAccepted
	case action == slack.ActionEscalate:
		return "Escalated.", outcomeAccepted
	}
	return "Dismissed.", outcomeAccepted
}

// stillWaits reports whether a draft waits for another person.
func (s *server) stillWaits(ctx context.Context, v pressed) bool {
	drafts, err := s.draftsOf(ctx, v.Incident)
	return err == nil && slices.ContainsFunc(drafts, func(t outbox.Task) bool { return t.ID == v.Task && t.State == outbox.StateHeld })
}

// pressFailed says why what somebody pressed was not done.
func (s *server) pressFailed(who principal, v pressed, action string, err error) (text, outcome string) {
	switch {
	case errors.Is(err, outbox.ErrStale):
		return "The draft is another one by now: the incident went on, or somebody edited it. Nothing was approved. Look at the message again.", outcomeRefused
	case errors.Is(err, outbox.ErrNotHeld):
		return "Nothing waits for an approval any more: somebody was faster, or it lapsed.", outcomeRefused
	case errors.Is(err, incident.ErrConflict):
		return "That does not apply any more: somebody was faster.", outcomeRefused
	case errors.Is(err, incident.ErrNotFound):
		return "The incident is not kept any more.", outcomeRefused
	case errors.Is(err, errPart), errors.Is(err, errHidden):
		s.metrics.denied.WithLabelValues("scope").Inc()
		return "This also tells of what you may not see, so you cannot decide about it. Nothing was done.", outcomeDenied
	case errors.Is(err, errRole):
		s.metrics.denied.WithLabelValues("role").Inc()
		return "Your role, " + string(who.role) + ", may not do this. Nothing was done.", outcomeDenied
	}
	s.log.Error("interaction_failed", "incident", v.Incident, "action", action, "err", err)
	return "That could not be done now. Press again in a moment, or use the page of the incident.", outcomeUnavailable
}
