package noise

import (
	"cmp"
	"slices"
	"time"
)

// What Alertmanager did, as its event recorder tells.
const (
	Created   = "created"   // it heard of an alert
	Silenced  = "silenced"  // a silence kept an alert from being told
	Inhibited = "inhibited" // another alert did
	Delivered = "delivered" // it told a group of alerts to a receiver, which need not be us
)

// Recorded is something that Alertmanager did on a day. It tells a silenced or inhibited alert again at every flush; here it is
// one for each day, alert and silence, known by Day, What, By and ID.
type Recorded struct {
	Day  time.Time // midnight UTC
	What string
	// By is the silence, the rule that inhibits, or the receiver and its integration.
	By string
	// ID is the fingerprint of the alert, with its start when it was created, or names the delivery.
	ID         string
	Rule, Team string
}

// RecordedCount says how many Recorded there were of a rule.
type RecordedCount struct {
	What, By, Rule, Team string
	N                    int64
}

// Before is what Alertmanager did before, and instead of, telling us.
type Before struct {
	Created, Silenced, Inhibited, Delivered int64
}

// BeforeRow is that of one rule, or of one silence, rule that inhibits or receiver.
type BeforeRow struct {
	Name string
	Before
}

// BeforeReport has the rows with the most first.
type BeforeReport struct {
	Total                                   Before
	Rules, Silences, Inhibitions, Receivers []BeforeRow
}

// SummarizeBefore adds up.
func SummarizeBefore(cs []RecordedCount) BeforeReport {
	var r BeforeReport
	by := map[string]map[string]*Before{}
	add := func(table, name string, c RecordedCount) {
		if by[table] == nil {
			by[table] = map[string]*Before{}
		}
		if by[table][name] == nil {
			by[table][name] = &Before{}
		}
		by[table][name].add(c)
	}
	for _, c := range cs {
		r.Total.add(c)
		if c.What != Delivered {
			add("rule", c.Rule, c)
		}
		if c.What != Created {
			add(c.What, c.By, c)
		}
	}
	r.Rules, r.Silences, r.Inhibitions, r.Receivers = beforeRows(by["rule"]), beforeRows(by[Silenced]), beforeRows(by[Inhibited]), beforeRows(by[Delivered])
	return r
}

func (b *Before) add(c RecordedCount) {
	switch c.What {
	case Created:
		b.Created += c.N
	case Silenced:
		b.Silenced += c.N
	case Inhibited:
		b.Inhibited += c.N
	case Delivered:
		b.Delivered += c.N
	}
}

func (b Before) sum() int64 { return b.Created + b.Silenced + b.Inhibited + b.Delivered }

func beforeRows(t map[string]*Before) []BeforeRow {
	out := make([]BeforeRow, 0, len(t))
	for name, b := range t {
		out = append(out, BeforeRow{name, *b})
	}
	slices.SortFunc(out, func(a, b BeforeRow) int { return cmp.Or(cmp.Compare(b.sum(), a.sum()), cmp.Compare(a.Name, b.Name)) })
	return out
}
