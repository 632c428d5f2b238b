package logwatch

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/portent-dev/portent/internal/finding"
	"github.com/portent-dev/portent/internal/logmine"
)

// Kind says what a finding is about.
type Kind string

// The kinds. A pattern that fell silent has KindShrunk with Observed 0.
const (
	KindNew    Kind = "new"
	KindGrown  Kind = "grown"
	KindShrunk Kind = "shrunk"
)

// Kinds lists them, for metrics that shall show zero.
func Kinds() []Kind { return []Kind{KindNew, KindGrown, KindShrunk} }

// Finding is something that stands out. ID, Template, Example and Severity stay as they
// were when it began, whatever becomes of the pattern.
type Finding struct {
	Kind     Kind             `json:"kind"`
	Stream   string           `json:"stream"`
	ID       string           `json:"id"`
	Template string           `json:"template"`
	Example  string           `json:"example"`
	Severity logmine.Severity `json:"severity"`
	SinceMs  int64            `json:"since"`
	EndMs    int64            `json:"end,omitempty"` // 0 while it is active
	Lines    int64            `json:"lines"`         // since it began, of new ones
	// Observed and Expected lines in a window, of rates.
	Observed float64 `json:"observed,omitempty"`
	Expected float64 `json:"expected,omitempty"`
	WindowMs int64   `json:"window,omitempty"`

	calm   int
	seenMs int64 // when its rate was last judged
}

type findingKey struct {
	stream, track string
	kind          Kind
}

// root is the id under which the track began.
func (t *track) root() string {
	if t.began == "" {
		t.began = t.id
	}
	return t.began
}

func (w *Watch) begin(f *Finding, t *track) {
	active := 0
	for _, x := range w.findings {
		if x.EndMs == 0 {
			active++
		}
	}
	if active >= w.o.MaxFindings {
		w.stats.Suppressed++
		return
	}
	w.findings[findingKey{f.Stream, t.root(), f.Kind}] = f
}

// endedFor is how long a finding that ended is still told, so that whoever was told of
// its begin hears of its end.
const endedFor = 15 * time.Minute

// Findings returns what is active, and what ended in the last 15 minutes, the oldest
// first.
func (w *Watch) Findings(nowMs int64) []Finding {
	out := make([]Finding, 0, len(w.findings))
	for k, f := range w.findings {
		if f.Kind == KindNew {
			if t := w.streams[f.Stream].known(f.ID); t != nil {
				f.Lines = t.since(f.SinceMs)
			}
			if f.EndMs == 0 && nowMs-f.SinceMs >= w.o.NewFor.Milliseconds() {
				f.EndMs = nowMs
			}
		}
		if f.Kind != KindNew && f.EndMs == 0 && nowMs-max(f.seenMs, f.SinceMs+f.WindowMs) > lostMs {
			f.EndMs = nowMs // its pattern is part of another, or forgotten
		}
		if f.EndMs != 0 && nowMs-f.EndMs > endedFor.Milliseconds() {
			delete(w.findings, k)
			continue
		}
		out = append(out, *f)
	}
	slices.SortFunc(out, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(a.SinceMs, b.SinceMs), cmp.Compare(a.Stream, b.Stream), cmp.Compare(a.ID, b.ID), cmp.Compare(a.Kind, b.Kind))
	})
	return out
}

// lostMs is after which a rate that nobody judges any more is over.
const lostMs = 10 * minuteMs

func (s *stream) known(id string) *track {
	if s == nil {
		return nil
	}
	return s.byID[id]
}

// since returns the lines from the hour of a time on.
func (t *track) since(ms int64) (n int64) {
	for _, h := range t.hours {
		if h.hour >= ms/hourMs {
			n += h.lines
		}
	}
	return n
}

// Finding returns it as the value that all findings share. labels are the stream's.
func (f *Finding) Finding(labels map[string]string, nowMs int64) finding.Finding {
	out := finding.Finding{
		Source: finding.SourcePattern, What: f.Template, Labels: labels, At: time.UnixMilli(nowMs).UTC(), Since: time.UnixMilli(f.SinceMs).UTC(),
		Score: 2, Detector: "logwatch", Reason: string(f.Kind), Observed: f.Observed, Expected: f.Expected,
	}
	if f.Kind != KindNew {
		out.Direction = finding.Side(f.Observed, f.Expected)
		out.Unit = "lines"
	}
	out.Also = []string{f.Sentence()}
	return out
}

// Sentence tells a finding in plain words.
func (f *Finding) Sentence() string {
	window := (time.Duration(f.WindowMs) * time.Millisecond).Minutes()
	switch f.Kind {
	case KindNew:
		return fmt.Sprintf("This pattern was never seen in its stream before %s.", time.UnixMilli(f.SinceMs).UTC().Format("15:04:05 UTC on 2006-01-02"))
	case KindGrown:
		return fmt.Sprintf("%.0f lines in %.0f min, where at most %.1f were to be expected.", f.Observed, window, f.Expected)
	case KindShrunk:
		if f.Observed == 0 {
			return fmt.Sprintf("No line in %.0f min, where at least %.1f were to be expected.", window, f.Expected)
		}
		return fmt.Sprintf("%.0f lines in %.0f min, where at least %.1f were to be expected.", f.Observed, window, f.Expected)
	}
	panic("BUG: unknown kind of finding " + string(f.Kind))
}
