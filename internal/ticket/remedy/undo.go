package remedy

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/portent-dev/portent/internal/ticket"
)

// former is what there was before a remedy.
type former struct {
	Generation  int64  `json:"generation"`
	Replicas    int    `json:"replicas,omitempty"`
	RestartedAt string `json:"restartedAt,omitempty"`
}

func formerly(o object) former {
	f := former{Generation: o.Metadata.Generation, RestartedAt: o.Spec.Template.Metadata.Annotations[annotationRestart]}
	if o.Spec.Replicas != nil {
		f.Replicas = *o.Spec.Replicas
	}
	return f
}

func (f former) String() string {
	b, err := json.Marshal(f)
	if err != nil {
		panic("BUG: plain data cannot fail to marshal: " + err.Error())
	}
	return string(b)
}

// Undo goes back to what there was before the remedy of r, when it has failed and the declaration says so: to the former
// number of replicas, or to the template of before the restart, which is what kubectl rollout undo does. It is tried by the
// server first; about is then told what will be done, and its error stops it. did is empty when there was nothing to do; what
// speaks against it is an error with ticket.ReasonInvalid, and nothing is changed. It happens once.
func (t *Tracker) Undo(ctx context.Context, r ticket.Ref, about func(what string) error) (did string, err error) {
	o, err := t.get(ctx)
	if err != nil {
		return "", err
	}
	a := o.Metadata.Annotations
	if r.ID == "" || a[annotationKey] != r.ID || a[annotationUndone] != "" || t.cfg.onFailure() != Undo || !o.rolling() || !t.overdue(o) {
		return "", nil
	}
	spec, did, err := t.back(o)
	if err != nil {
		return "", &ticket.Error{Reason: ticket.ReasonInvalid, Err: fmt.Errorf("remedy %s FAILED and is not undone: %w", t.cfg.Says(), err)}
	}
	body := map[string]any{
		"metadata": map[string]any{
			"resourceVersion": o.Metadata.ResourceVersion, "annotations": map[string]any{annotationUndone: t.now().UTC().Format(time.RFC3339)},
		},
		"spec": spec,
	}
	if err := t.patch(ctx, body, true); err != nil {
		return "", err
	}
	if err := about(did); err != nil {
		return "", err
	}
	return did, t.patch(ctx, body, false)
}

// back is the spec of before, and in words. Whatever somebody changed since stays: then there is no way back.
func (t *Tracker) back(o object) (spec map[string]any, says string, err error) {
	var was former
	if json.Unmarshal([]byte(o.Metadata.Annotations[annotationFrom]), &was) != nil {
		return nil, "", errors.New("the workload does not tell what there was before")
	}
	if o.Metadata.Generation != was.Generation+1 {
		return nil, "", errors.New("somebody changed the workload since")
	}
	switch t.cfg.Do {
	case Scale:
		// Whoever may write the annotation must not get more out of it than the remedy did.
		if o.Spec.Replicas == nil || was.Replicas < 1 || was.Replicas >= *o.Spec.Replicas || was.Replicas < *o.Spec.Replicas-t.cfg.Add {
			return nil, "", errors.New("the workload tells a number of replicas that the remedy did not find")
		}
		return map[string]any{"replicas": was.Replicas}, fmt.Sprintf("scale %s/%s back to %d replicas", t.cfg.Namespace, t.cfg.Workload, was.Replicas), nil
	case Restart:
		var before any // null takes the annotation away
		if was.RestartedAt != "" {
			if _, err := time.Parse(time.RFC3339, was.RestartedAt); err != nil {
				return nil, "", errors.New("the workload tells a time of the last restart that is none")
			}
			before = was.RestartedAt
		}
		return map[string]any{"template": map[string]any{"metadata": map[string]any{"annotations": map[string]any{annotationRestart: before}}}},
			fmt.Sprintf("roll %s/%s back to the template of before the restart", t.cfg.Namespace, t.cfg.Workload), nil
	}
	return nil, "", fmt.Errorf("BUG: no way back from %q", t.cfg.Do)
}
