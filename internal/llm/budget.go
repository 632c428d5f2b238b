package llm

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// Limits bound what a model may cost. A zero field is no limit.
type Limits struct {
	// CallsPerMinute and TokensPerDay, prompts and answers together. Days are of UTC.
	CallsPerMinute, TokensPerDay int
	// AtOnce bounds the calls that wait for an answer.
	AtOnce int
}

// Validate names what makes no sense.
func (l Limits) Validate() error {
	if l.CallsPerMinute < 0 || l.TokensPerDay < 0 || l.AtOnce < 0 {
		return errors.New("limits of the language model must not be negative")
	}
	return nil
}

// Budget is a Client that keeps another within limits. What exceeds them fails at once with
// ReasonBudget: whoever asked has a twin that answers. After a rate limit of the server
// it lets it alone for as long as that asked for.
type Budget struct {
	client Client
	limits Limits
	now    func() time.Time

	mu     sync.Mutex
	calls  []time.Time // of the last minute
	day    time.Time
	tokens int
	asking int
	until  time.Time // let alone
}

var _ Client = (*Budget)(nil)

// NewBudget keeps client within limits; now tells the time.
func NewBudget(client Client, limits Limits, now func() time.Time) *Budget {
	return &Budget{client: client, limits: limits, now: now}
}

// Complete implements Client.
func (b *Budget) Complete(ctx context.Context, p Prompt) (Answer, error) {
	if err := b.take(p); err != nil {
		return Answer{}, &Error{Reason: ReasonBudget, Err: err}
	}
	a, err := b.client.Complete(ctx, p)
	b.settle(p, a, err)
	return a, err
}

// take counts a call, or says which limit forbids it.
func (b *Budget) take(p Prompt) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.now()
	for len(b.calls) > 0 && now.Sub(b.calls[0]) >= time.Minute {
		b.calls = b.calls[1:]
	}
	if today := now.UTC().Truncate(24 * time.Hour); !today.Equal(b.day) {
		b.day, b.tokens = today, 0
	}
	switch l := b.limits; {
	case now.Before(b.until):
		return fmt.Errorf("it asked to be let alone until %s", b.until.UTC().Format("15:04:05 UTC"))
	case l.AtOnce > 0 && b.asking >= l.AtOnce:
		return fmt.Errorf("%d questions wait for an answer, at most %d may", b.asking, l.AtOnce)
	case l.CallsPerMinute > 0 && len(b.calls) >= l.CallsPerMinute:
		return fmt.Errorf("asked %d times within a minute, at most %d are allowed", len(b.calls), l.CallsPerMinute)
	case l.TokensPerDay > 0 && b.tokens+estimate(p) > l.TokensPerDay:
		return fmt.Errorf("%d tokens were used today, at most %d are allowed", b.tokens, l.TokensPerDay)
	}
	if b.limits.CallsPerMinute > 0 {
		b.calls = append(b.calls, now)
	}
	b.tokens += estimate(p)
	b.asking++
	return nil
}

// settle replaces the estimate by what the call took.
func (b *Budget) settle(p Prompt, a Answer, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.asking--
	if used := a.PromptTokens + a.AnswerTokens; used > 0 {
		b.tokens += used - estimate(p)
	}
	if e := (*Error)(nil); errors.As(err, &e) && e.RetryAfter > 0 {
		b.until = b.now().Add(min(e.RetryAfter, time.Hour))
	}
}

// Used returns the tokens of today.
func (b *Budget) Used() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.tokens
}

// estimate is how many tokens a prompt has: four bytes each, as English and queries mostly do.
func estimate(p Prompt) int { return (len(p.System) + len(p.User)) / 4 }
