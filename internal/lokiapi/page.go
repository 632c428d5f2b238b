package lokiapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// PageRequest asks for lines of a log query with Start ≤ time < End: of more than
// Limit the oldest if Forward, else the newest.
type PageRequest struct {
	Query      string
	Start, End time.Time
	Limit      int // at most MaxLines, more is cut to it
	Forward    bool
}

// Entry is a line of a Page. Entries of one stream share the map of its labels.
type Entry struct {
	Time time.Time
	// Stream are the labels that the line is stored under.
	Stream map[string]string
	// Extra is the structured metadata and what the query's parsers took out of the
	// line; nil for none. A Loki before 2.9.3, which cannot tell them apart, has all of
	// it in Stream.
	Extra map[string]string
	Text  string
}

// Page is one answer of Lines.
type Page struct {
	// Entries stand stream by stream, in order of time within each.
	Entries  []Entry
	Warnings []string // of the server: the answer may be partial
}

// Lines reads one page of a log query. That the stream's own labels come apart from
// the rest keeps the lines of a stream together: Loki writes the level that it found
// in each line among the labels otherwise. A query that gives numbers is refused with
// ReasonBadData.
func (c *Client) Lines(ctx context.Context, r PageRequest) (Page, error) {
	const op = "read lines"
	v := span(r.Start, r.End)
	v.Set("query", r.Query)
	v.Set("limit", strconv.Itoa(max(1, min(r.Limit, MaxLines))))
	v.Set("direction", "backward")
	if r.Forward {
		v.Set("direction", "forward")
	}
	var out struct {
		Warnings []string `json:"warnings"`
		Data     struct {
			ResultType string          `json:"resultType"`
			Result     json.RawMessage `json:"result"`
		} `json:"data"`
	}
	if err := c.getWith(ctx, op, "/query_range", v, http.Header{"X-Loki-Response-Encoding-Flags": {"categorize-labels"}}, &out); err != nil {
		return Page{}, err
	}
	switch out.Data.ResultType {
	case "streams":
	case "matrix", "vector", "scalar":
		return Page{}, c.fail(op, &Error{
			Reason: ReasonBadData, Status: http.StatusOK, Hint: "leave out count_over_time, rate and their like",
			Err: errors.New("the query gives numbers, want log lines"),
		})
	default:
		return Page{}, c.fail(op, &Error{
			Reason: ReasonNotLoki, Status: http.StatusOK, Hint: hintNotLoki, Err: fmt.Errorf("result type %q", quote(out.Data.ResultType)),
		})
	}
	entries, err := readEntries(out.Data.Result)
	if err != nil {
		return Page{}, c.fail(op, &Error{Reason: ReasonNotLoki, Status: http.StatusOK, Hint: hintNotLoki, Err: fmt.Errorf("read the result: %w", err)})
	}
	for i, w := range out.Warnings {
		out.Warnings[i] = quote(w)
	}
	return Page{Entries: entries, Warnings: out.Warnings}, nil
}

func readEntries(raw json.RawMessage) ([]Entry, error) {
	var streams []struct {
		Stream map[string]string   `json:"stream"`
		Values [][]json.RawMessage `json:"values"`
	}
	if err := json.Unmarshal(raw, &streams); err != nil {
		return nil, err
	}
	var out []Entry
	for _, s := range streams {
		for _, v := range s.Values {
			if len(v) < 2 {
				return nil, errors.New("an entry without a line")
			}
			var ts string
			e := Entry{Stream: s.Stream}
			if err := errors.Join(json.Unmarshal(v[0], &ts), json.Unmarshal(v[1], &e.Text)); err != nil {
				return nil, err
			}
			n, err := strconv.ParseInt(ts, 10, 64)
			if err != nil {
				return nil, err
			}
			e.Time = time.Unix(0, n).UTC()
			if len(v) > 2 {
				if e.Extra, err = readExtra(v[2]); err != nil {
					return nil, err
				}
			}
			out = append(out, e)
		}
	}
	return out, nil
}

// readExtra joins what a query's parsers found with the structured metadata, which
// wins.
func readExtra(raw json.RawMessage) (map[string]string, error) {
	var x struct {
		Metadata map[string]string `json:"structuredMetadata"`
		Parsed   map[string]string `json:"parsed"`
	}
	if err := json.Unmarshal(raw, &x); err != nil {
		return nil, err
	}
	if x.Parsed == nil {
		return x.Metadata, nil
	}
	for k, v := range x.Metadata {
		x.Parsed[k] = v
	}
	return x.Parsed, nil
}

// Count evaluates a metric query along a range and returns the sums of what its
// series have at each step. It is for sum(count_over_time(…)).
func (c *Client) Count(ctx context.Context, expr string, start, end time.Time, step time.Duration) (map[time.Time]float64, error) {
	v := span(start, end)
	v.Set("query", expr)
	v.Set("step", strconv.FormatFloat(step.Seconds(), 'f', -1, 64))
	a, err := c.query(ctx, "count lines", "/query_range", v)
	if err != nil {
		return nil, err
	}
	out := map[time.Time]float64{}
	for _, s := range a.Matrix {
		for _, p := range s.Values {
			out[p.Timestamp.Time().UTC()] += float64(p.Value)
		}
	}
	return out, nil
}
