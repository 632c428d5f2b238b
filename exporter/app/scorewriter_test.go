package app

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/prompb"
	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/detect"
)

// spelled writes what is sent as text: name{labels}=value@time.
func spelled(series []prompb.TimeSeries) (out []string) {
	for _, s := range series {
		var b strings.Builder
		for _, l := range s.Labels {
			fmt.Fprintf(&b, "%s=%s,", l.Name, l.Value)
		}
		x := s.Samples[0]
		v := fmt.Sprint(x.Value)
		if value.IsStaleNaN(x.Value) {
			v = "stale"
		}
		out = append(out, fmt.Sprintf("%s%s@%d", b.String(), v, x.Timestamp))
	}
	return out
}

func TestScoreWriterSendsEachScoreOnce(t *testing.T) {
	c := defaultScoreWriter()
	c.MaxSeries, c.Labels = 2, map[string]string{"replica": "a", "job": "of the configuration"}
	w := newScoreWriter(c, families[:2], prometheus.NewRegistry())
	w.since = 100
	one := testSeries{labelsOf("Zone", "z", "__name__", "up", "job", "node", "metric", "mine"), detect.Output{T: 100, Score: 0.5}}
	two := testSeries{labelsOf("__name__", "old"), detect.Output{T: 99, Score: 0.5}}
	three := testSeries{labelsOf("__name__", "no room"), detect.Output{T: 100, Score: 0.5}}

	labels := "exported_metric=mine,job=node,metric=up,replica=a,"
	require.Equal(t, []string{"Zone=z,__name__=anomaly_score," + labels + "0.5@100"}, spelled(w.collect(each([]testSeries{one, two, three}), 110)),
		"before there is a baseline the score alone; nothing from before the start; nothing beyond max_series")
	require.Empty(t, w.collect(each([]testSeries{one, two}), 120), "nothing twice")

	one.out = detect.Output{T: 115, Score: 2, Ready: true, Expected: 7}
	require.Equal(t, []string{
		"Zone=z,__name__=anomaly_score," + labels + "2@115",
		"Zone=z,__name__=anomaly_expected," + labels + "7@115",
	}, spelled(w.collect(each([]testSeries{one, two}), 130)))

	one.out = detect.Output{T: 116, Value: math.NaN()}
	require.Equal(t, []string{
		"Zone=z,__name__=anomaly_score," + labels + "0@116",
		"Zone=z,__name__=anomaly_expected," + labels + "stale@116",
	}, spelled(w.collect(each([]testSeries{one, two}), 140)), "what is not known any more ends")

	require.Equal(t, []string{"Zone=z,__name__=anomaly_score," + labels + "stale@150"}, spelled(w.collect(each([]testSeries{two}), 150)))
	require.Empty(t, w.collect(each(nil), 160), "what was never sent needs no end")
	require.Empty(t, w.series)
}

// An end is never earlier than what was sent, whatever the clock says.
func TestScoreWriterEndsInOrder(t *testing.T) {
	w := newScoreWriter(defaultScoreWriter(), families[:1], prometheus.NewRegistry())
	s := testSeries{labelsOf("__name__", "up"), detect.Output{T: 1000}}
	w.collect(each([]testSeries{s}), 500)
	require.Equal(t, []string{"__name__=anomaly_score,metric=up,stale@1001"}, spelled(w.collect(each(nil), 600)))
}
