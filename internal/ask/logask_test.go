package ask_test

import (
	"context"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/ask"
)

// journal is a small Loki: its lines, with the labels of their streams.
type journal []ask.LogLine

func line(labels, text string) ask.LogLine {
	return ask.LogLine{Labels: series(labels)[0], Text: text}
}

// mill is another fleet than the bench's: a JSON service with Loki's levels, a logfmt
// one without, a plain Python one, an access log, and events.
var mill = slices.Concat(
	journal{
		line("app=grinder,namespace=plant,cluster=c-north,pod=grinder-1,detected_level=info", `{"lvl":"info","msg":"batch milled","operator":"ann","elapsed_ms":12}`),
		line("app=grinder,namespace=plant,cluster=c-north,pod=grinder-1,detected_level=info", `{"lvl":"info","msg":"batch milled","operator":"ben","elapsed_ms":40}`),
		line("app=grinder,namespace=plant,cluster=c-north,pod=grinder-1,detected_level=error", `{"lvl":"error","msg":"sieve blocked","operator":"ben","elapsed_ms":900,"stack_trace":"at a"}`),
		line("app=mixing-station,namespace=plant,cluster=c-north,pod=mix-1", `level=info msg="dough mixed" duration=1.5s batch=7`),
		line("app=mixing-station,namespace=plant,cluster=c-north,pod=mix-1", `level=error msg="valve stuck" duration=9s batch=8`),
		line("app=invoicer,namespace=office,cluster=c-south,pod=inv-1", `2026-11-22 15:00:01 ERROR invoicer.mail could not send code=550 to=x`),
		line("app=invoicer,namespace=office,cluster=c-south,pod=inv-1", `2026-11-22 15:00:02 INFO invoicer.mail sent code=250 to=y`),
		line("app=gateway-envoy,namespace=edge,cluster=c-south,pod=gw-1", `10.0.0.1 - - [22/Nov/2026:15:00:00 +0000] "GET /a HTTP/1.1" 503 12 "-"`),
		line("job=kube-events,namespace=plant,cluster=c-north", `kind=Pod name=grinder-1 reason=BackOff type=Warning count=3 msg="Back-off restarting"`),
		line("job=kube-events,namespace=plant,cluster=c-north", `kind=Pod name=grinder-1 reason=Pulled type=Normal count=1 msg="image pulled"`),
	},
)

func (j journal) LabelNames(context.Context, time.Time, time.Time) ([]string, error) {
	var out []string
	for _, l := range j {
		for k := range l.Labels {
			if k != "detected_level" {
				out = append(out, k)
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out), nil
}

func (j journal) LabelValues(_ context.Context, label, _ string, _, _ time.Time) ([]string, error) {
	var out []string
	for _, l := range j {
		if v := l.Labels[label]; v != "" {
			out = append(out, v)
		}
	}
	slices.Sort(out)
	return slices.Compact(out), nil
}

// Sample runs selectors, line filters and filters by stream label.
func (j journal) Sample(_ context.Context, query string, _, _ time.Time, limit int) ([]ask.LogLine, error) {
	e, err := ask.ParseLogQL(query)
	if err != nil {
		return nil, err
	}
	s := e.(*ask.LogStreams)
	var out []ask.LogLine
	for _, l := range j {
		ok := true
		for _, m := range s.Matchers {
			ok = ok && m.Matches(l.Labels[m.Name])
		}
		for _, st := range s.Stages {
			switch f := st.(type) {
			case ask.LineFilter:
				hit := strings.Contains(l.Text, f.Text)
				if strings.HasSuffix(f.Op, "~") {
					hit = regexp.MustCompile(f.Text).MatchString(l.Text)
				}
				ok = ok && hit == (f.Op[0] == '|')
			case ask.LabelFilter:
				ok = ok && regexp.MustCompile("^(?:"+f.Text+")$").MatchString(l.Labels[f.Name])
			}
		}
		if ok && len(out) < limit {
			out = append(out, l)
		}
	}
	return out, nil
}

func logRules(t testing.TB, metrics fleet) *ask.Rules {
	t.Helper()
	logs, err := ask.LoadLogs(t.Context(), mill, now)
	require.NoError(t, err)
	var catalog *ask.Catalog
	if metrics != nil {
		catalog, err = ask.Load(t.Context(), metrics)
		require.NoError(t, err)
	}
	r, err := ask.NewRules(catalog, logs)
	require.NoError(t, err)
	return r
}

func TestTranslateLogs(t *testing.T) {
	r := logRules(t, shop)
	f := func(question, want string) {
		t.Helper()
		tr, err := r.Translate(t.Context(), ask.Question{Text: question, Now: now})
		require.NoError(t, err, question)
		require.Equal(t, ask.LogQL, tr.Language, question)
		require.Equal(t, want, tr.Query, question)
		_, err = ask.ParseLogQL(tr.Query)
		require.NoError(t, err)
		require.NotEmpty(t, tr.Explanation)
	}
	// levels: of Loki, of a field, of the words
	f("error logs of grinder", `{app="grinder"} | detected_level=~"error|critical|fatal"`)
	f("errors logged by the mixing station today", `{app="mixing-station"} | logfmt | level=~"(?i)(?:error|err|severe|critical|fatal|panic)"`)
	f("show the errors of invoicer", `{app="invoicer"} |~ "(?i)\\b(?:error|err|severe|critical|fatal|panic)\\b"`)
	// words of messages
	f("how often was the sieve blocked in the grinder logs over the past 2h", `sum(count_over_time({app="grinder"} |= "sieve blocked" [2h]))`)
	f("blocked sieves per operator", `sum by (operator) (count_over_time({cluster=~".+"} |= "sieve blocked" | json [1h]))`)
	f("how many times did grinder say 'sieve blocked' in the last hour", `sum(count_over_time({app="grinder"} |= "sieve blocked" [1h]))`)
	f(`lines mentioning "Back-off restarting" in the last 3 hours`, `{cluster=~".+"} |= "Back-off restarting"`)
	f("everything about batch 4711ab", `{cluster=~".+"} |= "4711ab"`)
	// fields
	f("p90 of elapsed_ms in the grinder logs, last 30m", `quantile_over_time(0.9, {app="grinder"} | json | unwrap elapsed_ms | __error__="" [30m]) by ()`)
	f("average duration in the mixing station logs per batch", `avg_over_time({app="mixing-station"} | logfmt | unwrap duration(duration) | __error__="" [1h]) by (batch)`)
	f("how many mixing station log lines took longer than 5 seconds", `sum(count_over_time({app="mixing-station"} | logfmt | duration > 5000ms [1h]))`)
	f("invoicer log lines by code", `sum by (code) (count_over_time({app="invoicer"} | regexp "\\bcode=\"?(?P<code>[^\\s,;\"]+)" [1h]))`)
	f("grinder log lines with a stack trace", `{app="grinder"} | json | stack_trace!=""`)
	f("how many 5xx in the envoy access log in the last 10 minutes", `sum(count_over_time({app="gateway-envoy"} |~ "HTTP/[0-9.]+\" 5[0-9][0-9] " [10m]))`)
	// counts, rates, shares, bytes, comparisons
	f("top 2 apps by log lines in the last 20 minutes", `topk(2, sum by (app) (count_over_time({app=~".+"} [20m])))`)
	f("log lines per second of grinder", `sum(rate({app="grinder"} [5m]))`)
	f("log volume in MB by namespace since midnight", `sum by (namespace) (bytes_over_time({namespace=~".+"} [15h30m])) * 0.000001`)
	f("what share of the grinder log lines are errors in the last 3h", `sum(count_over_time({app="grinder"} | detected_level=~"error|critical|fatal" [3h])) / sum(count_over_time({app="grinder"} [3h]))`)
	f("grinder error lines in the last hour compared to yesterday",
		`sum(count_over_time({app="grinder"} | detected_level=~"error|critical|fatal" [1h])) - sum(count_over_time({app="grinder"} | detected_level=~"error|critical|fatal" [1h] offset 1d))`)
	f("namespaces that logged more than 100 lines", `sum by (namespace) (count_over_time({namespace=~".+"} [1h])) > 100`)
	f("error logs of plant except grinder", `{namespace="plant", app!="grinder"} | logfmt | level=~"(?i)(?:error|err|severe|critical|fatal|panic)"`)
	f("slowest calls in the grinder logs per operator", `topk(10, max_over_time({app="grinder"} | json | unwrap elapsed_ms | __error__="" [1h]) by (operator))`)
	f("top 3 messages of grinder", `topk(3, sum by (msg) (count_over_time({app="grinder"} | json [1h])))`)
	f("how many batches were milled by operator ben according to the grinder logs", `sum(count_over_time({app="grinder"} |= "batch milled" | json | operator="ben" [1h]))`)
	f("did the grinder log more errors in the last hour than the hour before",
		`sum(count_over_time({app="grinder"} | detected_level=~"error|critical|fatal" [1h])) - sum(count_over_time({app="grinder"} | detected_level=~"error|critical|fatal" [1h] offset 1h))`)
	// events
	f("events about grinder", `{job="kube-events"} |~ "(?i)grinder"`)
	f("warning events in plant", `{job="kube-events", namespace="plant"} | logfmt | type="Warning"`)
	f("events by reason", `sum by (reason) (count_over_time({job="kube-events"} | logfmt [1h]))`)
	f("how many backoff events in the last 6h", `sum(count_over_time({job="kube-events"} | logfmt | reason="BackOff" [6h]))`)
}

// TestLogRange: lines and graphs come with their stretch of time, numbers do not.
func TestLogRange(t *testing.T) {
	r := logRules(t, nil)
	f := func(question string, want *ask.Range) {
		t.Helper()
		tr, err := r.Translate(t.Context(), ask.Question{Text: question, Now: now})
		require.NoError(t, err)
		require.Equal(t, want, tr.Range, tr.Query)
	}
	f("error logs of grinder in the last 2 hours", &ask.Range{Start: now.Add(-2 * time.Hour), End: now, Step: time.Minute})
	f("error logs of grinder", &ask.Range{Start: now.Add(-time.Hour), End: now, Step: time.Minute})
	f("graph grinder error lines per minute over the last 3 hours", &ask.Range{Start: now.Add(-3 * time.Hour), End: now, Step: time.Minute})
	f("how many errors did grinder log", nil)
}

func TestRefuseLogs(t *testing.T) {
	f := func(r *ask.Rules, question string) {
		t.Helper()
		tr, err := r.Translate(t.Context(), ask.Question{Text: question, Now: now})
		var refusal *ask.Refusal
		require.ErrorAs(t, err, &refusal, "%s: %s", question, tr.Query)
		require.NotEmpty(t, refusal.Reason)
	}
	both := logRules(t, shop)
	f(both, "error logs of the payroll program")
	f(both, "audit log entries of sudo")
	f(both, "who baked the cake")
	f(both, "how many customers are logged in")
	f(both, "average weight in the grinder logs")
	f(rules(t, shop), "error logs of web")
	none, err := ask.NewRules(nil, nil)
	require.NoError(t, err)
	f(none, "anything")
}

// TestBothServers: words for numbers go to the metrics, words for lines to the logs.
func TestBothServers(t *testing.T) {
	r := logRules(t, shop)
	f := func(question string, want ask.Language) {
		t.Helper()
		tr, err := r.Translate(t.Context(), ask.Question{Text: question, Now: now})
		require.NoError(t, err, question)
		require.Equal(t, want, tr.Language, tr.Query)
	}
	f("error rate of web", ask.PromQL)
	f("top 3 pods by memory", ask.PromQL)
	f("errors of grinder in the last hour", ask.LogQL)
	f("sieve blocked by operator", ask.LogQL)
}

// TestLogTextNeverBecomesQuery: what is quoted stays a string, whatever it says.
func TestLogTextNeverBecomesQuery(t *testing.T) {
	r := logRules(t, nil)
	evil := `x"} | drop app #`
	tr, err := r.Translate(t.Context(), ask.Question{Text: "logs of grinder that say `" + evil + "`", Now: now})
	require.NoError(t, err)
	e, err := ask.ParseLogQL(tr.Query)
	require.NoError(t, err)
	require.Equal(t, []ask.LogStage{ask.LineFilter{Op: "|=", Text: evil}}, e.(*ask.LogStreams).Stages)
}

func FuzzTranslateLogs(f *testing.F) {
	f.Add("top 5 users by failed 'x\"}' logs of grinder per minute over the last 3h compared to yesterday 5xx p99 elapsed_ms")
	f.Add("\"}) | line_format events `a` by reason per second slower than 1e9 ms \x00")
	r := logRules(f, nil)
	f.Fuzz(func(t *testing.T, q string) {
		tr, err := r.Translate(t.Context(), ask.Question{Text: q, Now: now})
		if err != nil {
			require.NotContains(t, err.Error(), "BUG")
			return
		}
		_, err = ask.ParseLogQL(tr.Query)
		require.NoError(t, err, tr.Query)
	})
}
