package logmine_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/logmine"
)

// TestEntryEvent: an entry of several lines is one event, and one line of its store.
func TestEntryEvent(t *testing.T) {
	e := logmine.EntryEvent("2026-11-22T12:00:00Z ERROR save failed\njava.io.IOException: disk full\n\tat com.acme.Disk.write(Disk.java:7)\n")
	require.Equal(t, "save failed → IOException: disk full at Disk.write(Disk.java:7)", e.Message)
	require.Equal(t, logmine.Error, e.Severity)
	require.Equal(t, 1, e.Lines)
	c, ok := e.Cause()
	require.True(t, ok)
	require.Equal(t, "java.io.IOException", c.Class)

	e = logmine.EntryEvent("level=info msg=\"all is well\"\n\n")
	require.Equal(t, "all is well", e.Message)
	_, ok = e.Cause()
	require.False(t, ok)

	e = logmine.EntryEvent("a table:\n1 2 3\n4 5 6")
	require.Equal(t, "a table:", e.Message)
}

// TestForms: the templates of all shapes that make up a pattern are told.
func TestForms(t *testing.T) {
	m := logmine.New(logmine.Options{})
	for _, l := range []string{"open the file 1", "open the file 2", "open the file (3)"} {
		m.Add(l, 0, logmine.Info)
	}
	ps := m.Patterns()
	require.Len(t, ps, 1)
	require.Equal(t, []string{"open the file <*>", "open the file (<*>)"}, ps[0].Forms())
}
