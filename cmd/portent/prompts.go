package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/alecthomas/kingpin/v2"
	"github.com/rogpeppe/go-internal/diff"

	"github.com/portent-dev/portent/internal/llm"
	"github.com/portent-dev/portent/internal/llm/prompt"
)

// promptsListCommand registers `portent prompts list`: what models are asked.
func promptsListCommand(app *kingpin.Application) (string, func(stdio) error) {
	c := promptsGroup(app).Command("list", "List the prompts with their versions and hashes.")
	return c.FullCommand(), listPrompts
}

// promptsGroup returns the command that list, test and diff are below.
func promptsGroup(app *kingpin.Application) *kingpin.CmdClause {
	if c := app.GetCommand("prompts"); c != nil {
		return c
	}
	return app.Command("prompts", "Look at the prompts for language models, and judge them.")
}

func listPrompts(std stdio) error {
	all, err := prompt.All()
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(std.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "PROMPT\tHASH\tCASES\tABOUT")
	for _, p := range all {
		cases, err := p.Cases()
		if err != nil {
			return err
		}
		fmt.Fprintf(w, "%s@%d\t%s\t%d\t%s\n", p.Name, p.Version, p.Hash, len(cases), p.About)
	}
	return w.Flush()
}

func promptsTestCommand(app *kingpin.Application) (string, func(stdio) error) {
	p := &promptTester{}
	c := promptsGroup(app).Command("test", "Judge prompts by their cases: put to a model with --model-url, else by the answers that were recorded.")
	p.model.register(c)
	c.Arg("prompt", "Name, or NAME@VERSION; none is the newest of all.").StringVar(&p.name)
	return c.FullCommand(), p.run
}

type promptTester struct {
	model modelFlags
	name  string
}

func (p *promptTester) run(std stdio) error {
	client, err := p.model.client()
	if err != nil {
		return err
	}
	templates, err := p.templates()
	if err != nil {
		return err
	}
	failed, total := 0, 0
	for _, t := range templates {
		cases, err := t.Cases()
		if err != nil {
			return err
		}
		for _, c := range cases {
			faults, err := judge(t, c, client)
			if err != nil {
				return err
			}
			total++
			if len(faults) == 0 {
				fmt.Fprintf(std.out, "ok    %s@%d  %s\n", t.Name, t.Version, c.Name)
				continue
			}
			failed++
			fmt.Fprintf(std.out, "FAIL  %s@%d  %s\n        %s\n", t.Name, t.Version, c.Name, strings.Join(faults, "\n        "))
		}
	}
	if failed > 0 {
		return fmt.Errorf("%d of %d cases failed", failed, total)
	}
	return nil
}

// templates are those that were asked for.
func (p *promptTester) templates() ([]prompt.Template, error) {
	if p.name != "" {
		t, err := promptNamed(p.name)
		return []prompt.Template{t}, err
	}
	all, err := prompt.All()
	if err != nil {
		return nil, err
	}
	var newest []prompt.Template
	for i, t := range all {
		if i+1 == len(all) || all[i+1].Name != t.Name {
			newest = append(newest, t)
		}
	}
	return newest, nil
}

// judge puts a case to the model, or to the answer that was recorded.
func judge(t prompt.Template, c prompt.Case, client llm.Client) ([]string, error) {
	if client == nil {
		return c.Judge(c.Answer), nil
	}
	p, err := t.Render(c.Data)
	if err != nil {
		return nil, err
	}
	answer, err := client.Complete(context.Background(), p)
	switch reason := llm.ReasonOf(err); {
	case err == nil:
		return c.Judge(answer.Text), nil
	case reason == llm.ReasonRefused || reason == llm.ReasonCut || reason == llm.ReasonBadAnswer:
		return []string{err.Error()}, nil // its own fault
	}
	return nil, err
}

// promptNamed reads NAME or NAME@VERSION.
func promptNamed(text string) (prompt.Template, error) {
	name, number, given := strings.Cut(text, "@")
	version := 0
	if given {
		n, err := strconv.Atoi(number)
		if err != nil || n < 1 {
			return prompt.Template{}, usageError{fmt.Errorf("prompt %q: want NAME or NAME@VERSION", text)}
		}
		version = n
	}
	t, err := prompt.Get(name, version)
	if err != nil {
		return t, usageError{err}
	}
	return t, nil
}

func promptsDiffCommand(app *kingpin.Application) (string, func(stdio) error) {
	d := &promptDiffer{}
	c := promptsGroup(app).Command("diff", "Show what changed between two versions of a prompt.")
	c.Arg("from", "NAME@VERSION.").Required().StringVar(&d.from)
	c.Arg("to", "NAME@VERSION; none is the newest.").StringVar(&d.to)
	return c.FullCommand(), d.run
}

type promptDiffer struct{ from, to string }

func (d *promptDiffer) run(std stdio) error {
	if !strings.Contains(d.from, "@") {
		return usageError{errors.New("want NAME@VERSION to compare with")}
	}
	from, err := promptNamed(d.from)
	if err != nil {
		return err
	}
	if d.to == "" {
		d.to = from.Name
	}
	to, err := promptNamed(d.to)
	if err != nil {
		return err
	}
	return writeDiff(std.out, from, to)
}

func writeDiff(out io.Writer, from, to prompt.Template) error {
	label := func(t prompt.Template) string { return fmt.Sprintf("%s@%d %s", t.Name, t.Version, t.Hash) }
	_, err := out.Write(diff.Diff(label(from), []byte(from.Text), label(to), []byte(to.Text)))
	return err
}
