// Package openai asks a model behind any OpenAI-compatible address: OpenAI itself, Azure,
// vLLM, Ollama, llama.cpp and the like. Requests are made by sashabaranov/go-openai.
//
// It reads no environment and no file: the Grafana plugin uses it. Addresses, keys and
// prompts never stand in its errors.
package openai

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	goopenai "github.com/sashabaranov/go-openai"

	"github.com/portent-dev/portent/internal/llm"
)

// Options of a Client. URL and Model are needed.
type Options struct {
	// URL is the address that /chat/completions is put behind, such as https://api.openai.com/v1 or
	// http://127.0.0.1:11434/v1.
	URL   string
	Model string
	Key   string // sent as bearer token when not empty
	// Transport is nil for the default one. Authentication other than by key lives in it.
	Transport http.RoundTripper
	// Timeout of one question; 0 is DefaultTimeout.
	Timeout time.Duration
}

const (
	// DefaultTimeout is what a small model on a processor takes for a query.
	DefaultTimeout = 30 * time.Second
	// maxAnswerBytes bounds an answer: a hundred times what is asked for.
	maxAnswerBytes = 1 << 20
	// maxTries bounds how often a question is asked in another form.
	maxTries = 4
)

// Client is an llm.Client. It is safe for concurrent use.
type Client struct {
	api     *goopenai.Client
	model   string
	timeout time.Duration
	// dialect is what the server was found to take, so that it is asked right the next time.
	dialect atomic.Pointer[dialect]
}

var _ llm.Client = (*Client)(nil)

// dialect is how much of the protocol a server and a model take.
type dialect struct {
	format format
	// reasoning models take neither a temperature nor max_tokens.
	reasoning bool
}

// format is how a JSON answer is asked for.
type format int

// The formats, the strictest first.
const (
	formatSchema format = iota // held to a schema by the server
	formatObject               // some JSON
	formatText                 // whatever it says, by the words of the prompt
)

// New returns a client. It opens no connection.
func New(o Options) (*Client, error) {
	u, err := url.Parse(strings.TrimSpace(o.URL))
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, errors.New("address of the language model: want http://host or https://host, such as https://api.openai.com/v1")
	}
	if o.Model == "" {
		return nil, errors.New("name of the language model: is needed, such as gpt-4o-mini or llama3.1")
	}
	config := goopenai.DefaultConfig(o.Key)
	config.BaseURL = strings.TrimSuffix(u.Scheme+"://"+u.Host+u.Path, "/")
	transport := o.Transport
	if transport == nil {
		transport = http.DefaultTransport
	}
	config.HTTPClient = &http.Client{
		Transport:     bounded{transport, o.Key != ""},
		CheckRedirect: func(*http.Request, []*http.Request) error { return errRedirect },
	}
	c := &Client{api: goopenai.NewClientWithConfig(config), model: o.Model, timeout: cmp.Or(o.Timeout, DefaultTimeout)}
	c.dialect.Store(&dialect{})
	return c, nil
}

// errRedirect: a login page, mostly, and nothing that a key should be sent to.
var errRedirect = errors.New("it sends elsewhere: this is not the address of the API")

// Complete implements llm.Client. A server that does not take the form of the question is asked in a simpler
// one, and remembered.
func (c *Client) Complete(ctx context.Context, p llm.Prompt) (llm.Answer, error) {
	if err := p.Check(); err != nil {
		return llm.Answer{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	var seen response
	ctx = context.WithValue(ctx, responseKey{}, &seen)
	d := *c.dialect.Load()
	for try := 1; ; try++ {
		answer, err := c.api.CreateChatCompletion(ctx, c.request(p, d))
		if err == nil {
			c.dialect.Store(&d)
			return read(answer)
		}
		simpler, ok := d.simpler(p, err)
		if !ok || try == maxTries {
			return llm.Answer{}, classify(ctx, err, seen)
		}
		d = simpler
	}
}

// request is the question in a dialect.
func (c *Client) request(p llm.Prompt, d dialect) goopenai.ChatCompletionRequest {
	most := cmp.Or(p.MaxTokens, llm.DefaultMaxTokens)
	r := goopenai.ChatCompletionRequest{
		Model: c.model,
		Messages: []goopenai.ChatCompletionMessage{
			{Role: goopenai.ChatMessageRoleSystem, Content: p.System},
			{Role: goopenai.ChatMessageRoleUser, Content: p.User},
		},
	}
	if d.reasoning {
		r.MaxCompletionTokens = 4 * most // what it thinks counts too
	} else {
		r.MaxTokens = most //nolint:staticcheck // most compatible servers know no other name for it
		// As good as 0, which the library would leave out: the same question shall have the same answer.
		r.Temperature = math.SmallestNonzeroFloat32
	}
	switch {
	case p.Schema == nil || d.format == formatText:
	case d.format == formatSchema:
		r.ResponseFormat = &goopenai.ChatCompletionResponseFormat{
			Type:       goopenai.ChatCompletionResponseFormatTypeJSONSchema,
			JSONSchema: &goopenai.ChatCompletionResponseFormatJSONSchema{Name: nameOf(p), Schema: p.Schema, Strict: true},
		}
	case d.format == formatObject:
		r.ResponseFormat = &goopenai.ChatCompletionResponseFormat{Type: goopenai.ChatCompletionResponseFormatTypeJSONObject}
	}
	return r
}

// nameOf is a name that the API takes: letters, digits, - and _, at most 64.
func nameOf(p llm.Prompt) string {
	name := strings.Map(func(r rune) rune {
		if r < 128 && (r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '_' || r == '-') {
			return r
		}
		return '_'
	}, p.Name)
	return cmp.Or(name[:min(len(name), 64)], "answer")
}

// simpler is the next dialect to try after a request that was refused for its form.
func (d dialect) simpler(p llm.Prompt, err error) (dialect, bool) {
	text := strings.ToLower(err.Error())
	var api *goopenai.APIError
	if errors.As(err, &api) {
		if api.HTTPStatusCode != http.StatusBadRequest && api.HTTPStatusCode != http.StatusUnprocessableEntity {
			return d, false
		}
		if api.Param != nil {
			text += " " + strings.ToLower(*api.Param)
		}
	} else if isTransport(err) {
		return d, false
	}
	if !d.reasoning && (strings.Contains(text, "max_tokens") || strings.Contains(text, "maxtokens") || strings.Contains(text, "temperature")) {
		d.reasoning = true
		return d, true
	}
	if p.Schema != nil && d.format < formatText && api != nil {
		d.format++
		return d, true
	}
	return d, false
}

func isTransport(err error) bool {
	var request *goopenai.RequestError
	var network net.Error
	var u *url.Error
	return errors.As(err, &request) || errors.As(err, &network) || errors.As(err, &u) || errors.Is(err, context.Canceled)
}

// read takes the answer out of a response.
func read(r goopenai.ChatCompletionResponse) (llm.Answer, error) {
	fail := func(reason llm.Reason, text string) (llm.Answer, error) {
		return llm.Answer{}, &llm.Error{Reason: reason, Err: errors.New(text)}
	}
	if len(r.Choices) == 0 {
		return fail(llm.ReasonBadAnswer, "the answer holds no choice: is this an OpenAI-compatible address?")
	}
	c := r.Choices[0]
	switch {
	case c.Message.Refusal != "" || c.FinishReason == goopenai.FinishReasonContentFilter:
		return fail(llm.ReasonRefused, "it declined to answer")
	case c.FinishReason == goopenai.FinishReasonLength:
		return fail(llm.ReasonCut, "the answer is longer than allowed")
	case strings.TrimSpace(c.Message.Content) == "":
		return fail(llm.ReasonBadAnswer, "the answer is empty")
	}
	return llm.Answer{Text: c.Message.Content, Model: r.Model, PromptTokens: r.Usage.PromptTokens, AnswerTokens: r.Usage.CompletionTokens}, nil
}

// classify makes an *llm.Error of what went wrong.
func classify(ctx context.Context, err error, seen response) error {
	e := &llm.Error{Reason: llm.ReasonServer, RetryAfter: seen.retryAfter}
	var api *goopenai.APIError
	var request *goopenai.RequestError
	var status int
	switch {
	case errors.As(err, &api):
		status = api.HTTPStatusCode
		e.Err = fmt.Errorf("status %d: %.200s", status, oneLine(api.Message))
	case errors.As(err, &request):
		status = request.HTTPStatusCode
		e.Err = fmt.Errorf("status %d, and no error as the API has them: is this an OpenAI-compatible address?", status)
	case errors.Is(err, errRedirect):
		e.Reason, e.Err = llm.ReasonAddress, errRedirect
		return e
	case errors.Is(err, errTooLong):
		e.Reason, e.Err = llm.ReasonBadAnswer, errTooLong
		return e
	case isTimeout(ctx, err):
		e.Reason, e.Err = llm.ReasonTimeout, errors.New("no answer in time")
		return e
	case isTransport(err):
		e.Reason, e.Err = llm.ReasonAddress, cause(err)
		return e
	case seen.status/100 == 2:
		e.Reason, e.Err = llm.ReasonBadAnswer, errors.New("the answer is not JSON of the API: is this an OpenAI-compatible address?")
		return e
	default:
		e.Reason, e.Err = llm.ReasonPrompt, cause(err)
		return e
	}
	switch status {
	case http.StatusUnauthorized, http.StatusForbidden:
		e.Reason = llm.ReasonAccess
	case http.StatusTooManyRequests:
		e.Reason = llm.ReasonRateLimit
	case http.StatusRequestTimeout, http.StatusGatewayTimeout:
		e.Reason = llm.ReasonTimeout
	case http.StatusNotFound, http.StatusMethodNotAllowed:
		e.Reason = llm.ReasonAddress
	case http.StatusBadRequest, http.StatusUnprocessableEntity, http.StatusRequestEntityTooLarge:
		e.Reason = llm.ReasonPrompt
	}
	return e
}

func isTimeout(ctx context.Context, err error) bool {
	var network net.Error
	return errors.Is(err, context.DeadlineExceeded) || errors.As(err, &network) && network.Timeout() || ctx.Err() != nil
}

// cause drops the address that *url.Error repeats, which may hold a password.
func cause(err error) error {
	if u := (*url.Error)(nil); errors.As(err, &u) {
		return u.Err
	}
	return err
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }
