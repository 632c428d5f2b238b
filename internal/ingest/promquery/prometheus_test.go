package promquery_test

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/e2e/servertest"
	"github.com/portent-dev/portent/internal/ingest/ingesttest"
	"github.com/portent-dev/portent/internal/ingest/promquery"
)

// TestRealPrometheus evaluates queries on a real server, first over its past and
// then as time goes on.
func TestRealPrometheus(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a Prometheus")
	}
	port := servertest.FreePort(t)
	prom := servertest.Prometheus(t, servertest.Config{YAML: fmt.Sprintf(`
global: {scrape_interval: 1s}
scrape_configs:
- {job_name: gone, static_configs: [{targets: ["127.0.0.1:%d"]}]}
`, port)})
	q := func(name, expr string) promquery.Query {
		q := promquery.DefaultQuery()
		q.Name, q.Expr, q.Interval, q.Timeout, q.Offset = name, expr, model.Duration(time.Second), model.Duration(time.Second), 0
		return q
	}
	server := promquery.DefaultServer()
	server.URL = prom.URL
	server.Queries = []promquery.Query{q("down_ratio", `1 - avg(up)`), q("raw", `up`), q("now", `scalar(count(up)) * 0`), q("none", `nothing_at_all`)}
	config := promquery.Config{Servers: []promquery.Server{server}}
	require.NoError(t, config.Validate())
	target := new(ingesttest.Target)
	source, err := promquery.New(promquery.Options{Config: config, Target: target, Registerer: prometheus.NewRegistry(), Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)

	has := func(name string, n int) bool {
		s, ok := target.Get(name)
		return ok && len(s.Samples) >= n
	}
	require.Eventually(t, func() bool {
		err := source.Backfill(t.Context(), time.Now().Add(-time.Minute), time.Now(), func(int, int) {})
		return err == nil && has(`{__name__="down_ratio"}`, 2)
	}, 30*time.Second, 500*time.Millisecond)
	before, _ := target.Get(`{__name__="down_ratio"}`)

	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- source.Run(ctx) }()
	require.Eventually(t, func() bool { return has(`{__name__="down_ratio"}`, len(before.Samples)+3) }, 30*time.Second, 100*time.Millisecond)
	cancel()
	require.NoError(t, <-done)

	s, _ := target.Get(`{__name__="down_ratio"}`)
	require.GreaterOrEqual(t, len(s.Samples), len(before.Samples)+3, target.Dump())
	for i, p := range s.Samples {
		require.Zero(t, p.T%1000, "evaluation times are full seconds")
		require.InDelta(t, 1, p.V, 0)
		require.True(t, i == 0 || p.T > s.Samples[i-1].T)
	}
	require.Contains(t, target.Dump(), fmt.Sprintf(`{__name__="up", instance="127.0.0.1:%d", job="gone"} unknown 0@`, port))
	s, _ = target.Get(`{__name__="now"}`)
	require.InDelta(t, 0, s.Samples[len(s.Samples)-1].V, 0)
	require.NotContains(t, strings.Join(target.Names(), " "), "none")
}
