package discover

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/topology"
	"github.com/portent-dev/portent/internal/web"
)

const written = `
dependencies:
  - service: shop/checkout
    calls: [data/orders-db, payments]
  - service: data/orders-db
    cluster: prod
    runs_on: [db-host-7]
    aliases: [orders.rds.example.com]
  - node: db-host-7
    calls: [san-2]
`

func TestFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "dependencies.yml")
	require.NoError(t, os.WriteFile(path, []byte(written), 0o600))
	f, err := LoadFile(path)
	require.NoError(t, err)
	topo, dropped := build(f.links(), topology.Limits{})
	require.Zero(t, dropped)
	find := func(ns, name string) []topology.Anchor { return topo.Find(nil, topology.Service, "prod", ns, name) }
	relate := func(a, b []topology.Anchor) string { return topo.Words(topo.Relate(a, b)) }
	require.Equal(t, "shop/checkout depends on data/orders-db", relate(find("shop", "checkout"), find("", "orders.rds.example.com")))
	require.Equal(t, "shop/checkout depends on payments", relate(find("shop", "checkout"), find("other", "payments")))
	require.Equal(t, "data/orders-db runs on db-host-7", relate(find("data", "orders-db"), topo.Find(nil, topology.Node, "prod", "", "db-host-7:9100")))
	require.Equal(t, "shop/checkout depends on db-host-7 through data/orders-db", relate(find("shop", "checkout"), topo.Find(nil, topology.Node, "prod", "", "db-host-7")))
	require.Empty(t, topo.Find(nil, topology.Service, "staging", "data", "rds"))
	_, err = LoadFile(path + "x")
	require.ErrorContains(t, err, "read configuration")
}

func TestFileIsStrict(t *testing.T) {
	f := func(content, want string) {
		t.Helper()
		var f File
		require.ErrorContains(t, web.ParseYAML("d.yml", []byte(content), &f), want)
	}
	f("dependencies: [{service: a, call: [b]}]", "call: unknown key")
	f("dependencies: [{calls: [b]}]", "dependencies[0]: want service or node")
	f("dependencies: [{service: a, node: b, calls: [c]}]", "node: give service or node, not both")
	f("dependencies: [{service: a}]", "says nothing")
	f("dependencies: [{service: a/b/c, calls: [d]}]", "want name or namespace/name")
	f("dependencies: [{service: a, calls: [b, '']}]", "calls[1]")
	f("dependencies: [{service: a, calls: b}]", "calls")
	f("dependencies: []\ndependencies: []", "dependencies")
}

func FuzzFile(f *testing.F) {
	f.Add([]byte(written))
	f.Add([]byte("dependencies: [{node: a, aliases: [a, A]}, {service: a/b, calls: [a/b], runs_on: [a]}]"))
	f.Fuzz(func(t *testing.T, b []byte) {
		var file File
		if web.ParseYAML("fuzz.yml", b, &file) != nil {
			return
		}
		require.NoError(t, file.Validate())
		topo, dropped := build(file.links(), topology.Limits{})
		require.Zero(t, dropped, "what is valid is taken")
		for id := range topo.Len() {
			e := topo.Entity(topology.ID(id))
			require.NotEmpty(t, topo.Find(nil, e.Kind, e.Cluster, e.Namespace, e.Name), "%+v", e)
		}
	})
}
