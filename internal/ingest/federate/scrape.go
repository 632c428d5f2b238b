package federate

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/textparse"

	"github.com/portent-dev/portent/internal/ingest"
)

// scrape turns answers of one target into samples. It remembers the series of the
// last good answer: to end those that vanish, and to parse the labels of a line once
// instead of each minute. Not safe for concurrent use.
type scrape struct {
	target  Target
	to      ingest.Target
	ours    []ingest.Label // Target.Labels, sorted
	reading uint64         // number of the answer in work

	lines  map[string]*line   // by the text of the series, as the answer writes it
	series map[string]*series // by their labels; never more than MaxSeries
}

// line is a way to write a series. Several may mean the same one.
type line struct {
	series *series
	seen   uint64 // reading it was last in
}

// series is one that was in the last good answer.
type series struct {
	names []named
	first uint64 // reading it was first in
	seen  uint64 // reading it was last in
}

// named is a series as the target is given it. A native histogram has two.
type named struct {
	labels []ingest.Label
	kind   ingest.Kind
}

// verdict says why a series is not taken.
type verdict uint8

const (
	taken verdict = iota
	beyondCap
	ownOutput
	badLabels
)

// outcome says what was in an answer.
type outcome struct {
	series, dropped, own, badLabels int
	result                          ingest.Result
}

func newScrape(t Target, to ingest.Target) scrape {
	s := scrape{target: t, to: to, lines: map[string]*line{}, series: map[string]*series{}}
	for name, value := range t.Labels {
		s.ours = append(s.ours, ingest.Label{Name: name, Value: value})
	}
	slices.SortFunc(s.ours, byName)
	return s
}

func byName(a, b ingest.Label) int { return strings.Compare(a.Name, b.Name) }

// take hands on the samples of an answer. now is the time of the reading, in Unix
// milliseconds. An answer that cannot be parsed to its end is not taken at all.
func (s *scrape) take(body []byte, contentType string, now int64) (got outcome, err error) {
	p, err := textparse.New(body, contentType, labels.NewSymbolTable(), textparse.ParserOptions{
		OpenMetricsSkipSTSeries: true,
		FallbackContentType:     "text/plain",
	})
	if p == nil {
		return got, fmt.Errorf("content type %q: %w", contentType, err)
	}
	s.reading++
	app := s.to.Appender()
	if err := s.walk(p, app, now, &got); err != nil {
		app.Rollback()
		s.forget()
		return outcome{}, err
	}
	s.end(app, now)
	got.series = len(s.series)
	got.result = app.Commit()
	return got, nil
}

// walk appends the samples of an answer.
func (s *scrape) walk(p textparse.Parser, app ingest.Appender, now int64, got *outcome) error {
	var f family
	for {
		entry, err := p.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("parse answer: %w", err)
		}
		switch entry {
		case textparse.EntryType:
			name, typ := p.Type()
			f = family{string(name), typ}
		case textparse.EntrySeries:
			text, t, v := p.Series()
			if sr := s.find(p, text, f, nil, got); sr != nil {
				s.append(app, &sr.names[0], now, t, v)
			}
		case textparse.EntryHistogram:
			text, t, h, fh := p.Histogram()
			count, sum, gauge := values(h, fh)
			if sr := s.find(p, text, f, &gauge, got); sr != nil {
				s.append(app, &sr.names[0], now, t, count)
				s.append(app, &sr.names[1], now, t, sum)
			}
		default: // help, units and comments say nothing of samples
		}
	}
}

// values returns what is taken of a native histogram.
func values(h *histogram.Histogram, fh *histogram.FloatHistogram) (count, sum float64, gauge bool) {
	if h != nil {
		return float64(h.Count), h.Sum, h.CounterResetHint == histogram.GaugeType
	}
	return fh.Count, fh.Sum, fh.CounterResetHint == histogram.GaugeType
}

func (s *scrape) append(app ingest.Appender, n *named, now int64, t *int64, v float64) {
	sample := [1]ingest.Sample{{T: now, V: v}}
	if t != nil && s.target.HonorTimestamps {
		sample[0].T = *t
	}
	app.Append(n.labels, n.kind, sample[:])
}

// find returns the series that a line is of, nil when it is not taken. gauge is set
// for a native histogram.
func (s *scrape) find(p textparse.Parser, text []byte, f family, gauge *bool, got *outcome) *series {
	l, ok := s.lines[string(text)]
	if ok && (gauge != nil) == (len(l.series.names) == 2) {
		l.seen, l.series.seen = s.reading, s.reading
		return l.series
	}
	var lset labels.Labels
	p.Labels(&lset)
	sr, why := s.enter(lset, f, gauge)
	switch why {
	case beyondCap:
		got.dropped++
	case ownOutput:
		got.own++
	case badLabels:
		got.badLabels++
	case taken:
		sr.seen = s.reading
		// A server writes a series in one way. One that does not gets no more memory.
		if len(s.lines) < 2*s.target.MaxSeries {
			s.lines[string(text)] = &line{sr, s.reading}
		}
	}
	return sr
}

// enter finds the series of a label set, or makes it.
func (s *scrape) enter(lset labels.Labels, f family, gauge *bool) (*series, verdict) {
	own, ok := s.labels(lset)
	if !ok {
		return nil, badLabels
	}
	name := lset.Get(ingest.MetricName)
	if ingest.OwnOutput(name) {
		return nil, ownOutput
	}
	key := keyOf(own, gauge != nil)
	sr, ok := s.series[key]
	if !ok {
		if len(s.series) >= s.target.MaxSeries {
			return nil, beyondCap
		}
		sr = &series{names: names(own, name, f, gauge), first: s.reading}
		s.series[key] = sr
	}
	return sr, taken
}

// keyOf writes a label set as text. No label holds 0xff: it is in no UTF-8.
func keyOf(ls []ingest.Label, histogram bool) string {
	var b strings.Builder
	for _, l := range ls {
		b.WriteString(l.Name + "\xff" + l.Value + "\xff")
	}
	if histogram {
		b.WriteByte('h')
	}
	return b.String()
}

// names gives a series its kind, and a native histogram its two names.
func names(ls []ingest.Label, name string, f family, gauge *bool) []named {
	if gauge == nil {
		return []named{{ls, f.kind(name)}}
	}
	kind := ingest.KindCounter
	if *gauge {
		kind = ingest.KindGauge
	}
	var out []named
	for _, suffix := range [...]string{"_count", "_sum"} {
		renamed := slices.Clone(ls)
		for i := range renamed {
			if renamed[i].Name == ingest.MetricName {
				renamed[i].Value = name + suffix
			}
		}
		out = append(out, named{renamed, kind})
	}
	return out
}

// labels makes the label set of a series: its own labels and ours. ok is false when
// the set is not one: no name, or a name twice.
func (s *scrape) labels(lset labels.Labels) (out []ingest.Label, ok bool) {
	valid, hasName := true, false
	lset.Range(func(l labels.Label) {
		if !utf8.ValidString(l.Name) || !utf8.ValidString(l.Value) || l.Name == "" {
			valid = false
			return
		}
		if l.Value == "" {
			return // as good as absent: Prometheus federates instance="" so
		}
		hasName = hasName || l.Name == ingest.MetricName
		out = append(out, ingest.Label{Name: strings.Clone(l.Name), Value: strings.Clone(l.Value)})
	})
	if _, twice := lset.HasDuplicateLabelNames(); !valid || !hasName || twice {
		return nil, false
	}
	for _, l := range s.ours {
		out = s.addLabel(out, l)
	}
	slices.SortFunc(out, byName)
	return out, true
}

// addLabel adds one of our labels, as honor_labels says.
func (s *scrape) addLabel(ls []ingest.Label, l ingest.Label) []ingest.Label {
	at := indexOf(ls, l.Name)
	if at < 0 {
		return append(ls, l)
	}
	if s.target.HonorLabels {
		return ls
	}
	theirs := ls[at]
	ls[at].Value = l.Value
	// exported_x may be there too, and then it is exported_exported_x.
	for name := model.ExportedLabelPrefix + theirs.Name; ; name = model.ExportedLabelPrefix + name {
		if indexOf(ls, name) < 0 && indexOf(s.ours, name) < 0 {
			return append(ls, ingest.Label{Name: name, Value: theirs.Value})
		}
	}
}

func indexOf(ls []ingest.Label, name string) int {
	return slices.IndexFunc(ls, func(l ingest.Label) bool { return l.Name == name })
}

// end ends the series that were in the answer before and are not in this one. It is
// called for a good answer alone: when a server is away, nothing is known of its
// series, and the target forgets them in its own time.
func (s *scrape) end(app ingest.Appender, now int64) {
	for key, sr := range s.series {
		if sr.seen == s.reading {
			continue
		}
		for i := range sr.names {
			s.append(app, &sr.names[i], now, nil, ingest.StaleNaN())
		}
		delete(s.series, key)
	}
	for text, l := range s.lines {
		if l.seen != s.reading {
			delete(s.lines, text)
		}
	}
}

// forget takes back what an answer that failed has entered: series that never
// reached the target, and lines without end.
func (s *scrape) forget() {
	for key, sr := range s.series {
		if sr.first == s.reading {
			delete(s.series, key)
		}
	}
	clear(s.lines)
}
