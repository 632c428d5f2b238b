package preset_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/preset"
)

// A series finds what tells its limit by the labels that both have, in the same cluster, renamed by a scrape or not.
func TestLimitOf(t *testing.T) {
	s := set(t, all(t)...)
	used := series("container_memory_working_set_bytes", "cluster=eu", "container=app", "namespace=shop", "pod=web-0", "node=n1", "id=/a/b")
	class := s.Classify(used)
	require.True(t, s.HasLimitOf(class))
	f := func(want bool, pairs ...string) {
		t.Helper()
		ls := series("kube_pod_container_resource_limits", pairs...)
		told := s.LimitsToldBy(ls)
		require.Equal(t, want, len(told) == 1 && told[0] == class && s.LimitOn(class, ls) == s.LimitOn(class, used))
	}
	f(true, "cluster=eu", "container=app", "namespace=shop", "pod=web-0", "resource=memory", "unit=byte", "uid=1")
	f(true, "cluster=eu", "exported_container=app", "container=kube-state-metrics", "exported_namespace=shop", "namespace=monitoring", "exported_pod=web-0", "pod=ksm-0", "resource=memory")
	f(false, "cluster=us", "container=app", "namespace=shop", "pod=web-0", "resource=memory")
	f(false, "cluster=eu", "container=app", "namespace=shop", "pod=web-0", "resource=cpu")
	f(false, "cluster=eu", "container=app", "namespace=shop", "pod=web-1", "resource=memory")
	require.Nil(t, s.LimitsToldBy(series("node_load1", "instance=a")))
	require.False(t, s.HasLimitOf(s.Classify(series("node_load1", "instance=a"))))
	require.Empty(t, s.LimitOn(-1, used))
}

func TestLimitOfIsChecked(t *testing.T) {
	f := func(limitOf, want string) {
		t.Helper()
		_, err := preset.Parse("x.yaml", []byte("name: x\nabout: x\nentries:\n  - {name: a, means: a, as: value, match: a, limit_of: "+limitOf+"}\n"))
		require.ErrorContains(t, err, want)
	}
	f(`{match: "{", on: [pod]}`, "limit_of.match:")
	f(`{match: '{job="x"}', on: [pod]}`, "names no metric")
	f(`{match: b}`, "want labels (on)")
	f(`{match: b, of: [x]}`, "of")
}
