package linehttp

import (
	"fmt"
	"unsafe"

	"github.com/portent-dev/portent/internal/ingest"
)

// Batch is the lines of one request. A decoder calls Add for each; nothing of it is
// valid after the request.
type Batch struct {
	Lines    []ingest.Line
	Rejected int // records that could not be taken: see Reject

	config        *Config
	body          []byte
	compressed    []byte
	cut           int // lines that were shortened
	labelsDropped int
	labels        []ingest.Label // room for the labels of lines
}

// LimitError says that a request has more of something than is taken.
type LimitError struct {
	What string
	Most int
}

func (e *LimitError) Error() string {
	return fmt.Sprintf("the request has more than %d %s", e.Most, e.What)
}

// MaxRecordBytes bounds one record of a format in which a record of few bytes can take
// many in memory while it is read.
const MaxRecordBytes = 1 << 20

// CheckRecord returns a LimitError for a record of too many bytes.
func CheckRecord(raw []byte) error {
	if len(raw) > MaxRecordBytes {
		return &LimitError{"bytes in one record", MaxRecordBytes}
	}
	return nil
}

// Full reports whether no further line is taken.
func (b *Batch) Full() bool { return len(b.Lines) >= b.config.MaxLines }

// Add takes a line. One that is too long is cut and counted; labels beyond the limit
// are left out and counted. It returns a LimitError when there are too many lines.
func (b *Batch) Add(l ingest.Line) error {
	if b.Full() {
		return &LimitError{"lines", b.config.MaxLines}
	}
	if len(l.Text) > b.config.MaxLineBytes {
		l.Text = l.Text[:b.config.MaxLineBytes]
		b.cut++
	}
	b.Lines = append(b.Lines, l)
	return nil
}

// Labels returns the labels of a stream or a line: base and more, those of more first
// where a name comes twice, without empty ones and within the limits. They share an
// array that lives as long as the batch.
func (b *Batch) Labels(base, more []ingest.Label) []ingest.Label {
	if len(more) == 0 {
		return base
	}
	from := len(b.labels)
	add := func(l ingest.Label) {
		switch {
		case l.Name == "" || l.Value == "":
			return
		case len(b.labels)-from >= b.config.MaxLabels || len(l.Name) > b.config.MaxLabelNameBytes || len(l.Value) > b.config.MaxLabelValueBytes:
			b.labelsDropped++
			return
		}
		for _, have := range b.labels[from:] {
			if have.Name == l.Name {
				return
			}
		}
		b.labels = append(b.labels, l)
	}
	for _, l := range more {
		add(l)
	}
	for _, l := range base {
		add(l)
	}
	return b.labels[from:len(b.labels):len(b.labels)]
}

// Reject counts a record that cannot be taken.
func (b *Batch) Reject() { b.Rejected++ }

// Alias returns bytes of the body as a string without a copy.
func Alias(p []byte) string {
	return unsafe.String(unsafe.SliceData(p), len(p)) //nolint:gosec // lines are dead after the request: see ingest.Line
}

// maxKept bounds, in bytes, what a batch may hold between requests.
const maxKept = 4 << 20

func (h *handler) batch() *Batch {
	if b, ok := h.batches.Get().(*Batch); ok {
		return b
	}
	return &Batch{config: &h.config}
}

func (h *handler) put(b *Batch) {
	if cap(b.body)+cap(b.compressed)+96*cap(b.Lines)+32*cap(b.labels) > maxKept {
		return
	}
	clear(b.Lines[:cap(b.Lines)])
	clear(b.labels[:cap(b.labels)])
	*b = Batch{config: b.config, Lines: b.Lines[:0], labels: b.labels[:0], body: b.body[:0], compressed: b.compressed[:0]}
	h.batches.Put(b)
}
