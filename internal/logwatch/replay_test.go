//go:build quality

// Command: go test -tags quality -run TestReplay -v ./internal/logwatch (V=1 names what was found and missed).

package logwatch_test

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/logmine"
	"github.com/portent-dev/portent/internal/logwatch"
)

// planted are errors that none of the data sets has.
var planted = []string{
	"ERROR payment gateway answered 502 for order %d: circuit breaker is open",
	"FATAL cannot write checkpoint %d: no space left on device /dev/vdb1",
	"ERROR tls handshake with 10.3.%d.9:443 failed: x509: certificate has expired",
	"Exception in thread \"worker-%d\" java.lang.OutOfMemoryError: Metaspace",
	"ERROR deadlock found when trying to get lock for transaction %d; try restarting it",
	"CRITICAL license server rejected seat %d: quota is used up",
	"ERROR schema registry returned subject orders-value version %d that cannot be read",
	"ERROR too many open files while accepting connection %d",
	"FATAL leader election lost for lease scheduler-%d, shutting down",
	"ERROR clock skew of %d ms against the time server is too large",
	"ERROR refused to mount volume pvc-%d: wrong fs type or bad superblock",
	"ERROR message %d went to the dead letter queue after 5 deliveries",
}

// replay is a stream of days made of a data set's lines in runs of neighbours, with
// errors planted after the learning.
type replay struct {
	found, plants, fresh, rates int
	days                        float64
	delay                       time.Duration // the longest
}

func run(t *testing.T, lines []string, days, perDay int, seed uint64) replay {
	r := rand.New(rand.NewPCG(seed, 1))
	m := logmine.New(logmine.Options{MaxLeaves: 2000})
	start := time.Date(2026, 11, 2, 0, 0, 0, 0, time.UTC).UnixMilli()
	w := logwatch.New(logwatch.Options{}, start)
	const look = int64(20_000)
	type plant struct {
		at    int64
		times int
	}
	var plants []plant
	for i := range planted {
		at := start + 90*60_000 + int64(float64(int64(days)*86_400_000-4*3_600_000)*(float64(i)+r.Float64())/float64(len(planted)))
		plants = append(plants, plant{at, []int{1, 3, 8}[i%3]})
	}
	seen := map[string]bool{}
	foundPlant := map[int]bool{}
	var out replay
	out.days, out.plants = float64(days), len(planted)
	pos := 0
	budget := 0.0
	for now := start; now < start+int64(days)*86_400_000; now += look {
		for budget += float64(perDay) * float64(look) / 86_400_000; budget >= 1; {
			pos = r.IntN(len(lines))
			for n := 1 + r.IntN(20); n > 0; n-- {
				rec := logmine.Parse(lines[pos%len(lines)])
				rec.Time = now
				m.AddRecord(&rec, 1)
				pos++
				budget--
			}
		}
		for i, p := range plants {
			if d := now - p.at; d >= 0 && d < int64(p.times)*look {
				rec := logmine.Parse(fmt.Sprintf(planted[i], r.IntN(250)))
				m.AddRecord(&rec, 1)
			}
		}
		w.Observe("s", now, m.Patterns())
	findings:
		for _, f := range w.Findings(now) {
			k := fmt.Sprint(f.Kind, f.ID, f.SinceMs)
			if seen[k] {
				continue
			}
			seen[k] = true
			for i := range planted {
				head, _, _ := strings.Cut(planted[i], "%d")
				if rec := logmine.Parse(head + "1"); strings.HasPrefix(f.Example, strings.TrimSuffix(rec.Message, "1")) {
					if f.Kind == logwatch.KindNew && !foundPlant[i] {
						foundPlant[i] = true
						out.found++
						out.delay = max(out.delay, time.Duration(now-plants[i].at)*time.Millisecond)
					}
					continue findings
				}
			}
			if f.Kind == logwatch.KindNew {
				out.fresh++
			} else {
				out.rates++
			}
			if os.Getenv("V") != "" {
				t.Log(time.UnixMilli(now).UTC().Format("02 15:04"), f.Kind, f.Severity, f.Observed, f.Expected, f.Template)
			}
		}
	}
	if os.Getenv("V") != "" {
		for i := range planted {
			if !foundPlant[i] {
				t.Log("missed", plants[i].times, planted[i])
			}
		}
	}
	return out
}

func TestReplay(t *testing.T) {
	dir := os.Getenv("PORTENT_BENCH")
	if dir == "" {
		dir = "../../../shared/bench"
	}
	files, err := filepath.Glob(filepath.Join(dir, "data/logs/*/*_2k.log"))
	require.NoError(t, err)
	require.NotEmpty(t, files, "the labelled data are not there (PORTENT_BENCH names their folder)")
	for _, path := range files {
		f, err := os.Open(path)
		require.NoError(t, err)
		var lines []string
		for sc := bufio.NewScanner(f); sc.Scan(); {
			lines = append(lines, sc.Text())
		}
		require.NoError(t, f.Close())
		got := run(t, lines, 4, 20_000, 1)
		require.GreaterOrEqual(t, got.found, got.plants-1, "only an error of the first hours, and of one line, may be missed")
		require.LessOrEqual(t, float64(got.fresh), got.days, "at most one false new pattern a day")
		fmt.Printf("%-12s planted %d of %d, false new %.2f a day, false rates %.2f a day, delay %s\n", filepath.Base(filepath.Dir(path)), got.found, got.plants,
			float64(got.fresh)/got.days, float64(got.rates)/got.days, got.delay)
	}
}
