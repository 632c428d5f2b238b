package app

import (
	"github.com/prometheus/client_golang/prometheus"
)

// Outcomes of a notification.
const (
	outcomeAccepted    = "accepted"
	outcomeRefused     = "refused"
	outcomeTooLarge    = "too_large"
	outcomeDenied      = "denied"
	outcomeBusy        = "busy"
	outcomeUnavailable = "unavailable"
	outcomeForeign     = "foreign"
)

type metrics struct {
	notices    *prometheus.CounterVec
	alerts     prometheus.Counter
	truncated  prometheus.Counter
	bodyBytes  prometheus.Histogram
	putSeconds prometheus.Histogram
	denied     *prometheus.CounterVec
	events     *prometheus.CounterVec
	amEvents   *prometheus.CounterVec
	callbacks  *prometheus.CounterVec
	decisions  *prometheus.CounterVec
}

func newMetrics(reg prometheus.Registerer) *metrics {
	m := &metrics{
		notices: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "portent_receiver_notifications_total",
			Help: "Notifications received, by outcome. Refused, too_large and denied are lost for Alertmanager, which drops them; busy and unavailable are sent again.",
		}, []string{"outcome"}),
		alerts: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "portent_receiver_alerts_total",
			Help: "Alerts in accepted notifications; resends count again.",
		}),
		truncated: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "portent_receiver_truncated_alerts_total",
			Help: "Alerts that Alertmanager left out of accepted notifications because of max_alerts.",
		}),
		bodyBytes: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "portent_receiver_notification_bytes",
			Help:    "Size of the bodies of notifications.",
			Buckets: prometheus.ExponentialBuckets(1<<10, 4, 8),
		}),
		putSeconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "portent_receiver_notification_store_seconds",
			Help:    "Time until a notification was on disk.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5},
		}),
		denied: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "portent_receiver_requests_denied_total",
			Help: "Requests to the API and the pages that were denied, by reason.",
		}, []string{"reason"}),
		events: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "portent_receiver_kubernetes_events_total",
			Help: "Events of Kubernetes received, by outcome. Their sender does not send again: all but accepted are lost.",
		}, []string{"outcome"}),
		amEvents: newAMEvents(reg),
		callbacks: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "portent_receiver_callbacks_total",
			Help: "Webhooks of trackers and of Palette received, by sender and outcome; foreign ones are about tickets that are not ours.",
		}, []string{"sender", "outcome"}),
		decisions: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "portent_receiver_decisions_total",
			Help: "What people decided on incidents and tasks, by action.",
		}, []string{"action"}),
	}
	for _, o := range []string{outcomeAccepted, outcomeRefused, outcomeTooLarge, outcomeDenied, outcomeBusy, outcomeUnavailable} {
		m.notices.WithLabelValues(o)
		m.events.WithLabelValues(o)
	}
	for _, r := range []string{"unauthenticated", "role", "scope", "csrf"} {
		m.denied.WithLabelValues(r)
	}
	for _, a := range []string{actionApprove, actionDismiss, actionEdit, actionEscalate, actionFeedback, actionRedraft, actionReopen, actionReplay, actionSwitch, actionTake} {
		m.decisions.WithLabelValues(a)
	}
	reg.MustRegister(m.notices, m.alerts, m.truncated, m.bodyBytes, m.putSeconds, m.denied, m.events, m.callbacks, m.decisions)
	return m
}
