//go:build storms

package triage_test

import (
	"bufio"
	"cmp"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/incident"
	"github.com/portent-dev/portent/internal/triage"
)

// TestStorms reads generated storms (shared/bench/storms) straight into a Triage,
// without HTTP, store and trackers, and writes what came out for the scorer:
//
//	PORTENT_STORMS=dir,dir go test -tags storms -run TestStorms ./internal/triage
//	score_storms.py dir --incidents dir/incidents.json --suppressed dir/suppressed.json
func TestStorms(t *testing.T) {
	dirs := os.Getenv("PORTENT_STORMS")
	require.NotEmpty(t, dirs, "PORTENT_STORMS names the directories of storms")
	for _, dir := range strings.Split(dirs, ",") {
		replayStorm(t, dir)
	}
}

func replayStorm(t *testing.T, dir string) {
	w := &field{world: newWorld(t, func(p *triage.Policy) {
		*p = triage.DefaultPolicy()
		if o := os.Getenv("PORTENT_POLICY"); o != "" { // JSON of what differs
			require.NoError(t, json.Unmarshal([]byte(o), p))
		}
	}), firings: map[string]map[int64]bool{}}
	if os.Getenv("PORTENT_TOPOLOGY") != "" {
		w.tr.SetTopology(catalogue(t, dir), "cluster")
	}
	f, err := os.Open(filepath.Join(dir, "notifications.jsonl"))
	require.NoError(t, err)
	defer f.Close()
	in := bufio.NewScanner(f)
	in.Buffer(nil, 64<<20)
	var pending []incident.Notification
	begin, spent := time.Now(), time.Duration(0)
	step := func() {
		at := time.Now()
		c, err := w.tr.Process(pending, w)
		require.NoError(t, err)
		w.keep(c)
		w.tr.Commit()
		spent += time.Since(at)
		done := map[int64]bool{}
		for _, id := range c.Done {
			done[id] = true
		}
		require.NotEmpty(t, c.Done)
		pending = slices.DeleteFunc(pending, func(n incident.Notification) bool { return done[n.ID] })
	}
	for in.Scan() {
		var n struct{ Body json.RawMessage }
		require.NoError(t, json.Unmarshal(in.Bytes(), &n))
		w.notes++
		pending = append(pending, incident.Notification{ID: w.notes, Source: incident.SourceAlertmanager, ReceivedAt: time.Now(), Body: n.Body})
		if len(pending) == 64 {
			step()
		}
	}
	for len(pending) > 0 {
		step()
	}
	w.keep(w.tr.Quiet())
	w.tr.Commit()
	write(t, w, dir)
	fmt.Printf("%s: %d notifications, %d alerts kept, %s in triage, %s in all\n", dir, w.notes, len(w.alerts), spent.Round(time.Millisecond), time.Since(begin).Round(time.Millisecond))
}

// A field is a world whose store is indexed and unchecked.
type field struct {
	*world
	firings map[string]map[int64]bool // starts by fingerprint
}

func (w *field) keep(c incident.Change) {
	for _, i := range c.Incidents {
		require.Equal(w.t, w.incidents[i.ID].Version, i.Version, "version of %s", i.ID)
		i.Version++
		w.incidents[i.ID] = i
	}
	for _, a := range c.Alerts {
		w.alerts[a.ID()] = a
		if w.firings[a.Fingerprint] == nil {
			w.firings[a.Fingerprint] = map[int64]bool{}
		}
		w.firings[a.Fingerprint][a.StartsAt.UnixNano()] = true
	}
	w.tasks = append(w.tasks, c.Tasks...)
	for _, e := range c.Events {
		w.events[e.IncidentID] = append(w.events[e.IncidentID], e.At.Format("15:04:05 ")+e.Kind+": "+e.Text)
	}
}

func (w *field) Known(fps []string) ([]incident.Alert, error) {
	var out []incident.Alert
	for _, fp := range fps {
		var of []incident.Alert
		for start := range w.firings[fp] {
			of = append(of, w.alerts[incident.AlertID{Fingerprint: fp, StartsAt: start}])
		}
		slices.SortFunc(of, func(a, b incident.Alert) int { return b.StartsAt.Compare(a.StartsAt) })
		out = append(out, of[:min(len(of), incident.RecallDepth)]...)
	}
	return out, nil
}

func write(t *testing.T, w *field, dir string) {
	type ref struct {
		Fingerprint string    `json:"fingerprint"`
		StartsAt    time.Time `json:"startsAt"`
		Why         string    `json:"why"`
		Name        string    `json:"name"`
	}
	type out struct {
		ID       string              `json:"id"`
		Status   string              `json:"status"`
		Severity string              `json:"severity"`
		Tickets  []map[string]string `json:"tickets"`
		Alerts   []ref               `json:"alerts"`
		Root     incident.RootCause  `json:"rootCause"`
		Events   []string            `json:"events"`
	}
	by := map[string]*out{}
	for id, i := range w.incidents {
		if i.MergedInto != "" {
			continue
		}
		o := &out{ID: id, Status: string(i.Status), Severity: string(i.Severity), Root: i.RootCause, Events: w.events[id]}
		for _, tr := range i.Trackers {
			o.Tickets = append(o.Tickets, map[string]string{"tracker": tr, "key": i.TicketKey()})
		}
		by[id] = o
	}
	var sup []ref
	all := make([]incident.Alert, 0, len(w.alerts))
	for _, a := range w.alerts {
		all = append(all, a)
	}
	slices.SortFunc(all, func(a, b incident.Alert) int {
		return cmp.Or(a.StartsAt.Compare(b.StartsAt), cmp.Compare(a.Fingerprint, b.Fingerprint))
	})
	for _, a := range all {
		r := ref{a.Fingerprint, a.StartsAt, a.Why, a.Name()}
		if a.IncidentID == "" {
			sup = append(sup, r)
			continue
		}
		require.NotNil(t, by[a.IncidentID], "%s %v %s", a.IncidentID, w.events[a.IncidentID], a.ID())
		by[a.IncidentID].Alerts = append(by[a.IncidentID].Alerts, r)
	}
	var is []*out
	for _, o := range by {
		is = append(is, o)
	}
	slices.SortFunc(is, func(a, b *out) int { return cmp.Compare(a.ID, b.ID) })
	for name, v := range map[string]any{"incidents.json": map[string]any{"incidents": is}, "suppressed.json": map[string]any{"alerts": sup}} {
		b, err := json.Marshal(v)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), b, 0o600))
	}
}

var _ triage.Recaller = (*field)(nil)
