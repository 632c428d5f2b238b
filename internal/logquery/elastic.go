package logquery

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/portent-dev/portent/internal/elasticapi"
	"github.com/portent-dev/portent/internal/logmine"
)

// ElasticClient is what is needed of an Elasticsearch or OpenSearch. Its errors are
// *elasticapi.Error.
type ElasticClient interface {
	Info(ctx context.Context) (elasticapi.Info, error)
	OpenView(ctx context.Context, indices string, openSearch bool) (elasticapi.View, error)
	CloseView(ctx context.Context, v elasticapi.View) error
	Search(ctx context.Context, s elasticapi.Search) (elasticapi.Page, error)
}

var _ ElasticClient = (*elasticapi.Client)(nil)

// ElasticOptions say which documents are read. Client and Indices are required.
type ElasticOptions struct {
	Client  ElasticClient
	Indices string // names or patterns, separated by commas
	// Query is what a person would type into Kibana: Lucene's syntax; "" is all.
	Query string
	// TimeField and MessageField hold time and text of a document; "" are @timestamp and
	// message. A document without the text is read as the JSON that it is.
	TimeField, MessageField string
}

// Elastic is a Store: the documents of an Elasticsearch or OpenSearch.
type Elastic struct {
	o     ElasticOptions
	query elasticapi.Query

	mu      sync.Mutex // guards what follows
	streams map[string]*Stream
	ran     []string
	info    *elasticapi.Info
	noView  bool // the server has no points in time, or they are not allowed
	size    int  // documents of a page
}

var _ Store = (*Elastic)(nil)

const (
	// elasticPage is how many documents one page has: of 2 KiB each 2 MiB, a tenth of a
	// second. The servers' own limit is 10,000.
	elasticPage = 1000
	leastPage   = 10
)

// NewElastic checks the options. It does not call the server; an error is a *QueryError.
func NewElastic(o ElasticOptions) (*Elastic, error) {
	if err := elasticapi.CheckIndices(o.Indices); err != nil {
		return nil, &QueryError{Text: err.Error()}
	}
	if len(o.Query) > maxLogQL {
		return nil, &QueryError{Text: fmt.Sprintf("the query has %d bytes, at most %d are read", len(o.Query), maxLogQL)}
	}
	o.TimeField, o.MessageField = cmp.Or(o.TimeField, "@timestamp"), cmp.Or(o.MessageField, "message")
	e := &Elastic{o: o, query: elasticapi.All(), streams: map[string]*Stream{}, size: elasticPage}
	if strings.TrimSpace(o.Query) != "" {
		e.query = elasticapi.Lucene(o.Query)
	}
	return e, nil
}

// Executed returns the queries that ran since it was last called.
func (e *Elastic) Executed() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	out := e.ran
	e.ran = nil
	return out
}

func (e *Elastic) note(q elasticapi.Query) {
	raw, err := json.Marshal(map[string]any{"index": e.o.Indices, "query": q})
	if err != nil {
		return // BUG: it was sent as JSON
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if s := string(raw); !slices.Contains(e.ran, s) && len(e.ran) < 20 {
		e.ran = append(e.ran, s)
	}
}

// elasticErrorWords find documents that speak of an error. An analyser cuts them into
// words, so that, unlike in Loki, a part of a word does not count.
const elasticErrorWords = "error errors exception fatal panic critical traceback failed failure refused denied timeout"

func (e *Elastic) build(w Window, p Part) elasticapi.Query {
	all := []elasticapi.Query{elasticapi.Between(e.o.TimeField, w.From, w.To), e.query}
	words := elasticapi.Words(e.o.MessageField, elasticErrorWords)
	switch p {
	case Errors:
		return elasticapi.And(append(all, words))
	case Others:
		return elasticapi.And(all, words)
	case All, numParts:
	}
	return elasticapi.And(all)
}

// Count counts the documents between edges.
func (e *Elastic) Count(ctx context.Context, edges []time.Time, p Part) ([]float64, error) {
	q := e.build(Window{edges[0], edges[len(edges)-1]}, p)
	e.note(q)
	page, err := e.search(ctx, elasticapi.Search{Indices: e.o.Indices, Query: q, TimeField: e.o.TimeField, Ranges: edges})
	if err != nil {
		return nil, err
	}
	if len(page.Missing) > 0 { // a count that leaves out shards is none
		return nil, errors.New(strings.Join(page.Missing, ", "))
	}
	return page.Counts, nil
}

// Scan reads documents page by page, in one view of the data where the server has it.
func (e *Elastic) Scan(ctx context.Context, w Window, limit int, maxBytes int64, p Part, newest bool) (Scanned, error) {
	q := e.build(w, p)
	e.note(q)
	s := elasticScan{Elastic: e, part: p, limit: limit, maxBytes: maxBytes, search: elasticapi.Search{
		Indices: e.o.Indices, Query: q, TimeField: e.o.TimeField, Descending: newest,
	}}
	var err error
	if s.search.View, err = e.view(ctx); err != nil {
		return Scanned{}, err
	}
	err = s.run(ctx)
	e.close(s.search.View)
	slices.SortStableFunc(s.out.Lines, func(a, b Line) int { return a.Time.Compare(b.Time) })
	if err != nil && len(s.out.Lines) > 0 && !hopeless(err) {
		s.out.Cut = true
		s.out.Notes = append(s.out.Notes, "reading stopped: "+causeOf(ctx, err).Error())
		err = nil
	}
	return s.out, err
}

// view opens a point in time, by the API of the kind of server that answers. Where
// there is none, pages are read without.
func (e *Elastic) view(ctx context.Context) (elasticapi.View, error) {
	e.mu.Lock()
	info, without := e.info, e.noView
	e.mu.Unlock()
	if without {
		return elasticapi.View{}, nil
	}
	if info == nil {
		i, err := e.o.Client.Info(ctx)
		if err != nil && elasticapi.ReasonOf(err) != elasticapi.ReasonForbidden {
			return elasticapi.View{}, err
		}
		info = &i
		e.mu.Lock()
		e.info = info
		e.mu.Unlock()
	}
	v, err := e.o.Client.OpenView(ctx, e.o.Indices, info.OpenSearch)
	var ae *elasticapi.Error
	if errors.As(err, &ae) && info.Version == "" && (ae.Status == 400 || ae.Status == 405) { // a server that may not be asked what it is
		v, err = e.o.Client.OpenView(ctx, e.o.Indices, true)
	}
	switch elasticapi.ReasonOf(err) { //nolint:exhaustive // the others are errors
	case "":
		return v, nil
	case elasticapi.ReasonForbidden, elasticapi.ReasonBadData, elasticapi.ReasonNotFound, elasticapi.ReasonTooMany:
		// An old version, a role without the right, or too many of them: search_after on the
		// index itself, which may see documents that come in meanwhile. An index that does
		// not exist says so there.
		e.mu.Lock()
		e.noView = true
		e.mu.Unlock()
		return elasticapi.View{}, nil
	}
	return elasticapi.View{}, err
}

// closeWithin is how long freeing a point in time may take; it ends by itself too.
const closeWithin = 2 * time.Second

func (e *Elastic) close(v elasticapi.View) {
	ctx, cancel := context.WithTimeout(context.Background(), closeWithin)
	defer cancel()
	_ = e.o.Client.CloseView(ctx, v) // it ends a minute after its last page
}

// search asks again when the server is busy.
func (e *Elastic) search(ctx context.Context, s elasticapi.Search) (page elasticapi.Page, err error) {
	wait := firstBackoff
	for i := 1; ; i++ {
		page, err = e.o.Client.Search(ctx, s)
		var ae *elasticapi.Error
		if err == nil || i == attempts || !errors.As(err, &ae) || ae.Reason != elasticapi.ReasonTooMany || ae.RetryAfter > maxBackoff {
			return page, err
		}
		select {
		case <-time.After(max(wait, ae.RetryAfter)):
		case <-ctx.Done():
			return page, err
		}
		wait = min(2*wait, maxBackoff)
	}
}

// elasticScan is one Scan under way.
type elasticScan struct {
	*Elastic
	search   elasticapi.Search
	part     Part
	limit    int
	maxBytes int64
	out      Scanned
	edge     map[string]bool // documents at the time where the page begins that were taken already
}

func (s *elasticScan) run(ctx context.Context) error {
	for {
		if len(s.out.Lines) >= s.limit {
			s.out.More = true
			return nil
		}
		if s.out.Bytes >= s.maxBytes {
			s.out.Cut, s.out.Notes = true, append(s.out.Notes, fmt.Sprintf("reading stopped at %d bytes of text", s.maxBytes))
			return nil
		}
		s.search.Size = min(s.pageSize(), s.limit-len(s.out.Lines)+len(s.edge))
		page, err := s.Elastic.search(ctx, s.search)
		if elasticapi.ReasonOf(err) == elasticapi.ReasonTooLarge && s.shrink() {
			continue
		}
		if err != nil {
			return err
		}
		for _, m := range page.Missing {
			if !slices.Contains(s.out.Notes, m) {
				s.out.Notes = append(s.out.Notes, m)
			}
		}
		s.search.View = page.View
		done, err := s.take(page)
		if done || err != nil {
			return err
		}
	}
}

func (e *Elastic) pageSize() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.size
}

// shrink halves the pages of a server whose answers are too large.
func (e *Elastic) shrink() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.size/2 < leastPage {
		return false
	}
	e.size /= 2
	return true
}

// take takes a page and sets where the next begins. Without a tie-breaker that is the
// time of its last document once more, less those that were taken.
func (s *elasticScan) take(page elasticapi.Page) (done bool, err error) {
	hits := page.Hits
	taken := 0
	for i := range hits {
		h := &hits[i]
		if s.edge[h.Index+"\x00"+h.ID] {
			continue
		}
		taken++
		if err := s.line(h); err != nil {
			return true, err
		}
	}
	if len(hits) < s.search.Size {
		return true, nil
	}
	last := hits[len(hits)-1].Sort
	if len(last) == 0 {
		return true, errors.New("a document without sort values")
	}
	if s.search.View.TieBreaker() {
		s.search.After = last
		return false, nil
	}
	at, err := strconv.ParseInt(last[0].String(), 10, 64)
	if err != nil {
		return true, fmt.Errorf("sort value %q: want a whole number", last[0])
	}
	step := int64(1)
	if s.search.Descending {
		step = -1
	}
	if taken == 0 { // all of one time
		s.out.Cut = true
		s.out.Notes = append(s.out.Notes, fmt.Sprintf("more than %d documents have one time; the server gives no more than that of one time", s.search.Size))
		s.edge, s.search.After = nil, []json.Number{last[0]}
		return false, nil
	}
	edge := map[string]bool{}
	for i := len(hits) - 1; i >= 0 && len(hits[i].Sort) > 0 && hits[i].Sort[0] == last[0]; i-- {
		edge[hits[i].Index+"\x00"+hits[i].ID] = true
	}
	s.edge, s.search.After = edge, []json.Number{json.Number(strconv.FormatInt(at-step, 10))}
	return false, nil
}

// Fields that name where a document comes from and what it says. They are read only.
var (
	elasticStreamFields = []string{
		"service.name", "kubernetes.namespace", "kubernetes.namespace_name", "kubernetes.pod.name", "kubernetes.pod_name", "kubernetes.container.name",
		"kubernetes.container_name", "kubernetes.node.name", "container.name", "host.name", "hostname", "cluster", "namespace", "pod", "app", "log.file.path",
	}
	elasticMessageFields = []string{"log", "msg", "body", "event.original"}
	// shortNames are the labels by which the rest of the package knows these fields.
	shortNames = map[string]string{
		"service.name": "service", "kubernetes.namespace": "namespace", "kubernetes.namespace_name": "namespace", "kubernetes.pod.name": "pod",
		"kubernetes.pod_name": "pod", "kubernetes.container.name": "container", "kubernetes.container_name": "container",
		"kubernetes.node.name": "node", "container.name": "container", "host.name": "host",
	}
)

// line makes a Line of a document.
func (s *elasticScan) line(h *elasticapi.Hit) error {
	var doc map[string]any
	if err := json.Unmarshal(h.Source, &doc); err != nil {
		return fmt.Errorf("document %s of %s: its source is no object: %w", h.ID, h.Index, err)
	}
	l := Line{Weight: 1, Part: s.part, Text: string(h.Source)}
	for _, f := range append([]string{s.o.MessageField}, elasticMessageFields...) {
		if t := fieldOf(doc, f); t != "" {
			l.Text = t
			break
		}
	}
	l.Time = timeOf(fieldOf(doc, s.o.TimeField), h.Sort)
	for _, f := range severityFields {
		if v := logmine.ParseSeverity(fieldOf(doc, f)); v != logmine.Unknown {
			l.Severity = v
			break
		}
	}
	for _, f := range traceFields {
		if l.TraceID = fieldOf(doc, f); l.TraceID != "" {
			break
		}
	}
	labels := map[string]string{}
	for _, f := range elasticStreamFields {
		if v := fieldOf(doc, f); v != "" {
			labels[cmp.Or(shortNames[f], f)] = v
		}
	}
	l.Stream = s.stream(labels)
	s.out.Bytes += int64(len(l.Text))
	s.out.Lines = append(s.out.Lines, l)
	return nil
}

// timeOf reads the time of a document: as it is written, else the value that it was
// sorted by, which is in ms or, of a field with nanoseconds, in ns.
func timeOf(text string, sort []json.Number) time.Time {
	if t, err := time.Parse(time.RFC3339Nano, text); err == nil {
		return t.UTC()
	}
	if len(sort) > 0 {
		if n, err := strconv.ParseInt(sort[0].String(), 10, 64); err == nil {
			if n > 1e17 {
				return time.Unix(0, n).UTC()
			}
			return time.UnixMilli(n).UTC()
		}
	}
	return time.Time{}
}

// fieldOf returns the text of a field, be its name written in one or as a path.
func fieldOf(doc map[string]any, name string) string {
	if v, ok := doc[name]; ok {
		return textOf(v)
	}
	for i, c := range name {
		if c != '.' {
			continue
		}
		if inner, ok := doc[name[:i]].(map[string]any); ok {
			if t := fieldOf(inner, name[i+1:]); t != "" {
				return t
			}
		}
	}
	return ""
}

func textOf(v any) string {
	switch x := v.(type) {
	case string:
		return x
	case float64:
		return strconv.FormatFloat(x, 'f', -1, 64)
	case []any:
		if len(x) == 1 {
			return textOf(x[0])
		}
	}
	return ""
}

func (e *Elastic) stream(labels map[string]string) *Stream {
	key := labelsKey(labels)
	e.mu.Lock()
	defer e.mu.Unlock()
	if s := e.streams[key]; s != nil {
		return s
	}
	s := &Stream{Labels: maps.Clone(labels), key: key}
	if len(e.streams) < maxKnownStreams {
		e.streams[key] = s
	}
	return s
}

// maxPhrases of one query: more say little and cost much.
const maxPhrases = 12

// Language is Lucene's.
func (e *Elastic) Language() string { return "lucene" }

// Narrow writes the filter as phrases, in the syntax of Lucene and as query DSL. An
// index knows words, not lines: it finds documents with all of the phrases.
func (e *Elastic) Narrow(f *Filter) Query {
	if f == nil {
		return Query{}
	}
	phrases := phrasesOf(f.Literals)
	if len(phrases) == 0 {
		return Query{}
	}
	field := luceneField(e.o.MessageField)
	parts := make([]string, 0, len(phrases)+1)
	all := []elasticapi.Query{e.query}
	if own := strings.TrimSpace(e.o.Query); own != "" {
		if !balanced(own) {
			return Query{}
		}
		parts = append(parts, "("+own+")")
	}
	for _, p := range phrases {
		parts = append(parts, field+`:"`+luceneEscape(p)+`"`)
		all = append(all, elasticapi.Phrase(e.o.MessageField, p))
	}
	dsl, err := json.Marshal(map[string]any{"query": elasticapi.And(all)})
	if err != nil {
		return Query{} // BUG: made of strings
	}
	return Query{
		Language: e.Language(), Text: strings.Join(parts, " AND "), DSL: dsl,
		Note: "it finds documents with all of these phrases, as the analyser of the index cuts words",
	}
}

// phrasesOf returns the texts of a template that hold words.
func phrasesOf(literals []string) []string {
	var out []string
	for _, lit := range literals {
		lit = strings.Join(strings.Fields(strings.ReplaceAll(lit, "\uFFFD", " ")), " ")
		hasWord := strings.ContainsFunc(lit, func(r rune) bool {
			return r >= '0' && r <= '9' || r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z' || r > 0x7f
		})
		if hasWord && !slices.Contains(out, lit) && len(out) < maxPhrases {
			out = append(out, lit)
		}
	}
	return out
}

func luceneEscape(s string) string { return strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) }

// luceneField escapes the name of a field.
func luceneField(name string) string {
	var b strings.Builder
	for _, r := range name {
		if strings.ContainsRune(`+-=&|><!(){}[]^"~*?:\/ `, r) {
			b.WriteByte('\\')
		}
		b.WriteRune(r)
	}
	return b.String()
}

// balanced reports whether a query can stand in brackets as it is.
func balanced(q string) bool {
	depth, quoted := 0, false
	for i := 0; i < len(q); i++ {
		switch q[i] {
		case '\\':
			i++
			if i == len(q) {
				return false
			}
		case '"':
			quoted = !quoted
		case '(':
			if !quoted {
				depth++
			}
		case ')':
			if !quoted {
				if depth--; depth < 0 {
					return false
				}
			}
		}
	}
	return depth == 0 && !quoted
}
