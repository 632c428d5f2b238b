package app

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/portent-dev/portent/internal/promapi"
	"github.com/portent-dev/portent/internal/topology/discover"
	"github.com/portent-dev/portent/internal/web"
)

// dependencies makes the settings of the topology: the file is read, and a client made of the Prometheus that evidence is looked for in.
func (c *Config) dependencies() (discover.Settings, error) {
	s := discover.Settings{Config: c.Topology}
	var errs []error
	if c.Topology.File != "" {
		f, err := discover.LoadFile(c.Topology.File)
		if err != nil {
			errs = append(errs, web.Invalid("topology.file", err))
		}
		s.File = f
	}
	if p := c.Evidence.Prometheus; p != nil && len(c.Topology.Sources) > 0 {
		client, err := p.client("topology_prometheus")
		if err == nil {
			s.Prometheus, err = promapi.New(promapi.Options{URL: p.URL, Client: client, Timeout: time.Duration(c.Topology.Timeout), MaxBytes: discover.MaxBytes})
		}
		if err != nil {
			errs = append(errs, web.Invalid("evidence.prometheus", fmt.Errorf("for the topology: %w", err)))
		}
	}
	return s, errors.Join(errs...)
}

func (a *App) newTopology() *discover.Worker {
	return discover.NewWorker(discover.WorkerOptions{
		Use: a.runner.SetTopology, Now: time.Now, Logger: a.log.With("component", "topology"), Registerer: a.reg,
	})
}

// keepTopology reads dependencies until ctx ends, in each replica: another one takes over triage at once. In a replay
// it reads none: Prometheus knows the present, not the time that is replayed.
func (a *App) keepTopology(ctx context.Context) error {
	if a.opts.ClockHeader != "" {
		<-ctx.Done()
		return nil
	}
	return a.topology.Run(ctx)
}
