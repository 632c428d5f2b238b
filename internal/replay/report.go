package replay

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/prometheus/common/model"

	"github.com/portent-dev/portent/internal/detect"
	"github.com/portent-dev/portent/internal/finding"
	"github.com/portent-dev/portent/internal/ingest"
)

// Report is what a replay found. Its JSON is what `--json` prints.
type Report struct {
	Title       string    `json:"query"` // what was replayed
	From        time.Time `json:"from"`  // of the first sample
	To          time.Time `json:"to"`
	Sensitivity string    `json:"sensitivity"`
	Detector    string    `json:"detector"`
	Threshold   float64   `json:"threshold"` // of the score
	Hold        string    `json:"for"`
	Samples     int       `json:"samples"`
	// SeriesRefused counts how often a series found no room.
	SeriesRefused uint64 `json:"seriesRefused,omitempty"`
	// HeldBack counts the samples with a score above Threshold that show none, because of feedback,
	// maintenance, a rollout or what they depend on.
	HeldBack     int `json:"samplesHeldBack,omitempty"`
	FiringsTotal int `json:"firingsTotal"`
	// Notes say what could not be taken into account.
	Notes []string `json:"notes,omitempty"`
	// Series holds every series, the most interesting first: the highest score, then the most firings.
	Series []SeriesReport `json:"series"`
}

// SeriesReport is what became of one series.
type SeriesReport struct {
	Labels       map[string]string `json:"labels"`
	Samples      int               `json:"samples"`
	PeakScore    float64           `json:"peakScore"`
	FiringsTotal int               `json:"firingsTotal"`
	Firings      []FiringReport    `json:"firings"` // in order of time; of very many the first 200

	recorder *Recorder
	name     string
	unit     string
}

// FiringReport is one firing. Observed and what was expected are those at the highest score.
type FiringReport struct {
	Start       time.Time `json:"start"`
	End         time.Time `json:"end"`
	Open        bool      `json:"open,omitempty"` // had not ended with the last sample
	Duration    string    `json:"duration"`
	PeakAt      time.Time `json:"peakAt"`
	PeakScore   float64   `json:"peakScore"`
	Observed    float64   `json:"observed"`
	Expected    float64   `json:"expected"`
	Lower       float64   `json:"lower"`
	Upper       float64   `json:"upper"`
	Reason      string    `json:"reason"`
	Explanation string    `json:"explanation"`

	told finding.Finding
}

// Report returns what was found so far. title says what was replayed.
func (r *Run) Report(title string) Report {
	out := Report{
		Title: title, From: at(r.from), To: at(r.to), Sensitivity: string(r.opts.Detect.Sensitivity), Detector: r.opts.Detect.Detector,
		Threshold: Threshold, Hold: duration(r.opts.HoldMs), Samples: r.samples,
		SeriesRefused: r.engine.Stats().SeriesRefused, HeldBack: r.heldBack, Series: []SeriesReport{},
	}
	if out.Detector == "" {
		out.Detector = detect.DefaultDetector
	}
	for _, rec := range r.order {
		if rec.group && rec.Peak() <= Threshold {
			continue // hundreds of groups with nothing to tell
		}
		out.Add(rec.labels, rec.Recorder)
		s := &out.Series[len(out.Series)-1]
		s.unit = cmp.Or(rec.unit, s.unit)
		for i := range s.Firings {
			f := &s.Firings[i]
			f.told.Unit = s.unit
			f.Explanation = f.told.Sentence()
			if told := rec.told[f.PeakAt.UnixMilli()]; told != "" {
				f.Explanation = told
			}
		}
	}
	out.Sort()
	return out
}

// Add puts what one recorder kept into the report.
func (r *Report) Add(labels []ingest.Label, rec *Recorder) {
	told := detect.Output{}.Finding(labels, r.Detector)
	s := SeriesReport{
		Labels: map[string]string{}, Samples: rec.Samples(), PeakScore: rec.Peak(), Firings: []FiringReport{},
		recorder: rec, name: told.Subject(), unit: told.Unit,
	}
	for _, l := range labels {
		s.Labels[l.Name] = l.Value
	}
	kept, total := rec.Firings()
	s.FiringsTotal = total
	r.FiringsTotal += total
	for _, f := range kept {
		o := f.Peak
		o.Since = f.Start
		told := o.Finding(labels, r.Detector)
		s.Firings = append(s.Firings, FiringReport{
			Start: at(f.Start), End: at(f.End), Open: f.Open, Duration: duration(f.End - f.Start),
			PeakAt: at(o.T), PeakScore: o.Score, Observed: o.Value, Expected: o.Expected, Lower: o.Lower, Upper: o.Upper,
			Reason: told.Reason, Explanation: told.Sentence(), told: told,
		})
	}
	r.Series = append(r.Series, s)
}

// Sort brings the most interesting series to the front.
func (r *Report) Sort() {
	slices.SortStableFunc(r.Series, func(a, b SeriesReport) int {
		return cmp.Or(
			cmp.Compare(min(b.FiringsTotal, 1), min(a.FiringsTotal, 1)), cmp.Compare(b.PeakScore, a.PeakScore),
			cmp.Compare(b.FiringsTotal, a.FiringsTotal), strings.Compare(a.name, b.name))
	})
}

// duration writes milliseconds as Prometheus does.
func duration(ms int64) string { return model.Duration(time.Duration(ms) * time.Millisecond).String() }

func at(ms int64) time.Time { return time.UnixMilli(ms).UTC() }

// Table writes the report for a person: a line for each firing, the most interesting series
// first, at most lines of them (0: all).
func (r *Report) Table(w io.Writer, lines int) error {
	span := r.To.Sub(r.From)
	fmt.Fprintf(w, "%s\n%s to %s, %d series, %d samples; sensitivity %s, detector %s: fires when the score is above %g for %s\n",
		r.Title, stamp(r.From), stamp(r.To), len(r.Series), r.Samples, r.Sensitivity, r.Detector, r.Threshold, r.Hold)
	fired := 0
	for _, s := range r.Series {
		fired += min(1, s.FiringsTotal)
	}
	fmt.Fprintf(w, "%s of %d series", plural(r.FiringsTotal), fired)
	if days := span.Hours() / 24; days >= 1 && r.FiringsTotal > 0 {
		fmt.Fprintf(w, ", %.2g a day", float64(r.FiringsTotal)/days)
	}
	fmt.Fprintln(w)
	if r.HeldBack > 0 {
		fmt.Fprintf(w, "%d samples above %g are held back by feedback, maintenance, rollouts or what they depend on\n", r.HeldBack, r.Threshold)
	}
	for _, note := range r.Notes {
		fmt.Fprintf(w, "%s\n", note)
	}
	if r.SeriesRefused > 0 {
		fmt.Fprintf(w, "series were left out for want of room: raise the limit of series or narrow the query\n")
	}
	if r.FiringsTotal == 0 {
		return nil
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "\nSINCE (UTC)\tLASTED\tSCORE\tOBSERVED\tUSUAL\tWHY\tSERIES")
	written, left := 0, 0
	for _, s := range r.Series {
		left += s.FiringsTotal
		for _, f := range s.Firings {
			if lines > 0 && written == lines {
				break
			}
			written++
			lasted := f.Duration
			if f.Open {
				lasted += "…"
			}
			fmt.Fprintf(t, "%s\t%s\t%.2f\t%s\t%s to %s\t%s\t%s\n", stamp(f.Start), lasted, f.PeakScore, finding.Quantity(f.Observed, s.unit),
				finding.Quantity(f.Lower, s.unit), finding.Quantity(f.Upper, s.unit), f.Reason, s.name)
		}
	}
	if err := t.Flush(); err != nil {
		return err
	}
	if left -= written; left > 0 {
		_, err := fmt.Fprintf(w, "… and %d more\n", left)
		return err
	}
	return nil
}

func plural(firings int) string {
	if firings == 1 {
		return "1 firing"
	}
	return fmt.Sprintf("%d firings", firings)
}

func stamp(t time.Time) string { return t.Format("2006-01-02 15:04") }
