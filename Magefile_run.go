//go:build mage

package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/portent-dev/portent/e2e/disturb"
	"github.com/portent-dev/portent/e2e/stack"
)

// Run builds everything and starts the whole stack on loopback with real servers, until Ctrl-C. PORTENT_DATA names its data folder, .portent here by default.
func Run(ctx context.Context) error {
	if err := Build(ctx); err != nil {
		return err
	}
	data, err := dataDir()
	if err != nil {
		return err
	}
	root, err := os.Getwd()
	if err != nil {
		return err
	}
	ctx, cancel := untilStopped(ctx)
	defer cancel()
	s, err := stack.Start(ctx, stack.Options{Root: root, Data: data, Out: os.Stderr})
	if err != nil {
		return err
	}
	defer func() {
		fmt.Fprintln(os.Stderr, "stopping")
		s.Stop()
	}()
	s.Print(os.Stdout)
	return s.Wait(ctx)
}

// Disturb burns processor and memory on this machine for two minutes at most and shows the score, alert, incident and ticket as they come. -like=cpu or -like=memory takes one of the two, -length=1m less time.
func Disturb(ctx context.Context, like *string, length *time.Duration) error {
	data, err := dataDir()
	if err != nil {
		return err
	}
	state, err := stack.Load(data)
	if err != nil {
		return err
	}
	burner := filepath.Join("bin", executable("portent-disturbance"))
	if err := goTool(ctx, os.Stderr, "build", "-o", burner, "./e2e/disturb/burn"); err != nil {
		return err
	}
	o := disturb.Options{Stack: state, Burner: burner, Out: os.Stdout}
	if like != nil {
		o.Kind = disturb.Kind(*like)
	}
	if length != nil {
		o.Length = *length
	}
	ctx, cancel := untilStopped(ctx)
	defer cancel()
	return disturb.Run(ctx, o)
}

// untilStopped ends the context also on SIGTERM and when the terminal is closed; mage itself looks for Ctrl-C alone.
func untilStopped(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGTERM, syscall.SIGHUP)
	ctx, cancel := stack.UntilParentEnds(ctx)
	return ctx, func() { cancel(); stop() }
}

// dataDir is where the stack keeps its data: PORTENT_DATA, or .portent in the checkout.
func dataDir() (string, error) {
	if dir := os.Getenv("PORTENT_DATA"); dir != "" {
		return filepath.Abs(dir)
	}
	return filepath.Abs(".portent")
}

// Bench runs the benchmarks of PACKAGES (default all), six times each, and compares them with bench.txt of the run before.
func Bench(ctx context.Context, packages *string) error {
	pattern := "./..."
	if packages != nil {
		pattern = *packages
	}
	const file = "bench.txt"
	old := file + ".old"
	if err := os.Rename(file, old); err != nil && !os.IsNotExist(err) {
		return err
	}
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	defer f.Close()
	args := append([]string{"test", "-run=^$", "-bench=.", "-benchmem", "-count=6", "-timeout=2h"}, strings.Fields(pattern)...)
	if err := goTool(ctx, io.MultiWriter(os.Stdout, f), args...); err != nil {
		return err
	}
	if _, err := os.Stat(old); err == nil {
		return pinned(ctx, os.Stdout, "benchstat", old, file)
	}
	return pinned(ctx, os.Stdout, "benchstat", file)
}
