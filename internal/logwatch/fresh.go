package logwatch

import (
	"slices"

	"github.com/portent-dev/portent/internal/logmine"
)

const (
	// earlyMs is how long after its first line a new pattern may bring the evidence that
	// its stream asks for.
	earlyMs = 10 * minuteMs
	// deployPatterns new patterns of one stream within deployMs are a deploy: a new
	// version says much for the first time, and not all of it is bad.
	deployPatterns = 12
	deployMs       = 10 * minuteMs
	deployEvidence = 3
	// falseADay is how many new patterns a day and stream may be findings although they
	// are only rare: of errors, and of warnings.
	falseADay         = 1.0
	falseWarningsADay = 0.2
	// unseenWarnings is added to what was seen once among warnings: where none was, there
	// may still be some to come, and a warning can wait for its second line. For errors
	// that would be too dear.
	unseenWarnings = 0.5
	// toldADay is how many findings a day, each of them new, say nothing about a stream;
	// beyond, they are taken for rare patterns of it.
	toldADay = 6
	// maxEvidence bounds what a stream may ask for.
	maxEvidence = 100
	// rareEvents is how many lines a pattern may have had to count as a rare one.
	rareEvents = 50
)

// judgeNew finds which new patterns are findings.
//
// Every stream has rare patterns that come for the first time after weeks. How often,
// tells the estimate of Good (The population frequencies of species, Biometrika 1953)
// and Turing: with n1 patterns seen once in a time T, n1/T new ones are to be expected
// per T; after two days the new ones of the last day are
// counted instead, where they are fewer. Where that is more than falseADay, one line proves nothing, and a new pattern
// must come as often, within earlyMs, as so few of the stream's rare ones did that the
// limit holds. The first error of a day needs no such proof: one false alarm a day is
// the price of missing none. Errors are judged by errors and warnings by warnings, so that a chatty
// stream does not hide them.
func (w *Watch) judgeNew(s *stream, nowMs int64) {
	var needed [2]int32 // evidence for warnings and for errors; 0 = not known yet
	for _, t := range s.tracks {
		if !t.fresh {
			continue
		}
		if nowMs-t.firstMs > earlyMs {
			t.fresh = false
			continue
		}
		if t.severity < w.o.MinSeverity {
			continue // it may grow worse within earlyMs
		}
		class := 0
		if t.severity >= logmine.Error {
			class = 1
		}
		if needed[class] == 0 {
			needed[class] = s.evidence(class, nowMs)
		}
		if t.early < needed[class] || t.early < deployEvidence && s.deployed(nowMs) {
			continue
		}
		t.fresh, t.told = false, true
		w.begin(&Finding{
			Kind: KindNew, Stream: s.name, ID: t.id, Template: t.template, Example: t.example, Severity: t.severity, SinceMs: t.firstMs,
		}, t)
	}
}

// deployed reports whether much is new at once.
func (s *stream) deployed(nowMs int64) bool {
	return s.novelAt >= deployPatterns && nowMs-slices.Min(s.novelMs[:]) <= deployMs
}

// evidence returns how many events a new pattern of a class must bring.
func (s *stream) evidence(class int, nowMs int64) int32 {
	limit := falseWarningsADay
	if class == 1 {
		limit = falseADay
	}
	days := float64(max(nowMs-s.sinceMs, hourMs)) / float64(24*hourMs)
	once, told, recent := 0, 0, 0
	var early []int32 // of the rare ones
	for _, t := range s.tracks {
		is := 0
		if t.severity >= logmine.Error {
			is = 1
		}
		if is != class || t.severity < logmine.Warning || t.fresh {
			continue
		}
		if t.events <= 1 && !t.told {
			once++
		}
		switch {
		case nowMs-t.firstMs >= 24*hourMs:
		case t.told:
			told++
		default:
			recent++
		}
		if t.events <= rareEvents {
			early = append(early, t.early)
		}
	}
	expected := float64(once) / days
	if days >= 2 {
		expected = min(expected, float64(recent))
	}
	expected += float64(max(0, told-toldADay))
	if class == 0 {
		expected += unseenWarnings / days
	}
	if expected <= limit || class == 1 && told == 0 {
		return 1
	}
	if len(early) == 0 {
		return deployEvidence
	}
	slices.Sort(early)
	slices.Reverse(early)
	// The most of them that may bring the evidence.
	most := int(limit / expected * float64(len(early)))
	return min(early[min(most, len(early)-1)]+1, maxEvidence)
}
