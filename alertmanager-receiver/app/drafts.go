package app

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"time"

	"github.com/portent-dev/portent/internal/incident"
	"github.com/portent-dev/portent/internal/incidentapi"
	"github.com/portent-dev/portent/internal/outbox"
	"github.com/portent-dev/portent/internal/policy"
)

// incidentToAPI is everything that the API says of one incident. Drafts hold its whole text, so whoever sees a part is
// not shown them, and of one that tells of more than somebody sees of a whole incident the words are left out. What people
// said of incidents of a kind is of all of them.
func (s *server) incidentToAPI(ctx context.Context, p principal, inc incident.Incident, whole bool) (incidentapi.Incident, error) {
	var err error
	if whole { // evidence is of the whole incident, and may name what others may not see
		if inc.Dossier, err = s.dossier(ctx, inc.ID); err != nil {
			return incidentapi.Incident{}, err
		}
		inc.Dossier = p.dossier(inc.Dossier)
	}
	out := toAPI(inc, s.settings.Load().links)
	if !whole {
		return out, nil
	}
	ts, err := s.draftsOf(ctx, inc.ID)
	if err != nil {
		return out, err
	}
	as, err := s.ledger.ApprovalsOf(ctx, inc.ID)
	if err != nil {
		return out, err
	}
	for _, t := range ts {
		if t.Gate.Phase == string(policy.Auto) && len(as) == 0 {
			continue // filed by itself: nobody had to say anything
		}
		d := draftToAPI(t, as)
		d.Needs = max(d.Needs, s.gater.needs(s.now(), inc, t.Tracker))
		if p.seesDraft(t.Payload, inc) != nil {
			d.Payload, d.Hidden = nil, hiddenDraft
		}
		out.Drafts = append(out.Drafts, d)
	}
	if p.scoped() {
		return out, nil
	}
	out.Routing, err = s.routingOf(ctx, inc)
	return out, err
}

// hiddenDraft says what somebody can do about a draft whose words are left out.
const hiddenDraft = "Its words also tell of what your access does not cover. Ask somebody who sees everything to approve it, or have it made anew from what you see."

func draftToAPI(t outbox.Task, as []outbox.Approval) incidentapi.Draft {
	d := incidentapi.Draft{
		Task: t.ID, Tracker: t.Tracker, State: string(t.State), Reason: t.Reason, Phase: t.Gate.Phase, Rule: t.Gate.Rule, Policy: t.Gate.Policy, Why: t.Gate.Why,
		Hash: t.Hash, Payload: t.Payload, Approvals: []incidentapi.Approval{}, Needs: max(1, t.Gate.Approvals), ExpiresAt: timeOrNull(t.Gate.Expires), EditedBy: t.EditedBy,
	}
	if d.Why == nil {
		d.Why = []string{}
	}
	for _, a := range as {
		if a.TaskID == t.ID && a.Hash == t.Hash {
			d.Approvals = append(d.Approvals, incidentapi.Approval{Actor: a.Actor, Reason: a.Reason, Hash: a.Hash, At: a.At.UTC()})
		}
	}
	return d
}

// routingOf is how sure we are of the class of an incident; nil when it has none.
func (s *server) routingOf(ctx context.Context, inc incident.Incident) (*incidentapi.Routing, error) {
	cluster, class := inc.Class()
	if class == "" {
		return nil, nil //nolint:nilnil // an incident without a name has no class
	}
	tally, err := s.gater.tally(ctx, inc)
	if err != nil {
		return nil, err
	}
	v, err := s.ledger.VerdictOn(ctx, inc.ID)
	if err != nil {
		return nil, err
	}
	out := routingToAPI(cluster, class, tally)
	out.Verdict = string(v.Verdict)
	return &out, nil
}

func routingToAPI(cluster, class string, t policy.Tally) incidentapi.Routing {
	low, high := t.Interval(0.9)
	return incidentapi.Routing{
		Cluster: cluster, Class: class, Confidence: round3(t.Confidence()), Low: round3(low), High: round3(high), Confirmed: t.Confirmed, Dismissed: t.Dismissed,
	}
}

func round3(v float64) float64 { return float64(int(v*1000+0.5)) / 1000 }

// etag names what an answer shows.
func etag(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic("BUG: answer cannot be encoded: " + err.Error())
	}
	sum := sha256.Sum256(b)
	return `"` + hex.EncodeToString(sum[:12]) + `"`
}

const (
	// draftsEvery is how late a draft may lapse, or say what its incident says by now.
	draftsEvery = 2 * time.Second
	// maxRedrafts bounds what one round makes anew; the rest follows in the next.
	maxRedrafts = 100
)

// keepDrafts keeps what waits for people up to date until ctx ends: drafts that comments wait for are made anew from
// their incident, and those that nobody approved in time lapse. An error is tried again.
func (s *server) keepDrafts(ctx context.Context) error {
	failing := ""
	for {
		err := s.tendDrafts(ctx)
		switch {
		case err == nil || ctx.Err() != nil:
			failing = ""
		case err.Error() != failing:
			failing = err.Error()
			s.log.Error("drafts_not_kept", "err", err)
		}
		select {
		case <-time.After(draftsEvery):
		case <-ctx.Done():
			return nil
		}
	}
}

// tendDrafts does one round.
func (s *server) tendDrafts(ctx context.Context) error {
	for {
		n, err := s.ledger.Lapse(ctx, s.now())
		if err != nil {
			return err
		}
		if n == 0 {
			break
		}
		s.log.Info("drafts_lapsed", "drafts", n)
	}
	ts, err := s.ledger.Outdated(ctx, maxRedrafts)
	if err != nil {
		return err
	}
	for _, t := range ts {
		if err := s.redraft(ctx, t); err != nil && !errors.Is(err, incident.ErrConflict) { // somebody was faster
			return err
		}
	}
	return s.voidDrafts(ctx)
}

// redraft makes a draft anew from its incident: an approval before it was for something else.
func (s *server) redraft(ctx context.Context, t outbox.Task) error {
	inc, err := s.store.Get(ctx, t.IncidentID)
	if err == nil {
		inc.Dossier, err = s.dossier(ctx, inc.ID)
	}
	if err != nil {
		return err
	}
	d := draftOf(s.settings.Load().words, t.Key, inc)
	d.Does, d.Declaration = s.gater.declared(t.Tracker)
	payload, err := json.Marshal(d)
	if err != nil {
		return err
	}
	_, err = s.ledger.Edit(ctx, outbox.Edit{TaskID: t.ID, Actor: "portent", Reason: "the incident went on", Hash: t.Hash, Payload: payload, At: s.now().UTC(), Redraft: true})
	return err
}
