package detect_test

import (
	"bufio"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/detect"
	"github.com/portent-dev/portent/internal/detect/detecttest"
)

// TestScenarios replays testdata/scenarios/*.txt. A scenario is a story to judge by
// eye: settings, then a line per stretch of time with what the series does and
// what the detector must say of it.
//
//	# comment
//	every DURATION | detector NAME | sensitivity NAME | zone NAME | start TIME
//	DURATION  SHAPE  |  VERDICT
//
//	SHAPE    VALUE [to VALUE] [~NOISE] [day AMPLITUDE] [count]   or   nothing
//	VERDICT  any                     not judged
//	         quiet [after DURATION]  never above 1 (from then on)
//	         anomalous [within N]    above 1 at some sample (of the first N)
//	         not ready               no baseline
func TestScenarios(t *testing.T) {
	files, err := filepath.Glob("testdata/scenarios/*.txt")
	require.NoError(t, err)
	require.GreaterOrEqual(t, len(files), 10)
	for _, name := range files {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txt"), func(t *testing.T) {
			for seed := range uint64(3) {
				replay(t, name, seed)
			}
		})
	}
}

// story is a scenario while it is replayed.
type story struct {
	row    detect.Row
	config detect.Config
	step   time.Duration
	at     time.Time
	bank   detect.Bank
	out    detect.Output
	rand   *rand.Rand
}

func replay(t *testing.T, name string, seed uint64) {
	t.Helper()
	row, err := detect.Lookup(detect.DefaultDetector)
	require.NoError(t, err)
	s := &story{row: row, step: time.Minute, at: time.UnixMilli(detecttest.Start).UTC(), rand: rand.New(rand.NewPCG(seed, 3))}
	f, err := os.Open(name)
	require.NoError(t, err)
	defer f.Close()
	lines := bufio.NewScanner(f)
	for n := 1; lines.Scan(); n++ {
		line, _, _ := strings.Cut(lines.Text(), "#")
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		where := fmt.Sprintf("%s:%d (seed %d): %s", name, n, seed, line)
		if what, verdict, ok := strings.Cut(line, "|"); ok {
			s.stretch(t, where, strings.Fields(what), strings.Fields(verdict))
		} else {
			s.set(t, where, strings.Fields(line))
		}
	}
	require.NoError(t, lines.Err())
}

func (s *story) set(t *testing.T, where string, words []string) {
	t.Helper()
	require.Len(t, words, 2, where)
	var err error
	switch words[0] {
	case "every":
		s.step = duration(t, where, words[1])
	case "detector":
		s.row, err = detect.Lookup(words[1])
	case "sensitivity":
		s.config.Sensitivity = detect.Sensitivity(words[1])
	case "zone":
		s.config.Location, err = time.LoadLocation(words[1])
	case "start":
		s.at, err = time.Parse(time.RFC3339, words[1])
	default:
		require.Fail(t, "unknown setting", where)
	}
	require.NoError(t, err, where)
}

func duration(t *testing.T, where, text string) time.Duration {
	t.Helper()
	d, err := model.ParseDuration(text)
	require.NoError(t, err, where)
	return time.Duration(d)
}

func (s *story) stretch(t *testing.T, where string, what, verdict []string) {
	t.Helper()
	if s.bank == nil {
		s.bank = s.row.Open(s.config)
		s.bank.Reset(0)
	}
	length := duration(t, where, what[0])
	values := s.shape(t, where, what[1:], length)
	must := newVerdict(t, where, verdict)
	for i := 0; time.Duration(i)*s.step < length; i++ {
		s.at = s.at.Add(s.step)
		v, ok := values(i)
		if !ok {
			continue
		}
		s.bank.Observe(0, s.at.UnixMilli(), v, &s.out)
		must.see(t, i, time.Duration(i)*s.step, s.out)
	}
	must.end(t)
}

// shape returns the values of a stretch; false where there is no sample.
func (s *story) shape(t *testing.T, where string, words []string, length time.Duration) func(i int) (float64, bool) {
	t.Helper()
	if words[0] == "nothing" {
		return func(int) (float64, bool) { return 0, false }
	}
	number := func(text string) float64 {
		v, err := strconv.ParseFloat(text, 64)
		require.NoError(t, err, where)
		return v
	}
	from := number(words[0])
	to, noise, wave, count := from, 0.0, 0.0, false
	for w := words[1:]; len(w) > 0; {
		switch {
		case w[0] == "to":
			to, w = number(w[1]), w[2:]
		case w[0] == "day":
			wave, w = number(w[1]), w[2:]
		case w[0] == "count":
			count, w = true, w[1:]
		case strings.HasPrefix(w[0], "~"):
			noise, w = number(w[0][1:]), w[1:]
		default:
			require.Fail(t, "unknown shape "+w[0], where)
		}
	}
	return func(i int) (float64, bool) {
		v := from + (to-from)*float64(i)*s.step.Seconds()/length.Seconds()
		local := s.at
		if s.config.Location != nil {
			local = local.In(s.config.Location)
		}
		hours := float64(local.Hour()) + float64(local.Minute())/60
		v += wave*math.Sin(2*math.Pi*(hours-9)/24) + noise*s.rand.NormFloat64()
		if count {
			v = math.Max(0, math.Round(v))
		}
		return v, true
	}
}

type verdict struct {
	where, kind string
	after       time.Duration
	within      int
	met         bool
}

func newVerdict(t *testing.T, where string, words []string) *verdict {
	t.Helper()
	v := &verdict{where: where, kind: words[0], within: math.MaxInt}
	switch {
	case len(words) == 1 && (v.kind == "any" || v.kind == "quiet" || v.kind == "anomalous"):
	case len(words) == 2 && v.kind == "not" && words[1] == "ready":
	case len(words) == 3 && v.kind == "quiet" && words[1] == "after":
		v.after = duration(t, where, words[2])
	case len(words) == 3 && v.kind == "anomalous" && words[1] == "within":
		n, err := strconv.Atoi(words[2])
		require.NoError(t, err, where)
		v.within = n
	default:
		require.Fail(t, "unknown verdict", where)
	}
	return v
}

func (v *verdict) see(t *testing.T, i int, at time.Duration, o detect.Output) {
	t.Helper()
	require.NoError(t, detecttest.Check(o), v.where)
	switch v.kind {
	case "quiet":
		if at >= v.after {
			require.LessOrEqual(t, o.Score, 1.0, "%s: sample %d (%+v)", v.where, i, o)
		}
	case "not":
		require.False(t, o.Ready, v.where)
	case "anomalous":
		v.met = v.met || o.Score > 1 && i < v.within
	}
}

func (v *verdict) end(t *testing.T) {
	t.Helper()
	if v.kind == "anomalous" {
		require.True(t, v.met, "%s: never above 1", v.where)
	}
}
