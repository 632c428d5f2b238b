package analyze_test

import (
	"context"
	"encoding/json"
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/analyze"
	"github.com/portent-dev/portent/internal/detect"
)

var small = analyze.Limits{MaxSeries: 2, MaxPoints: 5}

func TestDecode(t *testing.T) {
	r, err := analyze.Decode(strings.NewReader(`{"cluster_id":"prod","analysis_type":"spike","threshold_sensitivity":"high","metric_series":[
		{"metric":{"__name__":"a_total"},"values":[[1.5,"1"],[2.5,"NaN"],[3,"+Inf"]]},
		{"metric":{"__name__":"b"},"values":[[1,"2"],[2,3]],"type":"counter"}]}`), small)
	require.NoError(t, err)
	require.Equal(t, analyze.Request{Cluster: "prod", Type: analyze.Spike, Sensitivity: detect.High, Series: []analyze.Series{
		{Labels: map[string]string{"__name__": "a_total"}, T: []int64{1500}, V: []float64{1}, Counter: true},
		{Labels: map[string]string{"__name__": "b"}, T: []int64{1000, 2000}, V: []float64{2, 3}, Counter: true},
	}}, r)

	r, err = analyze.Decode(strings.NewReader(`{"cluster_id":"c","metric_series":[]}`), small)
	require.NoError(t, err)
	require.Equal(t, analyze.All, r.Type)
	require.Equal(t, detect.Medium, r.Sensitivity)
}

func TestDecodeErrors(t *testing.T) {
	f := func(body, want, hint string) {
		t.Helper()
		_, err := analyze.Decode(strings.NewReader(body), small)
		var b *analyze.BadInput
		require.ErrorAs(t, err, &b)
		require.Contains(t, err.Error(), want)
		require.Contains(t, b.Hint, hint)
	}
	f(``, "body: is no JSON", "a JSON object with cluster_id")
	f(`[]`, "body: is a JSON array", "a JSON object")
	f(`{"cluster_id":5}`, "cluster_id: is a JSON number", "cluster_id")
	f(`{"metric_series":[]}`, "cluster_id: is missing or empty", "a name")
	f(`{"cluster_id":"c"}`, "metric_series: is missing", `"values"`)
	f(`{"cluster_id":"c","analysis_type":"magic","metric_series":[]}`, `analysis_type: "magic" is unknown`, "one of trend_anomaly, spike, level_shift, seasonal, outlier, all")
	f(`{"cluster_id":"c","threshold_sensitivity":"max","metric_series":[]}`, `threshold_sensitivity: "max" is unknown`, "one of low, medium, high")
	f(`{"cluster_id":"c","metric_series":[{},{},{}]}`, "metric_series: holds 3 series", "at most 2")
	f(`{"cluster_id":"c","metric_series":[{"metric":{}}]}`, "metric_series[0].values: is missing", "values")
	f(`{"cluster_id":"c","metric_series":[{"values":[]},{"metric":{"a":1},"values":[]}]}`, "metric_series[1].metric", "values")
	f(`{"cluster_id":"c","metric_series":[{"values":[],"type":"histogram"}]}`, `metric_series[0].type: "histogram" is unknown`, "counter or gauge")
	f(`{"cluster_id":"c","metric_series":[{"values":[1,2,3,4,5,6]}]}`, "metric_series: holds more than 5 values", "a longer step")
	f(`{"cluster_id":"c","metric_series":[{"values":[[1,"1"],[1,"1"]]}]}`, "metric_series[0].values[1]: is not later", "times that ascend")
	f(`{"cluster_id":"c","metric_series":[{"values":[[1]]}]}`, `metric_series[0].values[0]: "[1]" is no pair`, "[<unix seconds>")
	f(`{"cluster_id":"c","metric_series":[{"values":[["x","1"]]}]}`, `is no time`, "[<unix seconds>")
	f(`{"cluster_id":"c","metric_series":[{"values":[[1e300,"1"]]}]}`, `is no time`, "[<unix seconds>")
	f(`{"cluster_id":"c","metric_series":[{"values":[[1,"much"]]}]}`, `is no number`, "[<unix seconds>")
}

func TestDecodeQueryRange(t *testing.T) {
	s, err := analyze.DecodeQueryRange(strings.NewReader(
		`{"status":"success","data":{"resultType":"matrix","result":[{"metric":{"__name__":"up"},"values":[[1,"1"]]}]},"warnings":["x"]}`), small)
	require.NoError(t, err)
	require.Equal(t, []analyze.Series{{Labels: map[string]string{"__name__": "up"}, T: []int64{1000}, V: []float64{1}}}, s)
	f := func(body, want string) {
		t.Helper()
		_, err := analyze.DecodeQueryRange(strings.NewReader(body), small)
		require.ErrorContains(t, err, want)
	}
	f(`{}`, `status: is ""`)
	f(`{"status":"error","error":"query timed out"}`, "status: the query failed: query timed out")
	f(`{"status":"success","data":{"resultType":"vector","result":[]}}`, `data.resultType: is "vector"`)
	f(`{"status":"success","data":{"resultType":"matrix","result":[{}]}}`, "data.result[0].values: is missing")
	f(`<html>`, "input: is no JSON")
}

// FuzzDecode looks for bodies that break the decoder or the analysis, and for answers
// that break the contract.
func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"cluster_id":"c","metric_series":[{"metric":{"__name__":"a"},"values":[[1,"1"],[2,"2"]]}]}`))
	points := make([]string, 0, 40)
	for i := range 40 {
		points = append(points, `[`+string(rune('1'+i/10))+string(rune('0'+i%10))+`,"`+[]string{"0", "1e120", "-1e-300", "5"}[i%4]+`"]`)
	}
	f.Add([]byte(`{"cluster_id":"c","metric_series":[{"values":[` + strings.Join(points, ",") + `]}]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		r, err := analyze.Decode(strings.NewReader(string(body)), analyze.Limits{MaxSeries: 20, MaxPoints: 2000})
		if err != nil {
			var b *analyze.BadInput
			require.ErrorAs(t, err, &b)
			require.NotEmpty(t, b.Hint)
			return
		}
		got, err := analyze.Run(context.Background(), r, actions)
		require.NoError(t, err)
		_, err = json.Marshal(got)
		require.NoError(t, err)
		for _, a := range got.Anomalies {
			require.Greater(t, a.Score, 1.0)
			require.LessOrEqual(t, a.Score, 100.0)
			require.False(t, math.IsNaN(a.Observed+a.Expected))
		}
	})
}
