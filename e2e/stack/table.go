package stack

import (
	"fmt"
	"io"
	"path/filepath"
	"text/tabwriter"
)

// Print writes the addresses of the running stack and what to try, for a person.
func (s *Stack) Print(out io.Writer) {
	fmt.Fprintln(out, "\nPortent is running. Ctrl-C stops it.")
	fmt.Fprintln(out)
	w := tabwriter.NewWriter(out, 0, 0, 3, ' ', 0)
	row := func(what, address, note string) { fmt.Fprintf(w, "  %s\t%s\t%s\n", what, address, note) }
	row("Incidents and tickets", s.URL(Receiver)+"/", "portent-receiver")
	row("Anomaly scores", s.URL(Exporter)+"/metrics", "portent-exporter")
	row("Prometheus", s.URL(Prometheus)+"/", "scrapes, runs the rules, remote-writes to the exporter")
	row("Alertmanager", s.URL(Alertmanager)+"/", "groups, silences, notifies the receiver")
	row("Loki", s.URL(Loki)+"/ready", "")
	row("node_exporter", s.URL(NodeExporter)+"/metrics", "this machine")
	if s.Process(Grafana) != nil {
		row("Grafana", s.URL(Grafana)+"/dashboards", "with the Portent data source")
	} else {
		row("Grafana", "not installed here", "deploy/compose.yaml has one; GRAFANA_HOME names one")
	}
	_ = w.Flush() // to a terminal or a buffer
	fmt.Fprintf(out, "\n  Data %s   Logs %s\n", filepath.Join(s.data, "data"), filepath.Join(s.data, "logs"))
	fmt.Fprintf(out, `
Try
  go tool mage disturb                                                  in a second terminal: burn processor and memory, watch the ticket come
  curl -s '%s/api/v1/query?query=anomaly_score>1'         what is anomalous now
  curl -s '%s/api/v1/anomalies'                           the same, explained
  curl -s '%s/api/v1/incidents?status=open'               incidents with their alerts and tickets

`, s.URL(Prometheus), s.URL(Exporter), s.URL(Receiver))
}
