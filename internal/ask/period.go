package ask

import (
	"regexp"
	"strings"
	"time"
)

// period is a stretch of time that people have a name for.
type period struct {
	re *regexp.Regexp
	// find returns its beginning and its end; m are the submatches. now is in the
	// asker's zone.
	find func(now time.Time, m []string) (from, to time.Time)
}

const lead = `\b(?:(?:since|over|during|on|in|from|for|throughout|of) )?(?:the )?`

// Parts of the day begin and end at these hours: there is no norm for them, these are
// what dictionaries say.
var dayParts = map[string][2]int{"morning": {6, 12}, "afternoon": {12, 18}, "evening": {18, 24}, "night": {20, 30}}

var weekdays = map[string]time.Weekday{
	"sunday": time.Sunday, "monday": time.Monday, "tuesday": time.Tuesday, "wednesday": time.Wednesday, "thursday": time.Thursday, "friday": time.Friday, "saturday": time.Saturday,
}

var periods = []period{
	{regexp.MustCompile(lead + `(?:(?:last|past|this|previous) )?weekend\b`), func(now time.Time, _ []string) (time.Time, time.Time) {
		from := lastDay(now, time.Saturday)
		return from, from.AddDate(0, 0, 2)
	}},
	{regexp.MustCompile(lead + `(?:last|previous|past) (?:business|working|work) ?day\b`), func(now time.Time, _ []string) (time.Time, time.Time) {
		from := midnight(now).AddDate(0, 0, -1)
		for from.Weekday() == time.Saturday || from.Weekday() == time.Sunday {
			from = from.AddDate(0, 0, -1)
		}
		return from, from.AddDate(0, 0, 1)
	}},
	{regexp.MustCompile(lead + `(yesterday|this|today|earlier this|early this|last) (morning|afternoon|evening|night)\b`), func(now time.Time, m []string) (time.Time, time.Time) {
		day := midnight(now)
		if m[1] == "yesterday" || m[1] == "last" {
			day = day.AddDate(0, 0, -1)
		}
		h := dayParts[m[2]]
		return day.Add(time.Duration(h[0]) * time.Hour), day.Add(time.Duration(h[1]) * time.Hour)
	}},
	{regexp.MustCompile(`\b(?:overnight|(?:during|over|in|at) (?:the )?night)\b`), func(now time.Time, _ []string) (time.Time, time.Time) {
		day := midnight(now).AddDate(0, 0, -1)
		return day.Add(20 * time.Hour), day.Add(30 * time.Hour)
	}},
	{regexp.MustCompile(lead + `(?:(?:last|past|this) )?(sunday|monday|tuesday|wednesday|thursday|friday|saturday)\b`), func(now time.Time, m []string) (time.Time, time.Time) {
		from := lastDay(now, weekdays[m[1]])
		return from, from.AddDate(0, 0, 1)
	}},
	{regexp.MustCompile(lead + `(?:this week|(?:beginning|start) of (?:the|this) week)\b`), func(now time.Time, _ []string) (time.Time, time.Time) { return lastDay(now, time.Monday), now }},
	{regexp.MustCompile(lead + `(?:this month|month to date|(?:beginning|start) of (?:the|this) month)\b`), func(now time.Time, _ []string) (time.Time, time.Time) {
		return midnight(now).AddDate(0, 0, 1-now.Day()), now
	}},
	{regexp.MustCompile(lead + `(?:(?:beginning|start) of (?:the|this) day|this day)\b`), func(now time.Time, _ []string) (time.Time, time.Time) { return midnight(now), now }},
	{regexp.MustCompile(lead + `day before yesterday\b`), func(now time.Time, _ []string) (time.Time, time.Time) {
		return midnight(now).AddDate(0, 0, -2), midnight(now).AddDate(0, 0, -1)
	}},
	{regexp.MustCompile(lead + `(?:last|past|previous) (half(?: an)?|quarter(?: of an)?) hour\b`), func(now time.Time, m []string) (time.Time, time.Time) {
		if strings.HasPrefix(m[1], "half") {
			return now.Add(-30 * time.Minute), now
		}
		return now.Add(-15 * time.Minute), now
	}},
}

func midnight(t time.Time) time.Time {
	return time.Date(t.Year(), t.Month(), t.Day(), 0, 0, 0, 0, t.Location())
}

// lastDay is the beginning of the last such day of the week; today counts.
func lastDay(now time.Time, d time.Weekday) time.Time {
	back := (int(now.Weekday()) - int(d) + 7) % 7
	return midnight(now).AddDate(0, 0, -back)
}

var (
	reAgo    = regexp.MustCompile(`(\bthan |\bleast |\bover |\blong |\bmany [a-z]+ |\bsince )?(?:\babout |\baround )?\b` + numberPattern + ` ?` + unitPattern + ` ago\b`)
	reAt     = regexp.MustCompile(`\b(?:at|as of) (?:about |around )?(?:(noon|midnight)|(\d{1,2}):(\d\d) ?(am|pm)?|(\d{1,2}) ?(am|pm|o'?clock))( ?(?:utc|gmt))?(?: (yesterday|today))?`)
	reAround = regexp.MustCompile(`\bbefore (?:and|vs\.?|versus|to) after (?:(noon)|(\d{1,2})(?::(\d\d))? ?(am|pm)?)( ?(?:utc|gmt))?`)
)

// named takes a named period out of the question. Of one that is not over yet, what
// is over is looked at.
func (w *when) named(now time.Time, take func(*regexp.Regexp, func([]string))) {
	for _, p := range periods {
		if w.window > 0 {
			return
		}
		take(p.re, func(m []string) {
			from, to := p.find(now, m)
			if strings.Contains(m[0], "since ") || to.After(now) {
				to = now
			}
			if to.After(from) {
				w.window, w.end = to.Sub(from), now.Sub(to)
			}
		})
	}
}

// point takes a point in time: "2 hours ago", "at 14:30". What is asked for then is as it
// was at that time; "since 2 hours ago" is a window.
func (w *when) point(now time.Time, take func(*regexp.Regexp, func([]string))) {
	take(reAround, func(m []string) {
		at := clock(now, orTwelve(m[1], m[2]), m[3], m[4], m[5])
		if at.After(now) {
			at = at.AddDate(0, 0, -1)
		}
		w.window = now.Sub(at)
		w.compare, w.offset = true, w.window
	})
	if w.window > 0 || w.compare {
		return
	}
	take(reAt, func(m []string) {
		at := midnight(now)
		if m[1] != "midnight" {
			at = clock(now, orTwelve(m[1], m[2]+m[5]), m[3], m[4]+m[6], m[7])
		}
		if m[8] == "yesterday" || at.After(now) {
			at = at.AddDate(0, 0, -1)
		}
		w.end = now.Sub(at)
	})
}

func orTwelve(noon, hour string) string {
	if noon == "noon" {
		return "12"
	}
	return hour
}

// ago takes "2 hours ago" where it is neither a bound ("more than 2 hours ago") nor what
// is asked for ("how long ago").
func (w *when) ago(norm string) string {
	at := reAgo.FindStringSubmatchIndex(norm)
	if at == nil {
		return norm
	}
	d := amount(norm[at[4]:at[5]], norm[at[6]:at[7]])
	if at[2] >= 0 {
		if norm[at[2]:at[3]] != "since " {
			return norm
		}
		w.window = d
	} else {
		w.end = d
	}
	w.told = true
	return norm[:at[0]] + strings.Repeat(" ", at[1]-at[0]) + norm[at[1]:]
}
