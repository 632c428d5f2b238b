package ask

import (
	"context"
	"regexp"
	"slices"
	"strings"

	"github.com/prometheus/prometheus/model/labels"
)

// name is a word of the question that the server knows as a label value, or that
// stands for several values.
type name struct {
	at     int      // index of the word
	to     int      // index of the last word, of a name of several
	value  string   // as the server spells it; "" if pattern
	regex  string   // for names that stand for several values
	labels []string // that have it
	hint   string   // kind word beside it
	not    bool     // "without", "except"
}

var (
	reStatus   = regexp.MustCompile(`^([1-5])xx(?:s|es)?$`)
	reCode     = regexp.MustCompile(`^([1-5]\d\d)s?$`)
	statusKeys = []string{"code", "status", "status_code", "response_code", "http_status", "http_status_code", "http_response_status_code", "rcode"}
)

// negations are the words before a name that keep it out.
var negations = set(`without except excluding exclude not but ignoring ignore non other-than besides minus leave omit skip`)

// findNames finds the names in the words. A word of the knowledge's own vocabulary
// is a name only if no concept takes it; that is decided later.
//
// known reports whether a word means something else: it is no part of a name then.
func (c *Catalog) findNames(words []word, known func(string) bool) []name {
	var out []name
	joined := -1 // last word of a name of several
	for i := range words {
		w := &words[i]
		if w.used || i <= joined {
			continue
		}
		if n, last, ok := c.severalAt(words, i, known); ok {
			n.at, n.to, n.hint, n.not = i, last, hintAt(words, last), i > 0 && negated(words, i)
			out, joined = append(out, n), last
			continue
		}
		if m := reStatus.FindStringSubmatch(w.text); m != nil {
			out = append(out, name{at: i, regex: m[1] + "..", labels: statusKeys})
			continue
		}
		if m := reCode.FindStringSubmatch(w.text); m != nil {
			if v, ok := c.labelled(m[1]); ok {
				out = append(out, name{at: i, value: m[1], labels: v.labels})
				continue
			}
		}
		if _, kind := kindWords[w.stem]; kind && (!w.of || w.text != w.stem) {
			continue // "for worker" is a program of that name, "workers" are not
		}
		if c.groups(words, i) {
			continue
		}
		n, ok := c.exact(w)
		if !ok && (!stopWords[w.text] || w.text == "us" && i+1 < len(words) && kindWords[words[i+1].stem] != nil) {
			n, ok = c.partAt(words, i, known)
		}
		if !ok {
			continue
		}
		n.at = i
		n.hint = hintAt(words, i)
		n.not = i > 0 && negated(words, i)
		out = append(out, n)
	}
	return out
}

// groups reports whether word i is the label that an answer is wanted by, whatever else is called so.
func (c *Catalog) groups(words []word, i int) bool {
	if i == 0 || len(c.now.Load().known[words[i].stem]) == 0 {
		return false
	}
	switch words[i-1].text {
	case "by", "per", "each", "every":
		return true
	}
	return false
}

// severalAt takes two or three words side by side for one name: "payment gateway" is payment-gateway, "timed
// out" timed_out.
func (c *Catalog) severalAt(words []word, i int, known func(string) bool) (n name, last int, ok bool) {
	for _, k := range [...]int{3, 2} {
		if i+k > len(words) {
			continue
		}
		texts, plain := make([]string, k), 0
		for j := range k {
			w := words[i+j]
			if w.used || j > 0 && w.start != words[i+j-1].end+1 {
				texts = nil
				break
			}
			if texts[j] = w.text; !stopWords[w.text] && !known(w.text) {
				plain++
			}
		}
		if texts == nil {
			continue
		}
		if plain == 0 {
			if v, ok := c.labelled(strings.Join(texts, "_")); ok && sayOutcome(texts, v.labels) {
				return name{value: v.cased, labels: v.labels}, i + k - 1, true
			}
			continue
		}
		for _, sep := range [...]string{"-", "_", " ", "", "."} {
			if v, ok := c.labelled(strings.Join(texts, sep)); ok && !slices.Contains(v.labels, "alertname") {
				return name{value: v.cased, labels: v.labels}, i + k - 1, true
			}
		}
	}
	return name{}, 0, false
}

// sayOutcome reports whether words that mean something by themselves are together how something ended: "out of stock".
func sayOutcome(texts, ls []string) bool {
	return slices.ContainsFunc(texts, func(w string) bool { return !stopWords[w] && !soft[w] }) &&
		!slices.ContainsFunc(ls, func(l string) bool {
			return !ended[l] && !stateLabels[l] && l != "cause" && l != "error" && l != "type"
		})
}

func negated(words []word, i int) bool {
	for j := i - 1; j >= 0 && j >= i-2; j-- {
		if negations[words[j].text] && (words[j].text != "not" || j >= i-1) {
			return true
		}
		if !stopWords[words[j].text] {
			return false
		}
	}
	return false
}

// everything are small words that are not names, even behind "for", and whatever has such a value.
var everything = set("all total average use any each other each used now time us me which what that there place mean max min sum count every per last one two")

func (c *Catalog) exact(w *word) (name, bool) {
	for _, t := range [...]string{w.text, w.stem, strings.TrimSuffix(w.text, "es"), strings.ReplaceAll(w.text, " ", "-")} {
		if v, ok := c.labelled(t); ok && (len(t) > 1 || t == "/") && (!stopWords[t] || strings.ContainsAny(t, "-0123456789") || w.of && !everything[t]) {
			return name{value: v.cased, labels: v.labels}, true
		}
	}
	return name{}, false
}

var aliases = map[string]string{"production": "prod", "stage": "staging", "development": "dev", "europe": "eu", "american": "us", "european": "eu"}

// hintAt returns the kind word beside word i: "payments namespace", "node x".
func hintAt(words []word, i int) string {
	for _, j := range [...]int{i + 1, i - 1} {
		if j < 0 || j >= len(words) {
			continue
		}
		if _, ok := kindWords[words[j].stem]; ok {
			return words[j].stem
		}
	}
	return ""
}

// matcher chooses the label by which a metric knows the name. It returns nil if the
// metric does not know it.
func (c *Catalog) matcher(ctx context.Context, n name, metric string, prefer []string) (*labels.Matcher, error) {
	has, err := c.LabelsOf(ctx, metric)
	if err != nil {
		return nil, err
	}
	eq, re := labels.MatchEqual, labels.MatchRegexp
	if n.not {
		eq, re = labels.MatchNotEqual, labels.MatchNotRegexp
	}
	if n.regex != "" {
		for _, l := range n.labels {
			if slices.Contains(has, l) {
				return labels.NewMatcher(re, l, n.regex)
			}
		}
		return nil, nil
	}
	for _, l := range n.order(prefer) {
		if !slices.Contains(has, l) {
			continue
		}
		if !slices.Contains(n.labels, l) {
			continue
		}
		ok, err := c.HasValue(ctx, metric, l, n.value)
		if err != nil {
			return nil, err
		}
		if ok {
			return labels.NewMatcher(eq, l, n.value)
		}
	}
	return c.prefixMatcher(ctx, n, metric, has, re)
}

// prefixMatcher takes the name of a workload for its pods.
func (c *Catalog) prefixMatcher(ctx context.Context, n name, metric string, has []string, re labels.MatchType) (*labels.Matcher, error) {
	pod := slices.IndexFunc(has, func(l string) bool { return slices.Contains(alikeTo("pod"), l) })
	if n.regex != "" || pod < 0 {
		return nil, nil
	}
	if n.hint != "" && n.hint != "pod" && n.hint != "service" && n.hint != "app" && n.hint != "deployment" && n.hint != "workload" {
		return nil, nil
	}
	pods, err := c.ValuesOf(ctx, metric, has[pod])
	if err != nil {
		return nil, err
	}
	for p := range pods {
		if strings.HasPrefix(p, n.value+"-") {
			return labels.NewMatcher(re, has[pod], regexp.QuoteMeta(n.value)+"-.*")
		}
	}
	return nil, nil
}

// order returns the labels to try for a name, the likeliest first.
func (n name) order(prefer []string) []string {
	var out []string
	add := func(ls ...string) {
		for _, l := range ls {
			if !slices.Contains(out, l) {
				out = append(out, l)
			}
		}
	}
	add(kindWords[n.hint]...)
	add(prefer...)
	add(labelOrder...)
	add(n.labels...)
	return out
}
