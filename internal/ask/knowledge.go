package ask

import (
	"embed"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"

	"github.com/prometheus/prometheus/promql/parser"
	"go.yaml.in/yaml/v3"
)

//go:embed knowledge/*.yml
var files embed.FS

// concept is a thing that people ask for and the metrics that carry it. One of
// State, Gauge, Counter, Histogram or Expr says how.
type concept struct {
	Name string `yaml:"name"`
	// Say lists phrases that mean the concept: a question must have all words of one
	// of them. a|b is one word or the other.
	Say []string `yaml:"say"`
	// Of are the kinds of thing it is a property of: node, pod, service, …
	Of []string `yaml:"of"`
	// By are the labels that tell its things apart, in order.
	By []string `yaml:"by"`
	// State is a series that is 1 while true; Is is another condition (== 0, > 0).
	State string `yaml:"state"`
	Is    string `yaml:"is"`
	// Gauge is a value as it is; Counter a counter to take the rate of; Histogram
	// the name of one, without _bucket; Expr an expression as it is.
	Gauge     string `yaml:"gauge"`
	Counter   string `yaml:"counter"`
	Histogram string `yaml:"histogram"`
	Expr      string `yaml:"expr"`
	// Native is a histogram whose buckets are in its samples.
	Native string `yaml:"native"`
	// Summary is one with quantiles of its own, and a _sum and a _count.
	Summary string `yaml:"summary"`
	// Per divides by another gauge or counter: a ratio.
	Per string `yaml:"per"`
	// Plus is added to the counter to divide by: hits by hits and misses.
	Plus string `yaml:"plus"`
	// Minus is a gauge that is taken off: what is left of all there is.
	Minus string `yaml:"-"`
	// Than is how the value is set against that of Per: "<" or ">", in place of a ratio.
	Than string `yaml:"-"`
	// OneMinus gives the complement of a ratio: used out of free.
	OneMinus bool `yaml:"one_minus"`
	// Agg is how values of several series become one: sum (default), avg, max, min.
	Agg string `yaml:"agg"`
	// Unit of the result: bytes, ratio, seconds, …
	Unit string `yaml:"unit"`
	// Free is the gauge that runs out, for forecasts.
	Free string `yaml:"free"`
	// Above is the threshold of "high", "close to", where the question gives none.
	Above float64 `yaml:"above"`
	// Event marks a counter of single events: asked for as how many, not how fast.
	Event bool `yaml:"event"`
	// Age is a Unix time in seconds: Since asks how long ago, Until how long still.
	Since string `yaml:"since"`
	Until string `yaml:"until"`
	// Value labels that the words of the question choose: word to matcher.
	Where map[string]string `yaml:"where"`
	// Prefer lists labels for names, before the usual order.
	Prefer []string `yaml:"prefer"`
	// Rank asks for the highest even where the question does not say so.
	Rank bool `yaml:"rank"`

	unlisted  bool         // made of a metric's name: no file says it
	inventory bool         // its phrases are nothing but the nouns of its things
	phrases   [][][]string // Say, cut: phrase, word, alternatives
	roots     [][][]string // the same, without the endings of verbs and nouns
	metrics   []string
}

// knowledge is all concepts, with the weight of each word: rare words say more.
type knowledge struct {
	concepts   []*concept
	weight     map[string]float64
	rare       float64 // weight of a word that only rareIn concepts have: a reading that leaves it aside is another question's
	vocabulary []string
}

// readKnowledge reads the built-in files and checks every expression in them.
func readKnowledge() (*knowledge, error) {
	k := &knowledge{weight: map[string]float64{}}
	entries, err := files.ReadDir("knowledge")
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		f, err := files.Open("knowledge/" + e.Name())
		if err != nil {
			return nil, err
		}
		d := yaml.NewDecoder(f)
		d.KnownFields(true)
		var list []*concept
		if err := d.Decode(&list); err != nil && !errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("knowledge/%s: %w", e.Name(), err)
		}
		if err := f.Close(); err != nil {
			return nil, err
		}
		for _, c := range list {
			if err := c.prepare(); err != nil {
				return nil, fmt.Errorf("knowledge/%s: %s: %w", e.Name(), c.Name, err)
			}
			k.concepts = append(k.concepts, c)
		}
	}
	k.weigh()
	return k, nil
}

func (c *concept) prepare() error {
	for _, s := range c.Say {
		var phrase, roots [][]string
		for _, w := range strings.Fields(s) {
			var alt, rooted []string
			for _, a := range strings.Split(w, "|") {
				alt, rooted = append(alt, stem(a)), append(rooted, rootOf(stem(a)))
			}
			phrase, roots = append(phrase, alt), append(roots, rooted)
		}
		c.phrases, c.roots = append(c.phrases, phrase), append(c.roots, roots)
	}
	c.inventory = c.State != "" && len(c.phrases) > 0 && !slices.ContainsFunc(c.phrases, func(p [][]string) bool {
		return slices.ContainsFunc(p, func(alt []string) bool {
			_, kind := kindWords[alt[0]]
			return !kind && alt[0] != "kubernetes"
		})
	})
	n := 0
	for _, e := range [...]string{c.State, c.Native, c.Gauge, c.Counter, c.Expr, c.Per, c.Minus, c.Plus, c.Free, c.Since, c.Until} {
		if e == "" {
			continue
		}
		n++
		expr, err := parser.NewParser(parser.Options{}).ParseExpr(e)
		if err != nil {
			return fmt.Errorf("%q: %w", e, err)
		}
		c.metrics = append(c.metrics, metricsOf(expr)...)
	}
	if c.Histogram != "" {
		n++
		c.metrics = append(c.metrics, c.Histogram+"_bucket")
	}
	if c.Summary != "" {
		n++
		c.metrics = append(c.metrics, c.Summary+"_sum", c.Summary+"_count")
	}
	if n == 0 {
		return errors.New("says nothing about metrics")
	}
	slices.Sort(c.metrics)
	c.metrics = slices.Compact(c.metrics)
	return nil
}

// rootOf is the root of a word of the knowledge; "" of a noun for things, which stands only for itself: a server
// does not serve.
func rootOf(w string) string {
	if _, kind := kindWords[w]; kind {
		return ""
	}
	return root(w)
}

func metricsOf(e parser.Expr) []string {
	var out []string
	parser.Inspect(e, func(n parser.Node, _ []parser.Node) error {
		if v, ok := n.(*parser.VectorSelector); ok {
			out = append(out, v.Name)
		}
		return nil
	})
	return out
}

// rareIn is in how many concepts a word is that tells what is asked for: "temperature" is, "usage" is not.
const rareIn = 6

// weigh gives each word of the phrases the weight log(1 + N/n): n of N concepts
// have it.
func (k *knowledge) weigh() {
	n := map[string]int{}
	for _, c := range k.concepts {
		seen := map[string]bool{}
		for _, p := range c.phrases {
			for _, alt := range p {
				for _, w := range alt {
					seen[w] = true
				}
			}
		}
		for w := range seen {
			n[w]++
		}
	}
	k.rare = math.Log(1 + float64(len(k.concepts))/rareIn)
	for w, in := range n {
		k.weight[w] = math.Log(1 + float64(len(k.concepts))/float64(in))
		k.vocabulary = append(k.vocabulary, w)
	}
	for w := range kindWords {
		if n[w] == 0 {
			k.vocabulary = append(k.vocabulary, w)
		}
	}
	slices.Sort(k.vocabulary)
}
