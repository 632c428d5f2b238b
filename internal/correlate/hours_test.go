package correlate

import (
	"fmt"
	"math"
	"testing"

	"github.com/stretchr/testify/require"
)

// The ends of two groups are told minutes apart: only when one alert has fired on for
// longer than that does it speak against a pair.
func TestThatOneFiresOnTellsAfterAWhile(t *testing.T) {
	e := New(Options{SkipLabels: []string{"cluster"}})
	link, peer := al("LinkDown cluster=dc1 device=core-7", 0, 0), al("BgpPeerLost cluster=dc1 device=core-7", 1, 0)
	link.ID, peer.ID = 1, 2
	e.Add(link)
	e.Add(peer)
	e.Regroup(ms(2))
	tie := func() float32 { return e.alerts[1].links[0].z }
	before := tie()
	e.End(1, ms(20))
	for _, at := range []float64{20, 24, 27.9} {
		e.Regroup(ms(at))
		require.InDelta(t, before, tie(), 1e-6, "after %v min", at-20)
	}
	e.Regroup(ms(28.1))
	require.Less(t, tie(), before)
	e.End(2, ms(20.5))
	e.Regroup(ms(29))
	require.Greater(t, tie(), before, "they ended together after all")
}

// Ends in a far future, which a broken sender may tell, wait for nothing for ever.
func TestEndingsAreBounded(t *testing.T) {
	e := New(Options{MaxLive: 100})
	for n := range 4000 {
		a := al(fmt.Sprintf("Backup%d cluster=c1 job=j%d", n%7, n), float64(n)/100, 0)
		a.ID = int64(n + 1)
		a.End = math.MaxInt64 / 2
		e.Add(a)
		if n%50 == 0 {
			e.Regroup(ms(float64(n) / 100))
		}
	}
	require.LessOrEqual(t, len(e.ends.heap), 2*minEndings)
}

// A scope is busy when alerts begin in it all day, not when there was an outage.
func TestDensityIsOfAUsualHour(t *testing.T) {
	m := newMemory()
	busy, hit := hash("batch"), hash("shop")
	for h := range 12 {
		for n := range 30 {
			m.count(busy, ms(float64(60*h+n)))
		}
		m.count(hit, ms(float64(60*h)))
	}
	for range 3000 {
		m.count(hit, ms(700))
	}
	require.InDelta(t, math.Log1p(30), m.density(busy, ms(721)), 0.1)
	require.Less(t, m.density(hit, ms(721)), ordinary)
	require.InDelta(t, math.Log1p(usualHour), m.density(hash("new"), ms(721)), 1e-9, "nothing is known of it")
	require.Zero(t, m.density(busy, ms(721+3*24*60)), "it was quiet for days")
	m.count(busy, ms(1)) // long ago
	require.Zero(t, m.density(busy, ms(721+3*24*60)))
}

// Where so much fires, that two did at a time tells less.
func TestBeliefIsLessWhereMuchFires(t *testing.T) {
	belief := func(hourly int) float64 {
		e := New(Options{SkipLabels: []string{"cluster"}})
		for n := range 8 * hourly {
			a := al(fmt.Sprintf("JobSlow%d cluster=c1 job=j%d", n%5, n), float64(60*n)/float64(hourly), float64(60*n)/float64(hourly)+2)
			a.ID = int64(n + 10)
			e.Add(a)
			e.Regroup(a.Start)
		}
		x, y := al("ReplicaBehind cluster=c1 host=pg-3", 700, 0), al("SlowQueries cluster=c1 host=pg-3", 701, 0)
		x.ID, y.ID = 1, 2
		e.Add(x)
		e.Add(y)
		e.Regroup(ms(702))
		z, ok := e.Belief(1, 2)
		require.True(t, ok)
		for _, l := range e.alerts[1].links {
			if e.alerts[1].scope.nodes[l.to].ID == 2 {
				require.LessOrEqual(t, z, float64(l.base))
				return z - float64(l.base)
			}
		}
		return 0
	}
	require.Zero(t, belief(2))
	require.Less(t, belief(40), -1.0)
}

// An address is that of the pod that answers there, unless several are named beside it.
func TestAnAddressIsItsPod(t *testing.T) {
	e := New(Options{SkipLabels: []string{"cluster"}})
	as := []Alert{
		al("QueryLocks cluster=c1 instance=10.0.3.4:9187 namespace=data pod=pg-0", 0, 0),
		al("Connections cluster=c1 instance=10.0.3.4:9187", 1, 0),
		al("PodRestarts cluster=c1 instance=10.0.9.9:8080 namespace=a pod=x-0", 2, 0),
		al("PodRestarts cluster=c1 instance=10.0.9.9:8080 namespace=b pod=y-0", 2, 0),
	}
	for i := range as {
		as[i].ID = int64(i + 1)
		e.Add(as[i])
	}
	e.Regroup(ms(3))
	require.Equal(t, "data/pg-0", e.entity(as[1]))
	require.Equal(t, "10.0.9.9", e.entity(al("ScrapeSlow cluster=c1 instance=10.0.9.9:8080", 3, 0)), "a watcher of many")
	require.Equal(t, "10.0.3.4", e.entity(al("Connections cluster=c2 instance=10.0.3.4:9187", 3, 0)), "another cluster")
}

// A rule that was the likeliest cause of what it was in before is so again.
func TestCausesAreLearned(t *testing.T) {
	e := New(Options{SkipLabels: []string{"cluster"}})
	id := int64(0)
	incident := func(at float64, names ...string) (as []Alert) {
		for i, n := range names {
			a := al(fmt.Sprintf("%s cluster=c1 host=h%d%v", n, i, at), at+float64(i), at+30)
			id++
			a.ID = id
			as = append(as, a)
			e.Add(a)
		}
		e.Regroup(ms(at + 31))
		return as
	}
	for n := range 6 {
		e.Settle(incident(float64(300*n), "ArrayDegraded", "QueryBacklog", "ReplicaBehind"))
		e.Settle(incident(float64(300*n+120), "LockPileUp", "QueryBacklog", "ReplicaBehind"))
	}
	prior := func(name string) float64 { return e.memory.prior(hash(name)) }
	require.Greater(t, prior("ArrayDegraded"), 0.1)
	require.Less(t, prior("ReplicaBehind"), 0.0)
	require.Zero(t, prior("NeverSeen"))
	e.Settle(nil)
	e.Settle(incident(2500, "Alone"))
	require.Zero(t, prior("Alone"), "one alone teaches nothing")
	require.Equal(t, "ArrayDegraded", e.Causes(incident(3000, "QueryBacklog", "ArrayDegraded", "ReplicaBehind"))[0].Name)
}

// Runs of one scheduled job are about one thing.
func TestRunsOfAJobShareItsName(t *testing.T) {
	require.Equal(t, "nightly-dump", stem("nightly-dump-29518292"))
	require.Equal(t, "export", stem("export-20261122"))
	require.Equal(t, "export", stem("export-1700000000"))
	require.Equal(t, "a-123456", stem("a-123456"))
	require.Equal(t, []string{"DumpFailed DumpFailed"}, groups(100,
		al("DumpFailed cluster=c1 job_name=nightly-dump-29518292", 0, 0), al("DumpFailed cluster=c1 job_name=nightly-dump-29518302", 10, 0)))
}
