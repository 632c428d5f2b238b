package enrich_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/enrich"
	"github.com/portent-dev/portent/internal/incident"
	"github.com/portent-dev/portent/internal/promapi"
	"github.com/portent-dev/portent/internal/runbook"
)

var noon = time.Date(2026, 6, 2, 12, 0, 0, 0, time.UTC)

// shop is an incident of two pods in one namespace.
func shop() incident.Incident {
	alert := func(pod, name string) incident.Alert {
		return incident.Alert{
			Fingerprint: pod + name, StartsAt: noon, Status: incident.AlertFiring,
			Labels:      map[string]string{"alertname": name, "namespace": "shop", "pod": pod, "cluster": "prod"},
			Annotations: map[string]string{"summary": "Pod " + pod + " restarts again and again"},
		}
	}
	return incident.Incident{
		ID: "01", Status: incident.StatusOpen, StartedAt: noon, Title: "[Auto] Pod crash looping",
		Labels:    map[string]string{"cluster": "prod", "namespace": "shop"},
		RootCause: incident.RootCause{Entity: "pod/cart-1", Alertname: "KubePodCrashLooping"},
		Alerts:    []incident.Alert{alert("cart-1", "KubePodCrashLooping"), alert("cart-2", "KubePodCrashLooping")},
	}
}

// source is one that a test writes in a line.
type source struct {
	name string
	look func(context.Context, enrich.Subject) ([]incident.Evidence, error)
}

func (s source) Name() string { return s.name }

func (s source) Look(ctx context.Context, x enrich.Subject) ([]incident.Evidence, error) {
	return s.look(ctx, x)
}

func gives(name string, err error, found ...incident.Evidence) enrich.Source {
	return source{name, func(context.Context, enrich.Subject) ([]incident.Evidence, error) { return found, err }}
}

func TestCollectSortsBoundsAndCleans(t *testing.T) {
	many := make([]incident.Evidence, 50)
	for i := range many {
		many[i] = incident.Evidence{Kind: incident.EvidenceEvent, Title: "event"}
	}
	e := enrich.New(0,
		gives("links", nil, incident.Evidence{Kind: incident.EvidenceLink, Title: "Dashboard", URL: "https://grafana.example/d/1"}),
		gives("many", nil, many...),
		gives("hostile", nil,
			incident.Evidence{Kind: incident.EvidenceAnomaly, Title: "two\nlines\x00\x1b[31m", Text: strings.Repeat("x", 5000), URL: "javascript:alert(1)", Query: strings.Repeat("y", 5000)},
			incident.Evidence{Kind: "made up", Title: "no kind of ours"},
			incident.Evidence{Kind: incident.EvidenceLog}),
	)
	d := e.Collect(t.Context(), shop(), noon)
	require.Equal(t, noon, d.At)
	require.Empty(t, d.Missing)
	require.Len(t, d.Evidence, 1+5+1, "five of a source at most, without what is no evidence")
	first := d.Evidence[0]
	require.Equal(t, incident.EvidenceAnomaly, first.Kind)
	require.Equal(t, "hostile", first.Source)
	require.NotContains(t, first.Title, "\n")
	require.NotContains(t, first.Title, "\x1b")
	require.LessOrEqual(t, len([]rune(first.Text)), 1000)
	require.Empty(t, first.URL)
	require.Empty(t, first.Query)
	require.Equal(t, incident.EvidenceLink, d.Evidence[6].Kind)
}

func TestCollectSaysWhatIsMissing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		started := time.Now()
		d := enrich.New(3*time.Second,
			gives("broken", errors.New("connection refused"), incident.Evidence{Kind: incident.EvidenceLog, Title: "what came before the error"}),
			gives("nothing", enrich.ErrNothingToAsk),
			source{"slow", func(ctx context.Context, _ enrich.Subject) ([]incident.Evidence, error) {
				<-ctx.Done()
				return nil, ctx.Err()
			}},
			source{"panics", func(context.Context, enrich.Subject) ([]incident.Evidence, error) { panic("no") }},
		).Collect(t.Context(), shop(), noon)
		require.Equal(t, 3*time.Second, time.Since(started))
		require.Len(t, d.Evidence, 1)
		require.Equal(t, []incident.Gap{
			{Source: "broken", Reason: "connection refused"}, {Source: "slow", Reason: "no answer within 3s"}, {Source: "panics", Reason: "BUG: no"},
		}, d.Missing)
	})
}

func TestSubject(t *testing.T) {
	s := enrich.NewSubject(shop(), noon.Add(time.Hour))
	require.Equal(t, noon.Add(-30*time.Minute), s.From)
	require.Equal(t, noon.Add(time.Hour), s.To)
	require.Equal(t, []string{"cart-1", "cart-2"}, s.Values["pod"])
	require.True(t, s.Elsewhere("staging"))
	require.False(t, s.Elsewhere("prod"))
	require.False(t, s.Elsewhere(""), "telemetry without the label may be of this cluster")

	over := shop()
	over.EndedAt = noon.Add(10 * time.Minute)
	require.Equal(t, over.EndedAt, enrich.NewSubject(over, noon.Add(time.Hour)).To)
}

func TestSelectorsEscape(t *testing.T) {
	inc := shop()
	inc.Alerts[0].Labels["namespace"] = `a"} or up{x="`
	inc.Alerts[1].Labels["namespace"] = `b|.*`
	for _, matchers := range enrich.NewSubject(inc, noon).Selectors() {
		text := (&parser.VectorSelector{LabelMatchers: matchers}).String()
		expr, err := parser.NewParser(parser.Options{}).ParseExpr(text)
		require.NoError(t, err, text)
		v, ok := expr.(*parser.VectorSelector)
		require.True(t, ok, text)
		require.False(t, v.LabelMatchers[0].Matches("anything"), text)
		require.True(t, v.LabelMatchers[0].Matches(`b|.*`), text)
	}
}

// fakePrometheus answers every query with the same series, and keeps what it was asked.
type fakePrometheus struct {
	matrix model.Matrix
	err    error
	asked  []string
}

func (p *fakePrometheus) QueryRange(_ context.Context, expr string, _ promapi.Range, _ int) (promapi.Answer, error) {
	p.asked = append(p.asked, expr)
	return promapi.Answer{Value: p.matrix}, p.err
}

// steps is a series with a value a minute from half an hour before noon.
func steps(labels model.Metric, values ...float64) *model.SampleStream {
	s := &model.SampleStream{Metric: labels}
	for i, v := range values {
		s.Values = append(s.Values, model.SamplePair{Timestamp: model.TimeFromUnixNano(noon.Add(time.Duration(i-30) * time.Minute).UnixNano()), Value: model.SampleValue(v)})
	}
	return s
}

func TestScoresTellWhatMovedFirst(t *testing.T) {
	p := &fakePrometheus{matrix: model.Matrix{
		steps(model.Metric{"__name__": "anomaly_score", "metric": "latency", "namespace": "shop"}, 0, 0, 0, 2, 3),
		steps(model.Metric{"__name__": "anomaly_score", "metric": "memory", "namespace": "shop"}, 0, 1.5, 12),
		steps(model.Metric{"__name__": "anomaly_score", "metric": "quiet", "namespace": "shop"}, 0, 1, 0),
		steps(model.Metric{"__name__": "anomaly_score", "metric": "memory", "namespace": "shop", "cluster": "staging"}, 9, 9),
	}}
	found, err := enrich.Scores{Prometheus: p}.Look(t.Context(), enrich.NewSubject(shop(), noon))
	require.NoError(t, err)
	require.Equal(t, []string{`{__name__=~"anomaly_score",namespace="shop"}`}, p.asked)
	require.Len(t, found, 2)
	require.Equal(t, `memory{namespace="shop"} moved first of 2, score up to 12`, found[0].Title)
	require.Equal(t, noon.Add(-29*time.Minute), found[0].At.UTC())
	require.Equal(t, `anomaly_score{metric="memory",namespace="shop"}`, found[0].Query)
	require.Contains(t, found[1].Title, "latency")

	p.err = errors.New("down")
	_, err = enrich.Scores{Prometheus: p}.Look(t.Context(), enrich.NewSubject(shop(), noon))
	require.EqualError(t, err, "down")
	_, err = enrich.Scores{Prometheus: p}.Look(t.Context(), enrich.NewSubject(incident.Incident{}, noon))
	require.ErrorIs(t, err, enrich.ErrNothingToAsk)
}

func TestChangesTellWhatWasRolledOut(t *testing.T) {
	p := &fakePrometheus{matrix: model.Matrix{
		steps(model.Metric{"__name__": "kube_deployment_status_observed_generation", "namespace": "shop", "deployment": "cart"}, 7, 7, 8, 8),
		steps(model.Metric{"__name__": "kube_deployment_status_observed_generation", "namespace": "shop", "deployment": "web"}, 3, 3, 3, 3),
		steps(model.Metric{"__name__": "kube_configmap_metadata_resource_version", "namespace": "shop", "configmap": "cart"}, 1, 2, 2, 3),
	}}
	found, err := enrich.Changes{Prometheus: p}.Look(t.Context(), enrich.NewSubject(shop(), noon))
	require.NoError(t, err)
	require.Len(t, found, 2)
	require.Equal(t, "ConfigMap shop/cart was changed, 2 times", found[0].Title)
	require.Equal(t, "Deployment shop/cart was rolled out or scaled", found[1].Title)
	require.Equal(t, noon.Add(-28*time.Minute), found[1].At.UTC())
}

// past is a store of one page.
type past []incident.Incident

func (p past) List(context.Context, incident.Query) ([]incident.Incident, string, error) {
	return p, "", nil
}

func TestSimilarIncidents(t *testing.T) {
	before := func(id string, f func(*incident.Incident)) incident.Incident {
		i := shop()
		i.ID, i.Status, i.StartedAt, i.EndedAt = id, incident.StatusResolved, noon.Add(-48*time.Hour), noon.Add(-47*time.Hour)
		i.Alerts = nil
		f(&i)
		return i
	}
	same := before("same", func(i *incident.Incident) {
		i.Tickets = []incident.Ticket{{Tracker: "jira", Key: "OPS-1", Status: "Done"}}
	})
	elsewhere := before("elsewhere", func(i *incident.Incident) { i.Labels = map[string]string{"cluster": "prod", "namespace": "billing"} })
	other := before("other", func(i *incident.Incident) { i.RootCause.Alertname = "NodeDown" })
	open := before("open", func(i *incident.Incident) { i.Status = incident.StatusOpen })
	found, err := enrich.Similar{Past: past{elsewhere, other, open, same, shop()}, URL: func(id string) string { return "https://portent.example/incidents/" + id }}.
		Look(t.Context(), enrich.NewSubject(shop(), noon))
	require.NoError(t, err)
	require.Len(t, found, 2)
	require.Equal(t, "https://portent.example/incidents/same", found[0].URL)
	require.Equal(t, "Was resolved after 1h0m0s; ticket OPS-1 (Done); probable cause pod/cart-1.", found[0].Text)
	require.Equal(t, "https://portent.example/incidents/elsewhere", found[1].URL)
}

func TestRunbooksPreferWhatTheAlertNames(t *testing.T) {
	index, err := runbook.Load(fstest.MapFS{
		"crash.md": {Data: []byte("# Crash loop\n\nA pod restarts again and again.")},
		"node.md":  {Data: []byte("# Node down\n\nThe kubelet does not answer.")},
	})
	require.NoError(t, err)
	inc := shop()
	look := func() []incident.Evidence {
		found, err := enrich.Runbooks{Index: index, URL: func(p string) string { return "https://runbooks.example/" + p }}.Look(t.Context(), enrich.NewSubject(inc, noon))
		require.NoError(t, err)
		return found
	}
	found := look()
	require.NotEmpty(t, found)
	require.Equal(t, "Crash loop (crash.md)", found[0].Title)
	require.Equal(t, "https://runbooks.example/crash.md", found[0].URL)

	inc.Alerts[1].Annotations["runbook_url"] = "https://runbooks.example/own"
	found = look()
	require.Equal(t, "https://runbooks.example/own", found[0].URL)
	require.Equal(t, "Crash loop (crash.md)", found[1].Title)

	found, err = enrich.Runbooks{}.Look(t.Context(), enrich.NewSubject(shop(), noon))
	require.NoError(t, err)
	require.Empty(t, found)
}

// events is a store of events.
type events []incident.ObjectEvent

func (e events) PutObjectEvents(context.Context, ...incident.ObjectEvent) error { return nil }

func (e events) ListObjectEvents(context.Context, incident.ObjectEventQuery) ([]incident.ObjectEvent, error) {
	return e, nil
}

func TestEventsAreToldOncePerReason(t *testing.T) {
	at := func(m int, pod, reason string, warning bool, cluster string) incident.ObjectEvent {
		return incident.ObjectEvent{At: noon.Add(time.Duration(m) * time.Minute), Cluster: cluster, Namespace: "shop", Kind: "Pod", Name: pod, Reason: reason, Message: reason + " of " + pod, Warning: warning, Count: 2}
	}
	found, err := enrich.Events{Keeper: events{
		at(3, "cart-7d9f8b6c5-x2x9z", "BackOff", true, "prod"), at(1, "cart-7d9f8b6c5-q8q8q", "BackOff", true, ""),
		at(4, "web-1", "Pulled", false, "prod"), at(5, "web-1", "OOMKilling", true, "staging"),
	}}.Look(t.Context(), enrich.NewSubject(shop(), noon))
	require.NoError(t, err)
	require.Len(t, found, 2)
	require.Equal(t, "Pod shop/cart-7d9f8b6c5-x2x9z: BackOff, 4 times", found[0].Title)
	require.Equal(t, "Pod shop/web-1: Pulled, 2 times", found[1].Title)
}

func TestLinks(t *testing.T) {
	l, err := enrich.NewLinks([]enrich.LinkTemplate{
		{Title: "Namespace", URL: `https://grafana.example/d/ns?var-namespace={{ .Labels.namespace }}&from={{ .From }}&to={{ .To }}`, Needs: []string{"namespace"}},
		{Title: "Node", URL: `https://grafana.example/d/node?var-node={{ .Labels.node }}`, Needs: []string{"node"}},
	})
	require.NoError(t, err)
	inc := shop()
	inc.Alerts[0].Labels["namespace"], inc.Alerts[1].Labels["namespace"] = "a&b=c", "a&b=c"
	found, err := l.Look(t.Context(), enrich.NewSubject(inc, noon))
	require.NoError(t, err)
	require.Len(t, found, 1)
	require.Equal(t, "https://grafana.example/d/ns?var-namespace=a%26b%3Dc&from=1780399800000&to=1780401600000", found[0].URL)

	for _, bad := range []struct {
		in   enrich.LinkTemplate
		want string
	}{
		{enrich.LinkTemplate{URL: "https://x.example"}, "[0].title: is needed"},
		{enrich.LinkTemplate{Title: "x", URL: "https://x.example/{{ .Nope }}"}, "[0].url: template: url"},
		{enrich.LinkTemplate{Title: "x", URL: "{{"}, "[0].url: template: url"},
		{enrich.LinkTemplate{Title: "x", URL: "javascript:alert(1)"}, "[0].url: want a template of an http or https address"},
	} {
		_, err := enrich.NewLinks([]enrich.LinkTemplate{bad.in})
		require.ErrorContains(t, err, bad.want)
	}
}

func TestExporter(t *testing.T) {
	var asked []string
	status, body := http.StatusOK, ""
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.URL.String())
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}))
	t.Cleanup(server.Close)
	x, err := enrich.NewExporter(server.URL+"/portent", server.Client())
	require.NoError(t, err)
	s := enrich.NewSubject(shop(), noon.Add(time.Hour))

	body = `{"total":2,"anomalies":[
		{"labels":{"__name__":"b","namespace":"shop"},"score":2.5,"since":"2026-06-02T12:05:00Z","explanation":"b is high."},
		{"labels":{"__name__":"c","namespace":"shop","cluster":"staging"},"score":9,"since":"2026-06-02T12:00:00Z","explanation":"c is high."},
		{"labels":{"__name__":"a","namespace":"shop"},"score":12,"since":"2026-06-02T11:55:00Z","explanation":"a is high."}]}`
	found, err := x.Anomalies().Look(t.Context(), s)
	require.NoError(t, err)
	require.Equal(t, []string{`/portent/api/v1/anomalies?limit=100&match%5B%5D=%7Bnamespace%3D%22shop%22%7D`}, asked)
	require.Len(t, found, 2)
	require.Equal(t, "a is high.", found[0].Title)
	require.Equal(t, "Score 12.", found[0].Text)
	require.Equal(t, `a{namespace="shop"}`, found[0].Query)

	body = `{"patterns":[
		{"pattern":"p1","labels":{"namespace":"shop"},"template":"took <*>","count":900,"severity":"info","new":true,"firstSeen":"2026-06-02T12:01:00Z"},
		{"pattern":"p2","labels":{"namespace":"shop"},"template":"cannot reach <*>","count":3,"severity":"error","new":true,"firstSeen":"2026-06-02T12:01:00Z","example":"cannot reach db"},
		{"pattern":"p3","labels":{"namespace":"billing"},"template":"other","count":3,"severity":"error","new":true,"firstSeen":"2026-06-02T12:01:00Z"},
		{"pattern":"p4","labels":{},"template":"old","count":3,"severity":"error","new":true,"firstSeen":"2026-06-01T12:01:00Z"},
		{"pattern":"p5","labels":{},"template":"usual","count":3,"severity":"error","new":false,"firstSeen":"2026-06-02T12:01:00Z"}]}`
	found, err = x.Patterns().Look(t.Context(), s)
	require.NoError(t, err)
	require.Len(t, found, 2)
	require.Equal(t, "New log pattern, 3 lines: cannot reach <*>", found[0].Title)
	require.Equal(t, "Pattern p2. Example: cannot reach db", found[0].Text)

	for _, bad := range []struct {
		status     int
		body, want string
	}{
		{http.StatusUnauthorized, "", "the exporter answers 401 to /api/v1/patterns"},
		{http.StatusOK, "<html>", "is no JSON of ours"},
		{http.StatusOK, `{"learning":true}`, "still learning"},
	} {
		status, body = bad.status, bad.body
		_, err = x.Patterns().Look(t.Context(), s)
		require.ErrorContains(t, err, bad.want)
	}
	server.Close()
	_, err = x.Anomalies().Look(t.Context(), s)
	require.ErrorContains(t, err, "ask the exporter")

	_, err = enrich.NewExporter("ftp://x", nil)
	require.ErrorContains(t, err, "want http://host or https://host")
}
