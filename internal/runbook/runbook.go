// Package runbook finds the runbook that fits what an alert says of itself.
//
// An Index is built once from a folder of Markdown files and answers from memory. It
// knows nothing of alerts, incidents or tickets: the caller gives it words, and it
// gives back paths. A runbook that an alert names itself (`runbook_url`) needs no
// search and comes first; that is the caller's rule.
package runbook

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"unicode/utf8"
)

// Bounds of an index: a folder beyond them is a wrong folder, and says so.
const (
	// MaxFiles is how many runbooks an index takes.
	MaxFiles = 20_000
	// MaxFileBytes is how long a runbook may be. Longer ones are left out and counted.
	MaxFileBytes = 1 << 20
	// MaxQueryBytes is how much of a question is read: an alert's texts and then some.
	MaxQueryBytes = 64 << 10
	// excerptRunes is how long an excerpt of a result is at most.
	excerptRunes = 240
)

// Result is a runbook that fits.
type Result struct {
	// Path is relative to the folder of the index, with slashes.
	Path  string
	Title string
	// Score orders the results of one search; it has no unit, and scores of two
	// searches do not compare.
	Score float64
	// Excerpt is the passage that fits best, at most 240 characters on one line.
	Excerpt string
}

// Skipped counts files that looked like runbooks and are not in the index.
type Skipped struct {
	TooLong, NotText int
}

// Index is a searchable set of runbooks. It does not change after Load, so any number
// of goroutines may search it. It holds the texts: about three times the files' bytes.
type Index struct {
	docs    []document
	terms   map[string][]posting
	average float64 // weighted words a document
	skipped Skipped
}

type document struct {
	path, title string
	passages    []string
	length      float64 // weighted words
}

// posting is a document that holds a term, with the weighted count of it.
type posting struct {
	doc   int32
	count float32
}

// Load reads every *.md and *.markdown file below the root of files. Hidden folders
// are passed over; a README or _index that only lists others is a runbook like any other, and
// seldom wins. A folder without any runbook is an error, as is one with more than
// MaxFiles.
func Load(files fs.FS) (*Index, error) {
	x := &Index{terms: map[string][]posting{}}
	err := fs.WalkDir(files, ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir():
			if name != "." && strings.HasPrefix(d.Name(), ".") {
				return fs.SkipDir
			}
			return nil
		case !d.Type().IsRegular() || !isMarkdown(d.Name()):
			return nil
		case len(x.docs) == MaxFiles:
			return fmt.Errorf("more than %d runbooks: want a folder of runbooks only", MaxFiles)
		}
		return x.addFile(files, name)
	})
	if err != nil {
		return nil, err
	}
	if len(x.docs) == 0 {
		return nil, errors.New("no runbooks: want *.md files")
	}
	x.average /= float64(len(x.docs))
	return x, nil
}

func isMarkdown(name string) bool {
	ext := strings.ToLower(path.Ext(name))
	return ext == ".md" || ext == ".markdown"
}

func (x *Index) addFile(files fs.FS, name string) error {
	f, err := files.Open(name)
	if err != nil {
		return err
	}
	defer f.Close() //nolint:errcheck // opened for reading
	text, err := io.ReadAll(io.LimitReader(f, MaxFileBytes+1))
	if err != nil {
		return fmt.Errorf("read %s: %w", name, err)
	}
	switch {
	case len(text) > MaxFileBytes:
		x.skipped.TooLong++
	case !utf8.Valid(text):
		x.skipped.NotText++
	default:
		x.add(name, string(text))
	}
	return nil
}

func (x *Index) add(name, text string) {
	page := parse(text)
	counts := map[string]float32{}
	d := document{path: name, title: cmp.Or(page.title, titleOf(name)), passages: page.passages()}
	weigh(counts, d.title, weightTitle)
	if page.title != "" {
		weigh(counts, titleOf(name), weightTitle) // the file is mostly named after the alert
	}
	for _, part := range page.parts {
		weigh(counts, part.text, part.weight())
	}
	at := int32(len(x.docs))
	for term, n := range counts {
		if !isPair(term) {
			d.length += float64(n)
		}
		x.terms[term] = append(x.terms[term], posting{at, n})
	}
	x.average += d.length
	x.docs = append(x.docs, d)
}

// weigh adds the terms of text to counts, each with weight.
func weigh(counts map[string]float32, text string, weight float32) {
	eachTerm(text, func(term string) { counts[term] += weight })
}

// Len is the number of runbooks in the index.
func (x *Index) Len() int { return len(x.docs) }

// Skipped counts what Load left out.
func (x *Index) Skipped() Skipped { return x.skipped }

// Search returns the runbooks that share words with text, best first, at most limit.
// Equal scores are in the order of their paths, so an answer never changes by chance.
// Text is what is known of the trouble: the alert's name, summary and description, or a person's
// words. Of a text over MaxQueryBytes only the beginning is read.
func (x *Index) Search(text string, limit int) []Result {
	if len(text) > MaxQueryBytes {
		text = text[:MaxQueryBytes]
	}
	query := map[string]float32{}
	weigh(query, text, 1)
	scores := x.score(query)
	order := make([]int, 0, len(x.docs))
	for i, s := range scores {
		if s > 0 {
			order = append(order, i)
		}
	}
	slices.SortFunc(order, func(a, b int) int {
		return cmp.Or(cmp.Compare(scores[b], scores[a]), cmp.Compare(x.docs[a].path, x.docs[b].path))
	})
	order = order[:min(len(order), max(limit, 0))]
	results := make([]Result, len(order))
	for i, at := range order {
		d := &x.docs[at]
		results[i] = Result{Path: d.path, Title: d.title, Score: scores[at], Excerpt: x.excerpt(d, query)}
	}
	return results
}

func titleOf(name string) string {
	base := path.Base(name)
	return strings.TrimSuffix(base, path.Ext(base))
}
