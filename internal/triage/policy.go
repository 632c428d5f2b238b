package triage

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/alertmanager/matcher/parse"
	amlabels "github.com/prometheus/alertmanager/pkg/labels"
	"github.com/prometheus/common/model"

	"github.com/portent-dev/portent/internal/incident"
	"github.com/portent-dev/portent/internal/web"
)

// A Policy says how alerts are judged.
type Policy struct {
	// SeverityLabels are the labels that may hold the severity; the first that is
	// there counts.
	SeverityLabels []string `yaml:"severity_labels" json:"severityLabels"`
	// Severities maps the values of those labels, in lower case, to critical,
	// warning or info.
	Severities map[string]incident.Severity `yaml:"severities" json:"severities"`
	// DefaultSeverity is that of an alert without a known one.
	DefaultSeverity incident.Severity `yaml:"default_severity" json:"defaultSeverity"`

	// Suppress keeps alerts out of incidents; the first rule that matches counts.
	Suppress []SuppressRule `yaml:"suppress" json:"suppress"`

	// Maintenance keeps alerts out while people work on what they are about.
	Maintenance []Window `yaml:"maintenance" json:"maintenance,omitempty"`

	// ScopeLabels separate what must never share an incident. NamespaceLabels and
	// ServiceLabels name what is affected, the first that is there counts: on
	// alerts from exporters the subject is in exported_namespace, and namespace
	// is where the exporter runs.
	ScopeLabels     []string `yaml:"scope_labels" json:"scopeLabels"`
	NamespaceLabels []string `yaml:"namespace_labels" json:"namespaceLabels"`
	ServiceLabels   []string `yaml:"service_labels" json:"serviceLabels"`

	// TicketMinSeverity is the severity from which an incident gets tickets.
	TicketMinSeverity incident.Severity `yaml:"ticket_min_severity" json:"ticketMinSeverity"`

	// HoldCritical is how long a critical alert must fire before its incident gets
	// tickets, HoldMany how long three different warnings must do so at the same
	// time, or two that are tied closely, HoldTogether two others (twice as long when
	// hardly anything ties them, as three when nothing does), and HoldAlone a lone one.
	HoldCritical model.Duration `yaml:"hold_critical" json:"holdCritical"`
	HoldMany     model.Duration `yaml:"hold_many" json:"holdMany"`
	HoldTogether model.Duration `yaml:"hold_together" json:"holdTogether"`
	HoldAlone    model.Duration `yaml:"hold_alone" json:"holdAlone"`

	// Baseline is how long after the first alert of a scope a warning counts as one
	// that fired long before Portent came, and gets no ticket by itself.
	Baseline model.Duration `yaml:"baseline" json:"baseline"`

	// AlertTTL is after how long without a notice a firing alert counts as ended.
	// It must be longer than the repeat_interval of Alertmanager.
	AlertTTL model.Duration `yaml:"alert_ttl" json:"alertTtl"`
	// ResolveAfter is how long all alerts must be over before the incident is.
	ResolveAfter model.Duration `yaml:"resolve_after" json:"resolveAfter"`
	// ReopenWindow is how long after its end an incident takes up new alerts.
	ReopenWindow model.Duration `yaml:"reopen_window" json:"reopenWindow"`
	// LateWindow is how long a firing notice whose alert is known to be over is
	// taken for a late copy, as the second Alertmanager of a pair may send it.
	LateWindow model.Duration `yaml:"late_window" json:"lateWindow"`
	// CommentInterval is the least time between two comments on a ticket about
	// alerts that joined. A severity that rises and the end are told at once.
	CommentInterval model.Duration `yaml:"comment_interval" json:"commentInterval"`
}

// A SuppressRule keeps alerts that match all its matchers out of incidents.
type SuppressRule struct {
	// Name is shown in metrics and with each alert that it kept out.
	Name string `yaml:"name" json:"name"`
	// Matchers are written as in Alertmanager: severity="info".
	Matchers []string `yaml:"matchers" json:"matchers"`
	// Reason tells people why.
	Reason string `yaml:"reason" json:"reason"`
	// Evidence: what matches opens no incident and files no ticket, but joins an
	// incident that it is a sign of.
	Evidence bool `yaml:"evidence,omitempty" json:"evidence,omitempty"`
}

// A Window keeps alerts that are told of within it, and match all its matchers, out of
// incidents. That alerts of open incidents end still counts, and an alert that
// outlives the window is judged anew with the first notice after it.
type Window struct {
	Name     string    `yaml:"name" json:"name"`
	Matchers []string  `yaml:"matchers" json:"matchers"`
	Starts   time.Time `yaml:"starts" json:"starts"`
	Ends     time.Time `yaml:"ends" json:"ends"`
	Reason   string    `yaml:"reason" json:"reason"`
}

// DefaultPolicy suits Prometheus with the usual rules and Alertmanager with its
// default intervals: repeat_interval 4h (alert_ttl is three of them),
// group_interval 5m (a copy that a peer or a retry delays comes within three).
func DefaultPolicy() Policy {
	return Policy{
		SeverityLabels: []string{"severity", "priority", "level"},
		Severities: map[string]incident.Severity{
			"critical": incident.SeverityCritical, "page": incident.SeverityCritical, "error": incident.SeverityCritical,
			"fatal": incident.SeverityCritical, "emergency": incident.SeverityCritical, "high": incident.SeverityCritical,
			"p1": incident.SeverityCritical, "sev1": incident.SeverityCritical,
			"warning": incident.SeverityWarning, "warn": incident.SeverityWarning, "major": incident.SeverityWarning,
			"minor": incident.SeverityWarning, "ticket": incident.SeverityWarning, "medium": incident.SeverityWarning,
			"p2": incident.SeverityWarning, "p3": incident.SeverityWarning, "sev2": incident.SeverityWarning, "sev3": incident.SeverityWarning,
			"info": incident.SeverityInfo, "information": incident.SeverityInfo, "notice": incident.SeverityInfo, "low": incident.SeverityInfo,
			"none": incident.SeverityInfo, "debug": incident.SeverityInfo, "p4": incident.SeverityInfo, "p5": incident.SeverityInfo,
		},
		DefaultSeverity: incident.SeverityWarning,
		Suppress: []SuppressRule{
			{Name: "heartbeat", Matchers: []string{`alertname=~"Watchdog|DeadMansSwitch"`}, Reason: "a heartbeat that always fires"},
			{Name: "inhibitor", Matchers: []string{`alertname="InfoInhibitor"`}, Reason: "it exists to inhibit others"},
			{Name: "none", Matchers: []string{`severity="none"`}, Reason: "severity is none"},
			{Name: "info", Matchers: []string{`severity=~"info|information|notice|debug"`}, Reason: "informational", Evidence: true},
		},
		Maintenance:       []Window{},
		ScopeLabels:       []string{"tenant", "cluster"},
		NamespaceLabels:   []string{"exported_namespace", "namespace", "kubernetes_namespace"},
		ServiceLabels:     []string{"exported_service", "service", "app", "app_kubernetes_io_name", "deployment", "statefulset", "daemonset", "exported_job", "job"},
		TicketMinSeverity: incident.SeverityWarning,
		HoldCritical:      0, // at once; one that usually fires is held as two warnings are
		HoldMany:          model.Duration(4 * time.Minute),
		HoldTogether:      model.Duration(12 * time.Minute),
		HoldAlone:         model.Duration(2 * time.Hour),
		Baseline:          model.Duration(20 * time.Minute),
		AlertTTL:          model.Duration(12 * time.Hour),
		ResolveAfter:      model.Duration(2 * time.Minute),
		ReopenWindow:      model.Duration(time.Hour),
		LateWindow:        model.Duration(15 * time.Minute),
		CommentInterval:   model.Duration(10 * time.Minute),
	}
}

// Validate reports every setting that cannot be.
func (p Policy) Validate() error {
	_, err := p.compile()
	return err
}

// correlateFor is how long after its start an alert may still change its
// incident, with some room for those that come late.
const correlateFor = 5*time.Hour + 30*time.Minute

// memory is how long an incident that is over is kept in memory.
func (p Policy) memory() time.Duration {
	return max(time.Duration(p.ReopenWindow)+time.Duration(p.LateWindow), correlateFor)
}

// compiled is a policy that is ready for use.
type compiled struct {
	Policy
	suppress []amlabels.Matchers
	windows  []amlabels.Matchers
	version  string // of the policy, for the audit chain
}

func (p Policy) compile() (compiled, error) {
	c := compiled{Policy: p}
	var errs []error
	invalid := func(key, format string, args ...any) {
		errs = append(errs, web.Invalid(key, fmt.Errorf(format, args...)))
	}
	if p.DefaultSeverity.Rank() == 0 {
		invalid("default_severity", "got %q, want critical, warning or info", p.DefaultSeverity)
	}
	if p.TicketMinSeverity.Rank() == 0 {
		invalid("ticket_min_severity", "got %q, want critical, warning or info", p.TicketMinSeverity)
	}
	for _, value := range slices.Sorted(maps.Keys(p.Severities)) {
		if s := p.Severities[value]; s.Rank() == 0 {
			invalid("severities."+value, "got %q, want critical, warning or info", s)
		}
		if value != strings.ToLower(value) {
			invalid("severities."+value, "want lower case: values of labels are compared in it")
		}
	}
	for _, d := range []struct {
		key string
		d   model.Duration
	}{
		{"alert_ttl", p.AlertTTL}, {"reopen_window", p.ReopenWindow}, {"late_window", p.LateWindow}, {"comment_interval", p.CommentInterval},
	} {
		if d.d <= 0 {
			invalid(d.key, "got %s, want more than 0", d.d)
		}
	}
	for _, d := range []struct {
		key string
		d   model.Duration
	}{
		{"resolve_after", p.ResolveAfter}, {"hold_critical", p.HoldCritical}, {"hold_many", p.HoldMany}, {"hold_together", p.HoldTogether}, {"hold_alone", p.HoldAlone}, {"baseline", p.Baseline},
	} {
		if d.d < 0 {
			invalid(d.key, "got %s, want 0 or more", d.d)
		}
	}
	names := map[string]bool{}
	for i, r := range p.Suppress {
		key := fmt.Sprintf("suppress[%d]", i)
		if r.Name == "" || names[r.Name] {
			invalid(key+".name", "got %q, want a name that no other rule has", r.Name)
		}
		names[r.Name] = true
		m, err := matchers(r.Matchers)
		if err != nil {
			invalid(key+".matchers", "%w", err)
		}
		c.suppress = append(c.suppress, m)
	}
	for i, w := range p.Maintenance {
		key := fmt.Sprintf("maintenance[%d]", i)
		if w.Name == "" || names[w.Name] {
			invalid(key+".name", "got %q, want a name that no other rule or window has", w.Name)
		}
		names[w.Name] = true
		if w.Starts.IsZero() || !w.Ends.After(w.Starts) {
			invalid(key+".ends", "got %s to %s, want starts, and ends after it, as in 2026-11-22T22:00:00Z", w.Starts, w.Ends)
		}
		m, err := matchers(w.Matchers)
		if err != nil {
			invalid(key+".matchers", "%w", err)
		}
		c.windows = append(c.windows, m)
	}
	b, err := json.Marshal(p) // map keys come out sorted
	if err != nil {
		errs = append(errs, err)
	}
	sum := sha256.Sum256(b)
	c.version = hex.EncodeToString(sum[:6])
	return c, errors.Join(errs...)
}

func matchers(texts []string) (amlabels.Matchers, error) {
	if len(texts) == 0 {
		return nil, errors.New("want at least one, as in severity=\"info\"")
	}
	var out amlabels.Matchers
	for _, text := range texts {
		ms, err := parse.Matchers(text)
		if err != nil {
			return nil, fmt.Errorf("%q: %w", text, err)
		}
		out = append(out, ms...)
	}
	return out, nil
}

// keepsOut returns the first window of maintenance, or else the first rule, that keeps an
// alert out at a time.
func (c compiled) keepsOut(labels map[string]string, at time.Time) (SuppressRule, bool) {
	ls := make(model.LabelSet, len(labels))
	for k, v := range labels {
		ls[model.LabelName(k)] = model.LabelValue(v)
	}
	for i, ms := range c.windows {
		if w := c.Maintenance[i]; !at.Before(w.Starts) && at.Before(w.Ends) && ms.Matches(ls) {
			return SuppressRule{Name: w.Name, Reason: inMaintenance + w.Reason}, true
		}
	}
	for i, ms := range c.suppress {
		if ms.Matches(ls) {
			return c.Suppress[i], true
		}
	}
	return SuppressRule{}, false
}

// severity is that of an alert.
func (c compiled) severity(labels map[string]string) incident.Severity {
	for _, l := range c.SeverityLabels {
		if s, ok := c.Severities[strings.ToLower(labels[l])]; ok {
			return s
		}
	}
	return c.DefaultSeverity
}

// inMaintenance begins the reason of what a window keeps out.
const inMaintenance = "maintenance: "
