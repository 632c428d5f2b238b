package detect

import (
	"math"
	"time"
)

// env is what the models of one bank share: the configuration in the form that the
// hot path needs, and the clock face of the location.
type env struct {
	periodMs float64 // an unchanged series crosses 1 about once in so long
	location *time.Location
	class    classRules
	bar      float64 // how much higher than calibrated the bar is; see Bank.SetBar

	// The offset of local time from UTC, valid from..until (Unix ms): asking the
	// time zone at each sample costs more than the rest of the work.
	offsetMs, fromMs, untilMs int64
}

// newEnvs returns what holds for series without class, and after that for each class.
func newEnvs(c Config) []env {
	all := []env{newEnv(c, &Class{})}
	for i := range c.Classes {
		all = append(all, newEnv(c, &c.Classes[i]))
	}
	return all
}

func newEnv(c Config, class *Class) env {
	if class.Sensitivity != "" {
		c.Sensitivity = class.Sensitivity
	}
	if c.Sensitivity == "" {
		c.Sensitivity = Medium
	}
	period, err := c.Sensitivity.Period()
	if err != nil {
		panic("BUG: detect: " + err.Error()) // NewEngine has checked it
	}
	if c.Location == nil {
		c.Location = time.UTC
	}
	return env{periodMs: float64(period.Milliseconds()), location: c.Location, class: newClassRules(class), bar: 1}
}

// localMs returns t (Unix ms) as the clock on the wall shows it: milliseconds since
// 1970-01-01 00:00 local time. Daylight saving is in it.
func (e *env) localMs(t int64) int64 {
	if t < e.fromMs || t >= e.untilMs {
		e.enterZone(t)
	}
	return t + e.offsetMs
}

func (e *env) enterZone(t int64) {
	at := time.UnixMilli(t).In(e.location)
	_, offset := at.Zone()
	e.offsetMs = int64(offset) * 1000
	from, until := at.ZoneBounds()
	e.fromMs, e.untilMs = math.MinInt64, math.MaxInt64
	if !from.IsZero() {
		e.fromMs = from.UnixMilli()
	}
	if !until.IsZero() {
		e.untilMs = until.UnixMilli()
	}
}
