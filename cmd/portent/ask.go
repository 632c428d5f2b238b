package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/alecthomas/kingpin/v2"

	"github.com/portent-dev/portent/internal/ask"
	"github.com/portent-dev/portent/internal/promapi"
)

// askCommand registers `portent ask`: a question in plain English.
func askCommand(app *kingpin.Application) (string, func(stdio) error) {
	a := &askCmd{}
	c := app.Command("ask", "Ask in plain English; the answer comes with the query that gave it.")
	c.Flag("prometheus", "Address of a Prometheus.").Default("http://127.0.0.1:9090").StringVar(&a.prometheus)
	c.Flag("time", "When the question is asked, RFC 3339; empty is now.").StringVar(&a.at)
	c.Flag("timeout", "How long the servers may take.").Default("30s").DurationVar(&a.timeout)
	c.Flag("dry-run", "Print the query, do not run it.").BoolVar(&a.dry)
	c.Flag("json", "Print a JSON object.").BoolVar(&a.json)
	c.Arg("question", "The question; quote it.").Required().StringsVar(&a.words)
	return c.FullCommand(), a.run
}

type askCmd struct {
	prometheus, at string
	timeout        time.Duration
	dry, json      bool
	words          []string
}

// askJSON is what `portent ask --json` prints.
type askJSON struct {
	Language     ask.Language  `json:"language"`
	Query        string        `json:"query"`
	Time         time.Time     `json:"time"`
	Range        *rangeJSON    `json:"range,omitempty"`
	Unit         string        `json:"unit"`
	Result       any           `json:"result,omitempty"`
	Explanation  string        `json:"explanation"`
	Alternatives []readingJSON `json:"alternatives"`
	Translator   string        `json:"translator"`
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
	client, err := promapi.New(promapi.Options{URL: a.prometheus, Timeout: a.timeout})
	if err != nil {
		return usageError{err}
	}
	ctx, cancel := context.WithTimeout(context.Background(), a.timeout)
	defer cancel()
	catalog, err := ask.Load(ctx, promSource{client})
	if err != nil {
		return err
	}
	rules, err := ask.NewRules(catalog)
	if err != nil {
		return err
	}
	out := bufio.NewWriter(std.out)
	tr, err := rules.Translate(ctx, ask.Question{Text: strings.Join(a.words, " "), Now: now})
	if refusal := (*ask.Refusal)(nil); errors.As(err, &refusal) {
		err = a.refused(out, refusal)
	} else if err == nil {
		err = a.answer(ctx, out, client, tr)
	}
	if flushErr := out.Flush(); err == nil {
		err = flushErr
	}
	return err
}

func (a *askCmd) refused(out io.Writer, r *ask.Refusal) error {
	if a.json {
		return json.NewEncoder(out).Encode(refusedJSON{true, r.Reason, append([]string{}, r.Suggestions...)})
	}
	_, err := fmt.Fprintf(out, "%s\n", r.Reason)
	return err
}

func (a *askCmd) answer(ctx context.Context, out io.Writer, client *promapi.Client, tr ask.Translation) error {
	j := askJSON{
		Language: tr.Language, Query: tr.Query, Time: tr.Time, Unit: tr.Unit, Explanation: tr.Explanation, Alternatives: []readingJSON{},
		Translator: tr.Translator,
	}
	for _, r := range tr.Alternatives {
		j.Alternatives = append(j.Alternatives, readingJSON(r))
	}
	if tr.Range != nil {
		j.Range = &rangeJSON{tr.Range.Start, tr.Range.End, tr.Range.Step.String()}
	}
	if !a.dry {
		res, err := client.Query(ctx, tr.Query, tr.Time, 1000)
		if err != nil {
			return err
		}
		j.Result = res.Value
	}
	if a.json {
		enc := json.NewEncoder(out)
		enc.SetEscapeHTML(false)
		return enc.Encode(j)
	}
	fmt.Fprintf(out, "%s\n%s\n", tr.Query, tr.Explanation)
	if j.Result != nil {
		fmt.Fprintf(out, "%v\n", j.Result)
	}
	return nil
}

// promSource reads a catalog from a Prometheus.
type promSource struct{ c *promapi.Client }

func (s promSource) Metadata(ctx context.Context) (map[string]ask.Metric, error) {
	all, err := s.c.Metadata(ctx, "", 0)
	if err != nil {
		return nil, err
	}
	out := make(map[string]ask.Metric, len(all))
	for name, list := range all {
		if len(list) > 0 {
			out[name] = ask.Metric{Type: string(list[0].Type), Help: list[0].Help, Unit: list[0].Unit}
		}
	}
	return out, nil
}

func (s promSource) LabelNames(ctx context.Context, matches []string, limit int) ([]string, error) {
	names, _, err := s.c.LabelNames(ctx, matches, time.Time{}, time.Time{}, limit)
	return names, err
}

func (s promSource) LabelValues(ctx context.Context, label string, matches []string, limit int) ([]string, error) {
	values, _, err := s.c.LabelValues(ctx, label, matches, time.Time{}, time.Time{}, limit)
	return values, err
}
