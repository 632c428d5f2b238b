package jira_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/ticket"
	"github.com/portent-dev/portent/internal/ticket/doubletest"
	"github.com/portent-dev/portent/internal/ticket/jira"
	"github.com/portent-dev/portent/internal/ticket/jira/jiratest"
	"github.com/portent-dev/portent/internal/ticketrest"
)

func TestCheck(t *testing.T) {
	t.Parallel()
	field := func(id string, f jiratest.Field) func(*jiratest.Project) {
		return func(p *jiratest.Project) { p.Screen[id] = f }
	}
	without := func(id string) func(*jiratest.Project) {
		return func(p *jiratest.Project) { delete(p.Screen, id) }
	}
	deny := func(keys ...string) func(*jiratest.Project) {
		return func(p *jiratest.Project) { p.Denied = keys }
	}
	for _, tc := range []struct {
		name     string
		project  func(*jiratest.Project)
		config   func(*jira.Config)
		problems []string
		warnings []string
	}{
		{name: "all well"},
		{name: "wrong token", config: func(c *jira.Config) { c.Email = "other@example.com" }, problems: []string{"the credentials are refused"}},
		{name: "no such project", config: func(c *jira.Config) { c.Project = "OPPS" }, problems: []string{"project: OPPS does not exist"}},
		{name: "no such other project", config: func(c *jira.Config) { c.OtherProjects = []string{"SUP"} }, problems: []string{"other_projects: SUP does not exist"}},
		{name: "archived project", project: func(p *jiratest.Project) { p.Archived = true }, problems: []string{"OPS is archived"}},
		{name: "no such issue type", config: func(c *jira.Config) { c.IssueType = "Störung" }, problems: []string{`no issue type "Störung"; it has "Task", "Bug", "Incident"`}},
		{name: "no permission to create", project: deny("CREATE_ISSUES"), problems: []string{"needs the permission to create issues"}},
		{name: "no labels on the screen", project: without("labels"), problems: []string{"no field Labels"}},
		{name: "no description on the screen", project: without("description"), warnings: []string{"no field Description"}},
		{name: "no priority on the screen", project: without("priority"), warnings: []string{"no field Priority"}},
		{name: "required field", project: field("customfield_10010", jiratest.Field{Name: "Team", Required: true}), problems: []string{"requires customfield_10010 (Team)"}},
		{name: "required field with a value", project: field("customfield_10010", jiratest.Field{Name: "Team", Required: true}), config: func(c *jira.Config) { c.Fields = map[string]any{"customfield_10010": "SRE"} }},
		{name: "required field with a default", project: field("customfield_10010", jiratest.Field{Name: "Team", Required: true, HasDefault: true})},
		{name: "field not on the screen", config: func(c *jira.Config) { c.Fields = map[string]any{"customfield_1": "x"} }, problems: []string{"customfield_1 is not on the create screen"}},
		{name: "team field not on the screen", config: func(c *jira.Config) { c.TeamFields = map[string]map[string]any{"checkout": {"customfield_1": "x"}} }, problems: []string{"team_fields.checkout: customfield_1 is not on the create screen"}},
		{name: "no such priority", config: func(c *jira.Config) { c.Priorities = map[string]string{"critical": "P1", "info": ""} }, problems: []string{`critical is mapped to "P1"`, `it has "Highest", "High"`}},
		{name: "priorities not listed", project: field("priority", jiratest.Field{Name: "Priority"}), warnings: []string{"does not list its priorities"}},
		{name: "no permission to comment", project: deny("ADD_COMMENTS"), problems: []string{"lacks the permission ADD_COMMENTS"}},
		{name: "no permission to link or edit", project: deny("LINK_ISSUES", "EDIT_ISSUES"), warnings: []string{"EDIT_ISSUES", "LINK_ISSUES"}},
		{name: "no status done", project: func(p *jiratest.Project) { p.Statuses = p.Statuses[:2]; p.Transitions = p.Transitions[:2] }, warnings: []string{"no status of category done"}},
		{name: "no such status", config: func(c *jira.Config) { c.ResolvedStatus, c.ReopenedStatus = "Closed", "Done" }, problems: []string{`no status "Closed" of category done; it has "Done", "Won't do"`, `no status "Done" of category new or indeterminate`}},
		{name: "statuses by name", config: func(c *jira.Config) { c.ResolvedStatus, c.ReopenedStatus = "won't do", "in progress" }},
		{name: "several at once", project: deny("ADD_COMMENTS"), config: func(c *jira.Config) { c.Priorities = map[string]string{"info": "P9"}; c.ResolvedStatus = "Closed" }, problems: []string{"P9", "ADD_COMMENTS", "Closed"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			p := jiratest.DefaultProject("OPS")
			if tc.project != nil {
				tc.project(&p)
			}
			r := newRig(t, tc.config, p)
			warnings, err := r.Check(t.Context())
			if len(tc.problems) == 0 {
				require.NoError(t, err)
			} else {
				ce, ok := errors.AsType[*ticketrest.CheckError](err)
				require.True(t, ok, "%v", err)
				require.NotContains(t, err.Error(), jiratest.Token)
				for _, want := range tc.problems {
					require.Contains(t, strings.Join(ce.Problems, "\n"), want)
				}
			}
			require.Len(t, warnings, len(tc.warnings))
			for _, want := range tc.warnings {
				require.Contains(t, strings.Join(warnings, "\n"), want)
			}
			require.Empty(t, r.site.Issues(), "a check changes nothing")
			for _, op := range []string{jiratest.OpCreate, jiratest.OpComment, jiratest.OpTransition, jiratest.OpProperty, jiratest.OpLink} {
				require.Zero(t, r.site.Sent(op))
			}
		})
	}
}

// TestCheckOfASiteThatIsDown: a start must not depend on Jira, so the error is
// another one than that of a wrong configuration.
func TestCheckOfASiteThatIsDown(t *testing.T) {
	t.Parallel()
	for _, op := range []string{jiratest.OpAccount, jiratest.OpProject, jiratest.OpMeta, jiratest.OpPermissions, jiratest.OpStatuses, jiratest.OpSearch} {
		r := newRig(t, nil)
		r.site.Fail(doubletest.Fault{Op: op, Kind: doubletest.Status, Status: 502})
		_, err := r.Check(t.Context())
		_, wrong := errors.AsType[*ticketrest.CheckError](err)
		require.False(t, wrong, op)
		require.Equal(t, ticket.ReasonUnavailable, ticket.AsError(err).Reason, op)
		_, err = r.Check(t.Context())
		require.NoError(t, err, op)
	}
}

func TestCheckOfSomethingElse(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	r.site.Fail(doubletest.Fault{Kind: doubletest.Status, Status: 404})
	_, err := r.Check(t.Context())
	require.ErrorContains(t, err, "url: no Jira answers there")
	r.site.Fail(doubletest.Fault{Kind: doubletest.Page, Title: "Log in with Atlassian account"})
	_, err = r.Check(t.Context())
	require.ErrorContains(t, err, "log in with atlassian account")
}
