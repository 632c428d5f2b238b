package allowance

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/portent-dev/portent/internal/ingest"
)

// Verdict is what a person said of an anomaly.
type Verdict string

// The verdicts.
const (
	Dismissed Verdict = "dismissed" // it was nothing: the bar rises
	Confirmed Verdict = "confirmed" // it was right: the bar falls, by less
)

// Feedback is one verdict as it is kept.
type Feedback struct {
	ID      string            `json:"id"` // given by who calls; the same id again changes nothing
	Verdict Verdict           `json:"verdict"`
	Reason  string            `json:"reason,omitempty"`
	By      string            `json:"by,omitempty"`
	At      int64             `json:"at"`     // Unix ms
	Labels  map[string]string `json:"labels"` // of the series that it was about
}

// Class is a class of series with what is thought of it.
type Class struct {
	Labels   map[string]string `json:"labels"` // that its series share, the metric as __name__
	Factor   float64           `json:"factor"`
	Verdicts []Feedback        `json:"verdicts"` // oldest first
}

// Bounds of what feedback is kept.
const (
	MaxClasses   = 10_000
	maxVerdicts  = 50 // of a class; the oldest go, which count least
	maxTextBytes = 1000
	maxLabels    = 64
)

type class struct {
	key      string
	labels   []ingest.Label
	verdicts []Feedback
}

// classLabels are what the series of a class share beside the metric and the workload. Not
// the instance, the pod or the path: what was dismissed for one is for its siblings too.
var classLabels = [...]string{"cluster", "container", "exported_namespace", "job", "namespace"}

// classOf returns the labels that the class of a series has in common.
func classOf(dst, labels []ingest.Label) []ingest.Label {
	dst = append(dst, ingest.Label{Name: ingest.MetricName, Value: metricOf(labels)})
	if w := WorkloadOf(labels); w.Name != "" {
		dst = append(dst, ingest.Label{Name: "workload", Value: w.Name})
	}
	for _, name := range classLabels {
		if v := value(labels, name); v != "" {
			dst = append(dst, ingest.Label{Name: name, Value: v})
		}
	}
	return dst
}

// appendKey spells a class: 0xff is in no UTF-8 text.
func appendKey(dst []byte, class []ingest.Label) []byte {
	for _, l := range class {
		dst = append(append(append(append(dst, l.Name...), 0xff), l.Value...), 0xff)
	}
	return dst
}

// Tell takes a verdict and returns what its class is now. A second verdict with an id that is
// known changes nothing. Errors say what is wrong with f.
func (b *Book) Tell(f Feedback) (Class, error) {
	labels := fromMap(f.Labels)
	switch {
	case f.ID == "" || len(f.ID) > 200:
		return Class{}, errors.New("id: want 1 to 200 bytes")
	case f.Verdict != Dismissed && f.Verdict != Confirmed:
		return Class{}, fmt.Errorf("verdict %q: want %s or %s", f.Verdict, Dismissed, Confirmed)
	case metricOf(labels) == "":
		return Class{}, errors.New("labels: want the metric as __name__ or metric")
	case len(labels) > maxLabels:
		return Class{}, fmt.Errorf("labels: want at most %d", maxLabels)
	case len(f.Reason) > maxTextBytes || len(f.By) > maxTextBytes:
		return Class{}, fmt.Errorf("reason, by: want at most %d bytes each", maxTextBytes)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if c, ok := b.byID[f.ID]; ok {
		return b.show(c, f.At), nil
	}
	return b.show(b.add(f, labels), f.At), nil
}

// add keeps a verdict. The lock is held.
func (b *Book) add(f Feedback, labels []ingest.Label) *class {
	of := classOf(nil, labels)
	key := string(appendKey(nil, of))
	c, ok := b.classes[key]
	if !ok {
		if len(b.classes) >= MaxClasses {
			b.forgetOldest()
		}
		c = &class{key: key, labels: of}
		b.classes[key] = c
		b.metrics[metricOf(labels)]++
	}
	c.verdicts = append(c.verdicts, f)
	b.byID[f.ID] = c
	if n := len(c.verdicts) - maxVerdicts; n > 0 {
		delete(b.byID, c.verdicts[0].ID)
		c.verdicts = slices.Delete(c.verdicts, 0, n)
	}
	b.changed++
	return c
}

// forgetOldest makes room: the class goes that was spoken of longest ago.
func (b *Book) forgetOldest() {
	var oldest *class
	for _, c := range b.classes {
		if oldest == nil || c.last() < oldest.last() {
			oldest = c
		}
	}
	for _, v := range oldest.verdicts {
		delete(b.byID, v.ID)
	}
	b.remove(oldest)
}

func (c *class) last() int64 { return c.verdicts[len(c.verdicts)-1].At }

func (b *Book) remove(c *class) {
	delete(b.classes, c.key)
	name := metricOf(c.labels)
	if b.metrics[name]--; b.metrics[name] == 0 {
		delete(b.metrics, name)
	}
}

// Undo takes a verdict back. It returns what the class is now, and whether there was one.
func (b *Book) Undo(id string, now int64) (Class, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	c, ok := b.byID[id]
	if !ok {
		return Class{}, false
	}
	delete(b.byID, id)
	c.verdicts = slices.DeleteFunc(c.verdicts, func(f Feedback) bool { return f.ID == id })
	if len(c.verdicts) == 0 {
		b.remove(c)
	}
	b.changed++
	return b.show(c, now), true
}

// Classes returns all classes with feedback, in a stable order.
func (b *Book) Classes(now int64) []Class {
	b.mu.RLock()
	defer b.mu.RUnlock()
	keys := make([]string, 0, len(b.classes))
	for k := range b.classes {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	out := make([]Class, len(keys))
	for i, k := range keys {
		out[i] = b.show(b.classes[k], now)
	}
	return out
}

// Raised returns how many classes have a raised and a lowered bar.
func (b *Book) Raised(now int64) (raised, lowered int) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	for _, c := range b.classes {
		switch f := c.factor(now, &b.opts); {
		case f > 1:
			raised++
		case f < 1:
			lowered++
		}
	}
	return raised, lowered
}

func (b *Book) show(c *class, now int64) Class {
	out := Class{Labels: map[string]string{}, Factor: c.factor(now, &b.opts), Verdicts: slices.Clone(c.verdicts)}
	for _, l := range c.labels {
		out.Labels[l.Name] = l.Value
	}
	return out
}

// factor is Step to the power of the sum of verdicts, each of which weighs half as much after
// a half-life; 1 for a dismissal, -1/2 for a confirmation. What is within a hundredth of 1 is 1.
func (c *class) factor(now int64, o *Options) float64 {
	sum := 0.0
	for i := range c.verdicts {
		v := &c.verdicts[i]
		weight := math.Exp2(-float64(max(0, now-v.At)) / float64(o.HalfLifeMs))
		if v.Verdict == Confirmed {
			weight *= -0.5
		}
		sum += weight
	}
	f := clamp(math.Pow(o.Step, sum), o.Least, o.Most)
	if math.Abs(f-1) < 0.01 {
		return 1
	}
	return f
}

// text tells the verdicts.
func (c *class) text() string {
	dismissed, reason := 0, ""
	for _, v := range c.verdicts {
		if v.Verdict == Dismissed {
			dismissed++
		}
		if v.Reason != "" {
			reason = v.Reason
		}
	}
	var parts []string
	if dismissed > 0 {
		parts = append(parts, fmt.Sprintf("%d dismissed", dismissed))
	}
	if n := len(c.verdicts) - dismissed; n > 0 {
		parts = append(parts, fmt.Sprintf("%d confirmed", n))
	}
	text := "earlier anomalies of its kind: " + strings.Join(parts, ", ")
	if reason != "" {
		text += " (" + reason + ")"
	}
	return text
}
