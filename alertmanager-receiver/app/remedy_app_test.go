package app

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/incidentapi"
)

// deployment is the one object of an API server that knows nothing else.
type deployment struct {
	mu       sync.Mutex
	patches  []map[string]any
	rehearse int
}

func (d *deployment) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	d.mu.Lock()
	defer d.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	if r.URL.Path != "/apis/apps/v1/namespaces/shop/deployments/cart" || r.Header.Get("Authorization") != "Bearer of-the-account" {
		w.WriteHeader(http.StatusForbidden)
	} else if r.Method == http.MethodPatch {
		var p map[string]any
		if json.NewDecoder(r.Body).Decode(&p) != nil {
			w.WriteHeader(http.StatusBadRequest)
		} else if r.URL.Query().Get("dryRun") == "All" {
			d.rehearse++
		} else {
			d.patches = append(d.patches, p)
		}
	}
	_, _ = fmt.Fprint(w, `{"metadata":{"resourceVersion":"1","generation":3},"spec":{"replicas":2},"status":{"observedGeneration":3,"replicas":2,"updatedReplicas":2,"readyReplicas":2}}`)
}

func (d *deployment) done() (rehearsed, patched int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.rehearse, len(d.patches)
}

// TestARemedyFromAlertToPatch: it waits, an approval of another declaration is void, and what is approved now is done once.
func TestARemedyFromAlertToPatch(t *testing.T) {
	cluster := &deployment{}
	server := httptest.NewServer(cluster)
	defer server.Close()
	config := func(settle string) string {
		return fmt.Sprintf(`trackers:
  - {type: local}
  - name: restart-cart
    type: remedy
    remedy: {server: %q, token: of-the-account, do: restart, namespace: shop, workload: deployment/cart, settle: %s}
routing:
  routes: [{matchers: ['alertname="PaymentsDown"'], trackers: [local, restart-cart]}]
`, server.URL, settle)
	}
	o, _ := options(t, config("10m"))
	_, url := running(t, o)
	code, body := post(t, url+hook, notice("PaymentsDown"))
	require.Equal(t, 200, code, body)
	c, err := incidentapi.New(incidentapi.Options{URL: url})
	require.NoError(t, err)
	var id string
	draft := func(hasHash func(string) bool) (hash string) {
		t.Helper()
		require.Eventually(t, func() bool {
			page, err := c.List(t.Context(), incidentapi.ListOptions{})
			if err != nil || len(page.Incidents) != 1 {
				return false
			}
			id = page.Incidents[0].ID
			inc, err := c.Get(t.Context(), id)
			for i := 0; err == nil && i < len(inc.Drafts); i++ {
				if d := inc.Drafts[i]; d.Tracker == "restart-cart" && d.State == "held" && hasHash(d.Hash) {
					hash = d.Hash
				}
			}
			return hash != ""
		}, 20*time.Second, 20*time.Millisecond)
		return hash
	}
	first := draft(func(string) bool { return true })
	require.NoError(t, os.WriteFile(o.ConfigFile, []byte(config("5m")), 0o600))
	code, body = post(t, url+"/-/reload", "")
	require.Equal(t, 200, code, body)
	second := draft(func(h string) bool { return h != first })
	_, err = c.Approve(t.Context(), id, first, "as it was declared")
	require.Equal(t, incidentapi.ReasonConflict, reasonOf(t, err))
	_, patched := cluster.done()
	require.Zero(t, patched)

	_, err = c.Approve(t.Context(), id, second, "go")
	require.NoError(t, err)
	require.Eventually(t, func() bool { _, n := cluster.done(); return n == 1 }, 20*time.Second, 20*time.Millisecond)
	rehearsed, _ := cluster.done()
	require.Equal(t, 1, rehearsed, "the server tried it first")
	inc, err := c.Get(t.Context(), id)
	require.NoError(t, err)
	said := fmt.Sprint(inc.Timeline)
	require.Contains(t, said, "approvals of before are void")
}
