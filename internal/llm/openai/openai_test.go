package openai_test

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/llm"
	"github.com/portent-dev/portent/internal/llm/openai"
	"github.com/portent-dev/portent/internal/llm/openai/openaitest"
	"github.com/portent-dev/portent/internal/ticket/doubletest"
)

var prompt = llm.Prompt{
	Name: "ask", System: "You turn questions into queries.", User: "how many pods?",
	Schema: json.RawMessage(`{"type":"object","properties":{"query":{"type":"string"}},"required":["query"],"additionalProperties":false}`),
}

func client(t *testing.T, d *openaitest.Double, change func(*openai.Options)) *openai.Client {
	t.Helper()
	o := openai.Options{URL: d.URL, Model: "small", Key: openaitest.Key, Timeout: 5 * time.Second}
	if change != nil {
		change(&o)
	}
	c, err := openai.New(o)
	require.NoError(t, err)
	return c
}

func TestComplete(t *testing.T) {
	d := openaitest.Start(t)
	d.Say = func(r openaitest.Request) string { return `{"query":"` + r.User() + `"}` }
	got, err := client(t, d, nil).Complete(t.Context(), prompt)
	require.NoError(t, err)
	require.Equal(t, llm.Answer{Text: `{"query":"how many pods?"}`, Model: "small-2026", PromptTokens: 8, AnswerTokens: 7}, got)
	asked := d.Asked()
	require.Len(t, asked, 1)
	require.Equal(t, prompt.System, asked[0].System())
	require.Equal(t, "json_schema", asked[0].Format())
	require.Equal(t, llm.DefaultMaxTokens, asked[0].MaxTokens)
	require.InDelta(t, 0, *asked[0].Temperature, 1e-30, "the same question shall have the same answer")
}

func TestCompleteInPlainText(t *testing.T) {
	d := openaitest.Start(t)
	d.NoKey = true
	p := prompt
	p.Schema, p.MaxTokens = nil, 50
	_, err := client(t, d, func(o *openai.Options) { o.Key = "" }).Complete(t.Context(), p)
	require.NoError(t, err)
	require.Empty(t, d.Asked()[0].Format())
	require.Equal(t, 50, d.Asked()[0].MaxTokens)
}

func TestCompleteFindsWhatTheServerTakes(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*openaitest.Double)
		model  string
		format string
		tries  int // requests for the first question
	}{
		{"no schema", func(d *openaitest.Double) { d.NoSchema = true }, "small", "json_object", 2},
		{"no JSON", func(d *openaitest.Double) { d.NoSchema, d.NoObject = true, true }, "small", "", 3},
		{"reasoning", func(d *openaitest.Double) { d.Reasoning = true }, "thinker", "json_schema", 2},
		{"reasoning, as the library knows", func(d *openaitest.Double) { d.Reasoning = true }, "gpt-5-mini", "json_schema", 1},
		{"reasoning, no schema", func(d *openaitest.Double) { d.Reasoning, d.NoSchema = true, true }, "thinker", "json_object", 3},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := openaitest.Start(t)
			tt.change(d)
			c := client(t, d, func(o *openai.Options) { o.Model = tt.model })
			_, err := c.Complete(t.Context(), prompt)
			require.NoError(t, err)
			require.Equal(t, tt.tries, d.Sent(openaitest.Op))
			require.Equal(t, tt.format, d.Asked()[0].Format())
			require.Equal(t, d.Reasoning, d.Asked()[0].MaxCompletionTokens > 0)
			_, err = c.Complete(t.Context(), prompt)
			require.NoError(t, err)
			require.Equal(t, tt.tries+1, d.Sent(openaitest.Op), "it remembers")
		})
	}
}

func TestErrors(t *testing.T) {
	fault := func(kind doubletest.Kind) func(*openaitest.Double) {
		return func(d *openaitest.Double) {
			d.Fail(doubletest.Fault{Kind: kind, Status: http.StatusBadGateway, Times: 9, RetryAfter: 20 * time.Second, Title: "Sign in"})
		}
	}
	for _, tt := range []struct {
		name   string
		change func(*openaitest.Double)
		key    string
		want   llm.Reason
		after  time.Duration
	}{
		{"wrong key", func(*openaitest.Double) {}, "sk-wrong-secret", llm.ReasonAccess, 0},
		{"rate limit", fault(doubletest.RateLimit), "", llm.ReasonRateLimit, 20 * time.Second},
		{"bad gateway", fault(doubletest.Status), "", llm.ReasonServer, 0},
		{"unavailable", fault(doubletest.Later), "", llm.ReasonServer, 20 * time.Second},
		{"login page", fault(doubletest.Page), "", llm.ReasonBadAnswer, 0},
		{"redirect", fault(doubletest.Redirect), "", llm.ReasonAddress, 0},
		{"hangs up", fault(doubletest.Drop), "", llm.ReasonAddress, 0},
		{"no answer", fault(doubletest.Hang), "", llm.ReasonTimeout, 0},
		{"half an answer", fault(doubletest.Truncate), "", llm.ReasonBadAnswer, 0},
		{"answer without end", fault(doubletest.Huge), "", llm.ReasonBadAnswer, 0},
		{"filtered", func(d *openaitest.Double) { d.Finish = "content_filter" }, "", llm.ReasonRefused, 0},
		{"refused", func(d *openaitest.Double) { d.Refusal = "I cannot help with that" }, "", llm.ReasonRefused, 0},
		{"cut", func(d *openaitest.Double) { d.Finish = "length" }, "", llm.ReasonCut, 0},
		{"empty", func(d *openaitest.Double) { d.Say = func(openaitest.Request) string { return " \n" } }, "", llm.ReasonBadAnswer, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := openaitest.Start(t)
			tt.change(d)
			c := client(t, d, func(o *openai.Options) {
				o.Timeout = 500 * time.Millisecond
				if tt.key != "" {
					o.Key = tt.key
				}
			})
			_, err := c.Complete(t.Context(), prompt)
			var e *llm.Error
			require.ErrorAs(t, err, &e)
			require.Equal(t, tt.want, e.Reason, err)
			require.Equal(t, tt.after, e.RetryAfter)
			for _, secret := range []string{"sk-", "how many pods", strings.TrimPrefix(d.URL, "http://")} {
				require.NotContains(t, err.Error(), secret)
			}
		})
	}
}

func TestGivingUpEndsTheQuestion(t *testing.T) {
	d := openaitest.Start(t)
	d.Fail(doubletest.Fault{Kind: doubletest.Hang})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := client(t, d, nil).Complete(ctx, prompt)
	require.Equal(t, llm.ReasonTimeout, llm.ReasonOf(err))
}

func TestNew(t *testing.T) {
	f := func(o openai.Options, want string) {
		t.Helper()
		_, err := openai.New(o)
		require.ErrorContains(t, err, want)
	}
	f(openai.Options{URL: "api.openai.com", Model: "m"}, "want http://host or https://host")
	f(openai.Options{URL: "ftp://x", Model: "m"}, "want http://host or https://host")
	f(openai.Options{URL: "http://x"}, "name of the language model")

	c, err := openai.New(openai.Options{URL: "http://user:secret@127.0.0.1:1/v1/", Model: "m"})
	require.NoError(t, err)
	_, err = c.Complete(t.Context(), prompt)
	require.Equal(t, llm.ReasonAddress, llm.ReasonOf(err))
	require.NotContains(t, err.Error(), "secret")

	_, err = c.Complete(t.Context(), llm.Prompt{System: "s", User: strings.Repeat("x", 1<<20)})
	require.Equal(t, llm.ReasonPrompt, llm.ReasonOf(err))
}
