package jira_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/ticket"
	"github.com/portent-dev/portent/internal/ticket/doubletest"
	"github.com/portent-dev/portent/internal/ticket/jira"
	"github.com/portent-dev/portent/internal/ticket/jira/jiratest"
	"github.com/portent-dev/portent/internal/ticket/tickettest"
)

// TestFaultsOfCreate says for each fault what the outbox is told. Wrong, the
// columns mean two tickets for one incident, or none.
func TestFaultsOfCreate(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name      string
		fault     doubletest.Fault
		reason    ticket.Reason
		retry     bool
		ambiguous bool
		after     time.Duration
		exists    bool
	}{
		{"rate limit", doubletest.Fault{Kind: doubletest.RateLimit, RetryAfter: 5 * time.Second}, ticket.ReasonRateLimited, true, false, 5 * time.Second, false},
		{"rate limit by reset", doubletest.Fault{Kind: doubletest.RateLimit, OwnHeader: true, RetryAfter: 2 * time.Minute}, ticket.ReasonRateLimited, true, false, 2 * time.Minute, false},
		{"503 with time", doubletest.Fault{Kind: doubletest.Later, RetryAfter: 30 * time.Second}, ticket.ReasonUnavailable, true, false, 30 * time.Second, false},
		{"503", doubletest.Fault{Kind: doubletest.Status, Status: 503}, ticket.ReasonUnavailable, true, true, 0, false},
		{"500", doubletest.Fault{Kind: doubletest.Status, Status: 500}, ticket.ReasonUnavailable, true, true, 0, false},
		{"502", doubletest.Fault{Kind: doubletest.Status, Status: 502}, ticket.ReasonUnavailable, true, true, 0, false},
		{"504 after the effect", doubletest.Fault{Kind: doubletest.Gateway}, ticket.ReasonUnavailable, true, true, 0, true},
		{"408", doubletest.Fault{Kind: doubletest.Status, Status: 408}, ticket.ReasonTimeout, true, true, 0, false},
		{"401", doubletest.Fault{Kind: doubletest.Status, Status: 401}, ticket.ReasonAuth, true, false, time.Minute, false},
		{"403", doubletest.Fault{Kind: doubletest.Status, Status: 403}, ticket.ReasonPermission, true, false, time.Minute, false},
		{"409", doubletest.Fault{Kind: doubletest.Status, Status: 409}, ticket.ReasonUnavailable, true, false, 0, false},
		{"413", doubletest.Fault{Kind: doubletest.Status, Status: 413}, ticket.ReasonInvalid, false, false, 0, false},
		{"login page", doubletest.Fault{Kind: doubletest.Page, Title: "Log in with Atlassian account"}, ticket.ReasonBadAnswer, true, true, 0, false},
		{"redirect", doubletest.Fault{Kind: doubletest.Redirect}, ticket.ReasonBadAnswer, false, false, 0, false},
		{"connection closed", doubletest.Fault{Kind: doubletest.Refuse}, ticket.ReasonNetwork, true, true, 0, false},
		{"connection closed after the effect", doubletest.Fault{Kind: doubletest.Drop}, ticket.ReasonNetwork, true, true, 0, true},
		{"no answer after the effect", doubletest.Fault{Kind: doubletest.Hang}, ticket.ReasonTimeout, true, true, 0, true},
		{"half of the JSON", doubletest.Fault{Kind: doubletest.Truncate}, ticket.ReasonBadAnswer, true, true, 0, true},
		{"connection closed amid the answer", doubletest.Fault{Kind: doubletest.CutOff}, ticket.ReasonNetwork, true, true, 0, true},
		{"answer without end", doubletest.Fault{Kind: doubletest.Huge}, ticket.ReasonBadAnswer, true, true, 0, true},
		{"answer a byte at a time", doubletest.Fault{Kind: doubletest.Slow, Delay: time.Second}, ticket.ReasonTimeout, true, true, 0, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			waits := tc.fault.Kind == doubletest.Hang || tc.fault.Kind == doubletest.Slow
			r := newRig(t, func(c *jira.Config) {
				if waits {
					c.Timeout = model.Duration(10 * time.Second)
				}
			})
			tc.fault.Op = jiratest.OpCreate
			r.site.Fail(tc.fault)
			_, err := r.Create(t.Context(), tickettest.Draft("portent-1"))
			e := ticket.AsError(err)
			require.Equal(t, tc.reason, e.Reason, "%v", err)
			require.Equal(t, tc.retry, e.Retry, "%v", err)
			require.Equal(t, tc.ambiguous, e.Ambiguous, "%v", err)
			require.Equal(t, tc.after, e.RetryAfter, "%v", err)
			require.Len(t, r.site.Issues(), map[bool]int{true: 1}[tc.exists])
			require.NotContains(t, err.Error(), jiratest.Token)
			if tc.reason == ticket.ReasonRateLimited {
				require.ErrorContains(t, err, "jira-burst-based", "which of the limits it was")
			}
			require.InDelta(t, 1, testutil.ToFloat64(counter(t, r, "create issue", string(tc.reason))), 0)
			if tc.exists {
				r.settle()
				_, err = r.Find(t.Context(), "portent-1")
			} else {
				_, err = r.Create(t.Context(), tickettest.Draft("portent-1"))
			}
			require.NoError(t, err, "after the fault all is well")
		})
	}
}

// TestNothingWasSent: a failure before the request left is never ambiguous, so
// that the outbox need not wait for the search.
func TestNothingWasSent(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	create(t, r, "portent-warm")
	closed := httptest.NewServer(http.NotFoundHandler())
	closed.Close()
	for _, address := range []string{closed.URL, "https://jira.invalid"} {
		gone := newRigWith(t, func() jira.Config {
			c := jira.DefaultConfig()
			c.URL, c.Token, c.Project = address, jiratest.Token, "OPS"
			return c
		}(), r.site, r.clock)
		_, err := gone.Create(t.Context(), tickettest.Draft("portent-1"))
		e := ticket.AsError(err)
		require.Equal(t, ticket.ReasonNetwork, e.Reason, "%v", err)
		require.True(t, e.Retry)
		require.False(t, e.Ambiguous)
	}
}

func TestFaultsOfReading(t *testing.T) {
	t.Parallel()
	for _, kind := range doubletest.Kinds() {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			r := newRig(t, func(c *jira.Config) {
				if kind == doubletest.Hang || kind == doubletest.Slow {
					c.Timeout = model.Duration(10 * time.Second)
				}
			})
			made := create(t, r, "portent-1")
			r.settle()
			// Twice: Go's transport repeats a read by itself on a fresh connection.
			r.site.Fail(doubletest.Fault{Kind: kind, Times: 2, Status: 500, Delay: time.Second})
			_, err := r.Get(t.Context(), made.Ref)
			require.Error(t, err)
			require.NotErrorIs(t, err, ticket.ErrNotFound)
			require.False(t, ticket.AsError(err).Ambiguous, "reading changes nothing")
			r.site.Heal()
			r.site.Fail(doubletest.Fault{Op: jiratest.OpSearch, Kind: kind, Status: 500, Delay: time.Second})
			_, err = r.Find(t.Context(), "portent-1")
			require.Error(t, err)
			require.NotErrorIs(t, err, ticket.ErrNotFound, "not to be had is not absent: a second ticket would follow")
			require.False(t, ticket.AsError(err).Ambiguous)
		})
	}
}

// counter returns one counter of the requests.
func counter(t *testing.T, r *rig, op, outcome string) *picked {
	t.Helper()
	return &picked{r.reg, map[string]string{"operation": op, "outcome": outcome}}
}

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 22, 10, 40, 30, 0, time.UTC)
	f := func(name, value string, want time.Duration) {
		t.Helper()
		require.Equal(t, want, jira.RetryAfter(http.Header{name: {value}}, now), "%s: %s", name, value)
	}
	f("Retry-After", "5", 5*time.Second)
	f("Retry-After", "1.5", 1500*time.Millisecond)
	f("Retry-After", "0", 0)
	f("Retry-After", "86400", time.Hour)
	f("Retry-After", "1e300", time.Hour)
	f("Retry-After", "-5", 0)
	f("Retry-After", "NaN", 0)
	f("Retry-After", "soon", 0)
	f("Retry-After", "Sun, 22 Nov 2026 10:41:00 GMT", 30*time.Second)
	f("Retry-After", "Sun, 22 Nov 2026 10:00:00 GMT", time.Second)
	f("X-Ratelimit-Reset", "2026-11-22T10:45Z", 4*time.Minute+30*time.Second)
	f("X-Ratelimit-Reset", "2026-11-22T10:41:00Z", 30*time.Second)
	f("X-Ratelimit-Reset", "2026-11-22T11:41+01:00", 30*time.Second)
	f("X-Ratelimit-Reset", "2027-11-22T10:45Z", time.Hour)
	f("X-Ratelimit-Reset", "tomorrow", 0)
	f("X-Ratelimit-Remaining", "0", 0)
	require.Equal(t, 7*time.Second, jira.RetryAfter(http.Header{"Retry-After": {"7"}, "X-Ratelimit-Reset": {"2026-11-22T10:45Z"}}, now))
}

// TestHostileErrors: what a site says of an error goes to logs and pages.
func TestHostileErrors(t *testing.T) {
	t.Parallel()
	for _, body := range []string{
		`{"errorMessages":["` + strings.Repeat("long ", 10_000) + `"]}`,
		`{"errorMessages":["line\nbreak\u001b[31m\u202e"],"errors":{"summary":"x"}}`,
		`{"errorMessages":"not a list"}`, `[]`, `null`, `{`, "", "\xff\xfe", "<html><title>" + strings.Repeat("t", 100_000), strings.Repeat("<title", 1000),
	} {
		web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusBadRequest)
			_, _ = w.Write([]byte(body))
		}))
		cfg := jira.DefaultConfig()
		cfg.URL, cfg.Token, cfg.Project = web.URL, "t", "OPS"
		r := newRigWith(t, cfg, nil, newClock())
		_, err := r.Get(t.Context(), ticket.Ref{Key: "OPS-1"})
		require.Error(t, err)
		require.Less(t, len(err.Error()), 1000)
		require.False(t, strings.ContainsAny(err.Error(), "\n\x1b\u202e"), "%q", err)
		web.Close()
	}
}

// TestAnswersOfAnotherShape: valid JSON that is not what the API promises.
func TestAnswersOfAnotherShape(t *testing.T) {
	t.Parallel()
	for _, body := range []string{`[]`, `null`, `{}`, `"x"`, `{"id":7}`, `{"id":"1","key":"../x"}`, `{"id":"","key":"OPS-1"}`, `{"id":"1","key":"OPS-1","fields":[]}`} {
		web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write([]byte(body))
		}))
		cfg := jira.DefaultConfig()
		cfg.URL, cfg.Token, cfg.Project = web.URL, "t", "OPS"
		r := newRigWith(t, cfg, nil, newClock())
		_, err := r.Get(t.Context(), ticket.Ref{Key: "OPS-1"})
		require.Error(t, err, body)
		require.Equal(t, ticket.ReasonBadAnswer, ticket.AsError(err).Reason, body)
		web.Close()
	}
}
