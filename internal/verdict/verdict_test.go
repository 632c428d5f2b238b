package verdict_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/allowance"
	"github.com/portent-dev/portent/internal/detect"
	"github.com/portent-dev/portent/internal/detect/group"
	"github.com/portent-dev/portent/internal/ingest"
	"github.com/portent-dev/portent/internal/verdict"
)

// What the verdict of a group makes of a series stays consistent.
func TestSettle(t *testing.T) {
	for _, score := range []float64{0, 0.5, 1.5, 100} {
		for _, of := range []float64{0, 0.5, 1.5, 100} {
			for _, value := range []float64{10, 10.5, 2, 50} {
				o := detect.Output{T: 9, Value: value, Score: score, Ready: true, Expected: 10, Lower: 9, Upper: 11}
				if score > 1 {
					o.Since = 5
				} else {
					o.Lower, o.Upper = min(o.Lower, value), max(o.Upper, value)
				}
				got := verdict.Settle(o, group.Verdict{Score: of})
				require.InDelta(t, of, got.Score, 1e-6)
				require.Equal(t, got.Score > 1, got.Since != 0)
				if got.Score <= 1 {
					require.True(t, got.Lower <= value && value <= got.Upper)
				}
			}
		}
	}
}

// What is eased stays consistent: outside of the band exactly if the score is above 1.
func TestEase(t *testing.T) {
	for _, factor := range []float64{0.75, 1.3, 4, 100} {
		for _, score := range []float64{0, 0.5, 0.9, 1, 1.01, 3, 100} {
			o := detect.Output{T: 5, Value: 10 + 3*score, Score: score, Expected: 10, Lower: 7, Upper: 13, Ready: true, Reason: detect.ReasonLevel}
			if score > 1 {
				o.Since = 4
			}
			e := verdict.Ease(o, factor)
			require.Equal(t, e.Score > 1, e.Since != 0)
			if e.Score <= 1 {
				require.GreaterOrEqual(t, e.Upper, e.Value)
			} else if factor > 1 {
				require.Less(t, e.Upper, e.Value)
			}
		}
	}
	require.Equal(t, detect.Output{T: 1}, verdict.Ease(detect.Output{T: 1}, 4), "without a baseline there is nothing to ease")
}

// Without a judge and without groups everything is as it is; a window divides the score, and says so.
func TestShow(t *testing.T) {
	labels := []ingest.Label{{Name: "__name__", Value: "m"}, {Name: "pod", Value: "a-0"}}
	o := detect.Output{T: 5, Value: 20, Score: 3, Since: 4, Expected: 10, Lower: 7, Upper: 13, Ready: true, Reason: detect.ReasonLevel}
	require.Equal(t, verdict.Shown{Out: o, Factor: 1}, verdict.View{}.Show(labels, o))
	book := allowance.New(allowance.Defaults())
	w := allowance.Window{ID: "1", Match: []string{`{pod="a-0"}`}, Start: 1, End: 10}
	require.NoError(t, w.Prepare())
	book.Plan([]allowance.Window{w})
	g, err := group.New(group.Options{})
	require.NoError(t, err)
	s := verdict.View{Judge: book.At(5), Groups: g}.Show(labels, o)
	require.InDelta(t, 0.75, s.Out.Score, 1e-9)
	require.Equal(t, allowance.KindMaintenance, s.Most)
	require.InDelta(t, 4, s.Factor, 0)
	require.Zero(t, s.Out.Since)
}

func TestSentence(t *testing.T) {
	name := func(labels []ingest.Label) string { return labels[0].Value }
	since := time.Date(2026, 3, 3, 14, 5, 0, 0, time.UTC).UnixMilli()
	f := func(r group.Result, want string) {
		t.Helper()
		r.Group, r.Labels, r.Since = "workload", []ingest.Label{{Name: "workload", Value: "ca\"rt"}, {Name: "namespace", Value: "shop"}}, since
		require.Equal(t, want, verdict.Sentence(&r, name))
	}
	share := func(name string, part, deviation float64) group.Share {
		return group.Share{Labels: []ingest.Label{{Name: "n", Value: name}}, Part: part, Deviation: deviation}
	}
	const who = `workload{namespace="shop", workload="ca\"rt"}`
	f(group.Result{Vanished: true}, who+" has vanished: none of its series brings samples, since 14:05 UTC.")
	f(group.Result{Kind: group.Peers, Members: 8, Shares: []group.Share{share("load of a", 1, -9)}},
		"load of a has come to lie far below its 7 siblings in "+who+", since 14:05 UTC.")
	f(group.Result{Kind: group.Joint, Members: 40, Shares: []group.Share{share("a", 0.5, 2), share("b", 0.25, -2)}},
		who+" is unusual as a whole, since 14:05 UTC: of its 40 series a above its usual (50 % of the deviation), b below its usual (25 % of the deviation).")
	many := make([]group.Share, 9)
	for i := range many {
		many[i] = share("x", 0.1, 1)
	}
	r := group.Result{Kind: group.Joint, Members: 9, Shares: many}
	require.Contains(t, verdict.Sentence(&r, name), "4 more.")
}
