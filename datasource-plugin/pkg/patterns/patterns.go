// Package patterns answers what the log lines of Loki say: their patterns, what changed, what most probably
// began it. It must not know Grafana's plugin protocol, addresses or credentials.
package patterns

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/grafana/grafana-plugin-sdk-go/data"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/portent-dev/portent/datasource-plugin/pkg/dataplane"
	"github.com/portent-dev/portent/datasource-plugin/pkg/query"
	"github.com/portent-dev/portent/internal/logmine"
	"github.com/portent-dev/portent/internal/logquery"
	"github.com/portent-dev/portent/internal/lokiapi"
)

// Request is one query with what Grafana sends around it.
type Request struct {
	Query     query.Patterns
	From, To  time.Time
	MaxPoints int64             // of a time series; 0: as many as fit
	UID       string            // of this data source, for links
	LokiUID   string            // of the same Loki in Grafana; "" when it has none
	Scope     []*labels.Matcher // forced on the selector
}

// Bounds.
const (
	// readShare of the time that is left may go into reading; the rest is for mining and for the way back.
	readShare = 0.75
	// readTime bounds it where the context has no end.
	readTime = 20 * time.Second
	// maxLineBytes of all lines that are read.
	maxLineBytes = 48 << 20
	maxNotices   = 6
)

// Run answers one request. The frames follow the data plane contract. Errors are *query.Error where the query is
// wrong, and those of the client.
func Run(ctx context.Context, loki logquery.LokiClient, r Request) (data.Frames, error) {
	store, err := logquery.NewLoki(loki, r.Query.Query, r.Scope...)
	if err != nil {
		return nil, asked(err)
	}
	if r.Query.View == query.ViewLogs {
		return r.logs(ctx, store)
	}
	a, err := logquery.Run(ctx, logquery.Stored{Store: store}, r.ask(ctx))
	if err != nil {
		return nil, asked(err)
	}
	var frames data.Frames
	switch r.Query.View {
	case query.ViewTable:
		frames = data.Frames{r.table(a)}
	case query.ViewTimeSeries:
		frames = timeSeries(a)
	case query.ViewNumeric:
		frames = numeric(a)
	case query.ViewVolume:
		frames = volume(a)
	case query.ViewCauses:
		frames = data.Frames{r.causes(a)}
	default:
		return nil, fmt.Errorf("BUG: view %q", r.Query.View)
	}
	if r.Query.View != query.ViewVolume {
		frames[0].Meta.Custom = customOf(a)
	}
	return dataplane.Finish(frames, executed(a), notices(a, r.Query.View)), nil
}

// asked makes an error of the query one that Grafana shows as such.
func asked(err error) error {
	var (
		q *logquery.QueryError
		l *lokiapi.Error
	)
	switch {
	case errors.As(err, &q):
		return &query.Error{Text: "patterns.query: " + q.Text}
	case errors.As(err, &l) && l.Reason == lokiapi.ReasonBadData: // it stands in the query as a person wrote it
		return &query.Error{Text: "patterns.query: Loki does not take it: " + l.Err.Error()}
	}
	return err
}

// ask says what is asked for.
func (r Request) ask(ctx context.Context) logquery.Request {
	w := logquery.Window{From: r.From, To: r.To}
	out := logquery.Request{
		Window: w, Patterns: r.Query.Limit, Pattern: r.Query.Pattern,
		Limits: logquery.Limits{Lines: r.Query.MaxLines, Bytes: maxLineBytes, Time: r.timeLimit(ctx)},
	}
	if r.MaxPoints > 0 {
		out.Buckets = int(min(r.MaxPoints, 120))
	}
	for _, s := range r.Query.Severity {
		out.Severities = append(out.Severities, logmine.ParseSeverity(s))
	}
	for _, c := range r.Query.Change {
		out.Changes = append(out.Changes, logquery.Change(c))
	}
	if d := r.Query.Earlier(w.Length()); d > 0 {
		out.Before = &logquery.Window{From: w.From.Add(-d), To: w.To.Add(-d)}
		out.Limits.Lines /= 2
		out.Limits.Bytes /= 2
		out.Limits.Time /= 2
	}
	return out
}

func (r Request) timeLimit(ctx context.Context) time.Duration {
	if at, ok := ctx.Deadline(); ok {
		return time.Duration(readShare * float64(time.Until(at)))
	}
	return readTime
}

// executed lists the queries that ran.
func executed(a *logquery.Answer) string {
	all := slices.Clone(a.Read.Queries)
	if a.Before != nil {
		for _, q := range a.Before.Queries {
			if !slices.Contains(all, q) {
				all = append(all, q)
			}
		}
	}
	return strings.Join(all, "\n")
}

// notices tell what the answer was made from where that is not everything.
func notices(a *logquery.Answer, v query.View) []data.Notice {
	var out []data.Notice
	add := func(s data.NoticeSeverity, format string, args ...any) {
		if len(out) < maxNotices {
			out = append(out, data.Notice{Severity: s, Text: fmt.Sprintf(format, args...)})
		}
	}
	if v == query.ViewCauses && a.Summary.Text != "" {
		add(data.NoticeSeverityInfo, "%s", a.Summary.Text)
	}
	for _, one := range []struct {
		read  *logquery.Read
		where string
	}{{&a.Read, ""}, {a.Before, " (window compared with)"}} {
		if one.read == nil {
			continue
		}
		if one.read.Sampled != "" {
			add(data.NoticeSeverityInfo, "Sampled%s: %s.", one.where, one.read.Sampled)
		}
		for _, p := range one.read.Partial {
			add(data.NoticeSeverityWarning, "Partial%s: %s.", one.where, p)
		}
	}
	switch {
	case a.Read.Lines == 0 && (a.Before == nil || a.Before.Lines == 0):
		add(data.NoticeSeverityInfo, "The query gives no lines in this time range.")
	case a.Hidden > 0 && v != query.ViewVolume && v != query.ViewCauses:
		add(data.NoticeSeverityInfo, "%d more patterns are not shown: raise the limit.", a.Hidden)
	case v == query.ViewCauses && len(a.Causes) == 0:
		add(data.NoticeSeverityInfo, "Nothing that speaks of trouble is new or grown.")
	}
	return out
}

// custom is what the first frame carries for the front end.
type custom struct {
	Read    logquery.Read  `json:"read"`
	Before  *logquery.Read `json:"before,omitempty"`
	Total   int64          `json:"total"`
	Other   int64          `json:"other"`
	Summary summary        `json:"summary"`
}

type summary struct {
	Text    string   `json:"text"`
	Clauses []clause `json:"clauses"`
}

type clause struct {
	Text    string `json:"text"`
	Pattern string `json:"pattern"`
	Example string `json:"example"`
	Query   string `json:"query"`
}

func customOf(a *logquery.Answer) custom {
	c := custom{Read: a.Read, Before: a.Before, Total: a.Total, Other: a.Other, Summary: summary{Text: a.Summary.Text, Clauses: []clause{}}}
	for _, cl := range a.Summary.Clauses {
		c.Summary.Clauses = append(c.Summary.Clauses, clause{cl.Text, cl.Pattern.ID, cl.Pattern.Example, cl.Pattern.Query.Text})
	}
	return c
}
