package group

import (
	"cmp"
	"slices"
)

// share adds one member's share to the result, and keeps the largest.
func (g *state) share(m *member, part, deviation, score float64) {
	if !(part > 0) {
		return
	}
	all := append(g.result.Shares, Share{Labels: m.labels, Part: part, Deviation: deviation, Score: score})
	slices.SortStableFunc(all, func(a, b Share) int { return cmp.Compare(b.Part, a.Part) })
	g.result.Shares = all[:min(len(all), MaxShares)]
}
