package triage

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/portent-dev/portent/internal/alert"
	"github.com/portent-dev/portent/internal/audit"
	"github.com/portent-dev/portent/internal/incident"
	"github.com/portent-dev/portent/internal/noise"
)

// A batch is the change that is being made.
type batch struct {
	change   incident.Change
	recaller Recaller
	err      error    // the first of the recaller
	touched  []*group // in the order they were touched first
	written  []*known
	outcomes map[string]int
	events   map[string]int // of incidents
	rules    map[string]int
	hidden   int
	waiting  []*known                     // for an incident
	noise    map[noise.Count]*noise.Count // by what names it
	settled  time.Time
}

// maxAhead is how far before the wall clock a time in an alert may be and still
// move the time of correlation: a sender whose clock is years ahead would else
// end every alert there is.
const maxAhead = time.Hour

// A decoded notification.
type decoded struct {
	incident.Notification
	alert.Payload
}

// span bounds the time that one batch goes through when it catches up, so that
// what depends on the order of time, such as a hold, comes out as if each
// notification had been judged when it came.
const span = 5 * time.Minute

// decode reads the bodies, as far as the span of a batch goes. What cannot be
// read goes aside.
func (t *Triage) decode(ns []incident.Notification, aside map[int64]string) []decoded {
	out := make([]decoded, 0, len(ns))
	var first time.Time
	for _, n := range ns {
		if n.Source != incident.SourceAlertmanager {
			aside[n.ID] = fmt.Sprintf("unknown source %q", n.Source)
			continue
		}
		p, err := alert.Decode(n.Body, t.limits)
		if err != nil {
			aside[n.ID] = err.Error()
			continue
		}
		d := decoded{n, p}
		at := d.at()
		switch {
		case first.IsZero():
			first = at
		case at.Sub(first) > span:
			return out
		}
		out = append(out, d)
	}
	return out
}

// at is the time that a notification tells: that of the replay header, or the
// greatest in its alerts that a clock may have shown.
func (d decoded) at() (at time.Time) {
	if !d.Clock.IsZero() {
		return d.Clock
	}
	most := d.ReceivedAt.Add(maxAhead)
	for _, a := range d.Alerts {
		for _, s := range []time.Time{a.StartsAt, a.EndsAt} {
			if s.Before(most) && s.After(at) {
				at = s
			}
		}
	}
	return at
}

// A Recaller is asked what a store knows beyond memory.
type Recaller interface {
	// Known returns the latest firings of each fingerprint.
	Known(fingerprints []string) ([]incident.Alert, error)
	// Incident returns an incident with its alerts.
	Incident(id string) (incident.Incident, error)
}

// Process judges notifications in their order. When it returns an error, which
// is one of the Recaller, the state is void.
func (t *Triage) Process(ns []incident.Notification, r Recaller) (incident.Change, error) {
	aside := map[int64]string{}
	ds := t.decode(ns, aside)
	recalled, err := t.recall(ds, r)
	if err != nil {
		return incident.Change{}, err
	}
	t.begin()
	t.batch.recaller = r
	t.batch.change.Aside = aside
	for _, d := range ds {
		t.batch.change.Done = append(t.batch.change.Done, d.ID)
		t.observe(d)
	}
	t.regroup()
	t.settle(t.now)
	if t.batch.err != nil {
		return incident.Change{}, t.batch.err
	}
	c := t.finish()
	// Memory keeps what belongs to an incident in memory, nothing else.
	for _, k := range append(recalled, t.batch.written...) {
		if k.group == nil && !k.evidence {
			t.forget(k)
		}
	}
	t.release()
	return c, nil
}

// recall adds to memory what a store knows of the alerts that memory does not.
func (t *Triage) recall(ds []decoded, r Recaller) ([]*known, error) {
	var unknown []string
	seen := map[string]bool{}
	for _, d := range ds {
		for _, a := range d.Alerts {
			if !seen[a.Fingerprint] && t.find(a.Fingerprint, a.StartsAt) < 0 {
				seen[a.Fingerprint] = true
				unknown = append(unknown, a.Fingerprint)
			}
		}
	}
	if len(unknown) == 0 {
		return nil, nil
	}
	as, err := r.Known(unknown)
	if err != nil {
		return nil, err
	}
	var out []*known
	for _, a := range as {
		if t.find(a.Fingerprint, a.StartsAt) < 0 {
			k := &known{Alert: a, storedAt: a.UpdatedAt, handle: handleOf(a.Fingerprint, a.StartsAt)}
			t.remember(k)
			out = append(out, k)
		}
	}
	return out, nil
}

// find returns where a firing stands among those of its fingerprint, or -1.
func (t *Triage) find(fingerprint string, start time.Time) int {
	return slices.IndexFunc(t.alerts[fingerprint], func(k *known) bool { return k.StartsAt.Equal(start) })
}

func (t *Triage) begin() {
	t.batch = &batch{outcomes: map[string]int{}, events: map[string]int{}, rules: map[string]int{}, noise: map[noise.Count]*noise.Count{}}
}

// observe judges the alerts of one notification.
func (t *Triage) observe(d decoded) {
	t.advance(d.at())
	if t.now.IsZero() {
		t.now = d.ReceivedAt // nothing but times in the far future was ever seen
	}
	t.heard(d.Alerts)
	groups := map[*group]bool{}
	for _, a := range d.Alerts {
		k := t.judge(d, a)
		if k.group != nil {
			groups[k.group] = true
		}
	}
	if d.TruncatedAlerts > 0 {
		t.batch.hidden += d.TruncatedAlerts
		for g := range groups {
			if g.truncated != d.TruncatedAlerts {
				g.truncated = d.TruncatedAlerts
				t.event(g, incident.EventNote, fmt.Sprintf("Alertmanager left out %d alerts of the group: raise max_alerts of its webhook_config to see them", d.TruncatedAlerts))
			}
		}
	}
}

// judge takes in one alert of a notification and returns what it is known as.
func (t *Triage) judge(d decoded, a alert.Alert) *known {
	ks := t.alerts[a.Fingerprint]
	i := t.find(a.Fingerprint, a.StartsAt)
	if a.Status == alert.Resolved {
		return t.ended(d, a, i)
	}
	if i >= 0 && ks[i].Status == incident.AlertFiring {
		t.hear(ks[i], d, a)
		if t.outlived(ks[i]) {
			return ks[i]
		}
		t.count(outcomeRepeated)
		return ks[i]
	}
	over := endedAfter(ks, a.StartsAt)
	late := over != nil && !t.believed(over)
	switch {
	case i >= 0 && late:
		t.count(outcomeLate)
		return ks[i]
	case i >= 0: // it had expired, or the end that was told was wrong
		t.count(outcomeRefired)
		return t.refire(ks[i], d, a)
	case over != nil:
		// Another start of the firing that is over.
		k := t.newKnown(d, a)
		if late {
			t.count(outcomeLate)
			k.Status, k.EndsAt, k.ClaimedAt = incident.AlertResolved, over.EndsAt, over.ClaimedAt
		} else {
			t.count(outcomeRefired)
		}
		t.putWith(k, over)
		return k
	default:
		k := t.newKnown(d, a)
		t.put(k)
		return k
	}
}

// outlived judges an alert anew that fires on after the maintenance which kept it out.
func (t *Triage) outlived(k *known) bool {
	if k.group != nil || k.IncidentID != "" || !strings.Contains(k.Why, ": "+inMaintenance) {
		return false
	}
	if _, ok := t.policy.keepsOut(k.Labels, t.now); ok {
		return false
	}
	t.forget(k)
	t.put(k)
	return true
}

// endedAfter returns the firing that was told to be over last, if that was not
// before start: what starts then is not new.
func endedAfter(ks []*known, start time.Time) (over *known) {
	for _, k := range ks {
		if k.Status == incident.AlertResolved && !k.Expired && !start.After(k.EndsAt) && (over == nil || k.EndsAt.After(over.EndsAt)) {
			over = k
		}
	}
	return over
}

// believed reports whether a firing notice about an alert that is over shall be
// believed. Mostly it is a copy that was made before the end: by the peer of the
// Alertmanager that told it, or a retry, which may come hours later. But the end
// may have been wrong: of two Prometheus replicas one lost the target. Then the
// notice comes again and again. So two of them are believed, when both came later
// than a copy usually does, and as far apart.
func (t *Triage) believed(over *known) bool {
	window := time.Duration(t.policy.LateWindow)
	if t.now.Sub(over.EndsAt) <= window || t.now.Sub(over.UpdatedAt) <= window {
		return false
	}
	if over.ClaimedAt.IsZero() {
		over.ClaimedAt = t.now
		t.changed(over)
		return false
	}
	return t.now.Sub(over.ClaimedAt) > window
}

func (t *Triage) newKnown(d decoded, a alert.Alert) *known {
	return &known{handle: handleOf(a.Fingerprint, a.StartsAt), Alert: incident.Alert{
		Fingerprint: a.Fingerprint, StartsAt: a.StartsAt, Status: incident.AlertFiring, Labels: a.Labels, Annotations: a.Annotations,
		GeneratorURL: a.GeneratorURL, ExternalURL: d.ExternalURL, GroupKey: d.GroupKey, Receiver: d.Receiver,
		ReceivedAt: t.now, UpdatedAt: t.now,
	}}
}

// hear takes what a notice says anew of an alert. Most notices say nothing but that it
// fires on: that is stored when what is stored is a hundredth of the time to live old,
// as exactly as is looked for what expired. Which of a pair of Alertmanagers told it is
// no news.
func (t *Triage) hear(k *known, d decoded, a alert.Alert) {
	k.UpdatedAt, k.ExternalURL = t.now, d.ExternalURL
	news := k.GeneratorURL != a.GeneratorURL || k.GroupKey != d.GroupKey || k.Receiver != d.Receiver || !k.ClaimedAt.IsZero()
	if !maps.Equal(k.Annotations, a.Annotations) {
		k.Annotations, news = a.Annotations, true
	}
	k.GeneratorURL, k.GroupKey, k.Receiver, k.ClaimedAt = a.GeneratorURL, d.GroupKey, d.Receiver, time.Time{}
	if news || t.now.Sub(k.storedAt) > time.Duration(t.policy.AlertTTL)/100 {
		t.changed(k)
	}
}

// ended takes in a resolved notice. A fingerprint fires once at a time, so the
// end holds for each of its firings that began before, whatever start it names:
// two Prometheus replicas give one firing two starts.
func (t *Triage) ended(d decoded, a alert.Alert, exact int) *known {
	end := a.EndsAt
	if end.IsZero() {
		end = t.now
		if end.Before(a.StartsAt) {
			end = a.StartsAt
		}
	}
	var k *known
	ks := t.alerts[a.Fingerprint]
	if exact >= 0 {
		k = ks[exact]
	}
	news := false
	for _, o := range ks {
		told := o.Status == incident.AlertResolved && !o.Expired
		if o.StartsAt.After(end) || told && (o != k || !end.After(o.EndsAt)) {
			continue
		}
		t.back(o)
		t.hear(o, d, a)
		t.changed(o)
		o.Status, o.EndsAt, o.Expired, o.endUntold = incident.AlertResolved, end, false, true
		t.cor.End(o.handle, end.UnixMilli())
		news = true
		if o.group != nil {
			t.touch(o.group)
		}
	}
	if k != nil {
		if news {
			t.count(outcomeResolved)
		} else {
			t.count(outcomeRepeated)
		}
		return k
	}
	k = t.newKnown(d, a)
	k.Status, k.EndsAt = incident.AlertResolved, end
	t.count(outcomeResolved)
	t.put(k)
	return k
}

// refire makes an alert that counted as over fire again under the same start. It
// is the same firing, so it stays in its incident, however old that is.
func (t *Triage) refire(k *known, d decoded, a alert.Alert) *known {
	if k.IncidentID != "" {
		t.groupOf(k)
		k = t.alerts[k.Fingerprint][t.find(k.Fingerprint, k.StartsAt)] // the one in its group
	}
	t.hear(k, d, a)
	t.changed(k)
	k.Status, k.EndsAt, k.Expired, k.endUntold = incident.AlertFiring, time.Time{}, false, false
	t.cor.End(k.handle, 0)
	if k.group == nil {
		return k
	}
	g := k.group
	t.fires(g)
	return k
}

// groupOf returns the incident of an alert, from the store when memory has let
// it go, and nil when the alert was kept out.
func (t *Triage) groupOf(k *known) *group {
	if k.group != nil || k.IncidentID == "" {
		return k.group
	}
	if g, ok := t.incidents[k.IncidentID]; ok { // fetched for another alert, or it let go of this one
		t.back(k)
		return g
	}
	i, err := t.batch.recaller.Incident(k.IncidentID)
	if err != nil {
		t.batch.err = errors.Join(t.batch.err, err)
		return nil
	}
	for _, a := range i.Alerts {
		if n := t.find(a.Fingerprint, a.StartsAt); n >= 0 { // recalled; now as a member
			t.forget(t.alerts[a.Fingerprint][n])
		}
	}
	t.add(i)
	return t.incidents[i.ID]
}

// putWith puts a new alert into the incident of another start of the same
// firing.
func (t *Triage) putWith(k, over *known) {
	t.changed(k)
	k.handle = over.handle
	switch g := t.groupOf(over); {
	case g != nil:
		k.Why = "another start of an alert in this incident"
		t.enter(g, k)
	case slices.Contains(t.batch.waiting, over):
		t.await(k)
	default: // it was kept out
		t.put(k)
	}
}

// fires notes that an alert of a group began to fire, which opens one that was
// resolved. It is done at once, so that the next alert finds it open.
func (t *Triage) fires(g *group) {
	g.fired = true
	if g.Status == incident.StatusResolved {
		g.Status, g.EndedAt = incident.StatusOpen, time.Time{}
	}
	t.touch(g)
}

// leave takes k out of its incident, which keeps nothing of it.
func (t *Triage) leave(k *known) {
	g := k.group
	g.members = slices.DeleteFunc(g.members, func(m *known) bool { return m == k })
	if g.names[k.Name()]--; g.names[k.Name()] == 0 {
		delete(g.names, k.Name())
	}
	if k.joinUntold {
		g.untold--
	}
	t.forget(k)
	k.group, g.reshaped = nil, true
	t.touch(g)
}

// put takes in a new alert: kept out by a rule, or left to the correlator.
func (t *Triage) put(k *known) {
	t.changed(k)
	if rule, ok := t.policy.keepsOut(k.Labels, t.now); ok {
		t.count(outcomeSuppressed)
		t.batch.rules[rule.Name]++
		t.ruleOf(k.Labels, rule.Name).Alerts++
		k.IncidentID, k.Why = "", "kept out by rule "+rule.Name+": "+rule.Reason
		t.remember(k)
		if rule.Evidence {
			k.evidence = true
			t.loose = append(t.loose, k)
			t.cor.Add(t.correlated(k))
		}
		return
	}
	t.ruleOf(k.Labels, "").Alerts++
	t.cor.Add(t.correlated(k))
	t.await(k)
}

// takes reports whether an incident may take up an alert: when it is open, or
// ended lately and not longer than the reopen window before the alert began. One
// that a person dismissed takes up only more of what it had.
func (t *Triage) takes(g *group, k *known) bool {
	near := t.recent(g) && !k.StartsAt.After(g.EndedAt.Add(time.Duration(t.policy.ReopenWindow)))
	switch g.Status {
	case incident.StatusOpen:
		return true
	case incident.StatusResolved:
		return near
	case incident.StatusDismissed:
		return near && g.names[k.Name()] > 0 && t.severity(k).Rank() <= g.Severity.Rank()
	default:
		panic("BUG: incident " + g.ID + " has status " + string(g.Status))
	}
}

// recent reports whether an incident that is over may still be of interest. It
// goes by when we heard of the end: an alert that expired ended long before.
func (t *Triage) recent(g *group) bool {
	return t.now.Sub(g.UpdatedAt) <= t.policy.memory()
}

func (t *Triage) enter(g *group, k *known) {
	t.count(outcomeNew)
	k.fresh, k.joinUntold, k.endUntold = true, true, k.Status == incident.AlertResolved
	t.join(g, k)
	t.touch(g)
	if k.Status == incident.AlertFiring {
		t.fires(g)
	}
}

// open makes a new incident for its first alert.
func (t *Triage) open(k *known, p place) *group {
	before := k.IncidentID
	if before != "" { // it may have left that one before
		before += t.now.String()
	}
	id := newID(k.StartsAt, p.key, k.Fingerprint, before)
	g := &group{
		Incident: incident.Incident{
			ID: id, Key: p.key + " since=" + id, Status: incident.StatusOpen, Severity: t.severity(k),
			StartedAt: k.StartsAt, UpdatedAt: t.now, Labels: p.labels, ToldAt: t.now,
		},
		names: map[string]int{},
	}
	t.incidents[g.ID] = g
	t.batch.events[incident.EventOpened]++
	t.ruleOf(k.Labels, "").Incidents++
	return g
}

// touch marks a group as changed in this batch.
func (t *Triage) touch(g *group) {
	if !g.dirty {
		g.dirty = true
		t.batch.touched = append(t.batch.touched, g)
	}
}

// changed marks an alert as changed in this batch.
func (t *Triage) changed(k *known) {
	if !k.dirty {
		k.dirty = true
		t.batch.written = append(t.batch.written, k)
	}
}

// event adds a line to the timeline of a group.
func (t *Triage) event(g *group, kind, text string) {
	t.touch(g)
	t.batch.change.Events = append(t.batch.change.Events, incident.Event{IncidentID: g.ID, At: t.now, Kind: kind, Actor: "portent", Text: text})
}

// record adds an audit record about a group.
func (t *Triage) record(g *group, action string, detail map[string]any) {
	detail["policy"], detail["key"] = t.policy.version, g.Key
	b, err := json.Marshal(detail)
	if err != nil {
		panic("BUG: audit detail cannot be encoded: " + err.Error())
	}
	t.batch.change.Records = append(t.batch.change.Records, audit.Entry{At: t.now, Actor: actor, Action: action, Subject: g.ID, Detail: b})
}
