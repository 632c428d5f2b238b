package report

import (
	"regexp"

	"github.com/portent-dev/portent/internal/incident"
	"github.com/portent-dev/portent/internal/ticket"
)

// objectName is a Kubernetes name (RFC 1123 subdomain, the widest that pods, nodes and workloads may have).
// Only a label value of this shape gets into a command: none of its characters means anything to a shell
// or begins an option.
var objectName = regexp.MustCompile(`^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$`)

// steps are the first things to do, most telling first. Commands only read.
func (p *Plain) steps(inc incident.Incident) [][]ticket.Span {
	var out [][]ticket.Span
	add := func(spans ...ticket.Span) { out = append(out, spans) }
	lead, ok := leadAlert(inc)
	if !ok {
		add(ticket.Text("Open the incident and look at its timeline."))
		return out
	}
	if u := Runbook(lead); u != "" {
		add(ticket.Text("Follow the "), ticket.Link("runbook of "+name(lead), u), ticket.Text("."))
	}
	if u := p.links.Graph(lead, inc.StartedAt, latest(inc)); u != "" {
		add(ticket.Text("Look at the "), ticket.Link("graph of "+name(lead), u), ticket.Text(": when did it begin to leave its usual range?"))
	}
	for _, c := range commands(lead) {
		add(ticket.Text(c.why+": "), ticket.Mono(c.line))
	}
	add(ticket.Text("Ask what changed shortly before " + stamp(inc.StartedAt) + ": a rollout, a configuration, the load."))
	return out
}

type command struct{ why, line string }

// commands returns read-only kubectl commands for what the alert is about.
func commands(a incident.Alert) []command {
	ok := func(keys ...string) string {
		if v := first(a.Labels, keys); objectName.MatchString(v) {
			return v
		}
		return ""
	}
	ns, pod, node := ok("namespace"), ok("pod"), ok("node")
	var out []command
	if ns != "" && pod != "" {
		out = append(out,
			command{"See the pod's state and last restarts", "kubectl -n " + ns + " describe pod " + pod},
			command{"Read what it logged before it was restarted", "kubectl -n " + ns + " logs " + pod + " --previous --tail=100"})
	}
	for _, kind := range []string{"deployment", "statefulset", "daemonset"} {
		if w := ok(kind); ns != "" && w != "" {
			out = append(out, command{"See whether a rollout went before", "kubectl -n " + ns + " rollout history " + kind + "/" + w})
			break
		}
	}
	if node != "" {
		out = append(out, command{"See the node's conditions and what runs on it", "kubectl describe node " + node})
	}
	if ns != "" && pod == "" {
		out = append(out, command{"See the newest events of the namespace", "kubectl -n " + ns + " get events --sort-by=.lastTimestamp"})
	}
	return out
}
