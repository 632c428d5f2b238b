package enrich_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"maps"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/enrich"
	"github.com/portent-dev/portent/internal/incident"
	"github.com/portent-dev/portent/internal/ticket"
)

// memory is a store of incidents and dossiers.
type memory struct {
	mu       sync.Mutex
	open     map[string]incident.Incident
	dossiers map[string]incident.Dossier
	tasks    []incident.Task
	broken   error
}

func (m *memory) List(context.Context, incident.Query) ([]incident.Incident, string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []incident.Incident
	for inc := range maps.Values(m.open) {
		out = append(out, inc)
	}
	return out, "", m.broken
}

func (m *memory) Get(_ context.Context, id string) (incident.Incident, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.open[id], nil
}

func (m *memory) Apply(_ context.Context, c incident.Change) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.broken == nil {
		m.tasks = append(m.tasks, c.Tasks...)
	}
	return m.broken
}

func (m *memory) PutDossier(_ context.Context, id string, d incident.Dossier) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.dossiers[id] = d
	return m.broken
}

func (m *memory) Dossier(_ context.Context, id string) (incident.Dossier, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	d, ok := m.dossiers[id]
	if !ok {
		return d, incident.ErrNotFound
	}
	return d, nil
}

// change changes the open incident.
func (m *memory) change(f func(*incident.Incident)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	inc := m.open["01"]
	f(&inc)
	m.open["01"] = inc
}

// rig is a Worker over a memory with one open incident and a source that counts.
type rig struct {
	*enrich.Worker
	store  *memory
	looked int
	found  []incident.Evidence
	wrote  int
	// model is what tells by a model, nil for none.
	model func(ctx context.Context, inc incident.Incident) incident.Account
}

func newRig(t *testing.T, store *memory) *rig {
	t.Helper()
	r := &rig{store: store, found: []incident.Evidence{{Kind: incident.EvidenceAnomaly, Title: "memory"}}}
	e := enrich.New(0, source{"counting", func(context.Context, enrich.Subject) ([]incident.Evidence, error) {
		r.looked++
		return r.found, nil
	}})
	r.Worker = enrich.NewWorker(enrich.WorkerOptions{
		Store: store, Enricher: func() *enrich.Enricher { return e }, Now: time.Now, Logger: slog.New(slog.DiscardHandler),
		Comment: func(d incident.Dossier) ticket.Doc {
			if d.Account.Model != "" {
				return ticket.Doc{ticket.Paragraph(ticket.Text(d.Account.Sentences[0].Text))}
			}
			return ticket.Doc{ticket.Paragraph(ticket.Text(d.Evidence[0].Title))}
		},
		Tell: func(inc incident.Incident) incident.Account {
			return incident.Account{Sentences: []incident.Sentence{{Text: "plain: " + inc.Dossier.Evidence[0].Title, Rests: []string{"E1"}}}}
		},
		TellByModel: func() func(context.Context, incident.Incident) incident.Account { return r.model },
		Registerer:  prometheus.NewRegistry(), Wrote: func() { r.wrote++ },
	})
	return r
}

func newMemory() *memory {
	inc := shop()
	inc.StartedAt, inc.Total = time.Now(), 2
	return &memory{open: map[string]incident.Incident{"01": inc}, dossiers: map[string]incident.Dossier{}}
}

func TestWorkerLooksWhenItIsWorthIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, newMemory())
		round := func(wantLooked int) {
			t.Helper()
			require.NoError(t, r.Round(t.Context()))
			require.Equal(t, wantLooked, r.looked)
		}
		require.Nil(t, r.ForTicket("01"))
		round(1)
		round(1)
		require.Equal(t, "memory", r.store.dossiers["01"].Evidence[0].Title)

		r.store.change(func(i *incident.Incident) { i.Total = 4 })
		round(1) // a storm is not looked at with every alert
		pass(time.Minute)
		round(2)
		pass(10 * time.Minute)
		round(3)
		pass(3 * time.Hour)
		round(3) // it is old

		delete(r.store.open, "01")
		round(3)
		require.Nil(t, r.ForTicket("01"), "what is over is forgotten")
	})
}

func TestWorkerTellsATicketOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, newMemory())
		r.store.change(func(i *incident.Incident) { i.Trackers = []string{"jira", "local"} })
		require.NoError(t, r.Round(t.Context()))
		require.Len(t, r.store.tasks, 2, "it was filed before anything was found")
		require.Equal(t, 1, r.wrote)
		var u ticket.Update
		require.NoError(t, json.Unmarshal(r.store.tasks[0].Payload, &u))
		require.Equal(t, "01-evidence", u.Key)
		require.Equal(t, "memory", u.Comment.Text())
		require.Equal(t, incident.TaskUpdate, r.store.tasks[0].Kind)
		require.Equal(t, "portent-01", r.store.tasks[0].Key)

		pass(11 * time.Minute)
		require.NoError(t, r.Round(t.Context()))
		require.Equal(t, 2, r.looked)
		require.Len(t, r.store.tasks, 2)

		// Another process goes on where this one stopped.
		next := newRig(t, r.store)
		pass(11 * time.Minute)
		require.NoError(t, next.Round(t.Context()))
		require.Equal(t, 1, next.looked)
		require.Len(t, r.store.tasks, 2)
	})
}

func TestWorkerIsSilentWhenTheDraftHoldsIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, newMemory())
		require.NoError(t, r.Round(t.Context()))
		require.Equal(t, "memory", r.ForTicket("01").Evidence[0].Title)
		r.store.change(func(i *incident.Incident) { i.Trackers = []string{"jira"} })
		pass(11 * time.Minute)
		require.NoError(t, r.Round(t.Context()))
		require.Empty(t, r.store.tasks)
		require.True(t, r.store.dossiers["01"].Told)
	})
}

func TestWorkerTellsNothingThatTheTicketSays(t *testing.T) {
	r := newRig(t, newMemory())
	r.store.change(func(i *incident.Incident) { i.Trackers = []string{"jira"} })
	r.found = []incident.Evidence{{Kind: incident.EvidenceLink, Title: "Dashboard"}, {Kind: incident.EvidenceRunbook, Title: "Runbook", Text: "Named by the alert."}}
	require.NoError(t, r.Round(t.Context()))
	require.Equal(t, 1, r.looked)
	require.Empty(t, r.store.tasks)
}

func TestWorkerTriesAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, newMemory())
		r.store.change(func(i *incident.Incident) { i.Trackers = []string{"jira"} })
		r.store.broken = errors.New("disk is full")
		require.ErrorContains(t, r.Round(t.Context()), "disk is full")
		r.store.broken = nil

		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- r.Run(ctx) }()
		pass(11 * time.Minute)
		cancel()
		require.NoError(t, <-done)
		r.store.mu.Lock()
		defer r.store.mu.Unlock()
		require.Len(t, r.store.tasks, 1)
		require.True(t, r.store.dossiers["01"].Told)
	})
}

// pass lets time go by in a bubble of synctest.
func pass(d time.Duration) {
	time.Sleep(d) //nolint:forbidigo // the bubble's own time
}
