package ask

import (
	"strings"
)

// compound writes as one word what people write apart and the knowledge or the metrics write as one: "file systems". Nouns for
// things stay apart: "consumer groups" are groups.
func compound(words []word, known, isName func(string) bool) []word {
	out := words[:0:0]
	for i := 0; i < len(words); i++ {
		w := words[i]
		if parts := splitKnown(w, known, isName); len(parts) > 0 {
			out = append(out, parts...)
			continue
		}
		if i+1 < len(words) && joins2(w, words[i+1], known) {
			next := words[i+1]
			w.text += next.text
			w.raw, w.stem, w.end = w.text, stem(w.text), next.end
			i++
		}
		out = append(out, w)
	}
	return out
}

// splitKnown takes a word with hyphens apart where all of its parts are known and it is not: "cpu-throttled". nil leaves it.
func splitKnown(w word, known, isName func(string) bool) []word {
	if w.used || isName(w.text) || !strings.Contains(w.text, "-") || len(w.text) != w.end-w.start || known(w.text) || known(w.stem) {
		return nil
	}
	var out []word
	at := w.start
	for _, part := range strings.Split(w.text, "-") {
		if len(part) < 3 || stopWords[part] || !known(stem(part)) {
			return nil
		}
		out = append(out, word{text: part, raw: part, stem: stem(part), start: at, end: at + len(part)})
		at += len(part) + 1
	}
	return out
}

// minCompound is how long a compound is at least: shorter ones are words of their own by chance.
const minCompound = 8

func joins2(a, b word, known func(string) bool) bool {
	joined := stem(a.text + b.text)
	if b.start != a.end+1 || len(joined) < minCompound || a.used || b.used || strings.Trim(joined, "abcdefghijklmnopqrstuvwxyz") != "" {
		return false
	}
	return kindWords[a.stem] == nil && kindWords[b.stem] == nil && !stopWords[a.text] && known(joined)
}

// compounds reports whether a word is one of the knowledge or of metrics' names.
func (t *Rules) compounds(w string) bool {
	_, ok := t.know.weight[w]
	return ok || kindWords[w] != nil || len(t.catalog.now.Load().words[w]) > 0
}

// intent takes what a question wants of the values out of it. Names that the server knows are left alone, whatever is in them:
// "chart-db" asks for no chart.
func (t *Rules) intent(norm string) (intent, string) {
	s := t.catalog.now.Load()
	masked := []byte(norm)
	for _, w := range cutWords(norm) {
		if _, name := s.values[w.text]; !name || !strings.ContainsAny(w.text, "-_./") || w.end-w.start != len(w.text) || strings.Trim(w.text, "0123456789-_./:%") == "" {
			continue
		}
		for i := w.start; i < w.end; i++ {
			masked[i] = '_' // a letter to expressions, and no word that they know
		}
	}
	in, rest := takeIntent(string(masked))
	if len(rest) != len(norm) {
		return takeIntent(norm)
	}
	out := []byte(rest)
	for i := range out {
		if out[i] == '_' {
			out[i] = norm[i]
		}
	}
	return in, string(out)
}
