package topology

// A Relation is how two alerts hang together.
type Relation struct {
	// Hops is 0 when they do not, 1 when one needs the other, 2 when that goes through Via, or both need Via.
	Hops int
	// Below is 1 when the second is what the first needs, -1 when the first is what the second needs, and 0 when each needs
	// the other, or both need Via.
	Below int
	// From needs To. With Below 0 and two hops, both need Via.
	From, Via, To ID
	// Users is how many of the kind of From (pods, or all but pods) depend in this way on what is below, Size how many of that
	// kind there are in its cluster.
	Users, Size int
}

// Relate tells how alerts about as and bs hang together: by the shortest way, one that has a direction first.
func (t *Topology) Relate(as, bs []Anchor) Relation {
	var best Relation
	if t == nil || len(as) == 0 || len(bs) == 0 {
		return best
	}
	for _, a := range as {
		for _, b := range bs {
			if a.ID == b.ID {
				continue
			}
			if r := t.relate(a, b); r.better(best) {
				best = r
			}
		}
	}
	return best
}

func (r Relation) better(o Relation) bool {
	switch {
	case r.Hops == 0 || o.Hops == 0:
		return r.Hops > o.Hops
	case r.Hops != o.Hops:
		return r.Hops < o.Hops
	case (r.Below == 0) != (o.Below == 0):
		return r.Below != 0
	default:
		return r.Users < o.Users
	}
}

func (t *Topology) relate(a, b Anchor) Relation {
	down, up := t.needsDirectly(a, b.ID), t.needsDirectly(b, a.ID)
	switch {
	case down && up:
		r := t.way(1, 0, a.ID, a.ID, b.ID)
		r.Users = max(t.users[a.ID].of(Service), t.users[b.ID].of(Service))
		return r
	case down:
		return t.way(1, 1, a.ID, a.ID, b.ID)
	case up:
		return t.way(1, -1, b.ID, b.ID, a.ID)
	}
	if x, ok := t.through(a, b.ID); ok {
		return t.way(2, 1, a.ID, x, b.ID)
	}
	if x, ok := t.through(b, a.ID); ok {
		return t.way(2, -1, b.ID, x, a.ID)
	}
	if x, ok := t.common(a, b); ok {
		r := t.way(2, 0, a.ID, x, b.ID)
		r.Users = max(t.users[x].of(t.entities[a.ID].Kind), t.users[x].of(t.entities[b.ID].Kind))
		return r
	}
	return Relation{}
}

func (t *Topology) way(hops, below int, from, via, to ID) Relation {
	k := t.entities[from].Kind
	users := t.users[to].of(k)
	if hops == 2 {
		users += t.far[to].of(k)
	}
	c := fold(t.entities[from].Cluster)
	size := t.sizes[c].of(k)
	if none := t.sizes[""]; c != "" && none != nil {
		size += none.of(k)
	}
	return Relation{Hops: hops, Below: below, From: from, Via: via, To: to, Users: users, Size: size}
}

// through finds what a needs and that needs b: the one that fewest others need.
func (t *Topology) through(a Anchor, b ID) (best ID, ok bool) {
	calls, hosts := t.needs(a)
	for _, first := range [][]ID{calls, hosts} {
		for _, x := range first {
			if (holds(t.calls[x], b) || holds(t.hosts[x], b)) && (!ok || t.users[x].total() < t.users[best].total()) {
				best, ok = x, true
			}
		}
	}
	return best, ok
}

// common finds what both need: the one that fewest others need.
func (t *Topology) common(a, b Anchor) (best ID, ok bool) {
	calls, hosts := t.needs(a)
	for _, first := range [][]ID{calls, hosts} {
		for _, x := range first {
			if t.needsDirectly(b, x) && (!ok || t.users[x].total() < t.users[best].total()) {
				best, ok = x, true
			}
		}
	}
	return best, ok
}

// Words says a relation to people; nothing when there is none.
func (t *Topology) Words(r Relation) string {
	if r.Hops == 0 {
		return ""
	}
	from, to := t.entities[r.From], t.entities[r.To]
	switch {
	case r.Hops == 1 && r.Below == 0:
		return from.String() + " and " + to.String() + " depend on each other"
	case r.Hops == 1:
		return from.String() + verb(to) + to.String()
	case r.Below == 0:
		via := t.entities[r.Via]
		return "both " + from.String() + " and " + to.String() + plural(via) + via.String()
	default:
		return from.String() + " depends on " + to.String() + " through " + t.entities[r.Via].String()
	}
}

func verb(to Entity) string {
	switch to.Kind {
	case Node:
		return " runs on "
	case Volume:
		return " stores in "
	case Service, Pod:
	}
	return " depends on "
}

func plural(to Entity) string {
	switch to.Kind {
	case Node:
		return " run on "
	case Volume:
		return " store in "
	case Service, Pod:
	}
	return " depend on "
}
