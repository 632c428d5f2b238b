package ask

import (
	"strings"
	"unicode"
)

// word is one word of a question.
type word struct {
	text       string // lower case, as typed
	raw        string // as typed
	stem       string // singular, typing mistakes mended
	start, end int    // bytes of the normalized question
	root       string // without the ending of a verb or a noun
	of         bool   // "for", "of" or "named" stands before it: it may be a name, whatever else it means
	used       bool   // some step has understood it
}

// contractions and fillers are rewritten before words are cut.
var rewrites = strings.NewReplacer(
	"what's", "what is", "whats", "what is", "who's", "who is", "where's", "where is", "how's", "how is",
	"don't", "not", "doesn't", "not", "haven't", "not", "hasn't", "not", "isn't", "not", "aren't", "not",
	"data centre", "datacenter", "data center", "datacenter", "utilisation", "utilization", "authorisation", "authorization", "didn't", "not", "can't", "cannot", "won't", "not", "“", "\"", "”", "\"", "’", "'",
	"dont ", "not ", "doesnt ", "not ", "didnt ", "not ", "isnt ", "not ", "arent ", "not ", "havent ", "not ", "hasnt ", "not ", "cant ", "cannot ", "wont ", "not ", "wasn't", "not", "weren't", "not",
	"haven’t", "not", "doesn’t", "not", "don’t", "not", "isn’t", "not", "aren’t", "not", "can’t", "cannot",
)

// normalize lowers a question and folds its white space.
func normalize(text string) string {
	return rewrites.Replace(strings.ToLower(strings.Join(strings.Fields(strings.ToValidUTF8(text, " ")), " ")))
}

// isNameByte reports whether b may stand inside a word: names of pods, paths and
// times keep their punctuation.
func isNameByte(r rune) bool {
	return unicode.IsLetter(r) || unicode.IsDigit(r) || strings.ContainsRune("-_./:@%>", r)
}

// cutWords cuts a normalized question into words. raw is the question as typed, for
// names whose case matters.
func cutWords(norm string) []word {
	var out []word
	start := -1
	flush := func(end int) {
		if start < 0 {
			return
		}
		t := strings.TrimRight(norm[start:end], ".:,%>")
		lead := len(t) - len(strings.TrimLeft(t, "-_>"))
		t = t[lead:]
		if t != "" {
			w := t
			for _, rate := range [...]string{"/s", "/sec", "/min"} { // timeouts/s
				if s, ok := strings.CutSuffix(t, rate); ok && len(s) > 3 && !strings.Contains(s, "/") {
					w = s
				}
			}
			out = append(out, word{text: w, raw: w, stem: stem(w), start: start + lead, end: start + lead + len(t)})
		}
		start = -1
	}
	for i, r := range norm {
		if isNameByte(r) {
			if start < 0 {
				start = i
			}
			continue
		}
		flush(i)
	}
	flush(len(norm))
	return out
}

// stem folds a plural, nothing more: verbs are listed in the knowledge as they come.
func stem(w string) string {
	n := len(w)
	switch {
	case n < 4 || strings.ContainsAny(w, "-_./:0123456789") || strings.HasSuffix(w, "ss") || strings.HasSuffix(w, "us") || strings.HasSuffix(w, "is"):
		return w
	case strings.HasSuffix(w, "ies") && n > 4:
		return w[:n-3] + "y"
	case strings.HasSuffix(w, "sses") || strings.HasSuffix(w, "ches") || strings.HasSuffix(w, "shes") || strings.HasSuffix(w, "xes"):
		return w[:n-2]
	case strings.HasSuffix(w, "s"):
		return w[:n-1]
	}
	return w
}

// stopWords carry nothing that a query could say.
var stopWords = set(`a an the of on in at to for from with by per and or is are was were be been being do does did done has have had
	i me my we us our you your it its they them their there here this that these those what which who whose where when why how
	show list give tell get find display see let please pls thanks thank hi hello hey could can would should will shall may might
	any some all every each everything anything something much many more most less least than then so just now right currently
	current moment present at-the-moment today still ever also too very really quite about across over under between within during
	as if not no yes up out off into onto per vs versus against compared compare comparison only only-in kind sort like need want
	know look looking report overview status state info information data value number count amount total sum overall altogether
	together me. go going come comes happen happened happening take takes long big large high low often time times day days hour hours
	minute minutes second seconds week weeks month last past previous recent recently since until ago minute mins min sec hr hrs
	same one ones thing things cluster clusters k8s kubernetes and/or i.e e.g etc bad badly close near reach end ends ended say says said
	their where's there's our ours which's name names named get gets got doing make makes made using use used uses utilization usage
	percent percentage share fraction ratio part proportion rate answer answered serve served faster slower have having run running
	write writes log logs logged logging line lines entry entries message messages carry carrying instance instances different whole
	growth left available free remaining capacity level levels exactly around approximately roughly trend prediction predict graph plot chart
	draw wise each. every. kind. hogs hog place wrong right. problem problems issue issues utc midnight yesterday
	highest lowest biggest largest worst busiest slowest fastest smallest avg average mean max maximum min minimum cannot table mb gb kb tb ms mib gib tib kib
	mb/s kb/s gb/s bytes/s bytes byte per-second top bottom first non without except excluding exclude ignoring ignore besides minus leave leaving omit
	skip out-of anyone anybody somebody nothing none others other kinda sorted sort ordered order descending ascending ranked rank grouped group broken
	far return returns returning emit emits emitting spend spends spending held hold holds since-midnight ok okay fine correct back new old` + fillers)

func set(words string) map[string]bool {
	m := map[string]bool{}
	for _, w := range strings.Fields(words) {
		m[w] = true
		m[stem(w)] = true
	}
	return m
}

// distance is the optimal string alignment distance of a and b (Damerau 1964,
// restricted), or limit+1 once it must be above limit.
func distance(a, b string, limit int) int {
	if d := len(a) - len(b); d > limit || -d > limit {
		return limit + 1
	}
	prev2, prev, cur := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range prev {
		prev[j] = j
	}
	for i := 1; i <= len(a); i++ {
		cur[0] = i
		best := cur[0]
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			cur[j] = min(prev[j]+1, cur[j-1]+1, prev[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				cur[j] = min(cur[j], prev2[j-2]+1)
			}
			best = min(best, cur[j])
		}
		if best > limit {
			return limit + 1
		}
		prev2, prev, cur = prev, cur, prev2
	}
	return prev[len(b)]
}

// misspelt are the mistakes in the small words of questions.
var misspelt = map[string]string{
	"wich": "which", "whcih": "which", "waht": "what", "teh": "the", "thier": "their", "hte": "the", "shwo": "show", "lsit": "list", "howmany": "many",
	"msg": "message", "msgs": "messages", "conn": "connection", "conns": "connections", "req": "request", "reqs": "requests", "txn": "transaction", "txns": "transactions",
	"resp": "response", "resps": "responses", "util": "utilization", "pct": "percent", "ops": "operations", "proc": "process", "procs": "processes", "certs": "certificates",
	"licence": "license", "licences": "licenses", "logons": "logins", "logon": "login", "authorisations": "authorizations", "authorisation": "authorization", "nbr": "number", "svcs": "services", "atm": "now", "curr": "current", "avail": "available", "temp": "temperature", "temps": "temperatures", "cfg": "config", "perf": "performance",
}

// mend replaces words that nobody knows by the nearest one that the vocabulary has:
// one mistake in words of four to seven letters, two in longer ones. Of equally near
// ones, none is taken but the first in order of the alphabet that starts alike.
func mend(words []word, known func(string) bool, vocabulary []string) {
	for i := range words {
		w := &words[i]
		if m, ok := misspelt[w.text]; ok {
			w.text, w.stem = m, stem(m)
			continue
		}
		if t, ok := strings.CutSuffix(w.text, "-wise"); ok {
			w.text, w.stem = t, stem(t)
		}
		if len(w.stem) < 4 || stopWords[w.text] || known(w.stem) || known(w.text) || strings.ContainsAny(w.text, "0123456789-_./:") {
			continue
		}
		limit := 1
		if len(w.stem) > 7 {
			limit = 2
		}
		best, at := limit+1, ""
		for _, v := range vocabulary {
			if len(v) < 4 || v[0] != w.stem[0] {
				continue
			}
			if d := distance(w.stem, v, limit); d < best {
				best, at = d, v
			}
		}
		if at != "" {
			w.stem = at
		}
	}
	for i := range words {
		words[i].root = root(words[i].stem)
		words[i].of = i > 0 && (words[i-1].text == "for" || words[i-1].text == "of" || words[i-1].text == "named" || words[i-1].text == "called")
	}
}
