package jira

import (
	"cmp"
	"encoding/json"
	"strconv"
)

// The bodies of the REST API v3, as far as they are used. Only what is read is
// declared: Jira adds keys at any time.

type issueBody struct {
	Fields     map[string]any `json:"fields"`
	Properties []property     `json:"properties,omitempty"`
}

type property struct {
	Key   string `json:"key"`
	Value any    `json:"value"`
}

type createdIssue struct {
	ID  string `json:"id"`
	Key string `json:"key"`
}

type issue struct {
	ID     string `json:"id"`
	Key    string `json:"key"`
	Fields struct {
		Labels  []string `json:"labels"`
		Status  status   `json:"status"`
		Creator account  `json:"creator"`
		// Description is there when it was asked for: a node, or wiki markup.
		Description json.RawMessage `json:"description"`
	} `json:"fields"`
	Properties map[string]json.RawMessage `json:"properties"`
	// Transitions are there when they were asked for, which Data Center does so.
	Transitions []transition `json:"transitions"`
}

// account is a user: Cloud has an account id, Data Center a key and a name.
type account struct {
	AccountID string `json:"accountId"`
	Key       string `json:"key"`
	Name      string `json:"name"`
}

func (a account) id() string { return cmp.Or(a.AccountID, a.Key, a.Name) }

// number orders issues by age: ids are given in ascending order and, unlike
// keys, survive a move to another project.
func (i issue) number() int64 {
	n, err := strconv.ParseInt(i.ID, 10, 64)
	if err != nil {
		return 1<<63 - 1 // an id that is no number cannot be the oldest
	}
	return n
}

type status struct {
	Name     string `json:"name"`
	Category struct {
		Key string `json:"key"`
	} `json:"statusCategory"`
}

// The keys of status categories. Names are localised, keys are not.
const (
	categoryNew        = "new"
	categoryInProgress = "indeterminate"
	categoryDone       = "done"
)

type searchBody struct {
	JQL             string   `json:"jql"`
	Fields          []string `json:"fields"`
	MaxResults      int      `json:"maxResults"`
	NextPageToken   string   `json:"nextPageToken,omitempty"`
	ReconcileIssues []int64  `json:"reconcileIssues,omitempty"`
}

type searchPage struct {
	Issues        []issue `json:"issues"`
	NextPageToken string  `json:"nextPageToken"`
	IsLast        bool    `json:"isLast"`
}

// searchBodyDC and searchPageDC are those of Data Center.
type searchBodyDC struct {
	JQL        string   `json:"jql"`
	Fields     []string `json:"fields"`
	MaxResults int      `json:"maxResults"`
	StartAt    int      `json:"startAt"`
}

type searchPageDC struct {
	Issues []issue `json:"issues"`
	Total  int     `json:"total"`
}

type commentBody struct {
	Body any `json:"body"` // a node, or wiki markup
}

type commentPage struct {
	StartAt  int `json:"startAt"`
	Total    int `json:"total"`
	Comments []struct {
		Body json.RawMessage `json:"body"`
	} `json:"comments"`
}

type transitionPage struct {
	Transitions []transition `json:"transitions"`
}

type transition struct {
	ID          string                     `json:"id"`
	Name        string                     `json:"name"`
	To          status                     `json:"to"`
	IsAvailable *bool                      `json:"isAvailable"`
	Fields      map[string]fieldDescriptor `json:"fields"`
}

type transitionBody struct {
	Transition struct {
		ID string `json:"id"`
	} `json:"transition"`
	Fields map[string]any `json:"fields,omitempty"`
}

type linkBody struct {
	Type struct {
		Name string `json:"name"`
	} `json:"type"`
	Inward  linkedIssue `json:"inwardIssue"`
	Outward linkedIssue `json:"outwardIssue"`
}

type linkedIssue struct {
	Key string `json:"key"`
}

// fieldDescriptor describes a field on a screen.
type fieldDescriptor struct {
	FieldID         string         `json:"fieldId"`
	Key             string         `json:"key"`
	Name            string         `json:"name"`
	Required        bool           `json:"required"`
	HasDefaultValue bool           `json:"hasDefaultValue"`
	AllowedValues   []allowedValue `json:"allowedValues"`
}

type allowedValue struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

// UnmarshalJSON tolerates allowed values that are no objects, which custom
// fields may have.
func (a *allowedValue) UnmarshalJSON(b []byte) error {
	type plain allowedValue
	if len(b) == 0 || b[0] != '{' {
		return nil
	}
	var p plain
	if err := json.Unmarshal(b, &p); err != nil {
		return nil //nolint:nilerr // an id that is a number, in a field we do not choose values of
	}
	*a = allowedValue(p)
	return nil
}

type issueTypePage struct {
	Total      int         `json:"total"`
	IssueTypes []issueType `json:"issueTypes"`
	Values     []issueType `json:"values"` // Data Center
}

type issueType struct {
	ID      string `json:"id"`
	Name    string `json:"name"`
	Subtask bool   `json:"subtask"`
}

type fieldPage struct {
	Total   int               `json:"total"`
	Fields  []fieldDescriptor `json:"fields"`
	Results []fieldDescriptor `json:"results"`
	Values  []fieldDescriptor `json:"values"` // Data Center
}

type errorBody struct {
	ErrorMessages []string          `json:"errorMessages"`
	Errors        map[string]string `json:"errors"`
	// ErrorMessage is what Service Management sends.
	ErrorMessage string `json:"errorMessage"`
	// Message and Detail are what gateways in front of Jira send.
	Message string `json:"message"`
	Detail  string `json:"detail"`
}
