package ingesttest

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/portent-dev/portent/internal/ingest"
)

// appender keeps a batch until Commit. Everything is copied: what aliases a
// buffer of the source would otherwise change under the test.
type appender struct {
	target *Target
	batch  []Series
	done   bool
}

func (a *appender) Append(labels []ingest.Label, kind ingest.Kind, samples []ingest.Sample) {
	if a.done {
		panic("Append after the end of the batch")
	}
	check(labels)
	a.batch = append(a.batch, Series{
		Name:    strings.Clone(String(labels)),
		Kind:    kind,
		Samples: slices.Clone(samples),
	})
}

// check holds the labels to the contract of ingest.Appender.
func check(labels []ingest.Label) {
	for i, l := range labels {
		switch {
		case l.Name == "" || l.Value == "":
			panic("empty label in " + String(labels))
		case !utf8.ValidString(l.Name) || !utf8.ValidString(l.Value):
			panic(fmt.Sprintf("label of %s is not UTF-8", String(labels)))
		case i > 0 && labels[i-1].Name >= l.Name:
			panic(fmt.Sprintf("labels of %s are not sorted or not unique", String(labels)))
		}
	}
}

func (a *appender) Commit() ingest.Result {
	a.end()
	t := a.target
	t.mu.Lock()
	defer t.mu.Unlock()
	t.commits++
	if t.series == nil {
		t.series = make(map[string]*Series)
	}
	var r ingest.Result
	for _, b := range a.batch {
		s, ok := t.series[b.Name]
		if !ok {
			if t.MaxSeries > 0 && len(t.series) >= t.MaxSeries {
				r.Dropped += len(b.Samples)
				continue
			}
			s = &Series{Name: b.Name}
			t.series[b.Name] = s
		}
		s.Kind = b.Kind
		for _, p := range b.Samples {
			t.take(s, p, &r)
		}
	}
	return r
}

func (a *appender) Rollback() {
	a.end()
	a.target.mu.Lock()
	defer a.target.mu.Unlock()
	a.target.rollbacks++
}

func (a *appender) end() {
	if a.done {
		panic("the batch has ended already")
	}
	a.done = true
}

// Null is a target that takes everything and keeps nothing, for benchmarks.
type Null struct{}

// Appender returns an appender that only counts.
func (Null) Appender() ingest.Appender { return new(nullAppender) }

type nullAppender struct{ n int }

func (a *nullAppender) Append(_ []ingest.Label, _ ingest.Kind, samples []ingest.Sample) {
	a.n += len(samples)
}
func (a *nullAppender) Commit() ingest.Result { return ingest.Result{Accepted: a.n} }
func (*nullAppender) Rollback()               {}
