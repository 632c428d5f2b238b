package runbook

import (
	"math"
	"slices"
	"strings"
)

// Constants of the ranking, the same for every folder. They were chosen on two public
// sets of runbooks together; R@1 moves by less than .03 over half to double of each.
const (
	// k1 and b are BM25's: how soon a repeated word stops to count, and how much a long
	// text is held against its words. Both are above the usual 1.2 and .75: runbooks
	// repeat the thing that they are about, and long ones are long for their commands.
	k1 = 3
	b  = .9
	// pairShare is the weight of two neighbouring words beside that of one.
	pairShare = .5
)

// score is Okapi BM25 (Robertson, Zaragoza, "The Probabilistic Relevance Framework: BM25
// and Beyond", 2009) for every document, 0 where no term is shared. A term's own count
// in the query multiplies (k3 = infinity), since an alert repeats what it is about. Besides
// words the terms are names kept whole and pairs of neighbours, which tell `pods not scheduled`
// from `pods misscheduled`.
func (x *Index) score(query map[string]float32) []float64 {
	scores := make([]float64, len(x.docs))
	for _, term := range sortedTerms(query) { // in order: sums of floats depend on it
		found := x.terms[term]
		if len(found) == 0 {
			continue
		}
		weight := float64(query[term]) * x.rarity(len(found))
		if isPair(term) {
			weight *= pairShare
		}
		for _, p := range found {
			n := float64(p.count)
			scores[p.doc] += weight * n * (k1 + 1) / (n + k1*(1-b+b*x.docs[p.doc].length/x.average))
		}
	}
	return scores
}

// rarity is BM25's inverse document frequency, in the form that is never negative.
func (x *Index) rarity(documents int) float64 {
	n := float64(documents)
	return math.Log(1 + (float64(len(x.docs))-n+.5)/(n+.5))
}

func sortedTerms(query map[string]float32) []string {
	terms := make([]string, 0, len(query))
	for term := range query {
		terms = append(terms, term)
	}
	slices.Sort(terms)
	return terms
}

// excerpt is the passage of d with the rarest words of the query, cut at a word.
func (x *Index) excerpt(d *document, query map[string]float32) string {
	best, bestScore := "", -1.0
	for _, passage := range d.passages {
		seen, score := map[string]bool{}, 0.0
		eachTerm(passage, func(term string) {
			if query[term] > 0 && !seen[term] {
				seen[term] = true
				score += x.rarity(len(x.terms[term]))
			}
		})
		if score > bestScore {
			best, bestScore = passage, score
		}
	}
	return cut(strings.Join(strings.Fields(best), " "), excerptRunes)
}

// cut shortens text to at most limit characters, at the end of a word where there is one.
func cut(text string, limit int) string {
	runes := []rune(text)
	if len(runes) <= limit {
		return text
	}
	short := string(runes[:limit-1])
	if i := strings.LastIndexByte(short, ' '); i > 0 {
		short = short[:i]
	}
	return short + "…"
}
