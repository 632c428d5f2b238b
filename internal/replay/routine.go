package replay

import (
	"time"

	"github.com/portent-dev/portent/internal/allowance"
	"github.com/portent-dev/portent/internal/detect"
	"github.com/portent-dev/portent/internal/ingest"
)

// routineScore is what a routine shows in the exporter, too: that there is something, and
// that it is no news.
const routineScore = 0.9

// Routine holds back what series do at their time, as allowance.Judge.Routine says. Make it
// with NewRoutine. It is not safe for concurrent use.
type Routine struct{ book *allowance.Book }

// NewRoutine makes one that knows nothing yet. Days are those of the location; nil = UTC.
func NewRoutine(location *time.Location) *Routine {
	o := allowance.Defaults()
	o.Location = location
	return &Routine{allowance.New(o)}
}

// Show notes what a series shows, at Output.T, and returns what is left of it. Times must
// ascend for each series.
func (r *Routine) Show(labels []ingest.Label, o detect.Output) detect.Output {
	if !o.Ready || o.Missing || o.Score <= Threshold {
		return o
	}
	deviation := o.Value - o.Expected
	r.book.Anomalous(labels, o.T, deviation)
	if !r.book.At(o.T).Routine(labels, o.T, deviation) {
		return o
	}
	o.Score, o.Since, o.Reason = routineScore, 0, detect.ReasonNone
	o.Lower, o.Upper = min(o.Lower, o.Value), max(o.Upper, o.Value)
	return o
}
