package jira_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/ticket"
	"github.com/portent-dev/portent/internal/ticket/jira"
	"github.com/portent-dev/portent/internal/ticket/jira/jiratest"
	"github.com/portent-dev/portent/internal/ticket/tickettest"
)

func TestTransitions(t *testing.T) {
	t.Parallel()
	screen := func(required bool, allowed ...jiratest.Value) map[string]jiratest.Field {
		return map[string]jiratest.Field{"resolution": {Name: "Resolution", Required: required, Allowed: allowed}}
	}
	cause := map[string]jiratest.Field{"customfield_1": {Name: "Root cause", Required: true}}
	done, gone := jiratest.Value{ID: "1", Name: "Done"}, jiratest.Value{ID: "2", Name: "Won't Do"}
	for _, tc := range []struct {
		name       string
		offered    []jiratest.Transition
		config     func(*jira.Config)
		status     string // reached, or "" when none can be
		resolution string
		err        string
	}{
		{"first of the category", []jiratest.Transition{{ID: "1", Name: "Work", To: "10001"}, {ID: "2", Name: "Close", To: "10002"}, {ID: "3", Name: "Refuse", To: "10003"}}, nil, "Done", "Done", ""},
		{"by configured status", []jiratest.Transition{{ID: "2", Name: "Close", To: "10002"}, {ID: "3", Name: "Refuse", To: "10003"}}, func(c *jira.Config) { c.ResolvedStatus = "won't do" }, "Won't do", "Done", ""},
		{"configured status not offered", []jiratest.Transition{{ID: "2", Name: "Close", To: "10002"}}, func(c *jira.Config) { c.ResolvedStatus = "Won't do" }, "Done", "Done", ""},
		{"resolution required", []jiratest.Transition{{ID: "2", To: "10002", Fields: screen(true, gone, done)}}, nil, "Done", "Done", ""},
		{"resolution on the screen", []jiratest.Transition{{ID: "2", To: "10002", Fields: screen(false, gone, done)}}, nil, "Done", "Done", ""},
		{"resolution by configuration", []jiratest.Transition{{ID: "2", To: "10002", Fields: screen(true, done, gone)}}, func(c *jira.Config) { c.Resolution = "Won't Do" }, "Done", "Won't Do", ""},
		{"resolution not offered", []jiratest.Transition{{ID: "2", To: "10002", Fields: screen(true, gone)}}, nil, "Done", "Won't Do", ""},
		{"field by configuration", []jiratest.Transition{{ID: "2", To: "10002", Fields: cause}}, func(c *jira.Config) { c.TransitionFields = map[string]any{"customfield_1": "unknown"} }, "Done", "Done", ""},
		{"unknown field, another way", []jiratest.Transition{{ID: "2", To: "10002", Fields: cause}, {ID: "3", To: "10003"}}, nil, "Won't do", "Done", ""},
		{"unknown field with default", []jiratest.Transition{{ID: "2", To: "10002", Fields: map[string]jiratest.Field{"customfield_1": {Required: true, HasDefault: true}}}}, nil, "Done", "Done", ""},
		{"unknown field, no other way", []jiratest.Transition{{ID: "2", Name: "Close", To: "10002", Fields: cause}}, nil, "", "", `"Close" requires "customfield_1"`},
		{"no way", []jiratest.Transition{{ID: "1", Name: "Work", To: "10001"}}, nil, "", "", "no transition to a status of category done"},
		{"no transitions at all", nil, nil, "", "", "no transition to a status of category done"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			p := jiratest.DefaultProject("OPS")
			p.Transitions = tc.offered
			r := newRig(t, tc.config, p)
			made := create(t, r, "portent-1")
			u := ticket.Update{Key: "u1", Comment: tickettest.Note("over"), State: ticket.Resolved}
			err := r.Update(t.Context(), made.Ref, u)
			i := r.site.Issue(made.Key)
			require.Len(t, i.Comments, 1)
			if tc.status != "" {
				require.NoError(t, err)
				require.Equal(t, tc.status, i.Status)
				require.Equal(t, tc.resolution, i.Resolution)
				return
			}
			require.ErrorContains(t, err, tc.err)
			e := ticket.AsError(err)
			require.Equal(t, ticket.ReasonWorkflow, e.Reason)
			require.False(t, e.Retry || e.Ambiguous)
			require.Equal(t, "To Do", i.Status)
			require.Error(t, r.Update(t.Context(), made.Ref, u))
			require.Len(t, r.site.Issue(made.Key).Comments, 1, "the comment is written once")
		})
	}
}

func TestReopen(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name    string
		offered []jiratest.Transition
		status  string
		want    string
	}{
		{"to do before in progress", []jiratest.Transition{{ID: "1", To: "10001"}, {ID: "2", To: "10000"}}, "", "To Do"},
		{"in progress where nothing else", []jiratest.Transition{{ID: "1", To: "10001"}, {ID: "2", To: "10003"}}, "", "In Progress"},
		{"by configured status", []jiratest.Transition{{ID: "1", To: "10001"}, {ID: "2", To: "10000"}}, "In Progress", "In Progress"},
		{"no way back", []jiratest.Transition{{ID: "2", To: "10003"}}, "", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			p := jiratest.DefaultProject("OPS")
			p.Transitions = tc.offered
			r := newRig(t, func(c *jira.Config) { c.ReopenedStatus = tc.status }, p)
			made := create(t, r, "portent-1")
			r.site.SetStatus(made.Key, "Done")
			err := r.Update(t.Context(), made.Ref, ticket.Update{Key: "u1", Comment: tickettest.Note("again"), State: ticket.Open})
			if tc.want == "" {
				require.Equal(t, ticket.ReasonWorkflow, ticket.AsError(err).Reason)
				require.ErrorContains(t, err, "new or indeterminate")
				return
			}
			require.NoError(t, err)
			require.Equal(t, tc.want, r.site.Issue(made.Key).Status)
		})
	}
}
