package correlate

import (
	"fmt"
	"slices"
	"strings"
)

// Why says in words what ties an alert to its group best: what it shares with the
// nearest of ids, of all of its group when ids is nil. It is empty when it was compared with
// none of them.
func (e *Engine) Why(id int64, ids []int64) string {
	n, ok := e.alerts[id]
	if !ok {
		return ""
	}
	var best *link
	for i, l := range n.links {
		if best != nil && l.base <= best.base {
			continue
		}
		o := n.scope.nodes[l.to]
		if ids == nil && o.group == n.group || ids != nil && slices.Contains(ids, o.ID) {
			best = &n.links[i]
		}
	}
	if best == nil {
		return ""
	}
	return e.explain(n, n.scope.nodes[best.to])
}

// A Past is how usual an alert was when it began to fire.
type Past struct {
	// Alert is how often it, and Rule how often its rule in its scope, had fired in
	// the day before.
	Alert, Rule int
	// Chronic: its last firing went on for long.
	Chronic bool
}

// Past returns that of an alert that may still change its group, zero for others.
func (e *Engine) Past(id int64) Past {
	n, ok := e.alerts[id]
	if !ok {
		return Past{}
	}
	return Past{Alert: int(n.past.day), Rule: int(n.past.rule), Chronic: n.past.chronic}
}

// Belief is the log-odds that two alerts are signs of one fault, and not noise that
// happened to fall together, as far as their beginnings tell, and less in a busy scope. It reports whether both
// may still change their group and were compared.
func (e *Engine) Belief(a, b int64) (float64, bool) {
	n, m := e.alerts[a], e.alerts[b]
	if n == nil || m == nil {
		return 0, false
	}
	for _, l := range n.links {
		if l.to == m.slot && n.scope == m.scope {
			return float64(l.base) - min(n.busy(), m.busy()), true
		}
	}
	return 0, false
}

// Busy is how much less than usual it tells, in nats, that an alert fires beside another,
// since so much fires in its scope all day; 0 for one that may no longer change its group.
func (e *Engine) Busy(id int64) float64 {
	if n := e.alerts[id]; n != nil {
		return n.busy()
	}
	return 0
}

func (n *node) busy() float64 { return max(0, n.dense-ordinary) }

// explain names what ties two alerts, the strongest first, at most three things.
func (e *Engine) explain(n, m *node) string {
	var parts []string
	add := func(format string, args ...any) {
		if len(parts) < 3 {
			parts = append(parts, fmt.Sprintf(format, args...))
		}
	}
	if n.like == m.like {
		add("the same alert fired before")
	}
	if w := e.rarest(n, m.entities); w != "" {
		add("shares %s with %s", w, m.Name)
	} else if w := e.rarest(m, n.mentions); w != "" {
		add("its text names %s, which %s is about", w, m.Name)
	} else if w := e.rarest(n, m.mentions); w != "" {
		add("the text of %s names %s", m.Name, w)
	}
	if r := e.topology.Relate(n.anchors, m.anchors); e.strength(r) > 0 {
		add("%s (%s)", e.topology.Words(r), m.Name)
	}
	for _, k := range sortedKeys(n.Labels) {
		v := n.Labels[k]
		if strings.HasSuffix(k, "namespace") && has(m.namespaces, hash(fold(v))) {
			add("same namespace %s", v)
			break
		}
	}
	if n.name != m.name && e.memory.names[n.name] >= 3 && e.memory.lift(n, m) > 0.4 {
		add("usually fires together with %s", m.Name)
	}
	gap := abs(n.Start-m.Start) / 60_000
	switch {
	case gap < 1:
		add("began within a minute of %s", m.Name)
	default:
		add("began within %d min of %s", gap+1, m.Name)
	}
	return strings.Join(parts, "; ")
}

// rarest returns the rarest name among the label values of a that is in ws; the
// empty string when there is none, or everything in the scope has it.
func (e *Engine) rarest(a *node, ws []word) (name string) {
	top := 0.3
	for _, k := range sortedKeys(a.Labels) {
		if e.skip[k] || strings.HasSuffix(k, "namespace") {
			continue
		}
		for _, w := range names(a.Labels[k], true) {
			if h := hash(w); has(ws, h) && has(a.entities, h) {
				if r := e.memory.rarity(a.scope, h); r > top {
					top, name = r, w
				}
			}
		}
	}
	return name
}
