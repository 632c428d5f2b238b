package triage

// KeepMembers sets how many alerts of one incident memory keeps, and Remembered is how many it has.
func (t *Triage) KeepMembers(n int) { t.keep = n }

func (t *Triage) Remembered() int { return t.stats.Alerts }
