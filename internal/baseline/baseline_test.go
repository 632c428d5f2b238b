package baseline_test

import (
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/prometheus/prometheus/promql/parser"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/portent-dev/portent/internal/baseline"
	"github.com/portent-dev/portent/internal/detect"
	"github.com/portent-dev/portent/internal/finding"
)

// monday is 2026-03-02 00:00 UTC.
var monday = time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)

// minutes makes a series of one value a minute.
func minutes(n int, f func(i int) float64) baseline.Series {
	s := baseline.Series{Start: monday.UnixMilli(), Step: 60_000, Values: make([]float64, n)}
	for i := range s.Values {
		s.Values[i] = f(i)
	}
	return s
}

// noise is even between 0 and 1, the same in each run.
func noise(i int) float64 {
	x := uint64(i+1) * 0x9e3779b97f4a7c15
	x ^= x >> 31
	x *= 0xbf58476d1ce4e5b9
	return float64(x>>40) / float64(1<<24)
}

var above = baseline.Spec{Name: "X", Expr: "x", Subject: "x", Direction: finding.Above}

func TestPropose(t *testing.T) {
	f := func(name string, spec baseline.Spec, s baseline.Series, check func(t *testing.T, p baseline.Proposal)) {
		t.Run(name, func(t *testing.T) {
			p, err := baseline.Propose(spec, []baseline.Series{s}, baseline.Options{})
			require.NoError(t, err)
			require.Zero(t, p.Facts.Fired, "a rule that fires on what it was made of is none")
			check(t, p)
		})
	}
	f("noise", above, minutes(2880, func(i int) float64 { return 100 + 10*noise(i) }), func(t *testing.T, p baseline.Proposal) {
		require.Equal(t, 5*time.Minute, p.For)
		require.InDelta(t, 118, p.Threshold, 8)
		require.InDelta(t, 105, p.Facts.Median, 1)
	})
	// A spike of three minutes each hour is normal here: it may stay above the threshold.
	f("spikes", above, minutes(2880, func(i int) float64 {
		if i%60 < 3 {
			return 1000
		}
		return 100 + noise(i)
	}), func(t *testing.T, p baseline.Proposal) {
		require.Less(t, p.Threshold, 200.0)
		require.Equal(t, 48, p.Facts.Short)
		require.Contains(t, p.Reasoning(), "48 crossings were too short for it (less than 5 min)")
		require.Contains(t, p.Reasoning(), "shorter peaks are normal here")
	})
	// Twelve minutes of a batch each hour: a longer For comes far closer.
	f("batches", above, minutes(2880, func(i int) float64 {
		if i%60 < 12 {
			return 500
		}
		return 100 + noise(i)
	}), func(t *testing.T, p baseline.Proposal) {
		require.Equal(t, 15*time.Minute, p.For)
		require.Less(t, p.Threshold, 200.0)
	})
	f("course of the day", above, minutes(2880, func(i int) float64 {
		return 100 - 50*math.Cos(2*math.Pi*float64(i)/1440) + noise(i)
	}), func(t *testing.T, p baseline.Proposal) {
		require.InDelta(t, 167, p.Threshold, 10)
		require.Contains(t, p.Reasoning(), "It follows the day: ")
		require.InDelta(t, 12, p.Facts.DayHighHour, 1)
		require.Contains(t, p.Reasoning(), "No weekend was seen.")
	})
	f("always zero", baseline.Spec{Name: "X", Expr: "x", Direction: finding.Above, Least: 1}, minutes(1440, func(int) float64 { return 0 }), func(t *testing.T, p baseline.Proposal) {
		require.InDelta(t, 1, p.Threshold, 0)
		require.Contains(t, p.Reasoning(), "propose again after 48 h")
	})
	ratio := baseline.Spec{Name: "X", Expr: "x", Direction: finding.Above, Most: 1, Unit: "ratio"}
	f("ratio near its bound", ratio, minutes(2880, func(i int) float64 { return 0.9 + 0.02*noise(i) }), func(t *testing.T, p baseline.Proposal) {
		require.Greater(t, p.Threshold, 0.92)
		require.Less(t, p.Threshold, 1.0)
	})
	below := above
	below.Direction = finding.Below
	f("below", below, minutes(2880, func(i int) float64 { return 100 + 10*noise(i) }), func(t *testing.T, p baseline.Proposal) {
		require.InDelta(t, 90, p.Threshold, 6)
		require.Contains(t, p.Reasoning(), "the lowest was 100")
	})
	f("gaps", above, minutes(2880, func(i int) float64 {
		if i%100 == 0 {
			return math.NaN()
		}
		return 100 + 10*noise(i)
	}), func(t *testing.T, p baseline.Proposal) { require.Equal(t, 2851, p.Facts.Values) })
}

func TestSensitivityIsTheMargin(t *testing.T) {
	s := []baseline.Series{minutes(2880, func(i int) float64 { return 100 + 40*noise(i) })}
	var last float64
	for _, sense := range []detect.Sensitivity{detect.High, detect.Medium, detect.Low} {
		p, err := baseline.Propose(above, s, baseline.Options{Sensitivity: sense})
		require.NoError(t, err)
		require.GreaterOrEqual(t, p.Threshold, last)
		last = p.Threshold
	}
}

func TestTooLittleIsSaid(t *testing.T) {
	f := func(want string, spec baseline.Spec, s ...baseline.Series) {
		t.Helper()
		_, err := baseline.Propose(spec, s, baseline.Options{})
		var little *baseline.TooLittleError
		require.ErrorAs(t, err, &little)
		require.Contains(t, little.Reason, want)
	}
	f("no data", above)
	f("no data", above, minutes(2000, func(int) float64 { return math.NaN() }))
	f("3 h of data: want at least 24 h", above, minutes(180, noise))
	f("without a gap", above, minutes(2880, func(i int) float64 {
		if i%4 == 0 {
			return math.NaN()
		}
		return 1
	}))
	f("cannot be above 100 %", baseline.Spec{Name: "X", Direction: finding.Above, Most: 1, Unit: "ratio"}, minutes(2880, func(int) float64 { return 0.97 }))
	f("no level below is unusual", baseline.Spec{Name: "X", Direction: finding.Below}, minutes(2880, func(i int) float64 { return float64(i / 120 % 2) }))
}

// Whatever the values and the names are, the rules can be read; cmd/portent has promtool check them.
func TestRulesAreValid(t *testing.T) {
	specs, err := baseline.Scope(baseline.Builtin, "shop", `check"out.v2`)
	require.NoError(t, err)
	var proposals []baseline.Proposal
	for _, s := range specs {
		require.Contains(t, s.Expr, `namespace="shop"`)
		e, err := parser.NewParser(parser.Options{}).ParseExpr(s.Expr)
		require.NoError(t, err)
		for _, selector := range parser.ExtractSelectors(e) {
			require.Contains(t, fmt.Sprint(selector), `pod=~"check\"out\\.v2(-[a-z0-9]+){1,2}"`, "every selector is scoped")
		}
		scale := 0.01
		if s.Unit == "bytes" {
			scale = 1e9
		}
		p, err := baseline.Propose(s, []baseline.Series{minutes(2880, func(i int) float64 { return scale * noise(i) })}, baseline.Options{})
		require.NoError(t, err)
		proposals = append(proposals, p)
	}
	text, err := baseline.Rules("one\ntwo", "portent", proposals)
	require.NoError(t, err)
	var file struct {
		Groups []struct {
			Rules []struct {
				Alert, Expr, For    string
				Labels, Annotations map[string]string
			}
		}
	}
	require.NoError(t, yaml.Unmarshal(text, &file))
	require.Len(t, file.Groups[0].Rules, len(baseline.Builtin))
	for _, r := range file.Groups[0].Rules {
		_, err := parser.NewParser(parser.Options{}).ParseExpr(r.Expr)
		require.NoError(t, err)
	}
	first := file.Groups[0].Rules[0]
	require.Equal(t, "CheckOutV2MemoryHigh", first.Alert)
	require.Contains(t, first.Annotations["summary"], "{{ $value | humanize1024 }}B")
	require.Contains(t, first.Annotations["summary"], "MiB")
	require.Contains(t, first.Annotations["description"], "In these data it would never have fired")
}

func TestCamelCase(t *testing.T) {
	f := func(in, want string) {
		t.Helper()
		require.Equal(t, want, baseline.CamelCase(in))
	}
	f("app-service", "AppService")
	f("9lives.v2", "LivesV2")
	f("{{ evil }}", "Evil")
	f("日本", "")
}
