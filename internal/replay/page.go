package replay

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"math"
	"strings"
	"time"

	"github.com/portent-dev/portent/internal/finding"
)

//go:embed page.html
var pageText string

var page = template.Must(template.New("page").Funcs(template.FuncMap{
	"stamp": stamp, "score": func(v float64) string { return fmt.Sprintf("%.2f", v) },
	"quantity": finding.Quantity,
}).Parse(pageText))

const (
	// mostCharts is how many series get a chart, the most interesting first.
	mostCharts = 24
	// mostRows is how many firings of a series its table lists.
	mostRows = 20
)

// pageData is what page.html shows.
type pageData struct {
	*Report
	Span   string
	Fired  int
	Charts []chart
	Left   int // series without a chart
}

// chart is one series as paths in a box of chartWidth by chartHeight, stretched to the
// screen by the browser.
type chart struct {
	Name, Unit, Summary       string
	Line, Band, Score         string // paths
	One                       float64
	Bars                      []bar
	High, Low, ScoreHigh      string
	Ticks                     []string
	Rows                      []FiringReport
	Left                      int
	Width, Height, ScoreBoxed int
}

// bar is a firing in the chart.
type bar struct {
	X, W  float64
	Title string
}

const (
	chartWidth  = 1000
	chartHeight = 200
	scoreHeight = 60
)

// HTML writes the report as one page that needs nothing from elsewhere: no script, no
// font, no picture. Text of labels is escaped.
func (r *Report) HTML(w io.Writer) error {
	d := pageData{Report: r, Span: span(r.To.Sub(r.From))}
	for i := range r.Series {
		s := &r.Series[i]
		d.Fired += min(1, s.FiringsTotal)
		if i < mostCharts && s.recorder != nil && len(s.recorder.buckets) > 0 {
			d.Charts = append(d.Charts, r.draw(s))
		} else {
			d.Left++
		}
	}
	return page.Execute(w, d)
}

func span(d time.Duration) string {
	if d >= 48*time.Hour {
		return fmt.Sprintf("%.3g days", d.Hours()/24)
	}
	return duration(d.Round(time.Second).Milliseconds())
}

func (r *Report) draw(s *SeriesReport) chart {
	c := chart{Name: s.name, Unit: s.unit, Width: chartWidth, Height: chartHeight, ScoreBoxed: scoreHeight}
	from, to := r.From.UnixMilli(), r.To.UnixMilli()
	x := func(t int64) float64 { return chartWidth * float64(t-from) / float64(max(1, to-from)) }
	low, high := extent(s.recorder.buckets)
	y := func(v float64) float64 {
		return max(-5, min(chartHeight+5, chartHeight*(high-v)/(high-low)))
	}
	c.High, c.Low = finding.Quantity(high, s.unit), finding.Quantity(low, s.unit)
	c.Line, c.Band = linePath(s.recorder, x, y), bandPath(s.recorder, x, y)
	most := max(2, min(s.PeakScore, 100))
	// The square root leaves 1 visible beside 100.
	up := func(score float64) float64 { return scoreHeight * (1 - math.Sqrt(min(score, most)/most)) }
	c.Score, c.One, c.ScoreHigh = scorePath(s.recorder, x, up), up(1), fmt.Sprintf("%.3g", most)
	for i, f := range s.Firings {
		from, to := x(f.Start.UnixMilli()), x(f.End.UnixMilli())
		c.Bars = append(c.Bars, bar{from, max(2, to-from), fmt.Sprintf("%s: %s", stamp(f.Start), f.Explanation)})
		if i < mostRows {
			c.Rows = append(c.Rows, f)
		}
	}
	c.Left = s.FiringsTotal - len(c.Rows)
	c.Summary = fmt.Sprintf("%d samples, highest score %.2f, %s", s.Samples, s.PeakScore, plural(s.FiringsTotal))
	for i := range 5 {
		t := time.UnixMilli(from + int64(i)*(to-from)/4).UTC()
		if to-from > 2*24*3600*1000 {
			c.Ticks = append(c.Ticks, t.Format("2 Jan"))
		} else {
			c.Ticks = append(c.Ticks, t.Format("15:04"))
		}
	}
	return c
}

// extent returns what the chart shows: all values, and of the band what lies within half
// their range around them.
func extent(buckets []bucket) (low, high float64) {
	low, high = math.Inf(1), math.Inf(-1)
	for _, b := range buckets {
		low, high = min(low, b.least), max(high, b.most)
	}
	if !finite(low) || !finite(high) {
		return 0, 1
	}
	room := (high - low) / 2
	most, least := high, low
	for _, b := range buckets {
		if b.banded {
			least, most = min(least, max(b.lower, low-room)), max(most, min(b.upper, high+room))
		}
	}
	pad := max((most-least)*0.04, math.Abs(most)*1e-3, 1e-12)
	if least >= 0 {
		return max(0, least-pad), most + pad
	}
	return least - pad, most + pad
}

type scale[T any] func(T) float64

// linePath draws the values; where a bucket holds several, from the least to the most.
func linePath(r *Recorder, x scale[int64], y scale[float64]) string {
	var b strings.Builder
	var before int64
	for _, k := range r.buckets {
		if !finite(k.last) {
			before = 0
			continue
		}
		if before == 0 || k.t-before > gapOf(r) {
			fmt.Fprintf(&b, "M%.1f %.1f", x(k.t), y(k.last))
		}
		if k.most > k.least {
			fmt.Fprintf(&b, "L%.1f %.1fL%.1f %.1f", x(k.t), y(k.least), x(k.t), y(k.most))
		}
		fmt.Fprintf(&b, "L%.1f %.1f", x(k.t), y(k.last))
		before = k.t
	}
	return b.String()
}

// gapOf returns the distance from which on neighbours are not connected.
func gapOf(r *Recorder) int64 {
	if len(r.buckets) < 2 {
		return math.MaxInt64
	}
	mean := (r.buckets[len(r.buckets)-1].t - r.buckets[0].t) / int64(len(r.buckets)-1)
	return 5 * max(mean, r.width)
}

// bandPath draws the range of the usual, a closed area for each stretch of time that has one.
func bandPath(r *Recorder, x scale[int64], y scale[float64]) string {
	var b strings.Builder
	flush := func(run []bucket) {
		if len(run) < 2 {
			return
		}
		for i, k := range run {
			cmd := "L"
			if i == 0 {
				cmd = "M"
			}
			fmt.Fprintf(&b, "%s%.1f %.1f", cmd, x(k.t), y(k.upper))
		}
		for i := len(run) - 1; i >= 0; i-- {
			fmt.Fprintf(&b, "L%.1f %.1f", x(run[i].t), y(run[i].lower))
		}
		b.WriteString("Z")
	}
	start := 0
	for i, k := range r.buckets {
		if !k.banded || i > start && k.t-r.buckets[i-1].t > gapOf(r) {
			flush(r.buckets[start:i])
			start = i
			if !k.banded {
				start = i + 1
			}
		}
	}
	flush(r.buckets[min(start, len(r.buckets)):])
	return b.String()
}

func scorePath(r *Recorder, x scale[int64], up scale[float64]) string {
	var b strings.Builder
	for i, k := range r.buckets {
		cmd := "L"
		if i == 0 {
			cmd = "M"
		}
		fmt.Fprintf(&b, "%s%.1f %.1f", cmd, x(k.t), up(k.score))
	}
	return b.String()
}
