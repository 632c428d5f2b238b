package app

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"math"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/config"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/prompb"

	"github.com/portent-dev/portent/internal/detect"
	"github.com/portent-dev/portent/internal/detect/group"
	"github.com/portent-dev/portent/internal/ingest"
	"github.com/portent-dev/portent/internal/remotesend"
	"github.com/portent-dev/portent/internal/web"
)

// ScoreWriter says where scores are sent by remote write, with the times of the input, for those who do not scrape. An empty
// URL sends none.
type ScoreWriter struct {
	URL        string                  `yaml:"url"`
	Interval   model.Duration          `yaml:"interval"`
	MaxSeries  int                     `yaml:"max_series"`
	Labels     map[string]string       `yaml:"labels"`
	MaxBatch   int                     `yaml:"max_batch_samples"`
	MaxQueue   int                     `yaml:"max_queue_bytes"`
	MaxAge     model.Duration          `yaml:"max_age"`
	Timeout    model.Duration          `yaml:"timeout"`
	HTTPClient config.HTTPClientConfig `yaml:"http_client"`
}

func defaultScoreWriter() ScoreWriter {
	return ScoreWriter{
		Interval: model.Duration(15 * time.Second), MaxSeries: 20_000, Labels: map[string]string{},
		MaxBatch: 2000, MaxQueue: 64 << 20, MaxAge: model.Duration(time.Hour), Timeout: model.Duration(30 * time.Second),
		HTTPClient: config.DefaultHTTPClientConfig,
	}
}

func (s *ScoreWriter) validate() error {
	var errs []error
	check := func(ok bool, key, format string, args ...any) {
		if !ok {
			errs = append(errs, web.Invalid(key, fmt.Errorf(format, args...)))
		}
	}
	if s.URL != "" {
		u, err := url.Parse(s.URL)
		check(err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != "", "url", "must be an address such as http://localhost:9090/api/v1/write")
	}
	check(time.Duration(s.Interval) >= time.Second, "interval", "must be at least 1s, is %s", s.Interval)
	check(s.MaxSeries > 0, "max_series", "must be above 0, is %d", s.MaxSeries)
	check(s.MaxBatch > 0 && s.MaxBatch <= 100_000, "max_batch_samples", "must be 1 to 100000, is %d", s.MaxBatch)
	check(s.MaxQueue >= 1<<16, "max_queue_bytes", "must be at least 65536, is %d", s.MaxQueue)
	check(s.MaxAge > 0, "max_age", "must be above 0s")
	check(s.Timeout > 0, "timeout", "must be above 0s")
	for name := range s.Labels {
		check(model.UTF8Validation.IsValidLabelName(name) && name != model.MetricNameLabel, "labels."+name, "cannot be a label of a score")
	}
	return errors.Join(append(errs, web.Invalid("http_client", s.HTTPClient.Validate()))...)
}

func (a *App) buildScoreWriter(c Config, old *part) (*part, error) {
	type settings struct {
		ScoreWriter
		outputs []Output
	}
	return reuse(old, settings{c.ScoreWriter, c.Export.Outputs}, func(p *part) error {
		if c.ScoreWriter.URL == "" {
			return nil
		}
		client, err := config.NewClientFromConfig(c.ScoreWriter.HTTPClient, "score_writer")
		if err != nil {
			return fmt.Errorf("http_client: %w", err)
		}
		sender, err := remotesend.New(remotesend.Options{
			URL: c.ScoreWriter.URL, Client: client, Timeout: time.Duration(c.ScoreWriter.Timeout), MaxQueueBytes: c.ScoreWriter.MaxQueue,
			MaxAge: time.Duration(c.ScoreWriter.MaxAge), MaxBatch: c.ScoreWriter.MaxBatch,
			Registerer: p.reg, Prefix: prefix + "score_writer_", Logger: a.component("score_writer"),
		})
		if err != nil {
			return err
		}
		w := newScoreWriter(c.ScoreWriter, c.Export.families(), p.reg)
		p.run = func(ctx context.Context) error {
			w.since = time.Now().UnixMilli()
			sending := make(chan error, 1)
			go func() { sending <- sender.Run(ctx) }()
			t := time.NewTicker(time.Duration(c.ScoreWriter.Interval))
			defer t.Stop()
			for {
				select {
				case now := <-t.C:
					if a.learning.Load() {
						continue // scores of the history are no news
					}
					if err := sender.Add(w.collect(withGroups(a.scores(), a.groups, now.UnixMilli()), now.UnixMilli())); err != nil {
						return errors.Join(err, <-sending)
					}
				case <-ctx.Done():
					return <-sending
				}
			}
		}
		return nil
	})
}

// scoreWriter turns what series show into samples: each score once, and a stale marker when it ends. It is for one goroutine.
type scoreWriter struct {
	config   ScoreWriter
	families []family
	since    int64 // Unix ms; what is older was sent before the restart, or never
	seed     maphash.Seed
	series   map[uint64]*writtenSeries
	pass     uint64
	leftOut  prometheus.Gauge
	scratch  []byte
	out      []prompb.TimeSeries
}

type writtenSeries struct {
	families []family
	labels   [][]prompb.Label // of each
	last     int64            // time of the newest sample that was sent; 0 = none
	open     uint8            // families whose newest sample was a number, by bit
	pass     uint64
}

func newScoreWriter(c ScoreWriter, f []family, reg prometheus.Registerer) *scoreWriter {
	w := &scoreWriter{
		config: c, families: f, seed: maphash.MakeSeed(), series: map[uint64]*writtenSeries{},
		leftOut: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: prefix + "score_writer_left_out_series",
			Help: "Series that have a score which is not sent, because score_writer.max_series is reached.",
		}),
	}
	reg.MustRegister(w.leftOut)
	return w
}

// collect returns what is new since the last call. It is valid until the next.
func (w *scoreWriter) collect(each forEach, now int64) []prompb.TimeSeries {
	w.pass++
	w.out = w.out[:0]
	left := 0
	each(func(labels []ingest.Label, o detect.Output) bool {
		w.scratch = appendIdentity(w.scratch[:0], labels)
		hash := maphash.Bytes(w.seed, w.scratch)
		s, ok := w.series[hash]
		if !ok {
			if len(w.series) >= w.config.MaxSeries {
				left++
				return true
			}
			s = &writtenSeries{}
			s.families, s.labels = w.labels(labels)
			w.series[hash] = s
		}
		s.pass = w.pass
		if o.T > s.last && o.T >= w.since {
			w.write(s, &o)
		}
		return true
	})
	for hash, s := range w.series {
		if s.pass != w.pass {
			w.end(s, now)
			delete(w.series, hash)
		}
	}
	w.leftOut.Set(float64(left))
	return w.out
}

// groupSeries marks the labels of a group in a visit of series: no series has a label without a name.
var groupSeries = ingest.Label{}

// withGroups returns a visitor of the series and, after them, of the groups, whose scores are of now.
func withGroups(each forEach, g *groups, now int64) forEach {
	return func(f func([]ingest.Label, detect.Output) bool) {
		goOn := true
		each(func(labels []ingest.Label, o detect.Output) bool {
			goOn = f(labels, o)
			return goOn
		})
		if w := g.watch.Load(); w != nil && goOn {
			w.Results(func(r group.Result) bool {
				return f(append([]ingest.Label{groupSeries}, labelsOfGroup(&r)...), detect.Output{T: now, Score: r.Score})
			})
		}
	}
}

func (w *scoreWriter) write(s *writtenSeries, o *detect.Output) {
	s.last = o.T
	for i := range s.families {
		f := &s.families[i]
		v := f.value(o)
		bit := uint8(1) << i
		switch {
		case math.IsNaN(v) || !f.always && !o.Ready:
			if s.open&bit == 0 {
				continue
			}
			v = math.Float64frombits(value.StaleNaN)
			s.open &^= bit
		default:
			s.open |= bit
		}
		w.append(s.labels[i], v, o.T)
	}
}

// end sends the stale markers of a series that shows nothing any more.
func (w *scoreWriter) end(s *writtenSeries, now int64) {
	for i := range s.families {
		if s.open&(1<<i) != 0 {
			w.append(s.labels[i], math.Float64frombits(value.StaleNaN), max(now, s.last+1))
		}
	}
}

func (w *scoreWriter) append(labels []prompb.Label, v float64, t int64) {
	w.out = append(w.out, prompb.TimeSeries{Labels: labels, Samples: []prompb.Sample{{Value: v, Timestamp: t}}})
}

// groupFamilies is what is sent of a group.
var groupFamilies = [...]family{{OutputScore, groupScoreName, groupScoreHelp, func(o *detect.Output) float64 { return o.Score }, true}}

// labels returns what is sent of a series or group, and the sorted labels of each. Those of the configuration are put on series that lack them, as external
// labels are.
func (w *scoreWriter) labels(from []ingest.Label) ([]family, [][]prompb.Label) {
	var common []prompb.Label
	families := w.families
	if len(from) > 0 && from[0] == groupSeries {
		from, families = from[1:], groupFamilies[:]
	}
	publishedLabels(from, model.NoEscaping, func(name, v string) {
		common = append(common, prompb.Label{Name: strings.Clone(name), Value: strings.Clone(v)})
	})
	for name, v := range w.config.Labels {
		if v != "" && !slices.ContainsFunc(common, func(l prompb.Label) bool { return l.Name == name }) {
			common = append(common, prompb.Label{Name: name, Value: v})
		}
	}
	out := make([][]prompb.Label, len(families))
	for i, f := range families {
		ls := append([]prompb.Label{{Name: model.MetricNameLabel, Value: f.name}}, common...)
		slices.SortFunc(ls, func(a, b prompb.Label) int { return strings.Compare(a.Name, b.Name) })
		out[i] = ls
	}
	return families, out
}
