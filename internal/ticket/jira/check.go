package jira

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/portent-dev/portent/internal/ticket"
	"github.com/portent-dev/portent/internal/ticketrest"
)

// Check holds the configuration to the site's own metadata: credentials,
// projects, issue type, create screen, priorities, permissions, workflow and
// search. It changes nothing. Warnings are what works with less; a
// *ticketrest.CheckError is what would make tickets fail. Any other error, a
// *ticket.Error, means that the site could not be asked: a start should go on
// and say so.
func (t *Tracker) Check(ctx context.Context) (warnings []string, err error) {
	var c checker
	for _, step := range []func(context.Context, *checker) error{
		t.checkAccount, t.checkProjects, t.checkScreen, t.checkPermissions, t.checkWorkflow, t.checkSearch,
	} {
		if err := step(ctx, &c); err != nil {
			return c.warnings, err
		}
		if len(c.problems) > 0 && c.fatal {
			break
		}
	}
	if len(c.problems) > 0 {
		return c.warnings, &ticketrest.CheckError{Vendor: "jira", Problems: c.problems}
	}
	return c.warnings, nil
}

type checker struct {
	warnings, problems []string
	fatal              bool // the next steps would only repeat the same
}

func (c *checker) warn(format string, args ...any) {
	c.warnings = append(c.warnings, fmt.Sprintf(format, args...))
}

func (c *checker) problem(format string, args ...any) {
	c.problems = append(c.problems, fmt.Sprintf(format, args...))
}

// refused turns an answer that a person has to mend into a problem. It reports
// whether err was such.
func (c *checker) refused(err error, what string) bool {
	switch e := ticket.AsError(err); e.Reason {
	case ticket.ReasonAuth:
		c.problem("the credentials are refused (email and token, or an expired token): %v", e.Err)
	case ticket.ReasonPermission, ticket.ReasonNotFound, ticket.ReasonInvalid:
		c.problem("%s: %v", what, e.Err)
	default:
		return false
	}
	c.fatal = true
	return true
}

func (t *Tracker) checkAccount(ctx context.Context, c *checker) error {
	if _, err := t.myAccount(ctx); err != nil {
		if c.refused(err, "url: no Jira answers there") {
			return nil
		}
		return err
	}
	return nil
}

func (t *Tracker) checkProjects(ctx context.Context, c *checker) error {
	for i, key := range append([]string{t.cfg.Project}, t.cfg.OtherProjects...) {
		var p struct {
			Key      string `json:"key"`
			Archived bool   `json:"archived"`
			Deleted  bool   `json:"deleted"`
		}
		err := t.c.Do(ctx, ticketrest.Call{Op: opProject, Method: http.MethodGet, Path: "/project/" + url.PathEscape(key)}, &p)
		setting := "project"
		if i > 0 {
			setting = "other_projects"
		}
		switch {
		case errors.Is(err, ticket.ErrNotFound):
			c.problem("%s: %s does not exist, or this account may not see it", setting, key)
			c.fatal = c.fatal || i == 0
		case err != nil:
			if !c.refused(err, setting+" "+key) {
				return err
			}
		case p.Archived || p.Deleted:
			c.problem("%s: %s is archived or deleted", setting, key)
		}
	}
	return nil
}

func (t *Tracker) checkScreen(ctx context.Context, c *checker) error {
	s, err := t.createScreen(ctx)
	if err != nil {
		if c.refused(err, "issue_type") {
			return nil
		}
		return err
	}
	if s.assumed {
		c.warn("the site does not tell its create screen: fields and priorities are not checked")
		return nil
	}
	if t.desk != nil {
		t.checkForm(s, c)
	} else if _, ok := s.fields["labels"]; !ok {
		c.problem("project %s, issue type %q: %v", t.cfg.Project, t.cfg.IssueType, errNoLabels)
	}
	if _, ok := s.fields["description"]; !ok {
		c.warn("the create screen has no field Description: tickets have a title only")
	}
	for _, name := range slices.Sorted(maps.Keys(t.cfg.Fields)) {
		if _, ok := s.fields[name]; !ok {
			c.problem("fields: %s is not on the create screen; it has %s", name, quoteList(slices.Sorted(maps.Keys(s.fields))))
		}
	}
	for _, team := range slices.Sorted(maps.Keys(t.cfg.TeamFields)) {
		for _, name := range slices.Sorted(maps.Keys(t.cfg.TeamFields[team])) {
			if _, ok := s.fields[name]; !ok {
				c.problem("team_fields.%s: %s is not on the create screen", team, name)
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(s.fields)) {
		f := s.fields[name]
		_, configured := t.cfg.Fields[name]
		if f.Required && !f.HasDefaultValue && !configured && !slices.Contains(ours, name) && name != "reporter" {
			c.problem("fields: the create screen requires %s (%s); give it a value", name, ticket.OneLine(f.Name, 60))
		}
	}
	t.checkPriorities(s, c)
	return nil
}

// checkForm holds the form of a request type to what a request needs.
func (t *Tracker) checkForm(s *screen, c *checker) {
	_, described := s.fields["description"]
	if _, labelled := s.fields["labels"]; !described && !labelled {
		c.problem("project %s, request type %q: %v", t.cfg.Project, t.desk.RequestType, errNoMark)
	}
	if _, ok := s.fields["summary"]; !ok {
		c.warn("the form of the request type has no field Summary: requests get the title that the form presets")
	}
	if t.desk.RaiseOnBehalfOf != "" && !s.onBehalf {
		c.problem("service_management.raise_on_behalf_of: this account may not raise requests for others")
	}
}

func (t *Tracker) checkPriorities(s *screen, c *checker) {
	f, ok := s.fields["priority"]
	if !ok {
		if len(t.cfg.Priorities) > 0 && t.desk == nil { // a request gets it after it was made

			c.warn("the create screen has no field Priority: priorities are not set")
		}
		return
	}
	if len(f.AllowedValues) == 0 {
		c.warn("the site does not list its priorities: they are not checked")
		return
	}
	var names []string
	for _, v := range f.AllowedValues {
		names = append(names, v.Name)
	}
	for _, severity := range slices.Sorted(maps.Keys(t.cfg.Priorities)) {
		name := t.cfg.Priorities[severity]
		if name == "" {
			continue
		}
		if _, ok := choose(f, name); !ok {
			c.problem("priorities: %s is mapped to %q, which project %s does not have; it has %s", severity, name, t.cfg.Project, quoteList(names))
		}
	}
}

// permissions are what the account needs in the project, and for what. Without
// the optional ones second tickets are noticed but not closed.
var permissions = []struct {
	key, purpose string
	optional     bool
}{
	{"BROWSE_PROJECTS", "to find tickets", false},
	{"CREATE_ISSUES", "to create tickets", false},
	{"ADD_COMMENTS", "to comment", false},
	{"TRANSITION_ISSUES", "to resolve and reopen tickets", false},
	{"EDIT_ISSUES", "to mark a second ticket as a duplicate", true},
	{"LINK_ISSUES", "to link a second ticket to the first", true},
}

func (t *Tracker) checkPermissions(ctx context.Context, c *checker) error {
	keys := make([]string, len(permissions))
	for i, p := range permissions {
		keys[i] = p.key
	}
	var answer struct {
		Permissions map[string]struct {
			HavePermission bool `json:"havePermission"`
		} `json:"permissions"`
	}
	query := url.Values{"projectKey": {t.cfg.Project}}
	if t.cfg.Deployment == Cloud { // Data Center tells all
		query.Set("permissions", strings.Join(keys, ","))
	}
	err := t.c.Do(ctx, ticketrest.Call{Op: opPermissions, Method: http.MethodGet, Path: "/mypermissions", Query: query}, &answer)
	if err != nil {
		return c.unreadable(err, "permissions")
	}
	for _, p := range permissions {
		got, known := answer.Permissions[p.key]
		switch {
		case known && got.HavePermission:
		case known && !p.optional:
			c.problem("the account lacks the permission %s in project %s, which it needs %s", p.key, t.cfg.Project, p.purpose)
		default:
			c.warn("the account lacks the permission %s in project %s, which it needs %s", p.key, t.cfg.Project, p.purpose)
		}
	}
	return nil
}

// unreadable turns metadata that the site does not give into a warning.
func (c *checker) unreadable(err error, what string) error {
	if e := ticket.AsError(err); e.Reason == ticket.ReasonNotFound || e.Reason == ticket.ReasonInvalid || e.Reason == ticket.ReasonPermission {
		c.warn("the site does not tell its %s, they are not checked: %v", what, e.Err)
		return nil
	}
	return err
}

func (t *Tracker) checkWorkflow(ctx context.Context, c *checker) error {
	var types []struct {
		ID       string   `json:"id"`
		Name     string   `json:"name"`
		Statuses []status `json:"statuses"`
	}
	err := t.c.Do(ctx, ticketrest.Call{Op: opProject, Method: http.MethodGet, Path: "/project/" + url.PathEscape(t.cfg.Project) + "/statuses"}, &types)
	if err != nil {
		return c.unreadable(err, "statuses")
	}
	want := t.cfg.IssueType
	if t.desk != nil {
		s, err := t.createScreen(ctx)
		if err != nil {
			return err
		}
		want = s.typeID
	}
	var all []status
	for _, it := range types {
		if it.ID == want || t.desk == nil && strings.EqualFold(it.Name, want) {
			all = it.Statuses
		}
	}
	if len(all) == 0 {
		c.warn("the site does not tell the statuses of issue type %q: they are not checked", want)
		return nil
	}
	if !slices.ContainsFunc(all, func(s status) bool { return s.Category.Key == categoryDone }) {
		c.warn("the workflow has no status of category done: tickets are commented but stay open when the incident ends")
	}
	checkStatus(c, "resolved_status", t.cfg.ResolvedStatus, all, categoryDone)
	checkStatus(c, "reopened_status", t.cfg.ReopenedStatus, all, categoryNew, categoryInProgress)
	return nil
}

func checkStatus(c *checker, setting, name string, all []status, categories ...string) {
	if name == "" {
		return
	}
	var names []string
	for _, s := range all {
		if slices.Contains(categories, s.Category.Key) {
			if strings.EqualFold(s.Name, name) {
				return
			}
			names = append(names, s.Name)
		}
	}
	c.problem("%s: the workflow has no status %q of category %s; it has %s", setting, name, strings.Join(categories, " or "), quoteList(names))
}

// checkSearch sends the search that prevents second tickets, with a key that no
// incident has.
func (t *Tracker) checkSearch(ctx context.Context, c *checker) error {
	if _, err := t.search(ctx, keyPrefix+"check"); err != nil {
		if c.refused(err, "search, by which second tickets are prevented") {
			return nil
		}
		return err
	}
	return nil
}
