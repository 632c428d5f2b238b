package runbook

import (
	"strings"
	"unicode"

	"github.com/kljensen/snowball/english"
)

// pairMark stands between the two words of a pair, and wholeMark before a name that was kept whole:
// neither occurs in a word, so the three kinds of terms never meet.
const (
	pairMark  = ' '
	wholeMark = '='
)

// isPair reports whether term is a pair of neighbouring words.
func isPair(term string) bool { return strings.IndexByte(term, pairMark) > 0 }

// eachTerm calls f for every term of text in order: its words, stemmed, without words
// that say nothing; names such as `kube_pod_status_phase` or `KubePodCrashLooping` whole besides;
// and each pair of words that follow one another.
func eachTerm(text string, f func(term string)) {
	before := ""
	for len(text) > 0 {
		start := strings.IndexFunc(text, isNameRune)
		if start < 0 {
			return
		}
		text = text[start:]
		end := nameEnd(text)
		name := text[:end]
		text = text[end:]
		words := 0
		eachWord(name, func(word string) {
			words++
			if word = normal(word); word == "" {
				return
			}
			f(word)
			if before != "" {
				f(before + string(pairMark) + word)
			}
			before = word
		})
		if words > 1 {
			f(string(wholeMark) + strings.ToLower(name))
		}
	}
}

func isNameRune(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) || r == '_' }

// nameEnd is the length of the name at the start of text. Signs that hold a name together
// (`kube-system/pod`, `v1.2`, `a:b`) belong to it between two of its letters.
func nameEnd(text string) int {
	end, joint := 0, false
	for i, r := range text {
		switch {
		case isNameRune(r):
			end, joint = i+len(string(r)), false
		case strings.ContainsRune("-.:/", r) && !joint:
			joint = true
		default:
			return end
		}
	}
	return end
}

// eachWord splits name where a person would: at signs, between small and capital
// letters, between letters and digits. `etcdHTTPRequests5xx` is etcd HTTP Requests 5 xx.
func eachWord(name string, f func(word string)) {
	runes := []rune(name)
	start := 0
	flush := func(end int) {
		if end > start {
			f(string(runes[start:end]))
		}
		start = end
	}
	for i, r := range runes {
		switch {
		case !unicode.IsLetter(r) && !unicode.IsDigit(r):
			flush(i)
			start = i + 1
		case i == start:
		case unicode.IsDigit(r) != unicode.IsDigit(runes[i-1]):
			flush(i)
		case unicode.IsUpper(r) && !unicode.IsUpper(runes[i-1]):
			flush(i)
		case unicode.IsUpper(r) && i+1 < len(runes) && unicode.IsLower(runes[i+1]):
			flush(i)
		}
	}
	flush(len(runes))
}

// normal is the word as it is compared: small letters, stemmed by the Porter2 algorithm
// (Porter, "Snowball", 2001). It is empty for a word that says nothing.
func normal(word string) string {
	word = strings.ToLower(word)
	if len(word) < 2 || silent[word] {
		return ""
	}
	return english.Stem(word, false)
}

// silent are the words that every runbook and every alert is full of.
var silent = set(`a an and are as at be been being by can could do does for from has have if in into is it its may more
	must no not of on or our should so such than that the their them then there these they this those to too was were
	when where which while will with within without would you your please also any all some only other following
	alert alerts fire fires fired firing trigger triggers triggered means indicates`)

func set(words string) map[string]bool {
	m := map[string]bool{}
	for word := range strings.FieldsSeq(words) {
		m[word] = true
	}
	return m
}
