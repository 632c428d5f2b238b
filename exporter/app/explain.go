package app

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/portent-dev/portent/internal/detect"
	"github.com/portent-dev/portent/internal/ingest"
)

// reasonWords say what a detector saw, to follow "is 3 where 1 was expected".
func reasonWords(r detect.Reason, above bool) string {
	switch r {
	case detect.ReasonLevel:
		if above {
			return "far above what this time of day usually shows"
		}
		return "far below what this time of day usually shows"
	case detect.ReasonShift:
		return "its level has moved and stays there"
	case detect.ReasonSpread:
		return "it moves much more, or much less, than it did"
	case detect.ReasonTrend:
		return "it keeps rising or falling against its own history"
	case detect.ReasonShape:
		return "its course is unusual, although each value is not"
	case detect.ReasonSilence:
		return "it fell silent or froze where there was life, or the reverse"
	case detect.ReasonNone:
	}
	return "it does not fit its own history"
}

// explain says in one sentence what is unusual about a series. The name of the metric is the only text that comes from
// outside, and is cut.
func explain(labels []ingest.Label, o detect.Output) string {
	name, per := "the series", ""
	for _, l := range labels {
		if l.Name == ingest.MetricName {
			name = clip(l.Value)
			if ingest.KindOf(l.Value) == ingest.KindCounter {
				per = " per second"
			}
		}
	}
	scale := max(math.Abs(o.Value), math.Abs(o.Expected), math.Abs(o.Lower), math.Abs(o.Upper))
	return fmt.Sprintf("%s is %s%s where %s was expected (normal is %s to %s): %s, since %s.",
		name, number(o.Value, scale), per, number(o.Expected, scale), number(o.Lower, scale), number(o.Upper, scale),
		reasonWords(o.Reason, o.Value > o.Expected), time.UnixMilli(o.Since).UTC().Format("2006-01-02 15:04:05 UTC"))
}

// number writes four significant digits, without an exponent where a person would not write one. What is nothing beside the
// scale of its neighbours is 0.
func number(v, scale float64) string {
	if math.Abs(v) < 1e-9*scale {
		return "0"
	}
	s := strconv.FormatFloat(v, 'g', 4, 64)
	if strings.Contains(s, "e+") && math.Abs(v) < 1e15 {
		return strconv.FormatFloat(v, 'f', 0, 64)
	}
	return s
}

// clip cuts a name for a sentence.
func clip(s string) string {
	const most = 120
	r := []rune(s)
	if len(r) > most {
		return string(r[:most]) + "…"
	}
	return s
}
