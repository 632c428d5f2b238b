package app

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/portent-dev/portent/internal/incident"
	"github.com/portent-dev/portent/internal/outbox"
	"github.com/portent-dev/portent/internal/ticket"
	"github.com/portent-dev/portent/internal/ticket/slack"
)

// asks is a messenger that can ask its channel about a draft.
type asks interface {
	Ask(ctx context.Context, q slack.Question) (ref string, err error)
	Amend(ctx context.Context, ref string, q slack.Question) error
	Whisper(ctx context.Context, user, text string) error
	AskReason(ctx context.Context, trigger string, r slack.Reason) error
}

var _ asks = (*slack.Tracker)(nil)

// askStore is what an asker reads and keeps.
type askStore interface {
	outbox.Prompts
	ApprovalsOf(ctx context.Context, incidentID string) ([]outbox.Approval, error)
	Get(ctx context.Context, id string) (incident.Incident, error)
}

// An asker asks the channels that are told of an incident about its drafts, and keeps the messages true. One runs
// at a time over all replicas; whispers go out from each.
type asker struct {
	store askStore
	// channels are the messengers that may be asked, by name; mute are the trackers whose drafts are messages themselves.
	channels func() map[string]asks
	mute     func() []string
	url      func(incidentID string) string
	now      func() time.Time
	log      *slog.Logger

	poke     chan struct{} // somebody decided something: do not wait
	whispers chan whisper
	// later is until when a messenger that failed is left alone, failing what its error was.
	later   map[string]time.Time
	failing map[string]string
}

// whisper is what one user is to be told.
type whisper struct{ messenger, user, text string }

const (
	asksEvery = 2 * time.Second
	// maxAsks bounds the new messages of a round and channel: Slack takes about one a second.
	maxAsks = 2
	// maxAmends bounds the edits of a round and channel.
	maxAmends = 20
	// asksAfterError is the least pause after an error.
	asksAfterError = 10 * time.Second
	// maxWhispers bounds what waits to be said; what is more is dropped and logged: the message says it too.
	maxWhispers    = 64
	whisperTimeout = 10 * time.Second
)

func newAsker(a asker) *asker {
	a.poke, a.whispers = make(chan struct{}, 1), make(chan whisper, maxWhispers)
	a.later, a.failing = map[string]time.Time{}, map[string]string{}
	return &a
}

// hurry makes the next round begin at once.
func (a *asker) hurry() {
	select {
	case a.poke <- struct{}{}:
	default:
	}
}

// whisper tells a user something as soon as it can be.
func (a *asker) whisper(messenger, user, text string) {
	select {
	case a.whispers <- whisper{messenger, user, text}:
	default:
		a.log.Warn("whisper_dropped", "tracker", messenger, "hint", "too many people press buttons, or the messenger does not answer")
	}
}

// runWhispers says what is to be said until ctx ends.
func (a *asker) runWhispers(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case w := <-a.whispers:
			ch, ok := a.channels()[w.messenger]
			if !ok {
				continue // a reload took it away
			}
			wctx, cancel := context.WithTimeout(ctx, whisperTimeout)
			err := ch.Whisper(wctx, w.user, w.text)
			cancel()
			if err != nil && ctx.Err() == nil {
				a.log.Warn("whisper_failed", "tracker", w.messenger, "err", err)
			}
		}
	}
}

// run asks until ctx ends.
func (a *asker) run(ctx context.Context) error {
	for {
		a.round(ctx)
		select {
		case <-time.After(asksEvery):
		case <-a.poke:
		case <-ctx.Done():
			return nil
		}
	}
}

// round asks and amends what there is, up to its bounds.
func (a *asker) round(ctx context.Context) {
	channels := a.channels()
	for _, name := range slices.Sorted(maps.Keys(channels)) {
		if a.now().Before(a.later[name]) {
			continue
		}
		err := a.tend(ctx, name, channels[name])
		switch {
		case ctx.Err() != nil:
			return
		case err == nil:
			delete(a.failing, name)
		default:
			wait := asksAfterError
			if e := (*ticket.Error)(nil); errors.As(err, &e) {
				wait = max(wait, e.RetryAfter)
			}
			a.later[name] = a.now().Add(wait)
			if err.Error() != a.failing[name] {
				a.failing[name] = err.Error()
				a.log.Error("draft_not_asked_about", "tracker", name, "err", err)
			}
		}
	}
}

// tend brings the messages in one channel up to date, and then asks about what nobody was asked about.
func (a *asker) tend(ctx context.Context, name string, ch asks) error {
	old, err := a.store.OutdatedPrompts(ctx, name, maxAmends)
	if err != nil {
		return err
	}
	for _, x := range old {
		if err := a.say(ctx, x, ch); err != nil {
			return err
		}
	}
	fresh, err := a.store.Unasked(ctx, name, a.mute(), maxAsks)
	if err != nil {
		return err
	}
	for _, x := range fresh {
		if err := a.say(ctx, x, ch); err != nil {
			return err
		}
	}
	return nil
}

// say posts or edits one message, and keeps what it shows. What the messenger refuses for good is kept as said: it
// would refuse it again, and the page has it.
func (a *asker) say(ctx context.Context, x outbox.Asked, ch asks) error {
	q, err := a.question(ctx, x)
	if err != nil {
		return err
	}
	p := x.Prompt
	if p.Hash == "" {
		p.Ref, err = ch.Ask(ctx, q)
	} else if p.Ref != "" {
		err = ch.Amend(ctx, p.Ref, q)
	}
	if e := (*ticket.Error)(nil); errors.As(err, &e) && !e.Retry && !e.Ambiguous {
		a.log.Error("question_refused", "tracker", p.Messenger, "incident", p.IncidentID, "err", err)
		err = nil
	}
	if err != nil {
		return err
	}
	p.Hash, p.Approvals, p.Waiting = x.Task.Hash, x.Approvals, x.Waiting
	// Once it is posted it is kept, also when we are being stopped: else it would be asked again.
	kept, cancel := context.WithTimeout(context.WithoutCancel(ctx), gateTimeout)
	defer cancel()
	return a.store.PutPrompt(kept, p)
}

// question is what a message about a draft says.
func (a *asker) question(ctx context.Context, x outbox.Asked) (slack.Question, error) {
	t := x.Task
	var d ticket.Draft
	if err := json.Unmarshal(t.Payload, &d); err != nil {
		return slack.Question{}, fmt.Errorf("%w: draft %d: %w", incident.ErrDamaged, t.ID, err)
	}
	q := slack.Question{
		Tracker: t.Tracker, Title: d.Title, Summary: d.Summary, Severity: d.Severity, Why: t.Gate.Why, Needs: t.Gate.Approvals, Expires: t.Gate.Expires,
		URL: a.url(t.IncidentID), Value: pressed{Incident: t.IncidentID, Task: t.ID, Hash: t.Hash}.String(),
	}
	approvals, err := a.store.ApprovalsOf(ctx, t.IncidentID)
	if err != nil {
		return q, err
	}
	for _, y := range approvals {
		if y.TaskID == t.ID && y.Hash == t.Hash {
			q.Approved = append(q.Approved, y.Actor)
		}
	}
	if x.Waiting {
		return q, nil
	}
	inc, err := a.store.Get(ctx, t.IncidentID)
	if err != nil {
		return q, err
	}
	q.Outcome, q.By = became(t, inc)
	if t.State == outbox.StateDropped || t.State == outbox.StateRecorded {
		q.Approved = nil // it came to nothing
	}
	return q, nil
}

// became says what became of a draft, and by whom where its approvals do not say that.
func became(t outbox.Task, inc incident.Incident) (outcome string, by []string) {
	switch {
	case t.State != outbox.StateDropped && t.State != outbox.StateRecorded:
		return "✅ Draft for " + t.Tracker + " approved", nil
	case t.Reason == outbox.ReasonDismissed:
		for _, e := range slices.Backward(inc.Timeline) {
			if e.Kind == incident.EventDismissed {
				by = []string{cmp.Or(e.Actor, "portent")}
				break
			}
		}
		return "✖ Incident dismissed: nothing goes to " + t.Tracker, by
	case t.Reason == outbox.ReasonLapsed:
		return "⌛ Nobody approved in time: nothing goes to " + t.Tracker, nil
	case t.Reason == outbox.ReasonMerged:
		return "↪ Incident merged into another: nothing goes to " + t.Tracker, nil
	}
	return "☑ The incident ended: nothing goes to " + t.Tracker, nil
}

// asks are the messengers in use that ask their channels about drafts, by name.
func (s *trackerSet) asks() map[string]asks {
	out := map[string]asks{}
	for name, b := range *s.active.Load() {
		if t, ok := b.target.Tracker.(*slack.Tracker); ok && len(b.config.Slack.Approvers) > 0 {
			out[name] = t
		}
	}
	return out
}

// mute are the names of the trackers in use whose drafts are messages.
func (s *trackerSet) mute() []string {
	var out []string
	for name, b := range *s.active.Load() {
		if slices.Contains(messengers, b.config.Type) {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}
