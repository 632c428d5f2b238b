// Package remedy does one declared thing to one declared workload in Kubernetes: restarts it, or adds replicas
// within a bound. It is a ticket.Tracker, so that a remedy is decided by the policy, waits for
// approval, is done once, and is audited as a ticket is.
//
// Each remedy is tried by the server first (dryRun=All). What is done is noted on the workload itself, in
// annotations: by them a remedy whose answer was lost is recognised, none comes sooner after another
// than it may, and one that did not help is undone where that is declared. It uses three calls of the API (get and patch of the workload), so it needs no library of
// clients. Nothing of an alert goes into a request but the incident's key, whose letters are checked.
package remedy

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/portent-dev/portent/internal/ticket"
	"github.com/portent-dev/portent/internal/ticketrest"
)

// Options are what a Tracker needs. All fields are required.
type Options struct {
	// Config must be valid.
	Config Config
	// Client sends the requests (Config.HTTPClient). It must not follow redirects.
	Client     *http.Client
	Now        func() time.Time
	Registerer prometheus.Registerer
}

// Tracker is a remedy as a ticket.Tracker. It is safe for concurrent use.
type Tracker struct {
	cfg Config
	api ticketrest.Client
	now func() time.Time
}

var _ ticket.Tracker = (*Tracker)(nil)

// The operations.
const (
	opGet    = "get"
	opTry    = "try"
	opRemedy = "remedy"
)

// Annotations on the workload.
const (
	annotationKey = "portent.dev/remedy-for" // key of the incident
	annotationAt  = "portent.dev/remedied-at"
	// annotationFrom is what there was before, as JSON (former), to go back to.
	annotationFrom = "portent.dev/remedied-from"
	// annotationUndone is when it was undone.
	annotationUndone = "portent.dev/remedy-undone-at"
	// annotationRestart is that of kubectl rollout restart, on the template of the pods.
	annotationRestart = "kubectl.kubernetes.io/restartedAt"
)

// New returns a tracker. It sends nothing.
func New(o Options) (*Tracker, error) {
	if err := o.Config.Validate(); err != nil {
		return nil, err
	}
	if o.Client == nil || o.Now == nil || o.Registerer == nil {
		return nil, errors.New("remedy: HTTP client, clock and registerer are needed")
	}
	observe, err := ticketrest.NewRequests(o.Registerer, "remedy", "the API server of Kubernetes", opGet, opTry, opRemedy)
	if err != nil {
		return nil, err
	}
	return &Tracker{cfg: o.Config, now: o.Now, api: ticketrest.Client{
		Vendor: "remedy", Base: strings.TrimRight(o.Config.Server, "/"), HTTP: o.Client, Timeout: time.Duration(o.Config.Timeout), Now: o.Now, Observe: observe,
		Message: func(_ http.Header, body []byte) string {
			var s struct{ Message string }
			_ = json.Unmarshal(body, &s) // what cannot be read says nothing
			return s.Message
		},
		RetryAfter: func(resp *http.Response, now time.Time) time.Duration { return ticketrest.RetryAfter(resp.Header, now) },
	}}, nil
}

// object is what is read of a workload.
type object struct {
	Metadata struct {
		ResourceVersion string            `json:"resourceVersion"`
		Generation      int64             `json:"generation"`
		Annotations     map[string]string `json:"annotations"`
	} `json:"metadata"`
	Spec struct {
		Replicas *int `json:"replicas"`
		Template struct {
			Metadata struct {
				Annotations map[string]string `json:"annotations"`
			} `json:"metadata"`
		} `json:"template"`
	} `json:"spec"`
	Status struct {
		ObservedGeneration     int64 `json:"observedGeneration"`
		Replicas               int   `json:"replicas"`
		UpdatedReplicas        int   `json:"updatedReplicas"`
		ReadyReplicas          int   `json:"readyReplicas"`
		DesiredNumberScheduled int   `json:"desiredNumberScheduled"` // of a daemonset
		UpdatedNumberScheduled int   `json:"updatedNumberScheduled"`
		NumberReady            int   `json:"numberReady"`
	} `json:"status"`
}

// ready tells how many pods are as they should be, and of how many.
func (o *object) ready() (ready, of int) {
	if o.Spec.Replicas == nil {
		return min(o.Status.NumberReady, o.Status.UpdatedNumberScheduled), o.Status.DesiredNumberScheduled
	}
	return min(o.Status.ReadyReplicas, o.Status.UpdatedReplicas), *o.Spec.Replicas
}

// rolling reports whether the workload is on its way to what was last asked of it.
func (o *object) rolling() bool {
	ready, of := o.ready()
	return o.Status.ObservedGeneration < o.Metadata.Generation || ready < of || o.Status.Replicas > of && o.Spec.Replicas != nil
}

// do sends one call, with the token as it is now.
func (t *Tracker) do(ctx context.Context, q ticketrest.Call, out any) error {
	token, err := t.cfg.Secret()
	if err != nil {
		return &ticket.Error{Reason: ticket.ReasonAuth, Retry: true, RetryAfter: time.Minute, Err: fmt.Errorf("remedy: %w", err)}
	}
	api := t.api
	api.Header = http.Header{"Authorization": {"Bearer " + token.Reveal()}}
	return api.Do(ctx, q, out)
}

func (t *Tracker) get(ctx context.Context) (object, error) {
	var o object
	err := t.do(ctx, ticketrest.Call{Op: opGet, Method: http.MethodGet, Path: t.cfg.path()}, &o)
	return o, err
}

// patch changes the workload if it is still the one that was read; with dry it is only tried.
func (t *Tracker) patch(ctx context.Context, body map[string]any, dry bool) error {
	q := ticketrest.Call{
		Op: opRemedy, Method: http.MethodPatch, Path: t.cfg.path(), Query: url.Values{"fieldManager": {"portent"}}, Body: body, Effect: !dry,
		Header: http.Header{"Content-Type": {"application/merge-patch+json"}},
	}
	if dry {
		q.Op = opTry
		q.Query.Set("dryRun", "All")
	}
	return t.do(ctx, q, nil)
}

// SearchLag is zero: the annotation is there when the patch is.
func (t *Tracker) SearchLag() time.Duration { return 0 }

// Check reads the workload: token, name and kind are right then.
func (t *Tracker) Check(ctx context.Context) (warnings []string, err error) {
	o, err := t.get(ctx)
	e := (*ticket.Error)(nil)
	if errors.As(err, &e) && (e.Reason == ticket.ReasonNotFound || e.Reason == ticket.ReasonAuth || e.Reason == ticket.ReasonPermission) {
		return nil, &ticketrest.CheckError{Vendor: "remedy", Problems: []string{e.Err.Error()}}
	}
	if err == nil && t.cfg.Do == Scale && o.Spec.Replicas != nil && *o.Spec.Replicas >= t.cfg.Max {
		warnings = append(warnings, fmt.Sprintf("%s has %d replicas already, max is %d", t.cfg.Workload, *o.Spec.Replicas, t.cfg.Max))
	}
	return warnings, err
}

// Create does the remedy, once for a key. What speaks against it now is an error that says so, and nothing is changed.
func (t *Tracker) Create(ctx context.Context, d ticket.Draft) (ticket.Ticket, error) {
	if err := ticket.CheckKey(d.Key); err != nil {
		return ticket.Ticket{}, &ticket.Error{Reason: ticket.ReasonInvalid, Err: err}
	}
	o, err := t.get(ctx)
	if err != nil {
		return ticket.Ticket{}, err
	}
	if o.Metadata.Annotations[annotationKey] == d.Key {
		return t.state(d.Key, o), nil
	}
	if err := t.declared(d); err != nil {
		return ticket.Ticket{}, err
	}
	body, err := t.plan(d.Key, o)
	if err != nil {
		return ticket.Ticket{}, err
	}
	if err := t.patch(ctx, body, true); err != nil {
		return ticket.Ticket{}, err
	}
	if err := t.patch(ctx, body, false); err != nil {
		return ticket.Ticket{}, err
	}
	return ticket.Ticket{Ref: t.ref(d.Key), Status: string(t.cfg.Do) + " begun"}, nil
}

// declared refuses a draft that was made, and perhaps approved, for another declaration.
func (t *Tracker) declared(d ticket.Draft) error {
	now := t.cfg.Declaration()
	if d.Declaration == now {
		return nil
	}
	was := "nothing"
	if d.Declaration != "" {
		was = fmt.Sprintf("%q (declaration %.12s)", ticket.OneLine(d.Does, 300), d.Declaration)
	}
	return &ticket.Error{Reason: ticket.ReasonInvalid, Err: fmt.Errorf(
		"remedy: the draft and its approval are for %s, and the configuration declares %q (declaration %.12s): the approval is void, nothing was changed",
		was, t.cfg.Promises(), now)}
}

// plan is the patch, or why there is none.
func (t *Tracker) plan(key string, o object) (map[string]any, error) {
	refuse := func(format string, args ...any) error {
		return &ticket.Error{Reason: ticket.ReasonInvalid, Err: fmt.Errorf("remedy %s: %s", t.cfg.Says(), fmt.Sprintf(format, args...))}
	}
	now := t.now().UTC()
	if at, err := time.Parse(time.RFC3339, o.Metadata.Annotations[annotationAt]); err == nil && now.Sub(at) < time.Duration(t.cfg.MinInterval) {
		return nil, refuse("the last one was at %s, and they are %s apart at least", at.Format(time.RFC3339), t.cfg.MinInterval)
	}
	stamp := now.Format(time.RFC3339)
	body := map[string]any{"metadata": map[string]any{
		"resourceVersion": o.Metadata.ResourceVersion,
		"annotations":     map[string]any{annotationKey: key, annotationAt: stamp, annotationFrom: formerly(o).String(), annotationUndone: nil},
	}}
	switch t.cfg.Do {
	case Restart:
		if o.Status.ObservedGeneration < o.Metadata.Generation {
			return nil, refuse("a rollout is under way")
		}
		body["spec"] = map[string]any{"template": map[string]any{"metadata": map[string]any{"annotations": map[string]string{annotationRestart: stamp}}}}
	case Scale:
		if o.Spec.Replicas == nil {
			return nil, refuse("the workload says no number of replicas")
		}
		have := *o.Spec.Replicas
		want := min(have+t.cfg.Add, t.cfg.Max)
		if want <= have {
			return nil, refuse("there are %d replicas already", have)
		}
		body["spec"] = map[string]any{"replicas": want}
	}
	return body, nil
}

// ref names what was done.
func (t *Tracker) ref(key string) ticket.Ref {
	return ticket.Ref{Key: t.cfg.Namespace + "/" + t.cfg.Workload, ID: key}
}

// Find returns what was done for a key, as long as nothing was done for another since.
func (t *Tracker) Find(ctx context.Context, key string) (ticket.Ticket, error) {
	o, err := t.get(ctx)
	if err != nil {
		return ticket.Ticket{}, err
	}
	if key == "" || o.Metadata.Annotations[annotationKey] != key {
		return ticket.Ticket{}, &ticket.Error{Reason: ticket.ReasonNotFound, Err: fmt.Errorf("remedy: nothing was done for %s: %w", ticket.Cut(key, 60), ticket.ErrNotFound)}
	}
	return t.state(key, o), nil
}

// Get returns how it goes: the status is shown with the incident. It has no state of its own, so it neither closes nor
// opens the incident.
func (t *Tracker) Get(ctx context.Context, r ticket.Ref) (ticket.Ticket, error) {
	return t.Find(ctx, r.ID)
}

func (t *Tracker) state(key string, o object) ticket.Ticket {
	ready, of := o.ready()
	out := ticket.Ticket{Ref: t.ref(key), Status: fmt.Sprintf("%s done: %d of %d pods ready", t.cfg.Do, ready, of)}
	switch {
	case o.Metadata.Annotations[annotationUndone] != "":
		out.Status, out.Failed = fmt.Sprintf("%s FAILED and undone: %d of %d pods ready", t.cfg.Do, ready, of), true
	case !o.rolling():
	case t.overdue(o):
		out.Status, out.Failed = fmt.Sprintf("%s FAILED: %d of %d pods ready after %s", t.cfg.Do, ready, of, t.cfg.Settle), true
	default:
		out.Status = fmt.Sprintf("%s: %d of %d pods ready", t.cfg.Do, ready, of)
	}
	return out
}

// overdue reports whether the time that a workload has to get well is over.
func (t *Tracker) overdue(o object) bool {
	at, err := time.Parse(time.RFC3339, o.Metadata.Annotations[annotationAt])
	return err == nil && t.now().Sub(at) > time.Duration(t.cfg.Settle)
}

// Update has nothing to tell: a workload reads no comments, and what was done is not undone when an incident ends.
func (t *Tracker) Update(_ context.Context, _ ticket.Ref, u ticket.Update) error {
	if err := ticket.CheckKey(u.Key); err != nil {
		return &ticket.Error{Reason: ticket.ReasonInvalid, Err: err}
	}
	return nil
}
