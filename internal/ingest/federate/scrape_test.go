package federate

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"

	dto "github.com/prometheus/client_model/go"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/portent-dev/portent/internal/ingest/ingesttest"
)

const (
	text        = "text/plain; version=0.0.4; charset=utf-8"
	openMetrics = "application/openmetrics-text; version=1.0.0; charset=utf-8"
	protobuf    = "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"
)

// bench is a scrape with the target behind it.
type bench struct {
	scrape
	target *ingesttest.Target
	now    int64
}

func newBench(edit func(*Target)) *bench {
	c := DefaultTarget()
	if edit != nil {
		edit(&c)
	}
	b := &bench{target: new(ingesttest.Target)}
	b.scrape = newScrape(c, b.target)
	return b
}

// read takes an answer a second later than the one before.
func (b *bench) read(t *testing.T, contentType, body string) outcome {
	t.Helper()
	b.now += 1000
	got, err := b.take([]byte(body), contentType, b.now)
	require.NoError(t, err)
	return got
}

func TestText(t *testing.T) {
	b := newBench(nil)
	got := b.read(t, text, `# HELP up Whatever.
# TYPE up untyped
up{instance="a:1",job="x"} 1 500
up{job="y",instance=""} 0 7
# TYPE requests counter
requests{path="a\\b\"c\nd"} 7
requests_created 1
# TYPE temperature_total gauge
temperature_total 3.5e-1
# TYPE size histogram
size_bucket{le="1"} 2
size_bucket{le="+Inf"} 3
size_sum NaN
size_count 3
# TYPE wait summary
wait{quantile="0.5"} +Inf
wait_sum 1
wait_count 2
{"a.name","a label"="ö"} -0.25
jobs_total 5
anomaly_score{metric="up"} 0.5
`)
	require.Equal(t, outcome{series: 14, own: 1, result: got.result}, got)
	require.Equal(t, 14, got.result.Accepted)
	require.Equal(t, `{__name__="a.name", a label="ö"} unknown -0.25@1000
{__name__="jobs_total"} counter 5@1000
{__name__="requests", path="a\\b\"c\nd"} counter 7@1000
{__name__="requests_created"} unknown 1@1000
{__name__="size_bucket", le="+Inf"} counter 3@1000
{__name__="size_bucket", le="1.0"} counter 2@1000
{__name__="size_count"} counter 3@1000
{__name__="size_sum"} counter NaN@1000
{__name__="temperature_total"} gauge 0.35@1000
{__name__="up", instance="a:1", job="x"} unknown 1@500
{__name__="up", job="y"} unknown 0@7
{__name__="wait", quantile="0.5"} gauge +Inf@1000
{__name__="wait_count"} counter 2@1000
{__name__="wait_sum"} counter 1@1000
`, b.target.Dump())
}

func TestOpenMetrics(t *testing.T) {
	b := newBench(nil)
	b.read(t, openMetrics, `# TYPE requests counter
# UNIT requests_seconds seconds
requests_total{job="a"} 7 1.5 # {trace_id="x"} 1 1.4
requests_created{job="a"} 1
# TYPE build info
build_info{version="1"} 1
# TYPE mode stateset
mode{mode="on"} 1
# TYPE queue gaugehistogram
queue_bucket{le="1.0"} 2
queue_gcount 2
queue_gsum 3
# TYPE plain unknown
plain 4
# EOF
`)
	require.Equal(t, `{__name__="build_info", version="1"} gauge 1@1000
{__name__="mode", mode="on"} gauge 1@1000
{__name__="plain"} unknown 4@1000
{__name__="queue_bucket", le="1.0"} gauge 2@1000
{__name__="queue_gcount"} gauge 2@1000
{__name__="queue_gsum"} gauge 3@1000
{__name__="requests_total", job="a"} counter 7@1500
`, b.target.Dump())
}

// encode writes families as the delimited protobuf format does.
func encode(t testing.TB, families ...*dto.MetricFamily) string {
	t.Helper()
	var b bytes.Buffer
	for _, f := range families {
		m, err := proto.Marshal(f)
		require.NoError(t, err)
		b.Write(binary.AppendUvarint(nil, uint64(len(m))))
		b.Write(m)
	}
	return b.String()
}

func nativeFamily(typ dto.MetricType) *dto.MetricFamily {
	return &dto.MetricFamily{
		Name: proto.String("latency_seconds"), Type: typ.Enum(),
		Metric: []*dto.Metric{{
			Label:       []*dto.LabelPair{{Name: proto.String("job"), Value: proto.String("a")}},
			TimestampMs: proto.Int64(700),
			Histogram: &dto.Histogram{
				SampleCountFloat: proto.Float64(4), SampleSum: proto.Float64(2.5), Schema: proto.Int32(3),
				ZeroThreshold: proto.Float64(1e-10), ZeroCountFloat: proto.Float64(1),
				PositiveSpan:  []*dto.BucketSpan{{Offset: proto.Int32(0), Length: proto.Uint32(2)}},
				PositiveCount: []float64{1, 2},
			},
		}},
	}
}

func TestProtobuf(t *testing.T) {
	b := newBench(nil)
	b.read(t, protobuf, encode(t, nativeFamily(dto.MetricType_HISTOGRAM), &dto.MetricFamily{
		Name: proto.String("up"), Type: dto.MetricType_UNTYPED.Enum(),
		Metric: []*dto.Metric{{Untyped: &dto.Untyped{Value: proto.Float64(1)}, TimestampMs: proto.Int64(900)}},
	}))
	require.Equal(t, `{__name__="latency_seconds_count", job="a"} counter 4@700
{__name__="latency_seconds_sum", job="a"} counter 2.5@700
{__name__="up"} unknown 1@900
`, b.target.Dump())
	b.read(t, protobuf, encode(t))
	require.Equal(t, `{__name__="latency_seconds_count", job="a"} counter 4@700 stale@2000
{__name__="latency_seconds_sum", job="a"} counter 2.5@700 stale@2000
{__name__="up"} unknown 1@900 stale@2000
`, b.target.Dump())

	b = newBench(nil)
	b.read(t, protobuf, encode(t, nativeFamily(dto.MetricType_GAUGE_HISTOGRAM)))
	require.Contains(t, b.target.Dump(), `{__name__="latency_seconds_count", job="a"} gauge 4@700`)
}

func TestStaleness(t *testing.T) {
	b := newBench(nil)
	require.Equal(t, 2, b.read(t, text, "a 1\nb{x=\"1\",y=\"2\"} 1\n").series)
	require.Equal(t, 2, b.read(t, text, "b{y=\"2\",x=\"1\"} 2\na 2\n").series) // written in another way
	require.Equal(t, 1, b.read(t, text, "b{x=\"1\",y=\"2\"} 3\n").series)
	require.Equal(t, 2, b.read(t, text, "b{x=\"1\",y=\"2\"} 4\na 4\n").series)
	require.Equal(t, 0, b.read(t, text, "").series)
	require.Empty(t, b.lines)
	require.Equal(t, `{__name__="a"} unknown 1@1000 2@2000 stale@3000 4@4000 stale@5000
{__name__="b", x="1", y="2"} unknown 1@1000 2@2000 3@3000 4@4000 stale@5000
`, b.target.Dump())
}

// A sample that the server has not scraped anew comes again with its old time: it is
// the same sample, and no fault.
func TestSameSampleAgain(t *testing.T) {
	b := newBench(nil)
	require.Equal(t, 1, b.read(t, text, "a 1 500\n").result.Accepted)
	got := b.read(t, text, "a 1 500\n").result
	require.Equal(t, 1, got.Duplicate)
	require.Equal(t, 1, got.Samples())
}

func TestParseErrors(t *testing.T) {
	f := func(contentType, body, want string) {
		t.Helper()
		b := newBench(nil)
		b.read(t, text, "before 1\n")
		_, err := b.take([]byte(body), contentType, 2000)
		require.ErrorContains(t, err, want)
		_, rollbacks := b.target.Batches()
		require.LessOrEqual(t, rollbacks, 1)
		require.Equal(t, "{__name__=\"before\"} unknown 1@1000\n", b.target.Dump(), "nothing is taken of such an answer, and nothing ends")
		// The next good one goes on from the last good one.
		b.now = 2000
		b.read(t, text, "good 1\n")
		require.Equal(t, "{__name__=\"before\"} unknown 1@1000 stale@3000\n{__name__=\"good\"} unknown 1@3000\n", b.target.Dump())
	}
	f(text, "good 1\nbad{ 2\n", "parse answer")
	f(text, "good 1\n{\"status\":\"error\"}", "parse answer")
	f(text, "good 1\nbad one\n", "parse answer")
	f(text, "good 1\nbad{x=\"\xff\"} 1\n", "parse answer")
	f(openMetrics, "good 1\n", "parse answer") // no end: it was cut
	f(protobuf, encode(t, nativeFamily(dto.MetricType_HISTOGRAM))+"\x7f", "parse answer")
}

func TestUnknownContentType(t *testing.T) {
	b := newBench(nil)
	b.read(t, "", "a 1\n")
	b.read(t, "application/octet-stream", "a 2\n")
	require.Equal(t, "{__name__=\"a\"} unknown 1@1000 2@2000\n", b.target.Dump(), "taken for text")
}

func TestBadLabels(t *testing.T) {
	b := newBench(nil)
	got := b.read(t, text, "a{x=\"1\",x=\"2\"} 1\na{x=\"\",x=\"2\"} 1\nb 1\n")
	require.Equal(t, 2, got.badLabels)
	require.Equal(t, []string{`{__name__="b"}`}, b.target.Names())
}

func TestHonorLabels(t *testing.T) {
	labels := map[string]string{"cluster": "ours", "zone": "z"}
	const body = "a{cluster=\"theirs\"} 1\nb{cluster=\"theirs\",exported_cluster=\"x\"} 1\nc 1\n"
	b := newBench(func(c *Target) { c.Labels = labels })
	b.read(t, text, body)
	require.Equal(t, []string{
		`{__name__="a", cluster="theirs", zone="z"}`,
		`{__name__="b", cluster="theirs", exported_cluster="x", zone="z"}`,
		`{__name__="c", cluster="ours", zone="z"}`,
	}, b.target.Names())

	b = newBench(func(c *Target) { c.Labels, c.HonorLabels = labels, false })
	b.read(t, text, body)
	require.Equal(t, []string{
		`{__name__="a", cluster="ours", exported_cluster="theirs", zone="z"}`,
		`{__name__="b", cluster="ours", exported_cluster="x", exported_exported_cluster="theirs", zone="z"}`,
		`{__name__="c", cluster="ours", zone="z"}`,
	}, b.target.Names())
}

func TestHonorTimestamps(t *testing.T) {
	b := newBench(func(c *Target) { c.HonorTimestamps = false })
	b.read(t, text, "a 1 500\n")
	require.Equal(t, "{__name__=\"a\"} unknown 1@1000\n", b.target.Dump())
}

func TestCap(t *testing.T) {
	b := newBench(func(c *Target) { c.MaxSeries = 2 })
	got := b.read(t, text, "a 1\nb 1\nc 1\nd 1\n")
	require.Equal(t, 2, got.series)
	require.Equal(t, 2, got.dropped)
	// Those that are known keep their place, whatever the order.
	require.Equal(t, 2, b.read(t, text, "d 2\nc 2\nb 2\na 2\n").dropped)
	// One that ends makes room from the next reading on.
	require.Equal(t, 2, b.read(t, text, "d 3\nc 3\nb 3\n").dropped)
	require.Equal(t, 1, b.read(t, text, "d 4\nc 4\nb 4\n").dropped)
	require.Equal(t, `{__name__="a"} unknown 1@1000 2@2000 stale@3000
{__name__="b"} unknown 1@1000 2@2000 3@3000 4@4000
{__name__="d"} unknown 4@4000
`, b.target.Dump())
	require.LessOrEqual(t, len(b.lines), 4)
}

func TestKnownLinesAreNotParsedAgain(t *testing.T) {
	var body strings.Builder
	for i := range 1000 {
		body.WriteString("http_requests_total{instance=\"10.0.0.1:9100\",job=\"node\",path=\"/" + strings.Repeat("x", i%7) + "\",n=\"" + strings.Repeat("i", i) + "\"} 1\n")
	}
	b := newBench(nil)
	b.scrape.to = ingesttest.Null{}
	b.read(t, text, body.String())
	allocs := testing.AllocsPerRun(5, func() { b.read(t, text, body.String()) })
	require.Less(t, allocs, 1500.0, "about one a line is the parser's own; a label set costs ten more")
}

// FuzzScrape reads anything as an answer, twice, in each format. The contract of the
// target is checked by ingesttest, which panics when it is broken.
func FuzzScrape(f *testing.F) {
	f.Add(byte(0), []byte("# TYPE a counter\na{b=\"c\"} 1 2\nanomaly_score 1\n"))
	f.Add(byte(0), []byte("{\"a.b\",\"c d\"=\"\\n\"} NaN\n"))
	f.Add(byte(1), []byte("# TYPE a counter\na_total{b=\"c\"} 1 2.0 # {x=\"y\"} 1\n# EOF\n"))
	f.Add(byte(2), []byte(encode(f, nativeFamily(dto.MetricType_HISTOGRAM))))
	f.Add(byte(2), []byte(encode(f, nativeFamily(dto.MetricType_GAUGE_HISTOGRAM)))[:20])
	f.Add(byte(3), []byte("\x1f\x8b"))
	types := [...]string{text, openMetrics, protobuf, ""}
	f.Fuzz(func(t *testing.T, which byte, body []byte) {
		b := newBench(func(c *Target) {
			c.MaxSeries, c.Labels, c.HonorLabels = 3, map[string]string{"a": "ours"}, which >= 128
		})
		contentType := types[which%4]
		for now := int64(1); now <= 3; now++ {
			got, err := b.take(body, contentType, now)
			if err == nil && got.series > 3 {
				t.Fatalf("%d series", got.series)
			}
			if len(b.series) > 3 || len(b.lines) > 6 {
				t.Fatalf("%d series and %d lines are kept", len(b.series), len(b.lines))
			}
			if now == 2 {
				body = body[:len(body)/2]
			}
		}
	})
}
