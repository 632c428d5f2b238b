package report

import (
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/portent-dev/portent/internal/incident"
)

// Bounds of a link in bytes. What alerts carry is an expression of any length; what we write must fit
// ticket.SafeURL, which drops the rest.
const (
	maxURLIn  = 16 << 10
	maxURLOut = 2000
)

// Links builds addresses for people. The zero value knows no address of its own and links to what alerts carry.
type Links struct {
	external, prometheus, alertmanager *url.URL
}

// NewLinks checks the addresses of o.
func NewLinks(o Options) (Links, error) {
	var l Links
	for _, x := range []struct {
		name, in string
		out      **url.URL
	}{{"external URL", o.ExternalURL, &l.external}, {"Prometheus URL", o.PrometheusURL, &l.prometheus}, {"Alertmanager URL", o.Alertmanager, &l.alertmanager}} {
		if x.in == "" {
			continue
		}
		u, ok := httpURL(x.in)
		if !ok {
			return Links{}, fmt.Errorf("%s: want http://host or https://host, got %q", x.name, x.in)
		}
		u.Path, u.RawPath, u.RawQuery, u.Fragment = strings.TrimRight(u.Path, "/"), "", "", ""
		*x.out = u
	}
	return l, nil
}

// Incident returns the address of an incident's page, empty when the receiver's address is not known.
func (l Links) Incident(id string) string {
	if l.external == nil || id == "" {
		return ""
	}
	return l.external.JoinPath("incidents", url.PathEscape(id)).String()
}

// LocalTicket returns the address of a local ticket's page.
func (l Links) LocalTicket(key string) string {
	p := "/tickets/" + url.PathEscape(key)
	if l.external == nil {
		return p
	}
	return l.external.String() + p
}

// Graph returns the address of the alert's expression in Prometheus over the time from `from` to `to` with
// a margin on both sides, empty when the alert carries none.
func (l Links) Graph(a incident.Alert, from, to time.Time) string {
	u, ok := httpURL(a.GeneratorURL)
	if !ok {
		return ""
	}
	q := u.Query()
	expr := q.Get("g0.expr")
	if l.prometheus != nil && expr != "" {
		// What alerts carry is the address inside the cluster.
		p := *l.prometheus
		p.Path += "/graph"
		u = &p
		q = url.Values{"g0.expr": {expr}}
	}
	if expr != "" && !from.IsZero() && to.After(from) {
		const margin = 15 * time.Minute // enough before the start to see what normal looked like
		span := to.Sub(from) + 2*margin
		q.Set("g0.tab", "0")
		q.Set("g0.range_input", fmt.Sprintf("%ds", int64(span.Seconds())))
		q.Set("g0.end_input", to.Add(margin).UTC().Format("2006-01-02 15:04:05"))
	}
	u.RawQuery = q.Encode()
	return bounded(u)
}

// Expr returns the PromQL of the alert, empty when it carries none.
func Expr(a incident.Alert) string {
	u, ok := httpURL(a.GeneratorURL)
	if !ok {
		return ""
	}
	return u.Query().Get("g0.expr")
}

// Alertmanager returns the address at which Alertmanager shows the alert, silenced and inhibited ones too.
func (l Links) Alertmanager(a incident.Alert) string {
	u := l.alertmanager
	if u == nil {
		var ok bool
		if u, ok = httpURL(a.ExternalURL); !ok {
			return ""
		}
	}
	v := *u
	v.RawQuery = ""
	v.Path = strings.TrimRight(v.Path, "/") + "/"
	v.RawPath = ""
	if a.Name() == "" {
		return bounded(&v)
	}
	// The page keeps its state behind the #, as a query string there.
	if s := v.String() + "#/alerts?silenced=true&inhibited=true&filter=" + url.QueryEscape(fmt.Sprintf("{alertname=%q}", a.Name())); len(s) <= maxURLOut {
		return s
	}
	return bounded(&v)
}

// Runbook returns the runbook an alert names, empty when it is not an http(s) address.
func Runbook(a incident.Alert) string {
	for _, k := range []string{"runbook_url", "runbook"} {
		if u, ok := httpURL(strings.TrimSpace(a.Annotations[k])); ok {
			return bounded(u)
		}
	}
	return ""
}

func bounded(u *url.URL) string {
	if s := u.String(); len(s) <= maxURLOut {
		return s
	}
	return ""
}
