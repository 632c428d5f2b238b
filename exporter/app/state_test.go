package app

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/detect"
)

// newTestState opens a state directory; what it logs is in log.
func newTestState(t *testing.T, dir string) (s *state, reg *prometheus.Registry, log *bytes.Buffer) {
	t.Helper()
	log, reg = &bytes.Buffer{}, prometheus.NewRegistry()
	s, err := openState(dir, newStateMetrics(reg), slog.New(slog.NewTextHandler(log, nil)))
	require.NoError(t, err)
	t.Cleanup(func() { _ = s.close() })
	return s, reg, log
}

func filesIn(t *testing.T, dir string) (out []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	for _, e := range entries {
		if e.Name() != lockName {
			out = append(out, e.Name())
		}
	}
	return out
}

func engineWith(t *testing.T, names ...string) *detect.Engine {
	t.Helper()
	e := newEngine(t, detect.Options{})
	for _, n := range names {
		write(e, n, 1000, 1, 2, 3)
	}
	return e
}

func TestStateSavesAndRestores(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b")
	s, reg, log := newTestState(t, dir)
	e := engineWith(t)
	taken, err := s.restore(e)
	require.NoError(t, err)
	require.True(t, taken.IsZero())
	require.Contains(t, log.String(), "no snapshot, starting fresh")

	require.NoError(t, s.save(engineWith(t, "a", "b")))
	require.NoError(t, s.save(engineWith(t, "a", "b", "c")))
	require.Equal(t, []string{snapshotName}, filesIn(t, dir))
	info, err := os.Stat(filepath.Join(dir, snapshotName))
	require.NoError(t, err)
	require.EqualValues(t, 0o640, info.Mode().Perm())
	require.InDelta(t, info.Size(), gauge(t, reg, "portent_exporter_snapshot_size_bytes"), 0)
	require.InDelta(t, time.Now().Unix(), gauge(t, reg, "portent_exporter_snapshot_last_success_timestamp_seconds"), 60)
	require.NoError(t, s.close())

	s, reg, log = newTestState(t, dir)
	taken, err = s.restore(e)
	require.NoError(t, err)
	require.Equal(t, info.ModTime(), taken)
	require.Equal(t, map[string]int64{"a": 1002, "b": 1002, "c": 1002}, newest(e))
	require.InDelta(t, 3, gauge(t, reg, "portent_exporter_snapshot_restored_series"), 0)
	require.Contains(t, log.String(), "models restored")
}

func gauge(t *testing.T, g prometheus.Gatherer, name string) float64 {
	t.Helper()
	fs, err := g.Gather()
	require.NoError(t, err)
	for _, f := range fs {
		if f.GetName() == name {
			return f.GetMetric()[0].GetGauge().GetValue()
		}
	}
	require.Fail(t, "no metric "+name)
	return 0
}

func TestStateRefusesWhatIsDamaged(t *testing.T) {
	whole := func() []byte {
		var b bytes.Buffer
		require.NoError(t, engineWith(t, "a", "b").Snapshot(&b))
		return b.Bytes()
	}()
	flip := func(i int) []byte {
		b := bytes.Clone(whole)
		b[i] ^= 0x10
		return b
	}
	for name, content := range map[string][]byte{
		"empty":         {},
		"cut short":     whole[:len(whole)-1],
		"cut in half":   whole[:len(whole)/2],
		"not one":       []byte("hello\n"),
		"zeros":         make([]byte, len(whole)),
		"a bit in it":   flip(len(whole) / 2),
		"a bit at last": flip(len(whole) - 1),
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			require.NoError(t, os.WriteFile(filepath.Join(dir, snapshotName), content, 0o600))
			s, reg, log := newTestState(t, dir)
			e := engineWith(t)
			taken, err := s.restore(e)
			require.NoError(t, err)
			require.True(t, taken.IsZero())
			require.Empty(t, newest(e), "starts fresh")
			require.Contains(t, log.String(), "snapshot refused, starting fresh")
			require.Contains(t, log.String(), "reason=corrupt")
			kept := filesIn(t, dir)
			require.Len(t, kept, 1)
			require.Regexp(t, `^models\.snapshot\.\d+\.bad$`, kept[0])
			aside, err := os.ReadFile(filepath.Join(dir, kept[0]))
			require.NoError(t, err)
			require.Equal(t, content, aside)
			require.NoError(t, testutil.GatherAndCompare(reg, strings.NewReader(`
# HELP portent_exporter_snapshot_refused_total Snapshots that were not taken over at the start, since they were damaged (corrupt), written by another version (version) or not readable (unreadable). They are kept as .bad.
# TYPE portent_exporter_snapshot_refused_total counter
portent_exporter_snapshot_refused_total{reason="corrupt"} 1
portent_exporter_snapshot_refused_total{reason="unreadable"} 0
portent_exporter_snapshot_refused_total{reason="version"} 0
`), "portent_exporter_snapshot_refused_total"))
		})
	}
}

func TestStateRefusesAnotherVersion(t *testing.T) {
	dir := t.TempDir()
	s, _, log := newTestState(t, dir)
	require.NoError(t, os.WriteFile(s.path(), nil, 0o600))
	require.NoError(t, s.refuse(errors.Join(errors.New("layout 7"), detect.ErrVersion)))
	require.Contains(t, log.String(), "reason=version")
	require.Contains(t, log.String(), "layout 7")
}

func TestStateKeepsFewRefusedSnapshots(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		s, _, _ := newTestState(t, dir)
		var last []string
		for range 2 * keepBad {
			pass(time.Minute) // the name holds the time
			require.NoError(t, os.WriteFile(s.path(), []byte("x"), 0o600))
			require.NoError(t, s.refuse(detect.ErrCorrupt))
			last = append(last, fmt.Sprintf("%s.%d%s", snapshotName, time.Now().UnixMilli(), badSuffix))
		}
		require.Equal(t, last[len(last)-keepBad:], filesIn(t, dir))
	})
}

// fullDisk takes some bytes and then no more, as a real file does: /dev/full refuses each write.
type fullDisk struct {
	room int
	f    *os.File
}

func (d *fullDisk) Write(b []byte) (int, error) {
	if len(b) > d.room {
		n := d.room
		d.room = 0
		return n, &os.PathError{Op: "write", Path: "models.snapshot.tmp", Err: syscall.ENOSPC}
	}
	d.room -= len(b)
	return d.f.Write(b)
}

func (d *fullDisk) Sync() error  { return d.f.Sync() }
func (d *fullDisk) Close() error { return d.f.Close() }

func TestStateSurvivesAFullDisk(t *testing.T) {
	dir := t.TempDir()
	s, reg, _ := newTestState(t, dir)
	require.NoError(t, s.save(engineWith(t, "good")))
	before, err := os.ReadFile(s.path())
	require.NoError(t, err)

	working := s.create
	failures := 0
	fail := func(create func(string) (file, error), want error) {
		t.Helper()
		failures++
		s.create = create
		require.ErrorIs(t, s.save(engineWith(t, "a", "b", "c")), want)
		after, err := os.ReadFile(s.path())
		require.NoError(t, err)
		require.Equal(t, before, after)
		require.Equal(t, []string{snapshotName}, filesIn(t, dir), "what was begun takes no room")
	}
	fail(func(path string) (file, error) {
		f, err := os.Create(path)
		return &fullDisk{100, f}, err
	}, syscall.ENOSPC)
	if _, err := os.Stat("/dev/full"); err == nil {
		fail(func(string) (file, error) { return os.OpenFile("/dev/full", os.O_WRONLY, 0) }, syscall.ENOSPC)
	}
	fail(func(string) (file, error) { return nil, syscall.EROFS }, syscall.EROFS)
	fail(func(path string) (file, error) {
		f, err := os.Create(path)
		return brokenSync{f}, err
	}, syscall.EIO)

	require.Contains(t, metricsText(t, reg), fmt.Sprintf("portent_exporter_snapshot_errors_total{operation=\"write\"} %d\n", failures))
	s.create = working
	require.NoError(t, s.save(engineWith(t, "a")), "room again")
	e := engineWith(t)
	_, err = s.restore(e)
	require.NoError(t, err)
	require.Equal(t, map[string]int64{"a": 1002}, newest(e))
}

type brokenSync struct{ *os.File }

func (brokenSync) Sync() error { return syscall.EIO }

func metricsText(t *testing.T, g prometheus.Gatherer) string {
	t.Helper()
	x := newExposition(g, func() published { return published{forEach: each(nil)} }, newExportMetrics(prometheus.NewRegistry()), slog.New(slog.DiscardHandler))
	b, err := io.ReadAll(scrape(x).Body)
	require.NoError(t, err)
	return string(b)
}

func TestStateDirectoryIsForOneExporter(t *testing.T) {
	dir := t.TempDir()
	s, _, _ := newTestState(t, dir)
	_, err := openState(dir, newStateMetrics(prometheus.NewRegistry()), slog.New(slog.DiscardHandler))
	require.ErrorContains(t, err, "which one exporter at a time can use")
	require.NoError(t, s.close())
	again, err := openState(dir, newStateMetrics(prometheus.NewRegistry()), slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	require.NoError(t, again.close())
}

func TestStateDoesNotGoOnBesideASnapshotItCannotOpen(t *testing.T) {
	dir := t.TempDir()
	s, _, _ := newTestState(t, dir)
	require.NoError(t, os.Symlink(snapshotName, s.path())) // a loop: cannot be opened, is not absent
	_, err := s.restore(engineWith(t))
	require.ErrorContains(t, err, "open snapshot")
	require.Equal(t, []string{snapshotName}, filesIn(t, dir))
}
