package web_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/portent-dev/portent/internal/web"
)

func TestSecretNeverPrints(t *testing.T) {
	type holder struct {
		Token web.Secret `yaml:"token" json:"token"`
	}
	h := holder{"hunter2"}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		require.NotContains(t, fmt.Sprintf(verb, h), "hunter2", verb)
		require.NotContains(t, fmt.Sprintf(verb, h.Token), "hunter2", verb)
		require.NotContains(t, fmt.Sprintf(verb, h.Token), "68756e", verb)
	}
	j, err := json.Marshal(h)
	require.NoError(t, err)
	require.JSONEq(t, `{"token":"<secret>"}`, string(j))
	y, err := yaml.Marshal(h)
	require.NoError(t, err)
	require.Equal(t, "token: <secret>\n", string(y))
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "token", h.Token, "holder", h)
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "token", h.Token, "holder", h)
	require.NotContains(t, log.String(), "hunter2")
	require.Equal(t, "hunter2", h.Token.Reveal())
	require.Empty(t, fmt.Sprint(web.Secret("")))
}

func TestReadSecret(t *testing.T) {
	dir := t.TempDir()
	write := func(name, content string) string {
		p := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(p, []byte(content), 0o600))
		return p
	}
	f := func(inline web.Secret, file, want string) {
		t.Helper()
		got, err := web.ReadSecret(inline, file)
		require.NoError(t, err)
		require.Equal(t, want, got.Reveal())
	}
	f("", "", "")
	f("abc", "", "abc")
	f("", write("a", "abc\n"), "abc")
	f("", write("b", " a b \r\n"), " a b ")

	bad := func(inline web.Secret, file, want string) {
		t.Helper()
		_, err := web.ReadSecret(inline, file)
		require.ErrorContains(t, err, want)
		require.NotContains(t, err.Error(), "hunter2")
	}
	bad("hunter2", write("c", "hunter2"), "not both")
	bad("", write("d", "\n"), "is empty")
	bad("", write("e", strings.Repeat("hunter2", 10_000)), "is over")
	bad("", filepath.Join(dir, "none"), "no such file")
}

func TestReloader(t *testing.T) {
	var next int
	var loadErr, prepareErr error
	var applied []int
	r := web.NewReloader(
		func() (int, error) { return next, loadErr },
		func(c int) (func(), error) { return func() { applied = append(applied, c) }, prepareErr })

	next = 1
	require.NoError(t, r.Reload())
	require.Equal(t, 1, r.Current())

	next, loadErr = 2, errors.New("not YAML")
	require.EqualError(t, r.Reload(), "not YAML")
	loadErr, prepareErr = nil, errors.New("no such host")
	require.EqualError(t, r.Reload(), "apply configuration: no such host")
	require.Equal(t, 1, r.Current())
	require.Equal(t, []int{1}, applied)

	prepareErr = nil
	require.NoError(t, r.Reload())
	require.Equal(t, 2, r.Current())
	require.Equal(t, []int{1, 2}, applied)
}

func TestJSONNeverAnswersHalf(t *testing.T) {
	w := httptest.NewRecorder()
	web.JSON(w, 200, map[string]any{"f": func() {}})
	require.Equal(t, 500, w.Code)
	require.Contains(t, w.Body.String(), `"error":"encode answer:`)

	w = httptest.NewRecorder()
	web.Error(w, 400, errors.New("<script> & \"quotes\""), "")
	require.JSONEq(t, `{"error":"<script> & \"quotes\"","hint":""}`, w.Body.String())
	require.Equal(t, "application/json; charset=utf-8", w.Header().Get("Content-Type"))
}
