//go:build fit

package correlate

import (
	"bufio"
	"cmp"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The fit of the weights, on storms that shared/bench/storms generates:
//
//	PORTENT_STORMS=dir,dir PORTENT_HELDOUT=dir,dir go test -tags fit -run TestFit -v ./internal/correlate
//
// It prints the weights, and how well pairs and groups of the held-out storms
// come out. Other seeds, other routings; no name of an alert is in the features.

type noted struct {
	At   float64 `json:"at"`
	Body struct {
		Alerts []struct {
			Status                    string
			Labels, Annotations       map[string]string
			StartsAt, EndsAt          time.Time
			Fingerprint, GeneratorURL string
		}
	}
}

var r0 *replay // the one that runs

type cause1 = struct {
	ID         string
	Start, End time.Time
	Root       struct {
		Entities, Alertnames []string
	}
}

type truth struct {
	Incidents []cause1
	Alerts    []struct {
		Fingerprint, Incident, Source string
		StartsAt                      time.Time
		Episode                       int
	}
}

type replay struct {
	e     *Engine
	byFP  map[string][]*Alert
	of    map[int64]string // true incident
	all   []*Alert
	clock int64
	inc   map[int64]int // incident by alert
	next  int
}

func load(t *testing.T, dir string) ([]noted, map[string]map[int64]string) {
	b, err := os.ReadFile(filepath.Join(dir, "truth.json"))
	require.NoError(t, err)
	var tr truth
	require.NoError(t, json.Unmarshal(b, &tr))
	m := map[string]map[int64]string{}
	for _, a := range tr.Alerts {
		if m[a.Fingerprint] == nil {
			m[a.Fingerprint] = map[int64]string{}
		}
		m[a.Fingerprint][a.StartsAt.UnixMilli()] = a.Incident
	}
	f, err := os.Open(filepath.Join(dir, "notifications.jsonl"))
	require.NoError(t, err)
	defer f.Close()
	sc := bufio.NewScanner(f)
	sc.Buffer(nil, 64<<20)
	var out []noted
	for sc.Scan() {
		var n noted
		require.NoError(t, json.Unmarshal(sc.Bytes(), &n))
		out = append(out, n)
	}
	require.NoError(t, sc.Err())
	return out, m
}

var withInfo bool // the ranking of causes sees what informs too

func sev(s string) (Severity, bool) {
	switch s {
	case "critical":
		return Critical, true
	case "warning":
		return Warning, true
	case "info":
		return Info, withInfo
	}
	return Info, false
}

// run replays; each is called with what is new and what ended.
func run(t *testing.T, dir string, e *Engine, add func(a Alert), step func(now int64)) *replay {
	ns, tr := load(t, dir)
	r := &replay{e: e, byFP: map[string][]*Alert{}, of: map[int64]string{}, inc: map[int64]int{}}
	r0 = r
	for _, n := range ns {
		for _, a := range n.Body.Alerts {
			s, ok := sev(a.Labels["severity"])
			if !ok {
				continue
			}
			start := a.StartsAt.UnixMilli()
			var end int64
			if a.Status == "resolved" {
				end = a.EndsAt.UnixMilli()
			}
			r.clock = max(r.clock, start, end)
			var k *Alert
			for _, o := range r.byFP[a.Fingerprint] {
				if abs(o.Start-start) < 90_000 || end == 0 && o.End != 0 && start <= o.End && start >= o.Start {
					k = o
				}
			}
			if k == nil {
				k = &Alert{ID: int64(len(r.all) + 1), Key: a.Fingerprint, Scope: a.Labels["cluster"], Name: a.Labels["alertname"], Severity: s, Start: start, Labels: a.Labels, Annotations: a.Annotations}
				r.of[k.ID] = tr[a.Fingerprint][start]
				r.byFP[a.Fingerprint] = append(r.byFP[a.Fingerprint], k)
				r.all = append(r.all, k)
				k.End = end
				add(*k)
			}
			if end != 0 && k.End == 0 {
				k.End = end
				e.End(k.ID, end)
			}
		}
		step(r.clock)
	}
	return r
}

type sample struct {
	f features
	y float64
}

// most is about how many pairs of one storm are taken.
const most = 120_000

func samples(t *testing.T, dir string) (out []sample) {
	e := New(Options{SkipLabels: []string{"cluster"}})
	type pair struct {
		n, m *node
		f    features
	}
	var pairs []pair
	r := run(t, dir, e, e.Add, func(now int64) {
		batch := e.batch
		e.batch = nil
		for _, n := range batch {
			near := e.prepare(n)
			for _, m := range near {
				pairs = append(pairs, pair{n, m, e.features(n, m)})
			}
			e.enter(n, near)
		}
		if len(batch) > 0 {
			for _, s := range e.scopes {
				e.freeze(s, now)
			}
		}
	})
	end := map[int64]int64{}
	for _, a := range r.all {
		end[a.ID] = a.End
	}
	// ends are heard of with the next notice of the group, within five minutes
	heard := func(n *node) int64 { return end[n.ID] + int64(hash(n.Key)%300_000) }
	size := map[string]int{}
	for _, o := range r.of {
		size[o]++
	}
	giant := func(n *node) bool { o := r.of[n.ID]; return o != "noise" && size[o] > 500 }
	pairs = slices.DeleteFunc(pairs, func(p pair) bool { return giant(p.n) || giant(p.m) })
	for _, p := range pairs {
		y := one(r.of[p.n.ID] == r.of[p.m.ID] && r.of[p.n.ID] != "noise" && r.of[p.n.ID] != "")
		n, m := *p.n, *p.m
		if len(pairs) > 2*most && (uint64(p.n.ID)*2654435761+uint64(p.m.ID))%uint64(len(pairs)/most) != 0 {
			continue
		}
		for _, at := range []int64{0, 20 * 60_000, 2 * hour} {
			now := n.Start + at
			n.End, m.End = 0, 0
			if v := end[n.ID]; v != 0 && heard(&n) <= now {
				n.End = v
			}
			if v := end[m.ID]; v != 0 && heard(&m) <= now {
				m.End = v
			}
			f := p.f
			f.ends(&n, &m, now)
			out = append(out, sample{f, y})
		}
	}
	return out
}

func loss(ss []sample) (ll float64) {
	for _, s := range ss {
		p := 1 / (1 + math.Exp(-s.f.logit()))
		if s.y == 0 {
			p = 1 - p
		}
		ll -= math.Log(max(1e-9, p))
	}
	return ll / float64(len(ss))
}

func TestFit(t *testing.T) {
	if os.Getenv("PORTENT_STORMS") != "" {
		var ss []sample
		for _, d := range strings.Split(os.Getenv("PORTENT_STORMS"), ",") {
			ss = append(ss, samples(t, d)...)
		}
		fit(ss)
		fmt.Printf("train %d %.4f\n", len(ss), loss(ss))
		var b strings.Builder
		b.WriteString("package correlate\n\n// The weights of the features, in nats, fitted on generated storms of twelve seeds\n// in all four routings; fit_test.go says how.\nvar weights = features{\n")
		for i, w := range weights {
			fmt.Printf("%-12s %+.2f\n", featureNames[i], w)
			fmt.Fprintf(&b, "\tf%s: %.3f,\n", strings.ToUpper(featureNames[i][:1])+featureNames[i][1:], w)
		}
		b.WriteString("}\n")
		require.NoError(t, os.WriteFile("weights.go", []byte(b.String()), 0o600))
	}
	for _, d := range strings.Split(os.Getenv("PORTENT_HELDOUT"), ",") {
		if d == "" {
			continue
		}
		if os.Getenv("NOLOSS") == "" {
			ss := samples(t, d)
			fmt.Printf("%s pairs %d loss %.4f\n", d, len(ss), loss(ss))
		}
		evaluate(t, d)
	}
}

// fit is AdaGrad on the log loss with a little weight decay.
func fit(ss []sample) {
	rnd := rand.New(rand.NewPCG(1, 2))
	var g2 features
	for epoch := range 8 {
		rnd.Shuffle(len(ss), func(i, j int) { ss[i], ss[j] = ss[j], ss[i] })
		rate := 0.2 / (1 + float64(epoch)/2)
		for _, s := range ss {
			e := 1/(1+math.Exp(-s.f.logit())) - s.y
			for i, v := range s.f {
				if v != 0 {
					g := e*v + 1e-5*weights[i]
					g2[i] += g * g
					weights[i] -= rate * g / math.Sqrt(g2[i]+1e-6)
				}
			}
		}
	}
}

// evaluate groups a storm as triage does, without tickets, and scores it.
func evaluate(t *testing.T, dir string) {
	e := New(Options{SkipLabels: []string{"cluster"}})
	inc := map[int64]int{}
	next := 0
	var spent time.Duration
	r := run(t, dir, e, e.Add, func(now int64) {
		begin := time.Now()
		gs := e.Regroup(now)
		spent += time.Since(begin)
		type claim struct{ n, g, inc int }
		var claims []claim
		for gi, g := range gs {
			c := map[int]int{}
			for _, id := range g {
				if i, ok := inc[id]; ok {
					c[i]++
				}
			}
			for i, n := range c {
				claims = append(claims, claim{n, gi, i})
			}
		}
		// greedy by overlap
		taken := map[int]bool{}
		got := map[int]int{}
		for {
			best := -1
			for k, c := range claims {
				if taken[c.inc] {
					continue
				}
				if _, ok := got[c.g]; ok {
					continue
				}
				if best < 0 || c.n > claims[best].n || c.n == claims[best].n && c.inc < claims[best].inc {
					best = k
				}
			}
			if best < 0 {
				break
			}
			taken[claims[best].inc] = true
			got[claims[best].g] = claims[best].inc
		}
		for gi, g := range gs {
			i, ok := got[gi]
			if !ok {
				next++
				i = next
			}
			for _, id := range g {
				inc[id] = i
			}
		}
	})
	score(r, inc, dir, spent)
}

func score(r *replay, inc map[int64]int, dir string, spent time.Duration) {
	size, psize := map[string]int{}, map[int]int{}
	both := map[string]map[int]int{}
	for _, a := range r.all {
		o := r.of[a.ID]
		psize[inc[a.ID]]++
		if o == "noise" || o == "" {
			continue
		}
		size[o]++
		if both[o] == nil {
			both[o] = map[int]int{}
		}
		both[o][inc[a.ID]]++
	}
	pred := map[int]int{}
	var tp, st float64
	for o, m := range both {
		if size[o] > 500 {
			continue
		}
		st += c2(size[o])
		for i, n := range m {
			tp += c2(n)
			pred[i] += n
		}
	}
	sp := 0.0
	for _, n := range pred {
		sp += c2(n)
	}
	macro := 0.0
	for o, m := range both {
		best := 0.0
		for i, n := range m {
			best = max(best, 2*float64(n)/float64(size[o]+psize[i]))
		}
		macro += best
	}
	p, rc := tp/sp, tp/st
	fmt.Printf("%s P %.3f R %.3f F1 %.3f macro %.3f groups %d time %s alerts %d\n", dir, p, rc, 2*p*rc/(p+rc), macro/float64(len(both)), len(psize), spent.Round(time.Millisecond), len(r.all))
}

func c2(n int) float64 { return float64(n) * float64(n-1) / 2 }

// TestFitCause fits the ranking of causes on the true incidents with the noise
// that fired beside them left out.
func TestFitCause(t *testing.T) {
	withInfo = true
	type group struct {
		fs  []causeFeatures
		pos []bool
	}
	read := func(dirs string) (gs []group) {
		for _, dir := range strings.Split(dirs, ",") {
			e := New(Options{SkipLabels: []string{"cluster"}})
			b, err := os.ReadFile(filepath.Join(dir, "truth.json"))
			require.NoError(t, err)
			var tr truth
			require.NoError(t, json.Unmarshal(b, &tr))
			byInc := map[string][]*Alert{}
			end := map[string]time.Time{}
			for _, i := range tr.Incidents {
				end[i.ID] = i.End
			}
			done := map[string]bool{}
			right, rightEntity, all := 0, 0, 0
			var r *replay
			judge := func(i cause1) {
				done[i.ID] = true
				var as []Alert
				groups := map[*node]int{}
				for _, a := range byInc[i.ID] {
					if n := e.alerts[a.ID]; n != nil && os.Getenv("CLEAN") == "" {
						groups[n.group]++
					} else {
						as = append(as, *a)
					}
				}
				var of *node
				for g, n := range groups {
					if of == nil || n > groups[of] || n == groups[of] && g.ID < of.ID {
						of = g
					}
				}
				if of != nil {
					as = nil
					for _, n := range of.scope.live {
						if n.group == of {
							as = append(as, n.Alert)
						}
					}
				}
				if len(as) == 0 {
					return
				}
				slices.SortFunc(as, func(a, b Alert) int { return cmp.Or(cmp.Compare(a.Start, b.Start), cmp.Compare(a.Key, b.Key)) })
				as = as[:min(len(as), maxCauses)]
				fs, _ := e.causeFeatures(as)
				g := group{fs: fs}
				any := false
				for _, a := range as {
					p := slices.Contains(i.Root.Alertnames, a.Name) && r0.of[a.ID] == i.ID
					any = any || p
					g.pos = append(g.pos, p)
				}
				all++
				c := e.Causes(as)[0]
				if slices.Contains(i.Root.Alertnames, c.Name) {
					right++
				}
				hit := false
				for _, n := range i.Root.Entities {
					hit = hit || strings.EqualFold(n, c.Entity) || strings.HasSuffix(c.Entity, "/"+n) || strings.HasSuffix(n, "/"+c.Entity)
				}
				if hit {
					rightEntity++
				} else if os.Getenv("SHOW") != "" {
					fmt.Println(i.ID, c.Name, c.Entity, i.Root.Alertnames, i.Root.Entities)
				}
				if any {
					gs = append(gs, g)
				}
				e.Settle(as)
			}
			seen := 0
			r = run(t, dir, e, e.Add, func(now int64) {
				e.Regroup(now)
				for _, a := range r0.all[seen:] {
					byInc[r0.of[a.ID]] = append(byInc[r0.of[a.ID]], a)
				}
				seen = len(r0.all)
				for _, i := range tr.Incidents {
					if !done[i.ID] && now > i.End.UnixMilli()+600_000 {
						judge(i)
					}
				}
			})
			for _, i := range tr.Incidents {
				if !done[i.ID] {
					judge(i)
				}
			}
			_ = r
			fmt.Printf("%s cause %.3f entity %.3f of %d\n", dir, float64(right)/float64(all), float64(rightEntity)/float64(all), all)
		}
		return gs
	}
	if os.Getenv("PORTENT_STORMS") != "" {
		gs := read(os.Getenv("PORTENT_STORMS"))
		for range 400 {
			var grad causeFeatures
			for _, g := range gs {
				ps := make([]float64, len(g.fs))
				sum, pos := 0.0, 0.0
				for i, f := range g.fs {
					z := 0.0
					for k, v := range f {
						z += v * causeWeights[k]
					}
					ps[i] = math.Exp(z)
					sum += ps[i]
					if g.pos[i] {
						pos += ps[i]
					}
				}
				for i, f := range g.fs {
					d := -ps[i] / sum
					if g.pos[i] {
						d += ps[i] / pos
					}
					for k, v := range f {
						grad[k] += d * v
					}
				}
			}
			for k := range grad {
				causeWeights[k] += 2 * (grad[k]/float64(len(gs)) - 0.01*causeWeights[k])
			}
			// What holds anywhere, whatever these storms say: earlier, and named by others,
			// is never a sign against a cause.
			for _, k := range []int{cEarly, cEarlyHeld, cRare, cUsual, cTold, cBursts} {
				causeWeights[k] = min(0, causeWeights[k])
			}
			for _, k := range []int{cFirst, cFirstHeld, cNamed, cNamedAny, cShared} {
				causeWeights[k] = max(0.1, causeWeights[k])
			}
			causeWeights[cTold] = 0
			causeWeights[cInfo] = min(-1, causeWeights[cInfo])
			for _, k := range []int{cNode, cStorage, cWorkload, cPod, cNamespace, cNothing} {
				causeWeights[k] = max(-1.6, min(1.6, causeWeights[k]))
			}
		}
		var b strings.Builder
		b.WriteString("package correlate\n\n// The weights of the ranking of causes, fitted by fit_test.go.\nvar causeWeights = causeFeatures{")
		for i, w := range causeWeights {
			if i > 0 {
				b.WriteString(", ")
			}
			fmt.Fprintf(&b, "%.3f", w)
		}
		b.WriteString("}\n")
		require.NoError(t, os.WriteFile("weights_cause.go", []byte(b.String()), 0o600))
		fmt.Println(causeWeights)
	}
	if os.Getenv("PORTENT_HELDOUT") != "" {
		read(os.Getenv("PORTENT_HELDOUT"))
	}
}

var featureNames = [nFeatures]string{
	"bias", "sameKey", "latelyNew", "latelyOld", "related", "lift", "logGap", "gap2", "gap6", "gap20", "top", "second", "mention", "prefix",
	"namespace", "sameName", "sameName3", "dayNew", "dayOld", "ruleNew", "ruleOld", "infoNew", "infoOld", "critNew", "critOld", "noNamespace",
	"ended", "endedLong", "busy", "topGap", "liftGap", "mentionGap", "short", "nothing", "bothEnded", "endGap", "oneEnded", "endTogether",
}
