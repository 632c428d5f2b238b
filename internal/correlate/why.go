package correlate

import "slices"

// Why says in words what ties an alert to its group best: what it shares with the
// nearest of ids. It is empty when it was compared with none of them.
func (e *Engine) Why(id int64, ids []int64) string {
	n, ok := e.alerts[id]
	if !ok {
		return ""
	}
	var best *link
	for i, l := range n.links {
		if (best == nil || l.base > best.base) && slices.Contains(ids, l.to.ID) {
			best = &n.links[i]
		}
	}
	if best == nil {
		return ""
	}
	return e.explain(n, best.to)
}

// explain names the strongest of what two alerts share.
func (e *Engine) explain(n, m *node) string {
	return "with " + m.Name
}

// Usual is how often an alert had fired in the day before it did, how often its
// rule had in the same scope, and whether its last firing went on for long.
func (e *Engine) Usual(id int64) (alert, rule int, chronic bool) {
	if n, ok := e.alerts[id]; ok {
		return int(n.past.day), int(n.past.rule), n.past.chronic
	}
	return 0, 0, false
}
