package loghistory_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/loghistory"
	"github.com/portent-dev/portent/internal/logwatch"
)

var state = logwatch.State{SinceMs: 5, Streams: []logwatch.StreamState{{Name: "a\x00b", SinceMs: 6, Tracks: []logwatch.TrackState{
	{ID: "1", Template: "one <*>", FirstMs: 7, LastMs: 8, Hours: []int64{490000, 3, 1, 4}},
}}}}

var sights = []logwatch.FirstSight{{Stream: "a", ID: "2", Template: "two\nlines", FirstMs: 9, Novel: true}, {Stream: "a", ID: "3", Template: "three", FirstMs: 10}}

func open(t *testing.T, dir string) (*loghistory.Store, loghistory.Loaded) {
	t.Helper()
	s, l, err := loghistory.Open(dir)
	require.NoError(t, err)
	t.Cleanup(func() { _ = s.Close() })
	return s, l
}

func TestRoundTrip(t *testing.T) {
	dir := t.TempDir()
	s, l := open(t, dir)
	require.False(t, l.Found)
	require.NoError(t, l.Refused)
	require.NoError(t, s.Append(sights[:1]))
	require.NoError(t, s.Append(nil))
	require.NoError(t, s.Append(sights[1:]))

	// Killed here: the journal has it.
	again, l := open(t, dir)
	require.Equal(t, sights, l.Sights)
	size, err := again.Save(state, 1<<20)
	require.NoError(t, err)
	info, err := os.Stat(filepath.Join(dir, "log-patterns.snapshot"))
	require.NoError(t, err)
	require.Equal(t, info.Size(), size)
	require.NoError(t, again.Append(sights[1:]))

	_, l = open(t, dir)
	require.True(t, l.Found)
	require.Equal(t, state, l.State)
	require.Equal(t, sights[1:], l.Sights, "what the snapshot has is not in the journal")
}

func TestTornJournal(t *testing.T) {
	dir := t.TempDir()
	s, _ := open(t, dir)
	require.NoError(t, s.Append(sights))
	path := filepath.Join(dir, "log-patterns.journal")
	whole, err := os.ReadFile(path)
	require.NoError(t, err)
	second := strings.Index(string(whole), "\n") + 1
	for cut := second; cut < len(whole); cut++ {
		require.NoError(t, os.WriteFile(path, whole[:cut], 0o600))
		s, l := open(t, dir)
		require.Equal(t, sights[:1], l.Sights)
		require.NoError(t, l.Refused)
		require.Equal(t, cut-second, l.Torn)
		require.NoError(t, s.Append(sights[1:]))
		_, l = open(t, dir)
		require.Equal(t, sights, l.Sights, "what follows a torn line can be read")
	}
}

func TestDamage(t *testing.T) {
	dir := t.TempDir()
	s, _ := open(t, dir)
	_, err := s.Save(state, 1<<20)
	require.NoError(t, err)
	path := filepath.Join(dir, "log-patterns.snapshot")
	good, err := os.ReadFile(path)
	require.NoError(t, err)
	f := func(content string, want error) {
		t.Helper()
		require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
		_, l := open(t, dir)
		require.ErrorIs(t, l.Refused, want)
		require.False(t, l.Found)
		require.Zero(t, l.State)
		require.NoFileExists(t, path)
	}
	f("", loghistory.ErrCorrupt)
	f("x", loghistory.ErrCorrupt)
	f(strings.Replace(string(good), "patterns 1 ", "patterns 2 ", 1), loghistory.ErrVersion)
	f(string(good[:len(good)-1]), loghistory.ErrCorrupt)
	f(string(good)+"x", loghistory.ErrCorrupt)
	bad, err := filepath.Glob(path + ".*.bad")
	require.NoError(t, err)
	require.LessOrEqual(t, len(bad), 3)

	require.NoError(t, s.Append(sights))
	journal := filepath.Join(dir, "log-patterns.journal")
	content, err := os.ReadFile(journal)
	require.NoError(t, err)
	content[12] ^= 1
	require.NoError(t, os.WriteFile(journal, content, 0o600))
	_, l := open(t, dir)
	require.ErrorIs(t, l.Refused, loghistory.ErrCorrupt)
	require.Empty(t, l.Sights)
}

func TestSizeCap(t *testing.T) {
	dir := t.TempDir()
	s, _ := open(t, dir)
	size, err := s.Save(state, 10)
	require.ErrorIs(t, err, loghistory.ErrTooLarge)
	require.Greater(t, size, int64(10))
	require.NoFileExists(t, filepath.Join(dir, "log-patterns.snapshot"))
}

func FuzzOpen(f *testing.F) {
	f.Add([]byte("portent-log-patterns 1 sha256:\n"), []byte("00000000 {}\n"))
	f.Fuzz(func(t *testing.T, snapshot, journal []byte) {
		dir := t.TempDir()
		require.NoError(t, os.WriteFile(filepath.Join(dir, "log-patterns.snapshot"), snapshot, 0o600))
		require.NoError(t, os.WriteFile(filepath.Join(dir, "log-patterns.journal"), journal, 0o600))
		s, _, err := loghistory.Open(dir)
		require.NoError(t, err)
		require.NoError(t, s.Close())
	})
}
