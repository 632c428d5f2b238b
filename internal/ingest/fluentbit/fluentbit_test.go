package fluentbit_test

import (
	"bytes"
	"encoding/binary"
	"math"
	"net/http"
	"testing"

	"github.com/golang/snappy"
	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/ingest"
	"github.com/portent-dev/portent/internal/ingest/fluentbit"
	"github.com/portent-dev/portent/internal/ingest/linehttp"
	"github.com/portent-dev/portent/internal/ingest/linehttp/linetest"
)

const (
	one   = `{"date":1795435200.123,"log":"one\n","level":"warn","kubernetes":{"pod_name":"web-1","namespace_name":"shop","host":"n1","labels":{"a":"b"}}}`
	two   = `{"date":"2026-11-23T12:00:00.123Z","message":"two","trace_id":"4bf9"}`
	three = `{"date":1795435200123,"status":500}`
)

var lines = []ingest.Line{
	{T: 1795435200123, Text: "one", Severity: "warn", Labels: []ingest.Label{{Name: "namespace", Value: "shop"}, {Name: "node", Value: "n1"}, {Name: "pod", Value: "web-1"}}},
	{T: 1795435200123, Text: "two", TraceID: "4bf9"},
	{T: 1795435200123, Text: `{"date":1795435200123,"status":500}`},
}

func check(t *testing.T, contentType, encoding string, body []byte) {
	t.Helper()
	h, target, _ := linetest.Handler(t, fluentbit.New, linehttp.Config{})
	w := linetest.Post(h, contentType, encoding, body)
	require.Equal(t, http.StatusNoContent, w.Code, w.Body)
	got := target.Take()
	require.Len(t, got, 3)
	for i := range got {
		require.ElementsMatch(t, lines[i].Labels, got[i].Labels)
		got[i].Labels = lines[i].Labels
	}
	require.Equal(t, lines, got)
}

func TestFormats(t *testing.T) {
	array := []byte("[" + one + "," + two + ",\n" + three + "]\n")
	check(t, "application/json", "", array)
	check(t, "application/x-ndjson", "", []byte(one+"\n"+two+"\n"+three+"\n"))
	check(t, "application/json", "", []byte(one+two+three))
	check(t, "application/msgpack", "", msgpack())
	check(t, "application/json", "snappy", snappy.Encode(nil, array))
	var framed bytes.Buffer
	w := snappy.NewBufferedWriter(&framed)
	_, err := w.Write(array)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	check(t, "application/json", "snappy", framed.Bytes())
	z, err := zstd.NewWriter(nil)
	require.NoError(t, err)
	check(t, "application/json", "zstd", z.EncodeAll(array, nil))
}

// packer writes MessagePack.
type packer struct{ bytes.Buffer }

func (p *packer) str(s string) *packer {
	p.Write([]byte{0xd9, byte(len(s))})
	p.WriteString(s)
	return p
}

func (p *packer) raw(b ...byte) *packer {
	p.Write(b)
	return p
}

// msgpack holds the three records in the three forms: a map, [EventTime, map] and
// [[EventTime, metadata], map].
func msgpack() []byte {
	var p packer
	p.raw(0x84).str("date").raw(binary.BigEndian.AppendUint64([]byte{0xcb}, math.Float64bits(1795435200.123))...).
		str("log").str("one\n").str("level").str("warn").str("kubernetes").
		raw(0x83).str("pod_name").str("web-1").str("namespace_name").str("shop").str("host").str("n1")
	event := binary.BigEndian.AppendUint64([]byte{0xd7, 0}, 1795435200<<32|123_000_000)
	p.raw(0x92).raw(event...).raw(0x83).str("message").str("two").str("trace_id").str("4bf9").str("n").raw(0xd0, 0x80)
	p.raw(0x92, 0x92).raw(event...).raw(0x80, 0x82).str("date").raw(binary.BigEndian.AppendUint64([]byte{0xcf}, 1795435200123)...).str("status").raw(0xcd, 0x01, 0xf4)
	return p.Bytes()
}

func TestSuite(t *testing.T) {
	t.Run("json", func(t *testing.T) {
		linetest.Run(t, fluentbit.New, linetest.Sample{ContentType: "application/json", Body: []byte("[" + one + "," + two + "," + three + "]")})
	})
	t.Run("msgpack", func(t *testing.T) {
		linetest.Run(t, fluentbit.New, linetest.Sample{ContentType: "application/msgpack", Body: msgpack()})
	})
}

func TestDates(t *testing.T) {
	h, target, _ := linetest.Handler(t, fluentbit.New, linehttp.Config{})
	f := func(date string, want int64) {
		t.Helper()
		require.Equal(t, http.StatusNoContent, linetest.Post(h, "application/json", "", []byte(`{"log":"x","date":`+date+`}`)).Code)
		require.Equal(t, want, target.Take()[0].T)
	}
	f("1795435200.5", 1795435200500)
	f("1795435200", 1795435200000)
	f("1795435200123", 1795435200123)
	f(`"2026-11-23T12:00:00.123456Z"`, 1795435200123)
	f(`"2026-11-23 12:00:00.123456"`, 1795435200123)
	f(`"soon"`, 0)
	f("-1", 0)
	f("1e300", 0)
}

// TestApp: of the labels of a pod the one that names its application is taken.
func TestApp(t *testing.T) {
	h, target, _ := linetest.Handler(t, fluentbit.New, linehttp.Config{})
	f := func(labels, want string) {
		t.Helper()
		require.Equal(t, http.StatusNoContent, linetest.Post(h, "application/json", "", []byte(`{"log":"x","kubernetes":{"labels":`+labels+`}}`)).Code)
		var got string
		for _, l := range target.Take()[0].Labels {
			require.Equal(t, "app", l.Name)
			got = l.Value
		}
		require.Equal(t, want, got)
	}
	f(`{"app":"web","pod-template-hash":"7c9f"}`, "web")
	f(`{"app.kubernetes.io/name":"shop","app":"web"}`, "shop")
	f(`{"a":"b"}`, "")
	f(`[]`, "")
}

func TestRefused(t *testing.T) {
	h, target, _ := linetest.Handler(t, fluentbit.New, linehttp.Config{MaxLines: 2})
	f := func(status int, contentType string, body []byte) {
		t.Helper()
		require.Equal(t, status, linetest.Post(h, contentType, "", body).Code)
		require.Empty(t, target.Take())
	}
	for _, bad := range []string{"[", `["x"]`, "null", "7", `[{"a":1}] {`, `{"a":1},`} {
		f(http.StatusBadRequest, "application/json", []byte(bad))
	}
	for _, bad := range [][]byte{{0xc1}, {0x01}, {0xdd, 0xff, 0xff, 0xff, 0xff}, {0xdf, 0xff, 0xff, 0xff, 0xff}, {0xdb, 0xff, 0xff, 0xff, 0xff}, bytes.Repeat([]byte{0x91}, 1000)} {
		f(http.StatusBadRequest, "application/msgpack", bad)
	}
	f(http.StatusRequestEntityTooLarge, "application/json", []byte(one+one+one))
	f(http.StatusRequestEntityTooLarge, "application/json", []byte(`{"a":"`+string(bytes.Repeat([]byte("x"), 2<<20))+`"}`))
	f(http.StatusRequestEntityTooLarge, "application/msgpack", append([]byte{0xdd, 0, 0x4c, 0x4b, 0x40}, make([]byte, 5_000_000)...))
}

func FuzzIngest(f *testing.F) {
	f.Add(false, []byte("["+one+","+two+"]"))
	f.Add(false, []byte(one+two+three))
	f.Add(true, msgpack())
	f.Fuzz(func(t *testing.T, packed bool, body []byte) {
		h, _, _ := linetest.Handler(t, fluentbit.New, linehttp.Config{MaxLines: 100})
		contentType := "application/json"
		if packed {
			contentType = "application/msgpack"
		}
		require.Contains(t, []int{204, 400, 413}, linetest.Post(h, contentType, "", body).Code)
	})
}
