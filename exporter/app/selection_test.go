package app

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/ingest"
	"github.com/portent-dev/portent/internal/ingest/ingesttest"
)

func TestSelection(t *testing.T) {
	f := func(keep, drop []string, want bool, pairs ...string) {
		t.Helper()
		s, err := newSelection(keep, drop)
		require.NoError(t, err)
		require.Equal(t, want, s.takes(labelsOf(pairs...)))
	}
	node := []string{"__name__", "node_load1", "job", "node"}
	f(nil, nil, true, node...)
	f([]string{`node_load1`}, nil, true, node...)
	f([]string{`node_load5`}, nil, false, node...)
	f([]string{`node_load5`, `{job="node"}`}, nil, true, node...)
	f([]string{`{job="node",env="prod"}`}, nil, false, node...)
	f([]string{`{job="node",env=""}`}, nil, true, node...) // a label that is not there is empty
	f([]string{`{__name__=~"node_.*"}`}, nil, true, node...)
	f([]string{`{__name__=~"node"}`}, nil, false, node...) // anchored, as everywhere in PromQL
	f(nil, []string{`{job!="node"}`}, true, node...)
	f(nil, []string{`{job=~"node|kubelet"}`}, false, node...)
	f([]string{`{job="node"}`}, []string{`node_load1`}, false, node...) // drop wins
	f(nil, []string{`{le!=""}`}, false, "__name__", "h_bucket", "le", "0.1")
	f(nil, []string{`{le!=""}`}, true, node...)

	_, err := newSelection([]string{`{job="a"}`, `{job=`}, []string{`sum(x)`})
	require.ErrorContains(t, err, `keep[1]: "{job=" is no series selector`)
	require.ErrorContains(t, err, `drop[0]: "sum(x)" is no series selector`)
}

func TestSelectingCountsWhatItLeavesOut(t *testing.T) {
	s, err := newSelection(nil, []string{`b`})
	require.NoError(t, err)
	target := &ingesttest.Target{}
	left := prometheus.NewCounter(prometheus.CounterOpts{Name: "left"})
	sel := &selecting{next: target, current: func() *selection { return s }, unselected: left}

	a := sel.Appender()
	for _, name := range []string{"a", "b", "c"} {
		a.Append(labelsOf("__name__", name), ingest.KindGauge, []ingest.Sample{{T: 1, V: 1}, {T: 2, V: 1}})
	}
	require.Equal(t, ingest.Result{Accepted: 6}, a.Commit(), "the sender did nothing wrong")
	require.InDelta(t, 2, testutil.ToFloat64(left), 0)
	require.Equal(t, []string{`{__name__="a"}`, `{__name__="c"}`}, target.Names())

	a = sel.Appender()
	a.Append(labelsOf("__name__", "b"), ingest.KindGauge, []ingest.Sample{{T: 3, V: 1}})
	a.Rollback()
	require.InDelta(t, 2, testutil.ToFloat64(left), 0)
}

// BenchmarkSelection is what the default of detection.drop costs each series of each request.
func BenchmarkSelection(b *testing.B) {
	s, err := newSelection(nil, Default().Detection.Drop)
	require.NoError(b, err)
	ls := benchSeries(1)[0].labels
	for b.Loop() {
		s.takes(ls)
	}
}
