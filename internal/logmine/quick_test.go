package logmine

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cespare/xxhash/v2"
	"github.com/stretchr/testify/require"
)

// skeleton returns the skeleton of a line without the quick way.
func skeleton(line string) uint64 {
	var s scanner
	s.scan(line)
	key, _ := s.key(nil, nil)
	return xxhash.Sum64(key)
}

// exact checks that lines that are equal when masked have one skeleton.
func exact(t *testing.T, by map[uint64]string, line string) {
	t.Helper()
	var q quick
	masked, ok := q.mask(line)
	require.True(t, ok)
	if other, there := by[masked]; there {
		require.Equal(t, skeleton(other), skeleton(line), "%q and %q", other, line)
	}
	by[masked] = line
}

// otherDigits replaces the digits of a line by others.
func otherDigits(r *rand.Rand, line string) string {
	b := []byte(line)
	for i := range b {
		if b[i]-'0' <= 9 {
			b[i] = byte('0' + r.IntN(10))
		}
	}
	return string(b)
}

func TestQuickIsExact(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	lines := []string{
		"eth0 up", "NAT64 on en1", "utf8 ok", "a1b2 x", "core.2275 at 0x7fed", "0x00 1x1 00x", "v1.2.3-rc1", "x=1h30m y=5KiB", "10.0.0.1:80 fe80::1",
		"2026-11-22T10:00:00Z node12 done", "blk_-123 /10.251.1.1:5", "é1 é12 é123", "user1@host2.example3.com", "Tue Aug 02 10:11:12 PDT 2005", `k="a 1 b" q='7'`,
	}
	files, err := filepath.Glob("testdata/events/*")
	require.NoError(t, err)
	for _, f := range files {
		content, err := os.ReadFile(f)
		require.NoError(t, err)
		lines = append(lines, strings.Split(string(content), "\n")...)
	}
	const alphabet = "0123456789abcfxXeE.:/=-_ \"'@%(){}[],é"
	for range 3000 {
		var b strings.Builder
		for range 1 + r.IntN(30) {
			b.WriteByte(alphabet[r.IntN(len(alphabet))])
		}
		lines = append(lines, b.String())
	}
	by := map[uint64]string{}
	for _, l := range lines {
		for range 20 {
			exact(t, by, l)
			l = otherDigits(r, l)
		}
	}
	require.Less(t, len(by), 21*len(lines), "some were equal when masked")
}

func FuzzQuick(f *testing.F) {
	f.Add("eth0 took 12ms at 0x7f", uint64(1))
	f.Fuzz(func(t *testing.T, line string, seed uint64) {
		by := map[uint64]string{}
		r := rand.New(rand.NewPCG(seed, 1))
		for range 5 {
			exact(t, by, line)
			line = otherDigits(r, line)
		}
	})
}

// TestQuickRests: where no two lines are alike it costs nothing for long.
func TestQuickRests(t *testing.T) {
	m := New(Options{MaxLeaves: 50})
	r := rand.New(rand.NewPCG(1, 2))
	for range 3 * quickRound {
		m.Add(fmt.Sprintf("%x{%x", r.Uint64(), r.Uint64()), 0, Unknown)
	}
	require.Positive(t, m.quick.rest)
	require.LessOrEqual(t, len(m.quick.seen), maxQuick)
}
