// Package dataplane makes frames that follow Grafana's data plane contract
// (https://grafana.github.io/dataplane/contract/), version 0.1. It must not know what the values mean.
package dataplane

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/grafana/grafana-plugin-sdk-go/data"
)

// version of the contract for every frame.
var version = data.FrameTypeVersion{0, 1} // read only

// Series returns one frame of kind timeseries-multi: times ascending, values nullable. step is the expected
// distance of the times, so that a panel can show gaps; 0 when there is none.
func Series(name string, labels data.Labels, times []time.Time, values []*float64, step time.Duration, config *data.FieldConfig) *data.Frame {
	t := data.NewField(data.TimeSeriesTimeFieldName, nil, times)
	if step > 0 {
		t.Config = &data.FieldConfig{Interval: float64(step.Milliseconds())}
	}
	v := data.NewField(name, labels, values)
	v.Config = config
	f := data.NewFrame("", t, v)
	f.Meta = &data.FrameMeta{Type: data.FrameTypeTimeSeriesMulti, TypeVersion: version}
	return f
}

// Number returns one frame of kind numeric-multi.
func Number(name string, labels data.Labels, value float64, config *data.FieldConfig) *data.Frame {
	v := data.NewField(name, labels, []float64{value})
	v.Config = config
	f := data.NewFrame("", v)
	f.Meta = &data.FrameMeta{Type: data.FrameTypeNumericMulti, TypeVersion: version}
	return f
}

// Empty returns the one frame without fields with which an answer of this kind says that there is no data.
func Empty(kind data.FrameType) *data.Frame {
	f := data.NewFrame("")
	f.Meta = &data.FrameMeta{Type: kind, TypeVersion: version}
	return f
}

// Table returns one frame of kind table.
func Table(name string, fields ...*data.Field) *data.Frame {
	f := data.NewFrame(name, fields...)
	f.Meta = &data.FrameMeta{Type: data.FrameTypeTable, TypeVersion: version, PreferredVisualization: data.VisTypeTable}
	return f
}

// Finish puts the executed query and the notices on the first frame, where Grafana looks for them.
func Finish(frames data.Frames, executed string, notices []data.Notice) data.Frames {
	if len(frames) > 0 {
		frames[0].Meta.ExecutedQueryString = executed
		frames[0].AppendNotices(notices...)
	}
	return frames
}

// SeriesName writes a series as PromQL does: metric{label="value"}, labels in order.
func SeriesName(metric string, labels map[string]string) string {
	names := make([]string, 0, len(labels))
	for n, v := range labels {
		names = append(names, fmt.Sprintf("%s=%q", n, v))
	}
	if len(names) == 0 {
		return metric
	}
	slices.Sort(names)
	return metric + "{" + strings.Join(names, ", ") + "}"
}
