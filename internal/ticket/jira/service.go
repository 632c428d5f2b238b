package jira

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/portent-dev/portent/internal/ticket"
	"github.com/portent-dev/portent/internal/ticketrest"
	"github.com/portent-dev/portent/internal/web"
)

// What Jira Service Management does otherwise. A request is an issue of the service desk's project, so it is searched,
// read and marked through Jira's own API; it is made, commented and, where a name is configured, moved through that of the
// service desk, whose create takes no entity properties and no field that is not on the form of the request type.
// Source: https://developer.atlassian.com/cloud/jira/service-desk/rest/

// ServiceManagement makes tickets requests of a service desk.
type ServiceManagement struct {
	// RequestType is the name or the id of the request type.
	RequestType string `yaml:"request_type"`
	// ServiceDesk is the id or the name of the service desk. Empty means that of the project.
	ServiceDesk string `yaml:"service_desk,omitempty"`
	// RaiseOnBehalfOf is the customer that requests are raised for, by the account id (Data Center: the user name). Empty
	// means the account itself.
	RaiseOnBehalfOf string `yaml:"raise_on_behalf_of,omitempty"`
	// PublicComments shows comments to customers.
	PublicComments bool `yaml:"public_comments,omitempty"`
	// ResolveTransition and ReopenTransition are names of transitions that the portal offers, for an account that is no
	// agent. Empty means that the workflow itself is asked.
	ResolveTransition string `yaml:"resolve_transition,omitempty"`
	ReopenTransition  string `yaml:"reopen_transition,omitempty"`
}

func (s *ServiceManagement) validate() error {
	if s == nil {
		return nil
	}
	var errs []error
	if strings.TrimSpace(s.RequestType) == "" {
		errs = append(errs, web.Invalid("service_management.request_type", errors.New("is missing: give its name or id")))
	}
	if strings.ContainsAny(s.RaiseOnBehalfOf, " \t\r\n") {
		errs = append(errs, web.Invalid("service_management.raise_on_behalf_of", errors.New("want an account id, or on Data Center a user name")))
	}
	return errors.Join(errs...)
}

// The bodies of the service desk's API, as far as they are used.

type deskPage struct {
	Values     []desk `json:"values"`
	Size       int    `json:"size"`
	IsLastPage bool   `json:"isLastPage"`
}

type desk struct {
	ID          string `json:"id"`
	ProjectKey  string `json:"projectKey"`
	ProjectName string `json:"projectName"`
}

type requestTypePage struct {
	Values     []requestType `json:"values"`
	Size       int           `json:"size"`
	IsLastPage bool          `json:"isLastPage"`
}

type requestType struct {
	ID          string `json:"id"`
	Name        string `json:"name"`
	IssueTypeID string `json:"issueTypeId"`
}

type requestForm struct {
	CanRaiseOnBehalfOf bool           `json:"canRaiseOnBehalfOf"`
	Fields             []requestField `json:"requestTypeFields"`
}

type requestField struct {
	FieldID       string         `json:"fieldId"`
	Name          string         `json:"name"`
	Required      bool           `json:"required"`
	DefaultValues []requestValue `json:"defaultValues"`
	PresetValues  []string       `json:"presetValues"`
	ValidValues   []requestValue `json:"validValues"`
}

type requestValue struct {
	Value string `json:"value"`
	Label string `json:"label"`
}

type requestBody struct {
	ServiceDeskID   string         `json:"serviceDeskId"`
	RequestTypeID   string         `json:"requestTypeId"`
	Fields          map[string]any `json:"requestFieldValues"`
	RaiseOnBehalfOf string         `json:"raiseOnBehalfOf,omitempty"`
	IsADF           bool           `json:"isAdfRequest,omitempty"`
}

type createdRequest struct {
	IssueID  string `json:"issueId"`
	IssueKey string `json:"issueKey"`
}

type requestComment struct {
	Body   string `json:"body"`
	Public bool   `json:"public"` // true where it is not sent
}

// editBody changes an issue, or nothing of it when one of the fields is not on the edit screen.
type editBody struct {
	Fields     map[string]any `json:"fields,omitempty"`
	Update     map[string]any `json:"update,omitempty"`
	Properties []property     `json:"properties"`
}

type portalTransitionPage struct {
	Values     []portalTransition `json:"values"`
	Size       int                `json:"size"`
	IsLastPage bool               `json:"isLastPage"`
}

type portalTransition struct {
	ID   string `json:"id"`
	Name string `json:"name,omitempty"`
}

// serviceDesk is a Tracker's access to the API of service desks.
type serviceDesk struct {
	ServiceManagement
	c *ticketrest.Client
	// text is set when the site takes no documents (isAdfRequest is an experiment of Atlassian's).
	text atomic.Bool
}

func newServiceDesk(cfg *Config, jira *ticketrest.Client) *serviceDesk {
	if cfg.ServiceManagement == nil {
		return nil
	}
	c := *jira
	c.Base = strings.TrimRight(cfg.URL, "/") + "/rest/servicedeskapi"
	c.Header = jira.Header.Clone()
	c.Header.Set("X-ExperimentalApi", "opt-in") // old versions of Data Center refuse parts of this API without
	s := &serviceDesk{ServiceManagement: *cfg.ServiceManagement, c: &c}
	s.text.Store(cfg.Deployment == DataCenter)
	return s
}

// say writes a comment on a request.
func (t *Tracker) say(ctx context.Context, id string, d ticket.Doc, tail ticket.Block) error {
	return t.desk.c.Do(ctx, ticketrest.Call{
		Op: opComment, Method: http.MethodPost, Path: "/request/" + url.PathEscape(id) + "/comment",
		Body: requestComment{Body: wiki(d, tail), Public: t.desk.PublicComments}, Want: []int{http.StatusCreated}, Effect: true,
	}, nil)
}

// portalMove brings a request into a state through the transition of that name that the portal offers. It reports whether
// one is configured.
func (t *Tracker) portalMove(ctx context.Context, i issue, to ticket.State) (configured bool, err error) {
	if t.desk == nil {
		return false, nil
	}
	name := t.desk.ResolveTransition
	if to == ticket.Open {
		name = t.desk.ReopenTransition
	}
	if name == "" {
		return false, nil
	}
	path := "/request/" + url.PathEscape(i.ID) + "/transition"
	var offered []portalTransition
	err = deskPages(func(q url.Values) (int, bool, error) {
		var p portalTransitionPage
		if err := t.desk.c.Do(ctx, ticketrest.Call{Op: opTransitions, Method: http.MethodGet, Path: path, Query: q}, &p); err != nil {
			return 0, false, err
		}
		offered = append(offered, p.Values...)
		return len(p.Values), p.IsLastPage, nil
	})
	if err != nil {
		return true, err
	}
	n := slices.IndexFunc(offered, func(x portalTransition) bool { return x.ID == name || strings.EqualFold(x.Name, name) })
	if n < 0 {
		var names []string
		for _, x := range offered {
			names = append(names, x.Name)
		}
		return true, &ticket.Error{Reason: ticket.ReasonWorkflow, Err: fmt.Errorf("jira %s %s from status %q: the portal offers no transition %q; it offers %s",
			opTransition, i.Key, i.Fields.Status.Name, name, quoteList(names))}
	}
	return true, t.desk.c.Do(ctx, ticketrest.Call{
		Op: opTransition, Method: http.MethodPost, Path: path, Body: portalTransition{ID: offered[n].ID}, Want: []int{http.StatusNoContent}, Empty: true, Effect: true,
	}, nil)
}
