package app

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/incident"
	"github.com/portent-dev/portent/internal/incidentapi"
	"github.com/portent-dev/portent/internal/outbox"
	"github.com/portent-dev/portent/internal/ticket/doubletest"
	"github.com/portent-dev/portent/internal/ticket/slack"
	"github.com/portent-dev/portent/internal/ticket/slack/slacktest"
	"github.com/portent-dev/portent/internal/web"
)

const (
	ann    = "U0000000ANN"
	bob    = "U0000000BOB"
	looker = "U000LOOKER"
)

// slackRig is a server whose tracker chat is a channel of the double.
type slackRig struct {
	*testServer
	site *slacktest.Server
}

func newSlackRig(t *testing.T, secrets ...web.Secret) *slackRig {
	t.Helper()
	site, addr := slacktest.Start(t)
	sc := slack.DefaultConfig()
	sc.URL, sc.Token, sc.Channel = addr, slacktest.Token, slacktest.Channel
	sc.Approvers = map[string]slack.Approver{ann: {Role: "approver"}, bob: {Role: "approver", As: "bob"}, looker: {Role: "viewer"}}
	sc.SigningSecrets = secrets
	r := &slackRig{site: site, testServer: newTestServer(t, func(c *Config) {
		if len(sc.SigningSecrets) == 0 {
			c.Webhook.Secrets.Slack = callbackSecret
		}
		c.Trackers = append(c.Trackers, TrackerConfig{Name: "chat", Type: TrackerSlack, Slack: &sc})
	})}
	client, err := sc.HTTPClient()
	require.NoError(t, err)
	tracker, err := slack.New(slack.Options{Config: sc, Token: slacktest.Token, Client: client, Now: time.Now, Registerer: prometheus.NewRegistry()})
	require.NoError(t, err)
	r.slackWithin = time.Minute // a starved machine is no fault
	r.asker = newAsker(asker{
		store: r.db, channels: func() map[string]asks { return map[string]asks{"chat": tracker} }, mute: func() []string { return []string{"chat"} },
		url: func(id string) string { return r.settings.Load().links.Incident(id) }, now: r.now, log: r.log,
	})
	return r
}

// held stores an incident whose ticket waits, and which chat is told of.
func (r *slackRig) held(t *testing.T, approvals int) outbox.Task {
	t.Helper()
	r.addDraft(t, idDraft, approvals)
	require.NoError(t, r.db.Apply(t.Context(), incident.Change{Tasks: []incident.Task{{
		IncidentID: idDraft, Tracker: "chat", Key: "portent-" + idDraft, Kind: incident.TaskCreate, Payload: []byte(`{}`), Gate: incident.Gate{Phase: "draft"},
	}}}))
	ts, err := r.draftsOf(t.Context(), idDraft)
	require.NoError(t, err)
	return ts[0]
}

// value is what the buttons of a message carry.
func value(t *testing.T, m slacktest.Message) string {
	t.Helper()
	var blocks []struct {
		Elements []struct {
			ActionID string `json:"action_id"`
			Value    string `json:"value"`
		} `json:"elements"`
	}
	require.NoError(t, json.Unmarshal([]byte(m.Blocks), &blocks))
	for _, b := range blocks {
		for _, e := range b.Elements {
			if e.ActionID == slack.ActionApprove {
				return e.Value
			}
		}
	}
	t.Fatalf("no button to approve in %s", m.Blocks)
	return ""
}

// presses counts, so that no press is another's copy.
var presses atomic.Int64

func pressBody(user, channel, action, value string) string {
	b, err := json.Marshal(map[string]any{
		"type": "block_actions", "trigger_id": "1.2.3", "user": map[string]any{"id": user, "username": "x"}, "channel": map[string]any{"id": channel}, "team": map[string]any{"id": "T1"},
		"actions": []any{map[string]any{"type": "button", "action_id": action, "value": value, "action_ts": fmt.Sprintf("1780401600.%d", presses.Add(1))}}, "response_url": "https://hooks.slack.com/actions/x",
	})
	if err != nil {
		panic(err)
	}
	return url.Values{"payload": {string(b)}}.Encode()
}

func (r *slackRig) post(t *testing.T, body string, at time.Time, secret string) *httptest.ResponseRecorder {
	t.Helper()
	stamp := strconv.FormatInt(at.Unix(), 10)
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte("v0:" + stamp + ":" + body))
	return r.send(t, http.MethodPost, "/api/v1/webhook/slack", body, "Content-Type", "application/x-www-form-urlencoded",
		"X-Slack-Request-Timestamp", stamp, "X-Slack-Signature", "v0="+hex.EncodeToString(mac.Sum(nil)))
}

// formBody is what comes back of a form.
func formBody(user, meta, reason string) string {
	b, err := json.Marshal(map[string]any{
		"type": "view_submission", "user": map[string]any{"id": user}, "team": map[string]any{"id": "T1"}, "hash": strconv.FormatInt(presses.Add(1), 10),
		"view": map[string]any{
			"id": "V1", "type": "modal", "callback_id": slack.FormReason, "private_metadata": meta,
			"state": map[string]any{"values": map[string]any{"reason": map[string]any{"reason": map[string]any{"type": "plain_text_input", "value": reason}}}},
		},
	})
	if err != nil {
		panic(err)
	}
	return url.Values{"payload": {string(b)}}.Encode()
}

// press presses a button, gives a reason where a form asks for one, and returns what the user was told.
func (r *slackRig) press(t *testing.T, user, action, value string) string {
	t.Helper()
	forms := len(r.site.Forms())
	w := r.post(t, pressBody(user, slacktest.Channel, action, value), t0, callbackSecret)
	require.Equal(t, http.StatusOK, w.Code, w.Body.String())
	require.Empty(t, w.Body.String())
	if all := r.site.Forms(); len(all) > forms {
		w = r.post(t, formBody(user, all[len(all)-1].Meta, "seen it"), t0, callbackSecret)
		require.Equal(t, http.StatusOK, w.Code, w.Body.String())
		if w.Body.Len() > 0 {
			var b struct {
				Action string            `json:"response_action"`
				Errors map[string]string `json:"errors"`
			}
			require.NoError(t, json.Unmarshal(w.Body.Bytes(), &b))
			require.Equal(t, "errors", b.Action)
			require.Empty(t, r.asker.whispers, "the form says it")
			return b.Errors["reason"]
		}
	}
	select {
	case said := <-r.asker.whispers:
		require.Equal(t, user, said.user)
		require.Equal(t, "chat", said.messenger)
		return said.text
	default:
		return ""
	}
}

func TestApprovingInSlack(t *testing.T) {
	r := newSlackRig(t)
	task := r.held(t, 2)
	r.asker.round(t.Context())
	r.asker.round(t.Context())
	require.Len(t, r.site.Messages(), 1, "asked once")
	m := r.site.Messages()[0]
	require.Contains(t, m.Blocks, "waits for approval")
	require.Contains(t, m.Blocks, "Disk full - shop namespace")
	require.Contains(t, m.Blocks, `says draft`)
	v := value(t, m)
	require.LessOrEqual(t, len(v), 2000)

	require.Contains(t, r.press(t, "U0STRANGER", slack.ActionApprove, v), "not among those")
	require.Contains(t, r.press(t, looker, slack.ActionApprove, v), "viewer, may not do this")
	require.Contains(t, r.press(t, ann, slack.ActionApprove, v), "It takes somebody else as well")
	require.Contains(t, r.press(t, ann, slack.ActionApprove, v), "already", "a second click")
	require.Empty(t, r.due(t), "it takes two")
	r.asker.round(t.Context())
	m = r.site.Messages()[0]
	require.Contains(t, m.Blocks, "1 of 2 approved")
	require.Contains(t, m.Blocks, ann)
	require.Contains(t, r.press(t, bob, slack.ActionApprove, v), "What you saw is what is sent")
	tasks := r.due(t)
	require.Len(t, tasks, 1)
	require.Equal(t, task.Hash, incident.PayloadHash(tasks[0].Payload))
	r.asker.round(t.Context())
	m = r.site.Messages()[0]
	require.Contains(t, m.Blocks, "approved")
	require.Contains(t, m.Blocks, "bob")
	require.NotContains(t, m.Blocks, `"value"`)
	require.Contains(t, r.press(t, bob, slack.ActionApprove, v), "already")
	edited := m.Edited
	r.asker.round(t.Context())
	require.Equal(t, edited, r.site.Messages()[0].Edited, "nothing new to say")

	as, err := r.ledger.ApprovalsOf(t.Context(), idDraft)
	require.NoError(t, err)
	require.Equal(t, "slack:"+ann, as[0].Actor)
	require.Equal(t, "seen it", as[0].Reason, "the reason that was written")
	require.Equal(t, "bob", as[1].Actor)
}

func TestAStaleButtonApprovesNothing(t *testing.T) {
	r := newSlackRig(t)
	r.held(t, 1)
	r.asker.round(t.Context())
	old := value(t, r.site.Messages()[0])
	title := "Another title"
	_, err := r.carryOut(t.Context(), principal{name: "cat", role: RoleApprover}, decision{Incident: idDraft, Do: actionEdit, Action: incidentapi.Action{Reason: "better", Title: &title}})
	require.NoError(t, err)
	require.Contains(t, r.press(t, ann, slack.ActionApprove, old), "another one by now")
	require.Empty(t, r.due(t))
	r.asker.round(t.Context())
	m := r.site.Messages()[0]
	require.Contains(t, m.Blocks, title)
	require.NotEqual(t, old, value(t, m))
	require.Contains(t, r.press(t, ann, slack.ActionDismiss, value(t, m)), "Dismissed")
	require.Contains(t, r.press(t, ann, slack.ActionDismiss, value(t, m)), "somebody was faster")
	r.asker.round(t.Context())
	m = r.site.Messages()[0]
	require.Contains(t, m.Blocks, "Incident dismissed")
	require.Contains(t, m.Blocks, ann)
	require.Empty(t, r.due(t))
}

func TestALapsedDraftIsToldInPlace(t *testing.T) {
	r := newSlackRig(t)
	r.held(t, 1)
	r.asker.round(t.Context())
	v := value(t, r.site.Messages()[0])
	r.clock = t0.Add(2 * time.Hour)
	require.NoError(t, r.tendDrafts(t.Context()))
	r.asker.round(t.Context())
	require.Contains(t, r.site.Messages()[0].Blocks, "Nobody approved in time")
	r.clock = t0
	require.Contains(t, r.press(t, ann, slack.ActionApprove, v), "Nothing waits")
}

func TestOnlyWhatSlackSignedIsRead(t *testing.T) {
	r := newSlackRig(t)
	task := r.held(t, 1)
	r.asker.round(t.Context())
	v := value(t, r.site.Messages()[0])
	body := pressBody(ann, slacktest.Channel, slack.ActionApprove, v)
	requireError(t, r.post(t, body, t0, "another secret of them"), 401, "signature is missing or wrong")
	requireError(t, r.post(t, body, t0.Add(-5*time.Minute-time.Second), callbackSecret), 401, "of another time")
	requireError(t, r.post(t, body, t0.Add(6*time.Minute), callbackSecret), 401, "of another time")
	requireError(t, r.send(t, "POST", "/api/v1/webhook/slack", body, "Content-Type", "application/x-www-form-urlencoded"), 401, "Timestamp")
	requireError(t, r.send(t, "POST", "/api/v1/webhook/slack", strings.Repeat("x", 2<<20)), 413, "")
	for _, bad := range []string{"", "payload=", "payload=%7B", "payload=%5B%5D", "payload=%7B%7D", "%zz"} {
		requireError(t, r.post(t, bad, t0, callbackSecret), 400, "")
	}
	require.Empty(t, r.due(t))
	require.Empty(t, r.asker.whispers)

	for name, forged := range map[string]string{
		"not ours": "hello", "another incident": pressed{"01OTHER", task.ID, task.Hash}.String(), "a task nobody was asked about": pressed{idDraft, 4711, task.Hash}.String(),
		"huge": "1 " + idDraft + " 99999999999999999999 " + task.Hash,
	} {
		require.Contains(t, r.press(t, ann, slack.ActionApprove, forged), "not asked here", name)
	}
	require.Empty(t, r.press(t, ann, slack.ActionOpen, ""), "links are announced too")
	w := r.post(t, pressBody(ann, "C0OTHER", slack.ActionApprove, v), t0, callbackSecret)
	require.Equal(t, 200, w.Code)
	require.Empty(t, r.asker.whispers)
	require.Empty(t, r.due(t))

	unset := newTestServer(t, nil)
	requireError(t, unset.send(t, "POST", "/api/v1/webhook/slack", body), 401, "no signing secret")
}

// TestAReasonIsWanted: nothing is decided by the button alone, nor by a form that somebody else's press opened.
func TestAReasonIsWanted(t *testing.T) {
	r := newSlackRig(t)
	r.held(t, 1)
	r.asker.round(t.Context())
	v := value(t, r.site.Messages()[0])
	require.Equal(t, 200, r.post(t, pressBody(ann, slacktest.Channel, slack.ActionApprove, v), t0, callbackSecret).Code)
	require.Empty(t, r.due(t), "the form can be closed")
	require.Len(t, r.site.Forms(), 1)
	form := r.site.Forms()[0]
	require.Equal(t, "Approve", form.Title)
	require.Contains(t, form.Blocks, "Disk full")
	for _, blank := range []string{"", " \n "} {
		w := r.post(t, formBody(ann, form.Meta, blank), t0, callbackSecret)
		require.Contains(t, w.Body.String(), "Write a reason of 1 to 500 characters")
		require.Equal(t, "application/json", w.Header().Get("Content-Type"))
	}
	require.Contains(t, r.post(t, formBody("U0STRANGER", form.Meta, "x"), t0, callbackSecret).Body.String(), "not among those")
	require.Contains(t, r.post(t, formBody(looker, form.Meta, "x"), t0, callbackSecret).Body.String(), "viewer, may not do this")
	forged := strings.Replace(form.Meta, "approve", "delete", 1)
	for _, meta := range []string{"", "{", "{}", forged, strings.Replace(form.Meta, slacktest.Channel, "C0OTHER", 1)} {
		w := r.post(t, formBody(ann, meta, "x"), t0, callbackSecret)
		require.Equal(t, 200, w.Code)
		require.Empty(t, w.Body.String())
	}
	require.Empty(t, r.due(t))
	require.Empty(t, r.post(t, formBody(ann, form.Meta, "I looked at the disk"), t0, callbackSecret).Body.String())
	require.Len(t, r.due(t), 1)
	require.Contains(t, (<-r.asker.whispers).text, "Approved")

	r.site.Say("expired_trigger_id")
	require.Contains(t, r.press(t, ann, slack.ActionDismiss, v), "Slack opened no form")
	require.Contains(t, r.press(t, ann, slack.ActionEscalate, v), "Escalated")
	require.Contains(t, r.press(t, ann, slack.ActionDismiss, v), "Dismissed")
}

// TestAnAppSpeaksForItsOwnTrackersOnly: secrets of a tracker, two of them while one is changed, and not those of others.
func TestAnAppSpeaksForItsOwnTrackersOnly(t *testing.T) {
	const old, fresh = "0123456789abcdef0123456789abcdef", "fedcba9876543210fedcba9876543210"
	r := newSlackRig(t, old, fresh)
	r.held(t, 2)
	r.asker.round(t.Context())
	v := value(t, r.site.Messages()[0])
	for i, secret := range []string{old, fresh} {
		require.Equal(t, 200, r.post(t, pressBody(ann, slacktest.Channel, slack.ActionApprove, v), t0, secret).Code)
		require.Len(t, r.site.Forms(), i+1)
	}
	requireError(t, r.post(t, pressBody(ann, slacktest.Channel, slack.ActionApprove, v), t0, callbackSecret), 401, "signature is missing or wrong")

	// Another app, of another workspace whose channel has the same id.
	set := *r.settings.Load()
	set.slackSecrets = map[string][]string{"chat": {old}, "other": {callbackSecret}}
	r.settings.Store(&set)
	require.Equal(t, 200, r.post(t, pressBody(ann, slacktest.Channel, slack.ActionApprove, v), t0, callbackSecret).Code)
	require.Len(t, r.site.Forms(), 2, "it opened no form")
	require.Equal(t, 200, r.post(t, formBody(ann, r.site.Forms()[0].Meta, "mine"), t0, callbackSecret).Code)
	require.Empty(t, r.due(t))
	requireError(t, r.post(t, pressBody(ann, slacktest.Channel, slack.ActionApprove, v), t0, fresh), 401, "signature is missing or wrong")
}

func TestAsksSurviveWhatSlackDoes(t *testing.T) {
	r := newSlackRig(t)
	r.held(t, 1)
	r.site.Fail(doubletest.Fault{Op: slacktest.OpPost, Kind: doubletest.Status, Status: 500})
	r.asker.round(t.Context())
	require.Empty(t, r.site.Messages())
	r.asker.round(t.Context())
	require.Equal(t, 1, r.site.Sent(slacktest.OpPost), "it is left alone for a while")
	r.clock = t0.Add(time.Minute)
	r.asker.round(t.Context())
	require.Len(t, r.site.Messages(), 1)
	v := value(t, r.site.Messages()[0])
	r.site.Delete(r.site.Messages()[0].TS)
	r.clock = t0
	require.Contains(t, r.press(t, ann, slack.ActionApprove, v), "Approved")
	r.clock = t0.Add(time.Minute)
	r.asker.round(t.Context())
	as, err := r.db.OutdatedPrompts(t.Context(), "chat", 10)
	require.NoError(t, err)
	require.Empty(t, as, "a message that somebody deleted is not edited for ever")

	r.asker.whisper("chat", ann, "hello")
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- r.asker.runWhispers(ctx) }()
	require.Eventually(t, func() bool { return len(r.site.Whispers()) == 1 }, 20*time.Second, time.Millisecond)
	stop()
	require.NoError(t, <-done)
	for range maxWhispers + 5 {
		r.asker.whisper("chat", ann, "x")
	}
	require.Len(t, r.asker.whispers, maxWhispers)
}

func TestApproversNeedASecretAndAKnownRole(t *testing.T) {
	c := DefaultConfig()
	sc := slack.DefaultConfig()
	sc.Token, sc.Channel, sc.Approvers = slacktest.Token, slacktest.Channel, map[string]slack.Approver{ann: {Role: "boss"}}
	c.Trackers = []TrackerConfig{{Type: TrackerSlack, Slack: &sc}}
	err := c.Validate()
	require.ErrorContains(t, err, "trackers[0].slack.approvers: needs signing_secrets of the tracker, or webhook.secrets.slack")
	require.ErrorContains(t, err, `approvers.`+ann+`: "boss"`)
}
