package remotewrite_test

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/golang/snappy"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/prompb"
	writev2 "github.com/prometheus/prometheus/prompb/io/prometheus/write/v2"
	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/ingest/ingesttest"
	"github.com/portent-dev/portent/internal/ingest/remotewrite"
)

func TestNegotiation(t *testing.T) {
	good1 := encodeV1(t, &prompb.WriteRequest{Timeseries: []prompb.TimeSeries{v1Series(labels{"__name__", "up"}, prompb.Sample{Timestamp: 1, Value: 1})}})
	good2 := encodeV2(t, newV2().sample(labels{"__name__", "up"}, 1, 1).request())
	for _, tc := range []struct {
		name, contentType, encoding string
		body                        []byte
		status                      int
		written                     string
	}{
		{"1.0", "application/x-protobuf", "snappy", good1, 204, ""},
		{"1.0 named", "application/x-protobuf;proto=prometheus.WriteRequest", "snappy", good1, 204, ""},
		{"no content type is 1.0", "", "snappy", good1, 204, ""},
		{"no encoding is snappy", "application/x-protobuf", "", good1, 204, ""},
		{"2.0", typeV2, "snappy", good2, 204, "1/0/0"},
		{"2.0 as other clients write it", `Application/X-Protobuf; proto="io.prometheus.write.v2.Request"`, "Snappy", good2, 204, "1/0/0"},
		{"json", "application/json", "snappy", good1, 415, ""},
		{"image", "image/png", "snappy", good1, 415, ""},
		{"another message", "application/x-protobuf;proto=io.prometheus.write.v3.Request", "snappy", good2, 415, ""},
		{"not a media type", "application/x-protobuf;;=", "snappy", good1, 415, ""},
		{"gzip", "application/x-protobuf", "gzip", good1, 415, ""},
		{"deflate, 2.0", typeV2, "deflate", good2, 415, "0/0/0"},
		{"twice compressed", typeV2, "snappy, gzip", good2, 415, "0/0/0"},
		{"not compressed", typeV2, "identity", good2, 415, "0/0/0"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := newReceiver(t, remotewrite.Config{})
			req := httptest.NewRequest(http.MethodPost, "/api/v1/write", bytes.NewReader(tc.body))
			if tc.contentType != "" {
				req.Header.Set("Content-Type", tc.contentType)
			}
			if tc.encoding != "" {
				req.Header.Set("Content-Encoding", tc.encoding)
			}
			a := r.do(t, req)
			require.Equal(t, tc.status, a.status, a.message)
			require.Equal(t, tc.written, a.written)
			want := "{__name__=\"up\"} unknown 1@1\n"
			if tc.status != 204 {
				want = ""
			}
			require.Equal(t, want, r.target.Dump())
		})
	}
}

func TestMethod(t *testing.T) {
	r := newReceiver(t, remotewrite.Config{})
	a := r.do(t, httptest.NewRequest(http.MethodGet, "/api/v1/write", nil))
	require.Equal(t, http.StatusMethodNotAllowed, a.status)
	require.Equal(t, "POST", a.header.Get("Allow"))
}

// A sender that gets the content type wrong must not be told that its data was
// written: each message decodes to nothing under the schema of the other.
func TestWrongSchema(t *testing.T) {
	r := newReceiver(t, remotewrite.Config{})
	one := encodeV1(t, &prompb.WriteRequest{Timeseries: []prompb.TimeSeries{v1Series(labels{"__name__", "up"}, prompb.Sample{Timestamp: 1, Value: 1})}})
	two := encodeV2(t, newV2().sample(labels{"__name__", "up"}, 1, 1).request())

	a := r.post(t, typeV2, one)
	require.Equal(t, 400, a.status)
	require.Contains(t, a.message, "symbols table is missing")
	a = r.post(t, typeV1, two)
	require.Equal(t, 400, a.status)
	require.Contains(t, a.message, "message of remote write 2.0")
	require.Empty(t, r.target.Dump())
}

func TestEmpty(t *testing.T) {
	r := newReceiver(t, remotewrite.Config{})
	require.Equal(t, 204, r.postV1(t, &prompb.WriteRequest{}).status)
	require.Equal(t, 204, r.postV2(t, &writev2.Request{Symbols: []string{""}}).status)
	require.Equal(t, 400, r.postV2(t, &writev2.Request{}).status)
	require.Equal(t, 400, r.postV2(t, &writev2.Request{Symbols: []string{"a", ""}}).status)
	a := r.post(t, typeV1, nil)
	require.Equal(t, 400, a.status)
	require.Contains(t, a.message, "empty")
}

func TestDamaged(t *testing.T) {
	message, err := newV2().sample(labels{"__name__", "up", "job", "a"}, 1000, 1).request().Marshal()
	require.NoError(t, err)
	body := snappy.Encode(nil, message)
	f := func(name string, body []byte, want string) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			r := newReceiver(t, remotewrite.Config{})
			a := r.post(t, typeV2, body)
			require.Equal(t, 400, a.status)
			require.Equal(t, "0/0/0", a.written)
			require.Contains(t, a.message, want)
			require.Empty(t, r.target.Dump())
		})
	}
	f("not snappy", []byte("hello, I am no snappy"), "snappy: corrupt input")
	f("first byte", append([]byte{body[0] ^ 1}, body[1:]...), "snappy: corrupt input")
	f("snappy cut", body[:len(body)-3], "snappy: corrupt input")
	f("snappy with garbage after it", append(bytes.Clone(body), "garbage"...), "snappy: corrupt input")
	f("snappy framed", framed(t, message), "snappy: corrupt input")
	f("length cut", []byte{0xff}, "ends inside the length")
	f("length not 32 bits", []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0x01, 0}, "no 32-bit number")
	f("declares more than it can hold", []byte{0x80, 0x80, 0x80, 0x08, 0x00}, "more than its 5 bytes can hold")
	f("protobuf cut", snappy.Encode(nil, message[:len(message)-1]), "protobuf message is malformed at byte")
	f("protobuf with garbage after it", snappy.Encode(nil, append(bytes.Clone(message), 0xff)), "ends inside a field")
	f("protobuf with a group", snappy.Encode(nil, append(bytes.Clone(message), 9<<3|3)), "wire type that protobuf 3 does not use")
	f("field number 0", snappy.Encode(nil, append(bytes.Clone(message), 0)), "number 0")
	f("series of another wire type", snappy.Encode(nil, append(bytes.Clone(message), 5<<3, 1)), "another wire type")
	f("JSON", snappy.Encode(nil, []byte(`{"timeseries":[]}`)), "malformed at byte 1")
	// A good series first, then a broken one: nothing may be written.
	f("second series broken", snappy.Encode(nil, append(bytes.Clone(message), 5<<3|2, 2, 2<<3|2, 9)), "in timeseries[1]")
}

func framed(t *testing.T, message []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := snappy.NewBufferedWriter(&b)
	_, err := w.Write(message)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	return b.Bytes()
}

// poison fails the test when it is read beyond n bytes.
type poison struct {
	t *testing.T
	n int
}

func (p *poison) Read(b []byte) (int, error) {
	if p.n -= len(b); p.n < 0 {
		p.t.Error("read more of the body than was needed to refuse it")
		return 0, errors.New("poison")
	}
	clear(b)
	return len(b), nil
}

func TestHugeBody(t *testing.T) {
	const gigabyte = 1 << 30
	t.Run("announced", func(t *testing.T) {
		r := newReceiver(t, remotewrite.Config{})
		req := httptest.NewRequest(http.MethodPost, "/api/v1/write", &poison{t, 0})
		req.ContentLength = gigabyte
		a := r.do(t, req)
		require.Equal(t, http.StatusRequestEntityTooLarge, a.status)
		require.Contains(t, a.message, "max_body_bytes")
		require.Equal(t, "close", a.header.Get("Connection"))
	})
	t.Run("declared by snappy", func(t *testing.T) {
		r := newReceiver(t, remotewrite.Config{})
		head := snappy.Encode(nil, make([]byte, 1<<20))
		head = append([]byte{0x80, 0x80, 0x80, 0x80, 0x04}, head[3:]...) // 2^30
		allocated := testing.AllocsPerRun(1, func() {
			req := httptest.NewRequest(http.MethodPost, "/api/v1/write", bytes.NewReader(head))
			a := r.do(t, req)
			require.Equal(t, http.StatusRequestEntityTooLarge, a.status)
			require.Contains(t, a.message, "max_decompressed_bytes")
		})
		require.Less(t, allocated, 200.0)
	})
	t.Run("not announced", func(t *testing.T) {
		r := newReceiver(t, remotewrite.Config{MaxBodyBytes: 1 << 20})
		// A length of 1 MiB in front, then zeros without end.
		body := io.MultiReader(bytes.NewReader([]byte{0x80, 0x80, 0x40}), &poison{t, 3 << 20})
		req := httptest.NewRequest(http.MethodPost, "/api/v1/write", body)
		req.ContentLength = -1
		a := r.do(t, req)
		require.Equal(t, http.StatusRequestEntityTooLarge, a.status)
		require.Contains(t, a.message, "max_body_bytes (1048576)")
	})
	t.Run("samples", func(t *testing.T) {
		r := newReceiver(t, remotewrite.Config{MaxSamples: 3})
		b := newV2()
		for i := range 4 {
			b.sample(labels{"__name__", "up"}, int64(i), 1)
		}
		a := r.postV2(t, b.request())
		require.Equal(t, http.StatusRequestEntityTooLarge, a.status)
		require.Contains(t, a.message, "more than 3 samples")
		require.Empty(t, r.target.Dump())
	})
	t.Run("symbols", func(t *testing.T) {
		r := newReceiver(t, remotewrite.Config{MaxSamples: 3})
		a := r.postV2(t, &writev2.Request{Symbols: make([]string, 7)})
		require.Equal(t, http.StatusRequestEntityTooLarge, a.status)
		require.Contains(t, a.message, "more than 6 symbols")
	})
}

func TestBodyOverTheWire(t *testing.T) {
	r := newReceiver(t, remotewrite.Config{MaxBodyBytes: 1 << 20})
	server := httptest.NewServer(r)
	defer server.Close()
	body := encodeV2(t, newV2().sample(labels{"__name__", "up"}, 1, 1).request())

	t.Run("chunked", func(t *testing.T) {
		req, err := http.NewRequest(http.MethodPost, server.URL, struct{ io.Reader }{bytes.NewReader(body)})
		require.NoError(t, err)
		req.Header.Set("Content-Type", typeV2)
		resp, err := http.DefaultClient.Do(req)
		require.NoError(t, err)
		a := read(t, resp)
		require.Equal(t, 204, a.status, a.message)
		require.Equal(t, "1/0/0", a.written)
	})
	t.Run("too slow", func(t *testing.T) {
		r := newReceiver(t, remotewrite.Config{ReadTimeout: model.Duration(50 * time.Millisecond)})
		server := httptest.NewServer(r)
		defer server.Close()
		conn, err := net.Dial("tcp", server.Listener.Addr().String())
		require.NoError(t, err)
		defer conn.Close()
		_, err = io.WriteString(conn, "POST / HTTP/1.1\r\nHost: x\r\nContent-Type: "+typeV2+"\r\nContent-Length: 1000\r\n\r\n"+string(body))
		require.NoError(t, err)
		answer := make([]byte, 4096) // the rest of the body never comes
		n, err := conn.Read(answer)
		require.NoError(t, err)
		require.Contains(t, string(answer[:n]), " 503 ")
		require.Contains(t, string(answer[:n]), "i/o timeout")
		require.Empty(t, r.target.Dump())
	})
	t.Run("broken off", func(t *testing.T) {
		conn, err := net.Dial("tcp", server.Listener.Addr().String())
		require.NoError(t, err)
		defer conn.Close()
		_, err = io.WriteString(conn, "POST / HTTP/1.1\r\nHost: x\r\nContent-Type: "+typeV2+"\r\nContent-Length: 1000\r\n\r\n"+string(body))
		require.NoError(t, err)
		require.NoError(t, conn.(*net.TCPConn).CloseWrite())
		answer, err := io.ReadAll(conn)
		require.NoError(t, err)
		require.Contains(t, string(answer), " 503 ")
		require.Contains(t, string(answer), "Retry-After: 1")
		require.Contains(t, string(answer), "unexpected EOF")
	})
}

// slow is a body whose second half comes late.
type slow struct {
	first  []byte
	wait   time.Duration
	second []byte
}

func (s *slow) Read(b []byte) (int, error) {
	if len(s.first) > 0 {
		n := copy(b, s.first)
		s.first = s.first[n:]
		return n, nil
	}
	<-time.After(s.wait)
	s.wait = 0
	if len(s.second) == 0 {
		return 0, io.EOF
	}
	n := copy(b, s.second)
	s.second = s.second[n:]
	return n, nil
}

func TestNoRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		body := encodeV2(t, newV2().sample(labels{"__name__", "up"}, 1, 1).request())
		r := newReceiver(t, remotewrite.Config{
			MaxBodyBytes: 1000, MaxDecompressedBytes: 1000, MaxInFlightBytes: 2000,
			QueueTimeout: model.Duration(5 * time.Second),
		})
		send := func(wait time.Duration) (a answer) {
			req := httptest.NewRequest(http.MethodPost, "/", &slow{first: body[:5], wait: wait, second: body[5:]})
			req.ContentLength = -1 // as much room as a body may take
			req.Header.Set("Content-Type", typeV2)
			return r.do(t, req)
		}
		slowDone := make(chan answer)
		go func() { slowDone <- send(time.Minute) }()
		go func() { slowDone <- send(2 * time.Minute) }() // waits for the first in vain
		synctest.Wait()

		start := time.Now()
		a := send(0)
		require.Equal(t, http.StatusServiceUnavailable, a.status)
		require.Equal(t, "1", a.header.Get("Retry-After"))
		require.Equal(t, "0/0/0", a.written)
		require.Contains(t, a.message, "max_in_flight_bytes")
		require.Equal(t, 5*time.Second, time.Since(start))

		require.Equal(t, 503, (<-slowDone).status)
		require.Equal(t, 204, (<-slowDone).status)
		require.Equal(t, 204, send(0).status) // room again; the sample came before
		require.Zero(t, value(t, r.reg, "portent_exporter_remote_write_in_flight_bytes"))
	})
}

// value returns a metric without labels.
func value(t *testing.T, reg *prometheus.Registry, name string) float64 {
	t.Helper()
	families, err := reg.Gather()
	require.NoError(t, err)
	for _, f := range families {
		if f.GetName() == name {
			m := f.GetMetric()[0]
			return m.GetGauge().GetValue() + m.GetCounter().GetValue()
		}
	}
	t.Fatalf("no metric %s", name)
	return 0
}

func TestMetrics(t *testing.T) {
	r := newReceiver(t, remotewrite.Config{})
	r.target.MaxSeries = 2
	r.target.MaxTime = 10_000
	b := newV2().
		sample(labels{"__name__", "a"}, 1000, 1).
		sample(labels{"__name__", "b"}, 1000, 1).
		sample(labels{"__name__", "c"}, 1000, 1).  // no room
		sample(labels{"__name__", "a"}, 1000, 1).  // again
		sample(labels{"__name__", "a"}, 500, 1).   // late
		sample(labels{"__name__", "a"}, 20000, 1). // early
		sample(labels{"job", "a"}, 1000, 1).
		sample(labels{"__name__", "a", "x", strings.Repeat("x", 5000)}, 1000, 1).
		sample(labels{"__name__", "anomaly_score", "metric", "a"}, 1000, 1)
	a := r.postV2(t, b.request())
	require.Equal(t, 400, a.status)
	require.Equal(t, "4/0/0", a.written) // a, b, a again, and ours
	r.post(t, "image/png", nil)
	r.postV1(t, &prompb.WriteRequest{})

	require.NoError(t, testutil.GatherAndCompare(r.reg, strings.NewReader(`
# HELP portent_exporter_remote_write_requests_total Remote-write requests answered, by version of the protocol and HTTP status.
# TYPE portent_exporter_remote_write_requests_total counter
portent_exporter_remote_write_requests_total{code="204",protocol="1.0"} 1
portent_exporter_remote_write_requests_total{code="204",protocol="2.0"} 0
portent_exporter_remote_write_requests_total{code="204",protocol="unknown"} 0
portent_exporter_remote_write_requests_total{code="400",protocol="1.0"} 0
portent_exporter_remote_write_requests_total{code="400",protocol="2.0"} 1
portent_exporter_remote_write_requests_total{code="400",protocol="unknown"} 0
portent_exporter_remote_write_requests_total{code="405",protocol="1.0"} 0
portent_exporter_remote_write_requests_total{code="405",protocol="2.0"} 0
portent_exporter_remote_write_requests_total{code="405",protocol="unknown"} 0
portent_exporter_remote_write_requests_total{code="413",protocol="1.0"} 0
portent_exporter_remote_write_requests_total{code="413",protocol="2.0"} 0
portent_exporter_remote_write_requests_total{code="413",protocol="unknown"} 0
portent_exporter_remote_write_requests_total{code="415",protocol="1.0"} 0
portent_exporter_remote_write_requests_total{code="415",protocol="2.0"} 0
portent_exporter_remote_write_requests_total{code="415",protocol="unknown"} 1
portent_exporter_remote_write_requests_total{code="503",protocol="1.0"} 0
portent_exporter_remote_write_requests_total{code="503",protocol="2.0"} 0
portent_exporter_remote_write_requests_total{code="503",protocol="unknown"} 0
# HELP portent_exporter_samples_total Samples taken, stale markers included, by the source they came from.
# TYPE portent_exporter_samples_total counter
portent_exporter_samples_total{source="remote_write"} 2
# HELP portent_exporter_samples_duplicate_total Samples that came again with the same time and value, and were ignored.
# TYPE portent_exporter_samples_duplicate_total counter
portent_exporter_samples_duplicate_total{source="remote_write"} 1
# HELP portent_exporter_samples_rejected_total Samples not taken, by the source they came from and the reason.
# TYPE portent_exporter_samples_rejected_total counter
portent_exporter_samples_rejected_total{reason="invalid_histogram",source="remote_write"} 0
portent_exporter_samples_rejected_total{reason="invalid_labels",source="remote_write"} 1
portent_exporter_samples_rejected_total{reason="label_limit",source="remote_write"} 1
portent_exporter_samples_rejected_total{reason="mixed_series",source="remote_write"} 0
portent_exporter_samples_rejected_total{reason="out_of_order",source="remote_write"} 1
portent_exporter_samples_rejected_total{reason="own_output",source="remote_write"} 1
portent_exporter_samples_rejected_total{reason="series_limit",source="remote_write"} 1
portent_exporter_samples_rejected_total{reason="source_limit",source="remote_write"} 0
portent_exporter_samples_rejected_total{reason="too_far_ahead",source="remote_write"} 1
`), "portent_exporter_remote_write_requests_total", "portent_exporter_samples_total",
		"portent_exporter_samples_duplicate_total", "portent_exporter_samples_rejected_total"))
	lint, err := testutil.GatherAndLint(r.reg)
	require.NoError(t, err)
	require.Empty(t, lint)
}

// TestRefusals makes each refusal once.
func TestRefusals(t *testing.T) {
	good := encodeV2(t, newV2().sample(labels{"__name__", "up"}, 1, 1).sample(labels{"__name__", "up"}, 2, 1).request())
	r := newReceiver(t, remotewrite.Config{
		MaxBodyBytes: 1000, MaxDecompressedBytes: 1000, MaxInFlightBytes: 2000, MaxSamples: 10, QueueTimeout: model.Duration(20 * time.Millisecond),
	})
	r.post(t, "image/png", good)
	r.post(t, typeV2, make([]byte, 1001))
	r.post(t, typeV2, snappy.Encode(nil, make([]byte, 1001)))
	r.post(t, typeV2, []byte("\x05no"))
	r.post(t, typeV2, snappy.Encode(nil, []byte{0}))
	var many writev2.TimeSeries
	many.Samples = make([]writev2.Sample, 11)
	r.postV2(t, &writev2.Request{Symbols: []string{""}, Timeseries: []writev2.TimeSeries{many}})
	r.do(t, httptest.NewRequest(http.MethodPut, "/", nil))
	broken := httptest.NewRequest(http.MethodPost, "/", io.MultiReader(bytes.NewReader(good[:3]), iotest.ErrReader(errors.New("gone"))))
	broken.ContentLength = 500
	r.do(t, broken)
	wait := make(chan struct{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		req := httptest.NewRequest(http.MethodPost, "/", io.MultiReader(bytes.NewReader(good[:3]), blocked{wait}))
		req.ContentLength = 1000
		rec := httptest.NewRecorder()
		r.ServeHTTP(rec, req)
	}()
	require.Eventually(t, func() bool { return value(t, r.reg, "portent_exporter_remote_write_in_flight_bytes") > 1000 }, 10*time.Second, time.Millisecond)
	busy := httptest.NewRequest(http.MethodPost, "/", bytes.NewReader(good))
	busy.ContentLength = 1000
	require.Equal(t, http.StatusServiceUnavailable, r.do(t, busy).status)
	close(wait)
	<-done

	require.NoError(t, testutil.GatherAndCompare(r.reg, strings.NewReader(`
# HELP portent_exporter_remote_write_requests_refused_total Remote-write requests of which nothing was looked at or written, by reason.
# TYPE portent_exporter_remote_write_requests_refused_total counter
portent_exporter_remote_write_requests_refused_total{reason="body_bytes"} 1
portent_exporter_remote_write_requests_refused_total{reason="content_type"} 1
portent_exporter_remote_write_requests_refused_total{reason="decompressed_bytes"} 1
portent_exporter_remote_write_requests_refused_total{reason="method"} 1
portent_exporter_remote_write_requests_refused_total{reason="no_room"} 1
portent_exporter_remote_write_requests_refused_total{reason="protobuf"} 1
portent_exporter_remote_write_requests_refused_total{reason="samples"} 1
portent_exporter_remote_write_requests_refused_total{reason="snappy"} 1
portent_exporter_remote_write_requests_refused_total{reason="unread"} 2
`), "portent_exporter_remote_write_requests_refused_total"))
}

// blocked gives nothing until it is told to, and then an error.
type blocked struct{ until chan struct{} }

func (b blocked) Read([]byte) (int, error) {
	<-b.until
	return 0, errors.New("gone")
}

func TestOptions(t *testing.T) {
	reg, logger, target := prometheus.NewRegistry(), slog.New(slog.DiscardHandler), new(ingesttest.Target)
	for _, o := range []remotewrite.Options{
		{},
		{Registerer: reg, Logger: logger},
		{Target: target, Logger: logger},
		{Target: target, Registerer: reg},
		{Target: target, Registerer: reg, Logger: logger, Config: remotewrite.Config{MaxLabels: -1}},
	} {
		_, err := remotewrite.New(o)
		require.Error(t, err)
	}
}

func TestConfigValidate(t *testing.T) {
	require.NoError(t, remotewrite.Config{}.Validate())
	require.NoError(t, remotewrite.DefaultConfig().Validate())
	f := func(c remotewrite.Config, want string) {
		t.Helper()
		require.ErrorContains(t, c.Validate(), want)
	}
	f(remotewrite.Config{MaxBodyBytes: -1}, "max_body_bytes is negative")
	f(remotewrite.Config{MaxDecompressedBytes: -1}, "max_decompressed_bytes is negative")
	f(remotewrite.Config{MaxInFlightBytes: -1}, "max_in_flight_bytes is negative")
	f(remotewrite.Config{MaxSamples: -1}, "max_samples is negative")
	f(remotewrite.Config{MaxLabels: -1}, "max_labels is negative")
	f(remotewrite.Config{MaxLabelNameBytes: -1}, "max_label_name_bytes is negative")
	f(remotewrite.Config{MaxLabelValueBytes: -1}, "max_label_value_bytes is negative")
	f(remotewrite.Config{QueueTimeout: -1}, "queue_timeout is negative")
	f(remotewrite.Config{ReadTimeout: -1}, "read_timeout is negative")
	f(remotewrite.Config{MaxDecompressedBytes: 1 << 30}, "max_in_flight_bytes is 268435456: want at least")
}
