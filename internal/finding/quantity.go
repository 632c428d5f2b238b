package finding

import (
	"math"
	"slices"
	"strconv"
)

// Quantity writes a value for a person: three significant digits, sizes in powers of
// 1024, times from nanoseconds to days, ratios in percent, rates per second, minute,
// hour or day. What is far below what its unit can show, as an expectation is that has
// died away, is 0.
func Quantity(v float64, unit string) string {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return "no number"
	}
	if math.Abs(v) < nothing(unit) {
		v = 0
	}
	switch unit {
	case "bytes":
		return scaled(v, 1024, "B", "KiB", "MiB", "GiB", "TiB", "PiB")
	case "seconds":
		return seconds(v)
	case "ratio":
		return digits(v*100) + " %"
	case "percent":
		return digits(v) + " %"
	case "bytes per second":
		return scaled(v, 1024, "B", "KiB", "MiB", "GiB", "TiB", "PiB") + "/s"
	case "per second":
		return rate(v)
	case "":
		return digits(v)
	}
	return digits(v) + " " + unit
}

// nothing returns the magnitude below which a value of a unit is 0 to a person: a
// thousandth of a byte, a tenth of a nanosecond, one in a hundred million, an event in
// thirty years. Of what has no unit nobody knows; there it is what no measurement tells from 0.
func nothing(unit string) float64 {
	switch unit {
	case "bytes", "bytes per second":
		return 1e-3
	case "seconds":
		return 1e-10
	case "ratio":
		return 1e-8
	case "percent":
		return 1e-6
	case "":
		return 1e-12
	}
	return 1e-9
}

// rate writes what happens so many times a second, by the longest time in which it
// happens rarely.
func rate(v float64) string {
	for _, per := range []struct {
		seconds float64
		name    string
	}{{1, "second"}, {60, "minute"}, {3600, "hour"}} {
		if x := v * per.seconds; x == 0 || math.Abs(x) >= 0.1 {
			return digits(x) + " per " + per.name
		}
	}
	return digits(v*86400) + " per day"
}

// digits writes v with three significant digits, or all of a whole number below a
// million, and no exponent between a thousandth and a trillion.
func digits(v float64) string {
	a := math.Abs(v)
	switch {
	case v == 0:
		return "0"
	case a < 1e6 && v == math.Trunc(v):
		return strconv.FormatFloat(v, 'f', 0, 64)
	case a >= 1e12 || a < 1e-3:
		return strconv.FormatFloat(v, 'g', 3, 64)
	}
	decimals := max(0, 2-int(math.Floor(math.Log10(a))))
	s := strconv.FormatFloat(v, 'f', decimals, 64)
	if decimals > 0 {
		for s[len(s)-1] == '0' {
			s = s[:len(s)-1]
		}
		if s[len(s)-1] == '.' {
			s = s[:len(s)-1]
		}
	}
	return s
}

// scaled writes v in the largest of units, each base times the one before, that is
// not larger than v.
func scaled(v, base float64, units ...string) string {
	i := 0
	for math.Abs(v) >= base && i < len(units)-1 {
		v, i = v/base, i+1
	}
	return digits(v) + " " + units[i]
}

func seconds(v float64) string {
	a := math.Abs(v)
	for _, u := range []struct {
		least, size float64
		name        string
	}{{2 * 86400, 86400, "days"}, {2 * 3600, 3600, "h"}, {120, 60, "min"}, {1, 1, "s"}, {1e-3, 1e-3, "ms"}, {1e-6, 1e-6, "µs"}} {
		if a >= u.least {
			return digits(v/u.size) + " " + u.name
		}
	}
	if v == 0 {
		return "0 s"
	}
	return digits(v/1e-9) + " ns"
}

func sortedKeys(m map[string]string) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
