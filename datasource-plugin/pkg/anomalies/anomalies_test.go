package anomalies_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/grafana/grafana-plugin-sdk-go/data"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/datasource-plugin/pkg/anomalies"
	"github.com/portent-dev/portent/datasource-plugin/pkg/query"
)

// end of the range in every test.
var end = time.Date(2026, 11, 22, 12, 0, 7, 0, time.UTC)

// asked is one query that a fake got.
type asked struct {
	expr     string
	from, to time.Time
	step     time.Duration
}

// fake answers by what a query contains.
type fake struct {
	mu      sync.Mutex
	asked   []asked
	vectors map[string]model.Value // by a part of the query; the longest that fits wins
	ranges  map[string]model.Value
	warn    []string
	err     error
}

func (f *fake) Query(_ context.Context, expr string, at time.Time) (model.Value, []string, error) {
	return f.answer(asked{expr: expr, to: at}, f.vectors, model.Vector{})
}

func (f *fake) QueryRange(_ context.Context, expr string, from, to time.Time, step time.Duration) (model.Value, []string, error) {
	return f.answer(asked{expr, from, to, step}, f.ranges, model.Matrix{})
}

func (f *fake) answer(a asked, from map[string]model.Value, none model.Value) (model.Value, []string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked = append(f.asked, a)
	if f.err != nil {
		return nil, nil, f.err
	}
	best := ""
	for part := range from {
		if strings.Contains(a.expr, part) && len(part) > len(best) {
			best = part
		}
	}
	if best == "" {
		return none, f.warn, nil
	}
	return from[best], f.warn, nil
}

func (f *fake) exprs() []string {
	var out []string
	for _, a := range f.asked {
		out = append(out, a.expr)
	}
	return out
}

func request(t testing.TB, settings string) anomalies.Request {
	t.Helper()
	q, err := query.Parse([]byte(`{"queryType":"anomalies","anomalies":` + settings + `}`))
	require.NoError(t, err)
	return anomalies.Request{Query: *q.Anomalies, From: end.Add(-time.Hour), To: end, Interval: 30 * time.Second, MaxPoints: 120, Scrape: 15 * time.Second, UID: "P1"}
}

func TestQueriesAsTheyAreSent(t *testing.T) {
	f := func(settings string, want ...string) {
		t.Helper()
		p := &fake{}
		_, err := anomalies.Run(t.Context(), p, request(t, settings))
		require.NoError(t, err)
		for _, w := range want {
			require.Contains(t, p.exprs(), w)
		}
		for _, e := range p.exprs() {
			_, err := parser.NewParser(parser.Options{}).ParseExpr(e)
			require.NoError(t, err, e)
		}
	}
	f(`{}`,
		`topk(20, max_over_time(anomaly_score[1h]) > 1)`,
		`count(max_over_time(anomaly_score[1h]) > 1)`,
		`{__name__=~"anomaly_score|anomaly_expected|anomaly_expected_lower|anomaly_expected_upper"} and topk(20, max_over_time(anomaly_score[1h]) > 1)`,
		`anomaly_score and topk(20, max_over_time(anomaly_score[1h] @ end()) > 1)`,
		`count(max_over_time(anomaly_score[1h]))`) // to say why nothing came
	f(`{"metric":"up","matchers":[{"label":"job","op":"!~","value":"a|b"}],"threshold":0,"limit":3}`,
		`topk(3, max_over_time(anomaly_score{job!~"a|b",metric="up"}[1h]))`,
		`{__name__=~"anomaly_score|anomaly_expected|anomaly_expected_lower|anomaly_expected_upper",job!~"a|b",metric="up"} and topk(3, max_over_time(anomaly_score{job!~"a|b",metric="up"}[1h]))`)
	f(`{"view":"timeseries","show":["band"]}`,
		`max_over_time(anomaly_score[30s]) and topk(20, max_over_time(anomaly_score[1h] @ end()))`,
		`{__name__=~"anomaly_expected_lower|anomaly_expected_upper"} and topk(20, max_over_time(anomaly_score[1h] @ end()))`)
	f(`{"view":"numeric","threshold":0.5,"limit":7}`, `topk(7, anomaly_score > 0.5)`)
	f(`{"view":"numeric"}`, `topk(20, anomaly_score)`)
	f(`{"matchers":[{"label":"a b\"","op":"=","value":"\"} or vector(1) #\n\\"}]}`, `count(max_over_time(anomaly_score{"a b\""="\"} or vector(1) #\n\\"}[1h]) > 1)`)
}

// The steps of a range query: never more than Prometheus gives, never finer than the scrapes, ends where the
// panel needs them.
func TestSteps(t *testing.T) {
	f := func(view string, span, interval, scrape time.Duration, points int64, wantStep time.Duration, aligned bool) {
		t.Helper()
		p := &fake{}
		r := request(t, `{"view":"`+view+`"}`)
		r.From, r.Interval, r.Scrape, r.MaxPoints = end.Add(-span), interval, scrape, points
		_, err := anomalies.Run(t.Context(), p, r)
		require.NoError(t, err)
		i := slices.IndexFunc(p.asked, func(a asked) bool { return a.step > 0 })
		require.GreaterOrEqual(t, i, 0)
		got := p.asked[i]
		require.Equal(t, wantStep, got.step)
		require.LessOrEqual(t, int64(got.to.Sub(got.from)/got.step), int64(11_000))
		require.True(t, got.from.Before(got.to))
		if aligned {
			require.Zero(t, got.from.UnixNano()%int64(got.step))
			require.Zero(t, got.to.UnixNano()%int64(got.step))
			return
		}
		require.Equal(t, end, got.to, "the newest value counts")
	}
	f("timeseries", time.Hour, 30*time.Second, 15*time.Second, 120, 30*time.Second, true)
	f("timeseries", time.Hour, time.Second, 15*time.Second, 0, 15*time.Second, true)
	f("timeseries", 30*24*time.Hour, time.Second, 15*time.Second, 1e9, 260*time.Second, true) // 10,000 points, whatever the panel asks for
	f("timeseries", 365*24*time.Hour, 0, 15*time.Second, 10_000, 3154*time.Second, true)
	f("timeseries", 1500*time.Millisecond, 200*time.Millisecond, 100*time.Millisecond, 1000, time.Second, true)
	f("timeseries", 0, 0, 15*time.Second, 1000, 15*time.Second, true)
	f("table", time.Hour, time.Minute, 15*time.Second, 10, 15*time.Second, false) // a table draws no points
	f("table", 7*24*time.Hour, time.Minute, 15*time.Second, 10, 605*time.Second, false)
	f("annotations", time.Hour, time.Minute, 15*time.Second, 60, time.Minute, false)
}

func stream(metric map[string]string, at time.Time, step time.Duration, values ...float64) *model.SampleStream {
	s := &model.SampleStream{Metric: model.Metric{}}
	for n, v := range metric {
		s.Metric[model.LabelName(n)] = model.LabelValue(v)
	}
	for i, v := range values {
		if v < 0 {
			continue // a gap
		}
		s.Values = append(s.Values, model.SamplePair{Timestamp: model.TimeFromUnixNano(at.Add(time.Duration(i) * step).UnixNano()), Value: model.SampleValue(v)})
	}
	return s
}

// Since and Until are the ends of the last stretch; a gap ends one.
func TestStretches(t *testing.T) {
	step := 15 * time.Second
	up := map[string]string{"metric": "up"}
	f := func(name string, values []float64, since, until any) {
		t.Helper()
		p := &fake{
			vectors: map[string]model.Value{"topk(20, max_over_time(anomaly_score[1h]) > 1)": model.Vector{{Metric: model.Metric{"metric": "up"}, Value: 3}}},
			ranges:  map[string]model.Value{"anomaly_score": model.Matrix{stream(up, end.Add(-time.Duration(len(values)-1)*step), step, values...)}},
		}
		frames, err := anomalies.Run(t.Context(), p, request(t, `{}`))
		require.NoError(t, err)
		at := func(v any) string {
			if steps, ok := v.(int); ok {
				return end.Add(-time.Duration(steps) * step).Format(time.RFC3339)
			}
			return "none"
		}
		get := func(column string) string {
			field, _ := frames[0].FieldByName(column)
			require.Equal(t, 1, field.Len())
			if v := field.At(0).(*time.Time); v != nil {
				return v.UTC().Format(time.RFC3339)
			}
			return "none"
		}
		require.Equal(t, at(since), get("Since"), name)
		require.Equal(t, at(until), get("Until"), name)
	}
	f("lasts", []float64{0, 2, 2, 2}, 2, nil)
	f("ended", []float64{0, 2, 2, 0}, 2, 1)
	f("twice", []float64{2, 0, 2, 0}, 1, 1)
	f("gap", []float64{2, -1, 2, 2}, 1, nil)
	f("vanished", []float64{2, 2, -1, -1}, 3, 2)
	f("exactly the threshold is normal", []float64{1, 1, 1, 1}, nil, nil)
	f("all the time", []float64{2, 2, 2, 2}, 3, nil)
	f("not a number", []float64{2, math.NaN(), 2, 2}, 1, nil)
}

func TestNoticesAndErrors(t *testing.T) {
	p := &fake{warn: []string{"a store was not reached", "a store was not reached", "metric might not be a counter"}}
	frames, err := anomalies.Run(t.Context(), p, request(t, `{"view":"numeric"}`))
	require.NoError(t, err)
	require.Equal(t, []data.Notice{
		{Severity: data.NoticeSeverityInfo, Text: "No anomaly_score series fits this query in this time range. Does this Prometheus scrape the exporter, and do the metric and labels exist?"},
		{Severity: data.NoticeSeverityWarning, Text: "Prometheus: a store was not reached"},
		{Severity: data.NoticeSeverityWarning, Text: "Prometheus: metric might not be a counter"},
	}, frames[0].Meta.Notices)

	boom := errors.New("boom")
	for _, view := range []string{"table", "timeseries", "numeric", "annotations"} {
		_, err := anomalies.Run(t.Context(), &fake{err: boom}, request(t, `{"view":"`+view+`"}`))
		require.ErrorIs(t, err, boom, view)
		wrong := &fake{vectors: map[string]model.Value{"a": &model.Scalar{}}, ranges: map[string]model.Value{"a": model.Vector{}}}
		_, err = anomalies.Run(t.Context(), wrong, request(t, `{"view":"`+view+`"}`))
		require.ErrorContains(t, err, "want a", view)
	}
}

// Far more series, labels and metrics than a panel can show cost a bounded number of queries and columns.
func TestBounds(t *testing.T) {
	var peaks model.Vector
	for i := range 300 {
		m := model.Metric{"metric": model.LabelValue(fmt.Sprintf("m%03d", i/3)), model.LabelName(fmt.Sprintf("label_%03d", i)): "x"}
		peaks = append(peaks, &model.Sample{Metric: m, Value: model.SampleValue(300 - i)})
	}
	p := &fake{vectors: map[string]model.Value{
		"topk(1000, max_over_time(anomaly_score[1h]) > 1)":  peaks,
		"count(max_over_time(anomaly_score[1h]) > 1)":       model.Vector{{Value: 400}},
		"{__name__=~\"anomaly_score|anomaly_expected|ano":   model.Vector{},
		"anomaly_score and topk(1000, max_over_time(anomal": model.Matrix{},
	}}
	frames, err := anomalies.Run(t.Context(), p, request(t, `{"limit":1000}`))
	require.NoError(t, err)
	require.Equal(t, 300, frames[0].Rows())
	require.Len(t, frames[0].Fields, 9+40)
	require.LessOrEqual(t, len(p.asked), 4+20)
	var notices []string
	for _, n := range frames[0].Meta.Notices {
		notices = append(notices, n.Text)
	}
	require.Equal(t, []string{
		"Observed values are looked up for the first 100 series and 20 metrics.",
		"300 of 400 series are shown: those with the greatest peaks.",
		"260 labels are not shown: 40 columns are enough for a table.",
	}, notices)
}

// A label that is called as one of our columns keeps its values, under another title, and the link finds it.
func TestLabelsCannotHideColumns(t *testing.T) {
	p := &fake{vectors: map[string]model.Value{
		"topk(20, max_over_time(anomaly_score[1h]) > 1)": model.Vector{{Metric: model.Metric{"metric": "up", "Score": "hidden", `q"`: "x"}, Value: 3}},
	}}
	frames, err := anomalies.Run(t.Context(), p, request(t, `{}`))
	require.NoError(t, err)
	field, at := frames[0].FieldByName("Score (label)")
	require.Positive(t, at)
	require.Equal(t, "hidden", field.At(0))
	metric, _ := frames[0].FieldByName("Metric")
	raw := fmt.Sprint(metric.Config.Links[0].Internal.Query)
	require.Contains(t, raw, `${__data.fields["Score (label)"]}`)
	require.Contains(t, raw, `${__data.fields["q\""]}`)
}

func TestUnits(t *testing.T) {
	f := func(metric, want string) {
		t.Helper()
		s := map[string]string{"metric": metric}
		p := &fake{ranges: map[string]model.Value{
			"anomaly_score":    model.Matrix{stream(s, end.Add(-time.Minute), time.Minute, 1, 2)},
			"anomaly_expected": model.Matrix{stream(with(s, "__name__", "anomaly_expected"), end.Add(-time.Minute), time.Minute, 1, 2)},
		}}
		frames, err := anomalies.Run(t.Context(), p, request(t, `{"view":"timeseries","show":["expected"]}`))
		require.NoError(t, err)
		require.Len(t, frames, 1)
		require.Equal(t, want, frames[0].Fields[1].Config.Unit, metric)
	}
	f("node_memory_MemFree_bytes", "bytes")
	f("node_network_receive_bytes_total", "Bps")
	f("http_request_duration_seconds", "s")
	f("process_cpu_seconds_total", "suffix:s/s")
	f("http_request_duration_seconds_count", "cps")
	f("http_request_duration_seconds_sum", "suffix:s/s")
	f("http_requests_total", "cps")
	f("disk_usage_ratio", "percentunit")
	f("node_hwmon_temp_celsius", "celsius")
	f("node_rapl_joules_total", "watt")
	f("job:requests_total:rate5m", "")
	f("node_load1", "")
	f("_total", "")
}

func with(m map[string]string, name, value string) map[string]string {
	m = maps.Clone(m)
	m[name] = value
	return m
}

func TestLegend(t *testing.T) {
	p := &fake{ranges: map[string]model.Value{"anomaly_score": model.Matrix{
		stream(map[string]string{"metric": "up", "job": "{{metric}}", "instance": "a"}, end.Add(-time.Minute), time.Minute, 1, 2),
	}}}
	f := func(legend, want string) {
		t.Helper()
		frames, err := anomalies.Run(t.Context(), p, request(t, `{"view":"timeseries","legend":`+strconv.Quote(legend)+`}`))
		require.NoError(t, err)
		require.Equal(t, want, frames[0].Fields[1].Config.DisplayNameFromDS)
	}
	f("", `up{instance="a", job="{{metric}}"}`)
	f("{{instance}} of {{ metric }}", "a of up")
	f("{{job}}", "{{metric}}") // what a label holds is not read again
	f("{{none}}x", "x")
	f("{{}}", "{{}}")
}

// Whatever a metric, label or value holds, the query that is sent selects by exactly these values.
func FuzzSelectorText(f *testing.F) {
	f.Add("up", "job", "node")
	f.Add(`x"} or up{a="`, `a"b`, "\"} or vector(1) #\n\\")
	f.Add("", "__proto__", "\x00\xff")
	f.Fuzz(func(t *testing.T, metric, label, value string) {
		text, err := anomalies.SelectorText(metric, []query.Matcher{{Label: label, Op: "=", Value: value}})
		if err != nil {
			var qe *query.Error
			require.ErrorAs(t, err, &qe)
			return
		}
		expr, err := parser.NewParser(parser.Options{}).ParseExpr(text)
		require.NoError(t, err, text)
		sel, ok := expr.(*parser.VectorSelector)
		require.True(t, ok, text)
		want := map[string]bool{matcher("__name__", "anomaly_score"): true, matcher(label, value): true}
		if metric != "" {
			want[matcher("metric", metric)] = true
		}
		got := map[string]bool{}
		for _, m := range sel.LabelMatchers {
			got[m.String()] = true
		}
		require.Equal(t, want, got)
	})
}

func matcher(name, value string) string {
	return labels.MustNewMatcher(labels.MatchEqual, name, value).String()
}
