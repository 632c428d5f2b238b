package jira

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/portent-dev/portent/internal/ticket"
	"github.com/portent-dev/portent/internal/ticketrest"
)

// move brings the issue into the state through one transition of its workflow.
// Names of transitions and statuses are localised and differ per workflow, so
// the category of the status behind a transition decides.
func (t *Tracker) move(ctx context.Context, i issue, to ticket.State, resolution string) error {
	if stateOf(i) == to {
		return nil
	}
	if configured, err := t.portalMove(ctx, i, to); configured {
		return err
	}
	offered, err := t.transitions(ctx, i)
	if err != nil {
		return err
	}
	body, err := t.pick(offered, to, resolution)
	if err != nil {
		return &ticket.Error{Reason: ticket.ReasonWorkflow, Err: fmt.Errorf("jira %s %s from status %q: %w", opTransition, i.Key, i.Fields.Status.Name, err)}
	}
	err = t.transit(ctx, i, body)
	if err != nil && t.cfg.Deployment == DataCenter && len(body.Fields) == 0 && ticket.AsError(err).Reason == ticket.ReasonInvalid {
		// It may have a screen that the site did not tell of.
		body.Fields = t.unseenFields(to, resolution)
		if len(body.Fields) > 0 {
			return t.transit(ctx, i, body)
		}
	}
	return err
}

// transitions returns what the workflow offers for the issue now.
func (t *Tracker) transitions(ctx context.Context, i issue) ([]transition, error) {
	if t.cfg.Deployment == DataCenter {
		return t.transitionsDC(ctx, i)
	}
	var p transitionPage
	err := t.c.Do(ctx, ticketrest.Call{
		Op: opTransitions, Method: http.MethodGet, Path: issuePath(i.ID, "transitions"), Query: url.Values{"expand": {"transitions.fields"}},
	}, &p)
	return p.Transitions, err
}

func (t *Tracker) transit(ctx context.Context, i issue, body transitionBody) error {
	return t.c.Do(ctx, ticketrest.Call{
		Op: opTransition, Method: http.MethodPost, Path: issuePath(i.ID, "transitions"), Body: body, Want: []int{http.StatusNoContent}, Empty: true, Effect: true,
	}, nil)
}

// pick chooses the transition to a state: the one to the configured status if it
// is offered, else the first to a status of the right category. A transition
// whose screen requires what we cannot fill in is passed over.
func (t *Tracker) pick(offered []transition, to ticket.State, resolution string) (transitionBody, error) {
	categories, name := []string{categoryDone}, t.cfg.ResolvedStatus
	if to == ticket.Open {
		categories, name = []string{categoryNew, categoryInProgress}, t.cfg.ReopenedStatus
	}
	var candidates []transition
	for _, c := range categories {
		for _, tr := range offered {
			if tr.To.Category.Key == c && (tr.IsAvailable == nil || *tr.IsAvailable) {
				candidates = append(candidates, tr)
			}
		}
	}
	slices.SortStableFunc(candidates, func(a, b transition) int { return preferred(b, name) - preferred(a, name) })
	var unfilled []string
	for _, tr := range candidates {
		fields, missing := t.fill(tr, resolution)
		if len(missing) > 0 {
			unfilled = append(unfilled, fmt.Sprintf("%q requires %s (set transition_fields)", tr.Name, quoteList(missing)))
			continue
		}
		var b transitionBody
		b.Transition.ID, b.Fields = tr.ID, fields
		return b, nil
	}
	if len(unfilled) > 0 {
		return transitionBody{}, fmt.Errorf("no transition to a status of category %s can be filled in: %s", strings.Join(categories, " or "), strings.Join(unfilled, "; "))
	}
	return transitionBody{}, fmt.Errorf("the workflow offers this account no transition to a status of category %s", strings.Join(categories, " or "))
}

func preferred(tr transition, status string) int {
	if status != "" && strings.EqualFold(tr.To.Name, status) {
		return 1
	}
	return 0
}

// fill returns the fields to send with a transition, and the names of required
// ones that we have no value for. The resolution is set whenever the screen has
// it: without one Jira shows a closed issue as unresolved.
func (t *Tracker) fill(tr transition, resolution string) (fields map[string]any, missing []string) {
	fields = map[string]any{}
	for _, id := range slices.Sorted(maps.Keys(tr.Fields)) {
		f := tr.Fields[id]
		if id == "resolution" {
			if v, ok := chooseResolution(f, resolution); ok {
				fields[id] = v
				continue
			}
		}
		if v, ok := t.cfg.TransitionFields[id]; ok {
			fields[id] = v
			continue
		}
		if f.Required && !f.HasDefaultValue {
			missing = append(missing, id)
		}
	}
	return fields, missing
}

func chooseResolution(f fieldDescriptor, name string) (map[string]string, bool) {
	if v, ok := choose(f, name); ok {
		return v, true
	}
	for _, v := range f.AllowedValues {
		if v.ID != "" {
			return map[string]string{"id": v.ID}, true
		}
	}
	return nil, false
}
