package app

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/incidentapi"
	"github.com/portent-dev/portent/internal/ticket/jira/jiratest"
)

// TestARequestOfServiceManagement: the configuration is checked without asking anybody, held to the service desk at start, and an
// alert becomes a request.
func TestARequestOfServiceManagement(t *testing.T) {
	site, jira := jiratest.Start(t, jiratest.Options{Projects: []jiratest.Project{jiratest.ServiceProject("ITSM")}})
	config := func(requestType string) string {
		return fmt.Sprintf("trackers:\n  - type: jira\n    name: itsm\n    jira: {url: %q, email: %s, token: %s, project: ITSM, service_management: {request_type: %q}}\n",
			jira, jiratest.Email, jiratest.Token, requestType)
	}
	o, _ := options(t, config(""))
	require.ErrorContains(t, Check(o.ConfigFile, ""), "service_management.request_type: is missing")
	o, _ = options(t, config("Outage"))
	require.NoError(t, Check(o.ConfigFile, ""), "nobody is asked")
	_, err := New(t.Context(), o)
	require.ErrorContains(t, err, `no request type "Outage"; it has "Get help", "Report a system problem"`)

	o, _ = options(t, config("Report a system problem"))
	_, url := running(t, o)
	code, body := post(t, url+hook, notice("PaymentsDown"))
	require.Equal(t, 200, code, body)
	c, err := incidentapi.New(incidentapi.Options{URL: url})
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		page, err := c.List(t.Context(), incidentapi.ListOptions{})
		return err == nil && len(page.Incidents) == 1 && len(page.Incidents[0].Tickets) == 1 && page.Incidents[0].Tickets[0].Key == "ITSM-1"
	}, 20*time.Second, 20*time.Millisecond)
	i := site.Issue("ITSM-1")
	require.Equal(t, "[Auto] Payments down - shop namespace", i.Summary)
	require.Contains(t, i.Labels, "auto-generated")
}
