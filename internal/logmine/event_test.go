package logmine_test

import (
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/logmine"
)

// joined returns the events of text as lines `number of lines: message`.
func joined(text string) []string {
	var j logmine.Joiner
	var out []string
	add := func(e logmine.Event, ok bool) {
		if ok {
			out = append(out, strconv.Itoa(e.Lines)+": "+e.Message)
		}
	}
	for line := range strings.SplitSeq(strings.TrimSuffix(text, "\n"), "\n") {
		add(j.Add(logmine.Parse(line)))
	}
	add(j.Flush())
	return out
}

// TestEvents reads testdata/events: files of log lines, then a line of ====, then the
// events that they are.
func TestEvents(t *testing.T) {
	files, err := os.ReadDir("testdata/events")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, f := range files {
		t.Run(f.Name(), func(t *testing.T) {
			text, err := os.ReadFile("testdata/events/" + f.Name())
			require.NoError(t, err)
			in, want, ok := strings.Cut(string(text), "====\n")
			require.True(t, ok)
			require.Equal(t, strings.TrimSpace(want), strings.Join(joined(in), "\n"))
		})
	}
}

func TestEventsAreBounded(t *testing.T) {
	var j logmine.Joiner
	j.Add(logmine.Parse("boom"))
	lines, events := 1, 0
	for range 10_000 {
		if e, ok := j.Add(logmine.Parse("\tat com.acme.A.f(A.java:1) " + strings.Repeat("x", 100))); ok {
			events++
			require.LessOrEqual(t, e.Lines, 2000)
			require.LessOrEqual(t, len(e.Text), 64<<10)
			lines -= e.Lines
		}
		lines++
	}
	e, ok := j.Flush()
	require.True(t, ok)
	require.Equal(t, e.Lines, lines)
	require.Equal(t, 5, events)
	_, ok = j.Flush()
	require.False(t, ok)
}

// TestEventCountsAddUp: lines in = lines of patterns and other, with traces in it.
func TestEventCountsAddUp(t *testing.T) {
	m := logmine.New(logmine.Options{Entities: true})
	var j logmine.Joiner
	n := 0
	for i := range 300 {
		for line := range strings.SplitSeq("started "+strconv.Itoa(i)+"\n\njava.io.IOException: disk "+strconv.Itoa(i)+"\n\tat com.acme.Disk.write(Disk.java:7)\n\tat java.base/java.lang.Thread.run(Thread.java:1)\n  ", "\n") {
			if e, ok := j.Add(logmine.Parse(line)); ok {
				m.AddEvent(&e)
			}
			n++
		}
	}
	e, ok := j.Flush()
	require.True(t, ok)
	m.AddEvent(&e)
	sum := m.Counts().Other
	var trace *logmine.Pattern
	for _, p := range m.Patterns() {
		sum += p.Count
		if strings.Contains(p.Template, "IOException") {
			trace = &p
		}
	}
	require.EqualValues(t, n, m.Counts().Lines)
	require.EqualValues(t, n, sum)
	require.NotNil(t, trace)
	require.EqualValues(t, 300, trace.Events)
	require.Equal(t, "IOException: disk <*> at Disk.write(Disk.java:<*>)", trace.Template)
	require.Contains(t, trace.Example, "\n\tat java.base", "the example is the whole trace")
	require.Equal(t, logmine.Error, trace.Severity())
}

func FuzzJoiner(f *testing.F) {
	f.Add("a\n b\nCaused by: x\npanic: y\n\ngoroutine 1 [running]:\nmain.f(0x1)\n")
	f.Add("Traceback (most recent call last):\n  File \"a\", line 1, in f\nE: x")
	f.Add("ERROR x\nTraceback (most recent call last):\nat (\n\tat )")
	f.Fuzz(func(t *testing.T, text string) {
		var j logmine.Joiner
		in, out := 0, 0
		for line := range strings.SplitSeq(text, "\n") {
			if e, ok := j.Add(logmine.Parse(line)); ok {
				out += e.Lines
			}
			in++
		}
		if e, ok := j.Flush(); ok {
			out += e.Lines
		}
		require.Equal(t, in, out)
	})
}
