package anomalies

import (
	"math"
	"strings"

	"github.com/grafana/grafana-plugin-sdk-go/data"
)

// scoreField is how every score is displayed: green to 1, red above.
func scoreField(c *data.FieldConfig) *data.FieldConfig {
	c.SetMin(0).SetDecimals(2)
	c.Thresholds = &data.ThresholdsConfig{Mode: data.ThresholdsModeAbsolute, Steps: []data.Threshold{
		data.NewThreshold(math.Inf(-1), "green", ""), data.NewThreshold(1, "red", ""),
	}}
	return c
}

// units by the suffix that Prometheus's naming rules ask for, longest first. It is read only.
var units = []struct{ suffix, gauge, rate string }{
	{"_bytes", "bytes", "Bps"},
	{"_seconds", "s", "suffix:s/s"},
	{"_milliseconds", "ms", "suffix:ms/s"},
	{"_ratio", "percentunit", ""},
	{"_percent", "percent", ""},
	{"_celsius", "celsius", ""},
	{"_volts", "volt", ""},
	{"_amperes", "amp", ""},
	{"_joules", "joule", "watt"},
	{"_hertz", "hertz", ""},
}

// UnitOf returns Grafana's unit for the values of a metric, as the detector sees them: a counter as a rate.
// Empty when the name does not tell.
func UnitOf(metric string) string {
	counter := IsCounter(metric)
	base := metric
	if counter {
		switch {
		case strings.HasSuffix(metric, "_count"), strings.HasSuffix(metric, "_bucket"):
			return "cps" // how often something was counted
		default:
			base = metric[:strings.LastIndex(metric, "_")]
		}
	}
	for _, u := range units {
		if !strings.HasSuffix(base, u.suffix) {
			continue
		}
		if counter {
			return u.rate
		}
		return u.gauge
	}
	if counter {
		return "cps"
	}
	return ""
}

// commonUnit is that of all rows, or empty when they differ.
func commonUnit(rows []*series) string {
	unit := ""
	for i, r := range rows {
		u := UnitOf(r.metric())
		if i > 0 && u != unit {
			return ""
		}
		unit = u
	}
	return unit
}
