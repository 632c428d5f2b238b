package ask

import (
	"context"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"

	"github.com/prometheus/prometheus/promql/parser"
)

// Bundle answers "what is wrong with X": a query for each thing that is commonly wrong,
// as far as the servers measure it of X.
type Bundle struct {
	Subject string // as asked: "checkout in prod"
	Parts   []Part // at least one
}

// Part is one query of a Bundle. The Gate must let it pass, as every query, before
// it runs.
type Part struct {
	Title string
	// Above is the value that is a finding; what is a list of things in a state is one
	// when it is not empty.
	Above float64
	Translation
}

// symptoms are what a Bundle looks at, the most telling first: each is a question of its
// own. %s is the subject. Values are findings above the bound, conditions wherever
// something meets them; a second is a long time for the slowest of a hundred requests, a percent
// of errors and a quarter of periods throttled are what alerts commonly begin at.
var symptoms = []struct {
	title, ask string
	above      float64
	unit       string // that the answer must be in, for the bound to say anything; "" is any
}{
	{"alerts", "alerts firing for %s", 0, ""},
	{"crash loops", "crash-looping pods of %s", 0, ""},
	{"images that cannot be pulled", "pods of %s that cannot pull their image", 0, ""},
	{"pending pods", "pending pods of %s", 0, ""},
	{"missing replicas", "unavailable replicas of deployment %s", 0, ""},
	{"kills for want of memory", "oom killed containers of %s", 0, ""},
	{"restarts", "restarts of %s by pod in the last hour", 0, ""},
	{"errors", "error rate of %s", 0.01, "ratio"},
	{"slow requests", "p99 latency of %s", 1, "seconds"},
	{"memory close to its limit", "memory limit usage of %s by pod", 0.9, "ratio"},
	{"throttled cpu", "cpu throttling of %s by pod", 0.25, "ratio"},
	{"changes", "deployments of %s changed in the last hour", 0, ""},
	{"error logs", "error logs of %s in the last 30 minutes", 0, ""},
}

var (
	reWrong = regexp.MustCompile(`^(?:so |and |please |hey |tell me |can you tell me )*(?:` +
		`what (?:is|was|seems|could be|might be)? ?(?:to be )?(?:wrong|up|going on|happening|the (?:matter|problem|issue|trouble)|broken|failing) (?:with|in|on|at|for) (.+)` +
		`|(?:what are the|any|are there any|what) (?:problems?|issues?|trouble) (?:are there )?(?:with|in|on|at|for) (.+)` +
		`|(?:diagnose|troubleshoot|debug|triage|investigate|check the health of|health of|check on) (.+)` +
		`|how is (.+?) doing` +
		`|why (?:is|does|are) (.+?) (?:broken|down|unhealthy|failing|fail|not working|misbehaving|in trouble|having (?:problems|issues|trouble))` +
		`|is (?:there )?(?:something|anything) wrong (?:with|in|on|at) (.+))[ ?.!]*$`)
	reNowWords = regexp.MustCompile(`\b(?:right now|at the moment|currently|today|now|please|again)\b`)
)

// Bundle returns the queries for a question of what is wrong with something. ok is false
// of other questions: those are for Translate. It returns a *Refusal where nothing of the
// name is known.
func (t *Rules) Bundle(ctx context.Context, q Question) (b Bundle, ok bool, err error) {
	if len(q.Text) > maxQuestionBytes {
		return b, false, nil
	}
	m := reWrong.FindStringSubmatch(normalize(q.Text))
	if m == nil {
		return b, false, nil
	}
	b.Subject = strings.TrimRight(strings.Join(strings.Fields(reNowWords.ReplaceAllString(strings.Join(m[1:], ""), " ")), " "), "?!. ")
	names, unknown := t.subjects(b.Subject)
	switch {
	case len(unknown) > 0 && len(names) == 0:
		return b, true, &Refusal{Reason: "nothing here is known about " + quoteList(unknown)}
	case len(names) == 0:
		return b, false, nil
	}
	// Some things have a query of their own for what is wrong with them: nodes.
	if tr, err := t.Translate(ctx, q); err == nil && about(tr, names) {
		b.Parts = append(b.Parts, Part{tr.Concept, 0, tr})
	}
	for _, s := range symptoms {
		if err := ctx.Err(); err != nil {
			return b, true, err
		}
		tr, err := t.Translate(ctx, Question{Text: fmt.Sprintf(s.ask, b.Subject), Now: q.Now, Location: q.Location})
		if isRefusal(err) {
			continue // is not measured of it
		}
		if err != nil {
			return b, true, err
		}
		above := s.above
		switch {
		case s.unit == "seconds" && tr.Unit == "milliseconds":
			above *= 1000
		case s.unit != "" && tr.Unit != s.unit:
			continue // something near to it: the use of memory where no limit is known
		}
		seen := slices.ContainsFunc(b.Parts, func(p Part) bool { return p.Query == tr.Query })
		if about(tr, names) && !seen {
			b.Parts = append(b.Parts, Part{s.title, above, tr})
		}
	}
	if len(b.Parts) == 0 {
		return b, true, &Refusal{Reason: "nothing that tells of trouble is measured of " + quoteList(names)}
	}
	return b, true, nil
}

// subjects returns the words that name things which the servers know, and those that
// nobody knows.
func (t *Rules) subjects(text string) (names, unknown []string) {
	words := cutWords(text)
	for i := range words {
		w := &words[i]
		if _, kind := kindWords[w.stem]; kind || stopWords[w.text] || isNumber(w.text) {
			continue
		}
		known := len(t.labelsOf(*w)) > 0 || t.hasPods(w.text)
		_, word := t.know.weight[w.stem]
		switch {
		case known:
			names = append(names, w.text)
		case !word:
			unknown = append(unknown, w.text)
		}
	}
	return names, unknown
}

// hasPods reports whether pods begin with the name of a workload.
func (t *Rules) hasPods(workload string) bool {
	if t.catalog == nil {
		return false
	}
	return slices.ContainsFunc(t.catalog.now.Load().known["pod"], func(pod string) bool { return strings.HasPrefix(pod, workload+"-") })
}

// about reports whether a query looks at one of the names: it must not tell of everybody's
// restarts as if they were one's own.
func about(tr Translation, names []string) bool {
	if tr.Language == LogQL {
		return slices.ContainsFunc(names, func(n string) bool { return strings.Contains(strings.ToLower(tr.Query), n) })
	}
	e, err := parser.NewParser(parser.Options{}).ParseExpr(tr.Query)
	if err != nil {
		return false
	}
	held := true
	selectors(e, func(v *parser.VectorSelector) {
		one := false
		for _, m := range v.LabelMatchers {
			value := strings.ToLower(m.Value)
			one = one || m.Name != "__name__" && slices.ContainsFunc(names, func(n string) bool {
				return strings.Contains(value, n) || strings.Contains(value, regexp.QuoteMeta(n)) || strings.Contains(value, aliasOr(n))
			})
		}
		held = held && (one || v.Name == podInfo)
	})
	return held
}

func aliasOr(n string) string {
	if a := aliases[n]; a != "" {
		return a
	}
	return n
}

// Found reports whether the result of the part's query is a finding.
func (p Part) Found(r Result) bool {
	if len(r.Lines) > 0 {
		return true
	}
	for _, s := range r.Vector {
		if s != nil && !math.IsNaN(float64(s.Value)) && (condition(p.Translation) || float64(s.Value) > p.Above) {
			return true
		}
	}
	for _, s := range r.Matrix {
		for _, v := range s.Values {
			if float64(v.Value) > p.Above {
				return true
			}
		}
	}
	return false
}

// Answer says all findings of a bundle in a few sentences, and what was looked at and is
// fine. results are those of Parts, in order; one that is nil did not run.
func (b Bundle) Answer(ctx context.Context, results []*Result) string {
	var found, fine, missing []string
	for i, p := range b.Parts {
		switch {
		case i >= len(results) || results[i] == nil:
			missing = append(missing, p.Title)
		case p.Found(*results[i]):
			found = append(found, capital(p.Title)+" – "+Answer(ctx, p.Translation, *results[i], nil))
		default:
			fine = append(fine, p.Title)
		}
	}
	var out []string
	if len(found) == 0 {
		out = append(out, fmt.Sprintf("Nothing wrong was found with %s.", b.Subject))
	} else {
		out = append(out, fmt.Sprintf("%s: %d %s.", capital(b.Subject), len(found), plural(len(found), "finding")))
		out = append(out, found...)
	}
	if len(fine) > 0 {
		out = append(out, "No sign of: "+strings.Join(fine, ", ")+".")
	}
	if len(missing) > 0 {
		out = append(out, "Not looked at: "+strings.Join(missing, ", ")+".")
	}
	return strings.Join(out, " ")
}
