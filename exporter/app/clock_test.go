package app

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestClock(t *testing.T) {
	var c clock
	wall, mono := time.Date(2026, 11, 22, 13, 0, 0, 0, time.UTC), time.Duration(0)
	// tick passes real time, and moves the wall clock by jump as well.
	tick := func(passed, jump time.Duration) time.Duration {
		wall, mono = wall.Add(passed+jump), mono+passed
		return c.tick(wall, mono)
	}
	require.Zero(t, tick(0, 0))
	require.True(t, c.steady())
	for range 100 {
		require.Zero(t, tick(time.Second, 500*time.Microsecond), "slewing is no jump")
	}
	require.Zero(t, tick(time.Hour, 0), "a process that was stopped for long saw no jump")
	require.True(t, c.steady())

	require.Equal(t, 24*time.Hour, tick(time.Second, 24*time.Hour))
	require.False(t, c.steady())
	require.Zero(t, tick(10*time.Minute, 0))
	require.False(t, c.steady())
	require.Equal(t, -24*time.Hour, tick(time.Second, -24*time.Hour), "set right again")
	require.Zero(t, tick(14*time.Minute, 0))
	require.False(t, c.steady(), "the grace begins anew with each jump")
	require.Zero(t, tick(time.Minute, 0))
	require.True(t, c.steady())
}
