// Command portent-receiver takes the notifications of Alertmanager, makes incidents of them and files tickets.
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/alecthomas/kingpin/v2"
	"github.com/prometheus/common/promslog"
	"github.com/prometheus/common/version"

	"github.com/portent-dev/portent/alertmanager-receiver/app"
	"github.com/portent-dev/portent/internal/web"
)

func main() {
	flags := kingpin.New(app.Name, "Takes the notifications of Alertmanager, makes incidents of them and files tickets.")
	f := web.AddFlags(flags, ":9751")
	store := flags.Flag("store", "Where everything is kept: sqlite:PATH or postgres://USER@HOST/DATABASE. Wins over the configuration; sqlite:portent-receiver.db without either.").String()
	clock := flags.Flag("replay.clock-header", "Name of a request header whose RFC 3339 time is taken as the time of a notification. For replays only: any sender can set the time with it.").String()
	backup := flags.Flag("backup.to", "Copy the SQLite database into this new file while the receiver that uses it goes on, and exit.").PlaceHolder("FILE").String()
	web.Parse(flags, os.Args[1:])
	if f.ConfigCheck {
		if err := app.Check(f.ConfigFile, *f.WebConfig.WebConfigFile); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		fmt.Println("OK")
		return
	}
	if *backup != "" {
		size, err := app.Backup(context.Background(), app.Options{ConfigFile: f.ConfigFile, Store: *store}, *backup)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		fmt.Printf("%s: %d bytes\n", *backup, size)
		return
	}
	logger := promslog.New(f.Log)
	if err := run(app.Options{ConfigFile: f.ConfigFile, Store: *store, ClockHeader: *clock, WebConfig: f.WebConfig, Logger: logger}); err != nil {
		logger.Error("ended", "err", err)
		os.Exit(1)
	}
}

// run returns after the first SIGINT or SIGTERM, gracefully; a second one ends the process at once.
func run(o app.Options) error {
	ctx, stop := web.SignalContext(context.Background())
	defer stop()
	o.Logger.Info("starting", "program", app.Name, "version", version.Info())
	a, err := app.New(ctx, o)
	if err != nil {
		return err
	}
	return a.Run(ctx)
}
