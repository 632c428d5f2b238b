// Package verdict says what a series shows once everything is known that holds its score
// back or raises it: feedback, maintenance and rollouts (package allowance), then its
// group (package group). The exporter and the replay of the past share it, so that what a
// replay shows is what the exporter would have.
//
// It is pure. It must not know where series come from or where scores go.
package verdict

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/portent-dev/portent/internal/allowance"
	"github.com/portent-dev/portent/internal/detect"
	"github.com/portent-dev/portent/internal/detect/group"
	"github.com/portent-dev/portent/internal/ingest"
)

// View is what is known at one time. The zero value shows every output as it is. It is
// not safe for concurrent use, as its Judge is not.
type View struct {
	Judge  *allowance.Judge // nil: nothing is allowed to anybody
	Groups *group.Watch     // nil: there are none
}

// Shown is what a series shows, and why it is not what its detector says.
type Shown struct {
	Out         detect.Output
	Factor      float64        // by which the score was divided
	Most        allowance.Kind // that counts most in Factor
	ExplainedBy string         // what the series depends on moved with it, ""; see group.Verdict
}

// Show returns what a series shows. It allocates nothing while the series is normal.
func (v View) Show(labels []ingest.Label, o detect.Output) Shown {
	s := v.Allow(labels, o)
	if v.Groups == nil || !s.Out.Ready {
		return s
	}
	verdict := v.Groups.Judge(labels, s.Out)
	s.Out, s.ExplainedBy = Settle(s.Out, verdict), verdict.ExplainedBy
	return s
}

// Allow returns what a series shows before its groups are asked, which is what they are
// told of it.
func (v View) Allow(labels []ingest.Label, o detect.Output) Shown {
	s := Shown{Out: o, Factor: 1}
	if s.Factor, s.Most = v.Judge.Factor(labels); s.Factor != 1 {
		s.Out = Ease(o, s.Factor)
	}
	return s
}

// Ease returns what a series shows when its bar is so many times as high. The value lies
// outside the band exactly if the score is above 1, as before.
func Ease(o detect.Output, factor float64) detect.Output {
	if !o.Ready {
		return o
	}
	o.Score = min(o.Score/factor, detect.MaxScore)
	o.Lower = max(-math.MaxFloat64, o.Expected-(o.Expected-o.Lower)*factor)
	o.Upper = min(math.MaxFloat64, o.Expected+(o.Upper-o.Expected)*factor)
	switch {
	case o.Score <= 1:
		o.Lower, o.Upper = min(o.Lower, o.Value), max(o.Upper, o.Value)
		o.Since, o.Reason = 0, detect.ReasonNone
	case o.Since == 0:
		o.Since = o.T
	}
	return o
}

// Settle returns what a series shows after the verdict of its groups.
func Settle(o detect.Output, v group.Verdict) detect.Output {
	switch {
	case v.Score == o.Score: //nolint:gofloat // the same, unless a group has said something
		return o
	case v.Score < o.Score && v.Score > 0:
		return Ease(o, o.Score/v.Score)
	case v.Score <= 0:
		return Ease(o, detect.MaxScore*1e6)
	}
	o.Score = v.Score
	if o.Score > 1 && o.Since == 0 {
		o.Since = o.T
	}
	if o.Score > 1 { // the band is what is usual for one of its siblings
		if o.Value >= o.Expected && o.Upper >= o.Value {
			o.Upper, o.Lower = min(o.Expected, o.Value), min(o.Lower, o.Expected)
		}
		if o.Value < o.Expected && o.Lower <= o.Value {
			o.Lower = o.Expected
		}
	}
	return o
}

// toldShares is how many members of a group are told.
const toldShares = 5

// Sentence tells of a group that is anomalous. name says what to call one of its members.
func Sentence(r *group.Result, name func(labels []ingest.Label) string) string {
	var of []string
	for _, l := range slices.SortedFunc(slices.Values(r.Labels), func(a, b ingest.Label) int { return strings.Compare(a.Name, b.Name) }) {
		of = append(of, l.Name+"="+strconv.Quote(l.Value))
	}
	who := r.Group + "{" + strings.Join(of, ", ") + "}"
	since := ""
	if r.Since != 0 {
		since = ", since " + time.UnixMilli(r.Since).UTC().Format("15:04") + " UTC"
	}
	switch {
	case r.Vanished:
		return who + " has vanished: none of its series brings samples" + since + "."
	case r.Kind == group.Peers && len(r.Shares) > 0:
		return fmt.Sprintf("%s has come to lie far %s its %d siblings in %s%s.", name(r.Shares[0].Labels), side(r.Shares[0].Deviation), max(0, r.Members-1), who, since)
	}
	var parts []string
	for i, s := range r.Shares {
		if i == toldShares {
			parts = append(parts, fmt.Sprintf("%d more", len(r.Shares)-i))
			break
		}
		parts = append(parts, fmt.Sprintf("%s %s its usual (%.0f %% of the deviation)", name(s.Labels), side(s.Deviation), 100*s.Part))
	}
	return fmt.Sprintf("%s is unusual as a whole%s: of its %d series %s.", who, since, r.Members, strings.Join(parts, ", "))
}

func side(deviation float64) string {
	if deviation < 0 {
		return "below"
	}
	return "above"
}
