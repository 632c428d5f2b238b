package app

import (
	"bufio"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"

	"github.com/klauspost/compress/gzip"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/expfmt"

	"github.com/portent-dev/portent/internal/detect/group"
	"github.com/portent-dev/portent/internal/web"
)

// formats are what /metrics can be answered in, best first. Protobuf is not among them: Prometheus asks for it only where it
// scrapes native histograms, and takes text then too.
var formats = []expfmt.Format{expfmt.FmtOpenMetrics_1_0_0, expfmt.FmtOpenMetrics_0_0_1, expfmt.FmtText}

// maxScrapes bounds the scrapes that are answered at one time. A pair of Prometheus servers and a person make three.
const maxScrapes = 8

// chunkRows is how many rows are written between two looks at the connection: some 100 kB.
const chunkRows = 512

// exposition serves /metrics: the metrics of the process from its registry, and the scores. The scores are written straight
// from the engine, since the way through a registry costs an allocation for each label of each of four metrics a series:
// 20,000 series took seconds of processor time there (BenchmarkMetrics).
type exposition struct {
	gatherer  prometheus.Gatherer
	admission *admission
	current   func() published
	metrics   *exportMetrics
	logger    *slog.Logger

	slots   chan struct{}
	buffers sync.Pool // of *scrapeBuffer
}

// published says what to publish now.
type published struct {
	forEach   forEach
	maxSeries int
	families  []family
	groups    func(func(group.Result) bool)
}

type scrapeBuffer struct {
	rows []row
	text []byte
	gzip *gzip.Writer
	out  *bufio.Writer
}

func newExposition(g prometheus.Gatherer, current func() published, m *exportMetrics, logger *slog.Logger) *exposition {
	return &exposition{
		gatherer: g, admission: newAdmission(), current: current, metrics: m, logger: logger,
		slots: make(chan struct{}, maxScrapes),
		buffers: sync.Pool{New: func() any {
			// Fastest: the lines of one metric differ in a few bytes, so that little is lost against the slower levels.
			z, err := gzip.NewWriterLevel(io.Discard, gzip.BestSpeed)
			if err != nil {
				panic("BUG: gzip: " + err.Error())
			}
			return &scrapeBuffer{gzip: z, out: bufio.NewWriterSize(io.Discard, 64<<10)}
		}},
	}
}

func (x *exposition) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	select {
	case x.slots <- struct{}{}:
		defer func() { <-x.slots }()
	default:
		w.Header().Set("Retry-After", "5")
		web.Error(w, http.StatusServiceUnavailable, errTooManyScrapes, "scrape less often or from fewer places")
		return
	}
	b := x.buffers.Get().(*scrapeBuffer)
	defer x.put(b)
	format := expfmt.NegotiateAccept(r.Header, formats...)
	p := x.current()
	var leftOut int
	b.rows, leftOut = x.admission.collect(b.rows[:0], p.forEach, p.maxSeries, format.ToEscapingScheme())
	x.metrics.scraped(len(b.rows), leftOut) // before the registry is gathered, so that the answer speaks of itself

	own, err := x.gatherer.Gather()
	if err != nil {
		x.logger.Error("metrics of the process are incomplete", "err", err)
		web.Error(w, http.StatusInternalServerError, err, "this is a defect: please report it")
		return
	}
	h := w.Header()
	h.Set("Content-Type", string(format))
	h.Set("Vary", "Accept, Accept-Encoding")
	to := io.Writer(w)
	if acceptsGzip(r.Header) {
		h.Set("Content-Encoding", "gzip")
		b.gzip.Reset(w)
		to = b.gzip
	}
	b.out.Reset(to)
	enc := expfmt.NewEncoder(b.out, format)
	for _, f := range own {
		if err = enc.Encode(f); err != nil {
			break
		}
	}
	if err == nil {
		err = x.write(b, p.families, untyped(format))
	}
	if err == nil && p.groups != nil {
		b.text = appendGroups(b.text[:0], p.groups, untyped(format), format.ToEscapingScheme())
		_, err = b.out.Write(b.text)
	}
	if c, ok := enc.(expfmt.Closer); ok && err == nil {
		err = c.Close() // "# EOF"
	}
	if err == nil {
		err = b.out.Flush()
	}
	if err == nil && to != io.Writer(w) {
		err = b.gzip.Close()
	}
	if err != nil {
		// Half of the answer may be out: the connection is cut, so that nobody takes it for the whole.
		x.logger.Debug("scrape not answered", "err", err)
		panic(http.ErrAbortHandler)
	}
}

// write writes the scores, family by family as the formats demand.
func (x *exposition) write(b *scrapeBuffer, families []family, kind string) error {
	for _, f := range families {
		b.text = append(b.text[:0], "# HELP "+f.name+" "+f.help+"\n# TYPE "+f.name+" "+kind+"\n"...)
		for rows := b.rows; ; {
			n := min(len(rows), chunkRows)
			b.text = f.appendRows(b.text, rows[:n])
			if _, err := b.out.Write(b.text); err != nil {
				return err
			}
			if rows = rows[n:]; len(rows) == 0 {
				break
			}
			b.text = b.text[:0]
		}
	}
	return nil
}

// put gives a buffer back, without what it refers to.
func (x *exposition) put(b *scrapeBuffer) {
	clear(b.rows)
	b.gzip.Reset(io.Discard)
	b.out.Reset(io.Discard)
	x.buffers.Put(b)
}

// untyped is the type of the scores. They are gauges, but a gauge with the label `quantile` or `le`, which is kept of an input
// that has it, is refused by `promtool check metrics`.
func untyped(f expfmt.Format) string {
	if f.FormatType() == expfmt.TypeOpenMetrics {
		return "unknown"
	}
	return "untyped"
}

func acceptsGzip(h http.Header) bool {
	for _, v := range h.Values("Accept-Encoding") {
		for part := range strings.SplitSeq(v, ",") {
			name, params, _ := strings.Cut(strings.TrimSpace(part), ";")
			if strings.TrimSpace(name) != "gzip" {
				continue
			}
			q := strings.ReplaceAll(params, " ", "")
			return q != "q=0" && q != "q=0.0" && q != "q=0.00" && q != "q=0.000"
		}
	}
	return false
}
