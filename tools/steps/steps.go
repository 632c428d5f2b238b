// Package steps runs what a build consists of: steps that wait for one another, two at a time, each one's output in one
// piece, a table at the end. The Magefile is its only user.
package steps

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// Step is one thing to do.
type Step struct {
	Name   string
	After  []string // names of the steps that must have succeeded before
	Behind []string // names of the steps that must have ended before, however
	// Run does it. It writes to out what a reader of the log should see, and should end soon after ctx.
	Run func(ctx context.Context, out io.Writer) error
	// Results marks a step whose last lines are shown once more at the end: a test runner.
	Results bool
}

// ErrMissing is what Run wraps when a step cannot run because the machine lacks something that is not always needed. The step
// and those after it are left out, and the whole is no failure.
var ErrMissing = errors.New("missing")

const (
	// atOnce is how many steps run at a time. The Go command uses every processor by itself; a second step fills the gaps of
	// linking, downloads and tests that wait, a third one would only take memory.
	atOnce = 2
	// resultLines is how much of a test runner's output is shown at the end: the summary, not the log.
	resultLines = 60
)

type state struct {
	step   Step
	output bytes.Buffer
	took   time.Duration
	err    error
	done   bool
}

// Run runs all steps and returns an error that names those that failed. A failure keeps only those from running that wait for
// it, so that one run shows everything that is wrong. A step that waits for an unknown one, or for itself, is a mistake that
// is found before anything runs.
func Run(ctx context.Context, out io.Writer, list []Step) error {
	states, err := order(list)
	if err != nil {
		return err
	}
	ended := make(chan *state)
	running := 0
	waiting := slices.Clone(states)
	for len(waiting) > 0 || running > 0 {
		waiting = slices.DeleteFunc(waiting, func(s *state) bool {
			verdict := ready(s, states)
			if verdict == wait || verdict == run && (running == atOnce || ctx.Err() != nil) {
				return false
			}
			if verdict == skip {
				s.done, s.err = true, fmt.Errorf("left out: %w", cause(s, states))
				return true
			}
			fmt.Fprintf(out, "== %s: started\n", s.step.Name)
			running++
			go func() {
				start := time.Now()
				s.err = s.step.Run(ctx, &s.output)
				s.took = time.Since(start)
				ended <- s
			}()
			return true
		})
		if running == 0 {
			break // canceled, or everything that waits was left out
		}
		s := <-ended
		running--
		s.done = true
		fmt.Fprintf(out, "== %s: %s\n%s", s.step.Name, verdict(s), s.output.String())
	}
	return summary(ctx, out, states)
}

// order checks the names; steps may wait only for those before them in the list, so that there are no circles.
func order(list []Step) ([]*state, error) {
	var states []*state
	for _, s := range list {
		for _, name := range slices.Concat(s.After, s.Behind) {
			if find(states, name) == nil {
				return nil, fmt.Errorf("BUG: step %s waits for %s, which does not stand before it", s.Name, name)
			}
		}
		if find(states, s.Name) != nil {
			return nil, fmt.Errorf("BUG: two steps are named %s", s.Name)
		}
		states = append(states, &state{step: s})
	}
	return states, nil
}

func find(states []*state, name string) *state {
	for _, s := range states {
		if s.step.Name == name {
			return s
		}
	}
	return nil
}

const (
	wait = iota
	run
	skip
)

// ready says what to do with a step that has not run.
func ready(s *state, states []*state) int {
	result := run
	for _, name := range s.step.After {
		before := find(states, name)
		switch {
		case before.done && before.err != nil:
			return skip
		case !before.done:
			result = wait
		}
	}
	for _, name := range s.step.Behind {
		if !find(states, name).done {
			result = wait
		}
	}
	return result
}

// cause is why a step cannot run: what it waits for was missing itself, or failed.
func cause(s *state, states []*state) error {
	for _, name := range s.step.After {
		before := find(states, name)
		if before.err == nil {
			continue
		}
		if errors.Is(before.err, ErrMissing) {
			return before.err
		}
		return fmt.Errorf("%s failed", name)
	}
	return errors.New("BUG: nothing keeps it from running")
}

func verdict(s *state) string {
	switch {
	case !s.done:
		return "not run"
	case errors.Is(s.err, ErrMissing):
		return s.err.Error()
	case s.err != nil:
		return "FAILED: " + s.err.Error()
	default:
		return "ok, " + s.took.Round(100*time.Millisecond).String()
	}
}

func summary(ctx context.Context, out io.Writer, states []*state) error {
	fmt.Fprintln(out, "\nSteps")
	var failed []string
	for _, s := range states {
		fmt.Fprintf(out, "  %-14s %s\n", s.step.Name, strings.ReplaceAll(verdict(s), "\n", "\n                 "))
		if !s.done || s.err != nil && !errors.Is(s.err, ErrMissing) {
			failed = append(failed, s.step.Name)
		}
	}
	for _, s := range states {
		if s.step.Results && s.output.Len() > 0 {
			lines := strings.Split(strings.TrimSpace(s.output.String()), "\n")
			fmt.Fprintf(out, "\n%s\n%s\n", s.step.Name, strings.Join(lines[max(0, len(lines)-resultLines):], "\n"))
		}
	}
	if err := context.Cause(ctx); err != nil {
		return err
	}
	if len(failed) > 0 {
		return fmt.Errorf("failed: %s", strings.Join(failed, ", "))
	}
	return nil
}
