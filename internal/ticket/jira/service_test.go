package jira_test

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/ticket"
	"github.com/portent-dev/portent/internal/ticket/doubletest"
	"github.com/portent-dev/portent/internal/ticket/jira"
	"github.com/portent-dev/portent/internal/ticket/jira/jiratest"
	"github.com/portent-dev/portent/internal/ticket/tickettest"
	"github.com/portent-dev/portent/internal/ticketrest"
)

// form changes the form of the request type that requests are made of.
func form(p jiratest.Project, change func(map[string]jiratest.Field)) jiratest.Project {
	p.Desk.Types = slices.Clone(p.Desk.Types)
	p.Desk.Types[1].Form = maps.Clone(p.Desk.Types[1].Form)
	change(p.Desk.Types[1].Form)
	return p
}

// withLabels is a form that tells labels and priority.
func withLabels(f map[string]jiratest.Field) {
	f["labels"] = jiratest.Field{Name: "Labels"}
	f["priority"] = jiratest.Field{Name: "Priority", Allowed: jiratest.Priorities()}
}

func serviceDesk(c *jira.Config) {
	c.ServiceManagement = &jira.ServiceManagement{RequestType: "report a system problem"}
}

// serviceSystem is system for requests: what they are known by may be their text alone.
func serviceSystem(r *rig, dc bool) tickettest.System {
	s := system(r)
	if dc {
		look := s.Look
		s.Look = func(ref ticket.Ref) tickettest.View {
			v, i := look(ref), r.site.Issue(name(ref))
			v.Text, v.Comments = plain(i.Description), nil
			for _, c := range i.Comments {
				v.Comments = append(v.Comments, plain(c))
			}
			return v
		}
	}
	s.Count = func(key string) int {
		n := 0
		for _, i := range r.site.Issues() {
			words := text(i.Description) + plain(i.Description)
			if slices.Contains(i.Labels, key) || strings.HasSuffix(strings.TrimSpace(words), "portent-key: "+key) {
				n++
			}
		}
		return n
	}
	return s
}

func TestServiceManagement(t *testing.T) {
	t.Parallel()
	bare := jiratest.ServiceProject("OPS")
	foreign := jiratest.ServiceProject("OPS")
	foreign.Denied = []string{"EDIT_ISSUES"}
	for _, tc := range []struct {
		name    string
		project jiratest.Project
		dc      bool
	}{
		{"no labels", bare, false},
		{"labels", form(jiratest.ServiceProject("OPS"), withLabels), false},
		{"nothing may be edited, data center", foreign, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			tickettest.Run(t, func(t *testing.T) tickettest.System {
				if tc.dc {
					return serviceSystem(newDCRig(t, false, serviceDesk, tc.project), true)
				}
				return serviceSystem(newRig(t, serviceDesk, tc.project), false)
			})
		})
	}
}

func TestARequestIsMadeAndMarked(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *jira.Config) {
		serviceDesk(c)
		c.ServiceManagement.RaiseOnBehalfOf = jiratest.Person
	}, jiratest.ServiceProject("OPS"))
	warnings, err := r.Check(t.Context())
	require.NoError(t, err)
	require.Empty(t, warnings)
	i := r.site.Issue(create(t, r, "portent-1").Key)
	require.Equal(t, "Incident", i.Type, "that of the request type")
	require.Equal(t, jiratest.Person, i.OnBehalfOf)
	require.Equal(t, []string{"portent-1", "portent", "auto-generated", "team:checkout"}, i.Labels, "the form has none: they are added")
	require.Equal(t, "Highest", i.Priority)
	require.Contains(t, string(i.Properties["portent.incident"]), `"portent-1"`)
	require.True(t, strings.HasSuffix(strings.TrimSpace(text(i.Description)), "portent-key: portent-1"), text(i.Description))
	require.Contains(t, string(i.Description), `"table"`, "a document, not plain text")

	require.NoError(t, r.Update(t.Context(), ticket.Ref{Key: i.Key, ID: i.ID}, ticket.Update{Key: "u1", Comment: tickettest.Note("still firing"), State: ticket.Resolved}))
	i = r.site.Issue(i.Key)
	require.Equal(t, "Done", i.Status)
	require.Len(t, i.Comments, 1)
	require.Zero(t, i.Public, "customers do not see it")
}

// TestALostRequestIsFoundByItsText: nothing but the text can be set when a request is made of a form without labels.
func TestALostRequestIsFoundByItsText(t *testing.T) {
	t.Parallel()
	r := newRig(t, serviceDesk, jiratest.ServiceProject("OPS"))
	r.site.Fail(doubletest.Fault{Op: jiratest.OpCreate, Kind: doubletest.Drop})
	_, err := r.Create(t.Context(), tickettest.Draft("portent-1"))
	require.True(t, ticket.AsError(err).Ambiguous, "%v", err)
	require.Empty(t, r.site.Issues()[0].Labels)
	_, err = r.Find(t.Context(), "portent-1")
	require.ErrorIs(t, err, ticket.ErrNotFound, "the search lags")
	r.settle()
	// A person's copy has the same text, and another incident's key begins like ours.
	clone := r.site.Clone("OPS-1")
	create(t, r, "portent-12")
	r.settle()
	found, err := r.Find(t.Context(), "portent-1")
	require.NoError(t, err)
	require.Equal(t, "OPS-1", found.Key)
	i := r.site.Issue("OPS-1")
	require.Contains(t, i.Labels, "portent-1", "marked now")
	require.Contains(t, string(i.Properties["portent.incident"]), `"portent-1"`)
	require.Equal(t, "new", r.site.Issue(clone).Category, "a person's copy is left alone")
	edits := r.site.Sent(jiratest.OpEdit)
	_, err = r.Find(t.Context(), "portent-1")
	require.NoError(t, err)
	require.Equal(t, edits, r.site.Sent(jiratest.OpEdit), "once is enough")
}

func TestSecondRequestsAreClosed(t *testing.T) {
	t.Parallel()
	p := jiratest.ServiceProject("OPS")
	p.Edit = []string{"summary"}
	r := newRig(t, serviceDesk, p)
	older, newer, ref := twice(t, r)
	r.settle()
	require.NoError(t, r.Update(t.Context(), ref, ticket.Update{Key: "u1", Comment: tickettest.Note("over"), State: ticket.Resolved}))
	for _, key := range []string{older, newer} {
		require.Equal(t, "done", r.site.Issue(key).Category, key)
	}
	require.Contains(t, text(r.site.Issue(newer).Comments[0]), "Duplicate of "+older)
	require.Contains(t, text(r.site.Issue(older).Comments[0]), "over")
}

func TestASiteWithoutDocuments(t *testing.T) {
	t.Parallel()
	c := newClock()
	site, url := jiratest.Start(t, jiratest.Options{NoADF: true, Now: c.Now, SearchLag: lag, Projects: []jiratest.Project{jiratest.ServiceProject("OPS")}})
	cfg := patient()
	cfg.URL, cfg.Email, cfg.Token, cfg.Project = url, jiratest.Email, jiratest.Token, "OPS"
	serviceDesk(&cfg)
	r := newRigWith(t, cfg, site, c)
	create(t, r, "portent-1")
	create(t, r, "portent-2")
	require.Equal(t, 3, site.Sent(jiratest.OpCreate), "it is tried once")
	require.Len(t, site.Issues(), 2)
	require.True(t, strings.HasSuffix(strings.TrimSpace(text(site.Issues()[1].Description)), "portent-key: portent-2"))
}

func TestTransitionsOfThePortal(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *jira.Config) {
		serviceDesk(c)
		c.ServiceManagement.ResolveTransition, c.ServiceManagement.PublicComments = "done", true
		c.ServiceManagement.ReopenTransition = "Reopen"
	}, jiratest.ServiceProject("OPS"))
	made := create(t, r, "portent-1")
	require.NoError(t, r.Update(t.Context(), made.Ref, ticket.Update{Key: "u1", Comment: tickettest.Note("over"), State: ticket.Resolved}))
	require.Equal(t, "Done", r.site.Issue(made.Key).Status)
	require.Equal(t, 1, r.site.Issue(made.Key).Public)
	err := r.Update(t.Context(), made.Ref, ticket.Update{Key: "u2", Comment: tickettest.Note("again"), State: ticket.Open})
	require.Equal(t, ticket.ReasonWorkflow, ticket.AsError(err).Reason)
	require.ErrorContains(t, err, `the portal offers no transition "Reopen"; it offers "Done"`)
	require.Len(t, r.site.Issue(made.Key).Comments, 2, "the comment is written all the same")
}

func TestCheckOfServiceManagement(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name    string
		change  func(*jira.Config)
		project func(*jiratest.Project)
		problem string
		warning string
	}{
		{name: "by ids", change: func(c *jira.Config) {
			c.ServiceManagement.RequestType, c.ServiceManagement.ServiceDesk = "25", "7"
		}},
		{name: "desk by name", change: func(c *jira.Config) { c.ServiceManagement.ServiceDesk = "ops DESK" }},
		{name: "no such desk", change: func(c *jira.Config) { c.ServiceManagement.ServiceDesk = "HR" }, problem: `no service desk "HR" that this account may see; there are "DEV desk", "HELP desk", "OPS desk"`},
		{name: "desk of another project", change: func(c *jira.Config) { c.ServiceManagement.ServiceDesk = "HELP desk" }, problem: `"HELP desk" is that of project HELP, and project is OPS`},
		{name: "project without a desk", project: func(p *jiratest.Project) { p.Desk = nil }, problem: `project OPS has no service desk`},
		{name: "no such request type", change: func(c *jira.Config) { c.ServiceManagement.RequestType = "Outage" }, problem: `no request type "Outage"; it has "Get help", "Report a system problem", "Third"`},
		{name: "required field", project: func(p *jiratest.Project) {
			*p = form(*p, func(f map[string]jiratest.Field) {
				f["customfield_10050"] = jiratest.Field{Name: "Urgency", Required: true}
			})
		}, problem: "requires customfield_10050 (Urgency)"},
		{name: "field not on the form", change: func(c *jira.Config) { c.Fields = map[string]any{"customfield_1": "x"} }, problem: "customfield_1 is not on the create screen"},
		{name: "priority of the form", change: func(c *jira.Config) { c.Priorities = map[string]string{"critical": "P1"} }, project: func(p *jiratest.Project) { *p = form(*p, withLabels) }, problem: `critical is mapped to "P1"`},
		{name: "nothing to be known by", change: func(c *jira.Config) { c.ServiceManagement.RequestType = "24" }, problem: "neither Labels nor Description", warning: "no field Description"},
		{name: "for others", change: func(c *jira.Config) { c.ServiceManagement.RaiseOnBehalfOf = "x" }, project: func(p *jiratest.Project) { p.Desk.OnBehalf = false }, problem: "may not raise requests for others"},
		{name: "no summary", project: func(p *jiratest.Project) {
			*p = form(*p, func(f map[string]jiratest.Field) { delete(f, "summary") })
		}, warning: "no field Summary"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			p := jiratest.ServiceProject("OPS")
			p.Desk.Types = append(p.Desk.Types, jiratest.RequestType{ID: "26", Name: "Third", IssueType: "Bug"})
			dev, help := jiratest.ServiceProject("DEV"), jiratest.ServiceProject("HELP")
			dev.Desk.ID, help.Desk.ID = "8", "9"
			if tc.project != nil {
				tc.project(&p)
			}
			r := newRig(t, func(c *jira.Config) {
				serviceDesk(c)
				if tc.change != nil {
					tc.change(c)
				}
			}, p, dev, help)
			warnings, err := r.Check(t.Context())
			if tc.problem == "" {
				require.NoError(t, err)
			} else {
				var wrong *ticketrest.CheckError
				require.ErrorAs(t, err, &wrong)
				require.ErrorContains(t, err, tc.problem)
			}
			if tc.warning == "" {
				require.Empty(t, warnings)
			} else {
				require.Contains(t, strings.Join(warnings, "\n"), tc.warning)
			}
			require.Empty(t, r.site.Issues(), "a check changes nothing")
		})
	}
}

func TestConfigOfServiceManagement(t *testing.T) {
	t.Parallel()
	c := valid()
	c.ServiceManagement = &jira.ServiceManagement{RaiseOnBehalfOf: "a b"}
	require.ErrorContains(t, c.Validate(), "service_management.request_type: is missing")
	require.ErrorContains(t, c.Validate(), "service_management.raise_on_behalf_of")
}

// TestFaultsOfARequest says for each fault what the outbox is told; nothing is filed twice whatever follows.
func TestFaultsOfARequest(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		fault     doubletest.Fault
		reason    ticket.Reason
		ambiguous bool
		exists    bool
	}{
		{doubletest.Fault{Kind: doubletest.RateLimit, RetryAfter: 5 * time.Second}, ticket.ReasonRateLimited, false, false},
		{doubletest.Fault{Kind: doubletest.Later, RetryAfter: 30 * time.Second}, ticket.ReasonUnavailable, false, false},
		{doubletest.Fault{Kind: doubletest.Status, Status: 500}, ticket.ReasonUnavailable, true, false},
		{doubletest.Fault{Kind: doubletest.Page, Title: "Log in"}, ticket.ReasonBadAnswer, true, false},
		{doubletest.Fault{Kind: doubletest.Refuse}, ticket.ReasonNetwork, true, false},
		{doubletest.Fault{Kind: doubletest.Gateway}, ticket.ReasonUnavailable, true, true},
		{doubletest.Fault{Kind: doubletest.Truncate}, ticket.ReasonBadAnswer, true, true},
		{doubletest.Fault{Kind: doubletest.CutOff}, ticket.ReasonNetwork, true, true},
	} {
		t.Run(string(tc.fault.Kind), func(t *testing.T) {
			t.Parallel()
			r := newRig(t, serviceDesk, jiratest.ServiceProject("OPS"))
			tc.fault.Op = jiratest.OpCreate
			r.site.Fail(tc.fault)
			_, err := r.Create(t.Context(), tickettest.Draft("portent-1"))
			e := ticket.AsError(err)
			require.Equal(t, tc.reason, e.Reason, "%v", err)
			require.Equal(t, tc.ambiguous, e.Ambiguous, "%v", err)
			require.Equal(t, tc.fault.RetryAfter, e.RetryAfter)
			require.True(t, e.Retry)
			require.Len(t, r.site.Issues(), map[bool]int{true: 1}[tc.exists])
		})
	}
	denied := jiratest.ServiceProject("OPS")
	denied.Denied = []string{"CREATE_ISSUES"}
	_, err := newRig(t, serviceDesk, denied).Create(t.Context(), tickettest.Draft("portent-1"))
	require.ErrorContains(t, err, "You do not have permission to create a request.", "in the words of the service desk")
	require.Equal(t, ticket.ReasonPermission, ticket.AsError(err).Reason)
}

// TestAFailureRightAfterTheCreate: what marks a request may fail, the request is there.
func TestAFailureRightAfterTheCreate(t *testing.T) {
	t.Parallel()
	for _, kind := range []doubletest.Kind{doubletest.Status, doubletest.Drop, doubletest.RateLimit} {
		r := newRig(t, serviceDesk, jiratest.ServiceProject("OPS"))
		for _, op := range []string{jiratest.OpEdit, jiratest.OpProperty} {
			r.site.Fail(doubletest.Fault{Op: op, Kind: kind, Status: 502})
		}
		made := create(t, r, "portent-1")
		require.Contains(t, r.logs.String(), "request has no")
		r.settle()
		found, err := r.Find(t.Context(), "portent-1")
		require.NoError(t, err)
		require.Equal(t, made.Key, found.Key)
		require.Contains(t, string(r.site.Issue(made.Key).Properties["portent.incident"]), "portent-1", "marked at the next look")
		require.Len(t, r.site.Issues(), 1)
	}
}
