package policy

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/portent-dev/portent/internal/web"
)

// Hours are working hours in a time zone.
type Hours struct {
	// TimeZone is a name of the IANA database; empty is UTC.
	TimeZone string `yaml:"time_zone" json:"timeZone"`
	// Days are mon, tue, wed, thu, fri, sat, sun; empty is all of them.
	Days []string `yaml:"days" json:"days"`
	// From and To are times of day, 09:00 and 17:30. To is the first minute that is
	// outside, up to 24:00. A To at or before From lies on the next day.
	From string `yaml:"from" json:"from"`
	To   string `yaml:"to" json:"to"`
	// Holidays are days, 2026-12-25, on which no hours begin.
	Holidays []string `yaml:"holidays" json:"holidays,omitempty"`
}

var weekdays = []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}

// A calendar is compiled Hours. Minutes count from midnight of the clock on the
// wall, so that hours stay what they are when the clock is changed.
type calendar struct {
	zone     *time.Location
	days     [7]bool
	from, to int
	holidays map[string]bool
}

func (h Hours) validate() error {
	_, err := h.compile()
	return err
}

// compile reports all that is wrong with the hours.
func (h Hours) compile() (*calendar, error) {
	c := &calendar{holidays: map[string]bool{}}
	var errs []error
	var err error
	if c.zone, err = time.LoadLocation(h.TimeZone); err != nil || h.TimeZone == "Local" {
		errs = append(errs, web.Invalid("time_zone", fmt.Errorf("%.60q is no time zone such as Europe/Berlin", h.TimeZone)))
	}
	for i, d := range h.Days {
		n := slices.Index(weekdays, strings.ToLower(d))
		if n < 0 {
			errs = append(errs, web.Invalid(fmt.Sprintf("days[%d]", i), fmt.Errorf("%.20q: want mon, tue, wed, thu, fri, sat or sun", d)))
			continue
		}
		c.days[n] = true
	}
	if len(h.Days) == 0 {
		c.days = [7]bool{true, true, true, true, true, true, true}
	}
	if c.from, err = minute(h.From); err != nil || c.from == dayMinutes {
		errs = append(errs, web.Invalid("from", fmt.Errorf("%.20q: want a time such as 09:00", h.From)))
	}
	if c.to, err = minute(h.To); err != nil {
		errs = append(errs, web.Invalid("to", fmt.Errorf("%.20q: want a time such as 17:30, up to 24:00", h.To)))
	}
	for i, d := range h.Holidays {
		if _, err := time.Parse(time.DateOnly, d); err != nil {
			errs = append(errs, web.Invalid(fmt.Sprintf("holidays[%d]", i), fmt.Errorf("%.20q: want a day such as 2026-12-25", d)))
		}
		c.holidays[d] = true
	}
	return c, errors.Join(errs...)
}

const dayMinutes = 24 * 60

func minute(s string) (int, error) {
	if s == "24:00" {
		return dayMinutes, nil
	}
	t, err := time.Parse("15:04", s)
	return t.Hour()*60 + t.Minute(), err
}

// open reports whether t lies within the hours.
func (c *calendar) open(t time.Time) bool {
	t = t.In(c.zone)
	m := t.Hour()*60 + t.Minute()
	if c.from < c.to {
		return c.works(t) && m >= c.from && m < c.to
	}
	yesterday := time.Date(t.Year(), t.Month(), t.Day()-1, 12, 0, 0, 0, c.zone)
	return c.works(t) && m >= c.from || c.works(yesterday) && m < c.to
}

// works reports whether hours begin on the day of t.
func (c *calendar) works(t time.Time) bool {
	return c.days[t.Weekday()] && !c.holidays[t.Format(time.DateOnly)]
}
