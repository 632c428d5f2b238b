// Package kafka reads log lines from topics of Kafka as a consumer group: each record
// is a line, in whatever form a shipper writes it (a JSON record of Fluent Bit or
// Vector, or plain text).
//
// Delivery is at least once: offsets are committed when the lines were taken, never
// before, and a partition is not given up while its lines are in work. After a crash
// the lines since the last commit, of a second at most, come again.
//
// It must not know what becomes of a line.
package kafka

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/portent-dev/portent/internal/ingest"
)

// Options are what a Source is made of. All are required.
type Options struct {
	Config     Config
	Target     ingest.LineTarget
	Registerer prometheus.Registerer
	Logger     *slog.Logger
}

// Source reads topics. Run it once.
type Source struct {
	config  Config
	target  ingest.LineTarget
	logger  *slog.Logger
	metrics *metrics
	opts    []kgo.Opt
	base    []ingest.Label
	lag     lag
}

const (
	// maxPoll is how many records are mined before their offsets are committed.
	maxPoll = 10_000
	// busyWait is how long it is waited before lines that were not taken are given again.
	busyWait = time.Second
	// commitTimeout bounds a commit; one that fails is made up for by the next.
	commitTimeout = 10 * time.Second
)

// New makes a Source. It connects to nobody.
func New(o Options) (*Source, error) {
	if err := o.Config.Validate(); err != nil {
		return nil, err
	}
	c := o.Config
	opts, err := c.options()
	if err != nil {
		return nil, err
	}
	s := &Source{config: c, target: o.Target, logger: o.Logger, metrics: newMetrics(o.Registerer)}
	start := kgo.NewOffset().AtEnd()
	if c.Start == "beginning" {
		start = kgo.NewOffset().AtStart()
	}
	s.opts = append(opts,
		kgo.SeedBrokers(c.Brokers...), kgo.ConsumerGroup(c.Group), kgo.ConsumeTopics(c.Topics...), kgo.ClientID("portent-exporter"),
		kgo.ConsumeStartOffset(start), kgo.DisableAutoCommit(), kgo.BlockRebalanceOnPoll(), kgo.SessionTimeout(time.Duration(c.SessionTimeout)),
		kgo.FetchMaxBytes(c.MaxFetchBytes), kgo.FetchMaxPartitionBytes(min(c.MaxFetchBytes, 1<<20)), kgo.BrokerMaxReadBytes(2*c.MaxFetchBytes),
		kgo.MaxConcurrentFetches(1),
		kgo.OnPartitionsRevoked(s.lost), kgo.OnPartitionsLost(s.lost))
	for name, v := range c.Labels {
		s.base = append(s.base, ingest.Label{Name: name, Value: v})
	}
	slices.SortFunc(s.base, func(a, b ingest.Label) int { return strings.Compare(a.Name, b.Name) })
	return s, nil
}

// Run reads until ctx ends, then commits what was taken and leaves the group.
func (s *Source) Run(ctx context.Context) error {
	client, err := kgo.NewClient(s.opts...)
	if err != nil {
		return fmt.Errorf("kafka: %w", err)
	}
	defer client.CloseAllowingRebalance()
	failing := ""
	for {
		fetches := client.PollRecords(ctx, maxPoll)
		if ctx.Err() != nil || fetches.IsClientClosed() {
			return nil
		}
		failed := ""
		fetches.EachError(func(topic string, partition int32, err error) {
			s.metrics.errors.Inc()
			failed = fmt.Sprintf("%s/%d: %v", topic, partition, err)
		})
		if failed != failing && failed != "" {
			s.logger.Warn("records cannot be read; it is tried again", "err", failed)
		}
		failing = failed
		if err := s.take(ctx, fetches); err != nil {
			return nil // ctx ended: what was not taken is not committed
		}
		s.commit(ctx, client, fetches)
		client.AllowRebalance()
	}
}

// take hands the lines on. While there is no room it waits: the group then falls
// behind, and nothing is lost.
func (s *Source) take(ctx context.Context, fetches kgo.Fetches) error {
	lines := make([]ingest.Line, 0, fetches.NumRecords())
	fetches.EachPartition(func(p kgo.FetchTopicPartition) {
		for _, r := range p.Records {
			s.metrics.bytes.Add(float64(len(r.Value)))
			if len(r.Value) == 0 { // a tombstone says nothing
				s.metrics.empty.Inc()
				continue
			}
			lines = append(lines, s.line(r))
		}
		s.lag.note(p)
	})
	s.metrics.lag.Set(float64(s.lag.total()))
	if len(lines) == 0 {
		return nil
	}
	for {
		err := s.target.TakeLines(lines)
		if err == nil {
			s.metrics.lines.Add(float64(len(lines)))
			return nil
		}
		s.metrics.busy.Inc()
		timer := time.NewTimer(busyWait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		}
	}
}

func (s *Source) line(r *kgo.Record) ingest.Line {
	text := r.Value
	if len(text) > s.config.MaxLineBytes {
		text = text[:s.config.MaxLineBytes]
		s.metrics.cut.Inc()
	}
	l := ingest.Line{Text: strings.TrimRight(string(text), "\r\n")}
	if !r.Timestamp.IsZero() && r.Timestamp.UnixMilli() > 0 {
		l.T = r.Timestamp.UnixMilli()
	}
	labels := append(slices.Clip(s.base), ingest.Label{Name: "topic", Value: r.Topic})
	for _, name := range s.config.HeaderLabels {
		for _, h := range r.Headers {
			if h.Key == name && len(h.Value) > 0 && len(h.Value) <= 1024 {
				labels = append(labels, ingest.Label{Name: name, Value: string(h.Value)})
				break
			}
		}
	}
	for _, h := range r.Headers {
		switch h.Key {
		case "level", "severity":
			l.Severity = string(h.Value[:min(len(h.Value), 32)])
		case "trace_id":
			l.TraceID = string(h.Value[:min(len(h.Value), 64)])
		}
	}
	l.Labels = labels
	return l
}

// commit writes down how far the lines were taken. It is done too when the process is
// about to end.
func (s *Source) commit(ctx context.Context, client *kgo.Client, fetches kgo.Fetches) {
	if fetches.NumRecords() == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), commitTimeout)
	defer cancel()
	if err := client.CommitUncommittedOffsets(ctx); err != nil && !errors.Is(err, context.Canceled) {
		s.metrics.commitErrors.Inc()
		s.logger.Warn("offsets are not committed; the next commit has them", "err", err)
	}
}

// lost forgets the lag of partitions that another member reads from here on.
func (s *Source) lost(_ context.Context, _ *kgo.Client, partitions map[string][]int32) {
	s.lag.forget(partitions)
	s.metrics.lag.Set(float64(s.lag.total()))
}

// lag is how many records are still to be read, by partition.
type lag struct {
	mu sync.Mutex
	of map[string]map[int32]int64
}

func (l *lag) note(p kgo.FetchTopicPartition) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.of == nil {
		l.of = map[string]map[int32]int64{}
	}
	if l.of[p.Topic] == nil {
		l.of[p.Topic] = map[int32]int64{}
	}
	if n := len(p.Records); n > 0 {
		l.of[p.Topic][p.Partition] = max(0, p.HighWatermark-p.Records[n-1].Offset-1)
	}
}

func (l *lag) forget(partitions map[string][]int32) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for topic, ps := range partitions {
		for _, p := range ps {
			delete(l.of[topic], p)
		}
	}
}

func (l *lag) total() (n int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, ps := range l.of {
		for _, x := range ps {
			n += x
		}
	}
	return n
}

type metrics struct {
	lines, bytes, empty, cut, busy, errors, commitErrors prometheus.Counter
	lag                                                  prometheus.Gauge
}

func newMetrics(reg prometheus.Registerer) *metrics {
	counter := func(name, help string) prometheus.Counter {
		c := prometheus.NewCounter(prometheus.CounterOpts{Name: "portent_exporter_kafka_" + name, Help: help})
		reg.MustRegister(c)
		return c
	}
	m := &metrics{
		lines:        counter("lines_total", "Log lines taken from topics of Kafka."),
		bytes:        counter("bytes_total", "Bytes of the records that they came in."),
		empty:        counter("empty_records_total", "Records without a value, which are no lines."),
		cut:          counter("lines_cut_total", "Lines longer than logs.kafka.max_line_bytes, of which only the start was looked at."),
		busy:         counter("waits_total", "Times that lines had to wait for room and were given again."),
		errors:       counter("fetch_errors_total", "Partitions that could not be read; it is tried again."),
		commitErrors: counter("commit_errors_total", "Commits of offsets that failed; the next one has them."),
		lag:          prometheus.NewGauge(prometheus.GaugeOpts{Name: "portent_exporter_kafka_lag", Help: "Records of our partitions that are still to be read, as far as is known."}),
	}
	reg.MustRegister(m.lag)
	return m
}
