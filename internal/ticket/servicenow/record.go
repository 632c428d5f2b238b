package servicenow

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/portent-dev/portent/internal/ticket"
	"github.com/portent-dev/portent/internal/ticketrest"
)

const table = "/api/now/table/incident"

// The states of an incident, by their values.
const (
	stateNew        = "1"
	stateInProgress = "2"
	stateResolved   = "6"
	stateClosed     = "7"
	stateCancelled  = "8"
)

var stateNames = map[string]string{
	stateNew: "New", stateInProgress: "In Progress", "3": "On Hold", stateResolved: "Resolved", stateClosed: "Closed", stateCancelled: "Canceled",
}

// record is a row: every value is a string, references come as {link,value} or as
// their value.
type record map[string]value

type value string

// UnmarshalJSON takes what a newer version sends in other forms as empty.
func (v *value) UnmarshalJSON(b []byte) error {
	var s string
	var ref struct{ Value string }
	switch {
	case json.Unmarshal(b, &s) == nil:
		*v = value(s)
	case json.Unmarshal(b, &ref) == nil:
		*v = value(ref.Value)
	}
	return nil
}

type one struct {
	Result record `json:"result"`
}

type many struct {
	Result []record `json:"result"`
}

func (r record) id() string     { return string(r["sys_id"]) }
func (r record) number() string { return string(r["number"]) }
func (r record) state() string  { return string(r["state"]) }
func (r record) valid() bool {
	return sysID.MatchString(r.id()) && numberPattern.MatchString(r.number())
}

func (r record) status() string {
	if n := stateNames[r.state()]; n != "" {
		return n
	}
	return ticket.OneLine("state "+r.state(), 40) // one of the instance's own
}

func (r record) ticketState() ticket.State {
	if s := r.state(); s == stateResolved || s == stateClosed || s == stateCancelled {
		return ticket.Resolved
	}
	return ticket.Open
}

// final reports whether nothing leads out of the state.
func (r record) final() bool { return r.state() == stateClosed || r.state() == stateCancelled }

var (
	sysID         = regexp.MustCompile(`^[0-9a-f]{32}$`)
	numberPattern = regexp.MustCompile(`^[A-Z]{2,20}[0-9]{1,20}$`)
)

// identity are the columns that every reading of an incident asks for.
var identity = []string{"sys_id", "number", "state", "correlation_id", "parent_incident", "sys_created_on", "sys_created_by"}

// reading asks for the columns of identity and those of also.
func (t *Tracker) reading(also map[string]string) url.Values {
	fields := slices.Clone(identity)
	for k := range also {
		if !slices.Contains(fields, k) {
			fields = append(fields, k)
		}
	}
	slices.Sort(fields)
	return url.Values{"sysparm_fields": {strings.Join(fields, ",")}, "sysparm_exclude_reference_link": {"true"}}
}

// maxRows bounds the incidents of one key that are looked at.
const maxRows = 20

// rows returns the incidents of a key. A query that ServiceNow does not
// understand returns every incident, so one row with another correlation_id makes
// the answer worthless: it says neither that ours is there nor that it is not.
func (t *Tracker) rows(ctx context.Context, key string) ([]record, error) {
	id := correlationID(key) // holds no ^, which would begin another term
	got, err := t.search(ctx, "correlation_id="+id+"^ORDERBYsys_created_on")
	if err != nil {
		return nil, err
	}
	for _, r := range got {
		if string(r["correlation_id"]) != id {
			return nil, ticketrest.BadAnswer(false, errors.New("servicenow "+opSearch+
				": the answer holds incidents with another correlation_id: the instance ignored the query (may this account read the column?)"))
		}
	}
	return got, nil
}

func (t *Tracker) search(ctx context.Context, query string) ([]record, error) {
	q := t.reading(nil)
	q.Set("sysparm_query", query)
	q.Set("sysparm_limit", "20")
	var page many
	if err := t.c.Do(ctx, ticketrest.Call{Op: opSearch, Method: http.MethodGet, Path: table, Query: q}, &page); err != nil {
		return nil, err
	}
	for _, r := range page.Result {
		if !r.valid() {
			return nil, ticketrest.BadAnswer(false, errors.New("servicenow "+opSearch+": the answer names no incident"))
		}
	}
	return page.Result[:min(len(page.Result), maxRows)], nil
}

// current returns which of the incidents of one key counts, and those that are
// second ones. The oldest counts, before it one that nobody cancelled; the one
// that was made in place of a closed one has that as its parent.
func current(rows []record) (kept record, others []record) {
	rows = slices.SortedFunc(slices.Values(rows), func(a, b record) int {
		return cmp.Or(cmp.Compare(a["sys_created_on"], b["sys_created_on"]), cmp.Compare(len(a.number()), len(b.number())), cmp.Compare(a.number(), b.number()))
	})
	known := map[string]bool{}
	for _, r := range rows {
		known[r.id()] = true
	}
	under := func(parent string) []record {
		var out []record
		for _, r := range rows {
			p := string(r["parent_incident"])
			if p == r.id() || !known[p] {
				p = ""
			}
			if p == parent {
				out = append(out, r)
			}
		}
		return out
	}
	for at, n := "", 0; n <= len(rows); n++ {
		in := under(at)
		if len(in) == 0 {
			break
		}
		if kept != nil && !kept.final() { // a person made a second one a child of the first
			others = append(others, in...)
			break
		}
		i := max(slices.IndexFunc(in, func(r record) bool { return r.state() != stateCancelled }), 0)
		kept = in[i]
		others = append(others, slices.Delete(slices.Clone(in), i, i+1)...)
		at = kept.id()
	}
	if kept == nil { // parents in a circle: a person's doing
		kept = rows[0]
	}
	return kept, others
}

// read reads the incident of a ref, and follows one that is closed or cancelled to
// the one in its place.
func (t *Tracker) read(ctx context.Context, r ticket.Ref) (record, error) {
	i, err := t.readOne(ctx, r)
	if err != nil {
		return nil, err
	}
	id := string(i["correlation_id"])
	if ours := ticket.CheckKey(id) == nil; !i.final() || !ours {
		return i, nil
	}
	rows, err := t.rows(ctx, id)
	if err != nil {
		return nil, err
	}
	if len(rows) == 0 {
		return i, nil
	}
	kept, _ := current(rows)
	return kept, nil
}

func (t *Tracker) readOne(ctx context.Context, r ticket.Ref) (record, error) {
	switch {
	case sysID.MatchString(r.ID):
		var got one
		err := t.c.Do(ctx, ticketrest.Call{Op: opRead, Method: http.MethodGet, Path: table + "/" + r.ID, Query: t.reading(nil)}, &got)
		if err != nil {
			return nil, err
		}
		if got.Result.id() != r.ID || !got.Result.valid() {
			return nil, ticketrest.BadAnswer(false, errors.New("servicenow "+opRead+": the answer is another incident"))
		}
		return got.Result, nil
	case numberPattern.MatchString(r.Key):
		got, err := t.search(ctx, "number="+r.Key)
		if err != nil {
			return nil, err
		}
		for _, i := range got {
			if i.number() == r.Key {
				return i, nil
			}
		}
		if len(got) > 0 {
			return nil, ticketrest.BadAnswer(false, errors.New("servicenow "+opSearch+": the instance ignored the query for a number"))
		}
	}
	return nil, notFound("no incident " + ticket.OneLine(ticket.Cut(r.Key, 40), 40))
}
