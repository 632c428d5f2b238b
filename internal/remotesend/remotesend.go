// Package remotesend sends samples to a remote-write endpoint, version 1.0 of the
// protocol, which every such endpoint takes. Batches wait in a queue with a bound in
// bytes; what an endpoint cannot take now is sent again, in order, with a growing wait.
//
// It must not know what the samples mean.
package remotesend

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/golang/snappy"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/prompb"
)

// Options say where to send. URL, Client, Registerer and Logger are required.
type Options struct {
	URL     string // whole, with the path of the endpoint
	Client  *http.Client
	Timeout time.Duration // of one request
	// MaxQueueBytes bounds what waits, compressed. What is beyond pushes out the oldest.
	MaxQueueBytes int
	// MaxAge is how long a batch may wait before it is dropped: late scores are of no use.
	MaxAge time.Duration
	// MaxBatch is how many samples go into one request.
	MaxBatch   int
	Registerer prometheus.Registerer
	Prefix     string // of the names of the metrics
	Logger     *slog.Logger
}

// Sender is a queue before an endpoint. It is safe for concurrent use.
type Sender struct {
	opts    Options
	metrics *metrics

	mu     sync.Mutex
	queue  []batch
	bytes  int
	wake   chan struct{} // holds one when there is something to send
	failed string        // the failure that was logged last
}

// batch is one request.
type batch struct {
	body    []byte // compressed
	samples int
	at      time.Time // when it was queued
	id      uint64
}

// New makes a sender. It sends nothing before Run.
func New(o Options) (*Sender, error) {
	u, err := url.Parse(o.URL)
	if err != nil {
		return nil, errors.New("url: want an address such as http://localhost:9090/api/v1/write") // err repeats the address, and a password in it
	}
	if (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		return nil, fmt.Errorf("url: %q is no address such as http://localhost:9090/api/v1/write", u.Redacted())
	}
	s := &Sender{opts: o, metrics: newMetrics(o.Prefix, o.Registerer), wake: make(chan struct{}, 1)}
	return s, nil
}

// Add queues series, MaxBatch samples a request. They are encoded at once: the caller may
// use them again. Samples of a series must come in the order of time over all calls.
func (s *Sender) Add(series []prompb.TimeSeries) error {
	for len(series) > 0 {
		n, samples := 0, 0
		for n < len(series) && (n == 0 || samples+len(series[n].Samples) <= s.opts.MaxBatch) {
			samples += len(series[n].Samples)
			n++
		}
		req := prompb.WriteRequest{Timeseries: series[:n]}
		raw, err := req.Marshal()
		if err != nil {
			return fmt.Errorf("encode %d samples: %w", samples, err)
		}
		s.push(batch{body: snappy.Encode(nil, raw), samples: samples, at: time.Now()})
		series = series[n:]
	}
	return nil
}

func (s *Sender) push(b batch) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.metrics.next++
	b.id = s.metrics.next
	s.queue = append(s.queue, b)
	s.bytes += len(b.body)
	for s.bytes > s.opts.MaxQueueBytes && len(s.queue) > 1 {
		s.drop(reasonFull)
	}
	s.publish()
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// drop takes the oldest batch out of the queue, which is not empty. The lock is held.
func (s *Sender) drop(reason string) {
	s.metrics.dropped.WithLabelValues(reason).Add(float64(s.queue[0].samples))
	s.pop()
}

func (s *Sender) pop() {
	s.bytes -= len(s.queue[0].body)
	s.queue[0] = batch{} // lets the body go
	s.queue = s.queue[1:]
}

func (s *Sender) publish() {
	samples := 0
	for i := range s.queue {
		samples += s.queue[i].samples
	}
	s.metrics.queued.Set(float64(samples))
	s.metrics.queuedBytes.Set(float64(s.bytes))
}

// head returns the oldest batch that is not too old.
func (s *Sender) head() (batch, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.queue) > 0 && time.Since(s.queue[0].at) > s.opts.MaxAge {
		s.drop(reasonOld)
	}
	s.publish()
	if len(s.queue) == 0 {
		return batch{}, false
	}
	return s.queue[0], true
}

// done takes b out of the queue, unless the bound has done so meanwhile.
func (s *Sender) done(b batch, reason string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.queue) == 0 || s.queue[0].id != b.id {
		return
	}
	if reason != "" {
		s.drop(reason)
	} else {
		s.pop()
	}
	s.publish()
}

// Waits between two tries of one batch.
const (
	minWait = 100 * time.Millisecond
	maxWait = 30 * time.Second
	// maxRetryAfter is how long an endpoint may tell us to stay away.
	maxRetryAfter = 5 * time.Minute
)

// Run sends what is queued until ctx ends.
func (s *Sender) Run(ctx context.Context) error {
	wait := minWait
	for {
		b, ok := s.head()
		if !ok {
			select {
			case <-s.wake:
				continue
			case <-ctx.Done():
				return nil
			}
		}
		err := s.send(ctx, b)
		if ctx.Err() != nil {
			return nil //nolint:nilerr // what waits is lost with the process, as every score that is not scraped
		}
		s.tell(err)
		var refused *refusal
		switch {
		case err == nil:
			s.metrics.sent.Add(float64(b.samples))
			s.metrics.last.SetToCurrentTime()
			s.done(b, "")
			wait = minWait
			continue
		case errors.As(err, &refused) && !refused.retry:
			s.done(b, reasonRefused)
			continue
		}
		s.metrics.retries.Inc()
		pause := wait
		if refused != nil && refused.after > 0 {
			pause = min(refused.after, maxRetryAfter)
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return nil
		}
		wait = min(2*wait, maxWait)
	}
}

// tell logs a failure when it is another than before, and its end.
func (s *Sender) tell(err error) {
	text := ""
	if err != nil {
		text = err.Error()
	}
	switch text {
	case s.failed:
		return
	case "":
		s.opts.Logger.Info("remote write goes on")
	default:
		s.opts.Logger.Warn("remote write fails", "err", err)
	}
	s.failed = text
}
