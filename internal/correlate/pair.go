package correlate

import "math"

// The features of a pair of alerts, in the order of the weights. The later of
// the two is the new one.
const (
	fBias = iota
	fSameKey
	fLatelyNew
	fLatelyOld
	fRelated
	fLift
	fLogGap
	fGap2
	fGap6
	fGap20
	fTop
	fSecond
	fMention
	fPrefix
	fNamespace
	fSameName
	fSameName3
	fDayNew
	fDayOld
	fRuleNew
	fRuleOld
	fInfoNew
	fInfoOld
	fCritNew
	fCritOld
	fNoNamespace
	fEnded
	fEndedLong
	fBusy
	fTopGap
	fLiftGap
	fMentionGap
	fShort
	fNothing
	// these are added when groups are made, since ends come later
	fBothEnded
	fEndGap
	fOneEnded
	fEndTogether
	nFeatures
)

type features [nFeatures]float64

func (f *features) logit() (z float64) {
	for i, v := range f {
		z += v * weights[i]
	}
	return z
}

// features of n, which is new, and m.
func (e *Engine) features(n, m *node) (f features) {
	mem := &e.memory
	gap := float64(abs(n.Start-m.Start)) / 60_000
	f[fBias] = 1
	f[fSameKey] = one(n.like == m.like)
	f[fLatelyNew], f[fLatelyOld] = math.Log1p(n.past.lately), math.Log1p(m.past.lately)
	f[fRelated] = one(mem.related(n, m))
	same := n.name == m.name
	if !same {
		f[fLift] = math.Log(mem.lift(n, m) + 0.02)
	}
	f[fLogGap] = math.Log1p(gap)
	f[fGap2], f[fGap6], f[fGap20] = one(gap < 2), one(gap < 6), one(gap > 20)
	f[fTop], f[fSecond] = mem.shared(n, m)
	f[fMention] = max(mem.mentions(n, m), mem.mentions(m, n))
	if f[fMention] == 0 && f[fTop] <= 0.5 {
		f[fPrefix] = one(prefixed(n.stems, m.stems))
	}
	for _, w := range n.namespaces {
		if has(m.namespaces, w) {
			f[fNamespace] = max(f[fNamespace], inverse(mem.alerts, mem.namespaces[n.scope.id^w]))
		}
	}
	f[fSameName], f[fSameName3] = one(same), one(same && gap < 3)
	f[fDayNew], f[fDayOld] = math.Log1p(n.past.day), math.Log1p(m.past.day)
	f[fRuleNew], f[fRuleOld] = math.Log1p(n.past.rule), math.Log1p(m.past.rule)
	f[fInfoNew], f[fInfoOld] = one(n.Severity == Info), one(m.Severity == Info)
	f[fCritNew], f[fCritOld] = one(n.Severity == Critical), one(m.Severity == Critical)
	f[fNoNamespace] = one(len(n.namespaces) == 0 || len(m.namespaces) == 0)
	if m.End != 0 && m.End < n.Start {
		f[fEnded], f[fEndedLong] = 1, math.Log1p(float64(m.End-m.Start)/60_000)
	}
	f[fBusy] = math.Log1p(float64(n.neighbor))
	near := math.Exp(-gap / 15)
	f[fTopGap] = f[fTop] * near
	f[fLiftGap] = f[fLift] * near
	f[fMentionGap] = f[fMention] * near
	f[fShort] = one(n.past.ruleMinutes > 0 && n.past.ruleMinutes < 12) + one(m.past.ruleMinutes > 0 && m.past.ruleMinutes < 12)
	f[fNothing] = one(f[fTop] < 0.3 && f[fMention] < 0.3 && f[fNamespace] < 0.2 && f[fPrefix] == 0 && f[fRelated] == 0)
	return f
}

// ends adds what the ends of two alerts tell by now. That one is over and the other is
// not yet tells nothing at first: Alertmanager tells the ends of two groups minutes
// apart.
func (f *features) ends(n, m *node, now int64) {
	switch {
	case n.End != 0 && m.End != 0:
		gap := float64(abs(n.End-m.End)) / 60_000
		f[fBothEnded], f[fEndGap], f[fEndTogether] = 1, math.Log1p(gap), one(gap < 3)
	case n.End != 0 || m.End != 0:
		f[fOneEnded] = one(now-max(n.End, m.End) >= endsTell)
	}
}

// logit is the log-odds of the pair n and m with what their ends tell, bounded so that no
// pair decides alone.
func (l link) logit(n, m *node) float32 {
	var f features
	f.ends(n, m, n.scope.now)
	var z float64
	for i := fBothEnded; i < nFeatures; i++ {
		z += f[i] * weights[i]
	}
	z = float64(l.base) + max(endFloor, z)
	return float32(max(-maxLogit, min(maxLogit, z)))
}

const (
	maxLogit = 5
	// endFloor is how much ends may speak against a pair at most. Symptoms of one
	// fault do end one after the other.
	endFloor = -2.3
	// endsTell is how long after the end of an alert it counts that another fires on: more
	// than the group_interval that Alertmanager has by default.
	endsTell = 8 * 60_000
)

// shared returns the rarities of the two rarest entities of both.
func (m *memory) shared(a, b *node) (top, second float64) {
	for _, w := range a.entities {
		if has(b.entities, w) {
			switch r := m.rarity(a.scope, w); {
			case r > top:
				top, second = r, top
			case r > second:
				second = r
			}
		}
	}
	return top, second
}

// mentions returns the rarity of the rarest entity of b that the text of a names.
func (m *memory) mentions(a, b *node) (top float64) {
	for _, w := range a.mentions {
		if has(b.entities, w) {
			top = max(top, m.rarity(a.scope, w))
		}
	}
	return top
}

// prefixed reports whether a name of one begins with a name of the other:
// orders-db and orders-db-metrics.
func prefixed(as, bs []string) bool {
	for _, a := range as {
		for _, b := range bs {
			if len(a) > len(b) && a[len(b)] == '-' && a[:len(b)] == b || len(b) > len(a) && b[len(a)] == '-' && b[:len(a)] == a {
				return true
			}
		}
	}
	return false
}

// has reports whether sorted ws has w.
func has(ws []word, w word) bool {
	for _, x := range ws {
		if x >= w {
			return x == w
		}
	}
	return false
}

func one(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
