package ask_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/e2e/servertest"
	"github.com/portent-dev/portent/internal/ask"
)

// accepted is LogQL that a Loki runs, most of it as its own documentation has it.
var accepted = []string{
	`{app="cart"}`, `{app="cart",env=~"pro.*"}`, `{app!="cart", env="prod"}`, "{app=`cart`} # a comment", "{app=\"cart\"} // another\n|= \"order\"", `({app="cart"} |= "order")`,
	`{app="cart"} |= "order" != "debug" |~ "or[d]er" !~ "x{3}"`, `{app="cart"} |= "order" or "error"`, `{app="cart"} != "order" or "error"`, `{app="cart"} |~ "a" or "b" or "o"`,
	`{app="cart"} |= ip("10.0.0.0/8")`, `{app="cart"} != ip("10.0.0.1-10.0.0.9")`, `{app="cart"} |= ip("10.1.2.3") or "order"`, `{app="cart"} |= "order" or ip("::1")`,
	`{app="cart"} |> "<_>order=<_>"`, `{app="cart"} !> "<_>order=<_>"`, `{app="cart"} |> "<_>a" or "<_>b"`, `{app="cart"} |= ""`, `{app="cart"} |> ""`,
	`{app="cart"} | logfmt`, `{app="cart"} | LOGFMT`, `{app="cart"} | logfmt --strict`, `{app="cart"} | logfmt --keep-empty --strict`, `{app="cart"} | logfmt order, took="took_ms"`,
	`{app="cart"} | logfmt --strict order="order"`, `{app="pay"} | json`, `{app="pay"} | json who="user.name", first="items[0]", x="user[\"name\"]"`, `{app="pay"} | json user`,
	`{app="pay"} | unpack`, `{app="cart"} | regexp "order=(?P<order>\\d+)"`, "{app=\"cart\"} | pattern `level=<level> msg=<_> order=<order> <_>`",
	`{app="cart"} | logfmt | level="error"`, `{app="cart"} | logfmt | level=~"err.*|warn" | order > 3`, `{app="cart"} | logfmt | order >= 3 and order < 5`,
	`{app="cart"} | logfmt | order = 3`, `{app="cart"} | logfmt | order != 3`, `{app="cart"} | logfmt | order == 3 or order == 4`, `{app="cart"} | logfmt | order > -1`,
	`{app="cart"} | logfmt | level="error" or order > 3 and took="1ms"`, `{app="cart"} | logfmt | (level="error" or order > 3) and order < 9`, `{app="cart"} | logfmt | level="error", order > 3`,
	`{app="cart"} | logfmt | level="error" order > 3`, `{app="cart"} | logfmt | level="error" or order > 3, order < 5 or order > 7`, `{app="cart"} | logfmt | order > 1 and order > 2, order < 5 or order > 7`,
	`{app="cart"} | logfmt | took > 10ms`, `{app="cart"} | logfmt | took <= 1.5s`, `{app="cart"} | logfmt | took != 1m30s`, `{app="cart"} | logfmt | size > 5KB`, `{app="cart"} | logfmt | size >= 1.5MiB or size == 20B`,
	`{app="cart"} | logfmt | addr = ip("10.0.0.0/8")`, `{app="cart"} | logfmt | addr != ip("10.0.0.1")`, `{app="cart"} | logfmt | __error__=""`,
	`{app="cart"} | line_format "{{.app}}"`, "{app=\"cart\"} | logfmt | line_format `{{.level | ToUpper}} {{ if eq .level \"error\" }}!{{ end }} {{ __line__ | trunc 5 }}`", `{app="cart"} | line_format "{{ __timestamp__ | date \"15:04\" }}"`,
	`{app="cart"} | logfmt | label_format lvl=level`, "{app=\"cart\"} | logfmt | label_format lvl=`{{.level}}-{{.app}}`, other=order", `{app="cart"} | decolorize`,
	`{app="cart"} | logfmt | keep level`, `{app="cart"} | logfmt | keep level, order=~"1.*"`, `{app="cart"} | logfmt | drop level, took`, `{app="cart"} | logfmt | drop level="error"`,
	`{app="cart"} | logfmt | duration > 1`, `{app="cart"} | logfmt | bytes = "x"`, `{app="cart"} | logfmt | rate = "x"`,
	`rate({app="cart"}[5m])`, `RATE({app="cart"}[5m])`, `count_over_time({app="cart"} |= "order" [5m])`, `count_over_time({app="cart"}[5m] |= "order")`, `count_over_time({app="cart"}[5m] offset 1m |= "order")`,
	`count_over_time(({app="cart"} |= "order")[5m])`, `count_over_time(({app="cart"})[5m])`, `count_over_time((({app="cart"}[5m])))`, `count_over_time({app="cart"}[5m] offset 10m)`, `count_over_time({app="cart"}[1h30m] offset -5m)`,
	`bytes_rate({app="cart"}[5m])`, `bytes_over_time({app="cart"}[1d])`, `absent_over_time({app="nope"}[5m])`, `absent_over_time({app="cart"} | logfmt | unwrap order [5m])`,
	`sum_over_time({app="cart"} | logfmt | unwrap order [5m])`, `avg_over_time({app="cart"} | logfmt | unwrap duration(took) [5m]) by (app)`, `max_over_time({app="cart"} | logfmt | unwrap bytes(size) | __error__="" [5m]) without (level)`,
	`min_over_time({app="cart"} | logfmt | unwrap duration_seconds(took) | __error__="" | level="info" or level="error" [5m]) by ()`, `quantile_over_time(0.99, {app="cart"} | logfmt | unwrap order [5m]) by (level)`,
	`first_over_time({app="cart"} | logfmt | unwrap order [5m])`, `last_over_time({app="cart"}[5m] | logfmt | unwrap order)`, `stddev_over_time(({app="cart"} | logfmt | unwrap order)[5m])`, `stdvar_over_time({app="cart"} | logfmt | unwrap order [5m])`,
	`rate({app="cart"} | logfmt | unwrap order [5m])`, `rate_counter({app="cart"} | logfmt | unwrap order [5m])`,
	`sum(rate({app="cart"}[5m]))`, `sum by (app) (rate({app=~".+"}[5m]))`, `sum(rate({app=~".+"}[5m])) by (app, env)`, `avg without (env) (rate({app=~".+"}[5m]))`, `count(rate({app=~".+"}[5m]))`, `stddev(rate({app=~".+"}[5m]))`,
	`topk(2, sum by (app) (bytes_rate({app=~".+"}[5m])))`, `bottomk by (env) (1, bytes_rate({app=~".+"}[5m]))`, `sort(sum by (app) (bytes_rate({app=~".+"}[5m])))`, `sort_desc(bytes_rate({app=~".+"}[5m]))`, `sum(rate({app="cart"}[5m])) by ()`, `SUM BY (app) (rate({app="cart"}[5m]))`,
	`sum(rate({app="cart"}[5m])) / sum(rate({app=~".+"}[5m])) * 100`, `sum by (app) (rate({app=~".+"}[5m])) / on (app) group_left (env) sum by (app, env) (rate({app=~".+"}[5m]))`,
	`sum by (app) (rate({app=~".+"}[5m])) > bool 0.1`, `sum by (app) (rate({app=~".+"}[5m])) > 0.1 and on (app) sum by (app) (rate({app="cart"}[5m]))`, `rate({app="cart"}[5m]) or rate({app="pay"}[5m])`, `rate({app=~".+"}[5m]) unless rate({app="pay"}[5m])`,
	`sum(rate({app="cart"}[5m])) - 2 ^ 3 ^ 2 + 4 * 5 % 3`, `sum(rate({app="cart"} != "x" [5m])) != 3`, `sum by (app) (rate({app="cart"}[5m])) + ignoring (env) sum by (app) (rate({app="cart"}[5m]))`, `1 + 1`, `-5 * sum(rate({app="cart"}[5m]))`, `vector(1)`, `sum(rate({app="nope"}[5m])) or vector(0)`,
	`label_replace(rate({app="cart"}[5m]), "a", "$1", "app", "(.*)")`, `sum by (a) (label_replace(rate({app="cart"}[5m]), "a", "x-$1", "app", "c(.*)"))`, `count_over_time({app="cart"} | logfmt | label_format x=level | drop took [5m])`,
}

// refused is what a Loki refuses.
var refused = []string{
	``, `{}`, `{`, `{app}`, `{app="cart"`, `{app=cart}`, `{app=~"("}`, `{app=~".*"}`, `{app!="cart"}`, `{app="cart"} |`, `{app="cart"} | bogus`, `{app="cart"} extra`, `{app="cart"} |~ "("`, `{app="cart"} |= order`, "{app=\"cart\"} |= `x",
	`{json="x"}`, `{app="cart"} | json="x"`, `{app="cart"} |= ip("nonsense")`, `{app="cart"} |~ ip("10.0.0.1")`, `{app="cart"} |= ip("10.0.0.9-10.0.0.1")`, `{app="cart"} |> "<_><_>"`, `{app="cart"} |> "<name>x"`,
	`{app="cart"} | regexp "x"`, `{app="cart"} | regexp "(x)"`, `{app="cart"} | regexp "(?P<a>x)(?P<a>y)"`, `{app="cart"} | regexp "("`, `{app="cart"} | pattern "x"`, `{app="cart"} | pattern "<a><b>"`, `{app="cart"} | pattern "<_> x"`, `{app="cart"} | pattern "<a> <a>"`,
	`{app="cart"} | line_format "{{.x"`, `{app="cart"} | line_format "{{ nosuch .x }}"`, `{app="cart"} | line_format x`, `{app="cart"} | label_format a=b,a=c`, `{app="cart"} | label_format __error__=b`, "{app=\"cart\"} | label_format a=`{{`", `{app="cart"} | label_format a`,
	`{app="cart"} | json a="b..c"`, `{app="cart"} | json a=`, `{app="cart"} | json a,`, `{app="cart"} | logfmt --nope`, `{app="cart"} | logfmt a="="`, `{app="cart"} | unpack x`, `{app="cart"} | decolorize x`, `{app="cart"} | drop`, `{app="cart"} | keep "x"`,
	`{app="cart"} | level`, `{app="cart"} | level >`, `{app="cart"} | level > "x"`, `{app="cart"} | level =~ 5`, `{app="cart"} | order > 3 or`, `{app="cart"} | (order > 3`, `{app="cart"} | addr = ip("x")`, `{app="cart"} | addr > ip("10.0.0.1")`, `{app="cart"} | unwrap x`,
	`rate({app="cart"})`, `rate({app="cart"}[5])`, `rate({app="cart"}[ 5m])`, `rate({app="cart"}[5m:1m])`, `rate({app="cart"}[5m])[5m]`, `rate({app="cart"}[5m] offset 1x)`, `rate(5m, {app="cart"}[5m])`, `rate({app="cart"}[5m]) by (app)`, `count_over_time({app="cart"} | unwrap x [5m])`,
	`sum_over_time({app="cart"}[5m])`, `avg_over_time({app="cart"} | unwrap nosuch(x) [5m])`, `quantile_over_time({app="cart"} | unwrap x [5m])`, `sum({app="cart"})`, `sum(5, rate({app="cart"}[5m]))`, `topk(rate({app="cart"}[5m]))`, `topk(0, rate({app="cart"}[5m]))`, `topk(1.5, rate({app="cart"}[5m]))`,
	`sort(rate({app="cart"}[5m])) by (app)`, `nosuch({app="cart"}[5m])`, `{app="cart"} + 1`, `{app="cart"} or {app="pay"}`, `rate({app="cart"}[5m]) or 1`, `rate({app="cart"}[5m]) and (1 + 1)`, `rate({app="cart"}[5m]) + on app rate({app="cart"}[5m])`, `rate({app="cart"}[5m]) + group_left rate({app="cart"}[5m])`,
	`label_replace({app="cart"}, "a", "b", "c", "d")`, `label_replace(rate({app="cart"}[5m]), "a", "b", "c", "(")`, `vector({app="cart"})`, `vector(rate({app="cart"}[5m]))`, `rate({}[5m])`, `sum(rate({app=~".*"}[5m]))`, `sum by app (rate({app="cart"}[5m]))`, `sum by (app (rate({app="cart"}[5m]))`,
}

// TestLogQLOnRealLoki: what Loki runs is read here, what it refuses is refused, and what is printed means the same to it.
func TestLogQLOnRealLoki(t *testing.T) {
	l := newLogQLLoki(t)
	require.GreaterOrEqual(t, len(accepted)+len(refused), 200)
	found := 0
	for _, text := range accepted {
		status, want := l.run(t, text)
		require.Equal(t, http.StatusOK, status, "%s: %s", text, want)
		e, err := ask.ParseLogQL(text)
		require.NoError(t, err, text)
		status, got := l.run(t, e.String())
		require.Equal(t, http.StatusOK, status, "%s: %s", e, got)
		require.JSONEq(t, want, got, "%s\n%s", text, e)
		if want != "[]" {
			found++
		}
		again, err := ask.ParseLogQL(e.String())
		require.NoError(t, err, e)
		require.Equal(t, e.String(), again.String())
	}
	require.Greater(t, found, len(accepted)*3/4, "most find something, so that what they mean is compared")
	for _, text := range refused {
		status, body := l.run(t, text)
		require.NotEqual(t, http.StatusOK, status, "%s: %s", text, body)
		e, err := ask.ParseLogQL(text)
		if err == nil { // selectors of everything are the gate's business, which says so in its words
			_, err = ask.Gate{}.Check(t.Context(), ask.Translation{Language: ask.LogQL, Query: text, Time: l.end})
		}
		require.Error(t, err, "%s: %v", text, e)
	}
}

// TestScopeOnRealLoki: no query that the gate lets through reads a stream outside the forced scope, whatever its author
// tries.
func TestScopeOnRealLoki(t *testing.T) {
	l := newLogQLLoki(t)
	gate := ask.Gate{Forced: []*labels.Matcher{labels.MustNewMatcher(labels.MatchEqual, "app", "pay")}}
	hostile := []string{
		`{app="cart"}`, `{app=~"cart|pay"}`, `{env="prod"}`, `{env="prod"} |= "order" or "u1"`, `{env="prod"} # {app="pay"}`, "{env=\"prod\"} // } {app=\"pay\"}\n|= `order`", `{env="prod"} | logfmt | app="cart" or app="pay"`,
		`{env="prod"} | label_format app="pay"`, `{env="prod"} | drop app`, `{env="prod"} | line_format "{{.app}} {{__line__}}"`, `{app="pay", app="cart"}`, `{app!="pay", env="prod"}`, `{app=~"pay", env="prod"} |= "}" or "{app=\"cart\"}"`,
		`label_replace(count_over_time({env="prod"}[5m]), "app", "pay", "app", "cart")`, `count_over_time({env="prod"}[5m]) or count_over_time({app="cart"}[5m])`, `count_over_time({env="prod"}[5m]) unless count_over_time({app="pay"}[5m])`,
		`sum by (app) (count_over_time({env="prod"}[5m])) * on () group_left (app) sum by (app) (count_over_time({app="cart"}[5m]))`, `topk(5, sum by (app) (count_over_time({app=~".+"}[5m] |= "order")))`,
		`absent_over_time({app="cart"}[5m]) or label_replace(vector(1), "x", "", "", "")`, `max_over_time({app=~"c.*"}[5m] offset 0s | logfmt | unwrap order)`, `count_over_time((({env="prod"} |~ ".*"))[5m])`,
	}
	for _, text := range append(hostile, accepted...) {
		checked, err := gate.Check(t.Context(), ask.Translation{Language: ask.LogQL, Query: text, Time: l.end})
		if err != nil {
			var v *ask.Violation
			require.ErrorAs(t, err, &v, text)
			continue
		}
		status, got := l.run(t, checked.Query)
		if status != http.StatusOK { // the two sides of an operation may be the same series now, which is an answer too
			require.Contains(t, got, "multiple matches", checked.Query)
		}
		require.NotContains(t, got, "an order", checked.Query)
		var series []struct{ Metric, Stream map[string]string }
		if status == http.StatusOK && json.Unmarshal([]byte(got), &series) == nil {
			for _, s := range series {
				require.NotEqual(t, "cart", s.Stream["app"], checked.Query)
				if !strings.Contains(text, "absent") { // names the matchers that found nothing
					require.NotEqual(t, "cart", s.Metric["app"], checked.Query)
				}
			}
		}
		selectors := strings.Count(regexp.MustCompile(`"(?:[^"\\]|\\.)*"`).ReplaceAllString(checked.Query, ""), "{")
		require.GreaterOrEqual(t, strings.Count(checked.Query, `app="pay"`), selectors, checked.Query)
	}
}

type logQLLoki struct {
	url string
	end time.Time
}

// newLogQLLoki starts a Loki with lines of two programs.
func newLogQLLoki(t *testing.T) logQLLoki {
	t.Helper()
	l := logQLLoki{
		url: servertest.Loki(t, servertest.Config{Args: []string{"-querier.query-ingesters-within=0s", "-validation.reject-old-samples=false", "-querier.cache-results=false"}}).URL,
		end: time.Now().UTC().Truncate(time.Minute),
	}
	type stream struct {
		Stream map[string]string `json:"stream"`
		Values [][2]string       `json:"values"`
	}
	cart, pay := stream{Stream: map[string]string{"app": "cart", "env": "prod"}}, stream{Stream: map[string]string{"app": "pay", "env": "prod"}}
	for i := range 12 {
		at := strconv.FormatInt(l.end.Add(time.Duration(i-13)*10*time.Second).UnixNano(), 10)
		level := []string{"info", "error", "warn"}[i%3]
		cart.Values = append(cart.Values, [2]string{at, fmt.Sprintf("level=%s msg=\"an order\" order=%d took=%dms size=%dKB addr=10.0.%d.1 \x1b[31mred\x1b[0m", level, i, 5*i, i, i)})
		pay.Values = append(pay.Values, [2]string{at, fmt.Sprintf(`{"level":%q,"user":{"name":"u%d"},"items":[%d,2]}`, level, i%2, i)})
	}
	body, err := json.Marshal(map[string]any{"streams": []stream{cart, pay}})
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, l.url+"/loki/api/v1/push", bytes.NewReader(body))
		require.NoError(t, err)
		req.Header.Set("Content-Type", "application/json")
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return false
		}
		defer resp.Body.Close()
		return resp.StatusCode == http.StatusNoContent
	}, time.Minute, 200*time.Millisecond)
	require.Eventually(t, func() bool {
		status, body := l.run(t, `{app="pay"}`)
		return status == http.StatusOK && body != "[]"
	}, time.Minute, 200*time.Millisecond)
	return l
}

// run asks for the range of the lines and returns the status with the result, or with what Loki says.
func (l logQLLoki) run(t *testing.T, query string) (int, string) {
	t.Helper()
	params := url.Values{
		"query": {query}, "limit": {"100"}, "step": {"30"},
		"start": {strconv.FormatInt(l.end.Add(-5*time.Minute).UnixNano(), 10)}, "end": {strconv.FormatInt(l.end.UnixNano(), 10)},
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, l.url+"/loki/api/v1/query_range?"+params.Encode(), http.NoBody)
	require.NoError(t, err)
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(resp.Body, 4<<20))
	require.NoError(t, err)
	var answer struct {
		Data struct {
			Result json.RawMessage `json:"result"`
		} `json:"data"`
	}
	if resp.StatusCode != http.StatusOK || json.Unmarshal(raw, &answer) != nil {
		return resp.StatusCode, string(raw)
	}
	return resp.StatusCode, string(answer.Data.Result)
}
