package lokipush_test

import (
	"bytes"
	"net/http"
	"testing"

	"github.com/golang/snappy"
	"github.com/klauspost/compress/gzip"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/portent-dev/portent/internal/ingest"
	"github.com/portent-dev/portent/internal/ingest/linehttp"
	"github.com/portent-dev/portent/internal/ingest/linehttp/linetest"
	"github.com/portent-dev/portent/internal/ingest/lokipush"
	"github.com/portent-dev/portent/internal/spectest"
)

const document = `{"extra":{"x":[1]},"streams":[
	{"stream":{"app":"web","level":"warn"},"values":[["1795435200123456789","one"],["1795435200123456790","two",{"trace_id":"4bf9","app":"x"}]]},
	{"stream":{},"values":[["0","three\nlines"]]}]}`

var lines = []ingest.Line{
	{T: 1795435200123, Text: "one", Severity: "warn", Labels: []ingest.Label{{Name: "app", Value: "web"}, {Name: "level", Value: "warn"}}},
	{T: 1795435200123, Text: "two", Severity: "warn", TraceID: "4bf9", Labels: []ingest.Label{
		{Name: "app", Value: "x"}, {Name: "level", Value: "warn"}, {Name: "trace_id", Value: "4bf9"},
	}},
	{Text: "three\nlines"},
}

func message(num protowire.Number, body []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(nil, num, protowire.BytesType), body)
}

func varint(num protowire.Number, v uint64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(nil, num, protowire.VarintType), v)
}

func join(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

// push is what Promtail sends for the same lines, entries before labels once.
func push() []byte {
	at := func(s, ns uint64) []byte { return message(1, join(varint(1, s), varint(2, ns))) }
	pair := func(k, v string) []byte { return message(3, join(message(1, []byte(k)), message(2, []byte(v)))) }
	return join(
		message(1, join(
			message(2, join(at(1795435200, 123456789), message(2, []byte("one")))),
			message(1, []byte(`{app="web", level="warn"}`)), varint(3, 99),
			message(2, join(at(1795435200, 123456790), message(2, []byte("two")), pair("trace_id", "4bf9"), pair("app", "x"))))),
		message(1, join(message(1, []byte("{}")), message(2, message(2, []byte("three\nlines"))))))
}

func zip(t testing.TB, p []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, err := w.Write(p)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	return b.Bytes()
}

func same(t *testing.T, want, got []ingest.Line) {
	t.Helper()
	require.Len(t, got, len(want))
	for i := range want {
		require.ElementsMatch(t, want[i].Labels, got[i].Labels)
		want[i].Labels, got[i].Labels = nil, nil
	}
	require.Equal(t, want, got)
}

func TestForms(t *testing.T) {
	require.NoError(t, spectest.LoadSchema(t, "inbound/loki-push.schema.json").Check([]byte(document)))
	h, target, _ := linetest.Handler(t, lokipush.New, linehttp.Config{})
	f := func(contentType, encoding string, body []byte) {
		t.Helper()
		w := linetest.Post(h, contentType, encoding, body)
		require.Equal(t, http.StatusNoContent, w.Code, w.Body)
		require.Empty(t, w.Body.Bytes())
		want := append([]ingest.Line{}, lines...)
		same(t, want, target.Take())
	}
	f("application/json", "", []byte(document))
	f("application/json; charset=utf-8", "gzip", zip(t, []byte(document)))
	f("application/x-protobuf", "", snappy.Encode(nil, push()))
	f("application/x-protobuf", "snappy", snappy.Encode(nil, push()))
	f("", "", snappy.Encode(nil, push()))
}

func TestSuite(t *testing.T) {
	t.Run("json", func(t *testing.T) {
		linetest.Run(t, lokipush.New, linetest.Sample{ContentType: "application/json", Body: []byte(document)})
	})
	t.Run("protobuf", func(t *testing.T) {
		linetest.Run(t, lokipush.New, linetest.Sample{ContentType: "application/x-protobuf", Body: snappy.Encode(nil, push())})
	})
}

func TestRefused(t *testing.T) {
	h, target, _ := linetest.Handler(t, lokipush.New, linehttp.Config{MaxLines: 2, MaxDecompressedBytes: 1000})
	f := func(status int, contentType string, body []byte) {
		t.Helper()
		require.Equal(t, status, linetest.Post(h, contentType, "", body).Code)
		require.Empty(t, target.Take())
	}
	for _, bad := range []string{
		``, `[]`, `{"streams":{}}`, `{"streams":[{"stream":{"a":1},"values":[]}]}`, `{"streams":[{"values":[["x","y"]]}]}`,
		`{"streams":[{"values":[[1,"y"]]}]}`, `{"streams":[{"values":[["1"]]}]}`, `{"streams":[{"values":[["1",2]]}]}`,
		`{"streams":[{"values":[["1","2",{"a":{}}]]}]}`, `{"streams":[]} x`, `{"streams":[{"values":[["1","a"]]},`,
	} {
		f(http.StatusBadRequest, "application/json", []byte(bad))
	}
	f(http.StatusRequestEntityTooLarge, "application/json", []byte(document)) // three lines
	proto := func(p []byte) []byte { return snappy.Encode(nil, p) }
	f(http.StatusBadRequest, "application/x-protobuf", proto([]byte{0x0a, 0x7f}))
	f(http.StatusBadRequest, "application/x-protobuf", proto(message(1, message(1, []byte(`{a=b}`)))))
	f(http.StatusBadRequest, "application/x-protobuf", proto(message(1, message(1, []byte(`a="b"`)))))
	f(http.StatusBadRequest, "application/x-protobuf", []byte{0xa0, 0x06, 0})                // declares 800 bytes in one
	f(http.StatusRequestEntityTooLarge, "application/x-protobuf", proto(make([]byte, 2000))) // over max_decompressed_bytes
	require.Equal(t, http.StatusRequestEntityTooLarge, linetest.Post(h, "application/json", "gzip", zip(t, make([]byte, 100_000))).Code)
}

func FuzzPush(f *testing.F) {
	f.Add(true, []byte(document))
	f.Add(false, push())
	f.Add(false, message(1, message(1, []byte(`{a="b\"", "é"=`+"`c`"+`}`))))
	f.Fuzz(func(t *testing.T, json bool, body []byte) {
		h, _, _ := linetest.Handler(t, lokipush.New, linehttp.Config{MaxLines: 100, MaxLabels: 3})
		contentType := "application/x-protobuf"
		if json {
			contentType = "application/json"
		} else {
			body = snappy.Encode(nil, body)
		}
		require.Contains(t, []int{204, 400, 413}, linetest.Post(h, contentType, "", body).Code)
	})
}
