package logquery_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/e2e/servertest"
	"github.com/portent-dev/portent/internal/logmine"
	"github.com/portent-dev/portent/internal/logquery"
	"github.com/portent-dev/portent/internal/lokiapi"
)

// stored is a line as it was sent to Loki.
type stored struct {
	at     time.Time
	stream string // its app
	text   string
}

// push stores lines in a Loki.
func push(t *testing.T, url string, lines []stored) {
	t.Helper()
	for batch := range slices.Chunk(lines, 5000) {
		streams := map[string][][2]string{}
		for _, l := range batch {
			streams[l.stream] = append(streams[l.stream], [2]string{strconv.FormatInt(l.at.UnixNano(), 10), l.text})
		}
		type stream struct {
			Stream map[string]string `json:"stream"`
			Values [][2]string       `json:"values"`
		}
		var body struct {
			Streams []stream `json:"streams"`
		}
		for app, values := range streams {
			body.Streams = append(body.Streams, stream{map[string]string{"app": app, "namespace": "test"}, values})
		}
		raw, err := json.Marshal(body)
		require.NoError(t, err)
		resp, err := http.Post(url+"/loki/api/v1/push", "application/json", bytes.NewReader(raw))
		require.NoError(t, err)
		var text bytes.Buffer
		_, err = text.ReadFrom(resp.Body)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		require.Equal(t, http.StatusNoContent, resp.StatusCode, text.String())
	}
}

// mixed returns lines of every form that must be found again: headers of several
// kinds, JSON with escapes, logfmt, texts that look like queries, blanks and quotes.
func mixed(from time.Time, n int) []stored {
	var out []stored
	for i := range n {
		at := from.Add(time.Duration(i) * 100 * time.Millisecond)
		iso := at.Format("2006-01-02T15:04:05.000Z07:00")
		quoted, _ := json.Marshal(fmt.Sprintf(`user "u%d" said <b>hi</b> & left C:\tmp\%d`, i, i))
		for _, text := range []string{
			fmt.Sprintf("%s INFO  [worker-%d] c.a.Cart - Added item %d to cart %x", iso, i%3, i, i*7919),
			fmt.Sprintf("%s INFO  [worker-%d] c.a.Cart - Added item %d to cart %x in shop eu", iso, i%3, i, i*7919),
			fmt.Sprintf("%s ERROR [worker-%d] c.a.Cart - Could not add item %d: connection to 10.0.%d.%d:5432 refused", iso, i%3, i, i%250, i%200),
			fmt.Sprintf(`{"ts":%q,"level":"warn","msg":%s,"n":%d}`, iso, quoted, i),
			fmt.Sprintf(`{"level":"info","ts":%q,"msg":"request done","status":200,"took":"%dms"}`, iso, i),
			fmt.Sprintf(`ts=%s level=info msg="cache  %d hit for key=%d"`, iso, i, i*3),
			fmt.Sprintf(`ts=%s level=debug msg=ping peer=n%d`, iso, i%9),
			fmt.Sprintf("GET /api/v1/items/%d HTTP/1.1 200 %d", i, i*11),
			fmt.Sprintf("drop `a` | json \"x\" {%d} \\d+ (%d|%d) [a-z]*$ ^ end", i, i, i*2),
			fmt.Sprintf("naïve café №%d ☕ took %dms", i, i),
		} {
			out = append(out, stored{at, "mixed", text})
		}
		if i%5 == 0 {
			out = append(out, stored{at, "mixed", fmt.Sprintf("item %d", i)}, stored{at, "mixed", fmt.Sprintf("Added item %d", i)})
		}
	}
	return out
}

// TestQueriesOnARealLoki: the query behind each pattern gives that pattern's lines,
// all of them and no others, by the real server's reading of it.
func TestQueriesOnARealLoki(t *testing.T) {
	server := servertest.Loki(t, servertest.Config{})
	from := time.Now().Add(-20 * time.Minute).Truncate(time.Second)
	lines := mixed(from, 60)
	for i := range 900 { // whole seconds: every minute has lines at its very edge
		lines = append(lines, stored{from.Truncate(time.Minute).Add(time.Duration(i-60) * time.Second), "edges", fmt.Sprintf("tick %d", i)})
	}
	lines = append(lines, loghub(t, from)...)
	push(t, server.URL, lines)
	client, err := lokiapi.New(lokiapi.Options{URL: server.URL})
	require.NoError(t, err)
	w := logquery.Window{From: from.Add(-time.Minute), To: from.Add(time.Hour)}

	edged := logquery.Window{From: from.Truncate(time.Minute).Add(-time.Minute), To: from.Truncate(time.Minute).Add(10 * time.Minute)}
	src, err := logquery.NewLoki(client, `{app="edges"}`)
	require.NoError(t, err)
	a, err := logquery.Run(t.Context(), logquery.Stored{Store: src}, logquery.Request{Window: edged})
	require.NoError(t, err)
	require.Equal(t, int64(660), a.Read.Lines)
	require.Equal(t, int64(660), a.Read.Of, "what is counted is what is read, at edges too")

	for _, query := range []string{`{app="mixed"}`, `{app="mixed"} |~ "(?i)item|msg" != "ping" # only these`, `({namespace="test", app=~"loghub.*"})`} {
		src, err := logquery.NewLoki(client, query)
		require.NoError(t, err)
		a, err := logquery.Run(t.Context(), logquery.Stored{Store: src}, logquery.Request{Window: w, Patterns: 1000})
		require.NoError(t, err)
		require.Empty(t, a.Read.Partial)
		require.Equal(t, a.Read.Of, a.Read.Lines)
		sum := a.Other
		exact, short := 0, 0
		for i, p := range a.Entries {
			sum += p.Count
			if p.Query.Note != "" {
				t.Logf("not exact: %s %q: %s\n  %s", p.ID, p.Template, p.Query.Note, p.Query.Text)
				continue
			}
			require.True(t, p.Query.Exact, p.Template)
			exact++
			if strings.Contains(p.Query.Text, "|>") {
				short++
			}
			if i%8 != 0 && len(a.Entries) > 100 {
				continue // asking for each of hundreds takes a minute
			}
			narrow, err := logquery.NewLoki(client, p.Query.Text)
			require.NoError(t, err, p.Query.Text)
			b, err := logquery.Run(t.Context(), logquery.Stored{Store: narrow}, logquery.Request{Window: w, Patterns: 1000})
			require.NoError(t, err, p.Query.Text)
			require.Equal(t, p.Count, b.Total, "%s: %s", p.Template, p.Query.Text)
		}
		require.Equal(t, a.Total, sum, "counts add up")
		t.Logf("%s: %d patterns, %d exact, %d by a pattern filter", query, len(a.Entries), exact, short)
		require.GreaterOrEqual(t, float64(exact)/float64(len(a.Entries)), 0.9)
	}
}

// loghub returns lines of real systems, of which the bench has labelled samples; none
// where it is not there.
func loghub(t *testing.T, from time.Time) (out []stored) {
	t.Helper()
	dir := os.Getenv("PORTENT_BENCH")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "shared", "bench")
	}
	files, err := filepath.Glob(filepath.Join(dir, "data", "logs", "*", "*_2k.log"))
	require.NoError(t, err)
	for _, f := range files {
		raw, err := os.ReadFile(f)
		require.NoError(t, err)
		seen := map[string]bool{}
		for i, text := range strings.Split(strings.TrimSpace(string(raw)), "\n") {
			text = strings.TrimRight(text, "\r")
			if strings.TrimSpace(text) == "" || seen[text] || !strings.HasPrefix(text, strings.ToValidUTF8(text, "")) {
				continue
			}
			if r := logmine.Parse(text); strings.TrimSpace(r.Message) == "" {
				continue
			}
			seen[text] = true
			out = append(out, stored{from.Add(time.Duration(i) * time.Millisecond), "loghub-" + filepath.Base(filepath.Dir(f)), text})
		}
	}
	return out
}
