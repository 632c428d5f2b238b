package servicenow

import (
	"context"
	"fmt"
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
	for _, step := range []func(context.Context) (warning, problem string, err error){t.checkCloseCode, t.checkGroup} {
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
	rows, warning, err := t.metadata(ctx, opChoices, "sys_choice", "resolution codes", url.Values{
		"sysparm_query":  {"name=incident^element=close_code^inactive=false"},
		"sysparm_fields": {"name,element,label,value"},
		"sysparm_limit":  {"200"},
	})
	if err != nil || warning != "" {
		return warning, "", err
	}
	var codes []string
	for _, r := range rows {
		// A term that was ignored gives the choices of other columns too.
		if r["name"] == "incident" && r["element"] == "close_code" && !slices.Contains(codes, string(r["value"])) {
			codes = append(codes, string(r["value"]))
		}
	}
	switch {
	case len(codes) == 0:
		return "the instance lists no resolution codes: close_code is not checked", "", nil
	case !slices.Contains(codes, t.cfg.CloseCode):
		return "", fmt.Sprintf("close_code: the instance has no resolution code %q; it has %s", t.cfg.CloseCode, ticket.OneLine(strings.Join(codes, ", "), 1000)), nil
	}
	return "", "", nil
}

func (t *Tracker) checkGroup(ctx context.Context) (warning, problem string, err error) {
	group := t.cfg.AssignmentGroup
	if group == "" {
		return "", "", nil
	}
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
		return "", fmt.Sprintf("assignment_group: the instance has no group with the %s %q, or this account may not see it", by, group), nil
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
