package slack_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/portent-dev/portent/internal/ticket"
	"github.com/portent-dev/portent/internal/ticket/doubletest"
	"github.com/portent-dev/portent/internal/ticket/slack"
	"github.com/portent-dev/portent/internal/ticket/slack/slacktest"
	"github.com/portent-dev/portent/internal/ticket/tickettest"
	"github.com/portent-dev/portent/internal/ticketrest"
	"github.com/portent-dev/portent/internal/web"
)

// rig is a Tracker over a double.
type rig struct {
	*slack.Tracker
	site  *slacktest.Server
	url   string
	ahead atomic.Int64 // of the clock
}

// later moves the clock.
func (r *rig) later(d time.Duration) { r.ahead.Add(int64(d)) }

func newRig(t *testing.T, change func(*slack.Config)) *rig {
	t.Helper()
	site, url := slacktest.Start(t)
	r := &rig{site: site, url: url}
	r.restart(t, change)
	return r
}

// restart makes a tracker that remembers nothing.
func (r *rig) restart(t *testing.T, change func(*slack.Config)) {
	t.Helper()
	c := slack.DefaultConfig()
	require.NoError(t, c.Timeout.Set("5m")) // a starved machine is no fault
	c.URL, c.Token, c.Channel = r.url, slacktest.Token, slacktest.Channel
	if change != nil {
		change(&c)
	}
	require.NoError(t, c.Validate())
	client, err := c.HTTPClient()
	require.NoError(t, err)
	token, err := c.Secret()
	require.NoError(t, err)
	r.Tracker, err = slack.New(slack.Options{Config: c, Token: token, Client: client, Now: func() time.Time { return time.Now().Add(time.Duration(r.ahead.Load())) }, Registerer: prometheus.NewRegistry()})
	require.NoError(t, err)
}

func TestAMessageAndItsThread(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *slack.Config) { c.Mention = map[string]string{"critical": "<!subteam^S0123456>"} })
	d := tickettest.Draft("portent-1")
	d.Severity = "critical"
	made, err := r.Create(t.Context(), d)
	require.NoError(t, err)
	require.Equal(t, "portent-1", made.Key)
	require.Equal(t, slacktest.Channel+"/1780401600.000001", made.ID)
	root := r.site.Messages()[0]
	require.True(t, strings.HasPrefix(root.Text, "🔴 "+d.Title))
	require.Contains(t, root.Blocks, `"header"`)
	require.Contains(t, root.Blocks, "<!subteam^S0123456>")
	require.Contains(t, root.Blocks, "Open the incident")
	require.Contains(t, root.Blocks, "portent-1")

	comment := ticket.Update{Key: "portent-1-1", Comment: tickettest.Note("Two more pods")}
	for range 2 {
		require.NoError(t, r.Update(t.Context(), made.Ref, comment))
	}
	messages := r.site.Messages()
	require.Len(t, messages, 2, "a comment is posted once")
	require.Equal(t, root.TS, messages[1].Thread)
	require.False(t, messages[1].Broadcast)

	require.NoError(t, r.Update(t.Context(), made.Ref, ticket.Update{Key: "portent-1-2", State: ticket.Resolved}))
	messages = r.site.Messages()
	require.Equal(t, 1, messages[0].Edited)
	require.True(t, strings.HasPrefix(messages[0].Text, "✅ "), "seen at a glance in the channel")
	require.NotContains(t, messages[0].Blocks, "subteam", "nobody is rung again")
	require.Len(t, messages, 3)
	require.True(t, messages[2].Broadcast)
	require.Contains(t, messages[2].Text, "resolved")

	require.NoError(t, r.Update(t.Context(), made.Ref, ticket.Update{Key: "portent-1-3", State: ticket.Open, Comment: tickettest.Note("It is back")}))
	require.True(t, strings.HasPrefix(r.site.Messages()[0].Text, "🔴 "))
}

func TestAfterARestartTheThreadTells(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	made, err := r.Create(t.Context(), tickettest.Draft("portent-1"))
	require.NoError(t, err)
	r.restart(t, nil)
	require.NoError(t, r.Update(t.Context(), made.Ref, ticket.Update{Key: "portent-1-1", State: ticket.Resolved}))
	messages := r.site.Messages()
	require.Zero(t, messages[0].Edited)
	require.Equal(t, messages[0].TS, messages[1].Thread)
	require.True(t, messages[1].Broadcast)
}

func TestADeletedMessageDoesNotStopTheThread(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	made, err := r.Create(t.Context(), tickettest.Draft("portent-1"))
	require.NoError(t, err)
	_, ts, _ := strings.Cut(made.ID, "/")
	r.site.Delete(ts)
	require.NoError(t, r.Update(t.Context(), made.Ref, ticket.Update{Key: "portent-1-1", State: ticket.Resolved}))
	require.Len(t, r.site.Messages(), 1)
}

func TestHostileAndLongTexts(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	for i, s := range append(tickettest.Hostile(), strings.Repeat("ü ", 30_000), strings.Repeat("x", 50_000), "<!channel> <@U123> <https://evil.example|bank>") {
		d := tickettest.Draft("portent-" + strings.Repeat("a", i+1))
		d.Title, d.Summary = ticket.OneLine("t "+s, 2000), s
		span := ticket.Span{Text: s, Link: s}
		d.Body = ticket.Doc{
			ticket.Paragraph(span, ticket.Bold(s), ticket.Mono(s)), ticket.Heading(1, span), ticket.List([]ticket.Span{span}), ticket.Code(s, s),
			ticket.Table([][]ticket.Span{{span}, {span}}, [][]ticket.Span{{span}, {ticket.Italic(s)}}), ticket.Rule(),
		}
		_, err := r.Create(t.Context(), d) // the double holds it to every limit of the API
		require.NoError(t, err)
		m := r.site.Messages()[i]
		require.LessOrEqual(t, utf8.RuneCountInString(m.Text), 4000)
		for _, ring := range []string{"<!channel>", "<@U123>", "<https://evil.example|bank>"} {
			require.NotContains(t, m.Text, ring)
			require.NotContains(t, markup(t, m.Blocks), ring)
		}
	}
}

func TestErrors(t *testing.T) {
	t.Parallel()
	for code, want := range map[string]ticket.Reason{
		"ratelimited": ticket.ReasonRateLimited, "token_revoked": ticket.ReasonAuth, "not_in_channel": ticket.ReasonPermission,
		"is_archived": ticket.ReasonPermission, "invalid_blocks": ticket.ReasonInvalid, "fatal_error": ticket.ReasonUnavailable,
	} {
		r := newRig(t, nil)
		r.site.Say(code)
		_, err := r.Create(t.Context(), tickettest.Draft("portent-1"))
		e := ticket.AsError(err)
		require.Equal(t, want, e.Reason, code)
		require.False(t, e.Ambiguous, "nothing was posted")
		require.Empty(t, r.site.Messages())
		require.NotContains(t, err.Error(), slacktest.Token)
	}
}

func TestFaults(t *testing.T) {
	t.Parallel()
	for _, kind := range doubletest.Kinds() {
		if kind == doubletest.Slow { // an answer all the same
			continue
		}
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			r := newRig(t, func(c *slack.Config) {
				if kind == doubletest.Hang {
					require.NoError(t, c.Timeout.Set("10s"))
				}
			})
			r.site.Fail(doubletest.Fault{Kind: kind, Status: 500, Title: "Sign in", RetryAfter: 7 * time.Second})
			_, err := r.Create(t.Context(), tickettest.Draft("portent-1"))
			require.Error(t, err)
			e := ticket.AsError(err)
			require.True(t, e.Retry || kind == doubletest.Redirect, "%v", err)
			if kind == doubletest.RateLimit {
				require.Equal(t, 7*time.Second, e.RetryAfter)
			}
			_, err = r.Create(t.Context(), tickettest.Draft("portent-1"))
			require.NoError(t, err, "the next time it works")
		})
	}
}

func TestWhatSlackCannotSay(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	_, err := r.Find(t.Context(), "portent-1")
	require.ErrorIs(t, err, ticket.ErrNotFound)
	_, err = r.Get(t.Context(), ticket.Ref{Key: "portent-1", ID: slacktest.Channel + "/1.000001"})
	require.ErrorIs(t, err, ticket.ErrNotFound)
	for _, id := range []string{"", "x", "c012/1.0", "../1.0"} {
		require.ErrorIs(t, r.Update(t.Context(), ticket.Ref{Key: "portent-1", ID: id}, ticket.Update{Key: "u"}), ticket.ErrNotFound)
	}
}

// TestWhatWasPostedWithoutAnAnswerIsFound: a message, an answer in its thread, a question.
func TestWhatWasPostedWithoutAnAnswerIsFound(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	lose := func() { r.site.Fail(doubletest.Fault{Op: slacktest.OpPost, Kind: doubletest.Drop}) }
	lose()
	_, err := r.Create(t.Context(), tickettest.Draft("portent-1"))
	require.True(t, ticket.AsError(err).Ambiguous)
	for i := range 7 { // on another page by now
		_, err := r.Create(t.Context(), tickettest.Draft(fmt.Sprintf("portent-1%d", i)))
		require.NoError(t, err)
	}
	found, err := r.Find(t.Context(), "portent-1")
	require.NoError(t, err)
	require.Equal(t, slacktest.Channel+"/"+r.site.Messages()[0].TS, found.ID)

	r.later(time.Hour) // long after the start only what had no answer is looked for
	u := ticket.Update{Key: "portent-1-1", Comment: tickettest.Note("two more pods")}
	lose()
	require.True(t, ticket.AsError(r.Update(t.Context(), found.Ref, u)).Ambiguous)
	posts := r.site.Sent(slacktest.OpPost)
	require.NoError(t, r.Update(t.Context(), found.Ref, u))
	require.Equal(t, posts, r.site.Sent(slacktest.OpPost), "found in the thread")
	reads := r.site.Sent(slacktest.OpReplies)
	u.Key = "portent-1-2"
	require.NoError(t, r.Update(t.Context(), found.Ref, u))
	require.Equal(t, reads, r.site.Sent(slacktest.OpReplies), "not looked for without a doubt")

	lose()
	_, err = r.Ask(t.Context(), question())
	require.True(t, ticket.AsError(err).Ambiguous)
	posts = r.site.Sent(slacktest.OpPost)
	ref, err := r.Ask(t.Context(), question())
	require.NoError(t, err)
	require.Equal(t, posts, r.site.Sent(slacktest.OpPost))
	r.restart(t, nil) // a process that was killed before it noted the answer
	again, err := r.Ask(t.Context(), question())
	require.NoError(t, err)
	require.Equal(t, ref, again)
	require.NoError(t, r.Update(t.Context(), found.Ref, u))
	require.Equal(t, posts, r.site.Sent(slacktest.OpPost), "nor does a new process post what the old one had")
}

func TestWithoutTheScopeMessagesArePostedAllTheSame(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	warnings, err := r.Check(t.Context())
	require.NoError(t, err)
	require.Empty(t, warnings)
	r.site.Blind()
	warnings, err = r.Check(t.Context())
	require.NoError(t, err)
	require.Len(t, warnings, 1)
	require.Contains(t, warnings[0], "channels:history")
	_, err = r.Ask(t.Context(), question())
	require.NoError(t, err)
	_, err = r.Find(t.Context(), "portent-1")
	require.ErrorIs(t, err, ticket.ErrNotFound)
	require.Equal(t, 2, r.site.Sent(slacktest.OpHistory), "once is enough")
	r.later(2 * time.Hour)
	_, err = r.Find(t.Context(), "portent-1")
	require.ErrorIs(t, err, ticket.ErrNotFound)
	require.Equal(t, 3, r.site.Sent(slacktest.OpHistory), "somebody may have given it the scope")
}

func TestCheckSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	for code, wrong := range map[string]bool{"invalid_auth": true, "not_in_channel": true, "channel_not_found": true, "fatal_error": false, "ratelimited": false} {
		r := newRig(t, nil)
		r.site.Say(code)
		_, err := r.Check(t.Context())
		require.ErrorContains(t, err, code)
		var ce *ticketrest.CheckError
		require.Equal(t, wrong, errors.As(err, &ce), code)
	}
	r := newRig(t, nil)
	r.site.Fail(doubletest.Fault{Kind: doubletest.Status, Status: 503})
	_, err := r.Ask(t.Context(), question())
	require.Error(t, err, "what cannot be looked for now is not posted now")
	require.Empty(t, r.site.Messages())
}

func TestConfig(t *testing.T) {
	t.Parallel()
	f := func(text, want string) {
		t.Helper()
		var c slack.Config
		require.NoError(t, yaml.Unmarshal([]byte(text), &c))
		err := c.Validate()
		if want == "" {
			require.NoError(t, err)
			return
		}
		require.ErrorContains(t, err, want)
	}
	const good = "token: xoxb-1\nchannel: C0123456789\n"
	f(good+"mention: {critical: '<!here> <!subteam^S0123>'}\n", "")
	f("channel: C0123456789\n", "token: is missing")
	f(good+"token_file: x\n", "give token or token_file, not both")
	f("token: xoxb-1\nchannel: '#alerts'\n", `"#alerts" is no id of a channel`)
	f(good+"mention: {critical: everybody}\n", "mention.critical")
	f(good+"url: http://slack.example\n", "must begin with https://")
	f(good+"timeout: 0s\n", "timeout: must be above 0s")
	f(good+"signing_secrets: [0123456789abcdef0123456789abcdef, fedcba9876543210fedcba9876543210]\n", "")
	f(good+"signing_secrets: [short]\n", "signing_secrets[0]: is shorter than 16")
	f(good+"signing_secrets: [a, b, c]\nsigning_secret_files: [d, e]\n", "signing_secrets: 5: want at most 4")

	c := slack.DefaultConfig()
	c.Token = web.Secret("xoxb-secret")
	out, err := yaml.Marshal(c)
	require.NoError(t, err)
	require.NotContains(t, string(out), "xoxb-secret")
}

// markup is what Slack reads as markup: a header is plain text, in which nothing rings.
func markup(t *testing.T, blocks string) string {
	t.Helper()
	var parsed []struct {
		Text     struct{ Type, Text string }
		Elements []struct{ Type, Text any }
	}
	require.NoError(t, json.Unmarshal([]byte(blocks), &parsed))
	var out strings.Builder
	for _, b := range parsed {
		if b.Text.Type == "mrkdwn" {
			out.WriteString(b.Text.Text + "\n")
		}
		for _, e := range b.Elements {
			fmt.Fprintln(&out, e.Text)
		}
	}
	return out.String()
}
