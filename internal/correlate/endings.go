package correlate

import (
	"container/heap"
	"slices"
)

// endings are alerts that ended, by when it begins to count that others fire on.
type endings struct {
	heap  []ending
	alive int // at the last look
}

// minEndings is how many there may be before those of alerts that are gone are looked for.
const minEndings = 1024

type ending struct {
	at int64
	n  *node
}

func (h *endings) Len() int           { return len(h.heap) }
func (h *endings) Less(a, b int) bool { return h.heap[a].at < h.heap[b].at }
func (h *endings) Swap(a, b int)      { h.heap[a], h.heap[b] = h.heap[b], h.heap[a] }
func (h *endings) Push(x any)         { h.heap = append(h.heap, x.(ending)) } //nolint:forcetypeassert // only endings are pushed
func (h *endings) Pop() any {
	last := len(h.heap) - 1
	x := h.heap[last]
	h.heap[last], h.heap = ending{}, h.heap[:last]
	return x
}

// add notes that an alert ended. There is one ending of each, so they are not many
// more than the live alerts.
func (h *endings) add(n *node) {
	if n.ending {
		return
	}
	n.ending = true
	if len(h.heap) >= 2*h.alive+minEndings { // ends in a far future, which some sender made up
		h.heap = slices.DeleteFunc(h.heap, func(e ending) bool { return e.n.gone() })
		heap.Init(h)
		h.alive = len(h.heap)
	}
	heap.Push(h, ending{n.End + endsTell, n})
}

// tell marks what has news by now: an alert ended, and for so long others went on.
func (h *endings) tell(now int64) {
	for len(h.heap) > 0 && h.heap[0].at <= now {
		e := heap.Pop(h).(ending) //nolint:forcetypeassert // only endings are pushed
		e.n.ending = false
		switch {
		case e.n.gone(), e.n.End == 0:
		case e.n.End+endsTell > now: // it ended again
			h.add(e.n)
		default:
			e.n.scope.dirty = true
			e.n.scope.changed(e.n)
		}
	}
}

// gone reports whether an alert can change its group no more.
func (n *node) gone() bool { return n.scope.nodes[n.slot] != n }
