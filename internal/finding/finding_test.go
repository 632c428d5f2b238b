package finding_test

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/finding"
)

func TestSentence(t *testing.T) {
	base := finding.Finding{
		What: "node_load1", Labels: map[string]string{"instance": "a\"b", "cluster": "c"},
		Since:    time.Date(2026, 3, 1, 14, 5, 0, 0, time.FixedZone("", 3600)),
		Observed: 4.2, Expected: 1.35, Direction: finding.Above,
	}
	f := func(change func(*finding.Finding), want string) {
		t.Helper()
		x := base
		change(&x)
		require.Equal(t, want, x.Sentence())
	}
	f(func(*finding.Finding) {}, `node_load1{cluster="c", instance="a\"b"} is 4.2, 211 % above the 1.35 expected, since 13:05 UTC.`)
	f(func(x *finding.Finding) {
		x.Labels, x.Since, x.Observed, x.Direction = nil, time.Time{}, 0, finding.Below
	},
		"node_load1 is 0, 100 % below the 1.35 expected.")
	f(func(x *finding.Finding) { x.Labels, x.Expected = nil, 0 }, "node_load1 is 4.2 instead of the 0 expected, since 13:05 UTC.")
	f(func(x *finding.Finding) { x.Labels, x.Expected = nil, 1e-9 }, "node_load1 is 4.2 instead of the 1e-09 expected, since 13:05 UTC.")
	f(func(x *finding.Finding) { x.Labels, x.Expected = nil, 1.61e-30 }, "node_load1 is 4.2 instead of the 0 expected, since 13:05 UTC.")
	f(func(x *finding.Finding) { x.Labels, x.Unit, x.Observed, x.Expected = nil, "bytes", 6e9, 4e9 },
		"node_load1 is 5.59 GiB, 50 % above the 3.73 GiB expected, since 13:05 UTC.")
}

func TestChange(t *testing.T) {
	f := func(observed, expected, want float64, wantOK bool) {
		t.Helper()
		got, ok := finding.Finding{Observed: observed, Expected: expected}.Change()
		require.Equal(t, wantOK, ok)
		if ok {
			require.InDelta(t, want, got, 1e-12)
		}
	}
	f(145, 100, 0.45, true)
	f(-145, -100, -0.45, true)
	f(0, 100, -1, true)
	f(1, 0, 0, false)
	f(math.NaN(), 1, 0, false)
	f(math.Inf(1), 1, 0, false)
	require.Equal(t, finding.Above, finding.Side(2, 1))
	require.Equal(t, finding.Below, finding.Side(1, 2))
	require.Equal(t, finding.Neither, finding.Side(math.NaN(), 2))
}

func TestQuantity(t *testing.T) {
	f := func(v float64, unit, want string) {
		t.Helper()
		require.Equal(t, want, finding.Quantity(v, unit))
	}
	f(0, "", "0")
	f(-0.5, "", "-0.5")
	f(123456, "", "123456")
	f(1234567, "", "1234567")
	f(12345.678, "", "12346")
	f(1.5e15, "", "1.5e+15")
	f(0.00012, "", "0.00012")
	f(math.NaN(), "", "no number")
	f(1536, "bytes", "1.5 KiB")
	f(-3e20, "bytes", "-266454 PiB")
	f(0.234, "ratio", "23.4 %")
	f(99.5, "percent", "99.5 %")
	f(3, "per second", "3 per second")
	f(0, "per second", "0 per second")
	f(0.25, "per second", "0.25 per second")
	f(0.05, "per second", "3 per minute")
	f(1.0/1800, "per second", "2 per hour")
	f(-2.0/86400, "per second", "-2 per day")
	f(3, "cores", "3 cores")
	f(0, "seconds", "0 s")
	f(0.0000005, "seconds", "500 ns")
	f(0.0025, "seconds", "2.5 ms")
	f(1.5, "seconds", "1.5 s")
	f(150, "seconds", "2.5 min")
	f(86400, "seconds", "24 h")
	f(864000, "seconds", "10 days")
	// An expectation that has died away is nothing, and no power of ten.
	f(1.61e-30, "ratio", "0 %")
	f(-1.61e-28, "percent", "0 %")
	f(5e-324, "bytes", "0 B")
	f(5e-324, "bytes per second", "0 B/s")
	f(1e-15, "seconds", "0 s")
	f(1e-20, "per second", "0 per second")
	f(1e-20, "cores", "0 cores")
	f(-1e-20, "", "0")
	f(1e-6, "ratio", "0.0001 %")
}
