package detect

import (
	"strings"
	"time"

	"github.com/portent-dev/portent/internal/finding"
	"github.com/portent-dev/portent/internal/ingest"
)

// Finding returns what an output says about a series as a finding of the given
// detector. Labels are copied.
func (o Output) Finding(labels []ingest.Label, detector string) finding.Finding {
	f := finding.Finding{
		Source:   finding.SourceDetector,
		Labels:   make(map[string]string, len(labels)),
		At:       time.UnixMilli(o.T).UTC(),
		Score:    o.Score,
		Detector: detector,
		Reason:   o.Reason.String(),
		Observed: o.Value, Expected: o.Expected, Lower: o.Lower, Upper: o.Upper,
		Direction: finding.Side(o.Value, o.Expected),
	}
	if o.Since != 0 {
		f.Since = time.UnixMilli(o.Since).UTC()
	}
	for _, l := range labels {
		if l.Name == ingest.MetricName {
			f.What = strings.Clone(l.Value)
		} else {
			f.Labels[strings.Clone(l.Name)] = strings.Clone(l.Value)
		}
	}
	f.Unit = unit(f.What)
	return f
}

// unit returns the unit that the name of a metric ends with, by Prometheus's naming
// convention. A counter is shown as its rate.
func unit(metric string) string {
	name, counter := strings.CutSuffix(metric, "_total")
	for _, u := range [...]string{"bytes", "seconds", "ratio", "percent"} {
		if !strings.HasSuffix(name, "_"+u) {
			continue
		}
		switch {
		case !counter:
			return u
		case u == "seconds":
			return "ratio" // seconds per second: the share of the time
		case u == "bytes":
			return "bytes per second"
		}
	}
	if counter {
		return "per second"
	}
	return ""
}
