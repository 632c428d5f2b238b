package detect_test

import (
	"bytes"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/detect"
	"github.com/portent-dev/portent/internal/detect/detecttest"
	"github.com/portent-dev/portent/internal/ingest"
)

// judged returns what is said of values that follow a day of 100 ± 1, in a class.
func judged(t *testing.T, c detect.Class, values ...float64) []detect.Output {
	t.Helper()
	require.NoError(t, c.Validate())
	row, err := detect.Lookup(detect.DefaultDetector)
	require.NoError(t, err)
	bank := row.Open(detect.Config{Classes: []detect.Class{c}})
	bank.Reset(0)
	r := rand.New(rand.NewPCG(1, 2))
	out := detect.Output{Class: 1}
	at := int64(start)
	for range 1440 {
		at += 60_000
		bank.Observe(0, at, 100+r.NormFloat64(), &out)
		require.NoError(t, detecttest.Check(out))
	}
	var all []detect.Output
	for _, v := range values {
		at += 60_000
		bank.Observe(0, at, v, &out)
		require.NoError(t, detecttest.Check(out))
		require.Equal(t, uint16(1), out.Class)
		all = append(all, out)
	}
	return all
}

func TestClassDecidesWhatMatters(t *testing.T) {
	f := func(name string, c detect.Class, v float64, anomalous bool) {
		t.Helper()
		require.Equal(t, anomalous, judged(t, c, v)[0].Score > 1, "%s: %g", name, v)
	}
	ten, hundredTwenty, zero := 10.0, 120.0, 0.0
	f("none", detect.Class{}, 130, true)
	f("none", detect.Class{}, 70, true)
	f("up", detect.Class{Direction: detect.Up}, 130, true)
	f("up", detect.Class{Direction: detect.Up}, 70, false)
	f("down", detect.Class{Direction: detect.Down}, 130, false)
	f("down", detect.Class{Direction: detect.Down}, 70, true)
	f("both", detect.Class{Direction: detect.Both}, 70, true)
	f("absolute", detect.Class{MinAbsolute: 40}, 130, false)
	f("absolute", detect.Class{MinAbsolute: 40}, 150, true)
	f("relative", detect.Class{MinRelative: 0.5}, 140, false)
	f("relative", detect.Class{MinRelative: 0.5}, 160, true)
	f("both pass", detect.Class{MinAbsolute: 10, MinRelative: 0.5}, 140, false)
	f("both pass", detect.Class{MinAbsolute: 90, MinRelative: 0.5}, 160, false)
	f("both pass", detect.Class{MinAbsolute: 50, MinRelative: 0.5}, 160, true)
	f("inside", detect.Class{Low: &ten, High: &hundredTwenty}, 70, true)
	f("impossible", detect.Class{High: &hundredTwenty, Direction: detect.Down}, 121, true)
	f("impossible", detect.Class{Low: &ten}, 9, true)
	f("at a bound", detect.Class{Low: &zero}, 0, true)
	f("quiet at a bound", detect.Class{Low: &zero, QuietAtBounds: true}, 0, false)
	f("off", detect.Class{Off: detect.DetectorNames()}, 1e6, false)
	f("warming up", detect.Class{WarmUp: 48 * time.Hour}, 1e6, false)
	f("warm", detect.Class{WarmUp: 12 * time.Hour}, 1e6, true)
}

// What does not matter does not use up the report of what does.
func TestClassDoesNotTireOfWhatItDoesNotTell(t *testing.T) {
	for _, o := range judged(t, detect.Class{Direction: detect.Down}, 150, 151, 149, 150.5, 150, 149.5) {
		require.LessOrEqual(t, o.Score, 1.0)
	}
	out := judged(t, detect.Class{Direction: detect.Down}, 150, 150, 150, 40)
	require.Greater(t, out[3].Score, 1.0)
}

func TestImpossibleIsNotLearnt(t *testing.T) {
	high := 200.0
	values := make([]float64, 0, 300)
	for range 300 {
		values = append(values, 1e6)
	}
	out := judged(t, detect.Class{High: &high}, append(values, 100)...)
	for _, o := range out[:300] {
		require.InDelta(t, float64(detect.ImpossibleScore), o.Score, 0)
	}
	require.LessOrEqual(t, out[300].Score, 1.0)
	require.InDelta(t, 100, out[300].Expected, 5)
}

func TestSeasonHints(t *testing.T) {
	row, err := detect.Lookup("level")
	require.NoError(t, err)
	expected := func(s detect.Season) (spread float64) {
		bank := row.Open(detect.Config{Classes: []detect.Class{{Season: s}}})
		bank.Reset(0)
		out := detect.Output{Class: 1}
		next := detecttest.Families()[10].New(1, 5*time.Minute)
		lo, hi := 1e9, -1e9
		for i := range int64(14 * 288) {
			bank.Observe(0, start+i*300_000, next(), &out)
			if i > 13*288 {
				lo, hi = min(lo, out.Expected), max(hi, out.Expected)
			}
		}
		return hi - lo
	}
	require.Less(t, expected(detect.SeasonNone), 60.0)
	require.Greater(t, expected(detect.SeasonLearned), 100.0)
	require.Greater(t, expected(detect.SeasonDaily), 100.0)
	require.Greater(t, expected(detect.SeasonWeekly), 100.0)
}

func TestClassErrors(t *testing.T) {
	one, two, zero := 1.0, 2.0, 0.0
	f := func(c detect.Class, want string) {
		t.Helper()
		_, err := detect.NewEngine(detect.Options{Classes: []detect.Class{c}})
		require.ErrorContains(t, err, want)
	}
	f(detect.Class{Name: "cpu", Direction: "sideways"}, `class 0 (cpu): direction: unknown value "sideways": want one of ["both" "up" "down"]`)
	f(detect.Class{Season: "spring"}, `season: unknown value "spring"`)
	f(detect.Class{Ends: "well"}, `ends: unknown value "well"`)
	f(detect.Class{Off: []string{"crystal"}}, `off: unknown value "crystal": want one of ["level" "shift" "spread" "trend" "shape" "silence"]`)
	f(detect.Class{MinAbsolute: -1}, "min_absolute: want a number from 0 on, got -1")
	f(detect.Class{MinRelative: -1}, "min_relative: want a share from 0 on")
	f(detect.Class{Low: &two, High: &one}, "low, high: want low below high, got 2 and 1")
	f(detect.Class{QuietAtBounds: true}, "quiet_at_bounds: want low or high")
	f(detect.Class{Delay: -1}, "interval, delay, warm_up")
	f(detect.Class{Sensitivity: "extreme"}, `sensitivity: unknown sensitivity "extreme"`)
	bad := 0.0
	bad /= zero
	f(detect.Class{Limit: &bad}, "limit: want a finite number")
	_, err := detect.NewEngine(detect.Options{Classes: make([]detect.Class, detect.MaxClasses+1)})
	require.ErrorContains(t, err, "4097 classes: want at most 4096")
}

// byJob puts series of the job that a class is named for into it.
func byJob(classes []detect.Class) func([]ingest.Label) int {
	return func(ls []ingest.Label) int {
		for _, l := range ls {
			for i := range classes {
				if l.Name == "job" && l.Value == classes[i].Name {
					return i
				}
			}
		}
		return -1
	}
}

func TestEngineKeepsClasses(t *testing.T) {
	classes := []detect.Class{{Name: "up", Direction: detect.Up}, {Name: "down", Direction: detect.Down}}
	o := detect.Options{Classes: classes, Classify: byJob(classes)}
	e := newEngine(t, o)
	feedJobs := func(e *detect.Engine, from, n int, v float64) {
		r := rand.New(rand.NewPCG(1, uint64(from)))
		for i := range n {
			for _, job := range []string{"up", "down", "other"} {
				send(e, labels("__name__=m", "job="+job), ingest.KindGauge, ingest.Sample{T: start + int64(from+i)*60_000, V: v + r.NormFloat64()})
			}
		}
	}
	// anomalous returns the jobs whose score is above 1.
	anomalous := func(e *detect.Engine) (jobs []string) {
		for name, out := range dump(e) {
			for i, job := range []string{"other", "up", "down"} {
				if strings.Contains(name, `"`+job+`"`) {
					require.Equal(t, uint16(i), out.Class)
					if i > 0 {
						require.Equal(t, job, e.Class(out).Name)
					}
					if out.Score > 1 {
						jobs = append(jobs, job)
					}
				}
			}
		}
		return jobs
	}
	feedJobs(e, 0, 300, 100)
	saved := snapshot(t, e)
	feedJobs(e, 300, 1, 130)
	require.ElementsMatch(t, []string{"up", "other"}, anomalous(e))

	again := newEngine(t, o)
	require.NoError(t, again.Restore(bytes.NewReader(saved)))
	feedJobs(again, 300, 1, 70)
	require.ElementsMatch(t, []string{"down", "other"}, anomalous(again), "classes hold after a restart")

	without := newEngine(t, detect.Options{})
	require.NoError(t, without.Restore(bytes.NewReader(saved)))
	feedJobs(without, 300, 1, 70)
	for _, out := range dump(without) {
		require.Greater(t, out.Score, 1.0, "classes are configuration, not state")
		require.Zero(t, out.Class)
	}
}

// A dismissal raises the bar of the class, a confirmation lowers it, within bounds.
func TestSetBar(t *testing.T) {
	classes := []detect.Class{{Name: "up"}, {Name: "down"}}
	o := detect.Options{Classes: classes, Classify: byJob(classes)}
	score := func(class int, factor float64) (up, down float64) {
		e := newEngine(t, o)
		e.SetBar(class, factor)
		r := rand.New(rand.NewPCG(1, 1))
		for i := range 301 {
			v := 100 + r.NormFloat64()
			if i == 300 {
				v = 112
			}
			for _, job := range []string{"up", "down"} {
				send(e, labels("__name__=m", "job="+job), ingest.KindGauge, ingest.Sample{T: start + int64(i)*60_000, V: v})
			}
		}
		all := dump(e)
		return all[`__name__="m" job="up" `].Score, all[`__name__="m" job="down" `].Score
	}
	up, down := score(0, 1)
	require.Greater(t, up, 1.0)
	require.InDelta(t, up, down, 1e-6)
	raised, other := score(0, 2)
	require.Less(t, raised, 1.0)
	require.InDelta(t, down, other, 1e-6, "the other class is left alone")

	e := newEngine(t, o)
	require.InDelta(t, detect.MaxBar, e.SetBar(1, 99), 0)
	require.InDelta(t, detect.MinBar, e.SetBar(-1, 0), 0)
	require.InDelta(t, 1, e.SetBar(2, 3), 0, "no such class")
}
