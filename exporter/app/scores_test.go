package app

import (
	"cmp"
	"math"
	"slices"
	"strconv"
	"testing"

	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/detect"
	"github.com/portent-dev/portent/internal/ingest"
)

// labelsOf makes a sorted label set of names and values.
func labelsOf(pairs ...string) []ingest.Label {
	var out []ingest.Label
	for i := 0; i < len(pairs); i += 2 {
		out = append(out, ingest.Label{Name: pairs[i], Value: pairs[i+1]})
	}
	slices.SortFunc(out, func(a, b ingest.Label) int { return cmp.Compare(a.Name, b.Name) })
	return out
}

func TestAppendLabels(t *testing.T) {
	f := func(scheme model.EscapingScheme, want string, pairs ...string) {
		t.Helper()
		require.Equal(t, want, string(appendLabels(nil, labelsOf(pairs...), scheme)))
	}
	all := model.NoEscaping
	f(all, `{metric="up",instance="a:1",job="x"}`, "__name__", "up", "job", "x", "instance", "a:1")
	f(all, `{metric="up"}`, "__name__", "up")
	f(all, ``)
	f(all, `{metric="a metric"}`, "metric", "a metric") // nothing of ours to clash with
	// A clash, once and repeated, as Prometheus resolves those with a target's labels.
	f(all, `{metric="up",exported_metric="mine"}`, "__name__", "up", "metric", "mine")
	f(all, `{metric="up",exported_metric="b",exported_exported_metric="a"}`,
		"__name__", "up", "metric", "a", "exported_metric", "b")
	f(all, `{metric="up",exported_exported_metric="c",exported_metric="b",exported_exported_exported_metric="a"}`,
		"__name__", "up", "metric", "a", "exported_metric", "b", "exported_exported_metric", "c")
	// Hostile values come out so that they read back as they were.
	f(all, `{metric="m",a="x\"} 1\nanomaly_score{metric=\"forged\"} 9",b="back\\slash",c="a`+"\t"+`b"}`,
		"__name__", "m", "a", "x\"} 1\nanomaly_score{metric=\"forged\"} 9", "b", `back\slash`, "c", "a\tb")
	f(all, `{metric="m","ev\"il\\name"="v","http.status"="200"}`, "__name__", "m", "http.status", "200", `ev"il\name`, "v")
	// Scrapers that know only the old names get them escaped, without ever a name twice.
	f(model.UnderscoreEscaping, `{metric="http.requests",http_status="200"}`, "__name__", "http.requests", "http.status", "200")
	f(model.UnderscoreEscaping, `{metric="m",exported_a_b="dot",a_b="line"}`, "__name__", "m", "a.b", "dot", "a_b", "line")
	f(model.UnderscoreEscaping, `{metric="m",a_b="1",exported_a_b="2"}`, "__name__", "m", "a-b", "1", "a.b", "2")
	f(model.ValueEncodingEscaping, `{metric="m",U__a_2e_b="1"}`, "__name__", "m", "a.b", "1")
}

// series are visited in the order of the slice.
type testSeries struct {
	labels []ingest.Label
	out    detect.Output
}

func each(series []testSeries) forEach {
	return func(f func([]ingest.Label, detect.Output) bool) {
		for _, s := range series {
			if !f(s.labels, s.out) {
				return
			}
		}
	}
}

func numbered(from, to int) (out []testSeries) {
	for i := from; i < to; i++ {
		out = append(out, testSeries{labels: labelsOf("__name__", "m", "i", strconv.Itoa(i))})
	}
	return out
}

func names(rows []row) (out []string) {
	for _, r := range rows {
		out = append(out, r.labels)
	}
	return out
}

func TestAdmissionIsStable(t *testing.T) {
	a := newAdmission()
	collect := func(series []testSeries, most int) ([]string, int) {
		rows, left := a.collect(nil, each(series), most, model.NoEscaping)
		return names(rows), left
	}
	first, left := collect(numbered(0, 10), 4)
	require.Equal(t, []string{`{metric="m",i="0"}`, `{metric="m",i="1"}`, `{metric="m",i="2"}`, `{metric="m",i="3"}`}, first)
	require.Equal(t, 6, left)

	// Another order, and others that come: the same stay.
	series := append(numbered(5, 20), numbered(0, 5)...)
	again, left := collect(series, 4)
	require.ElementsMatch(t, first, again)
	require.Equal(t, 16, left)

	// What ends leaves room for the next that asks, from the next scrape on.
	got, _ := collect(numbered(2, 20), 4)
	require.Equal(t, []string{`{metric="m",i="2"}`, `{metric="m",i="3"}`}, got)
	got, _ = collect(numbered(2, 20), 4)
	require.Equal(t, []string{`{metric="m",i="2"}`, `{metric="m",i="3"}`, `{metric="m",i="4"}`, `{metric="m",i="5"}`}, got)

	// A lowered limit leaves out, and leaves the same out afterwards.
	got, left = collect(numbered(2, 20), 2)
	require.Equal(t, []string{`{metric="m",i="2"}`, `{metric="m",i="3"}`}, got)
	require.Equal(t, 16, left)
	got, _ = collect(numbered(2, 20), 2)
	require.Equal(t, []string{`{metric="m",i="2"}`, `{metric="m",i="3"}`}, got)
	got, left = collect(numbered(2, 20), 0)
	require.Empty(t, got)
	require.Equal(t, 18, left)
	require.Empty(t, a.byHash)
}

func TestAdmissionEscapesPerScraper(t *testing.T) {
	a := newAdmission()
	series := each([]testSeries{{labels: labelsOf("__name__", "m", "a.b", "1")}, {labels: labelsOf("__name__", "m", "c", "1")}})
	for range 2 {
		rows, _ := a.collect(nil, series, 10, model.NoEscaping)
		require.Equal(t, []string{`{metric="m","a.b"="1"}`, `{metric="m",c="1"}`}, names(rows))
		rows, _ = a.collect(nil, series, 10, model.UnderscoreEscaping)
		require.Equal(t, []string{`{metric="m",a_b="1"}`, `{metric="m",c="1"}`}, names(rows))
	}
}

func TestAppendRows(t *testing.T) {
	ready := func(score, expected, lower, upper float64) detect.Output {
		return detect.Output{Score: score, Expected: expected, Lower: lower, Upper: upper, Ready: true}
	}
	rows := []row{
		{`{metric="new"}`, detect.Output{}},
		{`{metric="a"}`, ready(0.25, 1e-7, -12.5, 1e21)},
		{`{metric="b"}`, ready(1.5, math.NaN(), math.Inf(-1), math.Inf(1))},
		{`{metric="c"}`, ready(math.Copysign(0, -1), 3, 2, 4)},
	}
	f := func(o Output, want string) {
		t.Helper()
		i := slices.IndexFunc(families[:], func(f family) bool { return f.output == o })
		require.Equal(t, want, string(families[i].appendRows(nil, rows)))
	}
	f(OutputScore, `anomaly_score{metric="new"} 0
anomaly_score{metric="a"} 0.25
anomaly_score{metric="b"} 1.5
anomaly_score{metric="c"} 0
`)
	f(OutputExpected, `anomaly_expected{metric="a"} 1e-07
anomaly_expected{metric="c"} 3
`)
	f(OutputLower, `anomaly_expected_lower{metric="a"} -12.5
anomaly_expected_lower{metric="b"} -Inf
anomaly_expected_lower{metric="c"} 2
`)
	f(OutputUpper, `anomaly_expected_upper{metric="a"} 1e+21
anomaly_expected_upper{metric="b"} +Inf
anomaly_expected_upper{metric="c"} 4
`)
}
