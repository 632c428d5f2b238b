package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"

	"github.com/alecthomas/kingpin/v2"

	"github.com/portent-dev/portent/internal/runbook"
)

// runbooksCommand registers `portent runbooks search`: which runbook fits.
func runbooksCommand(app *kingpin.Application) (string, func(stdio) error) {
	r := &runbooks{}
	group := app.Command("runbooks", "Find runbooks.")
	c := group.Command("search", "Find the runbooks that fit what an alert says, best first.")
	c.Flag("dir", "Folder of runbooks, as Markdown files.").Default("docs/runbooks").StringVar(&r.dir)
	c.Flag("limit", "How many to print at most.").Default("5").IntVar(&r.limit)
	c.Flag("json", `Print {"results":[{"path","title","score","excerpt"}]}. Default where stdout is no terminal.`).BoolVar(&r.json)
	c.Arg("text", "What is known of the trouble: the alert's name, summary and description, or your own words; none or - reads standard input.").StringsVar(&r.text)
	return c.FullCommand(), r.run
}

type runbooks struct {
	dir   string
	limit int
	json  bool
	text  []string
}

// runbookResult is a result as contracts have it.
type runbookResult struct {
	Path    string  `json:"path"`
	Title   string  `json:"title"`
	Score   float64 `json:"score"`
	Excerpt string  `json:"excerpt"`
}

func (r *runbooks) run(std stdio) error {
	if r.limit < 1 {
		return usageError{fmt.Errorf("--limit %d: want 1 or more", r.limit)}
	}
	text, err := r.question(std)
	if err != nil {
		return err
	}
	if info, err := os.Stat(r.dir); err != nil {
		return fmt.Errorf("--dir: %w", err)
	} else if !info.IsDir() {
		return usageError{fmt.Errorf("--dir %s: want a folder", r.dir)}
	}
	index, err := runbook.Load(os.DirFS(r.dir))
	if err != nil {
		return fmt.Errorf("--dir %s: %w", r.dir, err)
	}
	if s := index.Skipped(); s != (runbook.Skipped{}) {
		fmt.Fprintf(std.err, "portent runbooks search: left out %d files over %d bytes and %d that are no text\n", s.TooLong, runbook.MaxFileBytes, s.NotText)
	}
	results := make([]runbookResult, 0, r.limit)
	for _, found := range index.Search(text, r.limit) {
		results = append(results, runbookResult(found))
	}
	if r.json || !isTerminal(std.out) {
		return json.NewEncoder(std.out).Encode(map[string]any{"results": results})
	}
	return printRunbooks(std, results)
}

// question is the text to search for, from the arguments or from standard input.
func (r *runbooks) question(std stdio) (string, error) {
	text := strings.Join(r.text, " ")
	if text == "" || text == "-" {
		in, err := openInput("-", std)
		if err != nil {
			return "", err
		}
		if text, err = readText(in, runbook.MaxQueryBytes); err != nil {
			return "", err
		}
	}
	if strings.TrimSpace(text) == "" {
		return "", usageError{errors.New("nothing to search for: want words such as the alert's summary")}
	}
	return text, nil
}

func printRunbooks(std stdio, results []runbookResult) error {
	if len(results) == 0 {
		_, err := fmt.Fprintln(std.err, "no runbook shares a word with that")
		return err
	}
	w := tabwriter.NewWriter(std.out, 0, 0, 2, ' ', 0)
	for _, r := range results {
		fmt.Fprintf(w, "%.1f\t%s\t%s\n\t\t%s\n", r.Score, r.Path, r.Title, r.Excerpt)
	}
	return w.Flush()
}

// readText reads the whole of in, and refuses more than maxBytes.
func readText(in *input, maxBytes int64) (string, error) {
	text, err := io.ReadAll(io.LimitReader(in.reader, maxBytes+1))
	if closeErr := in.close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return "", fmt.Errorf("%s: %w", in.name, err)
	}
	if int64(len(text)) > maxBytes {
		return "", fmt.Errorf("%s: more than %d bytes", in.name, maxBytes)
	}
	return string(text), nil
}
