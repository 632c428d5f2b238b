package app

import (
	"cmp"
	"container/heap"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/portent-dev/portent/internal/allowance"
	"github.com/portent-dev/portent/internal/detect"
	"github.com/portent-dev/portent/internal/ingest"
	"github.com/portent-dev/portent/internal/web"
)

const (
	defaultAnomalies = 100
	maxAnomalies     = 10_000
)

// anomaly is one series that is anomalous now.
type anomaly struct {
	// Labels are those of the input, its name as __name__.
	Labels      map[string]string `json:"labels"`
	Score       float64           `json:"score"`
	Observed    float64           `json:"observed"` // for a counter its increase per second
	Expected    float64           `json:"expected"`
	Lower       float64           `json:"lower"`
	Upper       float64           `json:"upper"`
	Since       time.Time         `json:"since"`
	Time        time.Time         `json:"time"` // of the newest sample
	Detector    string            `json:"detector"`
	Reason      string            `json:"reason"`
	Explanation string            `json:"explanation"`
	// Allowance says what raises or lowers the bar of this series; left out where nothing does.
	Allowance *shownAllowance `json:"allowance,omitempty"`
}

type shownAllowance struct {
	Factor float64            `json:"factor"` // the score has been divided by it
	Why    []allowance.Reason `json:"why"`
}

type anomalies struct {
	// Total counts all that are anomalous now; Anomalies holds the worst of them.
	Total int `json:"total"`
	// HeldBack counts those that would be, but for feedback, maintenance and rollouts.
	HeldBack  int       `json:"heldBack"`
	Anomalies []anomaly `json:"anomalies"`
}

// anomaliesView is what the anomalies of one moment are found in.
type anomaliesView struct {
	each     forEach // as the engine has it, before what is allowed
	judge    *allowance.Judge
	detector string
	held     bool // asks for those that are held back, in place of the others
}

// anomaliesHandler serves GET /api/v1/anomalies?limit=&match[]=&held_back=: what is anomalous now, worst first. Unlike /metrics
// it looks at every series, whatever export.max_series is.
func anomaliesHandler(view func() anomaliesView) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		limit := defaultAnomalies
		if s := q.Get("limit"); s != "" {
			n, err := strconv.Atoi(s)
			if err != nil || n < 1 || n > maxAnomalies {
				web.Error(w, http.StatusBadRequest, fmt.Errorf("limit %q is no number from 1 to %d", s, maxAnomalies), "leave it out for the worst 100")
				return
			}
			limit = n
		}
		match, err := newSelection(q["match[]"], nil)
		if err != nil {
			web.Error(w, http.StatusBadRequest, err, "give selectors as in Prometheus, such as match[]={job=\"node\"}")
			return
		}
		v := view()
		switch s := q.Get("held_back"); s {
		case "", "false":
		case "true":
			v.held = true
		default:
			web.Error(w, http.StatusBadRequest, fmt.Errorf("held_back %q is neither true nor false", s), "true lists what would be anomalous, but for feedback, maintenance and rollouts")
			return
		}
		web.JSON(w, http.StatusOK, v.worst(match, limit))
	}
}

var errTooManyScrapes = errors.New("too many scrapes at one time")

// worst finds the anomalous series with the highest scores; at most limit of them are kept at any time.
func (v *anomaliesView) worst(match *selection, limit int) anomalies {
	var top lowest
	total, held := 0, 0
	v.each(func(labels []ingest.Label, o detect.Output) bool {
		if !o.Ready {
			return true
		}
		raw := o
		if factor, _ := v.judge.Factor(labels); factor != 1 {
			o = eased(o, factor)
		}
		if raw.Score <= 1 && o.Score <= 1 || !match.takes(labels) {
			return true
		}
		if o.Score <= 1 {
			held++
		} else {
			total++
		}
		if v.held != (o.Score <= 1) {
			return true
		}
		if v.held {
			o = raw // what it would be
		}
		if len(top) == limit {
			if o.Score <= top[0].out.Score {
				return true
			}
			heap.Pop(&top)
		}
		heap.Push(&top, scored{slices.Clone(labels), o})
		return true
	})
	// Worst first, and the same order for the same state.
	slices.SortFunc(top, func(a, b scored) int {
		return cmp.Or(cmp.Compare(b.out.Score, a.out.Score), slices.CompareFunc(a.labels, b.labels, compareLabels))
	})
	out := anomalies{Total: total, HeldBack: held, Anomalies: make([]anomaly, len(top))}
	for i, s := range top {
		out.Anomalies[i] = newAnomaly(s.labels, s.out, v.detector)
		if a := v.judge.Explain(s.labels); len(a.Why) > 0 {
			out.Anomalies[i].Allowance = &shownAllowance{a.Factor, a.Why}
		}
	}
	return out
}

func compareLabels(a, b ingest.Label) int {
	return cmp.Or(strings.Compare(a.Name, b.Name), strings.Compare(a.Value, b.Value))
}

type scored struct {
	labels []ingest.Label
	out    detect.Output
}

// lowest is a heap with the lowest score on top.
type lowest []scored

func (h lowest) Len() int           { return len(h) }
func (h lowest) Less(i, j int) bool { return h[i].out.Score < h[j].out.Score }
func (h lowest) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *lowest) Push(x any)        { *h = append(*h, x.(scored)) }

func (h *lowest) Pop() any {
	old := *h
	x := old[len(old)-1]
	*h = old[:len(old)-1]
	return x
}

func newAnomaly(labels []ingest.Label, o detect.Output, detector string) anomaly {
	m := make(map[string]string, len(labels))
	for _, l := range labels {
		m[l.Name] = l.Value
	}
	f := o.Finding(labels, detector)
	return anomaly{
		Labels: m, Score: o.Score, Observed: o.Value, Expected: o.Expected, Lower: o.Lower, Upper: o.Upper,
		Since: time.UnixMilli(o.Since).UTC(), Time: time.UnixMilli(o.T).UTC(), Detector: detector, Reason: f.Reason,
		Explanation: strings.Join(append([]string{f.Sentence()}, f.Also...), " "),
	}
}
