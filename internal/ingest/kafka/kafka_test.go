package kafka_test

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	"github.com/portent-dev/portent/internal/ingest"
	"github.com/portent-dev/portent/internal/ingest/kafka"
	"github.com/portent-dev/portent/internal/ingest/linehttp/linetest"
)

func cluster(t *testing.T, opts ...kfake.Opt) []string {
	t.Helper()
	c, err := kfake.NewCluster(append([]kfake.Opt{kfake.NumBrokers(1), kfake.SeedTopics(2, "logs")}, opts...)...)
	require.NoError(t, err)
	t.Cleanup(c.Close)
	return c.ListenAddrs()
}

func produce(t *testing.T, brokers []string, from, to int, opts ...kgo.Opt) {
	t.Helper()
	c, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(brokers...), kgo.DefaultProduceTopic("logs")}, opts...)...)
	require.NoError(t, err)
	defer c.Close()
	for i := from; i < to; i++ {
		require.NoError(t, c.ProduceSync(t.Context(), &kgo.Record{
			Value: fmt.Appendf(nil, "line %d\n", i), Timestamp: time.UnixMilli(1795348800000),
			Headers: []kgo.RecordHeader{{Key: "app", Value: []byte("web")}, {Key: "level", Value: []byte("warn")}, {Key: "trace_id", Value: []byte("4bf9")}},
		}).FirstErr())
	}
}

// start runs a source until the test or stop ends it.
func start(t *testing.T, target ingest.LineTarget, change func(*kafka.Config), brokers []string) (reg *prometheus.Registry, stop func()) {
	t.Helper()
	c := kafka.DefaultConfig()
	c.Brokers, c.Topics, c.Start, c.HeaderLabels, c.Labels = brokers, []string{"logs"}, "beginning", []string{"app"}, map[string]string{"cluster": "c1"}
	if change != nil {
		change(&c)
	}
	reg = prometheus.NewRegistry()
	s, err := kafka.New(kafka.Options{Config: c, Target: target, Registerer: reg, Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	var once atomic.Bool
	stop = func() {
		if !once.Swap(true) {
			cancel()
			require.NoError(t, <-done)
		}
	}
	t.Cleanup(stop)
	return reg, stop
}

// collect waits until n lines came and returns how often each did.
func collect(t *testing.T, target *linetest.Target, n int, got map[string]int) []ingest.Line {
	t.Helper()
	var all []ingest.Line
	require.Eventually(t, func() bool {
		for _, l := range target.Take() {
			got[l.Text]++
			all = append(all, l)
		}
		return len(got) >= n
	}, 30*time.Second, 20*time.Millisecond, "%d of %d lines", len(got), n)
	return all
}

func TestReads(t *testing.T) {
	brokers := cluster(t)
	produce(t, brokers, 0, 50)
	target := &linetest.Target{}
	reg, stop := start(t, target, nil, brokers)
	got := map[string]int{}
	l := collect(t, target, 50, got)[0]
	require.Equal(t, []ingest.Label{{Name: "app", Value: "web"}, {Name: "cluster", Value: "c1"}, {Name: "topic", Value: "logs"}}, l.Labels)
	require.Equal(t, "warn", l.Severity)
	require.Equal(t, "4bf9", l.TraceID)
	require.EqualValues(t, 1795348800000, l.T)
	stop()

	// The next one goes on where the last one committed.
	produce(t, brokers, 50, 60)
	next := &linetest.Target{}
	_, stop = start(t, next, nil, brokers)
	more := map[string]int{}
	collect(t, next, 10, more)
	require.Len(t, more, 10)
	for text, n := range more {
		require.Equal(t, 1, n, text)
		require.NotContains(t, got, text)
	}
	stop()
	n, err := testutil.GatherAndCount(reg, "portent_exporter_kafka_lag", "portent_exporter_kafka_lines_total")
	require.NoError(t, err)
	require.Equal(t, 2, n)
}

// TestNothingIsLostWhileBusy: lines that are not taken are not committed, and come again
// to whoever reads next.
func TestNothingIsLostWhileBusy(t *testing.T) {
	brokers := cluster(t)
	produce(t, brokers, 0, 20)
	busy := &linetest.Target{Err: ingest.ErrBusy}
	reg, stop := start(t, busy, nil, brokers)
	require.Eventually(t, func() bool {
		families, err := reg.Gather()
		require.NoError(t, err)
		for _, f := range families {
			if f.GetName() == "portent_exporter_kafka_waits_total" {
				return f.GetMetric()[0].GetCounter().GetValue() > 0
			}
		}
		return false
	}, 30*time.Second, 20*time.Millisecond)
	stop()
	target := &linetest.Target{}
	start(t, target, nil, brokers)
	collect(t, target, 20, map[string]int{})
}

// TestGroup: two members share the partitions, and a third line of neither is missed
// when one of them goes.
func TestGroup(t *testing.T) {
	brokers := cluster(t)
	target := &linetest.Target{}
	_, stop := start(t, target, nil, brokers)
	start(t, target, nil, brokers)
	got := map[string]int{}
	produce(t, brokers, 0, 30)
	collect(t, target, 30, got)
	stop()
	produce(t, brokers, 30, 60)
	collect(t, target, 60, got)
}

func TestScram(t *testing.T) {
	brokers := cluster(t, kfake.EnableSASL(), kfake.Superuser("SCRAM-SHA-256", "portent", "secret"))
	produce(t, brokers, 0, 3, kgo.SASL(scram.Auth{User: "portent", Pass: "secret"}.AsSha256Mechanism()))
	target := &linetest.Target{}
	start(t, target, func(c *kafka.Config) {
		c.SASL = kafka.SASL{Mechanism: "scram-sha-256", Username: "portent", Password: "secret"}
	}, brokers)
	collect(t, target, 3, map[string]int{})
}

func TestConfig(t *testing.T) {
	c := kafka.DefaultConfig()
	require.NoError(t, c.Validate())
	require.False(t, c.Enabled())
	f := func(key string, change func(*kafka.Config)) {
		t.Helper()
		c := kafka.DefaultConfig()
		c.Brokers, c.Topics = []string{"a:1"}, []string{"t"}
		change(&c)
		require.ErrorContains(t, c.Validate(), key+": ")
	}
	f("brokers", func(c *kafka.Config) { c.Brokers = nil })
	f("brokers[0]", func(c *kafka.Config) { c.Brokers = []string{"a"} })
	f("topics[0]", func(c *kafka.Config) { c.Topics = []string{"a b"} })
	f("group", func(c *kafka.Config) { c.Group = "" })
	f("start", func(c *kafka.Config) { c.Start = "middle" })
	f("labels", func(c *kafka.Config) { c.Labels = map[string]string{"a b": "c"} })
	f("header_labels[0]", func(c *kafka.Config) { c.HeaderLabels = []string{"a b"} })
	f("max_line_bytes", func(c *kafka.Config) { c.MaxLineBytes = 0 })
	f("max_fetch_bytes", func(c *kafka.Config) { c.MaxFetchBytes = 1 })
	f("session_timeout", func(c *kafka.Config) { c.SessionTimeout = 0 })
	f("sasl.mechanism", func(c *kafka.Config) { c.SASL.Mechanism = "gssapi" })
	f("sasl.mechanism", func(c *kafka.Config) { c.SASL.Username = "x" })
	f("sasl.username", func(c *kafka.Config) { c.SASL = kafka.SASL{Mechanism: "plain", Password: "x"} })
	f("sasl.password", func(c *kafka.Config) { c.SASL = kafka.SASL{Mechanism: "plain", Username: "x"} })
}
