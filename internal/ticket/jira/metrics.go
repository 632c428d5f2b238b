package jira

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

// The operations, as they stand in errors and in metrics.
const (
	opAccount     = "read account"
	opComment     = "comment"
	opComments    = "read comments"
	opCreate      = "create issue"
	opEdit        = "edit issue"
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

// What became of a duplicate.
const (
	duplicateClosed  = "closed"
	duplicateForeign = "not_ours"
	duplicateFailed  = "failed"
)

func newDuplicates(reg prometheus.Registerer) (*prometheus.CounterVec, error) {
	v := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "portent_receiver_jira_duplicates_total",
		Help: "Second tickets found for one incident: closed as duplicate, not_ours (a person's copy, left alone, counted at each look), or failed to close.",
	}, []string{"outcome"})
	for _, o := range []string{duplicateClosed, duplicateForeign, duplicateFailed} {
		v.WithLabelValues(o)
	}
	if err := reg.Register(v); err != nil {
		return nil, fmt.Errorf("jira: register metrics: %w", err)
	}
	return v, nil
}
