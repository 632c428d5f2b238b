package report_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/incident"
	"github.com/portent-dev/portent/internal/report"
	"github.com/portent-dev/portent/internal/ticket"
)

var update = flag.Bool("update", false, "write the golden files")

var t0 = time.Date(2026, 11, 22, 10, 30, 0, 0, time.UTC)

func plain(t testing.TB) *report.Plain {
	t.Helper()
	p, err := report.New(report.Options{ExternalURL: "https://portent.example.com/", PrometheusURL: "https://prom.example.com/p/", Alertmanager: "https://am.example.com"})
	require.NoError(t, err)
	return p
}

func alert(name string, at time.Duration, kv ...string) incident.Alert {
	a := incident.Alert{
		Fingerprint: fmt.Sprintf("%016x", len(name)*1000+int(at)), StartsAt: t0.Add(at), Status: incident.AlertFiring,
		Labels: map[string]string{"alertname": name}, Annotations: map[string]string{},
	}
	for i := 0; i < len(kv); i += 2 {
		if k, ok := strings.CutPrefix(kv[i], "@"); ok {
			a.Annotations[k] = kv[i+1]
		} else {
			a.Labels[kv[i]] = kv[i+1]
		}
	}
	return a
}

func of(alerts ...incident.Alert) incident.Incident {
	inc := incident.Incident{ID: "01JDB2", Status: incident.StatusOpen, Severity: incident.SeverityCritical, StartedAt: t0, UpdatedAt: t0.Add(10 * time.Minute), Alerts: alerts, Total: len(alerts)}
	for _, a := range alerts {
		if a.Status == incident.AlertFiring {
			inc.Firing++
		}
	}
	return inc
}

func TestTitle(t *testing.T) {
	memory := alert("MemoryPressure", 0, "namespace", "frontend-api", "cluster", "prod-us-east-1", "severity", "warning")
	rooted := of(memory, alert("HighLatency", time.Minute, "namespace", "frontend-api", "cluster", "prod-us-east-1", "severity", "critical"))
	rooted.RootCause = incident.RootCause{Entity: "web-1", Alertname: "MemoryPressure", Confidence: 0.8}
	located := of(alert("KubePodNotReady", 0, "namespace", "monitoring"))
	located.Labels = map[string]string{"namespace": "shop", "cluster": "eu"}

	tests := []struct {
		name string
		inc  incident.Incident
		want string
	}{
		{"as in the manual", of(memory), "[Auto] Memory pressure - frontend-api namespace (Cluster: prod-us-east-1)"},
		{"the cause names it, not the worst", rooted, "[Auto] Memory pressure - frontend-api namespace (Cluster: prod-us-east-1)"},
		{"the worst names it", of(memory, alert("HighLatency", time.Hour, "namespace", "frontend-api", "severity", "critical")), "[Auto] High latency - frontend-api namespace (Cluster: prod-us-east-1)"},
		{"the place of the incident wins", located, "[Auto] Kube pod not ready - shop namespace (Cluster: eu)"},
		{"acronym", of(alert("KubePodOOMKilled", 0, "service", "api")), "[Auto] Kube pod OOM killed - api service"},
		{"snake", of(alert("disk_full_2h", 0, "instance", "db1:9100")), "[Auto] Disk full 2h - db1:9100"},
		{"words", of(alert("Payment of the Shop is slow", 0)), "[Auto] Payment of the Shop is slow"},
		{"two namespaces, two clusters", of(alert("A1", 0, "namespace", "b", "cluster", "x"), alert("A1", 1, "namespace", "a", "cluster", "y")), "[Auto] A1 - a and b namespaces (Clusters: x, y)"},
		{"many", of(alert("A", 0, "namespace", "a"), alert("A", 1, "namespace", "b"), alert("A", 2, "namespace", "c")), "[Auto] A - 3 namespaces"},
		{"the series of an anomaly", of(alert("SeriesFarOut", 0, "metric", "shop_queue_length", "service", "shop"), alert("SeriesFarOut", 1, "metric", "shop_queue_length", "service", "shop")), "[Auto] Series far out: shop_queue_length - shop service"},
		{"different series", of(alert("SeriesFarOut", 0, "metric", "a"), alert("SeriesFarOut", 1, "metric", "b")), "[Auto] Series far out"},
		{"no name", of(incident.Alert{}), "[Auto] Alerts"},
		{"no alert", of(), "[Auto] Alerts"},
		{"no label, not ASCII", of(alert("Überlast", 0)), "[Auto] Überlast"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { require.Equal(t, tt.want, plain(t).Title(tt.inc)) })
	}
}

func TestSummary(t *testing.T) {
	over := alert("A", 0, "namespace", "a")
	over.Status, over.EndsAt = incident.AlertResolved, t0.Add(time.Minute)
	caused := of(alert("DiskFull", 0, "instance", "db1", "@summary", "Disk is 99 % full"), over)
	caused.RootCause = incident.RootCause{Entity: "db1", Alertname: "DiskFull", Confidence: 0.625}

	require.Equal(t, "2 alerts (1 still firing) in namespace a since 2026-11-22 10:30:00 UTC. DiskFull: Disk is 99 % full. Probable cause: db1 (confidence 62 %).",
		plain(t).Summary(caused))
	require.Equal(t, "1 alert, all over, in namespace a since 2026-11-22 10:30:00 UTC.", plain(t).Summary(of(over)))
	require.Equal(t, "1 alert on service api of cluster c since 2026-11-22 10:30:00 UTC.", plain(t).Summary(of(alert("A", 0, "app", "api", "cluster", "c"))))
}

func TestDraftReadsAsAnOperatorWouldWriteIt(t *testing.T) {
	inc := story()
	d := plain(t).Draft(inc.TicketKey(), inc)
	require.NoError(t, d.Validate())
	require.Equal(t, "portent-01JDB2", d.Key)
	require.Equal(t, []string{"auto-generated", "memory-pressure", "high-latency"}, d.Labels)
	require.Equal(t, "https://portent.example.com/incidents/01JDB2", d.IncidentURL)
	require.Equal(t, "critical", d.Severity)
	golden(t, "draft.txt", d.Title+"\n\n"+d.Summary+"\n\n"+text(d.Body))
}

func TestComment(t *testing.T) {
	inc := story()
	over := inc.Alerts[1]
	over.Status, over.EndsAt = incident.AlertResolved, t0.Add(9*time.Minute)
	golden(t, "comment.txt", text(plain(t).Comment(inc, inc.Alerts[:1], []incident.Alert{over}, "Severity rose from warning to critical.")))
	require.Equal(t, "Now: open, severity critical, 2 of 2 alerts firing. [Open the incident](https://portent.example.com/incidents/01JDB2)\n",
		text(plain(t).Comment(inc, nil, nil, "")))

	var many []incident.Alert
	for i := range 25 {
		many = append(many, alert(fmt.Sprintf("A%d", i), time.Duration(i)))
	}
	require.Contains(t, text(plain(t).Comment(inc, many, nil, "")), "- *and 15 more*\n")
}

func story() incident.Incident {
	inc := of(
		alert("MemoryPressure", 0, "namespace", "frontend-api", "cluster", "prod-us-east-1", "severity", "warning", "pod", "web-7d9f-x2x",
			"@summary", "Working set is 1.9 GiB of 2 GiB", "@runbook_url", "https://runbooks.example.com/memory"),
		alert("HighLatency", 3*time.Minute, "namespace", "frontend-api", "cluster", "prod-us-east-1", "severity", "critical", "service", "web",
			"@description", "p99 is 4.2 s"),
	)
	inc.RootCause = incident.RootCause{Entity: "web-7d9f-x2x", Alertname: "MemoryPressure", Confidence: 0.8}
	inc.Alerts[0].GeneratorURL = "http://prometheus-0.prom.svc:9090/graph?g0.expr=container_memory_working_set_bytes+%3E+2e9&g0.tab=1"
	inc.Alerts[0].ExternalURL = "http://alertmanager-1.svc:9093"
	return inc
}

func TestHostileTextStaysText(t *testing.T) {
	const evil = "\"><script>alert(1)</script>\u202e*[x](javascript:alert(1))*\n{code}\x00\xff; rm -rf / `$(id)`"
	a := alert(evil, 0, "namespace", evil, "pod", "$(reboot)", "deployment", "-rf", "node", "a;b", "cluster", evil, "severity", evil,
		"@summary", strings.Repeat(evil, 500), "@runbook_url", "javascript:alert(1)")
	a.GeneratorURL, a.ExternalURL = "javascript:alert(1)", "data:text/html,x"
	inc := of(a)
	inc.RootCause = incident.RootCause{Entity: evil, Alertname: evil, Confidence: 1}
	inc.Timeline = []incident.Event{{At: t0, Text: evil}}
	p, err := report.New(report.Options{})
	require.NoError(t, err)

	d := p.Draft("portent-x", inc)
	require.NoError(t, d.Validate())
	require.LessOrEqual(t, utf8.RuneCountInString(d.Title), 200)
	require.LessOrEqual(t, utf8.RuneCountInString(d.Summary), 600)
	require.NotContains(t, d.Title, "\n")
	for _, s := range append(spans(d.Body), spans(p.Comment(inc, inc.Alerts, inc.Alerts, evil))...) {
		require.Empty(t, s.Link)
		require.True(t, utf8.ValidString(s.Text))
		require.NotContains(t, s.Text, "\u202e")
		require.NotContains(t, s.Text, "\x00")
		require.False(t, strings.HasPrefix(s.Text, "kubectl"), "no command from a value that is no name: %s", s.Text)
	}
	for _, l := range d.Labels {
		require.NotContains(t, l, " ")
		require.False(t, strings.HasPrefix(l, "portent"), "only the key may look like a key")
	}
	require.Equal(t, []string{"auto-generated", "alert-portent-outbox-stuck"}, p.Draft("k", of(alert("PortentOutboxStuck", 0))).Labels)
}

func TestLinks(t *testing.T) {
	l, err := report.NewLinks(report.Options{ExternalURL: "https://portent.example.com/"})
	require.NoError(t, err)
	a := story().Alerts[0]
	require.Equal(t, "http://prometheus-0.prom.svc:9090/graph?g0.end_input=2026-11-22+10%3A55%3A00&g0.expr=container_memory_working_set_bytes+%3E+2e9&g0.range_input=2400s&g0.tab=0",
		l.Graph(a, t0, t0.Add(10*time.Minute)), "15 minutes before and after")
	require.Equal(t, `http://alertmanager-1.svc:9093/#/alerts?silenced=true&inhibited=true&filter=%7Balertname%3D%22MemoryPressure%22%7D`, l.Alertmanager(a))
	require.Equal(t, "https://portent.example.com/tickets/LOCAL-1", l.LocalTicket("LOCAL-1"))
	require.Equal(t, "container_memory_working_set_bytes > 2e9", report.Expr(a))

	l, err = report.NewLinks(report.Options{PrometheusURL: "https://prom.example.com/p/", Alertmanager: "https://am.example.com/x"})
	require.NoError(t, err)
	require.True(t, strings.HasPrefix(l.Graph(a, t0, t0.Add(time.Minute)), "https://prom.example.com/p/graph?"))
	require.True(t, strings.HasPrefix(l.Alertmanager(a), "https://am.example.com/x/#/alerts?"))
	require.Empty(t, l.Incident("01J"))

	for _, bad := range []string{"javascript:alert(1)", "ftp://x", "//x", "x y", "http://"} {
		_, err := report.NewLinks(report.Options{ExternalURL: bad})
		require.ErrorContains(t, err, "external URL: want http://host")
	}
}

func TestLongTablesAreCutAndCounted(t *testing.T) {
	var alerts []incident.Alert
	for i := range 3000 {
		alerts = append(alerts, alert("NodeDown", time.Duration(i)*time.Second, "node", fmt.Sprintf("n%d", i)))
	}
	body := text(plain(t).Draft("k", of(alerts...)).Body)
	require.Contains(t, body, "and 2980 more: see the incident.")
	require.Contains(t, body, "- *and 2985 more*")
	require.Less(t, utf8.RuneCountInString(body), 10000, "no tracker takes more than 32767")
}

func FuzzDraft(f *testing.F) {
	f.Add("MemoryPressure", "shop", "p1", "x", "http://p/graph?g0.expr=up")
	f.Add("\xff", "\u202e", "", strings.Repeat("ä", 2000), "http://%zz")
	f.Add("portent-x", "-", "a b", "\n", "https://u:p@h/?g0.expr=%00")
	f.Fuzz(func(t *testing.T, name, ns, pod, summary, generator string) {
		a := alert(name, 0, "namespace", ns, "pod", pod, "cluster", ns, "@summary", summary, "@runbook_url", generator)
		a.GeneratorURL, a.ExternalURL = generator, generator
		inc := of(a)
		p := plain(t)
		d := p.Draft("portent-x", inc)
		require.NoError(t, d.Validate())
		require.Equal(t, d, p.Draft("portent-x", inc), "the same incident gives the same words")
		require.LessOrEqual(t, utf8.RuneCountInString(d.Title), 200)
		for _, s := range spans(d.Body) {
			require.True(t, utf8.ValidString(s.Text) && utf8.ValidString(s.Link))
			require.Equal(t, ticket.Clean(s.Text), s.Text)
			if s.Link != "" {
				require.True(t, strings.HasPrefix(s.Link, "http://") || strings.HasPrefix(s.Link, "https://"), s.Link)
			}
		}
	})
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		require.NoError(t, os.MkdirAll("testdata", 0o755))
		require.NoError(t, os.WriteFile(path, []byte(got), 0o644))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, string(want), got)
}

func spans(d ticket.Doc) []ticket.Span {
	var out []ticket.Span
	for _, b := range d {
		out = append(out, b.Spans...)
		for _, i := range b.Items {
			out = append(out, i...)
		}
		for _, r := range b.Rows {
			for _, c := range r {
				out = append(out, c...)
			}
		}
	}
	return out
}

// text renders a document so that a reader of a golden file can judge it by eye.
func text(d ticket.Doc) string {
	var b strings.Builder
	line := func(ss []ticket.Span) string {
		var l strings.Builder
		for _, s := range ss {
			switch {
			case s.Link != "":
				fmt.Fprintf(&l, "[%s](%s)", s.Text, s.Link)
			case s.Bold:
				l.WriteString("**" + s.Text + "**")
			case s.Italic:
				l.WriteString("*" + s.Text + "*")
			case s.Code:
				l.WriteString("`" + s.Text + "`")
			default:
				l.WriteString(s.Text)
			}
		}
		return l.String()
	}
	for _, x := range d {
		switch x.Kind {
		case ticket.KindHeading:
			b.WriteString("\n" + strings.Repeat("#", x.Level) + " " + line(x.Spans) + "\n")
		case ticket.KindParagraph:
			b.WriteString(line(x.Spans) + "\n")
		case ticket.KindList:
			for i, it := range x.Items {
				mark := "- "
				if x.Ordered {
					mark = fmt.Sprintf("%d. ", i+1)
				}
				b.WriteString(mark + line(it) + "\n")
			}
		case ticket.KindTable:
			for _, r := range x.Rows {
				var cells []string
				for _, c := range r {
					cells = append(cells, line(c))
				}
				b.WriteString("| " + strings.Join(cells, " | ") + " |\n")
			}
		case ticket.KindRule:
			b.WriteString("\n---\n")
		default:
			b.WriteString(x.Code + "\n")
		}
	}
	return b.String()
}
