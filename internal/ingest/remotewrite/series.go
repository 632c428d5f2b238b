package remotewrite

import "github.com/portent-dev/portent/internal/ingest"

// series is one decoded TimeSeries of either protocol. Its strings alias the
// request's buffer and its slices are used again for the next series: it is dead
// when the callback that was given it returns.
type series struct {
	index      int // place in the request, from 0
	labels     []ingest.Label
	samples    []ingest.Sample
	histograms []histogramSample
	exemplars  int      // those that are in order
	metadata   metadata // 2.0 only
	// labelErr says why no label set could be made (2.0: a bad reference; both:
	// not UTF-8). The series is refused, the rest of the request is not.
	labelErr error
	// exemplarErr is the first fault of an exemplar, badExemplars how many have one.
	exemplarErr  error
	badExemplars int
}

func (s *series) reset(index int) {
	s.index = index
	s.labels = s.labels[:0]
	s.samples = s.samples[:0]
	s.histograms = s.histograms[:0]
	s.exemplars = 0
	s.metadata = metadataUnspecified
	s.labelErr = nil
	s.exemplarErr = nil
	s.badExemplars = 0
}

// created makes a time the start of all that has none of its own.
func (s *series) created(start int64) {
	if start == 0 {
		return
	}
	for i := range s.samples {
		if s.samples[i].Start == 0 {
			s.samples[i].Start = start
		}
	}
	for i := range s.histograms {
		if s.histograms[i].start == 0 {
			s.histograms[i].start = start
		}
	}
}

func (s *series) badExemplar(err error) {
	s.badExemplars++
	if s.exemplarErr == nil {
		s.exemplarErr = err
	}
}

// histogramSample is what is kept of a native histogram.
type histogramSample struct {
	t, start   int64 // Unix milliseconds; see ingest.Sample
	count, sum float64
	gauge      bool
	err        error // why the histogram is refused
}

// metadata is the type of a metric family: Metadata.MetricType of 2.0, which has
// the numbers of MetricMetadata.MetricType of 1.0. Unknown numbers count as unspecified,
// as protobuf asks for enums that grow.
type metadata uint8

const (
	metadataUnspecified metadata = iota
	metadataCounter
	metadataGauge
	metadataHistogram
	metadataGaugeHistogram
	metadataSummary
	metadataInfo
	metadataStateset
)

// kind says how the samples of a metric behave. Metadata speak of the family:
// of a histogram and a summary, the series with the suffixes of KindOf are
// counters; a summary's quantiles are not.
func (m metadata) kind(name string) ingest.Kind {
	switch m {
	case metadataCounter:
		return ingest.KindCounter
	case metadataGauge, metadataGaugeHistogram, metadataInfo, metadataStateset:
		return ingest.KindGauge
	case metadataHistogram, metadataSummary:
		if k := ingest.KindOf(name); k != ingest.KindUnknown {
			return k
		}
		return ingest.KindGauge
	default:
		return ingest.KindOf(name)
	}
}
