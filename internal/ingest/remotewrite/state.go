package remotewrite

// state is what a request works with, used again by later ones.
type state struct {
	compressed []byte // the body
	raw        []byte // room for the decompressed body
	message    []byte // the decompressed body, in raw
	decoder    decoder
	batch      batch
}

// maxKept bounds, in bytes, what a state may hold between requests. A usual
// request of Prometheus takes a tenth of it; one giant request must not be paid
// for ever after.
const maxKept = 8 << 20

func (h *handler) get() *state {
	if st, ok := h.states.Get().(*state); ok {
		return st
	}
	st := new(state)
	st.decoder.maxLabels = h.config.MaxLabels
	st.decoder.maxItems = h.config.MaxSamples
	return st
}

func (h *handler) put(st *state) {
	if st.size() > maxKept {
		return
	}
	// Strings of the last request alias its message: drop them, so that nothing
	// keeps a replaced buffer alive or looks valid by accident.
	d := &st.decoder
	clear(d.symbols[:cap(d.symbols)])
	clear(d.series.labels[:cap(d.series.labels)])
	clear(d.families[:cap(d.families)])
	d.series.labelErr, d.series.exemplarErr = nil, nil
	st.message, d.whole = nil, nil
	clear(st.batch.seen[:cap(st.batch.seen)])
	st.batch.reset(nil, "")
	h.states.Put(st)
}

// size estimates what the state holds, in bytes.
func (st *state) size() int {
	d, b := &st.decoder, &st.batch
	const label, sample, histogram, sym = 32, 16, 48, 24
	return cap(st.compressed) + cap(st.raw) +
		sym*(cap(d.symbols)+cap(d.families)+cap(b.seen)) + 4*cap(d.refs) +
		label*cap(d.series.labels) + sample*cap(d.series.samples) + histogram*cap(d.series.histograms) +
		d.histogram.size() + sample*(cap(b.count)+cap(b.sums)) + cap(b.name)
}

func (h *histogram) size() int {
	n := 8 * cap(h.custom)
	for _, s := range [...]*buckets{&h.negative, &h.positive} {
		n += 8 * (cap(s.spans) + cap(s.deltas) + cap(s.counts))
	}
	return n
}
