package replay_test

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/allowance"
	"github.com/portent-dev/portent/internal/detect"
	"github.com/portent-dev/portent/internal/detect/group"
	"github.com/portent-dev/portent/internal/ingest"
	"github.com/portent-dev/portent/internal/replay"
)

// firings replays two days of two series, one of which is disturbed at minute 2000, with what is allowed.
func firings(t *testing.T, book *allowance.Book, rollouts ...replay.Series) replay.Report {
	t.Helper()
	r, err := replay.New(replay.Options{Detect: detect.Options{Sensitivity: detect.Medium}, HoldMs: minute, Book: book})
	require.NoError(t, err)
	r.Take(replay.Page{Series: []replay.Series{wave("quiet", 0), wave("loud", 2000)}, Rollouts: rollouts})
	return r.Report("q")
}

// What a window, a verdict or a rollout would have held back in production, a replay holds back and counts.
func TestReplayHoldsBackWhatIsAllowed(t *testing.T) {
	plain := firings(t, nil)
	require.NotZero(t, plain.FiringsTotal)
	require.Zero(t, plain.HeldBack)
	options := allowance.Defaults()
	options.Maintenance, options.Rollout = 100, 100

	window := allowance.New(options)
	w := allowance.Window{ID: "1", Match: []string{`{pod="loud"}`}, Start: start + 1990*minute, End: start + 2100*minute}
	require.NoError(t, w.Prepare())
	window.Plan([]allowance.Window{w})
	got := firings(t, window)
	require.Zero(t, got.FiringsTotal)
	require.NotZero(t, got.HeldBack)

	// A verdict that a file keeps counts as if it were given just then.
	told := allowance.New(options)
	for _, id := range []string{"1", "2", "3"} {
		_, err := told.Tell(allowance.Feedback{ID: id, Verdict: allowance.Dismissed, At: start + 9000*minute, Labels: map[string]string{"__name__": "memory_bytes", "pod": "loud"}})
		require.NoError(t, err)
	}
	data, _, err := told.Save()
	require.NoError(t, err)
	past := allowance.New(options)
	require.NoError(t, past.LoadPast(data))
	require.Less(t, firings(t, past).Series[0].PeakScore, plain.Series[0].PeakScore/1.5)

	generation := func(metric string) replay.Series {
		s := replay.Series{Labels: []ingest.Label{{Name: "__name__", Value: metric}, {Name: "deployment", Value: "loud"}}}
		for i := range int64(2880) {
			v := 1.0
			if i >= 1999 {
				v = 2
			}
			s.Samples = append(s.Samples, ingest.Sample{T: start + i*minute, V: v})
		}
		return s
	}
	require.Zero(t, firings(t, allowance.New(options), generation("kube_deployment_status_observed_generation")).FiringsTotal, "loud was rolled out the minute before")
	require.NotZero(t, firings(t, allowance.New(options)).FiringsTotal)
}

// Groups are looked at as in production: members that are nothing alone are one firing of their group, with its words.
func TestReplayOfGroups(t *testing.T) {
	watch, err := group.New(group.Options{Rules: []group.Rule{{Name: "vanishing", Kind: group.Joint, By: []string{"pod"}}}})
	require.NoError(t, err)
	r, err := replay.New(replay.Options{
		Detect: detect.Options{Sensitivity: detect.Medium}, HoldMs: minute, Groups: watch, GroupsEveryMs: 15_000, MaxGroups: 10,
	})
	require.NoError(t, err)
	stays, goes := wave("stays", 0), wave("goes", 0)
	goes.Samples = slices.Clone(goes.Samples[:2000])
	r.Take(replay.Page{Series: []replay.Series{stays, goes}})
	report := r.Report("q")
	i := slices.IndexFunc(report.Series, func(s replay.SeriesReport) bool { return s.Labels["__name__"] == "anomaly_group_score" })
	require.GreaterOrEqual(t, i, 0)
	s := report.Series[i]
	require.Equal(t, map[string]string{"__name__": "anomaly_group_score", "group": "vanishing", "pod": "goes"}, s.Labels)
	require.Equal(t, 1, s.FiringsTotal)
	require.False(t, s.Firings[0].Open, "it is told for a while")
	require.Contains(t, s.Firings[0].Explanation, `vanishing{pod="goes"} has vanished: none of its series brings samples`)
	require.Len(t, report.Series, 3, "two series and the group that has something to tell")
}
