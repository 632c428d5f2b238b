package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"reflect"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/config"
	"github.com/prometheus/common/model"

	"github.com/portent-dev/portent/internal/incident"
	"github.com/portent-dev/portent/internal/llm"
	"github.com/portent-dev/portent/internal/llm/openai"
	"github.com/portent-dev/portent/internal/report"
	"github.com/portent-dev/portent/internal/web"
)

// ModelConfig names a language model that tells what happened in an incident. Without a URL there is none, and the receiver
// finds the words by itself.
type ModelConfig struct {
	// URL of an OpenAI-compatible API, such as http://127.0.0.1:11434/v1.
	URL  string `yaml:"url"`
	Name string `yaml:"name"`
	// HTTPClient is authentication, TLS and proxy, as Prometheus writes them.
	HTTPClient config.HTTPClientConfig `yaml:"http_client"`
	// Timeout of one question.
	Timeout model.Duration `yaml:"timeout"`
	// CallsPerMinute and TokensPerDay bound what it may cost; 0 is no bound.
	CallsPerMinute int `yaml:"calls_per_minute"`
	TokensPerDay   int `yaml:"tokens_per_day"`
}

// DefaultModelConfig has no model. Its bounds end what a storm without end would cost, and are never met on an ordinary day.
func DefaultModelConfig() ModelConfig {
	return ModelConfig{HTTPClient: config.DefaultHTTPClientConfig, Timeout: model.Duration(20 * time.Second), CallsPerMinute: 20, TokensPerDay: 1_000_000}
}

func (c ModelConfig) limits() llm.Limits {
	return llm.Limits{CallsPerMinute: c.CallsPerMinute, TokensPerDay: c.TokensPerDay}
}

func (c ModelConfig) validate() error {
	var errs []error
	if c.URL == "" && c.Name != "" {
		errs = append(errs, web.Invalid("name", errors.New("makes no sense without url")))
	}
	if c.URL != "" {
		if _, err := openai.New(openai.Options{URL: c.URL, Model: cmp.Or(c.Name, "any")}); err != nil {
			errs = append(errs, web.Invalid("url", errors.New("want http://host or https://host, such as https://api.openai.com/v1")))
		}
		if c.Name == "" {
			errs = append(errs, web.Invalid("name", errors.New("is needed, such as gpt-4o-mini or llama3.1")))
		}
	}
	if t := time.Duration(c.Timeout); t < time.Second || t > 5*time.Minute {
		errs = append(errs, web.Invalid("timeout", fmt.Errorf("%s: want 1s to 5m", c.Timeout)))
	}
	if c.CallsPerMinute < 0 {
		errs = append(errs, web.Invalid("calls_per_minute", fmt.Errorf("%d: want 0 for no bound, or more", c.CallsPerMinute)))
	}
	if c.TokensPerDay < 0 {
		errs = append(errs, web.Invalid("tokens_per_day", fmt.Errorf("%d: want 0 for no bound, or more", c.TokensPerDay)))
	}
	return errors.Join(append(errs, web.Invalid("http_client", c.HTTPClient.Validate()))...)
}

// languageModel is the model of a configuration, with what was spent of its budget.
type languageModel struct {
	config ModelConfig
	budget *llm.Budget
}

// newModel returns the model of a configuration, nil where it has none. One about which nothing changed stays, so that a
// reload does not fill its budget up again.
func (a *App) newModel(c ModelConfig) (*languageModel, error) {
	if c.URL == "" {
		return nil, nil //nolint:nilnil // none is a fine answer
	}
	if a.model != nil && reflect.DeepEqual(a.model.config, c) {
		return a.model, nil
	}
	transport, err := config.NewRoundTripperFromConfig(c.HTTPClient, "model")
	if err != nil {
		return nil, web.Invalid("model.http_client", err)
	}
	client, err := openai.New(openai.Options{URL: c.URL, Model: c.Name, Transport: transport, Timeout: time.Duration(c.Timeout)})
	if err != nil {
		return nil, web.Invalid("model", err)
	}
	return &languageModel{c, llm.NewBudget(counted{client, a.modelMetrics}, c.limits(), time.Now)}, nil
}

// modelWriter tells incidents by m, or is nil as m is.
func (a *App) modelWriter(m *languageModel, plain *report.Plain) (*report.Model, error) {
	if m == nil {
		return nil, nil //nolint:nilnil // as newModel
	}
	return report.NewModel(plain, m.budget, func(r llm.Reason) { a.modelMetrics.failures.WithLabelValues(string(r)).Inc() })
}

// modelMetrics count what is asked of a model.
type modelMetrics struct {
	calls    prometheus.Counter
	tokens   prometheus.Counter
	failures *prometheus.CounterVec
}

func newModelMetrics(reg prometheus.Registerer) *modelMetrics {
	m := &modelMetrics{
		calls: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "portent_receiver_model_calls_total", Help: "Questions to the language model that got an answer.",
		}),
		tokens: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "portent_receiver_model_tokens_total", Help: "Tokens that the language model said it took, of questions and answers.",
		}),
		failures: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "portent_receiver_model_failures_total", Help: "Accounts of incidents that the language model did not write, by reason; the receiver's own words stand in its place.",
		}, []string{"reason"}),
	}
	reg.MustRegister(m.calls, m.tokens, m.failures)
	return m
}

// counted is a Client whose answers are counted.
type counted struct {
	llm.Client
	metrics *modelMetrics
}

// Complete implements llm.Client.
func (c counted) Complete(ctx context.Context, p llm.Prompt) (llm.Answer, error) {
	answer, err := c.Client.Complete(ctx, p)
	if err == nil {
		c.metrics.calls.Inc()
		c.metrics.tokens.Add(float64(answer.PromptTokens + answer.AnswerTokens))
	}
	return answer, err
}

// tellByModel is how the model of the configuration in use tells an incident, nil where there is none.
func (w *words) tellByModel() func(context.Context, incident.Incident) incident.Account {
	if m := w.model.Load(); m != nil {
		return m.Tell
	}
	return nil
}
