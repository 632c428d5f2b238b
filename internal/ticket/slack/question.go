package slack

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/portent-dev/portent/internal/ticket"
)

// The buttons of a message, as an interaction names them.
const (
	ActionApprove = "approve"
	ActionDismiss = "dismiss"
	ActionOpen    = "open" // a link: pressing it asks for nothing
)

// A Question asks a channel whether something may be sent to a tracker. What it says comes from alerts and is shown as plain text.
type Question struct {
	// Tracker is where it would go.
	Tracker  string
	Title    string
	Summary  string
	Severity string
	// Why are the reasons for asking, each a sentence without a full stop.
	Why []string
	// Approved are who said yes so far: a name, or slack: and an id. Needs is how many it takes.
	Approved []string
	Needs    int
	// Expires is when nobody can say yes any more; zero for never.
	Expires time.Time
	// URL leads to all of it; may be empty.
	URL string
	// Value comes back with a button; at most 2000 characters.
	Value string
	// Outcome is what became of it: a message that has one has no buttons any more.
	Outcome string
	// By is who decided, empty when nobody did.
	By []string
}

const (
	maxValue     = 2000
	maxWhisper   = 3000
	maxReasons   = 5
	maxTold      = 600 // characters of the summary: the page says it all
	confirmTitle = "Are you sure?"
)

// Ask posts a question and returns the reference of its message.
func (t *Tracker) Ask(ctx context.Context, q Question) (ref string, err error) {
	if q.Value == "" || len(q.Value) > maxValue {
		return "", &ticket.Error{Reason: ticket.ReasonInvalid, Err: fmt.Errorf("slack: a button carries 1 to %d characters, not %d", maxValue, len(q.Value))}
	}
	no := false
	p := ask(q)
	p.Channel, p.UnfurlLinks = t.cfg.Channel, &no
	a, err := t.send(ctx, opPost, p)
	if err != nil {
		return "", err
	}
	return a.Channel + "/" + a.TS, nil
}

// Amend edits the message of a question. A message that somebody deleted is an error with ticket.ReasonNotFound.
func (t *Tracker) Amend(ctx context.Context, ref string, q Question) error {
	channel, ts, ok := strings.Cut(ref, "/")
	if !ok || !channelID.MatchString(channel) {
		return notFound(fmt.Sprintf("%q is no message of ours", ticket.Cut(ref, 40)))
	}
	p := ask(q)
	p.Channel, p.TS = channel, ts
	_, err := t.send(ctx, opUpdate, p)
	return err
}

// Whisper tells one user of the channel something that nobody else sees. Text is plain.
func (t *Tracker) Whisper(ctx context.Context, user, text string) error {
	if !userID.MatchString(user) {
		return &ticket.Error{Reason: ticket.ReasonInvalid, Err: fmt.Errorf("slack: %q is no id of a user", ticket.Cut(user, 40))}
	}
	_, err := t.send(ctx, opWhisper, post{Channel: t.cfg.Channel, User: user, Text: ticket.Cut(escape(text), maxWhisper)})
	return err
}

// ask is the message of a question.
func ask(q Question) post {
	title := "❔ Draft for " + q.Tracker + " waits for approval"
	if q.Outcome != "" {
		title = q.Outcome
	}
	sign, word := marks(message{draft: ticket.Draft{Severity: q.Severity}})
	blocks := []block{header(title), section(sign + " *" + strings.ReplaceAll(escape(ticket.OneLine(q.Title, 255)), "*", "∗") + "*")}
	if s := ticket.OneLine(q.Summary, maxTold); s != "" {
		blocks = append(blocks, section(escape(s)))
	}
	if why := reasons(q.Why); why != "" {
		blocks = append(blocks, section(why))
	}
	var says []string
	if q.Outcome == "" {
		says = append(says, fmt.Sprintf("%d of %d approved", len(q.Approved), max(1, q.Needs)))
		if !q.Expires.IsZero() {
			says = append(says, fmt.Sprintf("until <!date^%d^{date_short_pretty} {time}|%s>", q.Expires.Unix(), q.Expires.UTC().Format("2006-01-02 15:04 MST")))
		}
	}
	if who := append(append([]string{}, q.Approved...), q.By...); len(who) > 0 {
		says = append(says, "by "+people(who))
	}
	says = append(says, word, "for "+escape(q.Tracker))
	blocks = append(blocks, contextLine(strings.Join(says, " · ")))
	if b := q.buttons(); len(b) > 0 {
		blocks = append(blocks, block{Type: "actions", Elements: b})
	}
	return post{Text: ticket.Cut(escape(title+": "+ticket.OneLine(q.Title, 255)), maxText), Blocks: blocks}
}

func (q Question) buttons() []any {
	var out []any
	if q.Outcome == "" {
		out = append(out,
			button{
				Type: "button", Text: plain("Approve"), ActionID: ActionApprove, Value: q.Value, Style: "primary",
				Confirm: &confirm{
					plain(confirmTitle), plain(ticket.Cut("It goes to "+q.Tracker+" as it stands in the incident: "+ticket.OneLine(q.Title, 150), 300)),
					plain("Approve"), plain("Not now"),
				},
			},
			button{
				Type: "button", Text: plain("Dismiss"), ActionID: ActionDismiss, Value: q.Value, Style: "danger",
				Confirm: &confirm{plain(confirmTitle), plain("The whole incident is dismissed, and what waits for it is dropped."), plain("Dismiss"), plain("Not now")},
			})
	}
	if u, ok := ticket.SafeURL(q.URL); ok {
		out = append(out, link("Open the incident", u))
	}
	return out
}

func reasons(why []string) string {
	var lines []string
	for i, w := range why {
		if i == maxReasons {
			lines = append(lines, fmt.Sprintf("• and %d more", len(why)-i))
			break
		}
		lines = append(lines, "• "+escape(ticket.OneLine(w, 300)))
	}
	return strings.Join(lines, "\n")
}

// people names who decided: users of the workspace by their id, which Slack shows as their name.
func people(names []string) string {
	var out []string
	for _, n := range names {
		id, ok := strings.CutPrefix(n, "slack:")
		if ok && userID.MatchString(id) {
			out = append(out, "<@"+id+">")
			continue
		}
		out = append(out, escape(ticket.OneLine(n, 100)))
	}
	return strings.Join(out, ", ")
}
