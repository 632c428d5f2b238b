package ask

import (
	"context"
	"math"
	"regexp"
	"slices"
	"strings"

	"github.com/prometheus/prometheus/model/labels"
)

// Metrics that no file of the knowledge names are found by the words of their names
// and help texts, and treated by their type: a counter gets a rate, a histogram a
// quantile, a gauge is taken as it is.

// hollow are words of metric names that say what a metric is, not what it is about.
var hollow = set(`bucket sum count total info seconds second bytes byte ratio percent created number num value status state name ms milliseconds max min avg
	current last a of in the by per timestamp`)

// indexNames maps the words of metric names, and their roots, to the metrics.
func (s *snapshot) indexNames() {
	s.words, s.systems = map[string][]string{}, map[string]int{}
	for m := range s.metrics {
		for _, w := range nameWords(m) {
			s.words[w] = append(s.words[w], m)
			if r := root(w); r != w {
				s.words[r] = append(s.words[r], m)
			}
		}
		if first, _, ok := strings.Cut(strings.ToLower(m), "_"); ok && len(first) > 2 && !hollow[first] {
			s.systems[first]++
		}
	}
}

// snake writes a name in lower case, with its humps set apart: taskSlotsAvailable is task_slots_available.
func snake(name string) string {
	var b strings.Builder
	for i := range len(name) {
		c := name[i]
		upper := c >= 'A' && c <= 'Z'
		if upper && i > 0 && name[i-1] != '_' {
			lower := name[i-1] >= 'a' && name[i-1] <= 'z'
			next := i+1 < len(name) && name[i+1] >= 'a' && name[i+1] <= 'z'
			if lower || next && name[i-1] >= 'A' && name[i-1] <= 'Z' {
				b.WriteByte('_')
			}
		}
		if upper {
			c += 'a' - 'A'
		}
		b.WriteByte(c)
	}
	return b.String()
}

// nameWords cuts the name of a metric into stems, each once.
func nameWords(metric string) []string {
	var out []string
	for _, w := range strings.FieldsFunc(snake(metric), func(r rune) bool { return r == '_' || r == ':' || r == '.' }) {
		if w = stem(w); len(w) > 1 && !hollow[w] && !slices.Contains(out, w) {
			out = append(out, w)
		}
	}
	return out
}

// endings are what verbs and nouns of one root differ in.
var endings = []string{"ations", "ation", "ptions", "ption", "ements", "ement", "ions", "ion", "ures", "ure", "ings", "ing", "ers", "er", "est", "ed", "es", "als", "al", "y", "e", "s"}

// root cuts the ending of a word, so that failed and failure, evicted and evictions
// are alike; four letters are left, or three of a doubled last one: lagging, dropped.
func root(w string) string {
	for _, e := range endings {
		r, ok := strings.CutSuffix(w, e)
		if !ok || len(r) < 4 {
			continue
		}
		if n := len(r); (e == "ing" || e == "ings" || e == "ed" || e == "er" || e == "ers" || e == "est") && r[n-1] == r[n-2] && !strings.ContainsRune("lsz", rune(r[n-1])) {
			return r[:n-1]
		}
		return r
	}
	return w
}

// synonyms are what people say and what metrics are named with.
var synonyms = map[string][]string{
	"request": {"rq", "req", "call", "hit"}, "call": {"request", "rpc", "rq"}, "hit": {"request"}, "connection": {"conn", "cx", "session"}, "conn": {"connection"},
	"session": {"connection"}, "latency": {"duration", "time", "latencie"}, "duration": {"latency", "time"}, "slow": {"duration", "latency"}, "slowest": {"duration", "latency"},
	"error": {"err", "failure", "failed", "fail", "exception"}, "failure": {"error", "failed", "fail"}, "failed": {"failure", "error", "fail"}, "failing": {"failure", "failed", "error", "fail"},
	"memory": {"mem", "ram"}, "mem": {"memory"}, "ram": {"memory", "mem"}, "temperature": {"temp", "celsius"}, "hottest": {"temperature", "temp", "celsius"}, "hot": {"temperature", "temp", "celsius"},
	"received": {"rx", "receive", "in"}, "sent": {"tx", "transmit", "send", "out"}, "inbound": {"rx", "receive", "in"}, "outbound": {"tx", "transmit", "out"},
	"queued": {"queue", "pending", "waiting"}, "waiting": {"pending", "queue", "ready"}, "pending": {"waiting", "queue"}, "backlog": {"queue", "pending", "lag", "depth"},
	"disk": {"fs", "filesystem", "storage"}, "lag": {"behind", "delay"}, "message": {"msg"}, "transaction": {"txn", "xact", "tx"}, "row": {"tup", "tuple", "record"}, "tuple": {"tup", "row"},
	"operation": {"op", "ops"}, "replica": {"slave", "secondary"}, "slave": {"replica"}, "log": {"logback", "logging"}, "throughput": {"bytes", "rate"}, "traffic": {"request", "bytes"},
	"redeemed": {"redemption"}, "signup": {"registration", "sign"}, "registered": {"registration"}, "purchase": {"order", "sale"}, "bought": {"order", "purchase"}, "sold": {"sale"},
	"gen": {"generation"}, "utilization": {"util", "usage", "used"}, "power": {"watt", "watts"}, "retry": {"retrie", "retries"}, "timeout": {"timedout", "timed"}, "cancelled": {"canceled", "cancellation"},
	"queue": {"pending", "backlog", "waiting", "depth"}, "certificate": {"cert", "certs", "tls", "ssl"}, "cert": {"certificate", "tls"}, "succeed": {"success", "successful", "succeeded"}, "succeeded": {"success", "successful"}, "occupy": {"used", "size"}, "occupied": {"used"},
	"left": {"remaining", "free", "available"}, "remaining": {"left", "free"}, "free": {"available", "avail", "remaining"}, "alive": {"active", "up"}, "dead": {"active", "up", "alive"}, "taken": {"used", "use"}, "atm": {"cash"}, "approval": {"approved"}, "rebooted": {"boot"}, "reboot": {"boot"},
	"stopped": {"state"}, "portion": {"share"}, "bandwidth": {"bytes", "octets", "throughput"}, "byte": {"octet"}, "van": {"vehicle"}, "car": {"vehicle"}, "truck": {"vehicle"}, "exited": {"exit"}, "ending": {"expiry", "end"}, "ends": {"expiry", "end"}, "logon": {"login"}, "license": {"licence"},
	"response": {"request", "rq"}, "answer": {"request", "response"},
	"object": {"bucket", "blob", "minio", "s3"}, "bucket": {"object"}, "watched": {"viewer", "view", "watch"}, "watching": {"viewer"}, "viewer": {"watch", "audience"}, "money": {"revenue", "amount", "sales"}, "revenue": {"money", "sale"},
	"earning": {"revenue"}, "concurrent": {"active", "current", "open"}, "simultaneous": {"active", "concurrent", "current", "open"}, "parallel": {"active", "concurrent"}, "people": {"user", "player", "viewer", "visitor"}, "player": {"user"}, "visitor": {"user", "session"}, "customer": {"client", "user"},
	"elastic": {"elasticsearch"}, "rabbit": {"rabbitmq"}, "postgresql": {"pg", "postgres"}, "postgres": {"pg", "postgresql"}, "mongo": {"mongodb"}, "kube": {"kubernetes"}, "clickhouse": {"ch"}, "memcache": {"memcached"},
	"vote": {"voting"}, "wait": {"waiting", "queue", "pending"}, "upload": {"put", "sent", "uploaded"}, "download": {"get", "received", "downloaded"}, "space": {"bytes", "capacity", "disk", "usable"}, "incoming": {"in", "received", "rx", "inbound"},
	"outgoing": {"out", "sent", "tx", "outbound"}, "coming": {"in", "received"}, "leaving": {"out", "sent"}, "read": {"get", "fetch"}, "write": {"put", "written", "set"}, "written": {"write"}, "stall": {"rebuffer", "blocked"},
	"crash": {"panic", "restart", "abort"}, "block": {"blocked", "wait"}, "thread": {"worker"}, "delay": {"lag", "latency", "behind"}, "behind": {"lag", "delay"}, "rejected": {"denied", "refused", "rejection"}, "denied": {"rejected", "refused"},
	"expired": {"expiration", "expire"}, "expiry": {"expiration", "expire", "expires"}, "online": {"up", "alive", "connected"}, "offline": {"down", "disconnected"}, "down": {"offline", "unavailable"},
	"charge": {"payment", "billing"}, "payment": {"charge", "pay"}, "invoice": {"bill", "billing"}, "mail": {"email", "smtp"}, "email": {"mail", "smtp"}, "cache": {"cached"}, "entry": {"item", "record", "row"}, "item": {"entry", "product"},
	"document": {"doc", "docs"}, "doc": {"document"}, "volume": {"size", "bytes", "disk"}, "picture": {"image"}, "image": {"picture", "thumbnail"}, "consumption": {"usage", "used", "consumed"}, "usage": {"used", "use"}, "using": {"usage", "used"}, "use": {"usage", "used"},
	"speed": {"rate", "throughput"}, "humidity": {"moisture"}, "energy": {"power", "joules", "kwh"}, "draw": {"power", "usage"}, "gpu": {"dcgm", "nvidia", "accelerator"}, "accelerator": {"gpu"}, "heartbeat": {"ping", "beat"}, "ping": {"icmp", "rtt", "heartbeat"},
	"snapshot": {"backup"}, "backup": {"snapshot", "dump"}, "sync": {"synced", "synchronization", "replication"}, "leader": {"master", "primary"}, "master": {"leader", "primary"}, "primary": {"master", "leader"}, "tenant": {"customer", "org", "account"},
	"user": {"client", "account"}, "worker": {"process", "thread"}, "job": {"task"}, "task": {"job"}, "size": {"bytes", "length"}, "length": {"size", "depth"}, "depth": {"size", "length"},
	"healthy": {"health", "up"}, "version": {"build"}, "db": {"database"}, "database": {"db"}, "config": {"configuration"}, "auth": {"authentication", "authorization", "login"}, "login": {"auth", "signin"},
}

// outcomeWords ask how things ended; a label may answer them where the name does not.
var outcomeWords = set(`succeed succeeds error errors failed failing failure failures fail fails success successful succeeded`)

// maxNameHits bounds how many metrics of one word are looked at: a word of more
// metrics than that tells nothing.
const maxNameHits = 5_000

// maxNamesTried is how many metrics are looked at closely: each costs calls.
const maxNamesTried = 8

// byName makes concepts of the metrics whose names, with their help texts, hold the
// words of the question that say something, the likeliest first. Names of things
// and labels may be left over: the metric's labels must know them.
func (t *Rules) byName(ctx context.Context, norm string, words []word, in intent) ([]*concept, []int) {
	s := t.catalog.now.Load()
	for i, w := range words { // named outright
		if _, ok := s.metrics[w.text]; ok && strings.ContainsAny(w.text, "_:") {
			return []*concept{t.conceptOf(ctx, s, w.text, words)}, []int{i}
		}
	}
	e := t.collect(ctx, norm, words, in)
	var out []*concept
	for _, m := range e.likely() {
		if c := t.conceptOf(ctx, s, m, words); c != nil {
			out = append(out, c)
		}
	}
	return out, e.at
}

// telling returns the words that a metric must know: neither small words, nor nouns of
// things, nor names, unless metrics are named with them.
func (s *snapshot) telling(words []word) []int {
	var at []int
	for i, w := range words {
		if w.used || stopWords[w.text] || stopWords[w.stem] || isNumber(w.text) || len(w.text) < 2 || reStatus.MatchString(w.text) || reCode.MatchString(w.text) {
			continue
		}
		_, kind := kindWords[w.stem]
		_, value := s.values[w.text]
		if !value {
			_, value = s.values[w.stem]
		}
		if value && i > 0 && len(s.known[w.stem]) > 0 && (words[i-1].text == "by" || words[i-1].text == "per") {
			value = false // the label of that name
		}
		if (kind || value) && len(s.words[w.stem]) == 0 || kind && i > 0 && (words[i-1].text == "by" || words[i-1].text == "per" || words[i-1].text == "each") {
			continue
		}
		at = append(at, i)
	}
	return at
}

// variants returns the word, its root and what else names of metrics say for it.
func variants(w string) []string {
	out := []string{w}
	if r := root(w); r != w {
		out = append(out, r)
	}
	return append(out, synonyms[w]...)
}

// sameWord reports whether a word of a question is one of a metric's name.
func sameWord(said, own string) bool {
	if said == own || root(said) == root(own) || slices.Contains(synonyms[said], own) {
		return true
	}
	return len(said) >= 6 && strings.Contains(own, said) || len(said) >= 4 && len(own) <= len(said)+2 && strings.Contains(own, said) || len(own) >= 5 && strings.HasPrefix(said, own) && !strings.ContainsAny(said, "-_./:0123456789")
}

// rarity weighs a word of metrics' names.
func (s *snapshot) rarity(w string) float64 {
	return math.Log(1 + float64(len(s.metrics))/float64(1+len(s.words[w])))
}

// isLabel reports whether some label is named like the word.
func (s *snapshot) isLabel(w word) bool {
	for _, l := range [...]string{w.stem, w.text, w.stem + "_name", w.stem + "_id"} {
		if _, ok := s.known[l]; ok {
			return true
		}
	}
	return false
}

// badValue are the values of labels that say that something went wrong.
var badValue = []string{"fail", "err", "declin", "reject", "denied", "timeout", "abort", "unavailable", "invalid", "lost"}

// outcomeOf narrows a counter to what failed, or makes a ratio of it, where the question
// speaks of errors and not the name but a label of the metric tells them.
func (t *Rules) outcomeOf(ctx context.Context, c *concept, has []string, words []word) {
	said := func(f func(string) bool) bool {
		return slices.ContainsFunc(words, func(w word) bool { return f(w.stem) || f(w.text) })
	}
	good := said(func(w string) bool { return strings.HasPrefix(w, "succe") })
	bad := said(func(w string) bool { return outcomeWords[w] && !strings.HasPrefix(w, "succe") })
	if !good && !bad || strings.Contains(c.Counter, "err") || strings.Contains(c.Counter, "fail") || strings.Contains(c.Counter, "succe") {
		return
	}
	for _, l := range has {
		if !outcome[l] && !slices.Contains(alikeTo("code"), l) {
			continue
		}
		vals, err := t.catalog.ValuesOf(ctx, c.Counter, l)
		if err != nil {
			return
		}
		m := badMatcher(l, vals, good)
		if m == nil {
			continue
		}
		if said(func(w string) bool {
			return w == "rate" || w == "ratio" || w == "share" || strings.HasPrefix(w, "percent") || w == "fraction"
		}) {
			c.Per, c.Unit = c.Counter, "ratio"
		}
		c.Counter = selector(c.Counter, m).String()
		return
	}
}

// badMatcher matches the values that stand for failure, or with good all others; nil if
// none do.
func badMatcher(label string, vals map[string]struct{}, good bool) *labels.Matcher {
	var bad []string
	for v := range vals {
		low := strings.ToLower(v)
		if len(v) == 3 && v[0] == '5' || slices.ContainsFunc(badValue, func(b string) bool { return strings.Contains(low, b) }) {
			bad = append(bad, v)
		}
	}
	if _, ok := vals["OK"]; ok { // gRPC's codes: all others are errors
		if good {
			return labels.MustNewMatcher(labels.MatchEqual, label, "OK")
		}
		return labels.MustNewMatcher(labels.MatchNotEqual, label, "OK")
	}
	if len(bad) == 0 {
		return nil
	}
	slices.Sort(bad)
	for i := range bad {
		bad[i] = regexp.QuoteMeta(bad[i])
	}
	re := labels.MatchRegexp
	if good {
		re = labels.MatchNotRegexp
	}
	if strings.IndexFunc(bad[0], func(r rune) bool { return r < '0' || r > '9' }) < 0 {
		return labels.MustNewMatcher(re, label, "5..")
	}
	return labels.MustNewMatcher(re, label, strings.Join(bad, "|"))
}
