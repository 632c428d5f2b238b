package correlate

import (
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/portent-dev/portent/internal/topology"
)

// What dependencies add to what is learned and fitted. The weights are not fitted, since storms come without a topology, but
// follow from what a link tells: two alerts of one fault are linked about half of the time (linkedShare), two that
// have nothing to do with each other as often as chance links any two, which is the share of the entities that depend on
// the lower one. The log of the ratio of both is the evidence of a link in nats, the unit of all weights here. What
// everybody depends on, as a name server, so ties nobody.
const (
	linkedShare = 0.5
	// smallSite is the least number of services, or pods, that a site is taken to have: a file that names six
	// dependencies is not about a site of six things.
	smallSite = 40
	// maxTie and maxTie2 bound the evidence of a link, and of one through another entity. A text that names the other gives
	// 2.2 and more when both began together: a catalogue tells that a failure can travel, not that this one did.
	maxTie, maxTie2 = 2.2, 1.3
	// maxCall and maxCall2 are the same where what is below is called, not run on: services are a dense graph, in which two faults at
	// a time are soon two calls apart. On generated fleets whose graph was known 2.2 and 1.3 joined such faults: the
	// pairwise F1 of one seed fell from .926 to .863.
	maxCall, maxCall2 = 0.7, 0.3
	// fewUsers is down to how many users two that need the same are tied though it does not alert itself.
	fewUsers = 4
	// tieMinutes is how fast a tie fades to half with the time between two beginnings. It is slow, since the weights of the
	// gap count that time already: failures travel along calls in minutes, but rules wait for a quarter of an hour or more.
	tieMinutes = 60
)

// What the direction tells of the cause, in nats; the fitted weights are of 0.2 to 1.6.
const (
	causeBelow = 1.6  // all others depend on it
	causeAbove = -0.5 // it depends on what another is about
)

// topologyKinds are the labels that name a thing of a topology, and of which kind. Other labels name a service when the text
// repeats their value: a queue, a database.
var topologyKinds = map[string]topology.Kind{
	"pod": topology.Pod, "exported_pod": topology.Pod,
	"node": topology.Node, "exported_node": topology.Node, "nodename": topology.Node, "host": topology.Node, "hostname": topology.Node,
	"instance": topology.Node, "exported_instance": topology.Node,
	"persistentvolumeclaim": topology.Volume,
}

// SetTopology says what depends on what from now on; nil forgets it. Pairs that were judged stay as they are. ClusterLabel
// is the label of alerts that says in which cluster of the topology they are.
func (e *Engine) SetTopology(t *topology.Topology, clusterLabel string) {
	e.topology, e.cluster = t, clusterLabel
	for _, n := range e.alerts {
		n.anchors, n.sign = e.anchors(n.Alert), nil
	}
}

// maxAnchors bounds what one alert is about.
const maxAnchors = 16

// anchors finds what an alert is about: what its most telling label names, and what its text repeats of the others. The labels of
// an exporter that is not spoken of name nothing.
func (e *Engine) anchors(a Alert) (out []topology.Anchor) {
	if e.topology == nil {
		return nil
	}
	subject := subjectLabel(a)
	cluster, namespace := a.Labels[e.cluster], a.Labels["exported_namespace"]
	if namespace == "" {
		namespace = a.Labels["namespace"]
	}
	for _, l := range sortedKeys(a.Labels) {
		v := a.Labels[l]
		if v == "" || l == e.cluster || strings.HasSuffix(l, "namespace") || l != subject && (e.skip[l] || !told(a, v)) {
			continue
		}
		out = e.find(out, cluster, namespace, l, v)
		if len(out) >= maxAnchors {
			return out[:maxAnchors]
		}
	}
	return out
}

func (e *Engine) find(out []topology.Anchor, cluster, namespace, label, v string) []topology.Anchor {
	t := e.topology
	before := len(out)
	kind := topologyKinds[label]
	switch kind {
	case topology.Pod:
		if out = t.Find(out, topology.Pod, cluster, namespace, v); len(out) == before {
			out = t.Find(out, topology.Service, cluster, namespace, stem(v)) // a pod that is gone, or that nobody lists
		}
		return out
	case topology.Volume:
		return t.Find(out, kind, cluster, namespace, v)
	case topology.Node:
		if out = t.Find(out, kind, cluster, "", v); len(out) > before {
			return out
		}
		v = host(v) // a database may have its address here
	case topology.Service:
	}
	if i := strings.IndexByte(v, '/'); i > 0 && strings.Count(v, "/") == 1 { // a job: namespace/name
		namespace, v = v[:i], v[i+1:]
	}
	if label == "job_name" {
		if i := strings.LastIndexByte(v, '-'); i > 0 && isNumber(v[i+1:]) {
			v = v[:i]
		}
	}
	return t.Find(out, topology.Service, cluster, namespace, v)
}

// tie is the evidence of the topology that two alerts belong together, in nats, beside f, what else is known of them.
// What labels and texts tell already is not counted twice. Shared reports that it is for what both need.
func (e *Engine) tie(n, m *node, f *features) (z float64, shared bool) {
	if len(n.anchors) == 0 || len(m.anchors) == 0 {
		return 0, false
	}
	r := e.topology.Relate(n.anchors, m.anchors)
	shared = r.Hops == 2 && r.Below == 0
	if shared && r.Users > fewUsers {
		return 0, false
	}
	z = e.strength(r) * fade(n, m) * (1 - min(1, max(f[fTop], f[fMention])))
	if z > 0 {
		z -= f[fNothing] * weights[fNothing]
	}
	return z, shared
}

// strength of a relation; see linkedShare.
func (e *Engine) strength(r topology.Relation) float64 {
	if r.Hops == 0 {
		return 0
	}
	top, top2 := maxTie, maxTie2
	below := r.To
	if r.Hops == 2 && r.Below == 0 {
		below = r.Via
	}
	if e.topology.Entity(below).Kind == topology.Service {
		top, top2 = maxCall, maxCall2
	}
	if r.Hops == 2 {
		top = top2
	}
	return max(0, min(top, math.Log(linkedShare*float64(max(r.Size, smallSite))/float64(max(r.Users, 1)))))
}

func fade(n, m *node) float64 {
	return math.Exp2(-float64(abs(n.Start-m.Start)) / 60_000 / tieMinutes)
}

// explainAway ties two alerts whose entities need the same thing when that alerts too: the pods of a node, the callers of a
// database. It is called when n has been compared with near.
func (e *Engine) explainAway(n *node, near []*node) {
	if len(n.anchors) == 0 {
		return
	}
	var above []*node // what needs n
	for _, m := range near {
		switch r := e.topology.Relate(n.anchors, m.anchors); {
		case r.Hops != 1:
		case r.Below < 0:
			above = append(above, m)
		case r.Below > 0: // m is what n needs, and perhaps others do
			for _, o := range near {
				if s := e.topology.Relate(o.anchors, m.anchors); o != m && s.Hops == 1 && s.Below > 0 {
					n.bind(o, min(e.strength(r), e.strength(s), maxTie2)*fade(n, o))
				}
			}
		}
	}
	among := map[*node]bool{}
	for _, m := range above {
		among[m] = true
	}
	for _, m := range above {
		for _, l := range m.links {
			if o := m.scope.nodes[l.to]; among[o] && m.ID < o.ID {
				z := min(e.strength(e.topology.Relate(m.anchors, n.anchors)), e.strength(e.topology.Relate(o.anchors, n.anchors)), maxTie2)
				m.bind(o, z*fade(m, o))
			}
		}
	}
}

// bind adds to the log-odds of a pair, once: two things that failed below are not twice the evidence.
func (n *node) bind(o *node, z float64) {
	for _, p := range [][2]*node{{n, o}, {o, n}} {
		for k := range p[0].links {
			if l := &p[0].links[k]; l.to == p[1].slot && !l.bound {
				l.base, l.z, l.bound = l.base+float32(z), l.z+float32(z), true
			}
		}
		p[0].scope.changed(p[0])
	}
}

// needsOf counts, for each of the alerts that may be the cause, which share of the others depends on what it is about, and whether it depends
// on what another is about itself. One of each pair that need each other is not said to be the lower one.
func (e *Engine) needsOf(signs []sign) (below []float64, above []bool) {
	below, above = make([]float64, len(signs)), make([]bool, len(signs))
	if e.topology == nil || len(signs) < 2 {
		return below, above
	}
	at := map[topology.ID][]int{}
	for i, s := range signs {
		for _, a := range s.anchors {
			at[a.ID] = append(at[a.ID], i)
		}
	}
	reaches := make([]map[int]bool, len(signs))
	for j, s := range signs {
		reaches[j] = map[int]bool{}
		e.topology.Below(s.anchors, func(id topology.ID, _ int) {
			for _, i := range at[id] {
				reaches[j][i] = true
			}
		})
	}
	for j, s := range signs {
		for i := range reaches[j] {
			if i != j && !reaches[i][j] && !sameThing(s.anchors, signs[i].anchors) {
				below[i]++
				above[j] = true
			}
		}
	}
	for i := range below {
		below[i] /= float64(len(signs) - 1)
	}
	return below, above
}

func sameThing(as, bs []topology.Anchor) bool {
	return slices.ContainsFunc(as, func(a topology.Anchor) bool {
		return slices.ContainsFunc(bs, func(b topology.Anchor) bool { return a.ID == b.ID })
	})
}

// needed says which part of the n others depends on what an alert is about.
func needed(share float64, n int) string {
	switch k := int(math.Round(share * float64(n))); k {
	case 0:
		return ""
	case 1:
		return "another depends on it; "
	default:
		return strconv.Itoa(k) + " others depend on it; "
	}
}
