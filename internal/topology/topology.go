// Package topology knows what depends on what: which service calls which, what a pod is part of and which node and
// volumes it needs. A Builder makes a Topology out of links that others found; alerts are looked up in it by the names
// that their labels carry, and two of them related.
//
// The package is pure: no clock, no I/O. It must not know where links come from (topology/discover does) nor what is
// made of them (correlate does). A Topology is bounded, and the same calls give the same one.
package topology

import (
	"slices"
	"strings"
)

// A Kind of thing that others depend on. Names are unique within a kind, a cluster and a namespace.
type Kind string

// The kinds. A workload, the service in front of it and a database are all a Service: alerts and meshes call one thing by
// the name of either, and in one namespace they are rarely two things.
const (
	Service Kind = "service"
	Node    Kind = "node"
	Pod     Kind = "pod"
	Volume  Kind = "volume"
)

// An Entity is one thing. An empty Cluster holds for all clusters; an empty Namespace for names that are known without one:
// those of nodes, and of services in a trace.
type Entity struct {
	Kind                     Kind
	Cluster, Namespace, Name string
}

// String is how people call it.
func (e Entity) String() string {
	if e.Namespace == "" {
		return e.Name
	}
	return e.Namespace + "/" + e.Name
}

// folded makes spellings of one name alike.
func (e Entity) folded() Entity {
	e.Cluster, e.Namespace, e.Name = fold(e.Cluster), fold(e.Namespace), fold(e.Name)
	return e
}

func fold(s string) string { return strings.ReplaceAll(strings.ToLower(s), "_", "-") }

// An ID is an entity of one Topology.
type ID int32

// A Topology is what a Builder built. It is immutable, and safe for concurrent use. The zero value knows nothing.
type Topology struct {
	entities []Entity // as they were first spelled
	ids      map[Entity]ID
	sole     map[Entity]ID // by name without namespace; absent when two namespaces have it
	calls    [][]ID        // what an entity needs by itself; sorted
	hosts    [][]ID        // the nodes and volumes that it needs by its pods; sorted
	owners   [][]ID        // of a pod
	users    []tally       // how many need it directly
	far      []tally       // and through one other, counted once for each way
	sizes    map[string]*tally
	links    int
}

// A tally counts pods and all others apart: a tenth of the pods run on a node that a third of the services needs.
type tally struct{ pods, others int32 }

func (n *tally) add(k Kind, by int32) {
	if k == Pod {
		n.pods = min(n.pods+by, 1<<30)
	} else {
		n.others = min(n.others+by, 1<<30)
	}
}

func (n tally) of(k Kind) int {
	if k == Pod {
		return int(n.pods)
	}
	return int(n.others)
}

func (n tally) total() int { return int(n.pods) + int(n.others) }

// Len is the number of entities, Links that of dependencies.
func (t *Topology) Len() int { return len(t.entities) }

// Links is the number of dependencies; those that a workload has by its pods are not counted.
func (t *Topology) Links() int { return t.links }

// Entity returns what an ID stands for.
func (t *Topology) Entity(id ID) Entity { return t.entities[id] }

// An Anchor is an entity that an alert is about. Whole is false for the owner of a pod that is known: the node that counts
// is the pod's, not those of its siblings.
type Anchor struct {
	ID    ID
	Whole bool
}

// Find appends what a name stands for, at most 12 entities: the thing itself, in its cluster and namespace or known for all of them, and
// the owners of a pod. Without a namespace a name must be the only one of its cluster. The name of a node may have a port.
func (t *Topology) Find(dst []Anchor, kind Kind, cluster, namespace, name string) []Anchor {
	if t == nil || len(t.entities) == 0 || name == "" {
		return dst
	}
	if kind == Node {
		name, namespace = hostOf(name), ""
	}
	begin := len(dst)
	dst = t.find(dst, Entity{kind, cluster, namespace, name}.folded(), true)
	if kind != Pod {
		return dst
	}
	for _, a := range dst[begin:] {
		for _, o := range t.owners[a.ID] {
			dst = t.find(dst, t.entities[o].folded(), false)
		}
	}
	return dst[:min(len(dst), begin+12)]
}

func (t *Topology) find(dst []Anchor, e Entity, whole bool) []Anchor {
	add := func(id ID, ok bool) {
		if !ok || slices.ContainsFunc(dst, func(a Anchor) bool { return a.ID == id }) {
			return
		}
		dst = append(dst, Anchor{id, whole})
		if is := t.entities[id].folded(); is.Name != e.Name { // an alias: what is known by the name itself counts too
			is.Cluster = e.Cluster
			dst = t.find(dst, is, whole)
		}
	}
	for _, c := range alternatives(e.Cluster) {
		for _, ns := range alternatives(e.Namespace) {
			id, ok := t.ids[Entity{e.Kind, c, ns, e.Name}]
			add(id, ok)
		}
		if e.Namespace == "" {
			id, ok := t.sole[Entity{Kind: e.Kind, Cluster: c, Name: e.Name}]
			add(id, ok)
		}
	}
	return dst
}

func alternatives(s string) []string {
	if s == "" {
		return []string{""}
	}
	return []string{s, ""}
}

// hostOf cuts a port.
func hostOf(v string) string {
	if i := strings.LastIndexByte(v, ':'); i > 0 && strings.Trim(v[i+1:], "0123456789") == "" && (v[i-1] == ']' || strings.Count(v, ":") == 1) {
		v = v[:i]
	}
	return strings.Trim(v, "[]")
}

// needs are what an anchor depends on directly: the nodes that a workload runs on only when it is whole.
func (t *Topology) needs(a Anchor) (calls, hosts []ID) {
	if a.Whole {
		return t.calls[a.ID], t.hosts[a.ID]
	}
	return t.calls[a.ID], nil
}

func (t *Topology) needsDirectly(a Anchor, b ID) bool {
	calls, hosts := t.needs(a)
	return holds(calls, b) || holds(hosts, b)
}

func holds(sorted []ID, id ID) bool {
	_, ok := slices.BinarySearch(sorted, id)
	return ok
}

// Below calls f with what anchors depend on, directly (1 hop) and through one other (2). An entity may come more than once.
// It follows at most maxBelow dependencies.
func (t *Topology) Below(as []Anchor, f func(id ID, hops int)) {
	n := 0
	for _, a := range as {
		calls, hosts := t.needs(a)
		for _, first := range [][]ID{calls, hosts} {
			for _, x := range first {
				f(x, 1)
				for _, second := range [][]ID{t.calls[x], t.hosts[x]} {
					for _, y := range second {
						if n++; n > maxBelow {
							return
						}
						f(y, 2)
					}
				}
			}
		}
	}
}

// maxBelow bounds Below: a gateway that calls all services, which call a dozen each.
const maxBelow = 4096
