package topology

import (
	"cmp"
	"slices"
)

// Limits bound a Topology. The zero value means the defaults.
type Limits struct {
	// Entities; 0 means 200,000: a site of 100,000 pods. Full, it is some 100 MB.
	Entities int
	// Links; 0 means 500,000.
	Links int
	// Out bounds what one entity depends on; 0 means 256.
	Out int
}

// maxHosts bounds the nodes, and the volumes, that a workload is said to need by its pods. With more
// of them it does not fail with one.
const maxHosts = 3

// A Builder collects links. The zero value is not usable; it is not safe for concurrent use.
type Builder struct {
	limits   Limits
	entities []Entity
	ids      map[Entity]ID
	links    map[[2]ID]struct{}
	owners   map[[2]ID]struct{} // pod, owner
	aliases  map[Entity]Entity
	out      map[ID]int
	dropped  int
}

// NewBuilder returns an empty Builder.
func NewBuilder(l Limits) *Builder {
	l.Entities, l.Links, l.Out = cmp.Or(l.Entities, 200_000), cmp.Or(l.Links, 500_000), cmp.Or(l.Out, 256)
	return &Builder{
		limits: l, ids: map[Entity]ID{}, links: map[[2]ID]struct{}{}, owners: map[[2]ID]struct{}{}, aliases: map[Entity]Entity{}, out: map[ID]int{},
	}
}

// Dropped is how many links did not fit the limits.
func (b *Builder) Dropped() int { return b.dropped }

// maxName bounds a name: that of a host has 253 bytes at most.
const maxName = 300

func (b *Builder) id(e Entity) (ID, bool) {
	if e.Name == "" || len(e.Name) > maxName || len(e.Namespace) > maxName || len(e.Cluster) > maxName {
		return 0, false
	}
	k := e.folded()
	id, ok := b.ids[k]
	if !ok {
		if len(b.entities) >= b.limits.Entities {
			return 0, false
		}
		id = ID(len(b.entities))
		b.entities = append(b.entities, e)
		b.ids[k] = id
	}
	return id, true
}

func (b *Builder) pair(from, to Entity) (p [2]ID, ok bool) {
	i, ok1 := b.id(from)
	j, ok2 := b.id(to)
	if !ok1 || !ok2 {
		b.dropped++
	}
	return [2]ID{i, j}, ok1 && ok2 && i != j
}

// Depends says that from needs to: that it calls it, runs on it or stores there. What depends on itself is left out.
func (b *Builder) Depends(from, to Entity) {
	p, ok := b.pair(from, to)
	if _, known := b.links[p]; !ok || known {
		return
	}
	if len(b.links) >= b.limits.Links || b.out[p[0]] >= b.limits.Out {
		b.dropped++
		return
	}
	b.out[p[0]]++
	b.links[p] = struct{}{}
}

// PartOf says that a pod is one of owner.
func (b *Builder) PartOf(pod, owner Entity) {
	p, ok := b.pair(pod, owner)
	if !ok {
		return
	}
	if len(b.owners) >= b.limits.Links {
		b.dropped++
		return
	}
	b.owners[p] = struct{}{}
}

// Alias says that an entity is also known by another name in its cluster, whatever the namespace of the alert: a node by its
// address, a database by its host. A name that an entity of this kind has itself is not taken from it; of two aliases the
// later one counts.
func (b *Builder) Alias(name string, of Entity) {
	if _, ok := b.id(of); !ok || name == "" || len(name) > maxName || len(b.aliases) >= b.limits.Entities {
		b.dropped++
		return
	}
	also := of
	also.Namespace, also.Name = "", name
	b.aliases[also.folded()] = of
}

// Build returns what was collected. The Builder must not be used afterwards.
func (b *Builder) Build() *Topology {
	n := len(b.entities)
	t := &Topology{
		entities: b.entities, ids: b.ids, sole: map[Entity]ID{}, sizes: map[string]*tally{},
		calls: make([][]ID, n), hosts: make([][]ID, n), owners: make([][]ID, n), users: make([]tally, n), far: make([]tally, n),
	}
	same := b.unify(t)
	for p := range b.links {
		from, to := same(p[0]), same(p[1])
		if from != to {
			t.calls[from] = append(t.calls[from], to)
		}
	}
	for p := range b.owners {
		t.owners[p[0]] = append(t.owners[p[0]], same(p[1]))
	}
	for also, of := range b.aliases {
		if _, taken := t.ids[also]; !taken {
			t.ids[also] = t.ids[of.folded()]
		}
	}
	t.spread()
	for id := range n {
		t.calls[id], t.owners[id] = tidy(t.calls[id]), tidy(t.owners[id])
		t.links += len(t.calls[id])
	}
	t.host()
	t.count()
	return t
}

// unify finds the names that only one namespace of a cluster has; a service that a trace knows without its namespace is that one.
func (b *Builder) unify(t *Topology) (same func(ID) ID) {
	twice := map[Entity]bool{}
	for e, id := range b.ids {
		if e.Namespace == "" {
			continue
		}
		k := e
		k.Namespace = ""
		if _, ok := t.sole[k]; ok {
			twice[k] = true
		}
		t.sole[k] = id
	}
	for k := range twice {
		delete(t.sole, k)
	}
	return func(id ID) ID {
		e := t.entities[id].folded()
		if e.Kind != Service || e.Namespace != "" {
			return id
		}
		if one, ok := t.sole[e]; ok {
			t.ids[e] = one
			return one
		}
		return id
	}
}

// spread gives what is said of a thing in all clusters to that thing in each of them, and the other way round: what it needs in
// one cluster can only be met by alerts of that one.
func (t *Topology) spread() {
	general := map[ID][]ID{}
	for id, e := range t.entities {
		k := e.folded()
		k.Cluster = ""
		if all, ok := t.ids[k]; ok && all != ID(id) {
			general[all] = append(general[all], ID(id))
		}
	}
	for all, each := range general {
		own := t.calls[all]
		for _, id := range each {
			t.calls[all] = append(slices.Clip(t.calls[all]), t.calls[id]...)
			t.calls[id] = append(t.calls[id], own...)
		}
	}
}

func tidy(ids []ID) []ID {
	slices.Sort(ids)
	return slices.Compact(ids)
}

// host makes workloads run on the nodes, and store in the volumes, of their pods.
func (t *Topology) host() {
	for pod, owners := range t.owners {
		for _, o := range owners {
			for _, need := range t.calls[pod] {
				if k := t.entities[need].Kind; k == Node || k == Volume {
					t.hosts[o] = append(t.hosts[o], need)
				}
			}
		}
	}
	for id := range t.hosts {
		all := tidy(t.hosts[id])
		of := map[Kind]int{}
		for _, x := range all {
			of[t.entities[x].Kind]++
		}
		t.hosts[id] = slices.DeleteFunc(all, func(x ID) bool { return of[t.entities[x].Kind] > maxHosts })
	}
}

// count finds how much depends on each, and how large each cluster is.
func (t *Topology) count() {
	for id, e := range t.entities {
		c := fold(e.Cluster)
		if t.sizes[c] == nil {
			t.sizes[c] = &tally{}
		}
		t.sizes[c].add(e.Kind, 1)
		for _, needs := range [][]ID{t.calls[id], t.hosts[id]} {
			for _, x := range needs {
				t.users[x].add(e.Kind, 1)
			}
		}
	}
	for id := range t.entities {
		for _, needs := range [][]ID{t.calls[id], t.hosts[id]} {
			for _, x := range needs {
				t.far[x].add(Pod, t.users[id].pods)
				t.far[x].add(Service, t.users[id].others)
			}
		}
	}
}
