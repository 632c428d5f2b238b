// Package lokitail follows log queries of a Loki: GET /loki/api/v1/tail over a websocket
// (https://grafana.com/docs/loki/latest/reference/loki-http-api/#stream-logs). When the
// connection was lost, or Loki says that it dropped lines, what is missing is fetched
// with query_range.
//
// A line is given once, as far as can be told: of the lines around an interruption those
// with the same time, labels and text as one that was given are left out. Loki takes
// lines out of order within an hour; one that comes late is in no tail of it, and not
// here.
//
// It must not know what becomes of a line.
package lokitail

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/cespare/xxhash/v2"
	"github.com/coder/websocket"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/config"

	"github.com/portent-dev/portent/internal/ingest"
	"github.com/portent-dev/portent/internal/lokiapi"
)

// Options are what a Source is made of. All are required.
type Options struct {
	Config     Config
	Target     ingest.LineTarget
	Registerer prometheus.Registerer
	Logger     *slog.Logger
}

// Source follows all tails of a configuration. Run it once.
type Source struct{ tails []*tail }

// tail is one query. Its fields are used by its own goroutine alone.
type tail struct {
	config  *Config
	url     string
	header  http.Header
	client  *http.Client
	loki    *lokiapi.Client
	query   string
	target  ingest.LineTarget
	metrics tailMetrics
	logger  *slog.Logger
	now     func() time.Time

	last  time.Time       // of the newest line that was given
	given map[uint64]bool // lines of the last overlap before it, by hash
	times map[uint64]time.Time
	until time.Time // lines up to then may come twice: from the tail and from a query
}

const (
	// firstPause and longestPause are between two attempts to connect.
	firstPause   = time.Second
	longestPause = 30 * time.Second
	// overlap is how far before the newest line a gap is filled from: Loki's ingesters
	// bring lines of several streams in no order.
	overlap = 10 * time.Second
	// quietFor is after which a silent connection is asked whether it lives.
	quietFor = 30 * time.Second
	// maxGiven bounds the hashes that are remembered, at some 50 bytes each.
	maxGiven = 100_000
)

// New makes a Source. It connects to nobody.
func New(o Options) (*Source, error) {
	if err := o.Config.Validate(); err != nil {
		return nil, err
	}
	c := o.Config
	m := newMetrics(o.Registerer)
	s := &Source{}
	for i, t := range c.Tails {
		client, err := config.NewClientFromConfig(t.HTTPClient, "loki")
		if err != nil {
			return nil, fmt.Errorf("tails[%d].http_client: %w", i, err)
		}
		loki, err := lokiapi.New(lokiapi.Options{URL: t.URL, Client: client, Tenant: t.Tenant})
		if err != nil {
			return nil, fmt.Errorf("tails[%d].url: %w", i, err)
		}
		x := &tail{
			config: &c, url: strings.TrimRight(t.URL, "/") + "/loki/api/v1/tail", header: http.Header{}, client: client, loki: loki, query: t.Query,
			target: o.Target, metrics: m.of(strconv.Itoa(i)), logger: o.Logger.With("tail", i, "query", t.Query), now: time.Now,
			given: map[uint64]bool{}, times: map[uint64]time.Time{},
		}
		if t.Tenant != "" {
			x.header.Set("X-Scope-OrgID", t.Tenant)
		}
		s.tails = append(s.tails, x)
	}
	return s, nil
}

// Run follows until ctx ends.
func (s *Source) Run(ctx context.Context) error {
	done := make(chan struct{})
	for _, t := range s.tails {
		go func() { t.run(ctx); done <- struct{}{} }()
	}
	for range s.tails {
		<-done
	}
	return nil
}

func (t *tail) run(ctx context.Context) {
	t.last = t.now()
	pause := firstPause
	failing := ""
	for ctx.Err() == nil {
		began := t.now()
		err := t.follow(ctx)
		t.metrics.connected.Set(0)
		if ctx.Err() != nil {
			return
		}
		if t.now().Sub(began) > time.Minute {
			pause, failing = firstPause, ""
		}
		t.metrics.reconnects.Inc()
		if text := fmt.Sprint(err); text != failing {
			t.logger.Warn("tail interrupted; it is connected again and what is missing is fetched", "err", err)
			failing = text
		}
		timer := time.NewTimer(pause)
		pause = min(2*pause, longestPause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
		}
	}
}

// message is what a tail sends.
type message struct {
	Streams []struct {
		Stream map[string]string   `json:"stream"`
		Values [][]json.RawMessage `json:"values"`
	} `json:"streams"`
	Dropped []json.RawMessage `json:"dropped_entries"`
}

// follow connects, fills the gap since the newest line, and reads until an error.
func (t *tail) follow(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	q := url.Values{"query": {t.query}, "limit": {"5000"}, "start": {strconv.FormatInt(t.now().UnixNano(), 10)}}
	dialCtx, dialled := context.WithTimeout(ctx, 30*time.Second)
	conn, resp, err := websocket.Dial(dialCtx, t.url+"?"+q.Encode(), &websocket.DialOptions{HTTPClient: t.client, HTTPHeader: t.header}) //nolint:bodyclose // Dial closes it
	dialled()
	if err != nil {
		if resp != nil {
			return fmt.Errorf("connect: %s", resp.Status)
		}
		return fmt.Errorf("connect: %w", err)
	}
	defer conn.CloseNow() //nolint:errcheck // there is nobody to tell
	conn.SetReadLimit(t.config.MaxMessageBytes)
	if err := t.fill(ctx); err != nil {
		return err
	}
	t.metrics.connected.Set(1)
	go t.ping(ctx, conn)
	for {
		_, body, err := conn.Read(ctx)
		if err != nil {
			return fmt.Errorf("read: %w", err)
		}
		var m message
		if err := json.Unmarshal(body, &m); err != nil {
			return fmt.Errorf("read: not what a tail sends: %w", err)
		}
		if err := t.take(ctx, t.linesOf(&m)); err != nil {
			return err
		}
		if len(m.Dropped) > 0 {
			t.metrics.dropped.Add(float64(len(m.Dropped)))
			if err := t.fill(ctx); err != nil {
				return err
			}
		}
	}
}

// ping ends a connection on which nothing comes back.
func (t *tail) ping(ctx context.Context, conn *websocket.Conn) {
	tick := time.NewTicker(quietFor)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		pong, cancel := context.WithTimeout(ctx, quietFor)
		err := conn.Ping(pong)
		cancel()
		if err != nil {
			_ = conn.CloseNow() // Read returns
			return
		}
	}
}

// entry is a line and its time.
type entry struct {
	at   time.Time
	line ingest.Line
}

func (t *tail) linesOf(m *message) []entry {
	var out []entry
	for _, s := range m.Streams {
		labels := labelsOf(s.Stream)
		for _, v := range s.Values {
			var ns, text string
			if len(v) < 2 || json.Unmarshal(v[0], &ns) != nil || json.Unmarshal(v[1], &text) != nil {
				t.metrics.bad.Inc()
				continue
			}
			n, err := strconv.ParseInt(ns, 10, 64)
			if err != nil {
				t.metrics.bad.Inc()
				continue
			}
			out = append(out, t.entry(time.Unix(0, n), labels, text))
		}
	}
	return out
}

// fill fetches what came since the newest line, at most MaxGap back.
func (t *tail) fill(ctx context.Context) error {
	now := t.now()
	t.until = now.Add(overlap)
	from := t.last.Add(-overlap)
	if oldest := now.Add(-time.Duration(t.config.MaxGap)); from.Before(oldest) {
		t.metrics.lost.Add(oldest.Sub(from).Seconds())
		t.logger.Warn("lines are missing: the interruption was longer than max_gap", "from", from.UTC(), "to", oldest.UTC())
		from = oldest
	}
	for from.Before(now) {
		page, err := t.loki.Lines(ctx, lokiapi.PageRequest{Query: t.query, Start: from, End: now, Limit: lokiapi.MaxLines, Forward: true})
		if err != nil {
			return fmt.Errorf("fetch what is missing: %w", err)
		}
		var lines []entry
		newest := from
		for _, e := range page.Entries {
			stream := e.Stream
			if len(e.Extra) > 0 {
				stream = map[string]string{}
				for k, v := range e.Extra {
					stream[k] = v
				}
				for k, v := range e.Stream {
					stream[k] = v
				}
			}
			lines = append(lines, t.entry(e.Time, labelsOf(stream), e.Text))
			if e.Time.After(newest) {
				newest = e.Time
			}
		}
		t.metrics.filled.Add(float64(len(lines)))
		if err := t.take(ctx, lines); err != nil {
			return err
		}
		if len(page.Entries) < lokiapi.MaxLines {
			return nil
		}
		if !newest.After(from) { // more lines of one nanosecond than an answer holds
			newest = from.Add(time.Nanosecond)
		}
		from = newest
	}
	return nil
}

func labelsOf(m map[string]string) []ingest.Label {
	out := make([]ingest.Label, 0, len(m))
	for k, v := range m {
		out = append(out, ingest.Label{Name: k, Value: v})
	}
	slices.SortFunc(out, func(a, b ingest.Label) int { return strings.Compare(a.Name, b.Name) })
	return out[:min(len(out), 64)]
}

func (t *tail) entry(at time.Time, labels []ingest.Label, text string) entry {
	if len(text) > t.config.MaxLineBytes {
		text = text[:t.config.MaxLineBytes]
		t.metrics.cut.Inc()
	}
	l := ingest.Line{Labels: labels, T: at.UnixMilli(), Text: text}
	for _, x := range labels {
		switch x.Name {
		case "detected_level", "level", "severity":
			if l.Severity == "" || x.Name == "detected_level" {
				l.Severity = x.Value
			}
		case "trace_id", "traceID":
			l.TraceID = x.Value
		}
	}
	return entry{at, l}
}

// take gives those lines on that were not given before, in order of time.
func (t *tail) take(ctx context.Context, entries []entry) error {
	slices.SortStableFunc(entries, func(a, b entry) int { return a.at.Compare(b.at) })
	lines := make([]ingest.Line, 0, len(entries))
	for _, e := range entries {
		h := hash(e)
		if t.given[h] && !e.at.After(t.until) {
			t.metrics.repeated.Inc()
			continue
		}
		t.given[h], t.times[h] = true, e.at
		if e.at.After(t.last) {
			t.last = e.at
		}
		lines = append(lines, e.line)
	}
	t.forget()
	if len(lines) == 0 {
		return nil
	}
	for {
		err := t.target.TakeLines(lines)
		if err == nil {
			t.metrics.lines.Add(float64(len(lines)))
			return nil
		}
		if !errors.Is(err, ingest.ErrBusy) {
			return err
		}
		timer := time.NewTimer(time.Second)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		}
	}
}

// hash tells lines apart by time, text and the labels that both ways of reading give:
// a tail mixes structured metadata into the labels, and so does fill.
func hash(e entry) uint64 {
	d := xxhash.New()
	_, _ = d.WriteString(strconv.FormatInt(e.at.UnixNano(), 10)) // a hash's writes do not fail
	_, _ = d.WriteString(e.line.Text)
	return d.Sum64()
}

// forget drops the hashes of lines before the overlap.
func (t *tail) forget() {
	if len(t.given) < 1000 {
		return
	}
	before := t.last.Add(-2 * overlap)
	for h, at := range t.times {
		if at.Before(before) || len(t.given) > maxGiven {
			delete(t.given, h)
			delete(t.times, h)
		}
	}
}

type metrics struct {
	connected                                                    *prometheus.GaugeVec
	lines, repeated, filled, dropped, lost, reconnects, bad, cut *prometheus.CounterVec
}

type tailMetrics struct {
	connected                                                    prometheus.Gauge
	lines, repeated, filled, dropped, lost, reconnects, bad, cut prometheus.Counter
}

func newMetrics(reg prometheus.Registerer) *metrics {
	const prefix = "portent_exporter_loki_tail_"
	vec := func(name, help string) *prometheus.CounterVec {
		c := prometheus.NewCounterVec(prometheus.CounterOpts{Name: prefix + name, Help: help}, []string{"tail"})
		reg.MustRegister(c)
		return c
	}
	m := &metrics{
		connected: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: prefix + "connected", Help: "Whether a tail of a Loki is connected (1), by its place in logs.loki.tails."}, []string{"tail"}),
		lines:     vec("lines_total", "Log lines taken from a tail."), repeated: vec("lines_repeated_total", "Lines that came again around an interruption and were left out."),
		filled:     vec("lines_fetched_total", "Lines that were fetched with a query after an interruption, those that were known included."),
		dropped:    vec("lines_dropped_total", "Lines that Loki said it left out of a tail; they are fetched with a query."),
		lost:       vec("lost_seconds_total", "Seconds of interruptions that were not made up for, being longer than logs.loki.max_gap."),
		reconnects: vec("reconnects_total", "Times that a tail was interrupted or could not be connected."),
		bad:        vec("lines_bad_total", "Entries of a tail that were no line with a time."), cut: vec("lines_cut_total", "Lines longer than logs.loki.max_line_bytes, of which only the start was looked at."),
	}
	reg.MustRegister(m.connected)
	return m
}

func (m *metrics) of(tail string) tailMetrics {
	return tailMetrics{
		connected: m.connected.WithLabelValues(tail), lines: m.lines.WithLabelValues(tail), repeated: m.repeated.WithLabelValues(tail),
		filled: m.filled.WithLabelValues(tail), dropped: m.dropped.WithLabelValues(tail), lost: m.lost.WithLabelValues(tail),
		reconnects: m.reconnects.WithLabelValues(tail), bad: m.bad.WithLabelValues(tail), cut: m.cut.WithLabelValues(tail),
	}
}
