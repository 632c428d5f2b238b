package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/portent-dev/portent/internal/ask"
)

// partJSON is one query of an answer that has several.
type partJSON struct {
	Title       string       `json:"title"`
	Language    ask.Language `json:"language"`
	Query       string       `json:"query"`
	Range       *rangeJSON   `json:"range,omitempty"`
	Unit        string       `json:"unit"`
	Explanation string       `json:"explanation"`
	Found       *bool        `json:"found,omitempty"` // nil where it did not run
	Answer      string       `json:"answer,omitempty"`
	Error       string       `json:"error,omitempty"`
}

// bundle answers what is wrong with something. done is false of other questions.
func (a *askCmd) bundle(ctx context.Context, out io.Writer, servers askServers, rules *ask.Rules, gate ask.Gate, now time.Time) (done bool, err error) {
	b, ok, err := rules.Bundle(ctx, ask.Question{Text: strings.Join(a.words, " "), Now: now})
	if refusal := (*ask.Refusal)(nil); errors.As(err, &refusal) {
		return true, a.refused(out, refusal)
	}
	if err != nil || !ok {
		return ok, err
	}
	j := askJSON{Alternatives: []readingJSON{}, Translator: "rules"}
	var (
		allowed []ask.Part
		results []*ask.Result
		first   = -1
	)
	for _, p := range b.Parts {
		checked, err := gate.Check(ctx, p.Translation)
		if v := (*ask.Violation)(nil); errors.As(err, &v) {
			j.Warnings = append(j.Warnings, p.Title+": the query may not run: "+v.Reason)
			continue
		}
		if err != nil {
			return true, err
		}
		p.Query = checked.Query
		part, res := a.part(ctx, servers, p)
		if res != nil && first < 0 && p.Found(*res) {
			first = len(allowed)
		}
		j.Warnings = append(j.Warnings, checked.Warnings...)
		j.Parts, allowed, results = append(j.Parts, part), append(allowed, p), append(results, res)
	}
	if len(allowed) == 0 {
		return true, a.refused(out, &ask.Refusal{Reason: strings.Join(j.Warnings, "; ")})
	}
	b.Parts = allowed
	p := allowed[max(first, 0)]
	j.Language, j.Query, j.Time, j.Unit, j.Explanation, j.Range = p.Language, p.Query, p.Time, p.Unit, p.Explanation, rangeOf(p.Translation)
	if !a.dry {
		j.Answer = b.Answer(ctx, results)
		if res := results[max(first, 0)]; res != nil {
			j.Result = resultJSON(*res)
		}
	}
	if a.json {
		enc := json.NewEncoder(out)
		enc.SetEscapeHTML(false)
		return true, enc.Encode(j)
	}
	printBundle(out, j)
	return true, nil
}

// part runs one query. A server that fails it leaves the others to be answered.
func (a *askCmd) part(ctx context.Context, servers askServers, p ask.Part) (partJSON, *ask.Result) {
	j := partJSON{Title: p.Title, Language: p.Language, Query: p.Query, Range: rangeOf(p.Translation), Unit: p.Unit, Explanation: p.Explanation}
	if a.dry {
		return j, nil
	}
	res, err := servers.ask(ctx, p.Translation)
	if err != nil {
		j.Error = err.Error()
		return j, nil
	}
	found := p.Found(res)
	j.Found, j.Answer = &found, ask.Answer(ctx, p.Translation, res, servers.source())
	return j, &res
}

func rangeOf(tr ask.Translation) *rangeJSON {
	if tr.Range == nil {
		return nil
	}
	return &rangeJSON{tr.Range.Start, tr.Range.End, promDuration(tr.Range.Step)}
}

// printBundle prints the combined answer, then each query, findings marked.
func printBundle(out io.Writer, j askJSON) {
	if j.Answer != "" {
		fmt.Fprintln(out, printable(j.Answer))
	}
	for _, p := range j.Parts {
		mark := " "
		if p.Found != nil && *p.Found {
			mark = "!"
		}
		fmt.Fprintf(out, "%s %s: %s: %s\n", mark, p.Title, p.Language, printable(p.Query))
		if p.Error != "" {
			fmt.Fprintf(out, "  failed: %s\n", printable(p.Error))
		}
	}
	for _, w := range j.Warnings {
		fmt.Fprintf(out, "warning: %s\n", printable(w))
	}
}
