package app

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/detect/group"
	"github.com/portent-dev/portent/internal/ingest"
)

const groupedConfig = `
detection:
  groups: {workload: [namespace, workload]}
  patterns:
    - {name: shop, means: shop, as: value, match: '{namespace="shop"}', in: [workload]}
`

// play gives a workload of six series so many samples, the last one at to, and looks at its group after each.
func (a *testApp) play(t *testing.T, to time.Time, ticks int) {
	t.Helper()
	r := rand.New(rand.NewPCG(7, uint64(ticks)))
	e := a.gate.engine.Load()
	for i := range ticks {
		at := to.Add(time.Duration(i+1-ticks) * 15 * time.Second)
		e.SetNow(at.UnixMilli())
		app := e.Appender()
		for k := range 6 {
			labels := labelsOf("__name__", fmt.Sprintf("thing_%d", k), "namespace", "shop", "pod", "checkout-6c5b8d7f9-x7k2p")
			app.Append(labels, ingest.KindGauge, []ingest.Sample{{T: at.UnixMilli(), V: 100 + 5*r.NormFloat64()}})
		}
		app.Commit()
		a.tickGroups(at)
	}
}

func (a *testApp) groupsReady() (ready, all int) {
	a.groups.watch.Load().Results(func(r group.Result) bool {
		all++
		if r.Ready {
			ready++
		}
		return true
	})
	return ready, all
}

// Groups are as ready right after a restart, and after another configuration that leaves their rules, as before.
func TestRestartKeepsGroups(t *testing.T) {
	dir, now := t.TempDir(), time.Now().Truncate(time.Second)
	a := newApp(t, dir, groupedConfig)
	a.play(t, now.Add(-time.Minute), 600)
	ready, all := a.groupsReady()
	require.Equal(t, 1, ready)
	require.Equal(t, 1, all)

	code, body := a.reload(t, groupedConfig+"  sensitivity: high\n")
	require.Equal(t, 200, code, body)
	a.play(t, now.Add(-45*time.Second), 1)
	ready, _ = a.groupsReady()
	require.Equal(t, 1, ready, "after a reload")
	require.NoError(t, a.save())
	require.NoError(t, a.closeState())

	a = newApp(t, dir, groupedConfig)
	_, metrics := get(t, a.Handler(), "/metrics")
	require.Contains(t, metrics, "portent_exporter_groups_restored_members 6\n")
	a.play(t, now, 1)
	ready, _ = a.groupsReady()
	require.Equal(t, 1, ready, "at the first look after a restart")
	require.NoError(t, a.save())
	require.NoError(t, a.closeState())

	// Damaged: said, counted, kept to look into, and learnt anew; the models are not touched.
	path := filepath.Join(dir, "state", groupsName)
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	content[len(content)/2] ^= 1
	require.NoError(t, os.WriteFile(path, content, 0o600))
	a = newApp(t, dir, groupedConfig)
	a.play(t, now.Add(30*time.Second), 2) // the very first look judges nothing
	ready, all = a.groupsReady()
	require.Zero(t, ready)
	require.Equal(t, 1, all)
	_, metrics = get(t, a.Handler(), "/metrics")
	require.Contains(t, metrics, `portent_exporter_groups_refused_total{reason="corrupt"} 1`+"\n")
	require.Contains(t, metrics, "portent_exporter_groups_restored_members 0\n")
	require.Contains(t, metrics, "portent_exporter_snapshot_restored_series 6\n")
	require.Contains(t, a.log.String(), "groups not restored: they learn anew")
	kept, err := filepath.Glob(path + ".*" + badSuffix)
	require.NoError(t, err)
	require.Len(t, kept, 1)
}
