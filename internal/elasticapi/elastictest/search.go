package elastictest

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

type request struct {
	Size        int              `json:"size"`
	Query       map[string]any   `json:"query"`
	Sort        []map[string]any `json:"sort"`
	SearchAfter []json.Number    `json:"search_after"`
	PIT         *struct {
		ID string `json:"id"`
	} `json:"pit"`
	Aggs map[string]struct {
		DateRange struct {
			Ranges []struct {
				Key  string    `json:"key"`
				From time.Time `json:"from"`
				To   time.Time `json:"to"`
			} `json:"ranges"`
		} `json:"date_range"`
	} `json:"aggs"`
}

// found is a document with the place that it has within one view.
type found struct {
	*Doc
	shardDoc int64
}

func (s *Server) search(path string, body []byte) (op string, status int, answer map[string]any) {
	var in request
	if err := json.Unmarshal(body, &in); err != nil {
		return "search", 400, problem("parsing_exception", err.Error(), 400)
	}
	if name := strings.TrimSuffix(strings.TrimSuffix(path, "_search"), "/"); in.PIT == nil && name != "logs-*" && name != index {
		return "search", 404, problem("index_not_found_exception", "no such index ["+name+"]", 404)
	}
	if in.Size > s.MaxPage {
		return "search", 400, problem("illegal_argument_exception", fmt.Sprintf("Result window is too large, from + size must be less than or equal to: [%d], see max_result_window", s.MaxPage), 400)
	}
	out := map[string]any{"took": 1, "timed_out": false, "_shards": shards, "hits": map[string]any{"hits": []any{}, "max_score": nil}}
	if in.PIT != nil {
		pages, ok := s.views[in.PIT.ID]
		if !ok {
			return "search", 404, problem("search_context_missing_exception", "No search context found for id", 404)
		}
		// The name changes from page to page, and the old one is dead.
		id := fmt.Sprintf("%s-%d", in.PIT.ID[:strings.LastIndexByte(in.PIT.ID, '-')], pages+1)
		delete(s.views, in.PIT.ID)
		s.views[id] = pages + 1
		out["pit_id"] = id
	}
	var all []found
	for i := range s.docs {
		if matches(in.Query, &s.docs[i]) {
			all = append(all, found{&s.docs[i], int64(len(s.docs) - i)}) // not the order of arrival
		}
	}
	if len(in.Aggs) > 0 {
		out["aggregations"] = aggregations(in, all)
		return "search", 200, out
	}
	hits, err := page(in, all)
	if err != nil {
		return "search", 400, problem("illegal_argument_exception", err.Error(), 400)
	}
	out["hits"] = map[string]any{"hits": hits, "max_score": nil}
	return "search", 200, out
}

func aggregations(in request, all []found) map[string]any {
	out := map[string]any{}
	for name, a := range in.Aggs {
		var buckets []any
		for _, r := range a.DateRange.Ranges {
			n := 0
			for _, d := range all {
				if !d.Time.Before(r.From) && d.Time.Before(r.To) {
					n++
				}
			}
			buckets = append(buckets, map[string]any{"key": r.Key, "doc_count": n, "from": r.From.UnixMilli(), "to": r.To.UnixMilli()})
		}
		out[name] = map[string]any{"buckets": buckets}
	}
	return out
}

// page sorts, goes on behind search_after, and cuts.
func page(in request, all []found) ([]any, error) {
	desc, tie := false, false
	for _, s := range in.Sort {
		for f, o := range s {
			desc = desc || o.(map[string]any)["order"] == "desc"
			tie = tie || f == "_shard_doc"
		}
	}
	if tie && in.PIT == nil {
		return nil, errors.New("no mapping found for [_shard_doc] in order to sort on")
	}
	slices.SortFunc(all, func(a, b found) int {
		c := a.Time.Truncate(time.Millisecond).Compare(b.Time.Truncate(time.Millisecond))
		c = cmp.Or(c, cmp.Compare(a.shardDoc, b.shardDoc))
		if desc {
			return -c
		}
		return c
	})
	var after []int64
	for _, n := range in.SearchAfter {
		v, err := n.Int64()
		if err != nil {
			return nil, err
		}
		after = append(after, v)
	}
	hits := []any{}
	for _, d := range all {
		values := []int64{d.Time.UnixMilli()}
		if tie {
			values = append(values, d.shardDoc)
		}
		if after != nil {
			c := slices.Compare(values, after)
			if desc {
				c = -c
			}
			if c <= 0 {
				continue
			}
		}
		if len(hits) == in.Size {
			break
		}
		hits = append(hits, map[string]any{"_index": index, "_id": d.ID, "_score": nil, "_source": d.Source, "sort": values})
	}
	return hits, nil
}

// matches evaluates the part of query DSL that is sent.
func matches(q map[string]any, d *Doc) bool {
	for kind, arg := range q {
		a, _ := arg.(map[string]any)
		switch kind {
		case "match_all":
		case "bool":
			for _, f := range list(a["filter"]) {
				if !matches(f, d) {
					return false
				}
			}
			for _, f := range list(a["must_not"]) {
				if matches(f, d) {
					return false
				}
			}
		case "range":
			r := a["@timestamp"].(map[string]any)
			from, _ := time.Parse(time.RFC3339Nano, r["gte"].(string))
			to, _ := time.Parse(time.RFC3339Nano, r["lt"].(string))
			if d.Time.Before(from) || !d.Time.Before(to) {
				return false
			}
		case "match_phrase":
			for field, v := range a {
				if !phrase(d, field, v.(map[string]any)["query"].(string)) {
					return false
				}
			}
		case "match":
			for field, v := range a {
				if !slices.ContainsFunc(words(v.(map[string]any)["query"].(string)), func(w string) bool { return phrase(d, field, w) }) {
					return false
				}
			}
		case "query_string":
			if !lucene(a["query"].(string), d) {
				return false
			}
		default:
			return false
		}
	}
	return true
}

func list(v any) (out []map[string]any) {
	all, _ := v.([]any)
	for _, x := range all {
		out = append(out, x.(map[string]any))
	}
	return out
}

// words cuts text as the standard analyser does, more or less.
func words(s string) []string {
	return strings.FieldsFunc(strings.ToLower(s), func(r rune) bool {
		return (r < '0' || r > '9') && (r < 'a' || r > 'z') && r != '_' && r <= 0x7f
	})
}

func phrase(d *Doc, field, text string) bool {
	have, _ := d.Source[field].(string)
	return strings.Contains(" "+strings.Join(words(have), " ")+" ", " "+strings.Join(words(text), " ")+" ")
}

// lucene evaluates phrases and words joined by AND, in brackets or not.
func lucene(q string, d *Doc) bool {
	for part := range strings.SplitSeq(q, " AND ") {
		part = strings.Trim(part, "() ")
		field, text, ok := strings.Cut(part, ":")
		if !ok {
			field, text = "message", part
		}
		text = strings.NewReplacer(`\"`, `"`, `\\`, `\`).Replace(strings.Trim(text, `"`))
		if text != "*" && !phrase(d, field, text) {
			return false
		}
	}
	return true
}
