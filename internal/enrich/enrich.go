// Package enrich looks for evidence about an incident: what else moved, what the logs
// say, what was changed, how it went the last time, and which runbook fits.
//
// Each Source is asked at the same time, for a bounded time, and gives a bounded
// answer; what could not be had is said, and never holds up the rest. Nothing here
// decides anything: an incident without evidence is handled as one with it.
//
// Everything that goes into a query is put there as a label matcher of the Prometheus
// parser, never pasted; everything that comes back is text of strangers, cut and
// cleaned before it is kept.
package enrich

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/portent-dev/portent/internal/incident"
	"github.com/portent-dev/portent/internal/ticket"
)

// Bounds of a dossier. It is read in a ticket and on a phone.
const (
	// maxPerSource bounds what one source gives, so that none crowds out the others.
	maxPerSource = 5
	maxTitle     = 200  // runes
	maxText      = 1000 // runes
	maxQuery     = 2000 // bytes; a query is left out, not cut
)

// A Source knows one kind of evidence.
type Source interface {
	// Name is short and never changes: it is shown, and is a label of metrics.
	Name() string
	// Look returns evidence, most telling first. It returns when ctx ends, at the
	// latest. Nothing found is no error. Evidence that came with an error is kept.
	Look(ctx context.Context, s Subject) ([]incident.Evidence, error)
}

// ErrNothingToAsk means that the incident has no label that this source could ask for.
var ErrNothingToAsk = errors.New("the alerts carry no label to ask for")

// An Enricher asks its sources. It is safe for concurrent use.
type Enricher struct {
	sources []Source
	timeout time.Duration
}

// DefaultTimeout bounds each source: ten times what a healthy one takes, and well below
// the minutes for which an incident waits for its ticket.
const DefaultTimeout = 10 * time.Second

// New returns an Enricher of sources; a timeout of zero stands for DefaultTimeout.
func New(timeout time.Duration, sources ...Source) *Enricher {
	return &Enricher{sources: sources, timeout: cmp.Or(timeout, DefaultTimeout)}
}

// Collect asks every source about the incident, which must have its alerts, and
// returns what they know at the time now. It takes no longer than the timeout.
func (e *Enricher) Collect(ctx context.Context, inc incident.Incident, now time.Time) incident.Dossier {
	subject := NewSubject(inc, now)
	found, errs := make([][]incident.Evidence, len(e.sources)), make([]error, len(e.sources))
	var wg sync.WaitGroup
	for i, source := range e.sources {
		wg.Go(func() { found[i], errs[i] = e.ask(ctx, source, subject) })
	}
	wg.Wait()
	d := incident.Dossier{At: now, Evidence: []incident.Evidence{}}
	for i, source := range e.sources {
		d.Evidence = append(d.Evidence, clean(found[i], source.Name())...)
		if errs[i] != nil && !errors.Is(errs[i], ErrNothingToAsk) {
			d.Missing = append(d.Missing, incident.Gap{Source: source.Name(), Reason: ticket.OneLine(errs[i].Error(), maxTitle)})
		}
	}
	kinds := incident.EvidenceKinds()
	slices.SortStableFunc(d.Evidence, func(a, b incident.Evidence) int {
		return cmp.Compare(slices.Index(kinds, a.Kind), slices.Index(kinds, b.Kind))
	})
	for i := range d.Evidence {
		d.Evidence[i].ID = fmt.Sprintf("E%d", i+1)
	}
	return d
}

// ask asks one source, and goes on without it when it takes too long or breaks.
func (e *Enricher) ask(ctx context.Context, source Source, s Subject) (found []incident.Evidence, err error) {
	ctx, cancel := context.WithTimeout(ctx, e.timeout)
	defer cancel()
	defer func() {
		if r := recover(); r != nil {
			found, err = nil, fmt.Errorf("BUG: %v", r)
		}
	}()
	found, err = source.Look(ctx, s)
	if errors.Is(err, context.DeadlineExceeded) {
		err = fmt.Errorf("no answer within %s", e.timeout)
	}
	return found, err
}

// clean bounds what a source gave and takes out what is of no kind.
func clean(found []incident.Evidence, source string) []incident.Evidence {
	var out []incident.Evidence
	for _, x := range found {
		if len(out) == maxPerSource {
			break
		}
		x.Source = source
		if x.Title = ticket.OneLine(x.Title, maxTitle); x.Title == "" || !slices.Contains(incident.EvidenceKinds(), x.Kind) {
			continue
		}
		x.Text = ticket.Cut(ticket.Clean(x.Text), maxText)
		if len(x.Query) > maxQuery {
			x.Query = ""
		}
		x.URL, _ = ticket.SafeURL(x.URL)
		x.At = x.At.UTC()
		out = append(out, x)
	}
	return out
}
