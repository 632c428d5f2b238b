package correlate

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/topology"
)

func svc(ns, name string) topology.Entity {
	return topology.Entity{Kind: topology.Service, Cluster: "a", Namespace: ns, Name: name}
}

func machine(name string) topology.Entity {
	return topology.Entity{Kind: topology.Node, Cluster: "a", Name: name}
}

// withTopology is an engine that knows what depends on what.
func withTopology(build func(b *topology.Builder)) *Engine {
	b := topology.NewBuilder(topology.Limits{})
	build(b)
	e := New(Options{SkipLabels: []string{"cluster"}})
	e.SetTopology(b.Build(), "cluster")
	return e
}

func plain() *Engine { return New(Options{SkipLabels: []string{"cluster"}}) }

// onNode puts n pods of different services on a node, of ten; their names say nothing of it.
func onNode(node string, n int) func(b *topology.Builder) {
	return func(b *topology.Builder) {
		for i := range 9 * n {
			b.Depends(topology.Entity{Kind: topology.Pod, Cluster: "a", Namespace: "others", Name: fmt.Sprintf("other-%d", i)}, machine(fmt.Sprintf("worker-%d", i%9)))
		}
		for i := range n {
			pod := topology.Entity{Kind: topology.Pod, Cluster: "a", Namespace: fmt.Sprintf("team%d", i), Name: fmt.Sprintf("w%d-7d9f8b6c5-x2x4z", i)}
			b.PartOf(pod, svc(pod.Namespace, fmt.Sprintf("w%d", i)))
			b.Depends(pod, machine(node))
		}
	}
}

func failedNode() []Alert {
	as := []Alert{al("NodeNotReady cluster=a node=worker-17.example.internal severity=critical", 12, 0)}
	for i := range 6 {
		as = append(as, al(fmt.Sprintf("Restarting%d cluster=a namespace=team%d pod=w%d-7d9f8b6c5-x2x4z", i, i, i), float64(5*i), 0))
	}
	return as
}

func TestAFailedNodePullsItsPods(t *testing.T) {
	require.Greater(t, len(regroup(plain(), 40, failedNode()...)), 1, "without a topology they have nothing in common")
	as := failedNode()
	e := withTopology(onNode("worker-17.example.internal", 6))
	require.Len(t, regroup(e, 40, as...), 1)

	c := e.Causes(as)[0]
	require.Equal(t, "NodeNotReady", c.Name)
	require.Contains(t, c.Why, "6 others depend on it")
	ids := make([]int64, len(as))
	for i, a := range as {
		ids[i] = a.ID
	}
	require.Contains(t, e.Why(as[1].ID, ids), "team0/w0-7d9f8b6c5-x2x4z runs on worker-17.example.internal (NodeNotReady)")
}

// The node may be told last: its rule waits a quarter of an hour.
func TestPodsAreTiedWhenTheirNodeComesLast(t *testing.T) {
	e := withTopology(onNode("worker-17.example.internal", 6))
	as := failedNode()
	require.Greater(t, len(regroup(e, 26, as[1:]...)), 1)
	late := as[0]
	late.Start, late.ID = ms(26), 99
	e.Add(late)
	groups := e.Regroup(ms(27))
	require.Len(t, groups, 1)
	require.Len(t, groups[0], 7)
}

func callers(b *topology.Builder) {
	b.Depends(svc("shop", "checkout"), svc("data", "orders-db"))
	b.Depends(svc("shop", "cart"), svc("data", "orders-db"))
	b.Depends(svc("web", "frontend"), svc("shop", "checkout"))
	b.Depends(svc("mail", "newsletter"), svc("mail", "smarthost"))
}

func TestADatabaseIsTheCauseOfItsCallers(t *testing.T) {
	as := []Alert{
		al("SlowPages cluster=a namespace=web service=frontend severity=critical", 0, 0),
		al("ErrorRate cluster=a namespace=shop service=checkout severity=critical", 0.5, 0),
		al("Timeouts cluster=a namespace=shop service=cart", 1, 0),
		al("Connections cluster=a namespace=data service=orders-db", 2, 0),
	}
	require.NotEqual(t, "Connections", plain().Causes(as)[0].Name, "it is neither first nor critical")
	e := withTopology(callers)
	require.Equal(t, []string{"Connections ErrorRate SlowPages Timeouts"}, regroup(e, 10, as...))
	c := e.Causes(as)[0]
	require.Equal(t, "Connections", c.Name)
	require.Equal(t, "data/orders-db", c.Entity)
	require.Contains(t, c.Why, "3 others depend on it")
	require.Equal(t, "web/frontend depends on data/orders-db through shop/checkout (Connections); began within 3 min of Connections",
		e.explain(e.alerts[as[0].ID], e.alerts[as[3].ID]))
}

func TestFaultsWithoutALinkStayApart(t *testing.T) {
	two := func() []Alert {
		return []Alert{
			al("ErrorRate cluster=a namespace=shop service=checkout", 0, 0), al("Connections cluster=a namespace=data service=orders-db", 1, 0),
			al("QueueGrows cluster=a namespace=mail service=newsletter", 9, 0), al("Refused cluster=a namespace=mail service=smarthost", 10, 0),
		}
	}
	require.Equal(t, []string{"Connections ErrorRate", "QueueGrows Refused"}, regroup(withTopology(callers), 10, two()...))
}

// What everybody needs ties nobody who does not name it.
func TestWhatAllNeedTiesNobody(t *testing.T) {
	all := func(b *topology.Builder) {
		for i := range 150 {
			b.Depends(svc(fmt.Sprintf("team%d", i), fmt.Sprintf("w%d", i)), svc("kube-system", "dns"))
		}
	}
	as := func() []Alert {
		return []Alert{
			al("SlowAnswers cluster=a namespace=kube-system service=dns", 0, 0),
			al("ErrorRate cluster=a namespace=team7 service=w7", 9, 0), al("Restarts cluster=a namespace=team9 service=w9", 19, 0),
		}
	}
	require.Equal(t, regroup(plain(), 30, as()...), regroup(withTopology(all), 30, as()...))
}

// What waits under another name: a link of another cluster, or of another namespace, is none.
func TestALinkOfAnotherClusterIsNone(t *testing.T) {
	e := withTopology(callers)
	for text, want := range map[string]int{
		"X cluster=a namespace=shop service=checkout":                           1,
		"X cluster=b namespace=shop service=checkout":                           0,
		"X cluster=a namespace=bank service=checkout":                           0,
		"X cluster=a service=checkout":                                          1, // the only one of its name
		"X cluster=a namespace=shop pod=checkout-7d9f8b6c5-abcde":               1, // of a pod that nobody listed
		"X cluster=a job=shop/checkout instance=10.0.0.1:80":                    0, // the instance is the subject
		"X cluster=a namespace=monitoring exported_namespace=shop service=cart": 1,
		"X cluster=a namespace=data dbinstance=orders-db":                       0, // no text says that this is the subject
	} {
		require.Len(t, e.anchors(al(text, 0, 0)), want, text)
	}
	a := al("X cluster=a namespace=data dbinstance=orders-db", 0, 0)
	a.Annotations = map[string]string{"summary": "orders-db has no connections left"}
	require.Len(t, e.anchors(a), 1)
}

// An exporter names itself on each of its alerts; where it runs is not what they are about.
func TestAnExporterIsNotTheSubject(t *testing.T) {
	e := withTopology(func(b *topology.Builder) {
		b.Depends(topology.Entity{Kind: topology.Pod, Cluster: "a", Namespace: "monitoring", Name: "kube-state-metrics-0"}, machine("n1"))
		b.Depends(svc("shop", "cart"), svc("data", "orders-db"))
	})
	a := al("ReplicasMismatch cluster=a namespace=shop deployment=cart pod=kube-state-metrics-0 instance=n1:8080 node=n1", 0, 0)
	got := e.anchors(a)
	require.Len(t, got, 1)
	require.Equal(t, svc("shop", "cart"), e.topology.Entity(got[0].ID))
}

func TestTopologyMayChangeOrGo(t *testing.T) {
	e := withTopology(callers)
	as := []Alert{al("ErrorRate cluster=a namespace=shop service=checkout", 0, 0)}
	regroup(e, 1, as...)
	require.NotEmpty(t, e.alerts[as[0].ID].anchors)
	e.SetTopology(nil, "")
	require.Empty(t, e.alerts[as[0].ID].anchors)
	require.Equal(t, plain().Causes(as), e.Causes(as))
}
