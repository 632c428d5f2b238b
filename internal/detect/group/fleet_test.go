package group_test

import (
	"fmt"
	"math"
	"os"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/detect"
	"github.com/portent-dev/portent/internal/detect/group"
)

// cluster is a fleet of workloads and nodes that follow the load of the hour, with noise of their own that wanders, and whose pods are
// replaced one by one now and then.
type cluster struct {
	*fleet
	workloads, pods, nodes int
	generation             [][]int     // of each pod
	drift                  [][]float64 // of each pod
	gone                   map[int]bool
	minute                 int
}

func newCluster(t *testing.T, s detect.Sensitivity, workloads, pods, nodes int, seed uint64) *cluster {
	t.Helper()
	c := &cluster{workloads: workloads, pods: pods, nodes: nodes, gone: map[int]bool{}}
	c.fleet = newFleet(t, group.Options{Sensitivity: s, Rules: []group.Rule{
		{Name: "workload", Kind: group.Joint, By: []string{"namespace", group.Workload}, Match: inNamespace("shop")},
		{Name: "node", Kind: group.Joint, By: []string{"pod"}, Match: inNamespace("nodes")},
		{Name: "pods", Kind: group.Peers, By: []string{"namespace", group.Workload}, Match: inNamespace("shop")},
	}}, seed)
	for range workloads {
		c.generation, c.drift = append(c.generation, make([]int, pods)), append(c.drift, make([]float64, pods))
	}
	return c
}

// pod names a pod as a Deployment of that generation would.
func (c *cluster) pod(w, p int) string {
	return fmt.Sprintf("app%d-7d9c5b%04d-%s", w, c.generation[w][p], suffix(p))
}

// next lives one more minute. Every two days each workload is rolled out, a pod a minute.
func (c *cluster) next() {
	m := map[string]float64{}
	hour := math.Sin(2 * math.Pi * float64(c.minute%1440) / 1440)
	for w := range c.workloads {
		load := 100 * (1 + 0.4*hour) * (1 + 0.03*c.rand.NormFloat64())
		for p := range c.pods {
			if at := c.minute % 2880; at == 600+37*w+p {
				c.generation[w][p]++
			}
			c.drift[w][p] += 0.02*c.rand.NormFloat64() - 0.05*c.drift[w][p]
			m["cpu shop "+c.pod(w, p)] = load * (1 + c.drift[w][p] + 0.04*c.rand.NormFloat64())
			m["errors shop "+c.pod(w, p)] = math.Floor(-math.Log(1-c.rand.Float64()) * 2)
		}
	}
	for n := range c.nodes {
		if !c.gone[n] {
			for k := range 4 {
				m[fmt.Sprintf("metric%d nodes node%d", k, n)] = 50 * (1 + 0.3*hour + 0.05*c.rand.NormFloat64())
			}
		}
	}
	c.minute++
	c.tick(m)
}

// fleetDays may be raised for a measurement: PORTENT_FLEET_DAYS=60 go test -run UnchangedFleet -v ./internal/detect/group
func fleetDays(t *testing.T, days int) int {
	t.Helper()
	if v := os.Getenv("PORTENT_FLEET_DAYS"); v != "" {
		var err error
		days, err = strconv.Atoi(v)
		require.NoError(t, err)
	}
	return days
}

// A fleet that does not change, but for the hour, the noise and rollouts, alarms as rarely as a series: at sensitivity high once a week a
// group, of joint groups and of peers. The pods that a rollout replaces are no alarm; a node that goes is one.
func TestUnchangedFleet(t *testing.T) {
	const learning = 4
	days, workloads, pods, nodes := fleetDays(t, 5), 3, 4, 2
	if days > 5 { // measured at leisure
		workloads, pods, nodes = 4, 5, 3
	}
	c := newCluster(t, detect.High, workloads, pods, nodes, 3)
	alarms := map[string]int{}
	above := map[string]bool{}
	look := func() {
		for _, r := range c.results() {
			key := fmt.Sprint(r.Group, r.Labels)
			switch { // as the rule that comes with Portent
			case r.Score > 1 && !above[key]:
				above[key] = true
				alarms[r.Group]++
				require.False(t, r.Vanished, "%s vanished at minute %d", key, c.minute)
			case r.Score <= 0.8:
				above[key] = false
			}
		}
	}
	for c.minute < learning*1440 {
		c.next()
	}
	for c.minute < (learning+days)*1440 {
		c.next()
		look()
	}
	weeks := float64(days) / 7
	t.Logf("alarms in %d days: %v", days, alarms)
	for name, groups := range map[string]float64{"workload": float64(workloads), "node": float64(nodes), "pods": float64(2 * workloads)} {
		promised := groups * weeks
		// Three times the promise, and what chance adds to so few.
		require.LessOrEqual(t, float64(alarms[name]), 3*promised+3*math.Sqrt(promised), name)
	}

	c.gone[1] = true
	vanished := map[string]bool{}
	for range 10 {
		c.next()
		for _, r := range c.results() {
			if r.Vanished {
				vanished[fmt.Sprint(r.Group, r.Labels)] = true
			}
		}
	}
	require.Equal(t, map[string]bool{"node[{pod node1}]": true}, vanished)
}
