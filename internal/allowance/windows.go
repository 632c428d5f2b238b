package allowance

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"

	"github.com/portent-dev/portent/internal/ingest"
)

// Window is a time in which much is allowed to what its selectors match: once, from Start to
// End, or again and again at Every.
type Window struct {
	ID     string   `json:"id"`
	Match  []string `json:"match"` // selectors as PromQL writes them; a series must match one
	Start  int64    `json:"start"` // Unix ms; with Every 0 = always
	End    int64    `json:"end"`
	Every  *Every   `json:"every,omitempty"`
	Reason string   `json:"reason,omitempty"`
	By     string   `json:"by,omitempty"`

	selectors [][]*labels.Matcher
}

// Every is when a window recurs.
type Every struct {
	Days     []time.Weekday `json:"days,omitempty"` // of its start; none = each day
	Minute   int            `json:"minute"`         // of the day at which it starts
	LengthMs int64          `json:"lengthMs"`
	Zone     string         `json:"zone"` // IANA name; "" = UTC

	location *time.Location
}

// Bounds of windows.
const (
	MaxWindows   = 1000
	maxSelectors = 50
	// longest keeps a forgotten window from hiding a quarter.
	longest = 31 * 24 * time.Hour
	// keepEnded is how long a window is still listed.
	keepEnded = 24 * time.Hour
)

// Prepare checks a window and makes it usable. Errors begin with the field.
func (w *Window) Prepare() error {
	if len(w.Match) == 0 || len(w.Match) > maxSelectors {
		return fmt.Errorf("match: want 1 to %d selectors such as {namespace=\"shop\"}", maxSelectors)
	}
	w.selectors = nil
	for i, text := range w.Match {
		m, err := parser.NewParser(parser.Options{}).ParseMetricSelector(text)
		if err != nil {
			return fmt.Errorf("match[%d]: %q is no selector such as {namespace=\"shop\"}: %w", i, text, err)
		}
		w.selectors = append(w.selectors, m)
	}
	if len(w.Reason) > maxTextBytes || len(w.By) > maxTextBytes || len(w.ID) > 200 {
		return fmt.Errorf("reason, by: want at most %d bytes each", maxTextBytes)
	}
	if w.Every == nil {
		switch {
		case w.Start <= 0:
			return errors.New("start: want a time")
		case w.End <= w.Start:
			return errors.New("end: want a time after start")
		case w.End-w.Start > longest.Milliseconds():
			return errors.New("end: want at most 31 days after start")
		}
		return nil
	}
	return w.Every.prepare()
}

func (e *Every) prepare() (err error) {
	switch {
	case e.Minute < 0 || e.Minute >= 24*60:
		return errors.New("at: want a time of the day such as 02:30")
	case e.LengthMs <= 0 || e.LengthMs > 24*3_600_000:
		return errors.New("for: want more than 0s and at most 1d")
	}
	if e.location, err = time.LoadLocation(e.Zone); err != nil {
		return fmt.Errorf("time_zone: %q is no zone of the IANA database such as Europe/Berlin", e.Zone)
	}
	return nil
}

func (w *Window) openAt(now int64) bool {
	if w.Start != 0 && now < w.Start || w.End != 0 && now >= w.End {
		return false
	}
	if w.Every == nil {
		return true
	}
	at := time.UnixMilli(now).In(w.Every.location)
	for back := range 2 { // it may have begun yesterday
		y, m, d := at.AddDate(0, 0, -back).Date()
		start := time.Date(y, m, d, w.Every.Minute/60, w.Every.Minute%60, 0, 0, w.Every.location)
		if len(w.Every.Days) > 0 && !slices.Contains(w.Every.Days, start.Weekday()) {
			continue
		}
		if s := start.UnixMilli(); now >= s && now < s+w.Every.LengthMs {
			return true
		}
	}
	return false
}

func (w *Window) matches(ls []ingest.Label) bool {
	for _, sel := range w.selectors {
		all := true
		for _, m := range sel {
			if !m.Matches(value(ls, m.Name)) {
				all = false
				break
			}
		}
		if all {
			return true
		}
	}
	return false
}

func (w *Window) text() string {
	text := "maintenance"
	if w.Reason != "" {
		text += ": " + w.Reason
	}
	if w.Every == nil {
		text += ", until " + time.UnixMilli(w.End).UTC().Format("2006-01-02 15:04") + " UTC"
	}
	return text
}

// Plan replaces the windows of the configuration, which are prepared.
func (b *Book) Plan(windows []Window) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.planned = windows
}

// Declare opens a window, which is prepared. A window with an id that is known is replaced.
func (b *Book) Declare(w Window, now int64) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.open = slices.DeleteFunc(b.open, func(x Window) bool { return x.ID == w.ID || x.End < now-keepEnded.Milliseconds() })
	if len(b.open) >= MaxWindows {
		return fmt.Errorf("%d windows are declared: want no more", MaxWindows)
	}
	b.open = append(b.open, w)
	b.changed++
	return nil
}

// Close ends a declared window and reports whether there was one.
func (b *Book) Close(id string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := len(b.open)
	b.open = slices.DeleteFunc(b.open, func(x Window) bool { return x.ID == id })
	if len(b.open) == n {
		return false
	}
	b.changed++
	return true
}

// Windows returns the windows, those of the configuration first, and of each whether it is
// open.
func (b *Book) Windows(now int64) (windows []Window, open []bool) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	windows = append(slices.Clone(b.planned), b.open...)
	for i := range windows {
		open = append(open, windows[i].openAt(now))
	}
	return windows, open
}
