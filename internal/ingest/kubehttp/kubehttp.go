// Package kubehttp receives events of Kubernetes as kubernetes-event-exporter's webhook
// sends them: POST /ingest/kubernetes. Each event becomes a log line and counts in
// kubernetes_events_total.
//
// That sender does not try again, so whatever can be understood is taken at once. It
// sends all events of the last hour again when it restarts, and does not send the
// growing count of an event that repeats; some forks do. Occurrences are told apart by
// uid and count.
//
// It must not know what becomes of a line.
package kubehttp

import (
	"net/http"
	"strings"
	"time"

	"github.com/portent-dev/portent/internal/ingest"
	"github.com/portent-dev/portent/internal/ingest/kubeevent"
	"github.com/portent-dev/portent/internal/ingest/linehttp"
)

// Job is the label job of the lines.
const Job = "kubernetes-events"

// New returns the handler: 200 when the event was taken, or was known already; see
// linehttp.New for what else it answers. counts is where events are counted.
func New(o linehttp.Options, counts *Counts) (http.Handler, error) {
	return linehttp.New(linehttp.Protocol{
		Source:       "kubernetes",
		ContentTypes: []string{"application/json", ""},
		Encodings:    []string{"", "gzip"},
		Decode: func(_ string, body []byte, b *linehttp.Batch) error {
			e, err := kubeevent.Decode(body)
			if err != nil || counts.Add(e) == 0 {
				return err
			}
			return b.Add(line(e, b))
		},
		Accept: func(w http.ResponseWriter, _ string, _ *linehttp.Batch) { w.WriteHeader(http.StatusOK) },
	}, o)
}

// line writes an event as a line: its reason and message. What it is about are labels.
func line(e kubeevent.Event, b *linehttp.Batch) ingest.Line {
	l := ingest.Line{Severity: "info", Text: e.Reason + ": " + strings.TrimSpace(e.Message)}
	if e.Warning() {
		l.Severity = "warning"
	}
	if !e.At.IsZero() && e.At.After(time.Unix(0, 0)) {
		l.T = e.At.UnixMilli()
	}
	kind := strings.ToLower(e.Kind)
	labels := []ingest.Label{
		{Name: "job", Value: Job},
		{Name: "namespace", Value: e.Namespace},
		{Name: "cluster", Value: e.Cluster},
		{Name: "kind", Value: kind},
		{Name: kind, Value: e.Name},
		{Name: "reason", Value: e.Reason},
		{Name: "component", Value: e.Component},
	}
	if kind != "node" {
		labels = append(labels, ingest.Label{Name: "node", Value: e.Host})
	}
	l.Labels = b.Labels(nil, labels)
	return l
}
