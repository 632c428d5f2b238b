package triage

import "github.com/portent-dev/portent/internal/topology"

// SetTopology says what depends on what from now on, also after the next Load; nil forgets it. ClusterLabel is the label of
// alerts that says in which cluster of the topology they are. What was decided stays.
func (t *Triage) SetTopology(topo *topology.Topology, clusterLabel string) {
	t.topology, t.clusters = topo, clusterLabel
	t.cor.SetTopology(topo, clusterLabel)
}

// SetTopology replaces the topology from the next batch on.
func (r *Runner) SetTopology(topo *topology.Topology, clusterLabel string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.triage.SetTopology(topo, clusterLabel)
}
