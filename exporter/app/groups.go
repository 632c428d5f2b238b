package app

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/model"

	"github.com/portent-dev/portent/internal/allowance"
	"github.com/portent-dev/portent/internal/detect"
	"github.com/portent-dev/portent/internal/detect/group"
	"github.com/portent-dev/portent/internal/ingest"
	"github.com/portent-dev/portent/internal/verdict"
)

// groupEvery is how often groups are looked at.
const groupEvery = 15 * time.Second

// groups judge series by one another. The watch is replaced when the rules change.
type groups struct {
	watch atomic.Pointer[group.Watch]
	held  atomic.Int64 // series whose score their context holds back, in the last whole pass
}

func newGroups(reg prometheus.Registerer) *groups {
	g := &groups{}
	gauge := func(name, help string, f func(group.Stats) float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: prefix + name, Help: help}, func() float64 {
			if w := g.watch.Load(); w != nil {
				return f(w.Stats())
			}
			return 0
		})
	}
	reg.MustRegister(
		gauge("groups", "Groups of series that are judged by one another.", func(s group.Stats) float64 { return float64(s.Groups) }),
		gauge("group_members", "Series in groups; one that is in two counts twice.", func(s group.Stats) float64 { return float64(s.Members) }),
		gauge("group_members_left_out", "Times that a series found no room in its group since the rules were loaded.", func(s group.Stats) float64 { return float64(s.Dropped) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: prefix + "series_explained", Help: "Series that would have a score above 1, and have not because what they depend on moved with them (unless).",
		}, func() float64 { return float64(g.held.Load()) }),
	)
	return g
}

// newWatch makes the groups that the configuration asks for. What the book allows much to may be gone without having vanished.
func newWatch(d *Detection, book *allowance.Book) (*group.Watch, error) {
	set, err := d.set()
	if err != nil {
		return nil, err
	}
	rules, contexts := set.Groups()
	w, err := group.New(group.Options{
		Rules: rules, Contexts: contexts, Sensitivity: d.Sensitivity,
		Excused: func(now int64, labels []ingest.Label) bool {
			_, most := book.At(now).Factor(labels)
			return most == allowance.KindMaintenance || most == allowance.KindRollout
		},
	})
	if err != nil {
		return nil, fmt.Errorf("groups: %w", err)
	}
	return w, nil
}

// watchGroups looks at the groups until ctx ends.
func (a *App) watchGroups(ctx context.Context) {
	t := time.NewTicker(groupEvery)
	defer t.Stop()
	for {
		select {
		case now := <-t.C:
			a.tickGroups(now)
		case <-ctx.Done():
			return
		}
	}
}

func (a *App) tickGroups(now time.Time) {
	if a.learning.Load() {
		return
	}
	e := a.gate.engine.Load()
	a.groups.watch.Load().Tick(now.UnixMilli(), a.allow.adjust(e.ForEach, now.UnixMilli()))
	a.limitsFrom.expire(now.UnixMilli())
	a.limits.look(a.loads.during(a.allow.adjust(e.ForEach, now.UnixMilli())), func(labels []ingest.Label, o detect.Output) bool {
		_, known := a.limitsFrom.limitOf(labels, o, e.Class)
		return known
	})
}

// judge returns a visitor of the same series with what their groups add.
func (g *groups) judge(each forEach) forEach {
	w := g.watch.Load()
	if w == nil || w.Stats().Members == 0 {
		g.held.Store(0)
		return each
	}
	return func(f func([]ingest.Label, detect.Output) bool) {
		held, whole := int64(0), true
		each(func(labels []ingest.Label, o detect.Output) bool {
			if o.Ready {
				v := w.Judge(labels, o)
				if v.ExplainedBy != "" && o.Score > 1 {
					held++
				}
				o = verdict.Settle(o, v)
			}
			whole = f(labels, o)
			return whole
		})
		if whole {
			g.held.Store(held)
		}
	}
}

// groupLabel names the group in anomaly_group_score.
const groupLabel = "group"

// labelsOfGroup returns the labels of a group's score. A grouping label that has the name of ours becomes exported_group.
func labelsOfGroup(r *group.Result) []ingest.Label {
	out := make([]ingest.Label, 0, len(r.Labels)+1)
	out = append(out, ingest.Label{Name: groupLabel, Value: r.Group})
	for _, l := range r.Labels {
		if l.Name == groupLabel {
			l.Name = model.ExportedLabelPrefix + groupLabel
		}
		out = append(out, l)
	}
	return out
}

// Group scores as /metrics has them.
const (
	groupScoreName = "anomaly_group_score"
	groupScoreHelp = "How unusual the series of a group are together: 0 to 1 while normal, above 1 when anomalous, 0 until there is a baseline."
)

// appendGroups writes the scores of the groups.
func appendGroups(dst []byte, each func(func(group.Result) bool), kind string, scheme model.EscapingScheme) []byte {
	dst = append(dst, "# HELP "+groupScoreName+" "+groupScoreHelp+"\n# TYPE "+groupScoreName+" "+kind+"\n"...)
	each(func(r group.Result) bool {
		dst = append(dst, groupScoreName...)
		dst = appendLabels(dst, labelsOfGroup(&r), scheme)
		dst = append(appendNumber(append(dst, ' '), r.Score), '\n')
		return true
	})
	return dst
}
