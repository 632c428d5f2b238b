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
	"github.com/portent-dev/portent/internal/analyze"
	"github.com/portent-dev/portent/internal/detect"
	"github.com/portent-dev/portent/internal/detect/group"
	"github.com/portent-dev/portent/internal/ingest"
	"github.com/portent-dev/portent/internal/verdict"
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
	Unit        string            `json:"unit,omitempty"`
	// Place is the workload or machine that the series belongs to, MovedWith what else is anomalous there, the first to move
	// first; First says that this one was.
	Place     string     `json:"place,omitempty"`
	First     bool       `json:"first,omitempty"`
	MovedWith []movement `json:"movedWith,omitempty"`
	// Limit is when a known limit is met, for series that have one.
	Limit     *shownLimit `json:"limit,omitempty"`
	Suggested []string    `json:"suggestedActions"`
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
	// Groups are those whose series are anomalous together, worst first, at most as many as the limit.
	Groups []anomalousGroup `json:"groups"`
}

// anomalousGroup is a group of series that is anomalous now.
type anomalousGroup struct {
	Group    string            `json:"group"`
	Labels   map[string]string `json:"labels"` // that its series share
	Kind     group.Kind        `json:"kind"`
	Score    float64           `json:"score"`
	Since    time.Time         `json:"since"`
	Members  int               `json:"members"`
	Vanished bool              `json:"vanished,omitempty"`
	// Shares are the members that make the score, the largest first.
	Shares      []groupShare `json:"shares"`
	Explanation string       `json:"explanation"`
}

type groupShare struct {
	Labels map[string]string `json:"labels"`
	Name   string            `json:"name"`
	Share  float64           `json:"share"` // of the score, 0 to 1
	Score  float64           `json:"score"` // of the series alone
	// Deviation is how far it lies off, in its own usual deviations.
	Deviation float64 `json:"deviation"`
}

// anomaliesView is what the anomalies of one moment are found in.
type anomaliesView struct {
	each     forEach // as the engine has it, before what is allowed
	judge    *allowance.Judge
	groups   *group.Watch
	limits   *limits
	limitOf  func([]ingest.Label, detect.Output) (float64, bool)
	loads    *loads
	actions  *analyze.Actions
	class    func(detect.Output) detect.Class
	detector string
	held     bool           // asks for those that are held back, in place of the others
	names    *analyze.Names // of what is told; by name
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
	v.unquiet(func(labels []ingest.Label, o detect.Output) bool {
		raw := o
		o, _ = v.show(labels, o)
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
	around := v.look(top)
	v.name(top, around)
	for i, s := range top {
		a := newAnomaly(s.labels, s.out, v.detector)
		v.explain(&a, s, around[placeOf(s.labels)])
		why := v.judge.Explain(s.labels)
		if _, by := v.show(s.labels, s.out); by != "" {
			why.Why = append(why.Why, allowance.Reason{Kind: kindContext, Factor: 1, Text: by + " moved with it"})
		}
		if len(why.Why) > 0 {
			a.Allowance = &shownAllowance{why.Factor, why.Why}
		}
		out.Anomalies[i] = a
	}
	out.Groups = v.anomalousGroups(limit)
	return out
}

// unquiet visits the series that have a score and may show one above 1: of a million that are normal hardly any is looked at closer.
func (v *anomaliesView) unquiet(f func([]ingest.Label, detect.Output) bool) {
	quiet := v.judge.Least()
	v.each(func(labels []ingest.Label, o detect.Output) bool {
		if !o.Ready || o.Score <= quiet && (v.groups == nil || !v.groups.MayRaise(labels)) {
			return true
		}
		return f(labels, o)
	})
}

// kindContext is the reason of a score that is held back since what the series depends on moved with it.
const kindContext allowance.Kind = "context"

// show returns what a series shows after what is allowed and what its groups say, and what explains it.
func (v *anomaliesView) show(labels []ingest.Label, o detect.Output) (shown detect.Output, explainedBy string) {
	s := verdict.View{Judge: v.judge, Groups: v.groups}.Show(labels, o)
	return s.Out, s.ExplainedBy
}

// anomalousGroups returns the groups whose score is above 1.
func (v *anomaliesView) anomalousGroups(limit int) []anomalousGroup {
	out := []anomalousGroup{}
	if v.groups == nil {
		return out
	}
	v.groups.Results(func(r group.Result) bool {
		if !r.Ready || r.Score <= 1 {
			return true
		}
		g := anomalousGroup{
			Group: r.Group, Labels: labelMap(r.Labels), Kind: r.Kind, Score: r.Score, Since: time.UnixMilli(r.Since).UTC(),
			Members: r.Members, Vanished: r.Vanished, Shares: []groupShare{},
		}
		for _, s := range r.Shares {
			g.Shares = append(g.Shares, groupShare{labelMap(s.Labels), v.nameOf(s.Labels), s.Part, s.Score, s.Deviation})
		}
		g.Explanation = verdict.Sentence(&r, v.nameOf)
		out = append(out, g)
		return true
	})
	slices.SortStableFunc(out, func(a, b anomalousGroup) int { return cmp.Compare(b.Score, a.Score) })
	return out[:min(limit, len(out))]
}

// nameOf returns what people call a series.
func (v *anomaliesView) nameOf(labels []ingest.Label) string {
	if name, known := v.names.NameOf(labelMap(labels), ""); known {
		return name
	}
	return detect.Output{}.Finding(labels, "").Subject()
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
	f := o.Finding(labels, detector)
	return anomaly{
		Labels: labelMap(labels), Score: o.Score, Observed: o.Value, Expected: o.Expected, Lower: o.Lower, Upper: o.Upper,
		Since: time.UnixMilli(o.Since).UTC(), Time: time.UnixMilli(o.T).UTC(), Detector: detector, Reason: f.Reason,
	}
}
