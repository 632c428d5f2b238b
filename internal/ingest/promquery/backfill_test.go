package promquery_test

import (
	"context"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/require"
)

// matrix answers a range query with one series whose value is its time, and fails
// the test when too many points are asked for.
func matrix(t *testing.T, form url.Values) (int, string) {
	number := func(key string) int64 {
		f, err := strconv.ParseFloat(form.Get(key), 64)
		if err != nil {
			t.Error(err)
		}
		return int64(f)
	}
	from, to, step := number("start"), number("end"), number("step")
	if (to-from)/step+1 > 11_000 {
		return 400, `{"status":"error","errorType":"bad_data","error":"exceeded maximum resolution of 11,000 points per timeseries"}`
	}
	var values []string
	for ; from <= to; from += step {
		values = append(values, fmt.Sprintf("[%d,%q]", from, strconv.FormatInt(from, 10)))
	}
	return 200, `{"status":"success","data":{"resultType":"matrix","result":[{"metric":{"job":"a"},"values":[` + strings.Join(values, ",") + `]}]}}`
}

// points checks that a series holds every step of a window once, in order.
func points(t *testing.T, e *env, name string, first, last, step int64) {
	t.Helper()
	s, ok := e.target.Get(`{__name__="` + name + `", job="a"}`)
	require.True(t, ok)
	require.Len(t, s.Samples, int((last-first)/step)+1)
	for i, p := range s.Samples {
		require.Equal(t, (first+int64(i)*step)*1000, p.T)
		require.InDelta(t, p.T/1000, p.V, 0)
	}
}

func TestBackfill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t, func(form url.Values) (int, string) { return matrix(t, form) })
		slow := query("slow", "y")
		slow.Interval = model.Duration(5 * time.Minute)
		e := newEnv(t, f, query("fast", "x"), slow)
		to := time.Unix(start-7, 0)
		from := to.Add(-3 * 24 * time.Hour)
		var progress []string
		require.NoError(t, e.source.Backfill(t.Context(), from, to, func(done, total int) {
			progress = append(progress, fmt.Sprintf("%d/%d", done, total))
		}))
		// 4,320 minutes are five stretches of a thousand points.
		require.Equal(t, []string{"1/10", "2/10", "3/10", "4/10", "5/10", "6/10", "7/10", "8/10", "9/10", "10/10"}, progress)
		points(t, e, "fast", start-3*86400, start-60, 60)
		points(t, e, "slow", start-3*86400, start-300, 300)
		// Run goes on where the backfill ended, and asks for no time again.
		f.answer = func(form url.Values) (int, string) { return vector(form, `{"job":"a"}`, form.Get("time")) }
		e.runFor(t, 2*time.Minute)
		points(t, e, "fast", start-3*86400, start+60, 60)
	})
}

func TestBackfillInHalves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t, func(form url.Values) (int, string) {
			from, err := strconv.ParseFloat(form.Get("start"), 64)
			require.NoError(t, err)
			to, err := strconv.ParseFloat(form.Get("end"), 64)
			require.NoError(t, err)
			if to-from > 100*60 {
				return 422, `{"status":"error","errorType":"execution","error":"query processing would load too many samples into memory"}`
			}
			return matrix(t, form)
		})
		e := newEnv(t, f, query("q", "x"))
		require.NoError(t, e.source.Backfill(t.Context(), time.Unix(start-86400, 0), time.Unix(start, 0), func(int, int) {}))
		points(t, e, "q", start-86400+60, start, 60)
	})
}

func TestBackfillFailures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := 0
		f := newFake(t, func(form url.Values) (int, string) {
			switch form.Get("query") {
			case "away": // comes back in time
				if n++; n <= 5 {
					return 0, ""
				}
			case "gone":
				return 0, ""
			case "bad":
				return 400, `{"status":"error","errorType":"bad_data","error":"unknown function"}`
			}
			return matrix(t, form)
		})
		e := newEnv(t, f, query("gone", "gone"), query("bad", "bad"), query("away", "away"))
		done := 0
		err := e.source.Backfill(t.Context(), time.Unix(start-3600, 0), time.Unix(start, 0), func(d, _ int) { done = d })
		require.ErrorContains(t, err, "backfill of query gone: query range from http://prometheus:9090: connect: connection refused")
		require.ErrorContains(t, err, "backfill of query bad:")
		require.NotContains(t, err.Error(), "query away")
		require.Equal(t, 3, done)
		points(t, e, "away", start-3600+60, start, 60)
		require.Equal(t, 62*time.Second, time.Since(time.Unix(start, 0)), "31 s of pauses for each of two")
	})
}

func TestBackfillStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t, func(url.Values) (int, string) { return 0, "" })
		e := newEnv(t, f, query("q", "x"))
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		err := e.source.Backfill(ctx, time.Unix(start-3600, 0), time.Unix(start, 0), func(int, int) {})
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.ErrorContains(t, err, "after 0 of 1 stretches")
	})
}
