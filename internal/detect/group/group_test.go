package group_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/detect"
	"github.com/portent-dev/portent/internal/detect/group"
	"github.com/portent-dev/portent/internal/ingest"
)

const (
	start = 1_700_000_000_000
	step  = 60_000
)

// fleet is an engine and the groups on top of it, fed with one value of each series a
// minute.
type fleet struct {
	t      *testing.T
	engine *detect.Engine
	watch  *group.Watch
	at     int64
	rand   *rand.Rand
}

func newFleet(t *testing.T, o group.Options, seed uint64) *fleet {
	t.Helper()
	e, err := detect.NewEngine(detect.Options{})
	require.NoError(t, err)
	w, err := group.New(o)
	require.NoError(t, err)
	return &fleet{t: t, engine: e, watch: w, at: start, rand: rand.New(rand.NewPCG(seed, 11))}
}

// tick sends one value of each series and looks at the groups.
func (f *fleet) tick(series map[string]float64) {
	f.at += step
	a := f.engine.Appender()
	for name, v := range series {
		a.Append(labelsOf(name), ingest.KindGauge, []ingest.Sample{{T: f.at, V: v}})
	}
	a.Commit()
	f.engine.SetNow(f.at)
	f.watch.Tick(f.at, f.engine.ForEach)
}

// labelsOf makes labels of metric/namespace/pod.
func labelsOf(name string) []ingest.Label {
	var metric, namespace, pod string
	_, err := fmt.Sscanf(name, "%s %s %s", &metric, &namespace, &pod)
	if err != nil {
		panic(err)
	}
	return []ingest.Label{{Name: "__name__", Value: metric}, {Name: "namespace", Value: namespace}, {Name: "pod", Value: pod}}
}

func (f *fleet) results() (all []group.Result) {
	f.watch.Results(func(r group.Result) bool {
		require.GreaterOrEqual(f.t, r.Score, 0.0)
		require.LessOrEqual(f.t, r.Score, float64(detect.MaxScore))
		require.Equal(f.t, r.Score > 1, r.Since != 0)
		all = append(all, r)
		return true
	})
	return all
}

func (f *fleet) only() group.Result {
	all := f.results()
	if len(all) == 0 && f.at == start+step {
		return group.Result{} // the first tick judges nothing
	}
	require.Len(f.t, all, 1)
	return all[0]
}

var joint = group.Options{Rules: []group.Rule{{Name: "namespace", Kind: group.Joint, By: []string{"namespace"}}}}

// normals returns n series of noise, a share of which is common to all.
func normals(f *fleet, n int, common, shift float64) map[string]float64 {
	m := map[string]float64{}
	shared := f.rand.NormFloat64()
	for i := range n {
		z := math.Sqrt(common)*shared + math.Sqrt(1-common)*f.rand.NormFloat64()
		sign := float64(1 - i%2*2) // latency up, throughput down
		m[fmt.Sprintf("m%d shop web-0", i)] = 100*float64(i+1) + z + sign*shift
	}
	return m
}

// Many small deviations, of which no single one is an anomaly.
func TestJoint(t *testing.T) {
	for _, common := range []float64{0, 0.6} {
		f := newFleet(t, joint, 3)
		for range 2000 {
			f.tick(normals(f, 12, common, 0))
		}
		require.LessOrEqual(t, f.only().Score, 1.0)
		told, alone := 0, 0
		for i := range 40 {
			f.tick(normals(f, 12, common, 1.5))
			f.engine.ForEach(func(_ []ingest.Label, o detect.Output) bool {
				if o.Score > 1 && told == 0 {
					alone++
				}
				return true
			})
			if r := f.only(); r.Score > 1 && told == 0 {
				told = i + 1
				require.Equal(t, "namespace", r.Group)
				require.Equal(t, []ingest.Label{{Name: "namespace", Value: "shop"}}, r.Labels)
				require.Equal(t, 12, r.Members)
				sum, up := 0.0, 0
				for _, s := range r.Shares {
					sum += s.Part
					if s.Deviation > 0 {
						up++
					}
				}
				require.InDelta(t, 1, sum, 1e-6)
				require.InDelta(t, 6, up, 3, "half of them go down")
			}
		}
		require.Positive(t, told, "common %g", common)
		require.LessOrEqual(t, told, 25)
		require.LessOrEqual(t, alone, 2, "common %g: told by the group, not by its members", common)
	}
}

// What one member does alone is told by its own score, not by the group's.
func TestJointIsNotOne(t *testing.T) {
	f := newFleet(t, joint, 4)
	for range 1500 {
		f.tick(normals(f, 8, 0, 0))
	}
	for range 20 {
		m := normals(f, 8, 0, 0)
		m["m3 shop web-0"] += 50
		f.tick(m)
		require.LessOrEqual(t, f.only().Score, 1.0)
	}
}

// Unchanged groups cross 1 about as rarely as promised: once a week at sensitivity
// high, here over two weeks each, after one.
func TestJointIsCalibrated(t *testing.T) {
	alarms, weeks := 0, 0.0
	o := joint
	o.Sensitivity = detect.High
	for seed := range uint64(2) {
		for _, common := range []float64{0, 0.5, 0.95} {
			f := newFleet(t, o, 100+seed)
			before := 0.0
			for i := range 3 * 7 * 1440 {
				f.tick(normals(f, 6, common, 0))
				r := f.only()
				if i > 7*1440 && r.Score > 1 && before <= 1 {
					alarms++
				}
				before = r.Score
			}
			weeks += 2
		}
	}
	require.LessOrEqual(t, float64(alarms), 2*weeks, "alarms in %g weeks", weeks)
}

var peersOf = group.Options{Rules: []group.Rule{{Name: "pods", Kind: group.Peers, By: []string{"namespace", group.Workload}}}}

func pods(f *fleet, n int, load float64) map[string]float64 {
	m := map[string]float64{}
	for i := range n {
		m["cpu shop web-7d9c5b8f6d-"+suffix(i)] = load * (1 + 0.05*f.rand.NormFloat64())
	}
	return m
}

func suffix(i int) string {
	const alphabet = "bcdfghjklmnpqrstvwxz2456789"
	return "x2k4" + string(alphabet[i])
}

func TestPeers(t *testing.T) {
	f := newFleet(t, peersOf, 5)
	load := func(i int) float64 { return 2 + math.Sin(float64(i)/100) }
	odd := "cpu shop web-7d9c5b8f6d-" + suffix(2)
	for i := range 2000 {
		m := pods(f, 8, load(i))
		m["cpu shop web-7d9c5b8f6d-"+suffix(5)] *= 1.3 // always a little busier
		f.tick(m)
		require.LessOrEqual(t, f.only().Score, 1.0, "tick %d: they move together", i)
	}
	first := 0
	for i := range 30 {
		m := pods(f, 8, load(2000+i))
		m["cpu shop web-7d9c5b8f6d-"+suffix(5)] *= 1.3
		m[odd] *= 1.8
		f.tick(m)
		r := f.only()
		require.Equal(t, []ingest.Label{{Name: "__name__", Value: "cpu"}, {Name: "namespace", Value: "shop"}, {Name: "workload", Value: "web"}}, r.Labels)
		if r.Score > 1 && first == 0 {
			first = i + 1
			require.Equal(t, labelsOf(odd), r.Shares[0].Labels)
			v := f.watch.Judge(labelsOf(odd), detect.Output{Score: 0.2, Ready: true})
			require.True(t, v.Peer)
			require.Greater(t, v.Score, 1.0)
			other := f.watch.Judge(labelsOf("cpu shop web-7d9c5b8f6d-"+suffix(1)), detect.Output{Score: 0.2, Ready: true})
			require.Equal(t, group.Verdict{Score: 0.2}, other)
		}
	}
	require.Positive(t, first)
	require.LessOrEqual(t, first, 10)
}

func TestGroupThatVanishes(t *testing.T) {
	f := newFleet(t, joint, 6)
	for range 100 {
		m := normals(f, 3, 0, 0)
		m["other bank db-0"] = f.rand.NormFloat64()
		f.tick(m)
	}
	told := false
	for i := range 60 {
		f.at += step
		a := f.engine.Appender()
		a.Append(labelsOf("other bank db-0"), ingest.KindGauge, []ingest.Sample{{T: f.at, V: f.rand.NormFloat64()}})
		a.Commit()
		f.engine.SetNow(f.at)
		f.watch.Tick(f.at, f.engine.ForEach)
		for _, r := range f.results() {
			if r.Vanished {
				require.Equal(t, "shop", r.Labels[0].Value)
				require.Greater(t, r.Score, 1.0)
				require.Less(t, i, 25, "told for a while")
				told = true
			}
		}
	}
	require.True(t, told)
	require.Equal(t, 1, f.watch.Stats().Groups, "and forgotten")
	require.Equal(t, 1, f.watch.Stats().Members)
}

// When nothing comes at all, no group has vanished.
func TestSilentSource(t *testing.T) {
	f := newFleet(t, joint, 6)
	for range 100 {
		f.tick(normals(f, 3, 0, 0))
	}
	for range 60 {
		f.at += step
		f.watch.Tick(f.at, func(func([]ingest.Label, detect.Output) bool) {})
		for _, r := range f.results() {
			require.False(t, r.Vanished)
		}
	}
}

func inNamespace(name string) func([]ingest.Label) bool {
	return func(ls []ingest.Label) bool { return ls[1].Value == name }
}

func metricIs(name string) func([]ingest.Label) bool {
	return func(ls []ingest.Label) bool { return ls[0].Value == name }
}

// Memory that rises with the traffic is explained; memory that rises alone is not.
func TestContext(t *testing.T) {
	o := group.Options{Contexts: []group.Context{{Name: "traffic", Match: metricIs("memory"), With: metricIs("requests"), On: []string{"namespace"}}}}
	for _, loaded := range []bool{true, false} {
		f := newFleet(t, o, 7)
		for range 300 {
			f.tick(map[string]float64{
				"memory shop web-0":   1000 + 5*f.rand.NormFloat64(),
				"requests shop web-0": 50 + f.rand.NormFloat64(), "requests shop web-1": 50 + f.rand.NormFloat64(),
			})
		}
		told, damped := 0, 0
		for range 30 {
			traffic := 50.0
			if loaded {
				traffic = 80
			}
			f.tick(map[string]float64{
				"memory shop web-0":   1400 + 5*f.rand.NormFloat64(),
				"requests shop web-0": traffic + f.rand.NormFloat64(), "requests shop web-1": traffic + f.rand.NormFloat64(),
			})
			f.engine.ForEach(func(ls []ingest.Label, o detect.Output) bool {
				if ls[0].Value == "memory" && o.Score > 1 {
					v := f.watch.Judge(ls, o)
					if v.ExplainedBy != "" {
						require.Equal(t, "traffic", v.ExplainedBy)
						require.Less(t, v.Score, 1.0)
						damped++
					} else {
						told++
					}
				}
				return true
			})
		}
		if loaded {
			require.Positive(t, damped)
			require.Zero(t, told)
		} else {
			require.Zero(t, damped)
			require.Positive(t, told)
		}
	}
}

func TestWorkloadOf(t *testing.T) {
	f := func(pod, want string) {
		t.Helper()
		require.Equal(t, want, group.WorkloadOf(pod))
	}
	f("web-7d9c5b8f6d-x2k4p", "web")
	f("kube-state-metrics-6bf4d8c7d9-8zxcv", "kube-state-metrics")
	f("node-exporter-x2k4p", "node-exporter")
	f("db-0", "db")
	f("kafka-12", "kafka")
	f("backup-28394820-x2k4p", "backup")
	f("standalone", "standalone")
	f("my-service-frontend", "my-service-frontend")
	f("", "")
}

func TestBounds(t *testing.T) {
	o := joint
	o.MaxGroups, o.MaxMembers = 2, 5
	f := newFleet(t, o, 8)
	m := map[string]float64{}
	for i := range 30 {
		m[fmt.Sprintf("m%d ns%d web-0", i, i%6)] = 1
	}
	for range 3 {
		f.tick(m)
	}
	s := f.watch.Stats()
	require.Equal(t, 2, s.Groups)
	require.LessOrEqual(t, s.Members, 5)
	require.Positive(t, s.Dropped)
	f.watch.Tick(f.at-1, f.engine.ForEach)
	require.Equal(t, s, f.watch.Stats(), "a time that is not later is ignored")
}

func TestErrors(t *testing.T) {
	f := func(o group.Options, want string) {
		t.Helper()
		_, err := group.New(o)
		require.ErrorContains(t, err, want)
	}
	f(group.Options{Rules: []group.Rule{{Kind: group.Joint, By: []string{"x"}}}}, "rule 0: want a name")
	f(group.Options{Rules: []group.Rule{{Name: "a", Kind: group.Joint}}}, "at least one label to group by")
	f(group.Options{Rules: []group.Rule{{Name: "a", Kind: "herd", By: []string{"x"}}}}, `rule 0 (a): unknown kind "herd": want one of ["joint" "peers"]`)
	f(group.Options{Contexts: []group.Context{{Name: "a"}}}, "context 0: want a name")
	f(group.Options{MaxGroups: -1}, "max groups -1")
	f(group.Options{Sensitivity: "extreme"}, "unknown sensitivity")
}

// The rows of a table: each column normal, all of them a little off.
func TestColumns(t *testing.T) {
	row, err := detect.Lookup(detect.DefaultDetector)
	require.NoError(t, err)
	const n = 6
	bank := row.Open(detect.Config{})
	for i := range n {
		bank.Reset(i)
	}
	c := group.NewColumns(detect.Medium, n)
	outs, sampled := make([]detect.Output, n), make([]bool, n)
	r := rand.New(rand.NewPCG(9, 9))
	score := func(i int, shift float64) float64 {
		at := int64(start + i*step)
		for k := range n {
			bank.Observe(k, at, r.NormFloat64()+shift, &outs[k])
			sampled[k] = true
		}
		return c.Joint(at, outs, sampled)
	}
	for i := range 2000 {
		s := score(i, 0)
		if i > 200 {
			require.Less(t, s, 1.2, "row %d", i)
		}
	}
	first := 0
	for i := range 40 {
		if s := score(2000+i, 1.7); s > 1 && first == 0 {
			first = i + 1
		}
	}
	require.Positive(t, first)
	require.LessOrEqual(t, first, 20)
	sampled = make([]bool, n)
	require.Zero(t, c.Joint(start+3000*step, outs, sampled), "an empty row")
}

// Whatever outputs say, results keep their bounds.
func TestHostileOutputs(t *testing.T) {
	o := group.Options{
		Rules:    append(append([]group.Rule{}, joint.Rules...), peersOf.Rules...),
		Contexts: []group.Context{{Name: "traffic", Match: metricIs("m0"), With: metricIs("m1"), On: []string{"namespace"}}},
	}
	f := newFleet(t, o, 12)
	values := []float64{math.NaN(), math.Inf(1), math.Inf(-1), math.MaxFloat64, -math.MaxFloat64, 5e-324, 0, 1, -1e30, 1e30}
	for range 1500 {
		f.at += []int64{1, 1000, 60_000, 3600_000}[f.rand.IntN(4)]
		f.watch.Tick(f.at, func(yield func([]ingest.Label, detect.Output) bool) {
			for i := range 8 {
				v := values[f.rand.IntN(len(values))]
				out := detect.Output{T: f.at, Value: v, Score: 100 * f.rand.Float64(), Expected: values[3+f.rand.IntN(7)], Ready: f.rand.IntN(3) > 0, Missing: f.rand.IntN(9) == 0}
				if !yield(labelsOf(fmt.Sprintf("m%d shop web-%d", i%2, i)), out) {
					return
				}
			}
		})
		for _, r := range f.results() {
			require.False(t, math.IsNaN(r.Score))
			for _, s := range r.Shares {
				require.False(t, math.IsNaN(s.Part+s.Deviation+s.Score))
			}
		}
		for i := range 8 {
			v := f.watch.Judge(labelsOf(fmt.Sprintf("m%d shop web-%d", i%2, i)), detect.Output{Score: 2, Ready: true})
			require.False(t, math.IsNaN(v.Score))
		}
	}
}

// BenchmarkTick looks at 100,000 series of which half are in groups of fifty.
func BenchmarkTick(b *testing.B) {
	const n = 100_000
	all := make([][]ingest.Label, n)
	for i := range all {
		namespace := fmt.Sprintf("team-%d", i/100)
		if i%2 == 0 {
			namespace = ""
		}
		all[i] = []ingest.Label{{Name: "__name__", Value: fmt.Sprintf("m%d", i%50)}, {Name: "namespace", Value: namespace}, {Name: "pod", Value: fmt.Sprintf("web-%d", i)}}
	}
	o := joint
	o.MaxMembers = n
	w, err := group.New(o)
	require.NoError(b, err)
	each := func(f func([]ingest.Label, detect.Output) bool) {
		for i, ls := range all {
			f(ls, detect.Output{Value: float64(i % 7), Expected: 3, Score: float64(i%10) / 20, Ready: true})
		}
	}
	before := heap()
	w.Tick(start, each)
	held := heap() - before
	at := int64(start)
	b.ResetTimer()
	b.ReportAllocs()
	for b.Loop() {
		at += 15_000
		w.Tick(at, each)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/series")
	b.ReportMetric(float64(held)/(n/2), "bytes/member")
}

func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// Results and verdicts are read while a tick is taken.
func TestConcurrentUse(t *testing.T) {
	o := group.Options{Rules: append(append([]group.Rule{}, joint.Rules...), peersOf.Rules...)}
	f := newFleet(t, o, 13)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range 300 {
			f.tick(pods(f, 6, 2))
		}
	}()
	ls := labelsOf("cpu shop web-7d9c5b8f6d-" + suffix(1))
	for range 300 {
		f.watch.Judge(ls, detect.Output{Score: 2, Ready: true})
		f.watch.Results(func(r group.Result) bool { return r.Members > 0 })
		f.watch.Stats()
	}
	<-done
	require.Len(t, f.results(), 2)
}
