package preset_test

import (
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/ingest"
)

// What is remembered of names changes no answer: labels decide among the entries that can take a name, whichever was asked first, and
// names beyond those that are remembered are classified as well.
func TestClassifyRemembersNames(t *testing.T) {
	s := set(t, all(t)...)
	app, total := series("container_memory_working_set_bytes", "container=app", "pod=web-0"), series("container_memory_working_set_bytes", "id=/kubepods")
	for range 2 {
		e, ok := s.Entry(s.Classify(app))
		require.True(t, ok)
		require.Equal(t, "container_memory", e.Name)
		e, ok = s.Entry(s.Classify(total))
		require.True(t, ok)
		require.Equal(t, "container_totals", e.Name)
	}
	for i := range 100_010 {
		require.Equal(t, -1, s.Classify([]ingest.Label{{Name: ingest.MetricName, Value: "app_" + strconv.Itoa(i)}}))
	}
	e, ok := s.Entry(s.Classify(series("node_vmstat_something", "instance=a")))
	require.True(t, ok)
	require.Equal(t, "node_vmstat", e.Name)
}
