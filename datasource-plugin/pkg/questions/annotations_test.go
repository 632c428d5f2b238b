package questions_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/grafana/grafana-plugin-sdk-go/data"
	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/datasource-plugin/pkg/query"
	"github.com/portent-dev/portent/datasource-plugin/pkg/questions"
	"github.com/portent-dev/portent/internal/lokiapi"
)

var (
	gap = math.Inf(-1) // a step without a sample
	nan = math.NaN()
	end = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
)

// fakePrometheus answers range queries by their text and counts them.
type fakePrometheus map[string]model.Matrix

func (fakePrometheus) Query(context.Context, string, time.Time) (model.Value, []string, error) {
	return nil, nil, errors.New("annotations are of a range")
}

func (f fakePrometheus) QueryRange(_ context.Context, expr string, _, _ time.Time, step time.Duration) (model.Value, []string, error) {
	m, ok := f[expr]
	if !ok {
		return nil, nil, fmt.Errorf("no answer to %q", expr)
	}
	if step != time.Minute {
		return nil, nil, fmt.Errorf("a step of %s", step)
	}
	return m, nil, nil
}

type fakeLoki struct {
	answer lokiapi.Answer
	limit  int
}

func (*fakeLoki) Query(context.Context, string, time.Time) (lokiapi.Answer, error) {
	return lokiapi.Answer{}, errors.New("annotations are of a range")
}

func (f *fakeLoki) QueryRange(_ context.Context, _ string, _, _ time.Time, _ time.Duration, limit int) (lokiapi.Answer, error) {
	f.limit = limit
	a := f.answer
	a.Lines = a.Lines[:min(len(a.Lines), limit)]
	return a, nil
}

// series has values a minute apart, the last at the end.
func series(labels map[string]string, values ...float64) *model.SampleStream {
	s := &model.SampleStream{Metric: model.Metric{}}
	for n, v := range labels {
		s.Metric[model.LabelName(n)] = model.LabelValue(v)
	}
	for i, v := range values {
		if v == gap {
			continue
		}
		at := end.Add(-time.Duration(len(values)-1-i) * time.Minute)
		s.Values = append(s.Values, model.SamplePair{Timestamp: model.TimeFromUnixNano(at.UnixNano()), Value: model.SampleValue(v)})
	}
	return s
}

func annotated(f query.Frozen) questions.Request {
	return questions.Request{
		Query: query.Ask{Question: f.Question, View: query.ViewAnnotations, Frozen: &f},
		From:  end.Add(-5 * time.Minute), To: end, Interval: time.Minute, MaxPoints: 5, Scrape: 15 * time.Second,
	}
}

func promql(text string) query.Frozen {
	return query.Frozen{Question: "what <b>hurts</b>?", Language: query.PromQL, Query: text, Unit: "bytes", Concept: "memory", Translator: "rules"}
}

func logql(text string) query.Frozen {
	return query.Frozen{Question: "what is said?", Language: query.LogQL, Query: text, Concept: "logs", Translator: "rules"}
}

// column of the one frame, as text; times as minutes before the end.
func column(t *testing.T, f *data.Frame, name string) []string {
	t.Helper()
	field, _ := f.FieldByName(name)
	require.NotNil(t, field, name)
	out := []string{}
	for i := range field.Len() {
		if at, ok := field.At(i).(time.Time); ok {
			out = append(out, end.Sub(at).String())
			continue
		}
		out = append(out, field.At(i).(string))
	}
	return out
}

func run(t *testing.T, s questions.Servers, r questions.Request) *data.Frame {
	t.Helper()
	a, err := questions.Run(t.Context(), s, r)
	require.NoError(t, err)
	require.Len(t, a.Frames, 1)
	return a.Frames[0]
}

// noticed is the text of all notices of a frame.
func noticed(f *data.Frame) string {
	var b strings.Builder
	for _, n := range f.Meta.Notices {
		b.WriteString(n.Text + "\n")
	}
	return b.String()
}

// Each stretch of consecutive steps with a value other than 0 is a region.
func TestAnnotationRegions(t *testing.T) {
	f := func(name, expr string, values []float64, want ...string) {
		t.Helper()
		p := fakePrometheus{expr: {series(map[string]string{"pod": "cart"}, values...)}}
		frame := run(t, questions.Servers{Prometheus: p}, annotated(promql(expr)))
		from, to := column(t, frame, "time"), column(t, frame, "timeEnd")
		got := []string{}
		for i := range from {
			got = append(got, from[i]+"-"+to[i])
		}
		require.ElementsMatch(t, want, got, name)
	}
	f("in the middle", "m", []float64{0, 0, 3, 4, 0, 0}, "3m0s-2m0s")
	f("at the start", "m", []float64{3, 4, 0, 0, 0, 0}, "5m0s-4m0s")
	f("at the end", "m", []float64{0, 0, 0, 0, 3, 3}, "1m0s-0s")
	f("all the time", "m", []float64{1, 1, 1, 1, 1, 1}, "5m0s-0s")
	f("a single point", "m", []float64{0, 0, 7, 0, 0, 0}, "3m0s-3m0s")
	f("the last point", "m", []float64{0, 0, 0, 0, 0, 7}, "0s-0s")
	f("a gap ends one", "m", []float64{1, 1, gap, 1, gap, gap}, "5m0s-4m0s", "2m0s-2m0s")
	f("no number ends one", "m", []float64{1, nan, 1, 0, nan, 0}, "5m0s-5m0s", "3m0s-3m0s")
	f("0 ends one", "m", []float64{1, 0, 1, 1, 0, 0}, "5m0s-5m0s", "3m0s-2m0s")
	f("less than 0 and infinity are not 0", "m", []float64{0, -1, math.Inf(1), 0, 0, 0}, "4m0s-3m0s")
	f("nothing", "m", []float64{0, 0, 0, 0, 0, 0})
	// A comparison gives what was asked for, and what is compared with 0 has no other value.
	f("a condition", "up == 0", []float64{gap, 0, 0, gap, nan, gap}, "4m0s-3m0s")
	f("a condition in parentheses", "topk(3, (up < 1)) and on (pod) m", []float64{gap, 0, 0, gap, gap, gap}, "4m0s-3m0s")
	f("the greatest of the matching", "topk(3, (up < 1))", []float64{gap, 0, 0, gap, gap, gap}, "4m0s-3m0s")
	f("either condition", "up == 0 or m == 0", []float64{gap, 0, 0, gap, gap, gap}, "4m0s-3m0s")
	f("a condition or something else", "up == 0 or m", []float64{gap, 0, 0, gap, gap, gap})
	f("a condition as a number", "up == bool 0", []float64{1, 0, 0, 1, 0, 0}, "5m0s-5m0s", "2m0s-2m0s")
	f("a count of a condition", "count(up == 0) or vector(0)", []float64{0, 0, 2, 2, 0, 0}, "3m0s-2m0s")
}

func TestAnnotationWords(t *testing.T) {
	p := fakePrometheus{"m": {
		series(map[string]string{"__name__": "m", "namespace": "shop", "pod": "a<i>", "zone": "x,y"}, 0, 1<<20, 3<<20, 0, 0, 0),
		series(map[string]string{"__name__": "m", "namespace": "shop", "pod": "b", "zone": "shop"}, 0, 0, 0, 0, 1<<20, 1<<20),
	}}
	frame := run(t, questions.Servers{Prometheus: p}, annotated(promql("m")))
	require.Equal(t, []string{"a&lt;i&gt; x,y", "b shop"}, column(t, frame, "title"), "the labels that tell them apart")
	require.Equal(t, []string{
		"what &lt;b&gt;hurts&lt;/b&gt;?<br>Largest value: 3 MiB", "what &lt;b&gt;hurts&lt;/b&gt;?<br>Largest value: 1 MiB, still going on",
	}, column(t, frame, "text"))
	require.Equal(t, []string{"shop,a<i>,x y", "shop,b"}, column(t, frame, "tags"), "a comma parts tags, and each is there once")
	require.Equal(t, "m", frame.Meta.ExecutedQueryString)

	r := annotated(promql("m"))
	r.Query.Legend = "{{pod}} is full"
	require.Equal(t, []string{"a&lt;i&gt; is full", "b is full"}, column(t, run(t, questions.Servers{Prometheus: p}, r), "title"))

	f := promql("m")
	f.Graph, f.Span, f.Ago = true, "5m", "1h"
	frame = run(t, questions.Servers{Prometheus: fakePrometheus{"m": {
		series(map[string]string{"pod": "a"}, append([]float64{0, 0, 0, 1, 1, 1}, make([]float64, 60)...)...),
	}}}, annotated(f))
	require.Equal(t, []string{"1h0m0s"}, column(t, frame, "timeEnd"), "what was an hour ago ended then")
	require.NotContains(t, column(t, frame, "text")[0], "going on")

	many := map[string]string{}
	for i := range 30 {
		many[fmt.Sprintf("l%02d", i)] = fmt.Sprintf("%02d", i) + strings.Repeat("é", 100)
	}
	frame = run(t, questions.Servers{Prometheus: fakePrometheus{"m": {series(many, 1)}}}, annotated(promql("m")))
	tags := strings.Split(column(t, frame, "tags")[0], ",")
	require.Len(t, tags, 10)
	require.Equal(t, "00"+strings.Repeat("é", 58)+"…", tags[0])
}

// The newest are kept where there are too many, and that is said.
func TestAnnotationsAreCut(t *testing.T) {
	var m model.Matrix
	for i := range 501 {
		m = append(m, series(map[string]string{"pod": strconv.Itoa(i)}, 0, 1, 0))
	}
	m = append(m, series(map[string]string{"pod": "old"}, 1, 0, 0), series(map[string]string{"pod": "new"}, 1, 1, 1))
	s := questions.Servers{Prometheus: fakePrometheus{"m": m}}
	frame := run(t, s, annotated(promql("m")))
	titles := column(t, frame, "title")
	require.Len(t, titles, 500)
	require.Equal(t, "new", titles[0], "it lasts, though it began first")
	require.NotContains(t, titles, "old")
	require.Contains(t, noticed(frame), "500 of 503 annotations are shown, the newest.")

	r := annotated(promql("m"))
	r.Query.Limit = 1
	require.Equal(t, []string{"new"}, column(t, run(t, s, r), "title"))
	r.Query.Limit = 1000
	require.Len(t, column(t, run(t, s, r), "title"), 500, "never more")
}

func TestAnnotationsOfLines(t *testing.T) {
	l := &fakeLoki{}
	for i := range 3 {
		l.answer.Lines = append(l.answer.Lines, lokiapi.Line{
			Time: end.Add(-time.Duration(i) * time.Minute), Text: strings.Repeat("<é", 200),
			Labels: map[string]string{"app": "cart", "service_name": "cart", "namespace": "shop", "detected_level": "error"},
		})
	}
	l.answer.Lines[1].Labels, l.answer.Lines[1].Text = nil, "short \xff"
	s := questions.Servers{Loki: l}
	frame := run(t, s, annotated(logql(`{app="cart"}`)))
	require.Equal(t, 500, l.limit)
	require.Equal(t, []string{"2m0s", "1m0s", "0s"}, column(t, frame, "time"), "oldest first")
	require.Equal(t, column(t, frame, "time"), column(t, frame, "timeEnd"))
	require.Equal(t, []string{"shop cart", "Log line", "shop cart"}, column(t, frame, "title"))
	require.Equal(t, strings.Repeat("&lt;é", 150)+"…", column(t, frame, "text")[0], "300 of its runes")
	require.Equal(t, "short \uFFFD", column(t, frame, "text")[1])
	require.Equal(t, []string{"shop,cart,error", "", "shop,cart,error"}, column(t, frame, "tags"))
	require.NotContains(t, noticed(frame), "At most")

	// Lines stay lines where nobody is there to read them: they are not counted as for an alert rule.
	r := annotated(logql(`{app="cart"}`))
	r.Unattended = true
	require.Len(t, column(t, run(t, s, r), "text"), 3)
	r.Query.Limit = 2
	frame = run(t, s, r)
	require.Equal(t, []string{"1m0s", "0s"}, column(t, frame, "time"))
	require.Contains(t, noticed(frame), "At most 2 lines are read, the newest.")

	l.answer = lokiapi.Answer{IsMetric: true, Matrix: model.Matrix{series(map[string]string{"app": "cart"}, 0, 2, 5, 0, 0, 0)}}
	frame = run(t, s, annotated(logql(`sum by (app) (count_over_time({app="cart"}[1m]))`)))
	require.Equal(t, []string{"4m0s"}, column(t, frame, "time"))
	require.Equal(t, []string{"what is said?<br>Largest value: 5"}, column(t, frame, "text"))
}

// A dashboard's annotations say the same on each look at it: what is not stored does not run, whoever asks.
func TestAnnotationsNeedAStoredQuery(t *testing.T) {
	s := questions.Servers{Prometheus: fakePrometheus{"m": {series(nil, 1)}}, Know: func(context.Context) (questions.Knowledge, error) {
		panic("BUG: it was asked")
	}}
	r := annotated(promql("m"))
	r.Query.Frozen = nil
	_, err := questions.Run(t.Context(), s, r)
	var notStored *questions.NotStoredError
	require.ErrorAs(t, err, &notStored)
	require.ErrorContains(t, err, "has no stored query, and an alert rule, an annotation or a public dashboard runs nothing else")

	r = annotated(promql("m"))
	r.Query.Question = "edited since"
	require.Equal(t, []string{"Memory"}, column(t, run(t, s, r), "title"), "what is stored runs until somebody asks again")
}

func TestAnnotationsOfFindings(t *testing.T) {
	part := func(title, expr string, above float64) query.FrozenPart {
		f := promql(expr)
		f.Question, f.Unit = "", ""
		return query.FrozenPart{Frozen: f, Title: title, Above: above}
	}
	f := promql("errors")
	f.Parts = []query.FrozenPart{part("errors", "errors", 3), part("pods down", "up == 0", 1), part("restarts", "restarts", 0)}
	p := fakePrometheus{
		"errors":   {series(map[string]string{"pod": "a"}, 1, 3, 4, 5, 3, 0), series(map[string]string{"pod": "b"}, 3, 3, 3, 3, 3, 3)},
		"up == 0":  {series(map[string]string{"pod": "a"}, gap, gap, gap, gap, 0, 0)},
		"restarts": {},
	}
	frame := run(t, questions.Servers{Prometheus: p}, annotated(f))
	require.Equal(t, []string{"Errors: a", "Pods down: a"}, column(t, frame, "title"))
	require.Equal(t, []string{"3m0s", "1m0s"}, column(t, frame, "time"))
	require.Equal(t, []string{"2m0s", "0s"}, column(t, frame, "timeEnd"))
	require.Contains(t, frame.Meta.ExecutedQueryString, "# pods down\nup == 0")

	delete(p, "restarts")
	frame = run(t, questions.Servers{Prometheus: p}, annotated(f))
	require.Len(t, column(t, frame, "title"), 2)
	require.Contains(t, noticed(frame), "Not looked at: restarts")
	r := annotated(f)
	r.Unattended = true
	_, err := questions.Run(t.Context(), questions.Servers{Prometheus: p}, r)
	require.ErrorContains(t, err, "restarts: ", "where nobody reads it, what is not seen is not nothing")
	_, err = questions.Run(t.Context(), questions.Servers{Prometheus: fakePrometheus{}}, annotated(f))
	require.ErrorContains(t, err, "no answer", "nothing could be looked at")
}
