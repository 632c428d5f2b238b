package topology_test

import (
	"fmt"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/topology"
)

func svc(ns, name string) topology.Entity {
	return topology.Entity{Kind: topology.Service, Namespace: ns, Name: name}
}

func named(kind topology.Kind, name string) topology.Entity {
	return topology.Entity{Kind: kind, Name: name}
}

func build(f func(b *topology.Builder)) *topology.Topology {
	b := topology.NewBuilder(topology.Limits{})
	f(b)
	return b.Build()
}

func find(t *topology.Topology, e topology.Entity) []topology.Anchor {
	return t.Find(nil, e.Kind, e.Cluster, e.Namespace, e.Name)
}

func TestRelate(t *testing.T) {
	web := topology.Entity{Kind: topology.Pod, Namespace: "shop", Name: "checkout-0"}
	topo := build(func(b *topology.Builder) {
		b.Depends(svc("web", "frontend"), svc("shop", "checkout"))
		b.Depends(svc("shop", "checkout"), svc("data", "orders-db"))
		b.Depends(svc("shop", "cart"), svc("data", "orders-db"))
		b.Depends(svc("shop", "cart"), svc("shop", "prices"))
		b.Depends(svc("shop", "prices"), svc("shop", "cart"))
		b.PartOf(web, svc("shop", "checkout"))
		b.Depends(web, named(topology.Node, "n1"))
		b.Depends(svc("data", "orders-db"), named(topology.Node, "n2"))
	})
	f := func(from, to topology.Entity, words string, hops, below int) {
		t.Helper()
		r := topo.Relate(find(topo, from), find(topo, to))
		require.Equal(t, words, topo.Words(r))
		require.Equal(t, []int{hops, below}, []int{r.Hops, r.Below})
		back := topo.Relate(find(topo, to), find(topo, from))
		require.Equal(t, []int{hops, -below}, []int{back.Hops, back.Below}, "from the other side")
	}
	f(svc("web", "frontend"), svc("shop", "checkout"), "web/frontend depends on shop/checkout", 1, 1)
	f(svc("web", "frontend"), svc("data", "orders-db"), "web/frontend depends on data/orders-db through shop/checkout", 2, 1)
	f(svc("shop", "checkout"), named(topology.Node, "n2"), "shop/checkout depends on n2 through data/orders-db", 2, 1)
	f(svc("shop", "checkout"), named(topology.Node, "n1"), "shop/checkout runs on n1", 1, 1) // by its pod
	f(web, named(topology.Node, "n1"), "shop/checkout-0 runs on n1", 1, 1)
	f(web, svc("data", "orders-db"), "shop/checkout depends on data/orders-db", 1, 1) // by its owner
	f(svc("shop", "cart"), svc("shop", "prices"), "shop/cart and shop/prices depend on each other", 1, 0)
	f(svc("shop", "cart"), svc("shop", "checkout"), "both shop/cart and shop/checkout depend on data/orders-db", 2, 0)
	f(svc("web", "frontend"), named(topology.Node, "n2"), "", 0, 0) // two others between
	f(svc("web", "frontend"), svc("web", "frontend"), "", 0, 0)
	f(svc("web", "nobody"), svc("web", "frontend"), "", 0, 0)

	r := topo.Relate(find(topo, svc("shop", "cart")), find(topo, svc("data", "orders-db")))
	require.Equal(t, 2, r.Users)
	require.Equal(t, topo.Len()-1, r.Size, "all but the pod")
}

func TestFind(t *testing.T) {
	topo := build(func(b *topology.Builder) {
		b.Depends(svc("shop", "checkout"), svc("shop", "Orders_API"))
		b.Depends(svc("bank", "api"), svc("shop", "api"))
		b.Depends(svc("", "checkout"), svc("", "payments-provider")) // of a trace
		b.Depends(svc("", "api"), svc("", "payments-provider"))
		b.Alias("10.0.0.7", named(topology.Node, "n1"))
		b.Alias("orders.rds.example.com", svc("shop", "orders-api"))
		b.Depends(topology.Entity{Kind: topology.Service, Cluster: "eu", Namespace: "shop", Name: "cart"}, svc("shop", "orders-api"))
	})
	f := func(e topology.Entity, want ...string) {
		t.Helper()
		var got []string
		for _, a := range find(topo, e) {
			got = append(got, topo.Entity(a.ID).String())
		}
		require.Equal(t, want, got)
	}
	f(svc("shop", "orders-api"), "shop/Orders_API")
	f(svc("shop", "ORDERS_API"), "shop/Orders_API")
	f(svc("", "orders-api"), "shop/Orders_API")
	f(svc("other", "orders-api"))
	f(svc("other", "orders.rds.example.com"), "shop/Orders_API")
	f(svc("", "checkout"), "shop/checkout") // the trace's is the only one of that name
	f(svc("", "api"), "api")                // two namespaces have one
	f(svc("bank", "api"), "bank/api", "api")
	f(named(topology.Node, "10.0.0.7:9100"), "n1")
	f(named(topology.Node, "N1"), "n1")
	f(named(topology.Node, "10.0.0.70:9100"))
	f(topology.Entity{Kind: topology.Service, Cluster: "eu", Namespace: "shop", Name: "orders-api"}, "shop/Orders_API")
	f(topology.Entity{Kind: topology.Service, Cluster: "us", Namespace: "shop", Name: "cart"})

	checkout, provider := find(topo, svc("shop", "checkout")), find(topo, svc("", "payments-provider"))
	require.Equal(t, 1, topo.Relate(checkout, provider).Hops, "what the trace knows holds for the service of the namespace")
}

// A pod that is known runs where it runs, not where its siblings do.
func TestAPodIsNotOnTheNodesOfItsSiblings(t *testing.T) {
	pod := func(i int) topology.Entity {
		return topology.Entity{Kind: topology.Pod, Namespace: "shop", Name: fmt.Sprintf("web-%d", i)}
	}
	topo := build(func(b *topology.Builder) {
		for i := range 3 {
			b.PartOf(pod(i), svc("shop", "web"))
			b.Depends(pod(i), named(topology.Node, fmt.Sprintf("n%d", i)))
		}
		for i := range 20 {
			b.PartOf(topology.Entity{Kind: topology.Pod, Namespace: "kube-system", Name: fmt.Sprintf("agent-%d", i)}, svc("kube-system", "agent"))
			b.Depends(topology.Entity{Kind: topology.Pod, Namespace: "kube-system", Name: fmt.Sprintf("agent-%d", i)}, named(topology.Node, fmt.Sprintf("n%d", i)))
		}
	})
	node := func(i int) []topology.Anchor { return find(topo, named(topology.Node, fmt.Sprintf("n%d", i))) }
	require.Equal(t, 1, topo.Relate(find(topo, pod(1)), node(1)).Hops)
	require.Zero(t, topo.Relate(find(topo, pod(1)), node(2)).Hops)
	require.Equal(t, 1, topo.Relate(find(topo, svc("shop", "web")), node(2)).Hops)
	require.Zero(t, topo.Relate(find(topo, svc("kube-system", "agent")), node(2)).Hops, "a daemon set runs everywhere")
}

func TestLimitsHold(t *testing.T) {
	b := topology.NewBuilder(topology.Limits{Entities: 10, Links: 6, Out: 4})
	for i := range 20 {
		b.Depends(svc("a", "hub"), svc("a", strconv.Itoa(i)))
		b.Depends(svc("a", strconv.Itoa(i)), svc("a", "hub"))
		b.PartOf(named(topology.Pod, strconv.Itoa(i)), svc("a", "hub"))
		b.Alias(fmt.Sprint("x", i), svc("a", "hub"))
	}
	b.Depends(svc("a", "hub"), svc("a", string(make([]byte, 1000))))
	require.Positive(t, b.Dropped())
	topo := b.Build()
	require.Equal(t, 10, topo.Len())
	require.Equal(t, 6, topo.Links())
	var nothing *topology.Topology
	require.Empty(t, nothing.Find(nil, topology.Service, "", "", "x"))
	require.Empty(t, new(topology.Topology).Find(nil, topology.Service, "", "", "x"))
}

func TestBelowIsBounded(t *testing.T) {
	topo := build(func(b *topology.Builder) {
		for i := range 200 {
			for j := range 200 {
				b.Depends(svc("a", strconv.Itoa(i)), svc("a", strconv.Itoa(j)))
			}
		}
	})
	n := 0
	topo.Below(find(topo, svc("a", "1")), func(topology.ID, int) { n++ })
	require.Less(t, n, 5000)
}

func BenchmarkRelate(b *testing.B) {
	topo := build(func(b *topology.Builder) {
		for i := range 2000 {
			for j := range 10 {
				b.Depends(svc("a", strconv.Itoa(i)), svc("a", strconv.Itoa((i*7+j*13)%2000)))
			}
		}
	})
	x, y := find(topo, svc("a", "17")), find(topo, svc("a", "1234"))
	for b.Loop() {
		topo.Relate(x, y)
	}
}
