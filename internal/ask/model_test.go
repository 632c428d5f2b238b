package ask_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/ask"
	"github.com/portent-dev/portent/internal/llm"
	"github.com/portent-dev/portent/internal/llm/openai"
	"github.com/portent-dev/portent/internal/llm/openai/openaitest"
	"github.com/portent-dev/portent/internal/ticket/doubletest"
)

// model is a Model over the rules of f that asks d.
func model(t testing.TB, f fleet, d *openaitest.Double, forced ...*labels.Matcher) (*ask.Model, *[]llm.Reason) {
	t.Helper()
	client, err := openai.New(openai.Options{URL: d.URL, Model: "small", Key: openaitest.Key, Timeout: modelTimeout})
	require.NoError(t, err)
	var failed []llm.Reason
	m, err := ask.NewModel(ask.ModelOptions{
		Rules: rules(t, f), Client: client, Gate: ask.Gate{Forced: forced}, Failed: func(r llm.Reason) { failed = append(failed, r) },
	})
	require.NoError(t, err)
	return m, &failed
}

// says is an answer of a model.
func says(t testing.TB, query string, change ...func(map[string]any)) string {
	t.Helper()
	said := map[string]any{"answerable": true, "reason": "", "language": "promql", "query": query, "graph": false, "unit": "bytes", "explanation": "as a model says it"}
	for _, f := range change {
		f(said)
	}
	text, err := json.Marshal(said)
	require.NoError(t, err)
	return string(text)
}

// modelTimeout is long enough for a busy machine; one test waits for it.
const modelTimeout = 3 * time.Second

const memoryQuestion = "which namespace uses the most memory?"

func TestModelTranslates(t *testing.T) {
	d := openaitest.Start(t)
	d.Say = func(openaitest.Request) string {
		return says(t, "topk(3, sum by (namespace) (container_memory_working_set_bytes))")
	}
	m, failed := model(t, shop, d)
	tr, err := m.Translate(t.Context(), ask.Question{Text: memoryQuestion, Now: now})
	require.NoError(t, err)
	require.Equal(t, "topk(3, sum by (namespace) (container_memory_working_set_bytes))", tr.Query)
	require.Equal(t, "model", tr.Translator)
	require.Equal(t, "as a model says it", tr.Explanation)
	require.Equal(t, "bytes", tr.Unit)
	require.Equal(t, now, tr.Time)
	require.Contains(t, tr.Alternatives[0].Explanation, "by the rules: ")
	require.Empty(t, *failed)

	asked := d.Asked()[0]
	require.Equal(t, "json_schema", asked.Format())
	require.Contains(t, asked.User(), `"name":"container_memory_working_set_bytes"`)
	require.Contains(t, asked.User(), `"labels":["cluster","container","namespace","pod"]`)
	require.NotContains(t, asked.User(), "certmanager", "only what the question is about")
}

func TestModelAgrees(t *testing.T) {
	by, err := rules(t, shop).Translate(t.Context(), ask.Question{Text: memoryQuestion, Now: now})
	require.NoError(t, err)
	d := openaitest.Start(t)
	d.Say = func(openaitest.Request) string { return "Sure!\n```json\n" + says(t, by.Query) + "\n```" }
	m, _ := model(t, shop, d)
	tr, err := m.Translate(t.Context(), ask.Question{Text: memoryQuestion, Now: now})
	require.NoError(t, err)
	require.Equal(t, by.Query, tr.Query)
	require.Equal(t, by.Concept, tr.Concept, "what the rules know stays")
	require.Equal(t, "model", tr.Translator)
}

func TestModelTriesAgainOnce(t *testing.T) {
	d := openaitest.Start(t)
	d.Say = func(r openaitest.Request) string {
		if strings.Contains(r.User(), "It was refused") {
			return says(t, "sum by (namespace) (container_memory_working_set_bytes)")
		}
		return says(t, "sum by (namespace) (memory_of_everything_bytes)")
	}
	m, failed := model(t, shop, d)
	tr, err := m.Translate(t.Context(), ask.Question{Text: memoryQuestion, Now: now})
	require.NoError(t, err)
	require.Equal(t, "sum by (namespace) (container_memory_working_set_bytes)", tr.Query)
	require.Len(t, d.Asked(), 2)
	require.Contains(t, d.Asked()[1].User(), `there is no metric \"memory_of_everything_bytes\"`)
	require.Empty(t, *failed)
}

// Whatever a model does wrong, the rules answer.
func TestModelFallsBackOnTheRules(t *testing.T) {
	by, err := rules(t, shop).Translate(t.Context(), ask.Question{Text: memoryQuestion, Now: now})
	require.NoError(t, err)
	say := func(text string) func(*openaitest.Double) {
		return func(d *openaitest.Double) { d.Say = func(openaitest.Request) string { return text } }
	}
	fault := func(k doubletest.Kind) func(*openaitest.Double) {
		return func(d *openaitest.Double) { d.Fail(doubletest.Fault{Kind: k, Status: 500, Times: 9}) }
	}
	for name, tt := range map[string]struct {
		change func(*openaitest.Double)
		want   llm.Reason
		words  string
	}{
		"invents metrics":         {say(says(t, "sum(made_up_total)")), llm.ReasonBadAnswer, "its query was refused"},
		"invents labels":          {say(says(t, `sum(container_memory_working_set_bytes{colour="red"})`)), llm.ReasonBadAnswer, "its query was refused"},
		"does not parse":          {say(says(t, "SELECT * FROM pods")), llm.ReasonBadAnswer, "its query was refused"},
		"speaks another language": {say(says(t, "up", func(m map[string]any) { m["language"] = "sql" })), llm.ReasonBadAnswer, "its query was refused"},
		"asks for everything":     {say(says(t, `{__name__=~".+"}`)), llm.ReasonBadAnswer, "its query was refused"},
		"chats":                   {say("I would rather talk about the weather."), llm.ReasonBadAnswer, "bad answer"},
		"declines":                {say(says(t, "", func(m map[string]any) { m["answerable"] = false })), llm.ReasonRefused, "it declined"},
		"fails":                   {fault(doubletest.Status), llm.ReasonServer, "server"},
		"is too slow":             {fault(doubletest.Hang), llm.ReasonTimeout, "timeout"},
		"is limited":              {fault(doubletest.RateLimit), llm.ReasonRateLimit, "rate limit"},
	} {
		t.Run(name, func(t *testing.T) {
			d := openaitest.Start(t)
			tt.change(d)
			m, failed := model(t, shop, d)
			tr, err := m.Translate(t.Context(), ask.Question{Text: memoryQuestion, Now: now})
			require.NoError(t, err)
			require.Equal(t, by.Query, tr.Query)
			require.Equal(t, "rules", tr.Translator)
			require.Contains(t, tr.Explanation, "(Without the language model: "+tt.words+".)")
			require.Equal(t, []llm.Reason{tt.want}, *failed)
		})
	}
}

func TestModelAnswersWhatTheRulesCannot(t *testing.T) {
	const question = "is anybody gobbling RAM?"
	_, err := rules(t, shop).Translate(t.Context(), ask.Question{Text: question, Now: now})
	var refusal *ask.Refusal
	require.ErrorAs(t, err, &refusal)

	d := openaitest.Start(t)
	d.Say = func(openaitest.Request) string { return says(t, "topk(5, container_memory_working_set_bytes)") }
	m, _ := model(t, shop, d)
	tr, err := m.Translate(t.Context(), ask.Question{Text: question, Now: now})
	require.NoError(t, err)
	require.Equal(t, "model", tr.Translator)

	d.Say = func(openaitest.Request) string {
		return says(t, "", func(m map[string]any) { m["answerable"], m["reason"] = false, "nobody measures gobbling" })
	}
	_, err = m.Translate(t.Context(), ask.Question{Text: question, Now: now})
	require.ErrorAs(t, err, &refusal)
}

func TestModelCannotLeaveTheScope(t *testing.T) {
	scope := labels.MustNewMatcher(labels.MatchEqual, "namespace", "blue")
	for _, query := range []string{
		`container_memory_working_set_bytes{namespace="red"}`,
		`container_memory_working_set_bytes or container_memory_working_set_bytes{namespace="red"}`,
		`max_over_time(container_memory_working_set_bytes{namespace=~".*"}[1h:1m])`,
	} {
		d := openaitest.Start(t)
		d.Say = func(openaitest.Request) string { return says(t, query) }
		m, _ := model(t, shop, d, scope)
		tr, err := m.Translate(t.Context(), ask.Question{Text: memoryQuestion, Now: now})
		require.NoError(t, err)
		require.Equal(t, strings.Count(tr.Query, "container_memory_working_set_bytes"), strings.Count(tr.Query, `namespace="blue"`), tr.Query)
	}
}

func TestModelSeesNoSecret(t *testing.T) {
	d := openaitest.Start(t)
	d.Say = func(openaitest.Request) string { return says(t, "sum(container_memory_working_set_bytes)") }
	m, _ := model(t, shop, d)
	_, err := m.Translate(t.Context(), ask.Question{Text: "memory of namespace blue, my password=hunter2-correct-horse", Now: now})
	require.NoError(t, err)
	require.NotContains(t, d.Asked()[0].User(), "hunter2")
}

func TestModelHasNoSayInTheTime(t *testing.T) {
	d := openaitest.Start(t)
	d.Say = func(openaitest.Request) string {
		return says(t, "sum by (namespace) (container_memory_working_set_bytes)", func(m map[string]any) { m["graph"] = true })
	}
	m, _ := model(t, shop, d)
	tr, err := m.Translate(t.Context(), ask.Question{Text: "memory by namespace over the last 6 hours", Now: now})
	require.NoError(t, err)
	require.Equal(t, now, tr.Range.End)
	require.Equal(t, 6*time.Hour, tr.Range.End.Sub(tr.Range.Start))
	require.True(t, tr.Timed)
}

func TestModelIsNotAskedInVain(t *testing.T) {
	d := openaitest.Start(t)
	m, _ := model(t, shop, d)
	for _, text := range []string{"", "   ", strings.Repeat("memory ", 1000)} {
		_, err := m.Translate(t.Context(), ask.Question{Text: text, Now: now})
		var refusal *ask.Refusal
		require.ErrorAs(t, err, &refusal)
	}
	require.Empty(t, d.Asked())

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := m.Translate(ctx, ask.Question{Text: memoryQuestion, Now: now})
	require.True(t, err == nil || errors.Is(err, context.Canceled))
}
