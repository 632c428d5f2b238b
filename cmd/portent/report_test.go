package main

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestReport(t *testing.T) {
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Header.Get("Authorization") != "Bearer secret":
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusUnauthorized)
			_, _ = w.Write([]byte(`{"error":"who asks is not known","hint":"send a token"}`))
		case r.URL.Path == "/api/v1/incidents/01JDB2/report":
			w.Header().Set("Content-Type", "text/markdown; charset=utf-8")
			_, _ = w.Write([]byte("# Memory pressure\n"))
		default:
			w.Header().Set("Content-Type", "text/html")
		}
	}))
	t.Cleanup(receiver.Close)
	token := filepath.Join(t.TempDir(), "token")
	require.NoError(t, os.WriteFile(token, []byte("secret\n"), 0o600))

	for _, id := range []string{"01JDB2", "portent-01JDB2"} {
		code, out, errOut := call("", "report", id, "--receiver", receiver.URL, "--token-file", token)
		require.Zero(t, code, errOut)
		require.Equal(t, "# Memory pressure\n", out)
	}
	f := func(wantCode int, want string, args ...string) {
		t.Helper()
		code, out, errOut := call("", append([]string{"report"}, args...)...)
		require.Equal(t, wantCode, code, errOut)
		require.Empty(t, out)
		require.Contains(t, errOut, want)
	}
	f(exitFailure, "who asks is not known", "01JDB2", "--receiver", receiver.URL)
	f(exitFailure, "want text/markdown", "other", "--receiver", receiver.URL, "--token-file", token)
	f(exitFailure, "incident id", "..", "--receiver", receiver.URL)
	f(exitUsage, "want http://host:port", "01JDB2", "--receiver", "nowhere")
	f(exitUsage, "incident", "--receiver", receiver.URL)
	f(exitFailure, "--token-file", "x", "--token-file", token+"none")
}
