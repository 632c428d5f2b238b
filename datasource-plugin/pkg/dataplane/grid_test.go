package dataplane_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/datasource-plugin/pkg/dataplane"
)

func TestSteps(t *testing.T) {
	at := time.Date(2026, 11, 22, 12, 0, 7, 0, time.UTC)
	f := func(s dataplane.Span, step time.Duration, points int) {
		t.Helper()
		s.MaxPoints = 10_000
		g := s.Steps()
		require.Equal(t, step, g.Step)
		require.True(t, g.From.Before(g.To))
		require.Zero(t, g.From.UnixMilli()%g.Step.Milliseconds(), "on a multiple of the step")
		require.False(t, g.To.After(s.To))
		require.Equal(t, points, int(g.To.Sub(g.From)/g.Step)+1)
	}
	f(dataplane.Span{From: at.Add(-time.Hour), To: at, Points: 60}, time.Minute, 61)
	f(dataplane.Span{From: at.Add(-time.Hour), To: at, Points: 60, Interval: 5 * time.Minute}, 5*time.Minute, 13)
	f(dataplane.Span{From: at.Add(-time.Hour), To: at, Points: 100_000, Scrape: 15 * time.Second}, 15*time.Second, 241)
	f(dataplane.Span{From: at.Add(-time.Hour), To: at}, 4*time.Second, 901)
	f(dataplane.Span{From: at, To: at, Scrape: time.Minute}, time.Minute, 2)
	f(dataplane.Span{From: at.Add(time.Hour), To: at}, time.Second, 2)
	f(dataplane.Span{From: time.Unix(-7200, 0), To: time.Unix(-3600, 0), Points: 60}, time.Minute, 61)
	f(dataplane.Span{From: at.AddDate(-100, 0, 0), To: at, Points: 500}, 6311520*time.Second, 501)
}

func TestLegend(t *testing.T) {
	labels := map[string]string{"pod": "cart-1", "a b": "x"}
	f := func(text, want string) {
		t.Helper()
		require.Equal(t, want, dataplane.Legend(text, labels))
	}
	f("{{pod}} of {{ namespace }}", "cart-1 of ")
	f("plain {pod} {{}", "plain {pod} {{}")
	f("{{ a b }}", "x")
}
