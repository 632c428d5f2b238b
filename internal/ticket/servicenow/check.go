package servicenow

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/portent-dev/portent/internal/ticket"
	"github.com/portent-dev/portent/internal/ticketrest"
)

// Check holds the configuration to the instance: credentials, the search by which
// second incidents are prevented, the resolution code and the assignment group.
// It changes nothing. Warnings are what cannot be checked; a
// *ticketrest.CheckError is what would make tickets fail; any other error means
// that the instance could not be asked.
func (t *Tracker) Check(ctx context.Context) (warnings []string, err error) {
	if t.cfg.Mode == ModeEvents {
		return []string{"mode events: nothing can be asked without sending an event, so credentials and roles are not checked"}, nil
	}
	var problems []string
	_, err = t.rows(ctx, "portent-check")
	switch e := ticket.AsError(err); {
	case err == nil:
	case e.Reason == ticket.ReasonAuth:
		return nil, wrong("the credentials are refused: " + e.Err.Error())
	case e.Reason == ticket.ReasonPermission, e.Reason == ticket.ReasonNotFound, e.Reason == ticket.ReasonInvalid:
		return nil, wrong("the incident table cannot be searched: " + e.Err.Error())
	case e.Reason == ticket.ReasonBadAnswer && strings.Contains(e.Err.Error(), "ignored the query"):
		return nil, wrong(e.Err.Error())
	default:
		return nil, err
	}
	for _, step := range []func(context.Context) (warning, problem string, err error){t.checkCloseCode, t.checkCategory, t.checkGroups, t.checkFields} {
		w, p, err := step(ctx)
		if err != nil {
			return warnings, err
		}
		if w != "" {
			warnings = append(warnings, w)
		}
		if p != "" {
			problems = append(problems, p)
		}
	}
	if len(problems) > 0 {
		return warnings, wrong(problems...)
	}
	return warnings, nil
}

func wrong(problems ...string) error {
	return &ticketrest.CheckError{Vendor: "servicenow", Problems: problems}
}

func (t *Tracker) checkCloseCode(ctx context.Context) (warning, problem string, err error) {
	return t.checkChoice(ctx, "close_code", "resolution code", "resolution codes", t.cfg.CloseCode)
}

func (t *Tracker) checkCategory(ctx context.Context) (warning, problem string, err error) {
	if t.cfg.Category == "" {
		return "", "", nil
	}
	return t.checkChoice(ctx, "category", "category", "categories", t.cfg.Category)
}

// checkChoice holds a value to the list of a column.
func (t *Tracker) checkChoice(ctx context.Context, element, one, many, value string) (warning, problem string, err error) {
	rows, warning, err := t.metadata(ctx, opChoices, "sys_choice", many, url.Values{
		"sysparm_query":  {"name=incident^element=" + element + "^inactive=false"},
		"sysparm_fields": {"name,element,label,value"},
		"sysparm_limit":  {"200"},
	})
	if err != nil || warning != "" {
		return warning, "", err
	}
	var codes []string
	for _, r := range rows {
		// A term that was ignored gives the choices of other columns too.
		if r["name"] == "incident" && string(r["element"]) == element && !slices.Contains(codes, string(r["value"])) {
			codes = append(codes, string(r["value"]))
		}
	}
	switch {
	case len(codes) == 0:
		return fmt.Sprintf("the instance lists no %s: %s is not checked", many, element), "", nil
	case !slices.Contains(codes, value):
		return "", fmt.Sprintf("%s: the instance has no %s %q; it has %s", element, one, value, ticket.OneLine(strings.Join(codes, ", "), 1000)), nil
	}
	return "", "", nil
}

// checkGroups holds all groups of the configuration to those of the instance.
func (t *Tracker) checkGroups(ctx context.Context) (warning, problem string, err error) {
	groups := map[string]string{} // the setting, by group
	for team, g := range t.cfg.AssignmentGroups {
		groups[g] = "assignment_groups." + team
	}
	if g := t.cfg.AssignmentGroup; g != "" {
		groups[g] = "assignment_group"
	}
	var problems []string
	for _, g := range slices.Sorted(maps.Keys(groups)) {
		w, p, err := t.checkGroup(ctx, groups[g], g)
		if err != nil || w != "" {
			return w, "", err // the others would only say the same
		}
		if p != "" {
			problems = append(problems, p)
		}
	}
	return "", strings.Join(problems, "; "), nil
}

func (t *Tracker) checkGroup(ctx context.Context, setting, group string) (warning, problem string, err error) {
	by := "name"
	if sysID.MatchString(group) {
		by = "sys_id"
	}
	rows, warning, err := t.metadata(ctx, opGroup, "sys_user_group", "groups", url.Values{
		"sysparm_query": {by + "=" + group}, "sysparm_fields": {"sys_id,name"}, "sysparm_limit": {"5"},
	})
	if err != nil || warning != "" {
		return warning, "", err
	}
	if !slices.ContainsFunc(rows, func(r record) bool { return strings.EqualFold(string(r[by]), group) }) {
		return "", fmt.Sprintf("%s: the instance has no group with the %s %q, or this account may not see it", setting, by, group), nil
	}
	return "", "", nil
}

// checkFields asks for the columns of Fields in any incident: ServiceNow leaves out of an answer what the table does not have, as it
// drops it from a create, without a word.
func (t *Tracker) checkFields(ctx context.Context) (warning, problem string, err error) {
	if len(t.cfg.Fields) == 0 {
		return "", "", nil
	}
	want := slices.Sorted(maps.Keys(t.cfg.Fields))
	rows, warning, err := t.metadata(ctx, opSearch, "incident", "columns", url.Values{
		"sysparm_fields": {strings.Join(append([]string{"number", "sys_id"}, want...), ",")}, "sysparm_limit": {"1"}, "sysparm_exclude_reference_link": {"true"},
	})
	switch {
	case err != nil || warning != "":
		return warning, "", err
	case len(rows) == 0:
		return "the instance shows no incident yet: the columns of fields are not checked", "", nil
	}
	missing := slices.DeleteFunc(want, func(c string) bool { _, ok := rows[0][c]; return ok })
	if len(missing) > 0 {
		return "", fmt.Sprintf("fields: the incident table has no column %s, or this account may not read it", strings.Join(missing, ", ")), nil
	}
	return "", "", nil
}

// metadata reads another table. One that may not be read is a warning.
func (t *Tracker) metadata(ctx context.Context, op, name, what string, q url.Values) ([]record, string, error) {
	var page many
	err := t.c.Do(ctx, ticketrest.Call{Op: op, Method: http.MethodGet, Path: "/api/now/table/" + name, Query: q}, &page)
	if err == nil {
		return page.Result, "", nil
	}
	switch e := ticket.AsError(err); e.Reason {
	case ticket.ReasonNotFound, ticket.ReasonPermission, ticket.ReasonInvalid:
		return nil, fmt.Sprintf("the instance does not tell its %s, they are not checked: %v", what, e.Err), nil
	default:
		return nil, "", err
	}
}
