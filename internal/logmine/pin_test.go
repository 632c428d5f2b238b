package logmine_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/logmine"
)

func byTemplate(t *testing.T, m *logmine.Miner) map[string]logmine.Pattern {
	t.Helper()
	out := map[string]logmine.Pattern{}
	sum := m.Counts().Other
	for _, p := range m.Patterns() {
		require.NotContains(t, out, p.Template)
		require.Equal(t, logmine.IDOf(p.Template), p.ID)
		out[p.Template] = p
		sum += p.Count
	}
	require.Equal(t, m.Counts().Lines, sum, "counts add up")
	return out
}

var users = []string{"alice", "bob", "carol", "dave", "erin", "frank", "grace", "heidi"}

// TestPinWinsOverMining: mining would leave the user out; the pins keep one apart, also
// of lines that came before, and when they are taken back nothing is lost.
func TestPinWinsOverMining(t *testing.T) {
	m := logmine.New(logmine.Options{})
	add := func() {
		for _, u := range users {
			m.Add("session of user "+u+" opened", 1, logmine.Unknown)
		}
	}
	add()
	require.EqualValues(t, 8, byTemplate(t, m)["session of user <*> opened"].Count)
	const root = "session of user alice opened"
	m.SetPins([]string{root})
	got := byTemplate(t, m)
	require.EqualValues(t, 1, got[root].Count, "skeletons that were not joined yet are moved")
	require.True(t, got[root].Pinned)
	add()
	got = byTemplate(t, m)
	require.EqualValues(t, 2, got[root].Count)
	require.EqualValues(t, 14, got["session of user <*> opened"].Count)
	require.Equal(t, root, got[root].Example)
	m.SetPins(nil)
	add()
	got = byTemplate(t, m)
	require.EqualValues(t, 2, got[root].Count)
	require.False(t, got[root].Pinned)
	require.EqualValues(t, 22, got["session of user <*> opened"].Count)
}

// TestPinMoreGeneral: a pin that leaves more out than mining would.
func TestPinMoreGeneral(t *testing.T) {
	m := logmine.New(logmine.Options{})
	m.SetPins([]string{"layout <*>", "layout <*>", ""})
	for _, w := range []string{"begin", "end", "begin"} {
		m.Add("layout "+w, 0, logmine.Unknown)
	}
	m.Add("token=eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJlc2ln layout", 0, logmine.Unknown)
	got := byTemplate(t, m)
	require.EqualValues(t, 3, got["layout <*>"].Count)
	require.Len(t, got["layout <*>"].Kinds, 1)
}

// TestPinsAddUp: whatever is pinned, taken back, joined and given up in between, the
// lines are the patterns' and other's, and a pin that is in force has no second one.
func TestPinsAddUp(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 7))
	for range 20 {
		m := logmine.New(logmine.Options{MaxLeaves: 60, Entities: true})
		var seen []string
		for i := range 3000 {
			switch {
			case r.IntN(3) == 0:
				m.Add(fmt.Sprintf("user %s%d did %s", users[r.IntN(8)], r.IntN(3), users[r.IntN(8)]), int64(i), logmine.Info)
			case r.IntN(3) == 0:
				m.Add(fmt.Sprintf("%s: failed after %d tries (%s)", users[r.IntN(8)], i, word(i)), int64(i), logmine.Error)
			default:
				m.Add(word(r.IntN(500))+" "+word(r.IntN(9)), 0, logmine.Unknown)
			}
			if i%500 == 250 {
				for _, p := range m.Patterns() {
					seen = append(seen, p.Template)
				}
				var pins []string
				for range 5 {
					pins = append(pins, seen[r.IntN(len(seen))])
				}
				m.SetPins(pins)
				byTemplate(t, m)
			}
		}
		byTemplate(t, m)
	}
}

func TestAlike(t *testing.T) {
	f := func(a, b string, want bool) {
		t.Helper()
		require.Equal(t, want, logmine.Alike(a, b))
		require.Equal(t, want, logmine.Alike(b, a))
	}
	f("a b c", "a b c", true)
	f("worker <*> finished", "worker alpha finished", true)
	f("request <*> took [<*>] now", "request <*> took <*> now", true)
	f("disk is full", "disk is empty", false)
	f("<*> failed", "disk sda failed", false)
}

func TestCovers(t *testing.T) {
	f := func(general, special string, want bool) {
		t.Helper()
		require.Equal(t, want, logmine.Covers(general, special))
	}
	f("a <*> c", "a b c", true)
	f("a <*> c", "a <*> c", true)
	f("a <*> c", "a b d c", false)
	f("a <*>", "a ", false)
	f("<*>:<*>", "x:y", true)
	f("<*>", "two words", false)
	f("a b c", "a <*> c", false)
	f("a", "ab", false)
}
