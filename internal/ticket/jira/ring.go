package jira

// maxKnown bounds the keys that are remembered: enough for every create whose
// record could still be on its way to the store.
const maxKnown = 256

// ring remembers the ids of the newest issues by draft key. The zero value is
// ready. It is not safe for concurrent use.
type ring struct {
	ids   map[string][]int64
	order []string
}

func (r *ring) put(key string, id int64) {
	if r.ids == nil {
		r.ids = map[string][]int64{}
	}
	if _, ok := r.ids[key]; !ok {
		r.order = append(r.order, key)
	}
	// One key has more than one id only after a create was repeated; Jira takes 50.
	if len(r.ids[key]) < 10 {
		r.ids[key] = append(r.ids[key], id)
	}
	for len(r.order) > maxKnown {
		delete(r.ids, r.order[0])
		r.order = r.order[1:]
	}
}

func (r *ring) get(key string) []int64 { return r.ids[key] }
