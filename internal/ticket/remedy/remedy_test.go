package remedy_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/portent-dev/portent/internal/ticket"
	"github.com/portent-dev/portent/internal/ticket/remedy"
	"github.com/portent-dev/portent/internal/ticket/tickettest"
	"github.com/portent-dev/portent/internal/ticketrest"
)

const path = "/apis/apps/v1/namespaces/shop/deployments/cart"

// cluster is an API server with one deployment. It takes what a narrow service account may do, and reports the rest.
type cluster struct {
	mu          sync.Mutex
	annotations map[string]string
	template    map[string]string
	replicas    int
	ready       int
	generation  int64
	observed    int64
	version     int
	tries       int
	patches     int
	lose        bool   // the answer of the next patch
	refuse      string // what the server says to a dry run
}

func newCluster() *cluster {
	return &cluster{annotations: map[string]string{}, template: map[string]string{}, replicas: 3, ready: 3, generation: 7, observed: 7, version: 100}
}

func (c *cluster) serve(t *testing.T) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		c.mu.Lock()
		defer c.mu.Unlock()
		w.Header().Set("Content-Type", "application/json")
		status := func(code int, message string) {
			w.WriteHeader(code)
			_ = json.NewEncoder(w).Encode(map[string]any{"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": message, "code": code})
		}
		switch {
		case r.Header.Get("Authorization") != "Bearer token":
			status(http.StatusUnauthorized, "Unauthorized")
			return
		case r.URL.Path != path:
			status(http.StatusForbidden, "deployments.apps is forbidden: the account may do this to one deployment only")
			return
		case r.Method == http.MethodGet:
		case r.Method == http.MethodPatch:
			if err := c.patch(r); err != nil {
				t.Errorf("patch: %v", err)
			}
			if dry := r.URL.Query().Get("dryRun") == "All"; dry && c.refuse != "" {
				status(http.StatusUnprocessableEntity, c.refuse)
				return
			} else if !dry && c.lose {
				c.lose = false
				panic(http.ErrAbortHandler)
			}
		default:
			t.Errorf("%s %s", r.Method, r.URL)
			status(http.StatusMethodNotAllowed, "no")
			return
		}
		_ = json.NewEncoder(w).Encode(map[string]any{
			"metadata": map[string]any{"resourceVersion": strconv.Itoa(c.version), "generation": c.generation, "annotations": c.annotations},
			"spec": map[string]any{
				"replicas": c.replicas, "template": map[string]any{"metadata": map[string]any{"annotations": c.template}},
			},
			"status": map[string]any{"observedGeneration": c.observed, "replicas": c.replicas, "updatedReplicas": c.ready, "readyReplicas": c.ready},
		})
	}
}

// patch holds a merge patch to what it may touch, and does it unless it is a dry run.
func (c *cluster) patch(r *http.Request) error {
	if r.Header.Get("Content-Type") != "application/merge-patch+json" || r.URL.Query().Get("fieldManager") != "portent" {
		return fmt.Errorf("headers %v, query %v", r.Header, r.URL.Query())
	}
	var p struct {
		Metadata struct {
			ResourceVersion string
			Annotations     map[string]*string
		}
		Spec struct {
			Replicas *int
			Template struct {
				Metadata struct{ Annotations map[string]*string }
			}
		}
	}
	d := json.NewDecoder(r.Body)
	d.DisallowUnknownFields()
	if err := d.Decode(&p); err != nil {
		return err
	}
	if p.Metadata.ResourceVersion != strconv.Itoa(c.version) {
		return errors.New("without the version that was read")
	}
	if r.URL.Query().Get("dryRun") == "All" {
		c.tries++
		return nil
	}
	c.patches++
	c.version++
	merge(c.annotations, p.Metadata.Annotations)
	if merge(c.template, p.Spec.Template.Metadata.Annotations) {
		c.generation++
		c.ready = 0
	}
	if p.Spec.Replicas != nil && *p.Spec.Replicas != c.replicas {
		c.replicas = *p.Spec.Replicas
		c.generation++
	}
	return nil
}

// merge is a merge patch: null takes a key away. It reports whether anything changed.
func merge(into map[string]string, patch map[string]*string) (changed bool) {
	for k, v := range patch {
		old, had := into[k]
		switch v {
		case nil:
			delete(into, k)
			changed = changed || had
		default:
			into[k] = *v
			changed = changed || !had || old != *v
		}
	}
	return changed
}

// settle lets the controller do its work.
func (c *cluster) settle() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.observed, c.ready = c.generation, c.replicas
}

// rig is a remedy for a cluster, at a time that the test sets.
type rig struct {
	*remedy.Tracker
	*cluster
	now    time.Time
	config remedy.Config
}

func newRig(t *testing.T, change func(*remedy.Config)) *rig {
	t.Helper()
	r := &rig{cluster: newCluster(), now: time.Date(2026, 11, 22, 3, 0, 0, 0, time.UTC)}
	server := httptest.NewServer(r.serve(t))
	t.Cleanup(server.Close)
	token := filepath.Join(t.TempDir(), "token")
	require.NoError(t, os.WriteFile(token, []byte("token\n"), 0o600))
	c := remedy.DefaultConfig()
	c.Server, c.TokenFile, c.Do, c.Namespace, c.Workload = server.URL, token, remedy.Restart, "shop", "deployment/cart"
	if change != nil {
		change(&c)
	}
	require.NoError(t, c.Validate())
	r.config = c
	client, err := c.HTTPClient()
	require.NoError(t, err)
	r.Tracker, err = remedy.New(remedy.Options{Config: c, Client: client, Now: func() time.Time { return r.now }, Registerer: prometheus.NewRegistry()})
	require.NoError(t, err)
	return r
}

// draft is one that was approved for what is declared now.
func (r *rig) draft(key string) ticket.Draft {
	d := tickettest.Draft(key)
	d.Does, d.Declaration = r.config.Promises(), r.config.Declaration()
	return d
}

func (r *rig) create(t *testing.T, key string) ticket.Ticket {
	t.Helper()
	made, err := r.Create(t.Context(), r.draft(key))
	require.NoError(t, err)
	return made
}

func TestRestart(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	warnings, err := r.Check(t.Context())
	require.NoError(t, err)
	require.Empty(t, warnings)
	made := r.create(t, "portent-1")
	require.Equal(t, ticket.Ref{Key: "shop/deployment/cart", ID: "portent-1"}, made.Ref)
	require.Equal(t, 1, r.tries, "tried by the server first")
	require.Equal(t, 1, r.patches)
	require.Equal(t, "2026-11-22T03:00:00Z", r.template["kubectl.kubernetes.io/restartedAt"])

	got, err := r.Get(t.Context(), made.Ref)
	require.NoError(t, err)
	require.Equal(t, "restart: 0 of 3 pods ready", got.Status)
	require.Equal(t, ticket.Unchanged, got.State, "it neither closes nor opens the incident")
	r.settle()
	got, err = r.Get(t.Context(), made.Ref)
	require.NoError(t, err)
	require.Equal(t, "restart done: 3 of 3 pods ready", got.Status)
	require.NoError(t, r.Update(t.Context(), made.Ref, ticket.Update{Key: "u", State: ticket.Resolved}))
	require.Equal(t, 1, r.patches)
}

func TestARemedyIsDoneOnce(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	r.lose = true
	_, err := r.Create(t.Context(), r.draft("portent-1"))
	require.True(t, ticket.AsError(err).Ambiguous, "%v", err)
	found, err := r.Find(t.Context(), "portent-1")
	require.NoError(t, err)
	require.Equal(t, "portent-1", found.ID)
	for range 3 {
		r.create(t, "portent-1")
	}
	require.Equal(t, 1, r.patches)
	_, err = r.Find(t.Context(), "portent-2")
	require.ErrorIs(t, err, ticket.ErrNotFound)
}

func TestARemedyThatFailsSaysSo(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	made := r.create(t, "portent-1")
	r.now = r.now.Add(11 * time.Minute)
	got, err := r.Get(t.Context(), made.Ref)
	require.NoError(t, err)
	require.Equal(t, "restart FAILED: 0 of 3 pods ready after 10m", got.Status)
	require.True(t, got.Failed)
	undo(t, r, made.Ref, "", "")
	require.Equal(t, 1, r.patches, "a restart is undone only where that is declared")
}

func TestWhatSpeaksAgainstARemedy(t *testing.T) {
	t.Parallel()
	refused := func(r *rig, key, want string) {
		t.Helper()
		before := r.patches
		_, err := r.Create(t.Context(), r.draft(key))
		e := ticket.AsError(err)
		require.Equal(t, ticket.ReasonInvalid, e.Reason, "%v", err)
		require.False(t, e.Retry)
		require.ErrorContains(t, err, want)
		require.Equal(t, before, r.patches, "nothing is changed")
	}
	r := newRig(t, nil)
	r.create(t, "portent-1")
	r.settle()
	r.now = r.now.Add(29 * time.Minute)
	refused(r, "portent-2", "they are 30m apart at least")
	r.now = r.now.Add(time.Minute)
	r.create(t, "portent-2")
	require.Equal(t, 2, r.patches)

	r = newRig(t, nil)
	r.observed--
	refused(r, "portent-1", "a rollout is under way")

	r = newRig(t, nil)
	r.refuse = "admission webhook denied the request"
	refused(r, "portent-1", "admission webhook denied the request")

	r = newRig(t, func(c *remedy.Config) { c.Do, c.Add, c.Max = remedy.Scale, 2, 3 })
	refused(r, "portent-1", "there are 3 replicas already")
	warnings, err := r.Check(t.Context())
	require.NoError(t, err)
	require.Len(t, warnings, 1)

	r = newRig(t, nil)
	_, err = r.Create(t.Context(), ticket.Draft{Key: "a b/../c"})
	require.Equal(t, ticket.ReasonInvalid, ticket.AsError(err).Reason)
}

// undo undoes, and wants what was done, or an error that says so.
func undo(t *testing.T, r *rig, ref ticket.Ref, want, refused string) {
	t.Helper()
	told := ""
	did, err := r.Undo(t.Context(), ref, func(what string) error { told = what; return nil })
	if refused != "" {
		require.ErrorContains(t, err, refused)
		require.Equal(t, ticket.ReasonInvalid, ticket.AsError(err).Reason)
		require.Empty(t, told)
		return
	}
	require.NoError(t, err)
	require.Equal(t, want, did)
	require.Equal(t, want, told, "told before it is done")
}

func scaleBy2(c *remedy.Config) { c.Do, c.Add, c.Max = remedy.Scale, 2, 6 }

func TestAScaleThatFailedIsUndone(t *testing.T) {
	t.Parallel()
	r := newRig(t, scaleBy2)
	made := r.create(t, "portent-1")
	require.Equal(t, 5, r.replicas)
	undo(t, r, made.Ref, "", "") // it still has time
	r.now = r.now.Add(11 * time.Minute)
	undo(t, r, ticket.Ref{Key: made.Key, ID: "portent-2"}, "", "") // another incident's
	tries := r.tries
	undo(t, r, made.Ref, "scale shop/deployment/cart back to 3 replicas", "")
	require.Equal(t, 3, r.replicas)
	require.Equal(t, tries+1, r.tries, "tried by the server first")
	undo(t, r, made.Ref, "", "")
	require.Equal(t, 2, r.patches, "once")
	r.settle()
	got, err := r.Get(t.Context(), made.Ref)
	require.NoError(t, err)
	require.Equal(t, "scale FAILED and undone: 3 of 3 pods ready", got.Status)
	require.True(t, got.Failed)
	// The next remedy of the workload begins anew.
	r.now = r.now.Add(time.Hour)
	next := r.create(t, "portent-3")
	r.settle()
	got, err = r.Get(t.Context(), next.Ref)
	require.NoError(t, err)
	require.Equal(t, "scale done: 5 of 5 pods ready", got.Status)
	require.False(t, got.Failed)
}

func TestARestartIsUndoneWhereDeclared(t *testing.T) {
	t.Parallel()
	for _, before := range []string{"", "2026-11-01T10:00:00+01:00"} {
		r := newRig(t, func(c *remedy.Config) { c.OnFailure = remedy.Undo })
		if before != "" {
			r.template["kubectl.kubernetes.io/restartedAt"] = before
		}
		made := r.create(t, "portent-1")
		r.now = r.now.Add(11 * time.Minute)
		undo(t, r, made.Ref, "roll shop/deployment/cart back to the template of before the restart", "")
		require.Equal(t, before, r.template["kubectl.kubernetes.io/restartedAt"])
	}
}

func TestWhatSpeaksAgainstAnUndo(t *testing.T) {
	t.Parallel()
	for want, change := range map[string]func(*rig){
		"somebody changed the workload since": func(r *rig) { r.generation++ },
		"does not tell what there was before": func(r *rig) { r.annotations["portent.dev/remedied-from"] = "x" },
		"that the remedy did not find":        func(r *rig) { r.annotations["portent.dev/remedied-from"] = `{"generation":7,"replicas":1}` },
		"admission webhook denied":            func(r *rig) { r.refuse = "admission webhook denied the request" },
	} {
		r := newRig(t, scaleBy2)
		made := r.create(t, "portent-1")
		r.now = r.now.Add(11 * time.Minute)
		change(r)
		undo(t, r, made.Ref, "", want)
		require.Equal(t, 5, r.replicas)
		require.Equal(t, 1, r.patches)
	}
	r := newRig(t, scaleBy2)
	made := r.create(t, "portent-1")
	r.settle() // it helped
	r.now = r.now.Add(11 * time.Minute)
	undo(t, r, made.Ref, "", "")
	r.ready = 0
	_, err := r.Undo(t.Context(), made.Ref, func(string) error { return errors.New("the audit chain cannot be written") })
	require.ErrorContains(t, err, "the audit chain cannot be written")
	require.Equal(t, 1, r.patches, "what cannot be recorded is not done")
}

// TestAnApprovalIsForOneDeclaration: whatever bound of a declaration changes, an approval of before is void.
func TestAnApprovalIsForOneDeclaration(t *testing.T) {
	t.Parallel()
	r := newRig(t, scaleBy2)
	for name, change := range map[string]func(*remedy.Config){
		"action": func(c *remedy.Config) { c.Do, c.Add, c.Max = remedy.Restart, 0, 0 },
		"object": func(c *remedy.Config) { c.Workload = "deployment/other" }, "place": func(c *remedy.Config) { c.Namespace = "other" },
		"cluster": func(c *remedy.Config) { c.Server = "https://other.example" }, "step": func(c *remedy.Config) { c.Add = 3 },
		"bound": func(c *remedy.Config) { c.Max = 5 }, "end": func(c *remedy.Config) { c.OnFailure = remedy.Report },
		"time": func(c *remedy.Config) { require.NoError(t, c.Settle.Set("5m")) }, "pause": func(c *remedy.Config) { require.NoError(t, c.MinInterval.Set("1h")) },
	} {
		was := r.config
		change(&was)
		d := r.draft("portent-1")
		d.Does, d.Declaration = was.Promises(), was.Declaration()
		_, err := r.Create(t.Context(), d)
		require.ErrorContains(t, err, "the approval is void, nothing was changed", name)
		require.ErrorContains(t, err, was.Promises())
		require.ErrorContains(t, err, r.config.Promises())
		require.False(t, ticket.AsError(err).Retry)
	}
	_, err := r.Create(t.Context(), tickettest.Draft("portent-1"))
	require.ErrorContains(t, err, "the draft and its approval are for nothing, and the configuration declares")
	require.Zero(t, r.patches+r.tries)

	same := r.config
	same.OnFailure, same.Server = remedy.Undo, same.Server+"/"
	require.Equal(t, r.config.Declaration(), same.Declaration(), "said or by default is the same")
}

func TestScaleStaysWithinItsBound(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *remedy.Config) { c.Do, c.Add, c.Max = remedy.Scale, 2, 4 })
	r.create(t, "portent-1")
	require.Equal(t, 4, r.replicas)
	require.Empty(t, r.template, "a scaling restarts nothing")
}

func TestTheWrongPlaceIsSaidAtTheStart(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *remedy.Config) { c.Workload = "deployment/other" })
	_, err := r.Check(t.Context())
	var wrong *ticketrest.CheckError
	require.ErrorAs(t, err, &wrong)
	require.Contains(t, err.Error(), "is forbidden")
	require.NotContains(t, err.Error(), "Bearer")
}

func TestConfig(t *testing.T) {
	t.Parallel()
	f := func(text, want string) {
		t.Helper()
		var c remedy.Config
		require.NoError(t, yaml.Unmarshal([]byte(text), &c))
		err := c.Validate()
		if want == "" {
			require.NoError(t, err)
			return
		}
		require.ErrorContains(t, err, want)
	}
	good := "server: https://kubernetes.default.svc\ntoken_file: x\nnamespace: shop\n"
	f(good+"workload: deployment/cart\ndo: restart\n", "")
	f(good+"workload: statefulset/db\ndo: scale\nadd: 1\nmax: 5\n", "")
	f(good+"workload: daemonset/a\ndo: scale\nadd: 1\nmax: 5\n", "a daemonset has no replicas")
	f(good+"workload: deployment/cart\ndo: delete\n", `do: "delete": want restart or scale`)
	f(good+"workload: pod/cart\ndo: restart\n", `workload: "pod/cart"`)
	f(good+"workload: deployment/../secrets\ndo: restart\n", "workload")
	f(good+"workload: deployment/cart\ndo: scale\n", "add: 0 and max 0")
	f(good+"workload: deployment/cart\ndo: restart\nadd: 1\n", "belong to scale")
	f(strings.Replace(good, "shop", "Shop/x", 1)+"workload: deployment/cart\ndo: restart\n", `namespace: "Shop/x"`)
	f(good+"workload: deployment/cart\ndo: restart\non_failure: undo\n", "")
	f(good+"workload: statefulset/db\ndo: restart\non_failure: undo\n", "not safe with a statefulset")
	f(good+"workload: deployment/cart\ndo: restart\non_failure: pray\n", `on_failure: "pray": want report or undo`)
	f("server: http://cluster.example\ntoken: t\nnamespace: a\nworkload: deployment/a\ndo: restart\n", "must begin with https://")
	f(good+"workload: deployment/cart\ndo: restart\nmin_interval: 1s\n", "min_interval: 1s: want 1m to 1w")
	f("server: https://x.example\nnamespace: a\nworkload: deployment/a\ndo: restart\n", "token: is missing")
}
