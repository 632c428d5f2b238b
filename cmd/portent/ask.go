package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"time"

	"github.com/alecthomas/kingpin/v2"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/portent-dev/portent/internal/ask"
	"github.com/portent-dev/portent/internal/lokiapi"
	"github.com/portent-dev/portent/internal/promapi"
)

// askCommand registers `portent ask`: a question in plain English.
func askCommand(app *kingpin.Application) (string, func(stdio) error) {
	a := &askCmd{}
	c := app.Command("ask", "Ask in plain English; the answer comes with the query that gave it.")
	c.Flag("prometheus", "Address of a Prometheus; http://127.0.0.1:9090 if no Loki is given either.").StringVar(&a.prometheus)
	c.Flag("loki", "Address of a Loki.").StringVar(&a.loki)
	c.Flag("tenant", "Tenant of the Loki (X-Scope-OrgID).").StringVar(&a.tenant)
	c.Flag("time", "When the question is asked, RFC 3339; empty is now.").StringVar(&a.at)
	c.Flag("timeout", "How long the servers may take.").Default("30s").DurationVar(&a.timeout)
	c.Flag("after", "The question before this one, if this follows it up: \"and by pod?\"").PlaceHolder("QUESTION").StringVar(&a.after)
	c.Flag("scope", "Matcher that every selector gets, as namespace=blue; repeat for several.").PlaceHolder("LABEL=VALUE").StringsVar(&a.scope)
	c.Flag("cost", "What to do with a query that costs more than the limits: off, warn, enforce.").Default("enforce").EnumVar(&a.cost, "off", "warn", "enforce")
	c.Flag("dry-run", "Print the query, do not run it.").BoolVar(&a.dry)
	c.Flag("json", "Print a JSON object.").BoolVar(&a.json)
	a.model.register(c)
	c.Arg("question", "The question; quote it.").Required().StringsVar(&a.words)
	return c.FullCommand(), a.run
}

type askCmd struct {
	prometheus, loki, tenant, at, cost, after string
	timeout                                   time.Duration
	dry, json                                 bool
	scope, words                              []string
	model                                     modelFlags
}

// askJSON is what `portent ask --json` prints.
type askJSON struct {
	Language     ask.Language  `json:"language"`
	Query        string        `json:"query"`
	Time         time.Time     `json:"time"`
	Range        *rangeJSON    `json:"range,omitempty"`
	Unit         string        `json:"unit"`
	Answer       string        `json:"answer,omitempty"`
	Result       any           `json:"result,omitempty"`
	Explanation  string        `json:"explanation"`
	Confidence   float64       `json:"confidence"` // 0 to 1
	Alternatives []readingJSON `json:"alternatives"`
	Warnings     []string      `json:"warnings,omitempty"`
	Translator   string        `json:"translator"`
	Parts        []partJSON    `json:"parts,omitempty"` // of "what is wrong with X"; query is the first finding's
}

type rangeJSON struct {
	Start time.Time `json:"start"`
	End   time.Time `json:"end"`
	Step  string    `json:"step"`
}

type readingJSON struct {
	Query       string `json:"query"`
	Explanation string `json:"explanation"`
}

type refusedJSON struct {
	Refused     bool     `json:"refused"`
	Reason      string   `json:"reason"`
	Suggestions []string `json:"suggestions"`
}

func (a *askCmd) run(std stdio) error {
	now := time.Now().UTC()
	if a.at != "" {
		t, err := time.Parse(time.RFC3339, a.at)
		if err != nil {
			return usageError{fmt.Errorf("--time %q: want RFC 3339, as 2026-11-22T15:04:05Z", a.at)}
		}
		now = t
	}
	servers, err := a.clients()
	if err != nil {
		return usageError{err}
	}
	gate, err := a.gate(servers)
	if err != nil {
		return usageError{err}
	}
	ctx, cancel := context.WithTimeout(context.Background(), a.timeout)
	defer cancel()
	if err := servers.read(ctx, now, &gate); err != nil {
		return err
	}
	rules, err := ask.NewRules(gate.Metrics, gate.Logs)
	if err != nil {
		return err
	}
	translator, err := a.translator(rules, gate)
	if err != nil {
		return err
	}
	out := bufio.NewWriter(std.out)
	done, err := a.bundle(ctx, out, servers, rules, gate, now)
	if !done && err == nil {
		err = a.reply(ctx, out, servers, translator, gate, now)
	}
	if flushErr := out.Flush(); err == nil {
		err = flushErr
	}
	return err
}

// translator is a model's where one is named, else the rules'.
func (a *askCmd) translator(rules *ask.Rules, gate ask.Gate) (ask.Translator, error) {
	client, err := a.model.client()
	if err != nil || client == nil {
		return rules, err
	}
	return ask.NewModel(ask.ModelOptions{Rules: rules, Client: client, Gate: gate})
}

// reply translates, checks, runs and prints.
func (a *askCmd) reply(ctx context.Context, out io.Writer, servers askServers, by ask.Translator, gate ask.Gate, now time.Time) error {
	tr, err := by.Translate(ctx, ask.Question{Text: strings.Join(a.words, " "), Now: now, Previous: a.after})
	if refusal := (*ask.Refusal)(nil); errors.As(err, &refusal) {
		return a.refused(out, refusal)
	}
	if err != nil {
		return err
	}
	checked, err := gate.Check(ctx, tr)
	if v := (*ask.Violation)(nil); errors.As(err, &v) {
		return a.refused(out, &ask.Refusal{Reason: "the query may not run: " + v.Reason})
	}
	if err != nil {
		return err
	}
	tr.Query = checked.Query
	gate.Mode = ask.Off // other readings are shown, not run
	var readings []ask.Reading
	for _, r := range tr.Alternatives {
		if c, err := gate.Check(ctx, ask.Translation{Language: tr.Language, Query: r.Query, Time: tr.Time}); err == nil {
			readings = append(readings, ask.Reading{Query: c.Query, Explanation: r.Explanation})
		}
	}
	tr.Alternatives = readings
	return a.answer(ctx, out, servers, tr, checked.Warnings)
}

// gate is what every query is held to, before the catalogs are read.
func (a *askCmd) gate(servers askServers) (ask.Gate, error) {
	g := ask.Gate{Mode: ask.Mode(a.cost), Meter: servers}
	if a.dry {
		g.Mode = ask.Off
	}
	for _, s := range a.scope {
		name, value, ok := strings.Cut(s, "=")
		m, err := labels.NewMatcher(labels.MatchEqual, name, value)
		if !ok || value == "" || err != nil || !model.LegacyValidation.IsValidLabelName(name) {
			return g, fmt.Errorf("--scope %q: want label=value", s)
		}
		g.Forced = append(g.Forced, m)
	}
	return g, nil
}

// clients makes a client for each server that is named.
func (a *askCmd) clients() (askServers, error) {
	var (
		s   askServers
		err error
	)
	if a.prometheus == "" && a.loki == "" {
		a.prometheus = "http://127.0.0.1:9090"
	}
	if a.prometheus != "" {
		if s.prometheus, err = promapi.New(promapi.Options{URL: a.prometheus, Timeout: a.timeout}); err != nil {
			return s, err
		}
	}
	if a.loki != "" {
		s.loki, err = lokiapi.New(lokiapi.Options{URL: a.loki, Timeout: a.timeout, Tenant: a.tenant})
	}
	return s, err
}

func (a *askCmd) refused(out io.Writer, r *ask.Refusal) error {
	if a.json {
		return json.NewEncoder(out).Encode(refusedJSON{true, r.Reason, append([]string{}, r.Suggestions...)})
	}
	fmt.Fprintf(out, "Not answered: %s.\n", printable(r.Reason))
	if len(r.Suggestions) > 0 {
		fmt.Fprintf(out, "Near to it: %s.\n", printable(strings.Join(r.Suggestions, "; ")))
	}
	return nil
}

func (a *askCmd) answer(ctx context.Context, out io.Writer, servers askServers, tr ask.Translation, warnings []string) error {
	j := askJSON{
		Language: tr.Language, Query: tr.Query, Time: tr.Time, Unit: tr.Unit, Explanation: tr.Explanation, Confidence: math.Round(100*tr.Confidence) / 100, Alternatives: []readingJSON{},
		Warnings: warnings, Translator: tr.Translator,
	}
	for _, r := range tr.Alternatives {
		j.Alternatives = append(j.Alternatives, readingJSON(r))
	}
	if tr.Range != nil {
		j.Range = &rangeJSON{tr.Range.Start, tr.Range.End, promDuration(tr.Range.Step)}
	}
	var res ask.Result
	if !a.dry {
		var err error
		if res, err = servers.ask(ctx, tr); err != nil {
			return err
		}
		j.Answer, j.Result = ask.Answer(ctx, tr, res, servers.source()), resultJSON(res)
	}
	if a.json {
		enc := json.NewEncoder(out)
		enc.SetEscapeHTML(false)
		return enc.Encode(j)
	}
	printAnswer(out, j, res)
	return nil
}

// resultJSON is the part of a result that is set, never null.
func resultJSON(r ask.Result) any {
	switch {
	case len(r.Matrix) > 0:
		return r.Matrix
	case len(r.Lines) > 0:
		return r.Lines
	case len(r.Vector) > 0:
		return r.Vector
	}
	return []any{}
}
