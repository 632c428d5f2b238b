package logmine_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/logmine"
)

// heap returns the bytes in use after a collection.
func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// TestMemory: 10,000 live patterns of ordinary lines, each with entities, take 64 MiB at
// most, and hostile lines add nothing to that.
func TestMemory(t *testing.T) {
	before := heap()
	m := logmine.New(logmine.Options{MaxLeaves: 10_000, Entities: true})
	for i := range 10_000 {
		for k := range 3 {
			r := logmine.Parse(fmt.Sprintf("2026-11-22T10:00:00Z ERROR %s could not reach %s of node%d at 10.0.%d.%d:443 for user=u%d in %dms (attempt %d) while handling request %08x"+strings.Repeat(" .", i%50),
				word(i), word(i+7), i%90, i%250, k, i*k, i+k, k, i*77+k))
			m.AddRecord(&r, 1)
		}
	}
	used := heap() - before
	t.Logf("%d patterns: %.1f MiB", len(m.Patterns()), float64(used)/(1<<20))
	require.Less(t, used, int64(64<<20))
	for i := range 3_000 {
		line := word(i) + strings.Repeat(fmt.Sprintf(" %s{%s=%s", word(i*3), word(i*5), word(i*7)), i%200)
		if i%3 == 0 {
			line = strings.Repeat("(", i%5000) + line
		}
		r := logmine.Parse(line)
		m.AddRecord(&r, 1)
	}
	used = heap() - before
	t.Logf("after hostile lines: %.1f MiB", float64(used)/(1<<20))
	require.Less(t, used, int64(64<<20))
	runtime.KeepAlive(m)
}
