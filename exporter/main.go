// Command portent-exporter scores how unusual the series are that Prometheus sends it, and publishes the scores for
// Prometheus to scrape.
package main

import (
	"context"
	"fmt"
	"os"
	_ "time/tzdata" // detection.time_zone must work in a container without zone files

	"github.com/alecthomas/kingpin/v2"
	"github.com/prometheus/common/promslog"
	"github.com/prometheus/common/version"

	"github.com/portent-dev/portent/exporter/app"
	"github.com/portent-dev/portent/internal/web"
)

func main() {
	if len(os.Args) > 1 && os.Args[1] == backtestName {
		os.Exit(runBacktest(os.Args[2:], os.Stdout, os.Stderr))
	}
	flags := kingpin.New(app.Name, "Scores how unusual each series is that Prometheus sends, for Prometheus to scrape. "+
		"`"+app.Name+" "+backtestName+" --help`: what would have fired in the past.")
	f := web.AddFlags(flags, ":9750")
	web.Parse(flags, os.Args[1:])
	if f.ConfigCheck {
		if err := app.Check(f.ConfigFile, *f.WebConfig.WebConfigFile); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		fmt.Println("OK")
		return
	}
	logger := promslog.New(f.Log)
	if err := run(app.Options{ConfigFile: f.ConfigFile, WebConfig: f.WebConfig, Logger: logger}); err != nil {
		logger.Error("ended", "err", err)
		os.Exit(1)
	}
}

// run returns after the first SIGINT or SIGTERM, gracefully; a second one ends the process at once.
func run(o app.Options) error {
	ctx, stop := web.SignalContext(context.Background())
	defer stop()
	o.Logger.Info("starting", "program", app.Name, "version", version.Info())
	a, err := app.New(o)
	if err != nil {
		return err
	}
	return a.Run(ctx)
}
