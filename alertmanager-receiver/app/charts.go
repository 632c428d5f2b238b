package app

import (
	"context"
	"fmt"
	"html/template"
	"math"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/portent-dev/portent/internal/incident"
)

// chart is a picture drawn as SVG, with the same in words for those who do not see it.
type chart struct {
	SVG   template.HTML
	Words string
	// Left and Right are the ends of the time axis, Top the greatest value.
	Left, Right string
	Top         string
}

const (
	chartWidth  = 600
	chartHeight = 72
	weekSpan    = 7 * 24 * time.Hour
	daySpan     = 24 * time.Hour
)

// recent keeps what happened in the last week for the charts, for a while: they are a glance, and a list of a thousand
// incidents for each page would be most of its time. Safe for concurrent use.
type recent struct {
	mu   sync.Mutex
	at   time.Time
	incs []incident.Incident
}

const (
	recentAge = 15 * time.Second
	// maxRecent bounds what a chart is drawn from; for somebody who sees a part each must be looked at with its alerts.
	maxRecent       = 1000
	maxRecentScoped = 200
)

// lately returns the incidents of the last week that p may see, newest first.
func (s *server) lately(ctx context.Context, p principal) ([]incident.Incident, error) {
	now := s.now()
	q := incident.Query{Since: now.Add(-weekSpan), Limit: maxRecent, Brief: true}
	if p.scoped() {
		q.Brief, q.Limit = false, maxRecentScoped
		incs, _, err := s.store.List(ctx, q)
		var out []incident.Incident
		for _, inc := range incs {
			if seen, whole, ok := p.view(inc, s.settings.Load().words); ok && whole {
				out = append(out, seen)
			}
		}
		return out, err
	}
	s.recent.mu.Lock()
	defer s.recent.mu.Unlock() // one asks for all
	if !s.recent.at.IsZero() && now.Sub(s.recent.at) < recentAge && !now.Before(s.recent.at) {
		return s.recent.incs, nil
	}
	incs, _, err := s.store.List(ctx, q)
	if err == nil {
		s.recent.at, s.recent.incs = now, incs
	}
	return incs, err
}

// dayChart draws how many incidents began in each hour of the last day; nil when there were none.
func dayChart(now time.Time, incs []incident.Incident) *chart {
	return startsChart(now, incs, daySpan, 24, "the last 24 hours", "15:04")
}

// weekChart draws the incidents of the same service in the last week; nil when this one is the only one.
func weekChart(now time.Time, inc incident.Incident, incs []incident.Incident) *chart {
	var same []incident.Incident
	for _, i := range incs {
		if sameService(i, inc) {
			same = append(same, i)
		}
	}
	if len(same) < 2 {
		return nil
	}
	return startsChart(now, same, weekSpan, 28, "the last 7 days", "Mon 02 Jan")
}

// sameService reports whether two incidents are about the same thing, as far as their labels say.
func sameService(a, b incident.Incident) bool {
	if len(b.Labels) == 0 {
		return false
	}
	for _, k := range []string{"cluster", "namespace", "service"} {
		if a.Labels[k] != b.Labels[k] {
			return false
		}
	}
	return true
}

var chartSeverities = []incident.Severity{incident.SeverityCritical, incident.SeverityWarning, incident.SeverityInfo}

// startsChart draws bars of how many incidents began, by severity.
func startsChart(now time.Time, incs []incident.Incident, span time.Duration, bins int, when, layout string) *chart {
	counts := make([]map[incident.Severity]int, bins)
	from := now.Add(-span)
	total, top := 0, 0
	by := map[incident.Severity]int{}
	for _, i := range incs {
		n := int(float64(bins) * i.StartedAt.Sub(from).Seconds() / span.Seconds())
		if i.StartedAt.Before(from) || n < 0 || n >= bins {
			continue
		}
		if counts[n] == nil {
			counts[n] = map[incident.Severity]int{}
		}
		counts[n][i.Severity]++
		by[i.Severity]++
		total++
		top = max(top, counts[n][incident.SeverityCritical]+counts[n][incident.SeverityWarning]+counts[n][incident.SeverityInfo])
	}
	if total == 0 {
		return nil
	}
	var b strings.Builder
	width := float64(chartWidth) / float64(bins)
	for n, c := range counts {
		y := float64(chartHeight)
		for _, sev := range chartSeverities {
			h := float64(c[sev]) * (chartHeight - 4) / float64(top)
			if h == 0 {
				continue
			}
			y -= h
			fmt.Fprintf(&b, `<rect class="%s" x="%.1f" y="%.1f" width="%.1f" height="%.1f"/>`, sev, float64(n)*width+1, y, width-2, h)
		}
	}
	words := fmt.Sprintf("%s began in %s", plural(total, "incident"), when)
	if n := by[incident.SeverityCritical]; n > 0 {
		words += fmt.Sprintf(", %d critical", n)
	}
	return draw(b.String(), words, from.UTC().Format(layout), "now", strconv.Itoa(top))
}

// firingChart draws how many alerts of an incident fired over its time.
func firingChart(inc incident.Incident, from, to time.Time) *chart {
	if len(inc.Alerts) < 2 || !to.After(from) {
		return nil
	}
	const bins = 60
	counts := make([]int, bins)
	span := to.Sub(from).Seconds()
	at := func(t time.Time) float64 { return bins * t.Sub(from).Seconds() / span }
	for _, a := range inc.Alerts {
		end := a.EndsAt
		if end.IsZero() || end.After(to) {
			end = to
		}
		for n := max(0, int(at(a.StartsAt))); n < bins && float64(n) < math.Ceil(at(end)); n++ {
			counts[n]++
		}
	}
	top, when := 0, 0
	for n, c := range counts {
		if c > top {
			top, when = c, n
		}
	}
	if top == 0 {
		return nil
	}
	var b strings.Builder
	fmt.Fprintf(&b, `<path class="area" d="M0 %d`, chartHeight)
	width := float64(chartWidth) / bins
	for n, c := range counts {
		y := chartHeight - float64(c)*(chartHeight-4)/float64(top)
		fmt.Fprintf(&b, "L%.1f %.1fL%.1f %.1f", float64(n)*width, y, float64(n+1)*width, y)
	}
	fmt.Fprintf(&b, `L%d %dZ"/>`, chartWidth, chartHeight)
	peak := from.Add(time.Duration(float64(when) / bins * float64(to.Sub(from))))
	words := fmt.Sprintf("Most alerts at once: %d, from %s on; %d at the end", top, exactly(peak).Text, counts[bins-1])
	return draw(b.String(), words, "", "", strconv.Itoa(top))
}

// draw wraps what is drawn of numbers alone: no text of others is in it.
func draw(inner, words, left, right, top string) *chart {
	svg := fmt.Sprintf(`<svg class="chart" viewBox="0 0 %d %d" preserveAspectRatio="none" aria-hidden="true">%s</svg>`, chartWidth, chartHeight, inner)
	return &chart{SVG: template.HTML(svg), Words: words, Left: left, Right: right, Top: top} //nolint:gosec // numbers and names of severities of ours
}
