package patternrules_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/logmine"
	"github.com/portent-dev/portent/internal/patternrules"
)

func mine(lines ...string) []logmine.Pattern {
	m := logmine.New(logmine.Options{})
	for _, l := range lines {
		m.Add(l, 0, logmine.Unknown)
	}
	return m.Patterns()
}

func rules(t *testing.T, rs ...patternrules.Rule) *patternrules.Rules {
	t.Helper()
	f := patternrules.File{Patterns: rs}
	require.NoError(t, f.Validate())
	return patternrules.New(f)
}

func TestApply(t *testing.T) {
	id := logmine.IDOf
	r := rules(t,
		patternrules.Rule{ID: id("disk is full"), Name: "disk-full", Merge: []string{id("no space left")}},
		patternrules.Rule{Template: "health check passed", Ignore: true},
		patternrules.Rule{Template: "worker alpha finished its job", Name: "worker"},
		patternrules.Rule{ID: "000000000000", Name: "never"},
	)
	got := r.Apply(mine("no space left", "no space left", "disk is full", "health check passed", "worker alpha finished its job", "other thing"), nil)
	require.EqualValues(t, 1, got.Ignored)
	counts := map[string]int64{}
	for _, p := range got.Patterns {
		counts[p.ID+" "+p.Name] = p.Count
	}
	require.Equal(t, map[string]int64{id("disk is full") + " disk-full": 3, id("worker alpha finished its job") + " worker": 1, id("other thing") + " ": 1}, counts)
	require.Equal(t, []string{id("no space left")}, got.Patterns[0].Merged)
	require.Equal(t, "disk is full", got.Patterns[0].Template)
	require.Equal(t, []string{"000000000000"}, r.Unmatched())

	// The merged one alone keeps the rule's id; a pattern that grew more general keeps its name.
	got = r.Apply(mine("no space left"), nil)
	require.Equal(t, id("disk is full"), got.Patterns[0].ID)
	var lines []string
	for i := range 9 {
		lines = append(lines, "worker "+string(rune('a'+i))+"lpha finished its job")
	}
	got = r.Apply(mine(lines...), nil)
	require.Equal(t, "worker <*> finished its job", got.Patterns[0].Template)
	require.Equal(t, "worker", got.Patterns[0].Name)
	// One that the rule knows by id alone is found by its history.
	r = rules(t, patternrules.Rule{ID: id("x1"), Name: "by-id"})
	got = r.Apply(mine("x2 y"), func(string) []string { return []string{"111111111111", id("x1")} })
	require.Equal(t, "by-id", got.Patterns[0].Name)
	_, ok := r.Rule(id("x1"))
	require.True(t, ok)
}

// TestAddsUp: rules move lines, and lose none.
func TestAddsUp(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 5))
	for range 50 {
		var lines []string
		for range 300 {
			lines = append(lines, fmt.Sprintf("%c%c happened to %c", 'a'+r.IntN(6), 'a'+r.IntN(3), 'a'+r.IntN(9)))
		}
		ps := mine(lines...)
		var f patternrules.File
		for i, p := range ps {
			switch r.IntN(4) {
			case 0:
				f.Patterns = append(f.Patterns, patternrules.Rule{ID: p.ID, Ignore: true})
			case 1:
				f.Patterns = append(f.Patterns, patternrules.Rule{ID: p.ID, Name: fmt.Sprint("n", i)})
			case 2:
				if n := len(f.Patterns); n > 0 {
					f.Patterns[n-1].Merge = append(f.Patterns[n-1].Merge, p.ID)
				}
			}
		}
		got := rules(t, f.Patterns...).Apply(ps, nil)
		sum := got.Ignored
		for _, p := range got.Patterns {
			sum += p.Count
		}
		require.EqualValues(t, 300, sum)
	}
}

func TestValidate(t *testing.T) {
	f := func(key string, rs ...patternrules.Rule) {
		t.Helper()
		file := patternrules.File{Patterns: rs}
		require.ErrorContains(t, file.Validate(), key)
	}
	f("patterns[0].id: is missing", patternrules.Rule{Name: "x"})
	f("patterns[0].id", patternrules.Rule{ID: "xyz", Name: "x"})
	f("says nothing", patternrules.Rule{ID: "000000000000"})
	f("patterns[1].id: 000000000000 is in patterns[0]", patternrules.Rule{ID: "000000000000", Name: "x"}, patternrules.Rule{ID: "000000000000", Name: "y"})
	f("patterns[0].merge[0]", patternrules.Rule{ID: "000000000000", Merge: []string{"000000000000"}})
	f("patterns[1].name", patternrules.Rule{ID: "000000000000", Name: "x"}, patternrules.Rule{ID: "000000000001", Name: "x"})
	f("patterns[0].name", patternrules.Rule{ID: "000000000000", Name: "a b"})
	f("patterns[0].template: has the id", patternrules.Rule{ID: "000000000000", Template: "a b", Name: "x"})
	f("patterns[0].pin: needs the template", patternrules.Rule{ID: "000000000000", Pin: true})
	f("it would take every line", patternrules.Rule{Template: "<*>", Pin: true})
	f("begins or ends with a blank", patternrules.Rule{Template: " a", Pin: true})
}
