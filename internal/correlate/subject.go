package correlate

import (
	"slices"
	"strings"
)

// silentLabels say nothing about what an alert is about.
var silentLabels = []string{
	"alertname", "severity", "priority", "level", "prometheus", "replica", "prometheus_replica", "receive", "region", "zone", "env", "environment",
	"stage", "team", "owner", "endpoint", "metrics_path", "scheme", "key", "effect", "condition", "status", "phase", "long", "short", "window",
	"exhaustion", "category", "sloth_severity", "resource", "fstype", "reason", "container", "uid", "code", "method", "quantile", "le", "monitor", "type", "kind",
}

// A subject is what an alert is about, in hashed words.
type subject struct {
	entities   []word // names in label values, sorted
	mentions   []word // names in the text that are not entities, sorted
	namespaces []word // sorted
	stems      []string
}

// Bounds on what one alert may name.
const (
	maxEntities = 32
	maxMentions = 48
	maxText     = 4000
)

// subject reads what an alert names.
func (e *Engine) subject(a Alert) subject {
	var s subject
	seen := map[string]bool{}
	add := func(w string) {
		if len(w) > 1 && len(w) < 200 && !seen[w] && len(seen) < maxEntities && !isNumber(w) {
			seen[w] = true
			s.entities = append(s.entities, hash(w))
			if len(w) > 3 {
				s.stems = append(s.stems, w)
			}
		}
	}
	keys := make([]string, 0, len(a.Labels))
	for k := range a.Labels {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	for _, k := range keys {
		v := a.Labels[k]
		switch {
		case v == "" || e.skip[k]:
		case strings.HasSuffix(k, "namespace"):
			s.namespaces = append(s.namespaces, hash(fold(v)))
		default:
			for _, w := range names(v, true) {
				add(w)
			}
		}
	}
	text := 0
	mentioned := map[word]bool{}
	for _, k := range sortedKeys(a.Annotations) {
		v := a.Annotations[k]
		if strings.HasSuffix(k, "url") || strings.HasPrefix(v, "http") {
			continue
		}
		if len(v) > maxText-text {
			v = v[:max(0, maxText-text)]
		}
		text += len(v)
		for _, w := range tokens(v) {
			for _, x := range names(strings.Trim(w, ".:/-"), false) {
				if id := hash(x); len(x) > 2 && strings.ContainsAny(x, "-.0123456789") && !isNumber(x) && len(mentioned) < maxMentions {
					mentioned[id] = true
				}
			}
		}
	}
	for id := range mentioned {
		s.mentions = append(s.mentions, id)
	}
	slices.Sort(s.entities)
	slices.Sort(s.mentions)
	slices.Sort(s.namespaces)
	s.namespaces = slices.Compact(s.namespaces)
	slices.Sort(s.stems)
	return s
}

func sortedKeys(m map[string]string) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// fold makes spellings of one name alike.
func fold(v string) string { return strings.ReplaceAll(strings.ToLower(v), "_", "-") }

// names returns the names in a value: a host without its port, the parts of a
// path of names, a pod and its workload. Whole also gives the value as it is.
func names(v string, whole bool) []string {
	v = fold(v)
	v = strings.TrimPrefix(strings.TrimPrefix(v, "https://"), "http://")
	var out []string
	parts := []string{v}
	if i := strings.IndexByte(v, '/'); i > 0 {
		parts = strings.Split(v, "/")
	} else if i == 0 {
		if whole {
			return []string{v} // a path of a file system
		}
		return nil
	}
	for i, p := range parts {
		if i == 4 {
			break
		}
		h := host(p)
		out = append(out, stem(h))
		if whole && stem(h) != h {
			out = append(out, h)
		}
		if !whole {
			if d := strings.IndexByte(h, '.'); d > 0 && !isNumber(h[:d]) {
				out = append(out, stem(h[:d]))
			}
		}
	}
	return out
}

// host cuts a port.
func host(v string) string {
	i := strings.LastIndexByte(v, ':')
	if i <= 0 || i+1 == len(v) || len(v)-i > 6 {
		return v
	}
	for _, c := range v[i+1:] {
		if c < '0' || c > '9' {
			return v
		}
	}
	return v[:i]
}

// stem cuts what Kubernetes appends to the name of a workload to name its pods:
// `-<hash>-<5 characters>` of a deployment, `-<5 characters>` of a daemon set,
// `-<number>` of a stateful set; and what schedulers append to name a run: a time, in
// minutes, seconds or as a date.
func stem(v string) string {
	i := strings.LastIndexByte(v, '-')
	if i <= 0 {
		return v
	}
	last := v[i+1:]
	if len(last) == 5 && isHash(last) {
		if j := strings.LastIndexByte(v[:i], '-'); j > 0 {
			if h := v[j+1 : i]; len(h) >= 7 && len(h) <= 10 && isHash(h) {
				return v[:j]
			}
		}
		if strings.ContainsAny(last, "0123456789") {
			return v[:i]
		}
	}
	if isNumber(last) && (len(last) <= 3 || len(last) >= 8 && len(last) <= 14) {
		return v[:i]
	}
	return v
}

func isHash(v string) bool {
	for i := range len(v) {
		if c := v[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') {
			return false
		}
	}
	return true
}

// isNumber reports whether v has no letter and looks like no address.
func isNumber(v string) bool {
	dots := 0
	for i := range len(v) {
		switch c := v[i]; {
		case c == '.':
			dots++
		case c >= '0' && c <= '9', c == '%', c == '-', c == ':', c == '+':
		default:
			return false
		}
	}
	return dots < 3
}

// tokens splits a text into what may be names.
func tokens(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '-', r == '_', r == '.', r == '/', r == ':', r > 127:
			return false
		default:
			return true
		}
	})
}

// A word is the hash of a name: FNV-1a. Two names of one hash would look alike,
// which does little harm and, at 64 bits, does not happen.
type word uint64

func hash(parts ...string) word {
	h := uint64(14695981039346656037)
	for _, p := range parts {
		for i := range len(p) {
			h = (h ^ uint64(p[i])) * 1099511628211
		}
		h = (h ^ 0xff) * 1099511628211
	}
	return word(h)
}
