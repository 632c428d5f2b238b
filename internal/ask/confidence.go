package ask

import "slices"

// Confidence of a reading starts at these and loses with each doubt; they are what readings of the kind were right
// in, of some 360 questions about four fleets.
const (
	sureOfFiles = 0.95 // the knowledge names the metric
	sureOfNames = 0.8  // its name, help and labels alone speak for it
	sureOfLogs  = 0.85
	// doubt is taken off for each word that nothing accounts for, rivalDoubt for another reading that is as likely.
	doubt      = 0.12
	rivalDoubt = 0.1
	leastSure  = 0.1
)

// confidence tells how sure the reading of a question is, 0 to 1: by what it rests on, by the words that it leaves aside,
// and by whether another reading is about as likely.
func (t *Rules) confidence(words []word, best candidate, rivals []candidate) float64 {
	sure := sureOfFiles
	if best.c.unlisted {
		sure = sureOfNames
	}
	for i, w := range words {
		if !t.accounted(words, i, w, best) {
			sure -= doubt
		}
	}
	if !best.c.unlisted && slices.ContainsFunc(rivals, func(r candidate) bool { return r.score > 0.95*best.score && !slices.Equal(r.c.metrics, best.c.metrics) }) {
		sure -= rivalDoubt
	}
	sure -= doubt * float64(len(best.missed))
	return max(sure, leastSure)
}

// accounted reports whether the reading takes note of a word, or need not.
func (t *Rules) accounted(words []word, i int, w word, m candidate) bool {
	if w.used || stopWords[w.text] || stopWords[w.stem] || isNumber(w.text) || negations[w.text] || unitWords[w.stem] || slices.Contains(m.taken, i) && !m.c.unlisted {
		return true
	}
	if _, kind := kindWords[w.stem]; kind || reStatus.MatchString(w.text) || reCode.MatchString(w.text) {
		return true
	}
	return slices.ContainsFunc(m.names, func(n name) bool { return n.at <= i && i <= max(n.at, n.to) }) || m.c.says(w) || t.speaksOf(m.c, w) || soft[w.text] && len(words) > 3
}

// logConfidence is that of a question about logs: less where the question did not say that it is one.
func (t *logTask) confidence() float64 {
	sure := sureOfLogs
	if t.strict {
		sure -= 2 * doubt
	}
	sure -= doubt * float64(t.unsaid)
	if len(t.names) == 0 {
		sure -= doubt
	}
	for _, f := range t.filters {
		if l, ok := f.(LineFilter); ok && l.Op == "|~" { // words that were searched for one by one
			sure -= doubt
		}
	}
	return max(sure, leastSure)
}
