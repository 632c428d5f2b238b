package llm_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/llm"
)

// client answers as it is told.
type client func(ctx context.Context, p llm.Prompt) (llm.Answer, error)

func (c client) Complete(ctx context.Context, p llm.Prompt) (llm.Answer, error) { return c(ctx, p) }

var prompt = llm.Prompt{System: "s", User: strings.Repeat("u", 399)} // 100 tokens by our estimate

func TestBudgetOfCalls(t *testing.T) {
	now := time.Date(2026, 11, 22, 23, 59, 0, 0, time.UTC)
	b := llm.NewBudget(client(func(context.Context, llm.Prompt) (llm.Answer, error) { return llm.Answer{Text: "x"}, nil }),
		llm.Limits{CallsPerMinute: 2}, func() time.Time { return now })
	f := func(want string) {
		t.Helper()
		_, err := b.Complete(t.Context(), prompt)
		if want == "" {
			require.NoError(t, err)
			return
		}
		require.ErrorContains(t, err, want)
		require.Equal(t, llm.ReasonBudget, llm.ReasonOf(err))
	}
	f("")
	now = now.Add(30 * time.Second)
	f("")
	f("asked 2 times within a minute, at most 2 are allowed")
	now = now.Add(30 * time.Second)
	f("")
	f("asked 2 times")
}

func TestBudgetOfTokens(t *testing.T) {
	now := time.Date(2026, 11, 22, 23, 59, 0, 0, time.UTC)
	answer := llm.Answer{PromptTokens: 120, AnswerTokens: 30}
	b := llm.NewBudget(client(func(context.Context, llm.Prompt) (llm.Answer, error) { return answer, nil }), llm.Limits{TokensPerDay: 300}, func() time.Time { return now })
	for range 2 {
		_, err := b.Complete(t.Context(), prompt)
		require.NoError(t, err)
	}
	require.Equal(t, 300, b.Used(), "what it took, not what was thought")
	_, err := b.Complete(t.Context(), prompt)
	require.ErrorContains(t, err, "300 tokens were used today, at most 300 are allowed")
	now = now.Add(time.Minute) // another day
	answer = llm.Answer{}
	_, err = b.Complete(t.Context(), prompt)
	require.NoError(t, err)
	require.Equal(t, 100, b.Used(), "a server that does not count is counted for")
}

func TestBudgetLetsAloneWhoAsksForIt(t *testing.T) {
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	calls := 0
	b := llm.NewBudget(client(func(context.Context, llm.Prompt) (llm.Answer, error) {
		calls++
		return llm.Answer{}, &llm.Error{Reason: llm.ReasonRateLimit, RetryAfter: 20 * time.Second, Err: errors.New("too often")}
	}), llm.Limits{}, func() time.Time { return now })
	_, err := b.Complete(t.Context(), prompt)
	require.Equal(t, llm.ReasonRateLimit, llm.ReasonOf(err))
	_, err = b.Complete(t.Context(), prompt)
	require.ErrorContains(t, err, "let alone until 12:00:20 UTC")
	require.Equal(t, 1, calls)
	now = now.Add(20 * time.Second)
	_, err = b.Complete(t.Context(), prompt)
	require.Equal(t, llm.ReasonRateLimit, llm.ReasonOf(err))
	require.Equal(t, 2, calls)
}

func TestBudgetAtOnce(t *testing.T) {
	waiting, answer := make(chan struct{}), make(chan struct{})
	b := llm.NewBudget(client(func(context.Context, llm.Prompt) (llm.Answer, error) {
		waiting <- struct{}{}
		<-answer
		return llm.Answer{}, nil
	}), llm.Limits{AtOnce: 1}, time.Now)
	done := make(chan error, 1)
	go func() {
		_, err := b.Complete(context.Background(), prompt)
		done <- err
	}()
	<-waiting
	_, err := b.Complete(t.Context(), prompt)
	require.ErrorContains(t, err, "1 questions wait for an answer, at most 1 may")
	close(answer)
	require.NoError(t, <-done)
}

func TestPromptCheck(t *testing.T) {
	require.NoError(t, prompt.Check())
	require.ErrorContains(t, llm.Prompt{System: "s"}.Check(), "the prompt is empty")
	long := prompt
	long.User = strings.Repeat("x", llm.MaxPromptBytes)
	require.ErrorContains(t, long.Check(), "at most 65536 are sent")
	require.ErrorContains(t, llm.Limits{AtOnce: -1}.Validate(), "must not be negative")
}
