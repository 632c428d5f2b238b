package plugin

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/grafana/grafana-plugin-sdk-go/backend"
	"github.com/grafana/grafana-plugin-sdk-go/data"

	"github.com/portent-dev/portent/datasource-plugin/pkg/query"
	"github.com/portent-dev/portent/datasource-plugin/pkg/questions"
	"github.com/portent-dev/portent/datasource-plugin/pkg/settings"
	"github.com/portent-dev/portent/internal/ask"
	"github.com/portent-dev/portent/internal/llm"
	"github.com/portent-dev/portent/internal/llm/openai"
)

// connectQuestions wires what answers questions to the addresses that can be used.
func (in *Instance) connectQuestions() {
	shared := true
	for _, n := range []settings.Name{settings.Prometheus, settings.Loki} {
		shared = shared && !in.settings.Target(n).PerUser()
	}
	in.memory = newMemory(shared, in.know)
	in.meter = &meter{prometheus: in.prometheus, loki: in.loki}
}

// know reads the catalogs of the servers and makes a translator of them.
func (in *Instance) know(ctx context.Context) (questions.Knowledge, error) {
	var k questions.Knowledge
	var err error
	if in.prometheus != nil {
		source := promSource{in.prometheus, in.settings.Scope}
		k.Source = source
		if k.Metrics, err = ask.Load(ctx, source); err != nil {
			return k, err
		}
	}
	if in.loki != nil {
		if k.Logs, err = ask.LoadLogs(ctx, lokiSource{in.loki, in.settings.Scope}, time.Now()); err != nil {
			return k, err
		}
	}
	rules, err := ask.NewRules(k.Metrics, k.Logs)
	if err != nil {
		return k, err
	}
	k.Translator, k.Bundle, k.Suggest = rules, rules.Bundle, rules.Suggest
	if in.model != nil {
		k.Model, err = ask.NewModel(ask.ModelOptions{Rules: rules, Client: in.model, Gate: in.gate(), Failed: func(r llm.Reason) {
			backend.Logger.Debug("language model did not answer", "reason", string(r))
		}})
	}
	return k, err
}

// What a language model is asked at most: a person asks no faster, and its tokens cost money.
const (
	modelCallsPerMinute = 30
	modelCallsAtOnce    = 4
)

// newModel makes the client of the language model, within a budget of its own; nil without the name of a model.
func newModel(t settings.Target, client *http.Client, s *settings.Settings) (llm.Client, error) {
	if s.ModelName == "" {
		return nil, nil //nolint:nilnil // questions are answered by rules then
	}
	c, err := openai.New(openai.Options{URL: t.URL, Model: s.ModelName, Transport: client.Transport, Timeout: t.Timeout()})
	if err != nil {
		return nil, err
	}
	return llm.NewBudget(c, llm.Limits{CallsPerMinute: modelCallsPerMinute, AtOnce: modelCallsAtOnce, TokensPerDay: s.ModelTokensPerDay}, time.Now), nil
}

// gate holds queries to the scope of the data source and to what they may cost.
func (in *Instance) gate() ask.Gate {
	return ask.Gate{Forced: in.settings.Scope, Mode: ask.Mode(in.settings.Cost), Meter: in.meter}
}

// servers are those that can be asked. With a stored query, the server of its language must be among them.
func (in *Instance) servers(stored *query.Frozen) (questions.Servers, settings.Name, error) {
	prometheus, loki := in.usable(settings.Prometheus), in.usable(settings.Loki)
	switch {
	case stored != nil && stored.Language == query.LogQL && loki != nil:
		return questions.Servers{}, "", loki
	case stored != nil && stored.Language == query.PromQL && prometheus != nil:
		return questions.Servers{}, "", prometheus
	case prometheus != nil && loki != nil:
		if in.settings != nil && in.settings.Target(settings.Prometheus).URL == "" && in.settings.Target(settings.Loki).URL != "" {
			prometheus = loki // what is configured is what fails
		}
		return questions.Servers{}, "", prometheus
	}
	s := questions.Servers{Gate: in.gate(), Know: in.memory.get}
	first := settings.Loki
	if prometheus == nil {
		s.Prometheus, first = in.prometheus, settings.Prometheus
	}
	if loki == nil {
		s.Loki = in.loki
	}
	if stored != nil && stored.Language == query.LogQL {
		first = settings.Loki
	}
	return s, first, nil
}

// question answers a query of type ask.
func (in *Instance) question(ctx context.Context, q query.Ask, raw backend.DataQuery, unattended bool) (data.Frames, error) {
	a, err := in.answered(ctx, questions.Request{
		Query: q, From: raw.TimeRange.From, To: raw.TimeRange.To, Interval: raw.Interval, MaxPoints: raw.MaxDataPoints, Unattended: unattended,
	})
	return a.Frames, err
}

func (in *Instance) answered(ctx context.Context, r questions.Request) (questions.Answer, error) {
	stored := r.Query.Frozen
	if !r.StoredOnly() && !r.Query.Answered() {
		stored = nil
	}
	s, first, err := in.servers(stored)
	if err != nil {
		return questions.Answer{}, err
	}
	r.Scrape = in.settings.ScrapeInterval
	ctx, cancel := in.forQuestion(ctx, first, r.Person)
	defer cancel()
	a, err := questions.Run(ctx, s, r)
	return a, cause(ctx, err)
}

// forQuestion bounds a question by the timeout of its server, and where a model is asked by that of the model too.
func (in *Instance) forQuestion(ctx context.Context, n settings.Name, person bool) (context.Context, context.CancelFunc) {
	if !person || in.model == nil {
		return in.withTimeout(ctx, n)
	}
	limit := in.settings.Target(n).Timeout() + in.settings.Target(settings.Model).Timeout()
	return context.WithTimeoutCause(ctx, limit, &timeoutError{n, limit})
}

// unattended reports whether nobody reads the answer: an alert rule, or a public dashboard, which has no user.
func unattended(pc backend.PluginContext, headers map[string]string) bool {
	return headers[backend.FromAlertHeaderName] == "true" || pc.User == nil || pc.User.Login == ""
}

// explained answers the resource explain: a question as a query that is not run, or what the gate says of a query
// that a person wrote.
func (in *Instance) explained(ctx context.Context, r questions.Request) (questions.Explained, error) {
	s, first, err := in.servers(r.Query.Frozen)
	if err != nil {
		return questions.Explained{}, err
	}
	r.Scrape, r.Person = in.settings.ScrapeInterval, true
	ctx, cancel := in.forQuestion(ctx, first, true)
	defer cancel()
	do := s.Explain
	if r.Query.Frozen != nil {
		do = s.Check
	}
	e, err := do(ctx, r)
	if err != nil {
		return e, fmt.Errorf("explain: %w", cause(ctx, err))
	}
	return e, nil
}
