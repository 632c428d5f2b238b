package jira

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/portent-dev/portent/internal/ticket"
	"github.com/portent-dev/portent/internal/ticketrest"
)

// deskPages is pages for the service desk's API, which tells no total.
func deskPages(read func(q url.Values) (got int, last bool, err error)) error {
	start := 0
	for range maxMetaPages {
		got, last, err := read(url.Values{"start": {strconv.Itoa(start)}, "limit": {strconv.Itoa(metaPage)}})
		if err != nil || last || got == 0 {
			return err
		}
		start += got
	}
	return nil
}

// readForm reads the form of the request type in place of a create screen.
func (t *Tracker) readForm(ctx context.Context) (*screen, error) {
	d, err := t.findDesk(ctx)
	if err != nil {
		return nil, err
	}
	rt, err := t.findRequestType(ctx, d)
	if err != nil {
		return nil, err
	}
	var form requestForm
	path := "/servicedesk/" + url.PathEscape(d.ID) + "/requesttype/" + url.PathEscape(rt.ID) + "/field"
	if err := t.desk.c.Do(ctx, ticketrest.Call{Op: opMeta, Method: http.MethodGet, Path: path}, &form); err != nil {
		return nil, err
	}
	s := &screen{typeID: rt.IssueTypeID, desk: d.ID, requestType: rt.ID, onBehalf: form.CanRaiseOnBehalfOf, fields: map[string]fieldDescriptor{}, readAt: t.c.Now()}
	for _, f := range form.Fields {
		out := fieldDescriptor{FieldID: f.FieldID, Name: f.Name, Required: f.Required, HasDefaultValue: len(f.DefaultValues)+len(f.PresetValues) > 0}
		for _, v := range f.ValidValues {
			out.AllowedValues = append(out.AllowedValues, allowedValue{ID: v.Value, Name: v.Label})
		}
		s.fields[f.FieldID] = out
	}
	return s, nil
}

// findDesk resolves the service desk: by its id or name, or that of the project.
func (t *Tracker) findDesk(ctx context.Context) (desk, error) {
	var found desk
	var names []string
	err := deskPages(func(q url.Values) (int, bool, error) {
		var p deskPage
		if err := t.desk.c.Do(ctx, ticketrest.Call{Op: opMeta, Method: http.MethodGet, Path: "/servicedesk", Query: q}, &p); err != nil {
			return 0, false, err
		}
		for _, d := range p.Values {
			want := t.desk.ServiceDesk
			if want == "" && d.ProjectKey == t.cfg.Project || want != "" && (d.ID == want || strings.EqualFold(d.ProjectName, want)) {
				found = d
			}
			names = append(names, cmp.Or(d.ProjectName, d.ProjectKey))
		}
		return len(p.Values), p.IsLastPage, nil
	})
	switch {
	case err != nil:
		return desk{}, err
	case found.ID == "" && t.desk.ServiceDesk == "":
		return desk{}, unfit("project %s has no service desk that this account may see; there are %s", t.cfg.Project, quoteList(names))
	case found.ID == "":
		return desk{}, unfit("there is no service desk %q that this account may see; there are %s", t.desk.ServiceDesk, quoteList(names))
	case found.ProjectKey != t.cfg.Project:
		return desk{}, unfit("the service desk %q is that of project %s, and project is %s", found.ProjectName, ticket.OneLine(found.ProjectKey, 60), t.cfg.Project)
	}
	return found, nil
}

// findRequestType resolves the request type by its id or name.
func (t *Tracker) findRequestType(ctx context.Context, d desk) (requestType, error) {
	var found requestType
	var names []string
	err := deskPages(func(q url.Values) (int, bool, error) {
		var p requestTypePage
		path := "/servicedesk/" + url.PathEscape(d.ID) + "/requesttype"
		if err := t.desk.c.Do(ctx, ticketrest.Call{Op: opMeta, Method: http.MethodGet, Path: path, Query: q}, &p); err != nil {
			return 0, false, err
		}
		for _, rt := range p.Values {
			if rt.ID == t.desk.RequestType || strings.EqualFold(rt.Name, t.desk.RequestType) && found.ID == "" {
				found = rt
			}
			names = append(names, rt.Name)
		}
		return len(p.Values), p.IsLastPage, nil
	})
	if err == nil && found.ID == "" {
		err = unfit("the service desk of %s has no request type %q; it has %s", t.cfg.Project, t.desk.RequestType, quoteList(names))
	}
	return found, err
}

func unfit(format string, args ...any) error {
	return &ticket.Error{Reason: ticket.ReasonInvalid, Err: fmt.Errorf("jira "+opMeta+": "+format, args...)}
}
