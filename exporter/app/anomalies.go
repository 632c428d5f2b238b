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
}

type anomalies struct {
	// Total counts all that are anomalous now; Anomalies holds the worst of them.
	Total     int       `json:"total"`
	Anomalies []anomaly `json:"anomalies"`
}

// anomaliesHandler serves GET /api/v1/anomalies?limit=&match[]=: what is anomalous now, worst first. Unlike /metrics it looks
// at every series, whatever export.max_series is.
func anomaliesHandler(each func() forEach, detector func() string) http.HandlerFunc {
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
		web.JSON(w, http.StatusOK, worst(each(), match, limit, detector()))
	}
}

var errTooManyScrapes = errors.New("too many scrapes at one time")

// worst finds the anomalous series with the highest scores; at most limit of them are kept at any time.
func worst(each forEach, match *selection, limit int, detector string) anomalies {
	var top lowest
	total := 0
	each(func(labels []ingest.Label, o detect.Output) bool {
		if !o.Ready || o.Score <= 1 || !match.takes(labels) {
			return true
		}
		total++
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
	out := anomalies{Total: total, Anomalies: make([]anomaly, len(top))}
	for i, s := range top {
		out.Anomalies[i] = newAnomaly(s.labels, s.out, detector)
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
