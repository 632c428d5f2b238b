package ask

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/portent-dev/portent/internal/llm"
	"github.com/portent-dev/portent/internal/llm/prompt"
	"github.com/portent-dev/portent/internal/logmine"
)

// Model translates with a language model. It is the twin of Rules, which it falls
// back on: whatever a model says goes through the same gate as a person's query, once
// refused it may try again, and when it fails, is slow or declines, the rules answer
// and the explanation says so. It is safe for concurrent use.
type Model struct {
	rules  *Rules
	client llm.Client
	gate   Gate
	prompt prompt.Template
	failed func(llm.Reason)
}

var _ Translator = (*Model)(nil)

// ModelOptions are those of a Model. Rules and Client are needed.
type ModelOptions struct {
	Rules  *Rules
	Client llm.Client
	// Gate is what queries are held to. Its catalogs are those of Rules where it has none.
	Gate Gate
	// Failed is told why the model did not answer; nil is nobody.
	Failed func(llm.Reason)
}

// NewModel returns a translator by a model.
func NewModel(o ModelOptions) (*Model, error) {
	p, err := prompt.Get("ask", 0)
	if err != nil {
		return nil, fmt.Errorf("BUG: built-in prompt: %w", err)
	}
	if o.Failed == nil {
		o.Failed = func(llm.Reason) {}
	}
	if o.Gate.Metrics == nil {
		o.Gate.Metrics = o.Rules.catalog
	}
	if o.Gate.Logs == nil {
		o.Gate.Logs = o.Rules.logs
	}
	return &Model{rules: o.Rules, client: o.Client, gate: o.Gate, prompt: p, failed: o.Failed}, nil
}

// modelName is the Translator of its translations.
const modelName = "model"

// modelAnswer is what a model is to say.
type modelAnswer struct {
	Answerable  bool   `json:"answerable"`
	Reason      string `json:"reason"`
	Language    string `json:"language"`
	Query       string `json:"query"`
	Graph       bool   `json:"graph"`
	Unit        string `json:"unit"`
	Explanation string `json:"explanation"`
}

// Translate implements Translator.
func (m *Model) Translate(ctx context.Context, q Question) (Translation, error) {
	byRules, rulesErr := m.rules.Translate(ctx, q)
	if rulesErr != nil && !isRefusal(rulesErr) {
		return byRules, rulesErr // the servers failed: a model would know no more
	}
	whole := cmp.Or(byRules.Text, normalize(q.Text))
	if whole == "" || len(q.Text) > maxQuestionBytes {
		return byRules, rulesErr
	}
	said, err := m.ask(ctx, q, whole, byRules)
	var declined *Refusal
	switch {
	case err == nil:
		return m.finish(said, byRules), nil
	case errors.As(err, &declined) && rulesErr != nil:
		return byRules, rulesErr // both say no; the rules know what is near
	case ctx.Err() != nil:
		return byRules, ctx.Err()
	}
	if rulesErr == nil {
		byRules.Explanation = strings.TrimSpace(byRules.Explanation + " (Without the language model: " + whyNot(err) + ".)")
	}
	return byRules, rulesErr
}

// whyNot says in a few words why there is no answer of the model.
func whyNot(err error) string {
	var e *llm.Error
	var v *Violation
	switch {
	case errors.As(err, &e):
		return strings.ReplaceAll(string(e.Reason), "_", " ")
	case errors.As(err, &v):
		return "its query was refused"
	default:
		return "it declined"
	}
}

// ask puts the question to the model, and once more with what was wrong.
func (m *Model) ask(ctx context.Context, q Question, whole string, byRules Translation) (Translation, error) {
	about, err := m.rules.about(ctx, whole)
	if err != nil {
		return Translation{}, err
	}
	about.Question = logmine.Redact(whole)
	about.Draft = byRules.Query
	var fault error
	for range 2 {
		said, err := m.complete(ctx, about)
		if err != nil {
			m.failed(llm.ReasonOf(err))
			return Translation{}, err
		}
		if !said.Answerable {
			m.failed(llm.ReasonRefused)
			return Translation{}, &Refusal{Reason: cmp.Or(cutText(said.Reason, maxSaid), "the language model found no answer in what is measured")}
		}
		tr := m.translation(q, said, byRules)
		checked, err := m.gate.Check(ctx, tr)
		if err == nil {
			tr.Query = checked.Query
			return tr, nil
		}
		var v *Violation
		if !errors.As(err, &v) {
			return Translation{}, err
		}
		fault = v
		about.Last, about.Fault = said.Query, v.Reason
	}
	m.failed(llm.ReasonBadAnswer)
	return Translation{}, fault
}

// maxSaid bounds what is shown of a model's own words.
const maxSaid = 300

// complete asks once and reads the answer.
func (m *Model) complete(ctx context.Context, about aboutQuestion) (modelAnswer, error) {
	p, err := m.prompt.Render(about)
	if err != nil {
		return modelAnswer{}, fmt.Errorf("BUG: %w", err)
	}
	answer, err := m.client.Complete(ctx, p)
	if err != nil {
		return modelAnswer{}, err
	}
	var said modelAnswer
	// A model that was not held to JSON puts words or a fence around it.
	text := answer.Text
	if from, to := strings.IndexByte(text, '{'), strings.LastIndexByte(text, '}'); from >= 0 && to > from {
		text = text[from : to+1]
	}
	if err := json.Unmarshal([]byte(text), &said); err != nil {
		return modelAnswer{}, &llm.Error{Reason: llm.ReasonBadAnswer, Err: errors.New("the answer is not the JSON that was asked for")}
	}
	return said, nil
}

// translation makes a Translation of what was said. The time is never the model's to say: it is that
// of the question as the rules read it.
func (m *Model) translation(q Question, said modelAnswer, byRules Translation) Translation {
	when, _ := takeWhen(normalize(q.Text), q)
	tr := Translation{
		Text: cmp.Or(byRules.Text, normalize(q.Text)), Language: Language(strings.ToLower(said.Language)), Query: strings.TrimSpace(said.Query),
		Time: q.Now.Add(-when.end), Timed: when.told, Unit: cutText(said.Unit, 20),
		Explanation: cutText(said.Explanation, maxSaid), Concept: "", Translator: modelName,
	}
	logLines := tr.Language == LogQL && strings.HasPrefix(tr.Query, "{")
	if said.Graph || logLines {
		w := cmp.Or(when.window, time.Hour)
		tr.Range = &Range{Start: tr.Time.Add(-w), End: tr.Time, Step: stepOf(w)}
		if logLines {
			tr.Range.Step = 0
		}
	}
	return tr
}

// stepOf is a resolution that gives a graph some hundred points.
func stepOf(w time.Duration) time.Duration {
	return max(15*time.Second, (w / 200).Round(15*time.Second))
}

// finish adds the rules' reading to the model's.
func (m *Model) finish(said, byRules Translation) Translation {
	if byRules.Query == "" {
		return said
	}
	if byRules.Query == said.Query {
		// Both understood the same: what the rules know of it is surer.
		byRules.Translator, byRules.Explanation = modelName, cmp.Or(said.Explanation, byRules.Explanation)
		return byRules
	}
	said.Alternatives = append([]Reading{{Query: byRules.Query, Explanation: "by the rules: " + byRules.Explanation}}, byRules.Alternatives...)
	said.Alternatives = said.Alternatives[:min(len(said.Alternatives), 3)]
	return said
}

// aboutQuestion fills the prompt in: the question and the part of the catalogs that it may be about.
type aboutQuestion struct {
	Question string
	Metrics  []aboutMetric
	Names    []aboutName
	Streams  []aboutStream
	Draft    string
	// Last and Fault are of the query before, and what was wrong with it.
	Last, Fault string
}

type aboutMetric struct {
	Name   string   `json:"name"`
	Type   string   `json:"type,omitempty"`
	Help   string   `json:"help,omitempty"`
	Unit   string   `json:"unit,omitempty"`
	Labels []string `json:"labels,omitempty"`
}

type aboutName struct {
	Label string `json:"label"`
	Value string `json:"value"`
}

type aboutStream struct {
	Label  string   `json:"label"`
	Values []string `json:"values,omitempty"`
}

// Bounds of what a model sees: what fits a small one, and is all that a question is about.
const (
	aboutMetrics = 40
	aboutLabels  = 15 // metrics whose labels are told: each may cost a call
	aboutNames   = 20
	aboutStreams = 15 // labels of streams
	aboutValues  = 12 // of one of them
	aboutHelp    = 160
)

// about collects what the question may be about.
func (t *Rules) about(ctx context.Context, norm string) (aboutQuestion, error) {
	var out aboutQuestion
	_, rest := takeWhen(norm, Question{})
	in, rest := takeIntent(rest)
	words := cutWords(rest)
	if t.catalog != nil {
		mend(words, t.knows, t.know.vocabulary)
		names, err := t.metricsAbout(ctx, norm, words, in)
		if err != nil {
			return out, err
		}
		s := t.catalog.now.Load()
		for i, n := range names {
			m := aboutMetric{Name: n, Type: s.metrics[n].Type, Help: cutText(s.metrics[n].Help, aboutHelp), Unit: s.metrics[n].Unit}
			if i < aboutLabels {
				if m.Labels, err = t.catalog.LabelsOf(ctx, n); err != nil {
					return out, err
				}
			}
			out.Metrics = append(out.Metrics, m)
		}
		out.Names = t.namesAbout(words)
	}
	if t.logs != nil {
		out.Streams = t.logs.about(words)
	}
	return out, nil
}

// metricsAbout are the metrics of the concepts that the words may mean, then those whose names share words
// with the question, the rarest words first.
func (t *Rules) metricsAbout(ctx context.Context, norm string, words []word, in intent) ([]string, error) {
	found, err := t.match(ctx, norm, words, in)
	if err != nil {
		return nil, err
	}
	var out []string
	add := func(name string) {
		if len(out) < aboutMetrics && !slices.Contains(out, name) {
			out = append(out, name)
		}
	}
	for _, c := range found {
		for _, m := range c.c.metrics {
			add(m)
		}
	}
	s := t.catalog.now.Load()
	score := map[string]float64{}
	for _, w := range words {
		hits := s.words[w.stem]
		if stopWords[w.text] || len(hits) > maxNameHits {
			continue
		}
		for _, m := range hits {
			score[m] += 1 / float64(1+len(hits))
		}
	}
	byName := make([]string, 0, len(score))
	for m := range score {
		byName = append(byName, m)
	}
	slices.SortFunc(byName, func(a, b string) int { return cmp.Or(cmp.Compare(score[b], score[a]), strings.Compare(a, b)) })
	for _, m := range byName {
		add(m)
	}
	return out, nil
}

// namesAbout are the label values that words of the question name.
func (t *Rules) namesAbout(words []word) []aboutName {
	var out []aboutName
	for _, w := range words {
		n, ok := t.catalog.labelled(w.text)
		if !ok || stopWords[w.text] {
			continue
		}
		for _, l := range n.labels {
			if len(out) == aboutNames {
				return out
			}
			out = append(out, aboutName{Label: l, Value: n.cased})
		}
	}
	return out
}

// about are the labels of streams, with the values that words of the question are in first.
func (l *Logs) about(words []word) []aboutStream {
	var out []aboutStream
	for _, label := range l.labels {
		if len(out) == aboutStreams {
			break
		}
		s := aboutStream{Label: label}
		for _, named := range []bool{true, false} {
			for _, v := range l.values[label] {
				is := slices.ContainsFunc(words, func(w word) bool { return len(w.text) > 2 && strings.Contains(strings.ToLower(v), w.text) })
				if is == named && len(s.Values) < aboutValues {
					s.Values = append(s.Values, v)
				}
			}
		}
		out = append(out, s)
	}
	return out
}

// cutText bounds text of strangers by runes, on one line.
func cutText(s string, limit int) string {
	r := []rune(strings.Join(strings.Fields(s), " "))
	if len(r) > limit {
		return string(r[:limit-1]) + "…"
	}
	return string(r)
}
