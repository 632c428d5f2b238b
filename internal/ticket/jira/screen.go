package jira

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/portent-dev/portent/internal/ticket"
	"github.com/portent-dev/portent/internal/ticketrest"
)

// screen is the create screen of the configured project and issue type. Jira
// refuses a create that sets a field which is not on it.
type screen struct {
	typeID string
	// desk and requestType are ids of Service Management, whose form this then is; onBehalf: others' requests may be raised.
	desk, requestType string
	onBehalf          bool
	// assumed: the site did not tell it; then there is only the name of the type.
	assumed  bool
	typeName string
	fields   map[string]fieldDescriptor // by field id
	readAt   time.Time
}

// screenCache keeps the screen. The zero value is empty.
type screenCache struct {
	mu sync.Mutex // held while the screen is read, so that a storm reads it once
	s  *screen
}

func (c *screenCache) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.s = nil
}

const (
	// screenTTL is how long a screen is used before it is read again. Admins change
	// screens rarely, and a create that is refused makes us read it at once.
	screenTTL = time.Hour
	// metaPage and maxMetaPages bound what is read of metadata. 50 is the page size
	// that Jira grants on every site.
	metaPage     = 50
	maxMetaPages = 20
)

// createScreen returns the screen, from the cache while it is fresh, or an old
// one while Jira cannot be asked.
func (t *Tracker) createScreen(ctx context.Context) (*screen, error) {
	t.screen.mu.Lock()
	defer t.screen.mu.Unlock()
	old := t.screen.s
	if old != nil && t.c.Now().Sub(old.readAt) < screenTTL {
		return old, nil
	}
	s, err := t.readScreen(ctx)
	if err != nil && t.desk == nil && t.cfg.Deployment == DataCenter && errors.Is(err, ticket.ErrNotFound) {
		s, err = t.assumedScreen(), nil
	}
	if err != nil {
		if old != nil && ticket.AsError(err).Retry {
			return old, nil
		}
		return nil, err
	}
	for name := range t.cfg.Fields {
		if _, ok := s.fields[name]; !ok {
			t.logger.Warn("field is not on the create screen and is left out", "project", t.cfg.Project, "field", name)
		}
	}
	t.screen.s = s
	return s, nil
}

func (t *Tracker) readScreen(ctx context.Context) (*screen, error) {
	if t.desk != nil {
		return t.readForm(ctx)
	}
	id, err := t.issueTypeID(ctx)
	if err != nil {
		return nil, err
	}
	s := &screen{typeID: id, fields: map[string]fieldDescriptor{}, readAt: t.c.Now()}
	path := "/issue/createmeta/" + t.cfg.Project + "/issuetypes/" + url.PathEscape(id)
	err = pages(func(start int) (int, int, error) {
		var p fieldPage
		if err := t.c.Do(ctx, ticketrest.Call{Op: opMeta, Method: http.MethodGet, Path: path, Query: pageQuery(start)}, &p); err != nil {
			return 0, 0, err
		}
		list := slices.Concat(p.Fields, p.Results, p.Values)
		for _, f := range list {
			name := f.FieldID
			if name == "" {
				name = f.Key
			}
			s.fields[name] = f
		}
		return len(list), p.Total, nil
	})
	if err != nil {
		return nil, err
	}
	return s, nil
}

// issueTypeID resolves Config.IssueType in the project.
func (t *Tracker) issueTypeID(ctx context.Context) (string, error) {
	var found string
	var names []string
	err := pages(func(start int) (int, int, error) {
		var p issueTypePage
		path := "/issue/createmeta/" + t.cfg.Project + "/issuetypes"
		if err := t.c.Do(ctx, ticketrest.Call{Op: opMeta, Method: http.MethodGet, Path: path, Query: pageQuery(start)}, &p); err != nil {
			return 0, 0, err
		}
		types := append(p.IssueTypes, p.Values...)
		for _, it := range types {
			if it.ID == t.cfg.IssueType || strings.EqualFold(it.Name, t.cfg.IssueType) && found == "" {
				found = it.ID
			}
			if !it.Subtask {
				names = append(names, it.Name)
			}
		}
		return len(types), p.Total, nil
	})
	switch {
	case err != nil:
		return "", err
	case found == "" && len(names) == 0:
		return "", &ticket.Error{
			Reason: ticket.ReasonPermission, Retry: true, RetryAfter: time.Minute,
			Err: fmt.Errorf("jira %s: project %s offers no issue type to this account: it needs the permission to create issues", opMeta, t.cfg.Project),
		}
	case found == "":
		return "", &ticket.Error{Reason: ticket.ReasonInvalid, Err: fmt.Errorf("jira %s: project %s has no issue type %q; it has %s",
			opMeta, t.cfg.Project, t.cfg.IssueType, quoteList(names))}
	}
	return found, nil
}

// pages calls read with the start of each page until all is read. read returns
// how many items the page had and how many there are.
func pages(read func(start int) (got, total int, err error)) error {
	start := 0
	for range maxMetaPages {
		got, total, err := read(start)
		if err != nil {
			return err
		}
		if start += got; got == 0 || start >= total {
			return nil
		}
	}
	return nil
}

func pageQuery(start int) url.Values {
	return url.Values{"startAt": {strconv.Itoa(start)}, "maxResults": {strconv.Itoa(metaPage)}}
}

// quoteList quotes at most ten names for an error.
func quoteList(names []string) string {
	const most = 10
	var out []string
	for _, n := range names[:min(len(names), most)] {
		out = append(out, strconv.Quote(ticket.OneLine(n, 60)))
	}
	if len(names) > most {
		out = append(out, "…")
	}
	return strings.Join(out, ", ")
}
