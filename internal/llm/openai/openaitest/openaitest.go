// Package openaitest plays an OpenAI-compatible server. Requests are held to the vendor's description, and so
// are its own answers; what the model says is up to the test.
package openaitest

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/portent-dev/portent/internal/spectest"
	"github.com/portent-dev/portent/internal/ticket/doubletest"
)

// Op is the one operation that is played.
const Op = "chat"

// Key is the key that is accepted.
const Key = "sk-test-0123456789"

// Request is what a model was asked.
type Request struct {
	Model    string `json:"model"`
	Messages []struct {
		Role    string `json:"role"`
		Content string `json:"content"`
	} `json:"messages"`
	Temperature         *float64 `json:"temperature"`
	MaxTokens           int      `json:"max_tokens"`
	MaxCompletionTokens int      `json:"max_completion_tokens"`
	ResponseFormat      *struct {
		Type string `json:"type"`
	} `json:"response_format"`
}

// System and User are the two messages.
func (r Request) System() string { return r.Messages[0].Content }

// User is what the question is about.
func (r Request) User() string { return r.Messages[len(r.Messages)-1].Content }

// Format is how JSON is asked for: json_schema, json_object or nothing.
func (r Request) Format() string {
	if r.ResponseFormat == nil {
		return ""
	}
	return r.ResponseFormat.Type
}

// Double is the server. Set its fields before the first request.
type Double struct {
	*doubletest.Server
	// URL to put /chat/completions behind.
	URL string
	// Say is what the model says to a request.
	Say func(r Request) string
	// NoSchema and NoObject: the server refuses these response formats.
	NoSchema, NoObject bool
	// Reasoning: the model takes neither temperature nor max_tokens.
	Reasoning bool
	// Finish is the reason why the answer ends: "" is stop.
	Finish string
	// Refusal is what it says instead of an answer.
	Refusal string
	// NoKey: anybody may ask.
	NoKey bool

	mu    sync.Mutex
	asked []Request
}

// Start serves for the length of a test.
func Start(t testing.TB) *Double {
	t.Helper()
	contract := spectest.Load(t, "openai")
	d := &Double{Say: func(Request) string { return "hello" }}
	failed := func(status int, kind, text string) doubletest.Answer {
		return doubletest.Answer{Status: status, Body: map[string]any{"error": map[string]any{"message": text, "type": kind, "param": nil, "code": nil}}}
	}
	d.Server = &doubletest.Server{
		Report: func(err error) {
			if !strings.HasSuffix(err.Error(), "the contract has no such status") { // the description knows no errors
				t.Errorf("openai: %v", err)
			}
		},
		Find: func(r *http.Request) (doubletest.Route, bool) {
			return doubletest.Route{
				Op: Op, Contract: contract, Prefix: len("/v1"), Allowed: d.allowed(r), Handle: d.chat,
			}, r.Method == http.MethodPost && r.URL.Path == "/v1/chat/completions"
		},
		Unknown: func(err error) doubletest.Answer {
			return failed(http.StatusNotFound, "invalid_request_error", err.Error())
		},
		Refused: func(error) doubletest.Answer {
			return failed(http.StatusUnauthorized, "invalid_request_error", "Incorrect API key provided")
		},
		Invalid: func(err error) doubletest.Answer {
			return failed(http.StatusBadRequest, "invalid_request_error", err.Error())
		},
		RateLimited: func(f doubletest.Fault) doubletest.Answer {
			a := failed(http.StatusTooManyRequests, "requests", "Rate limit reached")
			if f.RetryAfter > 0 {
				a.Header = http.Header{"Retry-After": {fmt.Sprintf("%.0f", f.RetryAfter.Seconds())}}
			}
			return a
		},
	}
	d.URL = d.Server.Start(t) + "/v1"
	return d
}

func (d *Double) allowed(r *http.Request) bool {
	if d.NoKey {
		return r.Header.Get("Authorization") == ""
	}
	return r.Header.Get("Authorization") == "Bearer "+Key
}

// Asked returns what the model was asked so far.
func (d *Double) Asked() []Request {
	d.mu.Lock()
	defer d.mu.Unlock()
	return append([]Request(nil), d.asked...)
}

// chat answers one question.
func (d *Double) chat(_ *http.Request, body []byte) doubletest.Answer {
	var r Request
	if err := json.Unmarshal(body, &r); err != nil || len(r.Messages) == 0 {
		panic("BUG: the contract let pass what is no question: " + string(body))
	}
	if err := d.takes(r); err != nil {
		return doubletest.Answer{Status: http.StatusBadRequest, Body: map[string]any{"error": map[string]any{"message": err.Error(), "type": "invalid_request_error", "param": nil, "code": nil}}}
	}
	d.mu.Lock()
	d.asked = append(d.asked, r)
	d.mu.Unlock()
	message := map[string]any{"role": "assistant", "content": d.Say(r), "refusal": nil}
	if d.Refusal != "" {
		message["content"], message["refusal"] = nil, d.Refusal
	}
	finish := "stop"
	if d.Finish != "" {
		finish = d.Finish
	}
	words := 0
	for _, m := range r.Messages {
		words += len(strings.Fields(m.Content))
	}
	return doubletest.Answer{Status: http.StatusOK, Body: map[string]any{
		"id": "chatcmpl-1", "object": "chat.completion", "created": 1780401600, "model": r.Model + "-2026",
		"choices": []any{map[string]any{"index": 0, "message": message, "finish_reason": finish, "logprobs": nil}},
		"usage":   map[string]any{"prompt_tokens": words, "completion_tokens": 7, "total_tokens": words + 7},
	}}
}

// takes reports what the server does not take, in the words of real ones.
func (d *Double) takes(r Request) error {
	switch {
	case d.NoSchema && r.Format() == "json_schema", d.NoObject && r.Format() == "json_object":
		return fmt.Errorf("response_format type %q is not supported", r.Format())
	case d.Reasoning && r.MaxTokens > 0:
		return errors.New("Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.") //nolint:staticcheck,revive // the vendor's words
	case d.Reasoning && r.Temperature != nil:
		return errors.New("Unsupported value: 'temperature' does not support 0 with this model.") //nolint:staticcheck,revive // the vendor's words
	}
	return nil
}
