//go:build storms

package triage_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/topology"
)

// catalogue reads what a Kubernetes API and a service catalogue would tell of a generated fleet:
//
//	PORTENT_TOPOLOGY=1 PORTENT_STORMS=dir go test -tags storms -run TestStorms ./internal/triage
func catalogue(t *testing.T, dir string) *topology.Topology {
	var site struct {
		Clusters []struct {
			Name     string
			Nodes    []struct{ Name, IP string }
			Services []struct {
				Name, Namespace string
				Calls, Uses     []string
			}
			Datastores []struct{ Name, Namespace string }
			Pods       []struct{ Name, Namespace, Workload, Node, PVC string }
		}
	}
	raw, err := os.ReadFile(filepath.Join(dir, "topology.json"))
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(raw, &site))
	b := topology.NewBuilder(topology.Limits{})
	for _, c := range site.Clusters {
		entity := func(kind topology.Kind, ns, name string) topology.Entity {
			return topology.Entity{Kind: kind, Cluster: c.Name, Namespace: ns, Name: name}
		}
		for _, n := range c.Nodes {
			b.Alias(n.IP, entity(topology.Node, "", n.Name))
		}
		of := map[string]string{}
		for _, d := range c.Datastores {
			of[d.Name] = d.Namespace
		}
		for _, s := range c.Services {
			of[s.Name] = s.Namespace
		}
		for _, s := range c.Services {
			for _, x := range append(s.Calls, s.Uses...) {
				b.Depends(entity(topology.Service, s.Namespace, s.Name), entity(topology.Service, of[x], x))
			}
		}
		for _, p := range c.Pods {
			pod := entity(topology.Pod, p.Namespace, p.Name)
			b.PartOf(pod, entity(topology.Service, p.Namespace, p.Workload))
			b.Depends(pod, entity(topology.Node, "", p.Node))
			if p.PVC != "" {
				b.Depends(pod, entity(topology.Volume, p.Namespace, p.PVC))
			}
		}
	}
	require.Zero(t, b.Dropped())
	return b.Build()
}
