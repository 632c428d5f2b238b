package app

import (
	"hash/maphash"
	"math"
	"slices"
	"strconv"
	"sync"

	"github.com/prometheus/common/model"

	"github.com/portent-dev/portent/internal/detect"
	"github.com/portent-dev/portent/internal/ingest"
)

// Output names one of the metrics that are published for each series.
type Output string

// The outputs, in the order in which they are published.
const (
	OutputScore    Output = "score"
	OutputExpected Output = "expected"
	OutputLower    Output = "lower"
	OutputUpper    Output = "upper"
)

// family is one published metric.
type family struct {
	output     Output
	name, help string
	value      func(*detect.Output) float64
	always     bool // published before there is a baseline
}

// families is the table of what is published. The score is there from the first sample on, 0 until there is a baseline, so
// that a series that is watched can be told from one that is not; the rest would have nothing true to say before.
var families = [...]family{
	{
		OutputScore, "anomaly_score",
		"How unusual the newest sample of the series is: 0 to 1 while normal, above 1 when anomalous, 0 until there is a baseline.",
		func(o *detect.Output) float64 { return o.Score }, true,
	},
	{
		OutputExpected, "anomaly_expected",
		"The value that was expected in place of the newest sample; for a counter its increase per second.",
		func(o *detect.Output) float64 { return o.Expected }, false,
	},
	{
		OutputLower, "anomaly_expected_lower",
		"The lower end of the range in which a normal value lies.",
		func(o *detect.Output) float64 { return o.Lower }, false,
	},
	{
		OutputUpper, "anomaly_expected_upper",
		"The upper end of the range in which a normal value lies.",
		func(o *detect.Output) float64 { return o.Upper }, false,
	},
}

// row is what one series shows in one scrape.
type row struct {
	labels string // with braces, as the exposition formats write them
	out    detect.Output
}

// admission chooses which series are published. It is safe for concurrent use.
//
// Whoever came first stays for as long as it is there: a choice by score would make series come and go with every scrape,
// and each coming and going is a gap in the history and a false end. Room that an ended series leaves is given to the next
// that asks for it in the scrape after. What each series is called is kept beside its admission, since writing and escaping
// the labels is most of the work of a scrape (BenchmarkMetrics).
type admission struct {
	seed maphash.Seed // secret: nobody can make labels that collide

	mu     sync.Mutex
	byHash map[uint64]*admitted
	scrape uint64
}

type admitted struct {
	labels string // as row.labels, with all names as they are
	legacy bool   // every name is of the old form, so that labels serves each escaping scheme
	scrape uint64 // when it was last seen
}

func newAdmission() *admission {
	return &admission{seed: maphash.MakeSeed(), byHash: map[uint64]*admitted{}}
}

// collect appends the rows of this scrape to rows. At most maxSeries are admitted; leftOut is how many found no room.
func (a *admission) collect(rows []row, forEach forEach, maxSeries int, scheme model.EscapingScheme) (_ []row, leftOut int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.scrape++
	var scratch []byte
	forEach(func(labels []ingest.Label, o detect.Output) bool {
		scratch = appendIdentity(scratch[:0], labels)
		hash := maphash.Bytes(a.seed, scratch)
		e, ok := a.byHash[hash]
		switch {
		case !ok && len(a.byHash) >= maxSeries:
			leftOut++
			return true
		case !ok:
			scratch = appendLabels(scratch[:0], labels, model.NoEscaping)
			e = &admitted{labels: string(scratch), legacy: legacyNames(labels)}
			a.byHash[hash] = e
		case len(rows) >= maxSeries: // the limit was lowered
			delete(a.byHash, hash)
			leftOut++
			return true
		}
		e.scrape = a.scrape
		text := e.labels
		if !e.legacy && scheme != model.NoEscaping {
			scratch = appendLabels(scratch[:0], labels, scheme)
			text = string(scratch)
		}
		rows = append(rows, row{text, o})
		return true
	})
	for hash, e := range a.byHash {
		if e.scrape != a.scrape {
			delete(a.byHash, hash)
		}
	}
	return rows, leftOut
}

// forEach visits the series, as (*detect.Engine).ForEach does.
type forEach func(func(labels []ingest.Label, o detect.Output) bool)

// appendIdentity writes a label set so that no two write the same: 0xff is in no UTF-8 text.
func appendIdentity(dst []byte, labels []ingest.Label) []byte {
	for _, l := range labels {
		dst = append(append(append(append(dst, l.Name...), 0xff), l.Value...), 0xff)
	}
	return dst
}

func legacyNames(labels []ingest.Label) bool {
	for _, l := range labels {
		if !model.LegacyValidation.IsValidLabelName(l.Name) {
			return false
		}
	}
	return true
}

// metricLabel names the input in what is published.
const metricLabel = "metric"

// appendLabels writes the labels of a published series as the exposition formats do, in braces.
func appendLabels(dst []byte, labels []ingest.Label, scheme model.EscapingScheme) []byte {
	start := len(dst)
	publishedLabels(labels, scheme, func(name, value string) {
		if len(dst) == start {
			dst = append(dst, '{')
		} else {
			dst = append(dst, ',')
		}
		if model.LegacyValidation.IsValidLabelName(name) {
			dst = append(dst, name...)
		} else {
			dst = appendQuoted(dst, name)
		}
		dst = append(dst, '=')
		dst = appendQuoted(dst, value)
	})
	if len(dst) > start {
		dst = append(dst, '}')
	}
	return dst
}

// publishedLabels gives the labels of a published series to f: those of the input, and its name as `metric`. An input label
// that has that name already is kept as exported_metric, with as many exported_ as it takes to be unique, as Prometheus does
// for clashes with labels of the target. So is a name that clashes only once it is escaped.
func publishedLabels(labels []ingest.Label, scheme model.EscapingScheme, f func(name, value string)) {
	named := slices.ContainsFunc(labels, func(l ingest.Label) bool { return l.Name == ingest.MetricName })
	var used []string // names that differ from the input's
	for i, l := range labels {
		name := l.Name
		if name == ingest.MetricName {
			name = metricLabel
		} else {
			if !model.LegacyValidation.IsValidLabelName(name) {
				name = model.EscapeName(name, scheme)
			}
			for (named && name == metricLabel) || slices.Contains(used, name) || (name != l.Name && has(labels, name, i)) {
				name = model.ExportedLabelPrefix + name
			}
			if name != l.Name {
				used = append(used, name)
			}
		}
		f(name, l.Value)
	}
}

func has(labels []ingest.Label, name string, except int) bool {
	for i, l := range labels {
		if i != except && l.Name == name {
			return true
		}
	}
	return false
}

// appendQuoted writes a label's value as both exposition formats want it.
func appendQuoted(dst []byte, s string) []byte {
	dst = append(dst, '"')
	from := 0
	for i := range len(s) {
		var esc string
		switch s[i] {
		case '\\':
			esc = `\\`
		case '"':
			esc = `\"`
		case '\n':
			esc = `\n`
		default:
			continue
		}
		dst = append(append(dst, s[from:i]...), esc...)
		from = i + 1
	}
	return append(append(dst, s[from:]...), '"')
}

// appendRows writes one family. A NaN would be no number: the line is left out.
func (f *family) appendRows(dst []byte, rows []row) []byte {
	for i := range rows {
		r := &rows[i]
		if !f.always && !r.out.Ready {
			continue
		}
		v := f.value(&r.out)
		if math.IsNaN(v) {
			continue
		}
		dst = append(append(append(dst, f.name...), r.labels...), ' ')
		dst = appendNumber(dst, v)
		dst = append(dst, '\n')
	}
	return dst
}

// appendNumber writes v in the shortest form that reads back as the same number.
func appendNumber(dst []byte, v float64) []byte {
	switch {
	case v == 0: // the most frequent score, and -0 with it
		return append(dst, '0')
	case math.IsInf(v, 1):
		return append(dst, "+Inf"...)
	}
	return strconv.AppendFloat(dst, v, 'g', -1, 64)
}
