package app

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/common/config"
	"github.com/prometheus/common/model"

	"github.com/portent-dev/portent/internal/reconcile"
	"github.com/portent-dev/portent/internal/web"
)

// ReconcileConfig says which Alertmanagers are asked what fires, to find what no notice told.
type ReconcileConfig struct {
	// Alertmanagers are the addresses of all that send notices. Empty: none is asked.
	Alertmanagers []string `yaml:"alertmanagers"`
	// Receiver is the name of ours in their configuration. Empty: only ends are looked for.
	Receiver   string                  `yaml:"receiver"`
	Interval   model.Duration          `yaml:"interval"`
	HTTPClient config.HTTPClientConfig `yaml:"http_client"`
}

// DefaultReconcileConfig asks nobody.
func DefaultReconcileConfig() ReconcileConfig {
	return ReconcileConfig{Alertmanagers: []string{}, Interval: model.Duration(time.Minute), HTTPClient: config.DefaultHTTPClientConfig}
}

func (c *ReconcileConfig) validate() error {
	var errs []error
	for i, a := range c.Alertmanagers {
		errs = append(errs, web.Invalid(fmt.Sprintf("alertmanagers[%d]", i), reconcile.CheckAddress(a)))
	}
	if d := time.Duration(c.Interval); d < 10*time.Second || d > time.Hour {
		errs = append(errs, web.Invalid("interval", fmt.Errorf("%s: want 10s to 1h", c.Interval)))
	}
	if len(c.Alertmanagers) == 0 && c.Receiver != "" {
		errs = append(errs, web.Invalid("receiver", errors.New("no Alertmanager is asked: name them in alertmanagers")))
	}
	return errors.Join(append(errs, web.Invalid("http_client", c.HTTPClient.Validate()))...)
}

// reconcile asks until ctx ends. In a replay time is that of the alerts, so nobody is asked.
func (a *App) reconcile(ctx context.Context) error {
	c := a.server.settings.Load().config.Reconcile
	if len(c.Alertmanagers) == 0 || a.opts.ClockHeader != "" {
		<-ctx.Done()
		return nil
	}
	client, err := config.NewClientFromConfig(c.HTTPClient, "reconcile")
	if err != nil {
		return err
	}
	w, err := reconcile.New(reconcile.Options{
		Store: a.db, Alertmanagers: c.Alertmanagers, Client: client, Receiver: c.Receiver, Interval: time.Duration(c.Interval),
		Logger: a.log.With("component", "reconcile"), Registerer: a.reg, Wake: a.runner.Wake, Now: time.Now,
	})
	if err != nil {
		return err
	}
	return w.Run(ctx)
}
