package group

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math"
	"strings"

	"github.com/portent-dev/portent/internal/detect"
	"github.com/portent-dev/portent/internal/ingest"
	"github.com/portent-dev/portent/internal/stat"
)

// What AppendState writes, all little endian:
//
//	magic "portentg" · layout uint16 · time of the last tick int64 · usual step float64
//	groups: number uint32, each the spelling of its rule, its labels, savedGroup, its members
//	contexts: number uint32, each its spelling and the courses of what explains
//	the courses of what is explained
//	CRC-32C of all before uint32
//
// Members and courses are named by the hash of their labels: they wait for the series
// to come again. Rules and contexts are named by what they say, so that those that have
// changed learn anew and the others go on.
const (
	stateMagic  = "portentg"
	stateLayout = 2

	// MostStateBytes is more than a full Watch writes; a longer file is none of ours.
	MostStateBytes = 256 << 20
	// mostAge is how long what is known of groups counts, and that of contexts, whose
	// mean of two hours is about another day otherwise.
	mostAge        = 7 * day
	mostContextAge = forgetMs
	// graceMs after the first tick a group that was restored must have come again: a
	// series that is scraped rarely takes so long to have a value.
	graceMs = 5 * minute
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// ErrOld says that a state is of too long ago to be of use.
var ErrOld = fmt.Errorf("state of more than %d days ago", int(mostAge/day))

// savedGroup is a group without its members; it has no pointers and a fixed size.
type savedGroup struct {
	Begun, Lived, Since int64
	N, Hold, PeerN      uint32
	PeerScale, Scale    float64
	All, Apart, Peer    stat.Tail
}

// savedMember is what is known of a member that has not come again yet.
type savedMember struct {
	begun int64
	jointMember
	peerMember
}

const (
	savedMemberLen = 8 + 8 + 2*8 + 4 + 2*8 + 4 + 4
	savedCourseLen = 8 + 2*8 + 4
)

// AppendState appends what the groups have learnt to dst: some 62 bytes a member, in half a
// microsecond, in which Tick waits.
func (w *Watch) AppendState(dst []byte) []byte {
	w.mu.RLock()
	defer w.mu.RUnlock()
	from := len(dst)
	le := binary.LittleEndian
	dst = append(dst, stateMagic...)
	dst = le.AppendUint16(dst, stateLayout)
	dst = le.AppendUint64(dst, uint64(max(w.last, w.restoredAt)))
	dst = appendFloats(dst, w.stepMs)
	dst = le.AppendUint32(dst, uint32(len(w.order)))
	for _, g := range w.order {
		dst = g.append(dst)
	}
	dst = le.AppendUint32(dst, uint32(len(w.contexts.rules)))
	for i := range w.contexts.rules {
		dst = appendText(dst, w.contexts.rules[i].spelt())
		dst = appendCourses(dst, w.contexts.sums[i])
	}
	dst = appendCourses(dst, w.contexts.series)
	return le.AppendUint32(dst, crc32.Checksum(dst[from:], castagnoli))
}

func (g *state) append(dst []byte) []byte {
	le := binary.LittleEndian
	dst = appendText(dst, g.rule.spelt())
	dst = le.AppendUint32(dst, uint32(len(g.labels)))
	for _, l := range g.labels {
		dst = appendText(appendText(dst, l.Name), l.Value)
	}
	dst, err := binary.Append(dst, le, &savedGroup{
		Begun: g.begun, Lived: g.lived, Since: g.result.Since, N: g.joint.n, Hold: g.joint.hold, PeerN: g.peers.n,
		PeerScale: g.peers.scale, Scale: g.joint.scale, All: g.joint.all, Apart: g.joint.apart, Peer: g.peers.tail,
	})
	if err != nil {
		panic("BUG: group: a state is not of fixed size: " + err.Error())
	}
	dst = le.AppendUint32(dst, uint32(len(g.members)+len(g.awaited)))
	for _, m := range g.members {
		dst = appendMember(dst, m.key, &savedMember{m.begun, m.jointMember, m.peerMember})
	}
	for key, m := range g.awaited {
		dst = appendMember(dst, key, &m)
	}
	return dst
}

func appendMember(dst []byte, key uint64, m *savedMember) []byte {
	le := binary.LittleEndian
	dst = le.AppendUint64(le.AppendUint64(dst, key), uint64(m.begun))
	dst = le.AppendUint32(appendFloats(dst, m.mean, m.scale), m.n)
	dst = appendFloats(dst, m.usual, m.fresh)
	return le.AppendUint32(le.AppendUint32(dst, m.peerN), m.peerMember.hold)
}

func appendCourses(dst []byte, all map[uint64]*course) []byte {
	le := binary.LittleEndian
	dst = le.AppendUint32(dst, uint32(len(all)))
	for key, x := range all {
		dst = le.AppendUint32(appendFloats(le.AppendUint64(dst, key), x.fresh, x.usual), x.n)
	}
	return dst
}

func appendFloats(dst []byte, values ...float64) []byte {
	for _, v := range values {
		dst = binary.LittleEndian.AppendUint64(dst, math.Float64bits(v))
	}
	return dst
}

func appendText(dst []byte, s string) []byte {
	return append(binary.LittleEndian.AppendUint32(dst, uint32(len(s))), s...)
}

// spelt tells rules apart by what they say, but for their selector: a series that it does not
// take any more does not come again.
func (r *Rule) spelt() string {
	return strings.Join(append([]string{r.Name, string(r.Kind)}, r.By...), "\xff")
}

func (c *Context) spelt() string { return strings.Join(append([]string{c.Name}, c.On...), "\xff") }

// Restore makes a Watch that has seen nothing yet know what AppendState wrote, at now
// (Unix ms), and returns of how many members. After an error (detect.ErrVersion,
// detect.ErrCorrupt, ErrOld) it knows nothing, as before. Groups of rules that there are
// no more, and what is beyond the bounds of Options, are left out.
func (w *Watch) Restore(data []byte, now int64) (members int, err error) {
	body, at, err := checkState(data)
	if err != nil || at == 0 { // it had seen nothing
		return 0, err
	}
	if float64(now-at) > mostAge {
		return 0, ErrOld
	}
	fresh, err := New(w.opts)
	if err != nil {
		return 0, err
	}
	r := &reader{rest: body}
	step := r.float(float64(day))
	for n := r.count(4 + 4 + binary.Size(savedGroup{}) + 4); n > 0 && !r.bad; n-- {
		members += fresh.readGroup(r, now, members)
	}
	recent := float64(now-at) <= mostContextAge
	for n := r.count(8); n > 0 && !r.bad; n-- {
		fresh.contexts.readRule(r, recent)
	}
	r.courses(fresh.contexts.series, recent)
	if r.bad || len(r.rest) > 0 || step < 0 {
		return 0, fmt.Errorf("groups: %w: what is written does not fit", detect.ErrCorrupt)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.groups, w.order, w.contexts, w.restoredAt, w.stepMs = fresh.groups, fresh.order, fresh.contexts, at, step
	return members, nil
}

func checkState(data []byte) (body []byte, at int64, err error) {
	const head = len(stateMagic) + 2 + 8
	if len(data) < head+4 || string(data[:len(stateMagic)]) != stateMagic {
		return nil, 0, fmt.Errorf("groups: %w: no state of groups", detect.ErrCorrupt)
	}
	body, sum := data[:len(data)-4], binary.LittleEndian.Uint32(data[len(data)-4:])
	if crc32.Checksum(body, castagnoli) != sum {
		return nil, 0, fmt.Errorf("groups: %w: checksum differs", detect.ErrCorrupt)
	}
	if layout := binary.LittleEndian.Uint16(body[len(stateMagic):]); layout != stateLayout {
		return nil, 0, fmt.Errorf("groups: %w: layout %d, want %d", detect.ErrVersion, layout, stateLayout)
	}
	return body[head:], int64(binary.LittleEndian.Uint64(body[head-8:])), nil
}

// readGroup reads one group and returns how many members wait for their series.
func (w *Watch) readGroup(r *reader, now int64, known int) (members int) {
	rule := r.text()
	var labels []ingest.Label
	for n := r.count(8); n > 0 && !r.bad; n-- {
		name := r.text() // before the value
		labels = append(labels, ingest.Label{Name: name, Value: r.text()})
	}
	var s savedGroup
	size := binary.Size(s)
	if r.bad || len(r.rest) < size {
		r.bad = true
		return 0
	}
	if _, err := binary.Decode(r.rest[:size], binary.LittleEndian, &s); err != nil || !s.whole() {
		r.bad = true
		return 0
	}
	r.rest = r.rest[size:]
	awaited := map[uint64]savedMember{}
	for n := r.count(savedMemberLen); n > 0 && !r.bad; n-- {
		key, m := r.member(now)
		if known+len(awaited) < w.opts.MaxMembers {
			awaited[key] = m
		}
	}
	for i := range w.opts.Rules {
		if w.opts.Rules[i].spelt() != rule {
			continue
		}
		if g := w.group(now, &w.opts.Rules[i], i, labels); g != nil && !r.bad {
			g.take(&s, now)
			g.awaited = awaited
			return len(awaited)
		}
		break
	}
	return 0
}

func (s *savedGroup) whole() bool {
	return s.All.Whole() && s.Apart.Whole() && s.Peer.Whole() && s.PeerScale >= 0 && s.PeerScale <= mostApart && s.Scale >= 0 && s.Scale <= mostDeviation
}

func (g *state) take(s *savedGroup, now int64) {
	g.begun, g.lived, g.result.Since = min(s.Begun, now), min(s.Lived, now), min(max(0, s.Since), now)
	g.joint = joint{all: s.All, apart: s.Apart, n: s.N, hold: s.Hold, scale: s.Scale}
	g.peers = peers{tail: s.Peer, scale: s.PeerScale, n: s.PeerN}
}

// readRule reads what explains by one context, and forgets it if there is no such context now.
func (c *contexts) readRule(r *reader, recent bool) {
	rule := r.text()
	into := map[uint64]*course{}
	for i := range c.rules {
		if c.rules[i].spelt() == rule {
			into = c.sums[i]
		}
	}
	r.courses(into, recent)
}

// arrive begins the time that is left to what was restored: it ends when nothing comes again.
func (w *Watch) arrive(now int64) {
	w.restoredAt, w.awaitedUntil = 0, now+forgetMs
	for _, g := range w.order {
		g.lived = max(g.lived, now+graceMs)
	}
	back := func(all map[uint64]*course) {
		for _, x := range all {
			x.seen = now - 1
		}
	}
	back(w.contexts.series)
	for _, sums := range w.contexts.sums {
		back(sums)
	}
}

// restored gives a member what is known of it from before.
func (g *state) restored(m *member) {
	old, ok := g.awaited[m.key]
	if !ok {
		return
	}
	delete(g.awaited, m.key)
	m.begun, m.jointMember, m.peerMember = min(m.begun, old.begun), old.jointMember, old.peerMember
}

// reader reads what AppendState wrote; what does not fit makes it bad, and everything 0.
type reader struct {
	rest []byte
	bad  bool
}

func (r *reader) take(n int) []byte {
	if r.bad || n > len(r.rest) {
		r.bad = true
		return make([]byte, min(n, 8))
	}
	out := r.rest[:n]
	r.rest = r.rest[n:]
	return out
}

func (r *reader) uint32() uint32 { return binary.LittleEndian.Uint32(r.take(4)) }
func (r *reader) uint64() uint64 { return binary.LittleEndian.Uint64(r.take(8)) }

// count reads a number of things that take at least so many bytes each.
func (r *reader) count(least int) int {
	n := int(r.uint32())
	if n > len(r.rest)/least {
		r.bad = true
		return 0
	}
	return n
}

func (r *reader) text() string { return string(r.take(r.count(1))) }

// float reads a number that is finite and not so large that it could overflow.
func (r *reader) float(most float64) float64 {
	v := math.Float64frombits(r.uint64())
	if !(math.Abs(v) <= most) {
		r.bad = true
	}
	return v
}

// mostDeviation is far beyond what a member's deviation, of which at most mostApart count, can be.
const mostDeviation = 1e3

func (r *reader) member(now int64) (key uint64, m savedMember) {
	key = r.uint64()
	m.begun = min(int64(r.uint64()), now)
	m.mean, m.scale = r.float(mostDeviation), r.float(mostDeviation)
	m.n = r.uint32()
	m.usual, m.fresh = r.float(mostDeviation), r.float(mostDeviation)
	m.peerN, m.peerMember.hold = r.uint32(), r.uint32()
	r.bad = r.bad || m.scale < 0
	return key, m
}

// courses reads into all what is recent.
func (r *reader) courses(all map[uint64]*course, recent bool) {
	for n := r.count(savedCourseLen); n > 0 && !r.bad; n-- {
		key := r.uint64()
		x := &course{fresh: r.float(math.MaxFloat64), usual: r.float(math.MaxFloat64), n: r.uint32()}
		if recent && len(all) < DefaultMaxMembers {
			all[key] = x
		}
	}
}
