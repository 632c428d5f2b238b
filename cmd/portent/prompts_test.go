package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/llm/openai/openaitest"
	"github.com/portent-dev/portent/internal/llm/prompt"
)

func TestPromptsList(t *testing.T) {
	code, out, errOut := call("", "prompts", "list")
	require.Zero(t, code, errOut)
	require.Contains(t, out, "ask@1")
	require.Contains(t, out, "a question in plain English")
}

func TestPromptsTestByRecordedAnswers(t *testing.T) {
	for _, args := range [][]string{{}, {"ask"}, {"ask@1"}} {
		code, out, errOut := call("", append([]string{"prompts", "test"}, args...)...)
		require.Zero(t, code, errOut)
		require.Contains(t, out, "ok    ask@1  a gauge by namespace")
		require.NotContains(t, out, "FAIL")
	}
}

func TestPromptsTestByAModel(t *testing.T) {
	d := openaitest.Start(t)
	all, err := prompt.All()
	require.NoError(t, err)
	said := map[string]string{} // by what is asked
	for _, p := range all {
		cases, err := p.Cases()
		require.NoError(t, err)
		for _, c := range cases {
			rendered, err := p.Render(c.Data)
			require.NoError(t, err)
			said[rendered.User] = c.Answer
			if c.Name == "a gauge by namespace" {
				said[rendered.User] = `{"answerable":false}`
			}
		}
	}
	d.Say = func(r openaitest.Request) string { return said[r.User()] }
	key := filepath.Join(t.TempDir(), "key")
	require.NoError(t, os.WriteFile(key, []byte(openaitest.Key+"\n"), 0o600))
	code, out, errOut := call("", "prompts", "test", "--model-url", d.URL, "--model", "small", "--model-key-file", key)
	require.Equal(t, exitFailure, code)
	require.Contains(t, out, "FAIL  ask@1  a gauge by namespace\n        answerable is \"false\", want \"true\"")
	require.Equal(t, len(said)-1, strings.Count(out, "ok    "))
	require.Contains(t, errOut, fmt.Sprintf("1 of %d cases failed", len(said)))
	require.Len(t, d.Asked(), len(said))
}

func TestPromptsDiff(t *testing.T) {
	code, out, errOut := call("", "prompts", "diff", "ask@1")
	require.Zero(t, code, errOut)
	p, err := prompt.Get("ask", 0)
	require.NoError(t, err)
	require.Equal(t, p.Version > 1, out != "", "one version does not differ from itself")
}

func TestPromptsWrongUsage(t *testing.T) {
	f := func(want string, args ...string) {
		t.Helper()
		code, _, errOut := call("", append([]string{"prompts"}, args...)...)
		require.Equal(t, exitUsage, code, errOut)
		require.Contains(t, errOut, want)
	}
	f("no prompt", "test", "nothing")
	f("want NAME or NAME@VERSION", "test", "ask@x")
	f("want NAME@VERSION to compare with", "diff", "ask")
	f("make no sense without --model-url", "test", "--model", "m")
	f("name of the language model", "test", "--model-url", "http://127.0.0.1:1/v1")
}
