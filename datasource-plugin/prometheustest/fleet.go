package prometheustest

import (
	"math"
	"time"
)

// The hour in which the fleet was watched.
var (
	FleetStart = time.Date(2026, 11, 22, 11, 0, 0, 0, time.UTC) // read only
	FleetEnd   = FleetStart.Add(time.Hour)                      // read only
)

// fleetStep is the scrape interval of the fleet.
const fleetStep = 15 * time.Second

// HostileValue is a label value with everything that a query, a link or a page could trip over.
const HostileValue = "say \"hi\" \\ {}\n<b>$x ${y} [[z]]</b>"

// Fleet is an hour of a few machines and services with what portent-exporter says of them:
//
//   - node_load1 of web-1 is anomalous from minute 40 on, to the end; that of web-2 was from minute 10 to 15.
//   - http_requests_total, a counter, is anomalous from minute 50 on; its label has a hostile value.
//   - node_memory_MemAvailable_bytes of db-1 is normal throughout.
//   - job_duration_seconds was anomalous from minute 20 and its series ended at minute 30.
//   - custom_gauge has a label "metric" of its own, and was just above 1 from minute 5 to 7.
func Fleet() []Series {
	var all []Series
	all = append(all, watched("node_load1", map[string]string{"instance": "web-1:9100", "job": "node"}, 240,
		func(m float64) float64 { return pick(m >= 40, 9, 1) + wave(m, 0.2) }, func(m float64) float64 { return pick(m >= 40, 3.25, 0.25) + wave(m, 0.1) }, 1, 0.5)...)
	all = append(all, watched("node_load1", map[string]string{"instance": "web-2:9100", "job": "node"}, 240,
		func(m float64) float64 { return pick(m >= 10 && m < 15, 4, 1) + wave(m, 0.2) }, func(m float64) float64 { return pick(m >= 10 && m < 15, 1.8, 0.3) + wave(m, 0.1) }, 1, 0.5)...)
	total := 0.0
	all = append(all, watched("http_requests_total", map[string]string{"job": "shop", "path": HostileValue}, 240,
		func(m float64) float64 { total += pick(m >= 50, 600, 150); return total }, func(m float64) float64 { return pick(m >= 50, 1.4, 0.4) + wave(m, 0.05) }, 10, 2)...)
	all = append(all, watched("node_memory_MemAvailable_bytes", map[string]string{"instance": "db-1:9100", "job": "node"}, 240,
		func(m float64) float64 { return 8e9 + wave(m, 1e8) }, func(m float64) float64 { return 0.5 + wave(m, 0.2) }, 8e9, 5e8)...)
	all = append(all, watched("job_duration_seconds", map[string]string{"job": "batch"}, 120,
		func(m float64) float64 { return pick(m >= 20, 90, 30) }, func(m float64) float64 { return pick(m >= 20, 2.2, 0.1) + wave(m, 0.01) }, 30, 5)...)
	all = append(all, watched("custom_gauge", map[string]string{"metric": "m1"}, 240,
		func(m float64) float64 { return 5 + pick(m >= 5 && m < 7, 1, 0) }, func(m float64) float64 { return pick(m >= 5 && m < 7, 1.05, 0.6) }, 5, 0.5)...)
	return all
}

// watched is one input series of n samples, as a scrape of its target stores it, and the four series that the
// exporter writes of it. The functions get the minute within the hour.
func watched(name string, ls map[string]string, n int, input, score func(float64) float64, expected, spread float64) []Series {
	out := map[string]string{"metric": name}
	for k, v := range ls {
		if k == "metric" {
			k = "exported_metric"
		}
		out[k] = v
	}
	series := func(name string, ls map[string]string, f func(float64) float64) Series {
		s := Series{Name: name, Labels: ls, Start: FleetStart.Add(fleetStep), Step: fleetStep}
		for i := range n {
			s.Values = append(s.Values, f(float64(i)*fleetStep.Minutes()))
		}
		return s
	}
	flat := func(v float64) func(float64) float64 { return func(float64) float64 { return v } }
	return []Series{
		series(name, ls, input),
		series("anomaly_score", out, score),
		series("anomaly_expected", out, flat(expected)),
		series("anomaly_expected_lower", out, flat(expected-spread)),
		series("anomaly_expected_upper", out, flat(expected+spread)),
	}
}

func pick(when bool, yes, no float64) float64 {
	if when {
		return yes
	}
	return no
}

// wave is a slow movement of this size, rounded so that goldens are readable.
func wave(minute, size float64) float64 {
	return math.Round(1000*math.Sin(minute/7)) / 1000 * size
}
