package analyze

import (
	"math"
	"slices"
	"strings"
)

const (
	// minSiblings is how many series must be alike before one can be unlike them.
	minSiblings = 4
	// newestShare is the part of the time, at its end, that is compared.
	newestShare = 0.25
)

// outliers finds series unlike their siblings: those of the same metric with the same
// names of labels. Each is measured by its distance from the median of all at the same
// times, in their spread; the median of that over the newest quarter counts.
func outliers(all []*prepared, l limits) map[int]hit {
	groups := map[string][]int{}
	for i, p := range all {
		if len(p.v) > 0 {
			groups[kin(p.labels)] = append(groups[kin(p.labels)], i)
		}
	}
	out := map[int]hit{}
	for _, members := range groups {
		if len(members) >= minSiblings {
			among(all, members, l, out)
		}
	}
	return out
}

// kin returns what siblings have in common.
func kin(labels map[string]string) string {
	names := make([]string, 0, len(labels))
	for name := range labels {
		names = append(names, name)
	}
	slices.Sort(names)
	return labels["__name__"] + "\xff" + strings.Join(names, "\xff")
}

func among(all []*prepared, members []int, l limits, out map[int]hit) {
	var step, newest, oldest int64 = 1, math.MinInt64, math.MaxInt64
	for _, i := range members {
		p := all[i]
		step = max(step, p.step)
		newest, oldest = max(newest, p.t[len(p.t)-1]), min(oldest, p.t[0])
	}
	slot := func(t int64) int64 { return (t + step/2) / step }
	from := slot(newest - int64(newestShare*float64(newest-oldest)))
	at := map[int64][]float64{}
	for _, i := range members {
		for k, t := range all[i].t {
			at[slot(t)] = append(at[slot(t)], all[i].v[k])
		}
	}
	type centre struct{ mid, spread float64 }
	centres := map[int64]centre{}
	for s, values := range at {
		if len(values) < minSiblings {
			continue
		}
		mid := median(values)
		// A hundredth of the level: siblings that agree to the last digit are a
		// coincidence, not a promise.
		centres[s] = centre{mid, max(spreadFrom(values, mid), 0.01*math.Abs(mid))}
	}
	for _, i := range members {
		p := all[i]
		var far []float64
		var h hit
		for k, t := range p.t {
			c, ok := centres[slot(t)]
			if !ok {
				continue
			}
			d := p.v[k] - c.mid
			s := math.Copysign(l.score(d, c.spread, c.mid), d)
			if slot(t) >= from {
				far = append(far, s)
			}
			if math.Abs(s) <= 0.7 {
				h.since = 0
			} else if h.since == 0 {
				h.since = t
			}
			h.observed, h.expected = p.v[k], c.mid
		}
		if h.score = math.Abs(median(far)); len(far) >= 3 && h.score > 1 && h.since != 0 {
			h.of = Outlier
			out[i] = h
		}
	}
}
