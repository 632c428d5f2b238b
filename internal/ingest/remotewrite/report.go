package remotewrite

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/portent-dev/portent/internal/ingest"
)

// maxDetails bounds the faults that an answer tells one by one: Prometheus logs
// the first 1,024 bytes of it.
const maxDetails = 3

// report gathers what was wrong with the series of a request. The zero value is
// empty, and stays without allocation while nothing is wrong.
type report struct {
	reasons map[ingest.Reason]int // samples and histograms, by why we refused them
	target  ingest.Result         // what the target refused
	details []string
	more    int // faults beyond maxDetails
}

func (r *report) reject(reason ingest.Reason, n int) {
	if n == 0 {
		return
	}
	if r.reasons == nil {
		r.reasons = make(map[ingest.Reason]int)
	}
	r.reasons[reason] += n
}

// add takes note of a fault of a series.
func (r *report) add(s *series, err error) {
	if len(r.details) == maxDetails {
		r.more++
		return
	}
	text := strings.ReplaceAll(err.Error(), "\n", "; ")
	r.details = append(r.details, fmt.Sprintf("series %d %s: %s", s.index, describe(s.labels), text))
}

// result takes note of what the target refused.
func (r *report) result(t ingest.Result) { r.target = t }

// bad reports whether anything was wrong.
func (r *report) bad() bool {
	return len(r.details) > 0 || r.target.OutOfOrder+r.target.TooFarAhead+r.target.Dropped > 0
}

// message says how much was not written and why, the commonest reasons counted
// and the first faults told.
func (r *report) message(sent, written tally) string {
	var b strings.Builder
	fmt.Fprintf(&b, "not written: %d of %d samples, %d of %d histograms, %d of %d exemplars",
		sent.samples-written.samples, sent.samples,
		sent.histograms-written.histograms, sent.histograms,
		sent.exemplars-written.exemplars, sent.exemplars)

	counts := maps.Clone(r.reasons)
	if counts == nil {
		counts = make(map[ingest.Reason]int)
	}
	counts[ingest.ReasonOutOfOrder] += r.target.OutOfOrder
	counts[ingest.ReasonTooFarAhead] += r.target.TooFarAhead
	counts[ingest.ReasonSeriesLimit] += r.target.Dropped
	sep := " ("
	for _, reason := range slices.Sorted(maps.Keys(counts)) {
		if n := counts[reason]; n > 0 {
			fmt.Fprintf(&b, "%s%s %d", sep, reason, n)
			sep = ", "
		}
	}
	if sep == ", " {
		b.WriteString(")")
	}
	for _, d := range r.details {
		b.WriteString("; " + d)
	}
	if r.more > 0 {
		fmt.Fprintf(&b, "; and %d more", r.more)
	}
	return b.String()
}
