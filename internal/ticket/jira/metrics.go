package jira

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/portent-dev/portent/internal/ticket"
)

const outcomeOK = "ok"

// The operations, as they stand in errors and in metrics.
const (
	opAccount     = "read account"
	opComment     = "comment"
	opComments    = "read comments"
	opCreate      = "create issue"
	opLink        = "link issues"
	opMeta        = "read create screen"
	opPermissions = "read permissions"
	opProject     = "read project"
	opProperty    = "set property"
	opRead        = "read issue"
	opSearch      = "search"
	opTransition  = "transition"
	opTransitions = "read transitions"
)

type metrics struct {
	requests   *prometheus.CounterVec
	duplicates *prometheus.CounterVec
}

// What became of a duplicate.
const (
	duplicateClosed  = "closed"
	duplicateForeign = "not_ours"
	duplicateFailed  = "failed"
)

func newMetrics(reg prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "portent_receiver_jira_requests_total",
			Help: "Requests to Jira, by operation and outcome: ok, or the reason of the failure.",
		}, []string{"operation", "outcome"}),
		duplicates: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "portent_receiver_jira_duplicates_total",
			Help: "Second tickets found for one incident: closed as duplicate, not_ours (a person's copy, left alone, counted at each look), or failed to close.",
		}, []string{"outcome"}),
	}
	for _, op := range []string{opCreate, opSearch, opRead, opComment, opTransition} {
		m.requests.WithLabelValues(op, outcomeOK)
		for _, r := range ticket.Reasons() {
			m.requests.WithLabelValues(op, string(r))
		}
	}
	for _, o := range []string{duplicateClosed, duplicateForeign, duplicateFailed} {
		m.duplicates.WithLabelValues(o)
	}
	for _, c := range []prometheus.Collector{m.requests, m.duplicates} {
		if err := reg.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}

func (m *metrics) request(op, outcome string) { m.requests.WithLabelValues(op, outcome).Inc() }
