package ask

import (
	"regexp"
	"strconv"
	"strings"
	"time"
)

// when is the time that a question speaks of.
type when struct {
	window  time.Duration // "in the last 24 hours"; 0 if none is given
	end     time.Duration // how long before now the window ends ("between 14:00 and 15:00")
	ahead   time.Duration // "within the next 4 days"
	offset  time.Duration // "compared to yesterday": how far back the other value lies
	compare bool          // two times are compared
	told    bool          // any of it was said
}

var units = map[string]time.Duration{
	"s": time.Second, "sec": time.Second, "second": time.Second, "m": time.Minute, "min": time.Minute, "minute": time.Minute,
	"h": time.Hour, "hr": time.Hour, "hour": time.Hour, "d": 24 * time.Hour, "day": 24 * time.Hour, "w": 7 * 24 * time.Hour,
	"week": 7 * 24 * time.Hour, "month": 30 * 24 * time.Hour, "fortnight": 14 * 24 * time.Hour,
}

const unitPattern = `(s|secs?|seconds?|m|mins?|minutes?|h|hrs?|hours?|d|days?|w|weeks?|months?)\b`

const numberPattern = `(\d+(?:\.\d+)?|an?|one|two|three|four|five|six|seven|eight|nine|ten|twelve|half an|(?:a )?couple of|(?:a )?few|several)`

var numbers = map[string]float64{
	"a": 1, "an": 1, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "ten": 10, "twelve": 12,
	"nine": 9, "half an": 0.5, "couple of": 2, "few": 3, "a couple of": 2, "a few": 3, "several": 3,
}

func amount(n, unit string) time.Duration {
	v, ok := numbers[n]
	if !ok {
		f, err := strconv.ParseFloat(n, 64)
		if err != nil && n != "" {
			return 0
		}
		v = f
		if n == "" {
			v = 1
		}
	}
	u, ok := units[unit]
	if !ok {
		u = units[strings.TrimSuffix(unit, "s")]
	}
	return time.Duration(v * float64(u)).Round(time.Second)
}

var (
	reBefore = regexp.MustCompile(`(?:compared (?:to|with)|than|minus|vs\.?|versus|against|and) (?:in |during |over )?(?:the )?(?:` + numberPattern + ` ?)?` + unitPattern + ` (?:before|earlier|prior)`)
	reVsAgo  = regexp.MustCompile(`(?:compared? (?:it )?(?:to|with)|than|vs\.?|versus|against|to|with|from|and) (?:the )?(?:same (?:time|hour) )?` + numberPattern + ` ?` + unitPattern + ` ago`)
	reVsDay  = regexp.MustCompile(`(?:compared? (?:it )?(?:to|with)|than(?: at| it was| they were| there were| on| was)?|vs\.?|versus|against|to|with|and) (?:the )?(?:(?:same|this) (?:time|hour|period|moment) )?(?:of |on )?(yesterday|last week|the day before|a day earlier|last month)`)
	reNext   = regexp.MustCompile(`(?:(?:with)?in|inside of|over|during|for) (?:the )?(?:next|coming|following) (?:` + numberPattern + ` ?)?` + unitPattern + `|(?:within|inside of|inside|in less than) ` + numberPattern + ` ?` + unitPattern)
	reLast   = regexp.MustCompile(`(?:(?:in|over|during|for|within|of|from) )?(?:the )?(?:last|past|previous|recent|trailing) (?:` + numberPattern + ` ?)?` + unitPattern)
	reSince  = regexp.MustCompile(`since (midnight|yesterday|noon|(\d{1,2})(?::(\d\d))? ?(am|pm)?)( ?(?:utc|gmt))?`)
	reToday  = regexp.MustCompile(`\b(so far today|today)\b`)
	reBetwen = regexp.MustCompile(`(?:between|from) (\d{1,2})(?::(\d\d))? ?(am|pm)? (?:and|to|until|till|-) (\d{1,2})(?::(\d\d))? ?(am|pm)?( ?(?:utc|gmt))?`)
	reYest   = regexp.MustCompile(`\byesterday\b`)
)

// reBetweenNow begins a comparison: "the difference between now and yesterday".
var reBetweenNow = regexp.MustCompile(`\b(?:difference|delta|change) (?:between|from) (?:now|today|right now|currently) (?:and|to|versus) (?:the |at the )?`)

var (
	// reBare is a stretch of time with no word for the past: "lost in 24h", "…, three hours".
	reBare   = regexp.MustCompile(`\b(?:in|during) ` + numberPattern + ` ?` + unitPattern + `|(?:, ?|\()` + numberPattern + ` ?(s|secs?|seconds?|m|mins?|minutes?|h|hrs?|hours?|d|days?|w|weeks?|months?)(?:\)|[ ?.!]*$)`)
	reFuture = regexp.MustCompile(`\bwill\b|\bexpir|\bruns? out\b|\bfull\b|\bfill|\bgoing to\b|\bending\b|\bends?\b|\bdue\b`)
)

// takeWhen finds the times in a question and blanks them out of it.
func takeWhen(norm string, q Question) (when, string) {
	var w when
	loc := q.Location
	if loc == nil {
		loc = time.UTC
	}
	now := q.Now.In(loc)
	take := func(re *regexp.Regexp, f func(m []string)) {
		at := re.FindStringSubmatchIndex(norm)
		if at == nil {
			return
		}
		m := make([]string, len(at)/2)
		for i := range m {
			if at[2*i] >= 0 {
				m[i] = norm[at[2*i]:at[2*i+1]]
			}
		}
		w.told = true
		f(m)
		norm = norm[:at[0]] + strings.Repeat(" ", at[1]-at[0]) + norm[at[1]:]
	}
	norm = reBetweenNow.ReplaceAllString(norm, "compared with ")
	take(reBefore, func(m []string) { w.compare, w.offset = true, amount(m[1], m[2]) })
	if !w.compare {
		take(reVsAgo, func(m []string) { w.compare, w.offset = true, amount(m[1], m[2]) })
	}
	if !w.compare {
		take(reVsDay, func(m []string) {
			w.compare, w.offset = true, 24*time.Hour
			switch m[1] {
			case "last week":
				w.offset = 7 * 24 * time.Hour
			case "last month":
				w.offset = 30 * 24 * time.Hour
			}
		})
	}
	take(reBetwen, func(m []string) {
		half := m[3]
		if half == "" && m[6] == "pm" && hourOf(m[1]) < hourOf(m[4]) { // between 2 and 4 pm
			half = "pm"
		}
		from, to := clock(now, m[1], m[2], half, m[7]), clock(now, m[4], m[5], m[6], m[7])
		if to.After(q.Now) || reYest.MatchString(norm) {
			from, to = from.AddDate(0, 0, -1), to.AddDate(0, 0, -1)
		}
		if to.After(from) {
			w.window, w.end = to.Sub(from), q.Now.Sub(to)
		}
	})
	take(reNext, func(m []string) {
		if m[2] != "" {
			w.ahead = amount(m[1], m[2])
		} else {
			w.ahead = amount(m[3], m[4])
		}
	})
	w.point(now, take)
	w.named(now, take)
	if w.window == 0 {
		take(reLast, func(m []string) { w.window = amount(m[1], m[2]) })
	}
	if w.window == 0 && !w.compare && w.end == 0 {
		norm = w.ago(norm)
	}
	if w.window == 0 && w.end == 0 {
		take(reSince, func(m []string) {
			at := time.Date(q.Now.In(loc).Year(), q.Now.In(loc).Month(), q.Now.In(loc).Day(), 0, 0, 0, 0, loc)
			switch m[1] {
			case "midnight":
			case "yesterday":
				at = at.AddDate(0, 0, -1)
			case "noon":
				at = at.Add(12 * time.Hour)
			default:
				at = clock(q.Now.In(loc), m[2], m[3], m[4], m[5])
			}
			if at.After(q.Now) {
				at = at.AddDate(0, 0, -1)
			}
			w.window = q.Now.Sub(at)
		})
	}
	if w.window == 0 && !w.compare && w.end == 0 && w.ahead == 0 && !reFuture.MatchString(norm) {
		take(reBare, func(m []string) { w.window = amount(m[1]+m[3], m[2]+m[4]) })
	}
	if w.window == 0 && !w.compare {
		take(reToday, func([]string) {
			n := q.Now.In(loc)
			w.window = n.Sub(time.Date(n.Year(), n.Month(), n.Day(), 0, 0, 0, 0, loc))
		})
	}
	if w.window == 0 && !w.compare && w.end == 0 {
		take(reYest, func([]string) {
			n := q.Now.In(loc)
			midnight := time.Date(n.Year(), n.Month(), n.Day(), 0, 0, 0, 0, loc)
			w.window, w.end = midnight.Sub(midnight.AddDate(0, 0, -1)), n.Sub(midnight) // 23 or 25 hours where clocks change
		})
	}
	if w.window < 0 || w.window > 10*365*24*time.Hour {
		w.window = 0
	}
	return w, norm
}

func hourOf(s string) int {
	h, _ := strconv.Atoi(s)
	return h
}

// clock is the time of day on the date of now.
func clock(now time.Time, hour, minute, half, zone string) time.Time {
	h, _ := strconv.Atoi(hour)
	m, _ := strconv.Atoi(minute)
	if half == "pm" && h < 12 {
		h += 12
	}
	loc := now.Location()
	if zone != "" {
		loc = time.UTC
		now = now.UTC()
	}
	return time.Date(now.Year(), now.Month(), now.Day(), h, m, 0, 0, loc)
}
