package detect_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"testing"

	"github.com/portent-dev/portent/internal/detect"
	"github.com/portent-dev/portent/internal/detect/detecttest"
	"github.com/portent-dev/portent/internal/ingest"
)

// FuzzRestore gives Restore any bytes: it refuses them with one of its errors and
// leaves the engine as it was, or takes them and goes on working.
func FuzzRestore(f *testing.F) {
	good := snapshot(f, lived(f, "", 20))
	f.Add(good)
	f.Add(good[:len(good)/2])
	f.Add(snapshot(f, newEngine(f, detect.Options{})))
	f.Add([]byte("portent\x00"))
	f.Fuzz(func(t *testing.T, data []byte) {
		e := newEngine(t, detect.Options{Shards: 2})
		feed(e, 1, 0, 3)
		before := dump(e)
		if err := e.Restore(bytes.NewReader(data)); err != nil {
			if !errors.Is(err, detect.ErrCorrupt) && !errors.Is(err, detect.ErrVersion) {
				t.Fatalf("neither corrupt nor another version: %v", err)
			}
			if len(dump(e)) != len(before) {
				t.Fatal("a refused snapshot changed the engine")
			}
			return
		}
		feed(e, 1, 5, 60)
		for _, o := range dump(e) {
			if err := detecttest.Check(o); err != nil {
				t.Fatal(err)
			}
		}
		e.Expire(math.MaxInt64 / 2)
		if n := e.Stats().Series; n != 0 {
			t.Fatalf("%d series cannot be expired", n)
		}
	})
}

// FuzzObserve gives every detector any series: 16 bytes a sample, the time from the
// one before and the value.
func FuzzObserve(f *testing.F) {
	var seed []byte
	for i := range 60 {
		seed = binary.LittleEndian.AppendUint64(seed, uint64(15_000+i))
		seed = binary.LittleEndian.AppendUint64(seed, math.Float64bits(float64(i*i%17)))
	}
	f.Add(seed)
	f.Add(binary.LittleEndian.AppendUint64(seed, math.Float64bits(math.NaN())))
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, row := range detect.Builtin {
			bank := row.Open(detect.Config{})
			bank.Reset(0)
			var out detect.Output
			at := int64(detecttest.Start)
			for d := data; len(d) >= 16; d = d[16:] {
				at = min(max(1, at+int64(binary.LittleEndian.Uint64(d))%(1<<40)), 253402300799999)
				bank.Observe(0, at, math.Float64frombits(binary.LittleEndian.Uint64(d[8:])), &out)
				if err := detecttest.Check(out); err != nil {
					t.Fatalf("%s: %v", row.Name, err)
				}
			}
			if err := bank.LoadState(0, bank.AppendState(0, nil)); err != nil {
				t.Fatalf("%s: a state that was reached is refused: %v", row.Name, err)
			}
		}
	})
}

// FuzzAppend gives the engine any batches.
func FuzzAppend(f *testing.F) {
	f.Add([]byte("\x01\x02abc"), uint8(1), int64(1000), 1.5)
	f.Add([]byte{}, uint8(2), int64(-5), math.Inf(1))
	f.Fuzz(func(t *testing.T, name []byte, kind uint8, at int64, v float64) {
		e := newEngine(t, detect.Options{Shards: 1, MaxSeries: 2})
		for range 3 {
			a := e.Appender()
			a.Append([]ingest.Label{{Name: "__name__", Value: string(name)}}, ingest.Kind(kind%3), []ingest.Sample{{T: at, V: v}, {T: at + 1, V: v}})
			a.Append([]ingest.Label{{Name: string(name) + "x", Value: "y"}}, ingest.Kind(kind%3), []ingest.Sample{{T: at, V: v}})
			if n := a.Commit().Samples(); n != 3 {
				t.Fatalf("%d of 3 samples counted", n)
			}
		}
		for _, o := range dump(e) {
			if err := detecttest.Check(o); err != nil {
				t.Fatal(err)
			}
		}
	})
}
