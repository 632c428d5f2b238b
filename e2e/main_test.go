// Package e2e tells whole stories on real servers: what is scraped becomes a score, a rule's alert, an incident and a ticket, and
// what goes wrong on the way loses and doubles nothing. Prometheus, Alertmanager and Loki are real; only the target that is watched
// and Jira are doubles, the latter held to the vendor's description.
//
// `go tool mage servers` builds the real servers beforehand; the first run does it otherwise, which takes long.
package e2e_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/e2e/servertest"
	"github.com/portent-dev/portent/internal/incidentapi"
)

const (
	// soon is how long a story waits for its next step. Every step takes a few seconds on an idle machine; the rest is for one
	// with two slow processors that does other things too.
	soon = 2 * time.Minute
	// poll is how often it looks.
	poll = 250 * time.Millisecond
)

// built are our own programs, built once for all stories.
var built struct {
	once sync.Once
	dir  string
	err  error
}

func TestMain(m *testing.M) {
	if flag := os.Getenv("PORTENT_TEST_MACHINE"); flag != "" { // the test binary plays node_exporter
		os.Stderr.WriteString(playMachine(flag).Error())
		os.Exit(1)
	}
	code := m.Run()
	if built.dir != "" {
		os.RemoveAll(built.dir)
	}
	os.Exit(code)
}

// program builds our programs and returns the path of one. PORTENT_BIN names a folder where they are built already.
func program(t testing.TB, name string) string {
	t.Helper()
	if dir := os.Getenv("PORTENT_BIN"); dir != "" {
		return filepath.Join(dir, name)
	}
	built.once.Do(func() {
		//nolint:usetesting // the folder serves all stories and outlives the first
		if built.dir, built.err = os.MkdirTemp("", "portent-e2e-"); built.err != nil {
			return
		}
		for name, pkg := range map[string]string{"portent-exporter": "exporter", "portent-receiver": "alertmanager-receiver"} {
			out, err := exec.Command("go", "build", "-o", filepath.Join(built.dir, name), "../"+pkg).CombinedOutput()
			if err != nil {
				built.err = &exec.Error{Name: "go build " + pkg, Err: err}
				os.Stderr.Write(out)
				return
			}
		}
	})
	require.NoError(t, built.err)
	return filepath.Join(built.dir, name)
}

// runIn runs a program in a folder and returns what it says.
func runIn(dir, path string, args ...string) (string, error) {
	cmd := exec.Command(path, args...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// file reads a file of the checkout.
func file(t testing.TB, parts ...string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(append([]string{".."}, parts...)...))
	require.NoError(t, err)
	return string(b)
}

// eventually waits until the condition holds, which it tells by returning "", or fails with what it told last.
func eventually(t testing.TB, what string, condition func() string) {
	t.Helper()
	end := time.Now().Add(soon)
	for tick := time.NewTicker(poll); ; <-tick.C {
		last := condition()
		if last == "" {
			return
		}
		if time.Now().After(end) {
			require.FailNow(t, what+" did not happen within "+soon.String(), last)
		}
	}
}

// always checks that the condition holds for a while: what must not happen is looked for as long as it could.
func always(t testing.TB, what string, length time.Duration, condition func() string) {
	t.Helper()
	end := time.Now().Add(length)
	for tick := time.NewTicker(poll); time.Now().Before(end); <-tick.C {
		if now := condition(); now != "" {
			require.FailNow(t, what+" did not hold", now)
		}
	}
}

// get reads an address and decodes its JSON.
func get(t testing.TB, address string, into any) {
	t.Helper()
	body := read(t, address)
	require.NoError(t, json.Unmarshal([]byte(body), into), "%s answered %s", address, body)
}

// read reads an address that answers 200.
func read(t testing.TB, address string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	require.NoError(t, err)
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, resp.StatusCode, "%s answered %s", address, b)
	return string(b)
}

// query asks Prometheus for an instant vector: label sets with their values as text.
func query(t testing.TB, prometheus *servertest.Server, promql string) []vector {
	t.Helper()
	var answer struct{ Data struct{ Result []vector } }
	get(t, prometheus.URL+"/api/v1/query?"+url.Values{"query": {promql}}.Encode(), &answer)
	return answer.Data.Result
}

type vector struct {
	Metric map[string]string
	Value  [2]any
}

// client is the receiver's API.
func client(t testing.TB, receiver *servertest.Server) *incidentapi.Client {
	t.Helper()
	c, err := incidentapi.New(incidentapi.Options{URL: receiver.URL})
	require.NoError(t, err)
	return c
}

// incidents are all that the receiver lists.
func incidents(t testing.TB, receiver *servertest.Server) []incidentapi.Incident {
	t.Helper()
	page, err := client(t, receiver).List(t.Context(), incidentapi.ListOptions{})
	require.NoError(t, err)
	require.Nil(t, page.Next)
	return page.Incidents
}

// metric is the value of a series in a text exposition, "" when it is not there.
func metric(exposition, series string) string {
	for line := range strings.Lines(exposition) {
		if value, ok := strings.CutPrefix(line, series+" "); ok {
			return strings.TrimSpace(value)
		}
	}
	return ""
}
