package detect

import (
	"encoding/binary"
	"fmt"
	"math"
	"strings"
	"time"
	"unsafe"
)

// Row is one detector of the table.
type Row struct {
	Name    string
	Does    string // what it finds, in one line
	Version uint16 // of the meaning and layout of its state; a snapshot of another is refused
	Bytes   int    // of state per series
	// Open makes an empty bank of series that all obey c.
	Open func(c Config) Bank
}

// Builtin is the table of detectors, in the order in which errors and help list them.
var Builtin = []Row{
	row[combined]("combined", "jumps, deviations from day and week, changes of spread, slopes and silence, as one score", 7),
	row[spike]("spike", "jumps from the last few samples: spikes, dips, steps, constants that move", 3),
	row[levels]("level", "deviations from the course of day and week, after two days", 4),
	row[shifts]("shift", "a level that moved and stays", 2),
	row[swings]("spread", "a series that moves much more, or much less, than it did", 2),
	row[trends]("trend", "a slope that lasts and is steep for the series", 2),
	row[shapes]("shape", "stays in a low or high state that are too long: missed batches, waves without their middle", 2),
	row[silences]("silence", "values that stopped changing, that are zero, that move after they never did, or that no longer come", 2),
}

// Lookup returns the row of that name. An unknown name is an error that lists the
// known ones.
func Lookup(name string) (Row, error) {
	names := make([]string, len(Builtin))
	for i, r := range Builtin {
		if r.Name == name {
			return r, nil
		}
		names[i] = r.Name
	}
	return Row{}, fmt.Errorf("unknown detector %q: want one of %s", name, strings.Join(names, ", "))
}

// Config is what all series of a bank have in common. It is not part of their
// state: a snapshot may be restored under another.
type Config struct {
	Sensitivity Sensitivity    // "" = Medium
	Location    *time.Location // nil = UTC
	Classes     []Class        // valid; see Output.Class
}

// Bank keeps the state of many series of one detector, by slot. It is not safe for
// concurrent use.
type Bank interface {
	// Reset gives the slot a fresh state, and makes room for it if it is new.
	Reset(slot int)
	// Observe takes the sample of the slot at t (Unix ms) and brings out up to date,
	// which the caller keeps with the slot and never changes. A sample that is not
	// later than out.T is ignored. NaN and ±Inf are no value: the score is 0 and
	// Ready false until the next number. The class of the series is out.Class.
	// It allocates nothing.
	Observe(slot int, t int64, v float64, out *Output)
	// Miss says what it means that the series, of which last is the newest output, has
	// brought no sample up to now (Unix ms): an output with Missing, or false when
	// it means nothing (yet, or no more). It changes no state.
	Miss(slot int, now int64, last Output) (Output, bool)
	// SetBar sets by what factor a deviation must be rarer than calibrated to score 1,
	// for a class as in Output.Class.
	SetBar(class uint16, factor float64)
	// AppendState appends the slot's state to dst, as many bytes for every slot.
	AppendState(slot int, dst []byte) []byte
	// LoadState gives the slot the state that src holds.
	LoadState(slot int, src []byte) error
	// StateLen returns the bytes that AppendState appends.
	StateLen() int
	// MemoryBytes returns the memory that the bank holds, free room included.
	MemoryBytes() int64
}

// model is what a detector's state can do. P is a pointer to a struct without
// pointers and of fixed size, so that it can live in a slab and be written as is.
type model[S any] interface {
	*S
	// observe takes a finite value of magnitude at most maxMagnitude, later than all
	// before it, and sets Score, Expected, Lower, Upper, Ready and Reason.
	observe(e *env, x sample, out *Output)
	// whole reports whether a state that was read from a snapshot is one that
	// observe can have left behind.
	whole() bool
}

// sample is a value at a time t, and the time of the sample before it, or 0; Unix ms.
type sample struct {
	before, t int64
	v         float64
}

// maxMagnitude bounds what the models see, so that float32 holds every spread. What
// lies beyond is seen as this; what is smaller than its inverse is seen as 0.
const maxMagnitude = 1e30

// bank is the Bank of any model.
type bank[S any, P model[S]] struct {
	envs   []env // by Output.Class
	states slab[S]
}

// misser is what a model can do that has an opinion on samples that fail to come.
type misser interface {
	// miss returns the evidence that no sample came after the one at last, up to now.
	miss(e *env, last, now int64) evidence
}

func row[S any, P model[S]](name, does string, version uint16) Row {
	var s S
	return Row{
		Name: name, Does: does, Version: version, Bytes: int(unsafe.Sizeof(s)),
		Open: func(c Config) Bank { return &bank[S, P]{envs: newEnvs(c)} },
	}
}

func (b *bank[S, P]) Reset(slot int) {
	b.states.grow(slot)
	var fresh S
	*b.states.at(slot) = fresh
}

func (b *bank[S, P]) Observe(slot int, t int64, v float64, out *Output) {
	if t <= out.T && out.T != 0 {
		return
	}
	before, since := out.T, out.Since
	*out = Output{T: t, Value: v, Class: out.Class}
	e := b.env(out.Class)
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return
	}
	if bound, is := e.class.impossible(v); is {
		out.Ready, out.Score, out.Reason = true, ImpossibleScore, ReasonLevel
		out.Expected, out.Lower, out.Upper = bound, bound, bound
	} else {
		P(b.states.at(slot)).observe(e, sample{before, t, max(-maxMagnitude, min(maxMagnitude, v))}, out)
	}
	if !out.Ready || !(out.Score > 0) {
		out.Score = 0
	}
	out.Score = min(out.Score, MaxScore)
	if out.Score <= 1 {
		return
	}
	if out.Since = since; since == 0 {
		out.Since = t
	}
}

func (b *bank[S, P]) env(class uint16) *env {
	if int(class) >= len(b.envs) {
		class = 0
	}
	return &b.envs[class]
}

func (b *bank[S, P]) Miss(slot int, now int64, last Output) (Output, bool) {
	m, ok := any(P(b.states.at(slot))).(misser)
	e := b.env(last.Class)
	if !ok || e.class.off>>ReasonSilence&1 != 0 {
		return Output{}, false
	}
	x := m.miss(e, last.T, now)
	if !x.ready || !(x.score > 1) {
		return Output{}, false
	}
	out := Output{
		T: now, Value: last.Value, Class: last.Class, Missing: true, Ready: true,
		Score: min(x.score, MaxScore), Reason: x.reason, Expected: x.expected, Lower: x.lower, Upper: x.upper,
		Since: last.T,
	}
	return out, true
}

func (b *bank[S, P]) SetBar(class uint16, factor float64) { b.env(class).bar = factor }

func (b *bank[S, P]) AppendState(slot int, dst []byte) []byte {
	dst, err := binary.Append(dst, binary.LittleEndian, b.states.at(slot))
	if err != nil {
		panic("BUG: detect: a state is not of fixed size: " + err.Error())
	}
	return dst
}

func (b *bank[S, P]) LoadState(slot int, src []byte) error {
	b.states.grow(slot)
	var s S
	n, err := binary.Decode(src, binary.LittleEndian, &s)
	if err != nil || n != len(src) {
		return fmt.Errorf("%w: state of %d bytes, want %d", ErrCorrupt, len(src), b.StateLen())
	}
	if !P(&s).whole() {
		return fmt.Errorf("%w: impossible state", ErrCorrupt)
	}
	*b.states.at(slot) = s
	return nil
}

func (b *bank[S, P]) StateLen() int {
	var s S
	return binary.Size(&s)
}

func (b *bank[S, P]) MemoryBytes() int64 { return b.states.bytes() }
