package logquery_test

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/logquery"
)

func text(t *testing.T, in string) *logquery.Answer {
	t.Helper()
	a, err := logquery.Run(t.Context(), logquery.Text{Files: []logquery.TextFile{{Name: "x", Open: func() (io.ReadCloser, error) {
		return io.NopCloser(strings.NewReader(in)), nil
	}}}}, logquery.Request{Patterns: 1000})
	require.NoError(t, err)
	sum := a.Other
	for _, p := range a.Entries {
		sum += p.Count
		require.Empty(t, p.Query.Text)
	}
	require.Equal(t, a.Total, sum)
	return a
}

// TestText: lines are cut where they end, whatever the blocks they are read in.
func TestText(t *testing.T) {
	var b strings.Builder
	for i := range 20_000 {
		fmt.Fprintf(&b, "took %d ms%s\r\n", i, strings.Repeat("x", i%50))
	}
	require.Equal(t, int64(20_000), text(t, b.String()).Total)
	require.Equal(t, int64(20_000), text(t, strings.TrimSuffix(b.String(), "\r\n")).Total, "the last may lack its newline")

	// Lines beyond what is looked at are one line each.
	for _, n := range []int{64 << 10, 64<<10 + 1, 256 << 10, 320 << 10, 10 << 20} {
		a := text(t, "first\n"+strings.Repeat("y", n)+"\nlast 1\nlast 2\n")
		require.Equal(t, int64(4), a.Total, "%d", n)
		require.Equal(t, int64(2), a.Entries[0].Count, "%d", n)
		require.Equal(t, int64(2), text(t, "first\n"+strings.Repeat("y", n)).Total, "%d", n)
	}
	require.Equal(t, int64(0), text(t, "").Total)
	require.Equal(t, int64(3), text(t, "\n\n\n").Total)
	require.Equal(t, int64(3), text(t, "\n\n\n").Other)

	a := text(t, "2026-11-22T12:00:00Z ERROR boom\njava.io.IOException: x\n\tat com.acme.A.b(A.java:1)\n2026-11-22T13:00:00Z INFO fine\n")
	require.Equal(t, int64(4), a.Total)
	require.Len(t, a.Entries, 2)
	require.Equal(t, int64(3), a.Entries[0].Count)
	require.NotEmpty(t, a.Times)
}

// TestTextWithoutTimes: lines that cannot be placed in a window are not dropped in
// silence.
func TestTextWithoutTimes(t *testing.T) {
	src := logquery.Text{Files: []logquery.TextFile{{Name: "x.log", Open: func() (io.ReadCloser, error) {
		return io.NopCloser(strings.NewReader("no time\nnone here\n2026-11-22T12:00:00Z INFO timed\n\tand indented\n")), nil
	}}}}
	a, err := logquery.Run(t.Context(), src, logquery.Request{Window: hour})
	require.NoError(t, err)
	require.Equal(t, int64(2), a.Total)
	require.Equal(t, []string{"x.log: 2 lines carry no time that is known, so they are in no window"}, a.Read.Partial)
}

func TestTextFails(t *testing.T) {
	open := func(r io.Reader, err error) logquery.Text {
		return logquery.Text{Files: []logquery.TextFile{{Name: "x.log", Open: func() (io.ReadCloser, error) { return io.NopCloser(r), err }}}}
	}
	_, err := logquery.Run(t.Context(), open(iotest.ErrReader(errors.New("disk gone")), nil), logquery.Request{})
	require.ErrorContains(t, err, "x.log: disk gone")
	_, err = logquery.Run(t.Context(), open(nil, errors.New("no such file")), logquery.Request{})
	require.ErrorContains(t, err, "x.log: no such file")
}
