package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"

	"github.com/alecthomas/kingpin/v2"

	"github.com/portent-dev/portent/internal/analyze"
	"github.com/portent-dev/portent/internal/detect"
)

// analyzeCommand registers `portent analyze`: what is unusual in these series.
func analyzeCommand(app *kingpin.Application) (string, func(stdio) error) {
	a := &analyzer{}
	c := app.Command("analyze", "Say what is unusual in the series of a Prometheus query_range answer. Prints JSON, as the exporter's /v1/analyze/metrics answers.")
	c.Flag("cluster", "Name of the cluster that the series are from.").Required().StringVar(&a.cluster)
	c.Flag("sensitivity", "How far from the usual counts: low the farthest.").
		Default(string(detect.Medium)).EnumVar(&a.sensitivity, string(detect.Low), string(detect.Medium), string(detect.High))
	var types []string
	for _, t := range analyze.Types() {
		types = append(types, string(t))
	}
	c.Flag("type", "What to look for.").Default(string(analyze.All)).EnumVar(&a.of, types...)
	c.Flag("actions", "YAML table of suggested actions in place of the built-in one.").StringVar(&a.actions)
	c.Arg("file", "JSON file; none or - reads standard input.").StringVar(&a.file)
	return c.FullCommand(), a.run
}

type analyzer struct {
	cluster, sensitivity, of, actions, file string
}

func (a *analyzer) run(std stdio) error {
	if a.cluster == "" {
		return usageError{errors.New("--cluster is empty: want a name such as prod-eu-1")}
	}
	table := analyze.DefaultActionsFile
	if a.actions != "" {
		var err error
		if table, err = os.ReadFile(a.actions); err != nil {
			return usageError{err}
		}
	}
	actions, err := analyze.ParseActions(table)
	if err != nil {
		return usageError{fmt.Errorf("%s: %w", a.actions, err)}
	}
	in, err := openInput(a.file, std)
	if err != nil {
		return err
	}
	series, err := analyze.DecodeQueryRange(in.reader, analyze.Limits{MaxSeries: math.MaxInt, MaxPoints: math.MaxInt})
	if closeErr := in.close(); err == nil {
		err = closeErr
	}
	var bad *analyze.BadInput
	if errors.As(err, &bad) {
		return fmt.Errorf("%s: %w: want %s", in.name, err, bad.Hint)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", in.name, err)
	}
	answer, err := analyze.Run(context.Background(), analyze.Request{
		Cluster: a.cluster, Series: series, Type: analyze.Type(a.of), Sensitivity: detect.Sensitivity(a.sensitivity),
	}, actions)
	if err != nil {
		return err
	}
	out := json.NewEncoder(std.out)
	out.SetEscapeHTML(false)
	out.SetIndent("", "  ")
	return out.Encode(answer)
}
