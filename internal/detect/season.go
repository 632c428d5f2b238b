package detect

import (
	"math"

	"github.com/portent-dev/portent/internal/stat"
)

// season is the model of the day and the week: a slow level, what each hour of the
// day and each three hours of the week usually add to it, how far a quarter of an
// hour's mean usually lies from that, and how far longer ones ever did. It finds what no jump gives
// away: a morning without its rise, a night as busy as the day, a level that crept up.
//
// The profile counts for as much as it explains better than the level alone, so
// that a series without daily course loses nothing by it.
type season struct {
	Level  float64
	Smooth float32 // running mean of clipped deviations
	Plain  float32 // mean absolute deviation from the level alone
	Shaped float32 // the same from level and profile
	Unit   float32 // 1/hourStep of it is 1 in Hours, 1/weekStep of it in Week
	Sum    float32 // deviations from the profile within the present hour
	Count  uint32  // how many
	Tried  uint16  // samples that Shaped is the mean of
	Run    int16   // deviations in a row beyond the limit, negative below
	Hour   uint8   // the present hour of the week, plus one; 0 = none yet
	Hours  [24]int16
	Week   [7 * weekBins]int8 // added to Hours
	Tail   stat.Tail
	Short  record // of half an hour
	Long   record // of a night
}

const (
	weekBins = 8 // a day, of three hours
	// seasonAfter is when the profile has seen each hour twice.
	seasonAfter = 2 * day
	// weekAfter is when differences between the days of the week are learnt.
	weekAfter    = 3 * day
	levelMemory  = 1 * day
	smoothMemory = 15 * 60 * 1000 // ms
	skillMemory  = 3 * day
	skillAfter   = 1 * day // of comparing before the profile counts
	hourFollow   = 0.1     // of an hour's mean deviation goes into its bin
	weekFollow   = 0.1
	seasonHabit  = 1   // a day; see localHabit
	seasonSteep  = 1.3 // see stat.TailOptions
	seasonRest   = 2 * hour
	// seasonShare lowers the score: what is skewed or falls in steps is told too often by
	// a tail of both sides, and what matters is seen by the records as well.
	seasonShare = 0.95
	// seasonClip bounds what a sample adds to Smooth, teachClip what it teaches, both
	// in scales.
	seasonClip = 8
	teachClip  = 4
	// doubling is how long a shift lasts until the limit of learning doubles: one of
	// fifty spreads is the new normal after a day or two.
	doubling = 3 * hour
	hourStep = 256
	weekStep = 16
)

// observe scores v against level and profile and learns from it.
func (m *season) observe(e *env, c *clock, limit float64, t int64, v float64) (x evidence) {
	if c.N == 1 {
		m.Level = v
		return x
	}
	local, age := e.localMs(t), c.age(t)
	shape := m.shape(local)
	plain, shaped := v-m.Level, v-m.Level-shape
	w := m.skill(c, age, plain, shaped)
	w = e.class.season.share(w, age)
	r := (1-w)*plain + w*shaped
	scale := max((1-w)*float64(m.Plain)+w*float64(m.Shaped), flat*math.Abs(m.Level), tiny)
	clipped := r
	if c.N > warmUp {
		clipped = stat.Clamp(r, seasonClip*scale)
	}
	a := stat.Gain(c.N-1, 1+c.samples(smoothMemory, 0))
	before := float64(m.Smooth)
	m.Smooth = float32(before + a*(clipped-before))
	unit := scale * math.Sqrt(math.Sqrt(a))
	z := math.Abs(float64(m.Smooth)) / unit
	if age > seasonAfter && c.N > 4*warmUp && m.Tail.Ready() {
		x = evidence{ready: true, reason: ReasonLevel, rest: seasonRest, expected: v - r}
		x.smoothed(&m.Tail, limit/seasonShare, z, scale, unit, a, before)
	}
	short := m.Short.observe(c, limit, t, r, scale, shortRecord)
	long := m.Long.observe(c, limit, t, r, scale, longRecord)
	if x.ready && short > x.score {
		x.told(short, ReasonLevel, &m.Short)
	}
	if x.ready && long > x.score {
		x.told(long, ReasonShift, &m.Long)
	}
	if age > day/4 && c.N > 4*warmUp {
		m.Tail.Observe(z, c.tailOptions(seasonHabit, seasonSteep))
	}
	m.learn(c, local, age, w, e.class.season != SeasonDaily, plain, shaped, scale)
	return x
}

// Smoothing n values of independent noise divides their spread by √n, of lasting
// swings by nothing: the fourth root of the share a keeps z in the tail's range for
// both.

// smoothed scores a deviation z units far, which is smoothed. Since it moves by the
// share a of the newest one, the band is that of values that would have kept it in
// bounds.
func (x *evidence) smoothed(tail *stat.Tail, limit, z, scale, unit, a, before float64) {
	x.score = max(0, tail.LogSurvival(z)/limit)
	x.lower, x.upper = math.Inf(-1), math.Inf(1)
	reach := tail.Quantile(limit) * unit
	if up := (reach - (1-a)*before) / a; up < seasonClip*scale {
		x.upper = x.expected + up
	}
	if down := (reach + (1-a)*before) / a; down < seasonClip*scale {
		x.lower = x.expected - down
	}
}

// shape returns what the profile adds to the level at a local time.
func (m *season) shape(local int64) float64 {
	if m.Unit == 0 {
		return 0
	}
	const weekMs = 7 * day
	// 1970-01-01 was a Thursday; any fixed start of the week will do.
	at := math.Mod(float64(local), weekMs)
	if at < 0 {
		at += weekMs
	}
	hours := between(m.Hours[:], math.Mod(at, day)/hour) / hourStep
	week := between(m.Week[:], at/(day/weekBins)) / weekStep
	return (hours + week) * float64(m.Unit)
}

// between interpolates a circular table, whose bins hold the value of their middle.
func between[T int8 | int16](table []T, at float64) float64 {
	at += float64(len(table)) - 0.5
	i := int(at)
	f := at - float64(i)
	i %= len(table)
	j := i + 1
	if j == len(table) {
		j = 0
	}
	return (1-f)*float64(table[i]) + f*float64(table[j])
}

// skill compares both residuals with what they were, and returns the share of the
// profile in what is expected: the fourth powers of the mean errors decide.
func (m *season) skill(c *clock, age, plain, shaped float64) float64 {
	memory := c.samples(skillMemory, scaleLeast)
	follow := func(mean *float32, n uint32, x float64) {
		if n > warmUp {
			x = min(x, seasonClip*float64(*mean))
		}
		*mean += float32(stat.Gain(n, memory) * (x - float64(*mean)))
	}
	follow(&m.Plain, c.N-1, math.Abs(plain))
	if age < seasonAfter {
		m.Shaped = m.Plain
		return 0
	}
	m.Tried += min(1, math.MaxUint16-m.Tried)
	follow(&m.Shaped, warmUp+uint32(m.Tried), math.Abs(shaped))
	switch enough := math.Floor(min(1e4, c.samples(skillAfter, warmUp))); {
	case float64(m.Tried) < enough:
		return 0
	case float64(m.Tried) == enough:
		// What is left when the profile counts is another series than before.
		m.Tail, m.Short, m.Long = stat.Tail{}, record{}, record{}
	}
	p, s := float64(m.Plain), float64(m.Shaped)
	if p+s == 0 {
		return 0
	}
	p, s = p*p/(p+s)/(p+s), s*s/(p+s)/(p+s) // squares of shares: no overflow
	return p * p / (p*p + s*s)
}

func (m *season) learn(c *clock, local int64, age, w float64, weekly bool, plain, shaped, scale float64) {
	teach := shaped
	level := (1-w)*plain + w*shaped
	if c.N > warmUp {
		bound := teachClip * scale
		m.Run = nextRun(m.Run, level, bound)
		run := math.Abs(float64(m.Run))
		level = stat.Huber(level, bound, run, c.samples(doubling, warmUp))
		if age > day {
			teach = stat.Clamp(teach, bound)
		}
	}
	m.Level += stat.Gain(c.N-1, c.samples(levelMemory, warmUp)) * level

	at := local / hour // hours since 1970
	of := uint8((at%(7*24)+7*24)%(7*24)) + 1
	if m.Hour != of {
		m.turn(age, scale, at, weekly)
		m.Hour = of
	}
	m.Sum += float32(teach)
	m.Count++
}

// turn ends an hour: its mean deviation goes into the profile.
func (m *season) turn(age, scale float64, at int64, weekly bool) {
	if m.Hour == 0 || m.Count == 0 {
		return
	}
	mean := float64(m.Sum) / float64(m.Count)
	m.Sum, m.Count = 0, 0
	m.rescale(scale)
	mean /= float64(m.Unit)
	days := math.Floor(age / day)
	h := int(m.Hour - 1)
	m.Hours[h%24] = int16(whole(float64(m.Hours[h%24])+mean*max(1/(days+1), hourFollow)*hourStep, 0.5, math.MaxInt16))
	if weekly && age > weekAfter {
		// What one hour teaches its bin of three is often less than a step of it. So
		// it is rounded up and down in turn, evenly by the golden ratio, and what is
		// less than a step comes in now and then.
		const share = 24 / weekBins
		_, dither := math.Modf(float64(at) / math.Phi)
		m.Week[h/share] = int8(whole(float64(m.Week[h/share])+mean*weekFollow/share*weekStep, math.Abs(dither), math.MaxInt8))
	}
}

// whole rounds x up from the fraction 1-dither on, and limits it to -most..most.
func whole(x, dither, most float64) float64 {
	return stat.Clamp(math.Floor(x+dither), most)
}

// rescale keeps the unit of the profile near the spread, so that its steps are fine
// and its range many spreads.
func (m *season) rescale(scale float64) {
	scale = max(scale, tiny)
	if u := float64(m.Unit); u > 0 && scale < 8*u && scale > u/8 {
		return
	}
	f := float64(m.Unit) / scale
	for i, v := range m.Hours {
		m.Hours[i] = int16(whole(float64(v)*f, 0.5, math.MaxInt16))
	}
	for i, v := range m.Week {
		m.Week[i] = int8(whole(float64(v)*f, 0.5, math.MaxInt8))
	}
	m.Unit = float32(scale)
}

func (m *season) whole() bool {
	return bounded(m.Level) && bounded(float64(m.Smooth)) && !math.IsInf(float64(m.Sum), 0) && m.Sum == m.Sum &&
		spread(m.Plain, m.Shaped, m.Unit) && m.Hour <= 7*24 && m.Tail.Whole() && m.Short.whole() && m.Long.whole()
}
