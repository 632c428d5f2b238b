package detect_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/detect"
	"github.com/portent-dev/portent/internal/ingest"
)

// lived returns an engine of the given detector with series of several kinds and
// ages, ended ones among them.
func lived(t testing.TB, detector string, n int) *detect.Engine {
	e := newEngine(t, detect.Options{Detector: detector})
	for k := range n {
		feed(e, k, 0, 5+k%100)
	}
	send(e, labels("__name__=ended"), ingest.KindGauge, ingest.Sample{T: start, V: 1}, ingest.Sample{T: start + 1, V: ingest.StaleNaN()})
	return e
}

// feed gives series k its samples from..to.
func feed(e *detect.Engine, k, from, to int) {
	a := e.Appender()
	for i := from; i < to; i++ {
		v := 50 + 10*math.Sin(float64(i)/9) + float64((i*7919+k*104729)%101)/20
		kind := ingest.KindGauge
		if k%3 == 0 {
			kind, v = ingest.KindCounter, float64(i*i)
		}
		a.Append(labels("__name__=m", "job=j", fmt.Sprint("k=", k)), kind, []ingest.Sample{{T: start + int64(i)*15_000, V: v}})
	}
	a.Commit()
}

func snapshot(t testing.TB, e *detect.Engine) []byte {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, e.Snapshot(&b))
	return b.Bytes()
}

func TestSnapshotRoundTrip(t *testing.T) {
	for _, row := range detect.Builtin {
		t.Run(row.Name, func(t *testing.T) {
			old := lived(t, row.Name, 700)
			saved := snapshot(t, old)
			restored := newEngine(t, detect.Options{Detector: row.Name, Shards: 2})
			require.NoError(t, restored.Restore(bytes.NewReader(saved)))
			require.Equal(t, dump(old), dump(restored))
			require.Equal(t, 701, restored.Stats().Series)
			for k := range 700 {
				feed(old, k, 5+k%100, 150)
				feed(restored, k, 5+k%100, 150)
			}
			require.Equal(t, dump(old), dump(restored), "the future is the same")
		})
	}
}

func TestRestoreReplaces(t *testing.T) {
	e := lived(t, "", 10)
	empty := newEngine(t, detect.Options{})
	require.NoError(t, e.Restore(bytes.NewReader(snapshot(t, empty))))
	require.Empty(t, dump(e))
	require.Equal(t, 0, e.Stats().Series)
}

func TestRestoreUnderASmallerCap(t *testing.T) {
	saved := snapshot(t, lived(t, "", 20))
	e := newEngine(t, detect.Options{MaxSeries: 5})
	require.NoError(t, e.Restore(bytes.NewReader(saved)))
	s := e.Stats()
	require.Equal(t, 5, s.Series)
	require.Equal(t, uint64(16), s.SeriesRefused)
	require.Equal(t, ingest.Result{Dropped: 1}, send(e, labels("__name__=new"), ingest.KindGauge, ingest.Sample{T: start, V: 1}))
}

func TestRestoreRefuses(t *testing.T) {
	good := snapshot(t, lived(t, "", 30))
	e := lived(t, "", 3)
	before := dump(e)
	f := func(name string, data []byte, want error) {
		t.Helper()
		err := e.Restore(bytes.NewReader(data))
		require.ErrorIs(t, err, want, name)
		require.Equal(t, before, dump(e), name)
	}
	f("empty", nil, detect.ErrCorrupt)
	f("text", []byte("# HELP up is not a snapshot\n# TYPE up gauge\nup 1\n"), detect.ErrCorrupt)
	for n := 1; n < len(good); n += 1 + n/7 {
		f(fmt.Sprintf("cut after %d", n), good[:n], detect.ErrCorrupt)
	}
	for n := 0; n < len(good); n += 1 + n/11 {
		bad := bytes.Clone(good)
		bad[n] ^= 0x10
		f(fmt.Sprintf("bit flipped in byte %d", n), bad, detect.ErrCorrupt)
	}
	broken := errors.New("disk is gone")
	err := e.Restore(io.MultiReader(bytes.NewReader(good[:1000]), iotest.ErrReader(broken)))
	require.ErrorIs(t, err, broken)
	require.Equal(t, before, dump(e))
}

type full struct{ room int }

func (f *full) Write(p []byte) (int, error) {
	if f.room -= len(p); f.room < 0 {
		return 0, errors.New("no space left on device")
	}
	return len(p), nil
}

func TestSnapshotReportsAFullDisk(t *testing.T) {
	e := lived(t, "", 100)
	require.EqualError(t, e.Snapshot(&full{room: 100}), "no space left on device")
}
