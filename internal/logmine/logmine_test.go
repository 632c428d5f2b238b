package logmine_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/logmine"
)

func mine(t *testing.T, o logmine.Options, lines ...string) []string {
	t.Helper()
	o.KeepRefs = true
	m := logmine.New(o)
	refs := make([]logmine.Ref, len(lines))
	for i, l := range lines {
		refs[i] = m.Add(l, 0, logmine.Unknown)
	}
	out := make([]string, len(lines))
	for i, r := range refs {
		if p, ok := m.Pattern(r); ok {
			out[i] = p.Template
		}
	}
	return out
}

func TestParameters(t *testing.T) {
	f := func(line, want string) {
		t.Helper()
		require.Equal(t, []string{want}, mine(t, logmine.Options{}, line))
	}
	f("Connected to 10.0.0.7:5432 in 12ms", "Connected to <*> in <*>")
	f("Connected to [fe80::1]", "Connected to [<*>]")
	f("open /var/lib/data: permission denied", "open <*>: permission denied")
	f(`GET /v2/servers?all=1&x=2 HTTP/1.1" 200`, `<*> <*> <*>" <*>`)
	f("mail from bob@example.org rejected", "mail from <*> rejected")
	f("adj=-1,force=true,name=null", "adj=<*>,force=<*>,name=<*>")
	f(`tag="View Lock" held`, `tag="<*>" held`)
	f("at Tue Aug 02 10:11:12 PDT 2005 done", "at <*> done")
	f("free 93.0 KB of 5GiB", "free <*> of <*>")
	f("request b9000564-fe1a-409b-b8cc-1e88b294cd1d took 3 s", "request <*> took <*> s")
	f("NAT64 on en0", "NAT64 on en0")
	f("load/store alignment", "load/store alignment")
	f("-----", "-----")
}

func TestWordsThatVaryBecomeParameters(t *testing.T) {
	var lines []string
	for _, u := range []string{"alice", "bob", "carol", "dave", "eve", "frank", "grace"} {
		lines = append(lines, "session opened for user "+u)
	}
	lines = append(lines, "session closed for user alice")
	got := mine(t, logmine.Options{}, lines...)
	for _, g := range got[:7] {
		require.Equal(t, "session opened for user <*>", g)
	}
	require.Equal(t, "session closed for user alice", got[7])
}

func TestFewWordsStayApart(t *testing.T) {
	require.Equal(t, []string{"layout begin", "layout end"}, mine(t, logmine.Options{}, "layout begin", "layout end"))
}

// TestOrderDoesNotMatter: the patterns and their ids depend on which lines came, not
// on their order.
func TestOrderDoesNotMatter(t *testing.T) {
	var lines []string
	for i := range 200 {
		lines = append(lines, fmt.Sprintf("worker %d finished job %s with code=%s", i, string(rune('a'+i%26))+"bc", "x"+string(rune('a'+i%7))))
		lines = append(lines, fmt.Sprintf("cache miss for key k%d", i))
	}
	forward := logmine.New(logmine.Options{})
	backward := logmine.New(logmine.Options{})
	for i := range lines {
		forward.Add(lines[i], int64(i+1), logmine.Unknown)
		backward.Add(lines[len(lines)-1-i], int64(len(lines)-i), logmine.Unknown)
	}
	a, b := forward.Patterns(), backward.Patterns()
	require.Len(t, b, len(a))
	for i := range a {
		require.Equal(t, a[i].ID, b[i].ID)
		require.Equal(t, a[i].Template, b[i].Template)
		require.Equal(t, a[i].Count, b[i].Count)
		require.Equal(t, a[i].First, b[i].First)
		require.Equal(t, a[i].Last, b[i].Last)
	}
}

// TestCountsAddUp under lines that are all different, blank or binary, with room for
// few skeletons.
func TestCountsAddUp(t *testing.T) {
	m := logmine.New(logmine.Options{MaxLeaves: 100, MaxLineBytes: 200})
	n := 0
	for i := range 20_000 {
		line := "boring line"
		switch i % 4 {
		case 0:
			line = word(i) + " " + word(i*7) + "! " + strings.Repeat("(", i%50)
		case 1:
			line = "user " + word(i) + " logged in"
		case 2:
			line = string([]byte{byte(i), 0, 0xff, byte(i >> 8), 'a'})
		}
		if i%1000 == 0 {
			line = strings.Repeat("x y ", 1000)
		}
		m.Add(line, 0, logmine.Unknown)
		n++
	}
	m.Add("", 0, logmine.Unknown)
	m.Add("  \t", 0, logmine.Unknown)
	c := m.Counts()
	require.EqualValues(t, n+2, c.Lines)
	sum := c.Other
	for _, p := range m.Patterns() {
		sum += p.Count
	}
	require.Equal(t, c.Lines, sum)
	require.Positive(t, c.Other)
}

func word(i int) string {
	var b []byte
	for range 6 {
		b = append(b, byte('a'+i%26))
		i = i*31/7 + 11
	}
	return string(b)
}

func TestGivenUpLinesAreOther(t *testing.T) {
	m := logmine.New(logmine.Options{MaxLeaves: 8, KeepRefs: true})
	first := m.Add("(the [very {first <line", 0, logmine.Unknown)
	for i := range 100 {
		m.Add(strings.Repeat("(", i+1)+"x", 0, logmine.Unknown)
		m.Add(strings.Repeat("(", i+1)+"x", 0, logmine.Unknown)
	}
	_, ok := m.Pattern(first)
	require.False(t, ok)
}

func FuzzAdd(f *testing.F) {
	f.Add("Connected to 10.0.0.7:5432 in 12ms", "tag=\"a b", int64(1))
	f.Add("\x01\x02\xff", "=\"", int64(0))
	f.Add("a@b.c=::1/..//?=&", "{a{b=c,true", int64(-5))
	f.Fuzz(func(t *testing.T, a, b string, at int64) {
		m := logmine.New(logmine.Options{MaxLeaves: 4, MaxLineBytes: 256, KeepRefs: true})
		for _, l := range []string{a, b, a + b, b + " " + a, a} {
			r := m.Add(l, at, logmine.Unknown)
			if p, ok := m.Pattern(r); ok {
				require.NotEmpty(t, p.ID)
			}
		}
		sum := m.Counts().Other
		for _, p := range m.Patterns() {
			sum += p.Count
		}
		require.Equal(t, m.Counts().Lines, sum)
	})
}

var benchLines = func() []string {
	var out []string
	for i := range 1000 {
		out = append(out,
			fmt.Sprintf("ts=2026-11-22T10:%02d:%02d.123Z level=info msg=\"request served\" method=GET path=/api/v1/items/%d status=200 took=%dms", i%60, i%59, i, i%400),
			fmt.Sprintf("Received block blk_%d of size %d from /10.251.%d.%d after waiting for a free slot in the transfer queue", i*7919, i*31, i%250, i%240),
			fmt.Sprintf("Failed to pull image \"registry/%d\" for pod web-%d in namespace shop: back-off restarting failed container after %d s", i, i, i))
	}
	return out
}()

func BenchmarkAdd(b *testing.B) {
	m := logmine.New(logmine.Options{})
	for _, l := range benchLines {
		m.Add(l, 1, logmine.Unknown)
	}
	bytes := 0
	for _, l := range benchLines {
		bytes += len(l)
	}
	b.SetBytes(int64(bytes / len(benchLines)))
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		m.Add(benchLines[i], 1, logmine.Unknown)
		if i++; i == len(benchLines) {
			i = 0
		}
	}
}
