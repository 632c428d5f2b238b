package correlate

import (
	"cmp"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/portent-dev/portent/internal/topology"
)

// A Cause is an alert that may be the sign nearest to what broke first.
type Cause struct {
	ID           int64
	Entity, Name string
	// Why in words.
	Why string
	// Share is the share of the belief in this name, of 1 for all of the group.
	Share float64
}

// maxCauses bounds the alerts that are considered: the earliest of a group.
const maxCauses = 100

// The features of an alert as a cause.
const (
	cEarly = iota
	cFirst
	cEarlyHeld
	cFirstHeld
	cCritical
	cInfo
	cMany
	cNamed
	cNamedAny
	cShared
	cRare
	cUsual
	cNode
	cStorage
	cWorkload
	cPod
	cNamespace
	cNothing
	cTold
	cBursts
	cLearned
	cTied
	nCauseFeatures
)

type causeFeatures [nCauseFeatures]float64

// Causes ranks the alert names of a group by how likely each is the cause: by
// order in time, corrected for how long each says its condition lasted before it
// fired, by how many others name what it is about, by what it is about, and by
// how rare it is. It returns at most five, the likeliest first.
//
// The shares are those of a softmax over the alerts, fitted like the weights of
// the pairs; see fit_test.go.
func (e *Engine) Causes(as []Alert) []Cause {
	out := e.rank(as)
	return out[:min(len(out), 5)]
}

func (e *Engine) rank(as []Alert) []Cause {
	if len(as) == 0 {
		return nil
	}
	as = slices.Clone(as)
	slices.SortFunc(as, func(a, b Alert) int { return cmp.Or(cmp.Compare(a.Start, b.Start), cmp.Compare(a.Key, b.Key)) })
	as = as[:min(len(as), maxCauses)]
	fs, signs := e.causeFeatures(as)
	below, above := e.needsOf(signs)
	ps := make([]float64, len(as))
	sum := 0.0
	for i, f := range fs {
		z := 0.0
		for k, v := range f {
			z += v * causeWeights[k]
		}
		z += causeBelow*below[i] + causeAbove*one(above[i])
		ps[i] = math.Exp(z)
		sum += ps[i]
	}
	share, best := map[string]float64{}, map[string]int{}
	entities, of := make([]string, len(as)), map[string]float64{}
	for i, a := range as {
		share[a.Name] += ps[i] / sum
		entities[i] = e.entity(a)
		of[entities[i]] += ps[i]
	}
	for i, a := range as { // of several of one name, that whose entity other names are about too
		if b, ok := best[a.Name]; !ok || of[entities[i]] > of[entities[b]] || of[entities[i]] == of[entities[b]] && ps[i] > ps[b] {
			best[a.Name] = i
		}
	}
	var out []Cause
	for name, i := range best {
		out = append(out, Cause{ID: as[i].ID, Entity: entities[i], Name: name, Share: share[name], Why: needed(below[i], len(as)-1) + fs[i].why()})
	}
	slices.SortFunc(out, func(a, b Cause) int { return cmp.Or(cmp.Compare(b.Share, a.Share), cmp.Compare(a.Name, b.Name)) })
	return out
}

func (e *Engine) causeFeatures(as []Alert) (fs []causeFeatures, signs []sign) {
	signs = make([]sign, len(as))
	names := map[string]float64{}
	held := make([]int64, len(as))
	first, firstHeld := as[0].Start, int64(math.MaxInt64)
	for i, a := range as {
		signs[i] = e.sign(a)
		names[a.Name]++
		held[i] = a.Start - signs[i].held
		firstHeld = min(firstHeld, held[i])
	}
	among := map[*node]bool{}
	for _, a := range as {
		if n := e.alerts[a.ID]; n != nil {
			among[n] = true
		}
	}
	fs = make([]causeFeatures, len(as))
	for i, a := range as {
		f := &fs[i]
		gap, heldGap := float64(a.Start-first)/60_000, float64(held[i]-firstHeld)/60_000
		f[cEarly], f[cFirst] = math.Log1p(gap), one(gap < 1)
		f[cEarlyHeld], f[cFirstHeld] = math.Log1p(heldGap), one(heldGap < 1)
		f[cCritical], f[cInfo] = one(a.Severity == Critical), one(a.Severity == Info)
		f[cMany] = math.Log(names[a.Name])
		f[cNamed], f[cShared] = namedBy(signs, i)
		f[cNamedAny] = one(f[cNamed] > 0)
		f[cRare] = math.Log1p(float64(e.memory.names[hash(a.Name)]))
		if h := e.memory.fired[signs[i].like]; h != nil {
			f[cUsual] = math.Log1p(float64(h.between(a.Start-24*hour, a.Start-60_000)))
		}
		f[signs[i].kind] = 1
		f[cTold] = one(signs[i].told)
		f[cBursts] = math.Log1p(float64(e.memory.bursts[hash(a.Name)]))
		f[cLearned] = e.memory.prior(hash(a.Name))
		f[cTied] = e.tiedTo(a, among)
	}
	return fs, signs
}

// tiedTo is the mean log-odds that an alert belongs to those of its group that are not of
// its rule: what came along by chance caused nothing.
func (e *Engine) tiedTo(a Alert, among map[*node]bool) float64 {
	n := e.alerts[a.ID]
	if n == nil {
		return 0
	}
	sum, count := 0.0, 0
	for _, l := range n.links {
		if o := n.scope.nodes[l.to]; among[o] && o.name != n.name {
			sum += float64(l.base)
			count++
		}
	}
	return max(-maxTied, min(maxTied, sum/float64(max(1, count))))
}

// maxTied bounds what the ties of an alert tell.
const maxTied = 3

// Settle learns from a group that is over, once, which names were the cause among which.
func (e *Engine) Settle(as []Alert) {
	cs := e.rank(as)
	if len(cs) < 2 {
		return
	}
	for _, c := range cs {
		w := hash(c.Name)
		e.memory.among.add(w, 1)
		e.memory.roots.add(w, float32(c.Share*float64(len(cs))))
	}
}

// A sign is what an alert by itself tells of the cause.
type sign struct {
	subject
	like    word
	anchors []topology.Anchor

	held int64 // see heldFor
	kind int   // the feature of what sort of thing it is about
	told bool  // its text names it
}

// sign reads an alert; that of one which may still change its group is kept, since a
// growing incident is asked for its cause with each alert.
func (e *Engine) sign(a Alert) sign {
	n := e.alerts[a.ID]
	if n != nil && n.sign != nil {
		return *n.sign
	}
	kind, told := kindOf(a)
	s := sign{held: heldFor(a), kind: kind, told: told}
	if n == nil || n.entities == nil {
		s.subject, s.like, s.anchors = e.subject(a), e.like(a, hash(a.Scope)), e.anchors(a)
		return s
	}
	s.subject, s.like, s.anchors = n.subject, n.like, n.anchors
	n.sign = &s
	return s
}

// namedBy is the share of the other alerts whose text names an entity of i, and
// of those that are about one of its entities.
func namedBy(ss []sign, i int) (named, shared float64) {
	for j, s := range ss {
		if j == i {
			continue
		}
		for _, w := range ss[i].entities {
			if has(s.mentions, w) {
				named++
				break
			}
		}
		for _, w := range ss[i].entities {
			if has(s.entities, w) {
				shared++
				break
			}
		}
	}
	n := float64(max(1, len(ss)-1))
	return named / n, shared / n
}

// kindOf tells what sort of thing an alert is about, and whether its text names it.
func kindOf(a Alert) (kind int, named bool) {
	l := subjectLabel(a)
	switch l {
	case "node", "instance", "nodename", "host", "hostname":
		kind = cNode
	case "persistentvolumeclaim", "persistentvolume", "device", "volume":
		kind = cStorage
	case "pod", "exported_pod":
		kind = cPod
	case "namespace", "exported_namespace":
		kind = cNamespace
	case "":
		kind = cNothing
	default:
		kind = cWorkload
	}
	return kind, told(a, a.Labels[l])
}

func (f causeFeatures) why() string {
	var parts []string
	switch {
	case f[cFirst] == 1:
		parts = append(parts, "fired first")
	case f[cFirstHeld] == 1:
		parts = append(parts, "its condition held first")
	}
	if f[cNamed]+f[cShared] > 0.2 {
		parts = append(parts, "what it is about is named by others")
	}
	if f[cMany] == 0 {
		parts = append(parts, "the only one of its name")
	}
	if f[cRare] < 1 {
		parts = append(parts, "it seldom fires")
	}
	if f[cLearned] > 0.3 {
		parts = append(parts, "it was the likeliest cause of earlier incidents")
	}
	if len(parts) == 0 {
		return "likelier than the others by its kind"
	}
	return strings.Join(parts, "; ")
}

// holding finds how long a text says that something lasted.
var holding = regexp.MustCompile(`(?i)(?:for|than|last|past|over)\s+(?:the\s+last\s+|more\s+than\s+|longer\s+than\s+|over\s+)?(\d{1,3}|an)\s*(s|m|h|sec(?:ond)?s?|min(?:ute)?s?|hours?)\b`)

// heldFor is how long an alert says that its condition lasted when it fired, in
// ms, at most an hour; 0 when it does not say.
func heldFor(a Alert) int64 {
	for _, k := range []string{"description", "summary", "message"} {
		m := holding.FindStringSubmatch(a.Annotations[k])
		if m == nil {
			continue
		}
		n, err := strconv.ParseInt(m[1], 10, 64)
		if err != nil {
			n = 1 // an hour
		}
		switch m[2][0] | 0x20 {
		case 'm':
			n *= 60_000
		case 'h':
			n *= hour
		default:
			n *= 1000
		}
		return min(n, hour)
	}
	return 0
}

// subjectLabels may hold what an alert is about, the most telling first. What an
// exporter says of itself comes last.
var subjectLabels = []string{
	"deployment", "statefulset", "daemonset", "cronjob", "job_name", "horizontalpodautoscaler", "poddisruptionbudget", "persistentvolumeclaim",
	"persistentvolume", "exported_pod", "exported_node", "node", "nodename", "exported_instance", "exported_service", "pod", "instance", "host", "hostname",
	"service", "service_name", "app", "application", "exported_job", "job", "exported_namespace", "namespace",
}

// vague are those that are the subject only when nothing else is.
var vague = map[string]bool{"job": true, "service": true, "namespace": true, "exported_namespace": true, "exported_job": true}

// subjectLabel returns the label that names what an alert is about,
// preferring those whose values its text names. An exporter's own pod or instance is on
// many alerts, but is not in their texts.
func subjectLabel(a Alert) string {
	for _, l := range subjectLabels {
		if v := a.Labels[l]; !vague[l] && told(a, v) {
			if l == "instance" && a.Labels["pod"] != "" && isNumber(strings.ReplaceAll(host(v), ".", "")) {
				l = "pod" // the address of an exporter beside what it watches
			}
			return l
		}
	}
	for _, l := range sortedKeys(a.Labels) { // labels of its own, as dbinstance or queue
		if !slices.Contains(subjectLabels, l) && !slices.Contains(silentLabels, l) && !quiet[l] && told(a, a.Labels[l]) {
			return l
		}
	}
	for _, l := range subjectLabels {
		if v := a.Labels[l]; v != "" && vague[l] && told(a, v) {
			return l
		}
	}
	for _, l := range subjectLabels {
		if a.Labels[l] != "" {
			return l
		}
	}
	return ""
}

// quiet labels are a part of the subject, never the subject.
var quiet = map[string]bool{
	"device": true, "mountpoint": true, "cluster": true, "tenant": true, "topic": true, "server": true, "url": true, "version": true, "interface": true, "datname": true,
}

// told reports whether the text of an alert names v.
func told(a Alert, v string) bool {
	if len(v) < 3 {
		return false
	}
	h := host(v)
	for _, k := range []string{"description", "summary", "message"} {
		if t := a.Annotations[k]; strings.Contains(t, v) || h != v && strings.Contains(t, h) {
			return true
		}
	}
	return false
}

// entity is what an alert is about, as namespace/name; a pod of a deployment as
// its workload, and an address as the pod that answers there.
func (e *Engine) entity(a Alert) string {
	l := subjectLabel(a)
	v := a.Labels[l]
	ns := a.Labels["exported_namespace"]
	if ns == "" {
		ns = a.Labels["namespace"]
	}
	switch l {
	case "":
		return a.Labels["cluster"]
	case "pod", "exported_pod":
		if s := stem(v); !isNumber(strings.TrimPrefix(v[len(s):], "-")) {
			v = s
		}
	case "job_name":
		if i := strings.LastIndexByte(v, '-'); i > 0 && isNumber(v[i+1:]) {
			v = v[:i]
		}
	case "namespace", "exported_namespace":
		return v
	case "job", "exported_job":
		if strings.Contains(v, "/") {
			return v
		}
	case "instance", "exported_instance":
		if strings.Contains(v, "://") {
			return v
		}
		if pod, ok := e.memory.pods[hash(a.Scope, host(v))]; ok && pod != "" {
			return pod
		}
		return host(v)
	case "node", "nodename", "host", "hostname", "persistentvolume":
		return v
	}
	if ns == "" || !slices.Contains(subjectLabels, l) {
		return v
	}
	return ns + "/" + v
}
