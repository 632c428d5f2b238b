package slack_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/portent-dev/portent/internal/ticket"
	"github.com/portent-dev/portent/internal/ticket/doubletest"
	"github.com/portent-dev/portent/internal/ticket/slack"
	"github.com/portent-dev/portent/internal/ticket/slack/slacktest"
	"github.com/portent-dev/portent/internal/ticket/tickettest"
	"github.com/portent-dev/portent/internal/web"
)

// mrkdwn finds the texts whose markup counts.
var mrkdwn = regexp.MustCompile(`"type":"mrkdwn","text":"(?:[^"\\]|\\.)*"`)

func question() slack.Question {
	return slack.Question{
		Tracker: "jira", Title: "[Auto] Disk full - db", Summary: "2 alerts", Severity: "warning", Why: []string{`rule "disks" says draft`}, Needs: 2,
		Approved: []string{"slack:U0123456789", "ann <b>"}, Expires: time.Unix(1780405200, 0), URL: "https://portent.example/incidents/i", Value: "1 i 7 abc",
	}
}

func TestAQuestionIsAskedAndEditedInPlace(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	ref, err := r.Ask(t.Context(), question())
	require.NoError(t, err)
	m := r.site.Messages()[0]
	for _, want := range []string{"Draft for jira waits for approval", "Disk full", "2 alerts", `rule \"disks\" says draft`, "2 of 2 approved", `<@U0123456789>`, `ann &lt;b`, `"value":"1 i 7 abc"`, `"approve"`, `"dismiss"`, `"escalate"`, "1780405200"} {
		require.Contains(t, m.Blocks, want)
	}
	q := question()
	q.Outcome, q.By = "✅ Ticket for jira approved", []string{"bob"}
	require.NoError(t, r.Amend(t.Context(), ref, q))
	m = r.site.Messages()[0]
	require.Equal(t, 1, m.Edited)
	require.Contains(t, m.Blocks, "✅ Ticket for jira approved")
	require.Contains(t, m.Blocks, "bob")
	require.NotContains(t, m.Blocks, `"value"`, "nothing to press any more")
	require.NotContains(t, m.Blocks, "of 2 approved")

	r.site.Delete(m.TS)
	var e *ticket.Error
	require.ErrorAs(t, r.Amend(t.Context(), ref, q), &e)
	require.Equal(t, ticket.ReasonNotFound, e.Reason)
	require.Error(t, r.Amend(t.Context(), "nonsense", q))
}

func TestQuestionsOfAnyTextKeepTheLimits(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	for i, s := range append(tickettest.Hostile(), "", strings.Repeat("ü ", 30_000), strings.Repeat("*", 5000), "<!channel> <@U123>") {
		q := question()
		q.Value = fmt.Sprintf("1 i %d abc", i)
		q.Title, q.Summary, q.Approved, q.Why = s, s, []string{s, "slack:" + s}, []string{s, s, s, s, s, s, s}
		q.Tracker = strings.Repeat("t", 40)
		q.Severity, q.URL = s, s
		_, err := r.Ask(t.Context(), q)
		require.NoError(t, err, i)
		m := r.site.Messages()[i]
		for _, markup := range append(mrkdwn.FindAllString(m.Blocks, -1), m.Text) {
			require.NotContains(t, markup, "<!channel")
			require.NotContains(t, markup, "<@U123>")
		}
	}
	q := question()
	q.Value = strings.Repeat("x", 2001)
	_, err := r.Ask(t.Context(), q)
	require.ErrorContains(t, err, "1 to 2000 characters")
}

func TestWhispersAndTheirFaults(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	require.NoError(t, r.Whisper(t.Context(), "U0123456789", "no <b>"))
	require.Equal(t, []slacktest.Whisper{{User: "U0123456789", Text: "no &lt;b&gt;"}}, r.site.Whispers())
	require.ErrorContains(t, r.Whisper(t.Context(), "<!here>", "x"), "no id of a user")
	var e *ticket.Error
	r.site.Say("user_not_in_channel")
	require.ErrorAs(t, r.Whisper(t.Context(), "U0123456789", "x"), &e)
	require.False(t, e.Retry)
	r.site.Fail(doubletest.Fault{Op: slacktest.OpPost, Kind: doubletest.RateLimit, RetryAfter: 7 * time.Second})
	_, err := r.Ask(t.Context(), question())
	require.ErrorAs(t, err, &e)
	require.True(t, e.Retry)
	require.Equal(t, 7*time.Second, e.RetryAfter)
}

func TestAFormAsksForTheReason(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	for i, s := range append(tickettest.Hostile(), strings.Repeat("ü", 5000), "plain marker") {
		require.NoError(t, r.AskReason(t.Context(), "1.2.3", slack.Reason{Title: s, Says: s, Send: s, Meta: "m", Most: 500}))
		f := r.site.Forms()[i]
		require.Equal(t, slack.FormReason, f.CallbackID)
		require.Equal(t, "m", f.Meta)
		require.Contains(t, f.Blocks, `"block_id":"reason"`)
	}
	require.Error(t, r.AskReason(t.Context(), "", slack.Reason{Title: "t", Says: "s", Send: "s", Most: 1}))
	require.Error(t, r.AskReason(t.Context(), "1", slack.Reason{Title: "t", Says: "s", Send: "s", Most: 1, Meta: strings.Repeat("m", 3001)}))
	r.site.Say("expired_trigger_id")
	require.ErrorContains(t, r.AskReason(t.Context(), "1", slack.Reason{Title: "t", Says: "s", Send: "s", Most: 1}), "expired_trigger_id")
}

func TestSigningSecrets(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "secret")
	require.NoError(t, os.WriteFile(file, []byte("0123456789abcdef0123456789abcdef\n"), 0o600))
	c := slack.Config{SigningSecrets: []web.Secret{"fedcba9876543210fedcba9876543210"}, SigningSecretFiles: []string{file}}
	got, err := c.Signing()
	require.NoError(t, err)
	require.Equal(t, []web.Secret{"fedcba9876543210fedcba9876543210", "0123456789abcdef0123456789abcdef"}, got)
	require.NoError(t, os.WriteFile(file, []byte("short"), 0o600))
	_, err = c.Signing()
	require.ErrorContains(t, err, "signing_secret_files[0]")
	require.NotContains(t, fmt.Sprintf("%v %+v", c, c), "fedcba")
}

func TestApproversOfTheConfiguration(t *testing.T) {
	t.Parallel()
	var c slack.Config
	require.NoError(t, yaml.Unmarshal([]byte("token: xoxb-1-a\nchannel: C0123456789\napprovers: {U0123456789: approver, W987654321: {role: admin, as: ann}}"), &c))
	require.NoError(t, c.Validate())
	require.Equal(t, map[string]slack.Approver{"U0123456789": {Role: "approver"}, "W987654321": {Role: "admin", As: "ann"}}, c.Approvers)
	c.Approvers = map[string]slack.Approver{"ann": {}, "U0123456789": {Role: "x", As: "slack:U1"}}
	err := c.Validate()
	require.ErrorContains(t, err, "approvers.ann: is no id of a user")
	require.ErrorContains(t, err, "approvers.ann.role: is missing")
	require.ErrorContains(t, err, "approvers.U0123456789.as")
}
