package logwatch_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/finding"
	"github.com/portent-dev/portent/internal/logmine"
	"github.com/portent-dev/portent/internal/logwatch"
)

var start = time.Date(2026, 11, 2, 0, 0, 0, 0, time.UTC).UnixMilli()

const minute, hour = int64(60_000), int64(3_600_000)

// world is a miner of one stream and its watch.
type world struct {
	t   *testing.T
	m   *logmine.Miner
	w   *logwatch.Watch
	now int64
}

func newWorld(t *testing.T, o logwatch.Options) *world {
	t.Helper()
	return &world{t: t, m: logmine.New(logmine.Options{}), w: logwatch.New(o, start), now: start}
}

// say adds lines and looks at once.
func (x *world) say(lines ...string) *world {
	for _, l := range lines {
		r := logmine.Parse(l)
		x.m.AddRecord(&r, 1)
	}
	x.w.Observe("s", x.now, x.m.Patterns())
	return x
}

func (x *world) after(d int64) *world { x.now += d; return x }

func (x *world) active() map[string]logwatch.Kind {
	out := map[string]logwatch.Kind{}
	for _, f := range x.w.Findings(x.now) {
		if f.EndMs == 0 {
			out[f.Template] = f.Kind
		}
	}
	return out
}

// restart goes on with a new miner and what a file would have kept.
func (x *world) restart() *world {
	body, err := json.Marshal(x.w.State())
	require.NoError(x.t, err)
	var st logwatch.State
	require.NoError(x.t, json.Unmarshal(body, &st))
	x.m, x.w = logmine.New(logmine.Options{}), logwatch.New(logwatch.Options{}, x.now)
	x.w.Restore(st, x.now)
	return x
}

func TestNewPattern(t *testing.T) {
	x := newWorld(t, logwatch.Options{})
	x.say("GET /a 200", "ERROR cache miss for key k1")
	require.Empty(t, x.active(), "while learning")
	x.after(2*hour).say("WARN: nothing", "INFO all is well with 4 workers", "ERROR disk sda1 is full")
	require.Equal(t, map[string]logwatch.Kind{"ERROR disk sda1 is full": logwatch.KindNew}, x.active(), "an error is told at once; what is no error is only remembered")
	f := x.w.Findings(x.now)[0]
	require.Equal(t, logmine.Error, f.Severity)
	require.Equal(t, "ERROR disk sda1 is full", f.Example)
	require.EqualValues(t, 1, f.Lines)
	require.Equal(t, "This pattern was never seen in its stream before 02:00:00 UTC on 2026-11-02.", f.Sentence())
	g := f.Finding(map[string]string{"app": "a"}, x.now)
	require.Equal(t, finding.SourcePattern, g.Source)
	require.Greater(t, g.Score, 1.0)

	x.restart().after(minute).say("ERROR disk sda1 is full")
	require.Len(t, x.active(), 1, "after a restart it goes on")
	x.after(hour).say()
	require.Empty(t, x.active(), "after an hour it is known")
	require.NotZero(t, x.w.Findings(x.now)[0].EndMs, "and its end is told")
	x.after(20 * minute).say()
	require.Empty(t, x.w.Findings(x.now), "for a while")
	x.after(hour).say("ERROR disk sdb1 is full")
	require.Empty(t, x.active(), "it was there before")
}

// TestGeneralising: an id that grew more general, or that a restarted miner learns again
// word by word, is not new.
func TestGeneralising(t *testing.T) {
	x := newWorld(t, logwatch.Options{})
	x.say("ERROR worker alpha lost its lease on the queue")
	first := x.m.Patterns()[0].ID
	x.after(3 * hour)
	for _, u := range []string{"beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta"} {
		x.after(minute).say("ERROR worker " + u + " lost its lease on the queue")
	}
	p := x.m.Patterns()[0]
	require.NotEqual(t, first, p.ID)
	s, ok := x.w.Sight("s", p.ID, x.now)
	require.True(t, ok)
	require.Equal(t, start, s.First)
	require.EqualValues(t, 8, s.Week[6], "its lines are all there, each once")
	// Between one word and the general template some are patterns of their own.
	for _, f := range x.w.Findings(x.now) {
		require.Equal(t, logwatch.KindNew, f.Kind)
	}
	x.restart().after(hour).say("ERROR worker iota lost its lease on the queue")
	x.after(15 * minute).say()
	s, _ = x.w.Sight("s", x.m.Patterns()[0].ID, x.now)
	require.Equal(t, start, s.First)
	require.EqualValues(t, 9, s.Week[6])
}

// TestDeploy: much that is new at once is a new version; what repeats is told.
func TestDeploy(t *testing.T) {
	x := newWorld(t, logwatch.Options{})
	x.say("hello").after(30 * hour).say("hello")
	for i := range 14 {
		x.say(fmt.Sprintf("INFO %s is served by %s", word(i), word(i+40)))
	}
	x.after(minute).say("ERROR flag " + word(3) + " is not known here")
	require.Empty(t, x.active())
	x.after(minute).say("ERROR flag "+word(3)+" is not known here", "ERROR flag "+word(3)+" is not known here")
	require.Len(t, x.active(), 1)
}

func word(i int) string {
	b := []byte("q")
	for range 5 {
		b = append(b, byte('a'+i%26))
		i = i/2 + 7*i%13 + 3
	}
	return string(b)
}

// TestFlood: an endless stream of new errors makes few findings and little memory.
func TestFlood(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	x := newWorld(t, logwatch.Options{MaxTracks: 500, MaxFindings: 10})
	x.say("hello").after(2 * hour)
	for range 60 {
		var lines []string
		for range 100 {
			lines = append(lines, fmt.Sprintf("ERROR %s(%s) {%s", word(r.IntN(1e6)), word(r.IntN(1e6)), word(r.IntN(1e6))))
		}
		x.after(minute).say(lines...)
	}
	require.LessOrEqual(t, len(x.active()), 10)
	require.LessOrEqual(t, x.w.Stats().Tracks, 2600)
	x.after(31 * 24 * hour)
	x.m = logmine.New(logmine.Options{})
	x.say("hello").w.Expire(x.now)
	x.after(minute).say("hello").w.Expire(x.now)
	require.Equal(t, 1, x.w.Stats().Tracks)
}

// run says lines of a Poisson process for some minutes.
func (x *world) run(r *rand.Rand, minutes int, perMinute float64, lines ...string) {
	for range minutes {
		x.after(minute)
		var out []string
		for _, l := range lines {
			for n := r.ExpFloat64(); n < perMinute; n += r.ExpFloat64() {
				out = append(out, l)
			}
		}
		x.say(out...)
	}
}

func TestRates(t *testing.T) {
	const beat, work = "INFO heartbeat of node 7 came", "WARN retry 3 of request"
	for _, rate := range []float64{0.3, 3, 60} {
		t.Run(fmt.Sprint(rate), func(t *testing.T) {
			r := rand.New(rand.NewPCG(3, 9))
			x := newWorld(t, logwatch.Options{})
			x.run(r, 26*60, rate, beat, work)
			require.Empty(t, x.w.Findings(x.now), "a steady process has no findings")
			x.run(r, 20, rate*12, work)
			got := x.active()
			require.Equal(t, logwatch.KindGrown, got["WARN retry <*> of request"])
			for range 3 {
				x.run(r, 60, rate*12, work)
			}
			got = x.active()
			require.Equal(t, logwatch.KindGrown, got["WARN retry <*> of request"])
			require.Equal(t, logwatch.KindShrunk, got["INFO heartbeat of node <*> came"], "silence")
			for _, f := range x.w.Findings(x.now) {
				require.Contains(t, f.Sentence(), "were to be expected")
			}
			x.restart()
			x.run(r, 80, rate, beat, work)
			require.Empty(t, x.active(), "all is as it was")
		})
	}
}

// TestDetectorHelps: a change that a count alone does not prove is told where the
// detector sees it too.
func TestDetectorHelps(t *testing.T) {
	for _, score := range []float64{0.5, 2} {
		r := rand.New(rand.NewPCG(3, 9))
		x := newWorld(t, logwatch.Options{})
		x.w.SetScores(func(string, string) (logwatch.Verdict, bool) {
			return logwatch.Verdict{Score: score, Value: 9, Expected: 1}, true
		})
		x.run(r, 26*60, 1, "WARN retry 3 of request")
		x.run(r, 8, 4.5, "WARN retry 3 of request")
		require.Equal(t, score > 1, len(x.active()) == 1)
	}
}

// TestClock: time that stands still or goes back breaks nothing.
func TestClock(t *testing.T) {
	x := newWorld(t, logwatch.Options{})
	x.say("a b c").after(-5 * hour).say("a b c")
	x.after(48 * hour).say("a b c")
	s, ok := x.w.Sight("s", x.m.Patterns()[0].ID, x.now)
	require.True(t, ok)
	require.LessOrEqual(t, s.First, s.Last)
	x.now = start - 400*hour
	x.restart()
	require.True(t, x.w.Learning("s", x.now))
}

func TestReplaySights(t *testing.T) {
	x := newWorld(t, logwatch.Options{})
	x.say("one line here")
	st := x.w.State()
	x.after(2 * hour).say("ERROR boom happened")
	sights := x.w.TakeFirstSights()
	require.Len(t, sights, 2)
	require.Empty(t, x.w.TakeFirstSights())
	w := logwatch.New(logwatch.Options{}, x.now)
	w.Restore(st, x.now)
	for _, f := range sights {
		w.Replay(f, x.now)
	}
	s, ok := w.Sight("s", logmine.IDOf("ERROR boom happened"), x.now)
	require.True(t, ok)
	require.Equal(t, start+2*hour, s.First)
	require.Equal(t, 2, w.Stats().Tracks)
}
