package ticketrest

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/portent-dev/portent/internal/ticket"
)

// NewRequests registers portent_receiver_<vendor>_requests_total{operation,outcome}
// and returns what Client.Observe wants. All outcomes of the operations given are
// there from the start.
func NewRequests(reg prometheus.Registerer, vendor, title string, ops ...string) (func(op, outcome string), error) {
	v := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "portent_receiver_" + vendor + "_requests_total",
		Help: "Requests to " + title + ", by operation and outcome: ok, or the reason of the failure.",
	}, []string{"operation", "outcome"})
	for _, op := range ops {
		v.WithLabelValues(op, OK)
		for _, r := range ticket.Reasons() {
			v.WithLabelValues(op, string(r))
		}
	}
	if err := reg.Register(v); err != nil {
		return nil, fmt.Errorf("%s: register metrics: %w", vendor, err)
	}
	return func(op, outcome string) { v.WithLabelValues(op, outcome).Inc() }, nil
}
