package elasticapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// View is one view of indices that stays as it is while pages are read (a point in
// time); the zero value searches what is there at each page.
type View struct {
	ID         string
	OpenSearch bool
}

// keepAlive is how long a view lives after each page: longer than reading one takes,
// short enough that one which is never closed costs little.
const keepAlive = "1m"

// index escapes the names of indices for a path: names, patterns and lists of both.
func index(names string) string {
	parts := strings.Split(names, ",")
	for i, p := range parts {
		parts[i] = url.PathEscape(p)
	}
	return strings.Join(parts, ",")
}

// OpenView opens a view, by the API of the server that is asked.
func (c *Client) OpenView(ctx context.Context, indices string, openSearch bool) (View, error) {
	const op = "open a point in time"
	var out struct {
		ID    string `json:"id"`     // Elasticsearch
		PITID string `json:"pit_id"` // OpenSearch
	}
	path, query := "/"+index(indices)+"/_pit", url.Values{"keep_alive": {keepAlive}, "ignore_unavailable": {"true"}}
	if openSearch {
		path, query = "/"+index(indices)+"/_search/point_in_time", url.Values{"keep_alive": {keepAlive}, "allow_partial_pit_creation": {"true"}}
	}
	if err := c.call(ctx, op, http.MethodPost, path, query, nil, &out); err != nil {
		return View{}, err
	}
	v := View{ID: out.ID, OpenSearch: openSearch}
	if openSearch {
		v.ID = out.PITID
	}
	if v.ID == "" {
		return View{}, c.fail(op, &Error{Reason: ReasonNotElastic, Status: http.StatusOK, Hint: hintNotElastic, Err: errors.New("the answer names none")})
	}
	return v, nil
}

// CloseView frees a view. The zero View needs no closing.
func (c *Client) CloseView(ctx context.Context, v View) error {
	if v.ID == "" {
		return nil
	}
	var out json.RawMessage
	if v.OpenSearch {
		return c.call(ctx, "close the point in time", http.MethodDelete, "/_search/point_in_time", nil, map[string]any{"pit_id": []string{v.ID}}, &out)
	}
	return c.call(ctx, "close the point in time", http.MethodDelete, "/_pit", nil, map[string]any{"id": v.ID}, &out)
}

// Search asks for documents in order of time.
type Search struct {
	Indices string // searched when View is zero
	View    View
	Query   Query
	// TimeField orders the documents, the oldest first unless Descending.
	TimeField  string
	Descending bool
	// After are the sort values of the document to go on behind; nil begins.
	After []json.Number
	Size  int
	// Ranges asks for the number of documents between neighbouring times, and for no
	// documents.
	Ranges []time.Time
}

// Query is a query of the query DSL. It is made by the functions of this package, so
// that no text of others becomes a part of its structure.
type Query map[string]any

// All matches all documents.
func All() Query { return Query{"match_all": map[string]any{}} }

// Between matches documents with from ≤ time < to.
func Between(field string, from, to time.Time) Query {
	return Query{"range": map[string]any{field: map[string]any{
		"gte": from.UTC().Format(time.RFC3339Nano), "lt": to.UTC().Format(time.RFC3339Nano), "format": "strict_date_optional_time_nanos",
	}}}
}

// Lucene matches what a person wrote in the syntax of Lucene, as Kibana takes it.
func Lucene(text string) Query {
	return Query{"query_string": map[string]any{"query": text, "analyze_wildcard": true}}
}

// Phrase matches documents whose field has the words one after the other.
func Phrase(field, words string) Query {
	return Query{"match_phrase": map[string]any{field: map[string]any{"query": words}}}
}

// Words matches documents whose field has at least one of the words.
func Words(field, words string) Query {
	return Query{"match": map[string]any{field: map[string]any{"query": words}}}
}

// And matches what all of the queries match and none of not.
func And(all []Query, not ...Query) Query {
	b := map[string]any{"filter": all}
	if len(not) > 0 {
		b["must_not"] = not
	}
	return Query{"bool": b}
}

// Hit is a document.
type Hit struct {
	Index  string          `json:"_index"`
	ID     string          `json:"_id"`
	Sort   []json.Number   `json:"sort"`
	Source json.RawMessage `json:"_source"`
}

// Page is an answer.
type Page struct {
	Hits   []Hit
	Counts []float64 // with Ranges
	View   View      // to go on with: its name may change from page to page
	// Missing says what the answer leaves out; empty when it is whole.
	Missing []string
}

// Search runs a search. Without a tie-breaker (Elasticsearch has one with a View, see
// TieBreaker) documents of one time may be torn apart by the end of a page.
func (c *Client) Search(ctx context.Context, s Search) (Page, error) {
	body := map[string]any{"size": s.Size, "query": s.Query, "track_total_hits": false, "timeout": timeoutText(c.timeout)}
	order := "asc"
	if s.Descending {
		order = "desc"
	}
	if len(s.Ranges) > 0 {
		body["size"] = 0
		body["aggs"] = map[string]any{aggregation: rangesOf(s.TimeField, s.Ranges)}
	} else {
		sort := []any{map[string]any{s.TimeField: map[string]any{"order": order}}}
		if s.View.TieBreaker() {
			sort = append(sort, map[string]any{"_shard_doc": map[string]any{"order": order}})
		}
		body["sort"] = sort
	}
	if s.After != nil {
		body["search_after"] = s.After
	}
	path, query := "/_search", url.Values{}
	if s.View.ID != "" {
		body["pit"] = map[string]any{"id": s.View.ID, "keep_alive": keepAlive}
	} else {
		path = "/" + index(s.Indices) + "/_search"
		query.Set("ignore_unavailable", "true")
	}
	var out answer
	if err := c.call(ctx, "search", http.MethodPost, path, query, body, &out); err != nil {
		return Page{}, err
	}
	if out.Shards == nil {
		return Page{}, c.fail("search", &Error{Reason: ReasonNotElastic, Status: http.StatusOK, Hint: hintNotElastic, Err: errors.New("the answer names no shards")})
	}
	p := Page{Hits: out.Hits.Hits, View: s.View, Missing: out.missing()}
	if id := out.PIT; id != "" && s.View.ID != "" {
		p.View.ID = id
	}
	if len(s.Ranges) > 0 {
		p.Counts = out.counts(len(s.Ranges) - 1)
	}
	return p, nil
}

// TieBreaker reports whether documents of one time have a fixed order in the view.
// Elasticsearch has _shard_doc for that; OpenSearch only since 3.3, so it is not relied on.
func (v View) TieBreaker() bool { return v.ID != "" && !v.OpenSearch }

// timeoutText is how long the server may take by itself: a little less than the call,
// so that it answers with what it has.
func timeoutText(d time.Duration) string {
	return fmt.Sprintf("%dms", max(100, (d*9/10).Milliseconds()))
}

const aggregation = "by_time"

func rangesOf(field string, edges []time.Time) map[string]any {
	ranges := make([]any, 0, len(edges))
	for i := 1; i < len(edges); i++ {
		ranges = append(ranges, map[string]any{
			"key": fmt.Sprintf("%05d", i-1), "from": edges[i-1].UTC().Format(time.RFC3339Nano), "to": edges[i].UTC().Format(time.RFC3339Nano),
		})
	}
	return map[string]any{"date_range": map[string]any{"field": field, "format": "strict_date_optional_time_nanos", "ranges": ranges}}
}

type answer struct {
	TimedOut bool   `json:"timed_out"`
	PIT      string `json:"pit_id"`
	Shards   *struct {
		Total    int `json:"total"`
		Failed   int `json:"failed"`
		Failures []struct {
			Reason problemCause `json:"reason"`
		} `json:"failures"`
	} `json:"_shards"`
	Clusters *struct {
		Skipped int `json:"skipped"`
		Failed  int `json:"failed"`
		Partial int `json:"partial"`
	} `json:"_clusters"`
	TerminatedEarly bool `json:"terminated_early"`
	Hits            struct {
		Hits []Hit `json:"hits"`
	} `json:"hits"`
	Aggregations map[string]struct {
		Buckets []struct {
			Key   string  `json:"key"`
			Count float64 `json:"doc_count"`
		} `json:"buckets"`
	} `json:"aggregations"`
}

// missing says what an answer leaves out.
func (a *answer) missing() []string {
	var out []string
	if a.TimedOut {
		out = append(out, "the search ran out of time: some documents were not looked at")
	}
	if a.TerminatedEarly {
		out = append(out, "the search was ended early: some documents were not looked at")
	}
	if n := a.Shards.Failed; n > 0 {
		text := fmt.Sprintf("%d of %d shards failed", n, a.Shards.Total)
		if len(a.Shards.Failures) > 0 {
			if f := a.Shards.Failures[0].Reason; f.Reason != "" {
				text += ": " + quote(f.Type+": "+f.Reason)
			}
		}
		out = append(out, text)
	}
	if c := a.Clusters; c != nil && c.Skipped+c.Failed+c.Partial > 0 {
		out = append(out, fmt.Sprintf("%d remote clusters did not answer whole", c.Skipped+c.Failed+c.Partial))
	}
	return out
}

// counts returns the buckets by their keys: servers sort them by their start.
func (a *answer) counts(n int) []float64 {
	out := make([]float64, n)
	for _, b := range a.Aggregations[aggregation].Buckets {
		if i, ok := bucketIndex(b.Key); ok && i < n {
			out[i] = b.Count
		}
	}
	return out
}

func bucketIndex(key string) (int, bool) {
	i := 0
	for _, d := range []byte(key) {
		if d < '0' || d > '9' || i > 1e6 {
			return 0, false
		}
		i = i*10 + int(d-'0')
	}
	return i, key != ""
}

// CheckIndices refuses a list of index names or patterns that can be none.
func CheckIndices(list string) error {
	for name := range strings.SplitSeq(list, ",") {
		name = strings.TrimPrefix(name, "-")
		if name == "" || strings.ContainsAny(name, `\/?"<>| #`) || slices.Contains([]string{".", ".."}, name) || name[0] == '_' && name != "_all" {
			return fmt.Errorf("index %q: want names or patterns such as logs-*, separated by commas", list)
		}
	}
	return nil
}
