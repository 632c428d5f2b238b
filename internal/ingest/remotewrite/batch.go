package remotewrite

import (
	"errors"

	"github.com/portent-dev/portent/internal/ingest"
)

// batch takes the series of one request, hands the good ones to the target and
// remembers what is wrong with the others.
//
// Samples and histograms go to appenders of their own, because a Result speaks of
// an appender as a whole and 2.0 wants the two told apart.
type batch struct {
	config   *Config
	target   ingest.Target
	families *families // types known from 1.0 metadata
	native   *families // names of which native histograms came
	proto    protocol

	// nil until the first series needs them. ends is for stale markers that we add.
	floats, histograms, ends ingest.Appender

	sent tally // what the request holds
	own  tally // our own scores among them: left out on purpose, so written as far as the sender goes
	lost tally // refused by us; the target may refuse more

	report report

	// Scratch, used again by the next request.
	name        []byte
	count, sums []ingest.Sample
	seen        []familyType // names of this request's native histograms
}

// tally counts the three kinds of things that 2.0 counts.
type tally struct{ samples, histograms, exemplars int }

var (
	errMixed    = errors.New("samples and histograms in one series")
	errNothing  = errors.New("neither samples nor histograms")
	errExemplar = errors.New("the series is refused, and its exemplars with it")
)

// reset makes the batch ready for a request of h, or for none.
func (b *batch) reset(h *handler, proto protocol) {
	name, count, sums, seen := b.name, b.count, b.sums, b.seen
	*b = batch{proto: proto, name: name[:0], count: count[:0], sums: sums[:0], seen: seen[:0]}
	if h != nil {
		b.config, b.target, b.families, b.native = &h.config, h.target, &h.families, &h.native
	}
}

// take is the callback of the decoder.
func (b *batch) take(s *series) {
	exemplars := s.exemplars + s.badExemplars
	b.sent.samples += len(s.samples)
	b.sent.histograms += len(s.histograms)
	b.sent.exemplars += exemplars

	if s.labelErr != nil {
		reason := ingest.ReasonLabels
		if errors.Is(s.labelErr, errLabelCount) {
			reason = ingest.ReasonLabelLimit
		}
		b.refuse(s, reason, s.labelErr)
		return
	}
	sortLabels(s.labels)
	name, reason, err := b.config.checkLabels(s.labels)
	if err != nil {
		b.refuse(s, reason, err)
		return
	}
	if b.proto == protocolV2 {
		// 1.0 says nothing of either, and its senders do send such series. Exemplars
		// alone are against the letter of 2.0 too, but Prometheus's own sender sends
		// them so (storage/remote/queue_manager.go, populateV2TimeSeries).
		switch {
		case len(s.samples) > 0 && len(s.histograms) > 0:
			b.refuse(s, ingest.ReasonMixed, errMixed)
			return
		case len(s.samples)+len(s.histograms)+exemplars == 0:
			b.refuse(s, ingest.ReasonLabels, errNothing)
			return
		}
	}
	b.exemplars(s)
	if ingest.OwnOutput(s.labels[name].Value) {
		b.own.samples += len(s.samples)
		b.own.histograms += len(s.histograms)
		return
	}
	if len(s.samples) > 0 {
		if b.floats == nil {
			b.floats = b.target.Appender()
		}
		b.floats.Append(s.labels, b.kind(s, s.labels[name].Value), s.samples)
		if last := s.samples[len(s.samples)-1]; ingest.IsStale(last.V) {
			b.endHistogram(s, name, last)
		}
	}
	if len(s.histograms) > 0 {
		b.takeHistograms(s, name)
	}
}

// exemplars are checked and counted, and not used further: scores need no traces.
func (b *batch) exemplars(s *series) {
	if s.badExemplars > 0 {
		b.lost.exemplars += s.badExemplars
		b.report.add(s, s.exemplarErr)
	}
}

// takeHistograms gives the target the two series that a histogram stands for:
// how many observations there were, and their sum. Both are counters, but for
// those of a gauge histogram. A sum can fall without a reset when observations
// are negative; Prometheus has the same trouble with rate().
func (b *batch) takeHistograms(s *series, name int) {
	b.count, b.sums = b.count[:0], b.sums[:0]
	kind := ingest.KindCounter
	for i := range s.histograms {
		h := &s.histograms[i]
		if h.err != nil {
			b.lost.histograms++
			b.report.reject(ingest.ReasonHistogram, 1)
			b.report.add(s, h.err)
			continue
		}
		if h.gauge {
			kind = ingest.KindGauge
		}
		b.count = append(b.count, ingest.Sample{T: h.t, V: h.count, Start: h.start})
		b.sums = append(b.sums, ingest.Sample{T: h.t, V: h.sum, Start: h.start})
	}
	if len(b.count) == 0 {
		return
	}
	if b.histograms == nil {
		b.histograms = b.target.Appender()
	}
	b.appendNamed(b.histograms, s, name, "_count", kind, b.count)
	b.appendNamed(b.histograms, s, name, "_sum", kind, b.sums)
	b.seen = append(b.seen, familyType{s.labels[name].Value, metadataHistogram})
}

// endHistogram ends the two series of a native histogram. Prometheus ends one with
// a float stale marker under the histogram's own name (seen of 3.15, over both
// protocols), not with a histogram whose sum is stale.
func (b *batch) endHistogram(s *series, name int, marker ingest.Sample) {
	if b.native.lookup(s.labels[name].Value) == metadataUnspecified {
		return
	}
	if b.ends == nil {
		b.ends = b.target.Appender()
	}
	b.count = append(b.count[:0], marker)
	b.appendNamed(b.ends, s, name, "_count", ingest.KindCounter, b.count)
	b.appendNamed(b.ends, s, name, "_sum", ingest.KindCounter, b.count)
}

// appendNamed appends to the series whose name has a suffix more. The labels stay
// sorted: only a value changes.
func (b *batch) appendNamed(to ingest.Appender, s *series, name int, suffix string, kind ingest.Kind, samples []ingest.Sample) {
	base := s.labels[name].Value
	b.name = append(append(b.name[:0], base...), suffix...)
	s.labels[name].Value = alias(b.name)
	to.Append(s.labels, kind, samples)
	s.labels[name].Value = base
}

// refuse leaves out a whole series.
func (b *batch) refuse(s *series, reason ingest.Reason, err error) {
	b.lost.samples += len(s.samples)
	b.lost.histograms += len(s.histograms)
	b.lost.exemplars += s.exemplars + s.badExemplars
	b.report.reject(reason, len(s.samples)+len(s.histograms))
	if len(s.samples)+len(s.histograms) == 0 && s.exemplars+s.badExemplars > 0 {
		err = errors.Join(err, errExemplar)
	}
	b.report.add(s, err)
}

// rollback discards the batch, of which nothing was written.
func (b *batch) rollback() {
	for _, a := range [...]ingest.Appender{b.floats, b.histograms, b.ends} {
		if a != nil {
			a.Rollback()
		}
	}
	b.floats, b.histograms, b.ends = nil, nil, nil
}

// commit makes the good part visible and returns how much was written.
func (b *batch) commit(counters *ingest.Counters) (written tally) {
	var floats, histograms ingest.Result
	if b.floats != nil {
		floats = b.floats.Commit()
	}
	if b.histograms != nil {
		histograms = b.histograms.Commit()
	}
	if b.ends != nil {
		b.ends.Commit() // ours, not the sender's: nothing to report
	}
	b.floats, b.histograms, b.ends = nil, nil, nil
	b.native.learn(b.seen)

	// Each histogram went in as two samples of one time. They fare alike, but where
	// the series cap comes between them; such a half is not written.
	written = tally{
		samples:    floats.Accepted + floats.Duplicate + b.own.samples,
		histograms: (histograms.Accepted+histograms.Duplicate)/2 + b.own.histograms,
		exemplars:  b.sent.exemplars - b.lost.exemplars,
	}
	total := floats
	total.Add(histograms)
	counters.Add(total)
	counters.Reject(ingest.ReasonOwnOutput, b.own.samples+b.own.histograms)
	for reason, n := range b.report.reasons {
		counters.Reject(reason, n)
	}
	b.report.result(total)
	return written
}
