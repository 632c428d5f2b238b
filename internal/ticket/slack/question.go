package slack

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/portent-dev/portent/internal/ticket"
)

// The buttons of a message, as an interaction names them.
const (
	ActionApprove = "approve"
	ActionDismiss = "dismiss"
	// ActionEscalate asks for more people.
	ActionEscalate = "escalate"
	ActionOpen     = "open" // a link: pressing it asks for nothing
)

// How the form that asks for a reason is named, and its one field.
const (
	FormReason  = "portent_reason"
	FieldReason = "reason"
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
	maxFormTitle = 24
	maxFormMeta  = 3000
	// idle is how long after the last question another process may have posted one that this one does not know of.
	idle = time.Minute
)

// Ask posts a question and returns the reference of its message. One that was posted without an answer is found again.
func (t *Tracker) Ask(ctx context.Context, q Question) (ref string, err error) {
	if q.Value == "" || len(q.Value) > maxValue {
		return "", &ticket.Error{Reason: ticket.ReasonInvalid, Err: fmt.Errorf("slack: a button carries 1 to %d characters, not %d", maxValue, len(q.Value))}
	}
	t.mu.Lock()
	alone := t.now().Sub(t.asked) < idle
	t.mu.Unlock()
	if !alone || t.unsure(q.Value) {
		switch ts, err := t.lookup(ctx, t.cfg.Channel, "", eventQuestion, q.Value); {
		case err == nil:
			t.ended(q.Value, nil)
			return t.cfg.Channel + "/" + ts, nil
		case !errors.Is(err, ticket.ErrNotFound):
			return "", err
		}
	}
	no := false
	p := ask(q)
	p.Channel, p.UnfurlLinks, p.Metadata = t.cfg.Channel, &no, marked(eventQuestion, q.Value)
	a, err := t.send(ctx, opPost, p)
	t.ended(q.Value, err)
	if err != nil {
		return "", err
	}
	t.mu.Lock()
	t.asked = t.now()
	t.mu.Unlock()
	return a.Channel + "/" + a.TS, nil
}

// A Reason is asked for in a form before something is decided.
type Reason struct {
	// Title is one line of at most 24 characters, Says what will follow, Send the word on the button.
	Title, Says, Send string
	// Meta comes back with the form; nobody can change it. At most 3000 characters.
	Meta string
	// Most is how long a reason may be, in characters.
	Most int
}

// AskReason opens a form for whoever pressed a button, within the three seconds that its trigger is good for. What is written
// comes back as a view_submission.
func (t *Tracker) AskReason(ctx context.Context, trigger string, r Reason) error {
	if trigger == "" || len(r.Meta) > maxFormMeta {
		return &ticket.Error{Reason: ticket.ReasonInvalid, Err: fmt.Errorf("slack: a form wants a trigger and at most %d characters of its own", maxFormMeta)}
	}
	says := plain(ticket.Cut(ticket.Clean(r.Says), maxSection))
	_, err := t.send(ctx, opView, form{Trigger: trigger, View: view{
		Type: "modal", CallbackID: FormReason, Meta: r.Meta, Title: plain(ticket.OneLine(r.Title, maxFormTitle)),
		Submit: plain(ticket.OneLine(r.Send, maxFormTitle)), Close: plain("Not now"),
		Blocks: []any{block{Type: "section", Text: &says}, input{
			Type: "input", BlockID: FieldReason, Label: plain("Reason"), Hint: plain("It stands in the timeline and in the audit chain."),
			Element: textInput{Type: "plain_text_input", ActionID: FieldReason, Multiline: true, MinLength: 1, MaxLength: r.Most},
		}},
	}})
	return err
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
	if q.Outcome == "" { // a form follows, which asks for the reason and can be closed
		out = append(out,
			button{Type: "button", Text: plain("Approve…"), ActionID: ActionApprove, Value: q.Value, Style: "primary"},
			button{Type: "button", Text: plain("Dismiss…"), ActionID: ActionDismiss, Value: q.Value, Style: "danger"},
			button{Type: "button", Text: plain("Escalate…"), ActionID: ActionEscalate, Value: q.Value})
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
