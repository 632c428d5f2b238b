package e2e_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/e2e/servertest"
	"github.com/portent-dev/portent/internal/ticket/doubletest"
	"github.com/portent-dev/portent/internal/ticket/jira/jiratest"
)

// The receiver is killed when it has taken a notification and no ticket exists that it knows of. What it acknowledged is done after
// the restart, once.
func TestReceiverKilledBeforeTheTicket(t *testing.T) {
	t.Parallel()
	t.Run("while Jira is down", func(t *testing.T) {
		t.Parallel()
		jira, address := jiratest.Start(t, jiratest.Options{SearchLag: 2 * time.Second})
		jira.Fail(doubletest.Fault{Kind: doubletest.Status, Status: http.StatusBadGateway, Times: 1 << 30})
		receiver, alertmanager := withJira(t, address, 5*time.Second)
		fire(t, alertmanager, "DiskFull", time.Time{})
		acknowledged(t, alertmanager)

		receiver.Kill()
		jira.Heal()
		receiver.Restart()
		oneIssue(t, jira, receiver, 5*time.Second)
	})
	t.Run("while Jira does not answer to what it did", func(t *testing.T) {
		t.Parallel()
		jira, address := jiratest.Start(t, jiratest.Options{SearchLag: 2 * time.Second})
		jira.Fail(doubletest.Fault{Op: jiratest.OpCreate, Kind: doubletest.Hang, Times: 1})
		receiver, alertmanager := withJira(t, address, 5*time.Second)
		fire(t, alertmanager, "DiskFull", time.Time{})
		eventually(t, "the create", func() string {
			if n := len(jira.Issues()); n != 1 {
				return fmt.Sprintf("%d issues", n)
			}
			return ""
		})

		receiver.Kill() // the issue exists, and nobody told the receiver
		receiver.Restart()
		oneIssue(t, jira, receiver, 5*time.Second)
	})
}

// Two Alertmanagers that do not know of each other, with addresses of their own, send the same group. That is one incident and one
// ticket, also when both resolve it.
func TestAlertmanagerPairSendsTwice(t *testing.T) {
	t.Parallel()
	jira, address := jiratest.Start(t, jiratest.Options{SearchLag: time.Second})
	receiver, first := withJira(t, address, 2*time.Second)
	second := servertest.Alertmanager(t, servertest.Config{
		YAML: fmt.Sprintf(alertmanagerConfig, receiver.Port), Args: []string{"--web.external-url=http://alertmanager-b.example:9093"},
	})
	start := time.Now().Truncate(time.Millisecond)
	for _, alertmanager := range []*servertest.Server{first, second} {
		post(t, alertmanager, "DiskFull", start, time.Time{})
	}
	for _, alertmanager := range []*servertest.Server{first, second} {
		acknowledged(t, alertmanager)
	}
	oneIssue(t, jira, receiver, 5*time.Second)

	for _, alertmanager := range []*servertest.Server{first, second} {
		post(t, alertmanager, "DiskFull", start, time.Now())
	}
	eventually(t, "a resolved incident with a closed issue", func() string {
		all, issues := incidents(t, receiver), jira.Issues()
		if len(all) != 1 || all[0].Status != "resolved" || len(issues) != 1 || issues[0].Category != "done" {
			return fmt.Sprintf("incidents: %+v, issues: %s", all, describe(issues))
		}
		return ""
	})
	require.Equal(t, 1, jira.Sent(jiratest.OpCreate))
}

// Jira makes the issue, the connection breaks before the answer, and its search finds the issue 30 seconds late. The receiver must
// look for as long before it may believe that there is none.
func TestJiraLosesTheAnswerAndFindsLate(t *testing.T) {
	t.Parallel()
	const lag = 30 * time.Second
	jira, address := jiratest.Start(t, jiratest.Options{SearchLag: lag})
	jira.Fail(doubletest.Fault{Op: jiratest.OpCreate, Kind: doubletest.Drop, Times: 1})
	receiver, alertmanager := withJira(t, address, lag+10*time.Second)
	fire(t, alertmanager, "DiskFull", time.Time{})
	oneIssue(t, jira, receiver, 15*time.Second)
	require.Equal(t, 1, jira.Sent(jiratest.OpCreate), "asked for it once, and found it")
}

// withJira starts a receiver that files in a Jira whose search lags so long at most, and an Alertmanager that notifies it.
func withJira(t testing.TB, address string, searchLag time.Duration) (receiver, alertmanager *servertest.Server) {
	t.Helper()
	receiver = startReceiver(t, fmt.Sprintf(jiraConfig, address, jiratest.Email, jiratest.Token, searchLag))
	alertmanager = servertest.Alertmanager(t, servertest.Config{YAML: fmt.Sprintf(alertmanagerConfig, receiver.Port)})
	return receiver, alertmanager
}

const jiraConfig = `
trackers:
  - name: jira
    type: jira
    jira: {url: "%s", email: "%s", token: "%s", project: OPS, search_lag: %s}
outbox: {call_timeout: 5s}
triage: {resolve_after: 5s}
`

// fire posts an alert to an Alertmanager that begins now, or that ended.
func fire(t testing.TB, alertmanager *servertest.Server, name string, end time.Time) {
	t.Helper()
	post(t, alertmanager, name, time.Now(), end)
}

func post(t testing.TB, alertmanager *servertest.Server, name string, start, end time.Time) {
	t.Helper()
	alert := map[string]any{
		"labels":      map[string]string{"alertname": name, "severity": "critical", "namespace": "shop", "job": "node", "instance": "a:9100"},
		"annotations": map[string]string{"summary": "The disk of a:9100 is full"},
		"startsAt":    start.UTC().Format(time.RFC3339Nano),
	}
	if !end.IsZero() {
		alert["endsAt"] = end.UTC().Format(time.RFC3339Nano)
	}
	body, err := json.Marshal([]any{alert})
	require.NoError(t, err)
	resp, err := http.Post(alertmanager.URL+"/api/v2/alerts", "application/json", bytes.NewReader(body))
	require.NoError(t, err)
	resp.Body.Close()
	require.Equal(t, http.StatusOK, resp.StatusCode)
}

// acknowledged waits until an Alertmanager has a 200 for a notification, and none was lost.
func acknowledged(t testing.TB, alertmanager *servertest.Server) {
	t.Helper()
	eventually(t, "a notification", func() string {
		metrics := read(t, alertmanager.URL+"/metrics")
		sent := metric(metrics, `alertmanager_notifications_total{integration="webhook"}`)
		for _, reason := range []string{"clientError", "serverError", "other"} {
			if n := metric(metrics, `alertmanager_notifications_failed_total{integration="webhook",reason="`+reason+`"}`); n != "" && n != "0" {
				return n + " notifications failed: " + reason
			}
		}
		if sent == "" || sent == "0" {
			return "sent: " + sent
		}
		return ""
	})
}

// describe names issues without their texts.
func describe(issues []jiratest.Issue) string {
	var all []string
	for _, i := range issues {
		all = append(all, fmt.Sprintf("%s (%s, %v)", i.Key, i.Status, i.Labels))
	}
	return strings.Join(all, "; ")
}

// oneIssue waits until the receiver knows of a ticket, and checks that there is one and stays one.
func oneIssue(t testing.TB, jira *jiratest.Server, receiver *servertest.Server, watch time.Duration) {
	t.Helper()
	key := ""
	eventually(t, "an incident with a ticket", func() string {
		all := incidents(t, receiver)
		if len(all) != 1 || len(all[0].Tickets) != 1 || all[0].Tickets[0].Key == "" {
			return fmt.Sprintf("incidents: %+v", all)
		}
		key = all[0].Tickets[0].Key
		return ""
	})
	always(t, "one issue", watch, func() string {
		if issues := jira.Issues(); len(issues) != 1 || issues[0].Key != key {
			return fmt.Sprintf("issues: %s, the incident knows %s", describe(issues), key)
		}
		return ""
	})
	issue := jira.Issues()[0]
	require.True(t, slices.ContainsFunc(issue.Labels, func(l string) bool { return l == "portent-"+incidents(t, receiver)[0].ID }),
		"the incident's key stands on the ticket: %v", issue.Labels)
}
