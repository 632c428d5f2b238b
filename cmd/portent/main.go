// Command portent is the command line tool: each of its commands does on a file or
// a pipe what the servers do on a stream.
//
// Results go to stdout, everything else to stderr. It exits with 0 on success, 1 on
// failure and 2 on wrong usage.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/alecthomas/kingpin/v2"
	"github.com/prometheus/common/version"
)

// Exit codes, as contracts have them for every command.
const (
	exitOK      = 0
	exitFailure = 1
	exitUsage   = 2
)

// stdio is what a command may touch of the process.
type stdio struct {
	in       io.Reader
	out, err io.Writer
}

// command is one command: a file of this package each. register adds its flags to
// app and returns its name and what runs it after parsing.
type command func(app *kingpin.Application) (name string, run func(stdio) error)

var commands = []command{
	scoreCommand,
	patternsCommand,
	askCommand,
	forecastCommand,
	analyzeCommand,
	baselineCommand,
	runbooksCommand,
	reportCommand,
	promptsListCommand,
	promptsTestCommand,
	promptsDiffCommand,
	auditCommand,
}

// usageError is a failure that the command line itself is to blame for.
type usageError struct{ error }

func (u usageError) Unwrap() error { return u.error }

func main() {
	os.Exit(run(os.Args[1:], stdio{os.Stdin, os.Stdout, os.Stderr}))
}

// exit unwinds out of kingpin, which ends the process on --help and --version.
type exit struct{ code int }

func run(args []string, std stdio) (code int) {
	defer func() {
		if r := recover(); r != nil {
			e, ok := r.(exit)
			if !ok {
				panic(r)
			}
			code = e.code
		}
	}()
	app := kingpin.New("portent", "Portent on the command line: what is unusual in files and pipes.")
	app.Version(version.Print("portent"))
	app.HelpFlag.Short('h')
	app.UsageWriter(std.out).ErrorWriter(std.err)
	app.Terminate(func(code int) { panic(exit{code}) })
	runs := map[string]func(stdio) error{}
	for _, c := range commands {
		name, run := c(app)
		runs[name] = run
	}
	if len(args) == 0 {
		app.UsageWriter(std.err)
		app.Usage(nil)
		return exitUsage
	}
	name, err := app.Parse(args)
	if err != nil {
		fmt.Fprintf(std.err, "portent: %s, try --help\n", err)
		return exitUsage
	}
	if err := runs[name](std); err != nil {
		fmt.Fprintf(std.err, "portent %s: %s\n", name, err)
		if errors.As(err, &usageError{}) {
			return exitUsage
		}
		return exitFailure
	}
	return exitOK
}
