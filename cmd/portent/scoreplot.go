package main

import (
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/portent-dev/portent/internal/detect"
	"github.com/portent-dev/portent/internal/ingest"
	"github.com/portent-dev/portent/internal/replay"
)

// plot keeps what `portent score --plot` draws: one chart a column, and one of their joint
// score where there are several. A nil plot keeps nothing.
type plot struct {
	columns  []string
	recorded []*replay.Recorder
	joint    *replay.Recorder // nil for one column
	from, to int64
	samples  int
}

// add takes the newest row of t.
func (p *plot) add(t *table) {
	if p == nil || !t.begun {
		return
	}
	if p.recorded == nil {
		p.columns, p.from = t.columns, t.last
		for range t.columns {
			p.recorded = append(p.recorded, replay.NewRecorder(0))
		}
		if t.joined != nil {
			p.joint = replay.NewRecorder(0)
		}
	}
	p.to = t.last
	for i, ok := range t.scored {
		if ok {
			p.recorded[i].Add(t.outputs[i])
			p.samples++
		}
	}
	if p.joint != nil {
		p.joint.Add(detect.Output{T: t.last, Value: t.joint, Score: t.joint, Upper: replay.Threshold, Ready: true})
	}
}

// write writes the page to path. source is what was read.
func (p *plot) write(path, source string, c detect.Config, detector string) error {
	r := replay.Report{
		Title: source, From: time.UnixMilli(p.from).UTC(), To: time.UnixMilli(p.to).UTC(), Sensitivity: string(c.Sensitivity),
		Detector: detector, Threshold: replay.Threshold, Hold: "0s", Samples: p.samples,
	}
	for i, rec := range p.recorded {
		r.Add([]ingest.Label{{Name: ingest.MetricName, Value: p.columns[i]}}, rec)
	}
	if p.joint != nil {
		r.Add([]ingest.Label{{Name: ingest.MetricName, Value: "anomaly_score of all columns together"}}, p.joint)
	}
	r.Sort()
	var b strings.Builder
	if err := r.HTML(&b); err != nil {
		return fmt.Errorf("draw: %w", err)
	}
	return os.WriteFile(path, []byte(b.String()), 0o644)
}
