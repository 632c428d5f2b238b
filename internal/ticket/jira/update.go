package jira

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/portent-dev/portent/internal/ticket"
	"github.com/portent-dev/portent/internal/ticketrest"
)

// Update comments and moves the ticket. It can be repeated after any error: the
// comment carries its key in its last line and is looked for before it is
// written, and a state that is reached is left alone.
//
// When no transition leads to the wanted state the comment is written all the
// same and the error has ReasonWorkflow.
func (t *Tracker) Update(ctx context.Context, r ticket.Ref, u ticket.Update) error {
	if err := u.Validate(); err != nil {
		return &ticket.Error{Reason: ticket.ReasonInvalid, Err: err}
	}
	i, err := t.read(ctx, r)
	if err != nil {
		return err
	}
	if u.State == ticket.Resolved {
		i = t.settle(ctx, i)
	}
	if !u.Comment.Empty() {
		done, err := t.hasComment(ctx, i.ID, u.Key)
		if err != nil {
			return err
		}
		if !done {
			if err := t.comment(ctx, i.ID, u.Key, u.Comment); err != nil {
				return err
			}
		}
	}
	if u.State == ticket.Unchanged || u.State == stateOf(i) {
		return nil
	}
	return t.move(ctx, i, u.State, t.cfg.Resolution)
}

// settle looks for second tickets of the same incident before it ends, when
// every one of them has long been indexed, and returns the one that stays. A
// search that fails changes nothing: the ticket itself is at hand.
func (t *Tracker) settle(ctx context.Context, i issue) issue {
	key := t.keyOf(i)
	if ticket.CheckKey(key) != nil {
		return i
	}
	ours, err := t.ours(ctx, key, i.number())
	if err != nil {
		t.logger.Warn("duplicates are not looked for", "key", i.Key, "err", err)
		return i
	}
	if len(ours) < 2 {
		return i
	}
	t.closeDuplicates(ctx, ours[0], ours[1:])
	return ours[0]
}

// commentMark is the line that ends each comment of ours. Properties of a
// comment would not show, but they come with no list of comments: each would
// cost a request.
const commentMark = "portent-update:"

// maxCommentPages and commentPageSize bound what is read to find a comment:
// people may write some hundred between an attempt and its repetition.
const (
	commentPageSize = 100
	maxCommentPages = 5
)

// hasComment reports whether the issue has the comment of that update, newest
// comments first.
func (t *Tracker) hasComment(ctx context.Context, id, updateKey string) (bool, error) {
	start := 0
	for range maxCommentPages {
		var p commentPage
		err := t.c.Do(ctx, ticketrest.Call{Op: opComments, Method: http.MethodGet, Path: issuePath(id, "comment"), Query: url.Values{
			"orderBy":    {"-created"},
			"startAt":    {strconv.Itoa(start)},
			"maxResults": {strconv.Itoa(commentPageSize)},
		}}, &p)
		if err != nil {
			return false, err
		}
		for _, c := range p.Comments {
			if t.lastLine(c.Body) == commentMark+updateKey {
				return true, nil
			}
		}
		start += len(p.Comments)
		if len(p.Comments) == 0 || start >= p.Total {
			return false, nil
		}
	}
	return false, nil
}

// comment writes the comment of an update.
func (t *Tracker) comment(ctx context.Context, id, updateKey string, d ticket.Doc) error {
	tail := ticket.Paragraph(ticket.Mono(commentMark + updateKey))
	if t.desk != nil {
		return t.say(ctx, id, d, tail)
	}
	body := commentBody{Body: t.markup(d, []ticket.Block{tail})}
	return t.c.Do(ctx, ticketrest.Call{
		Op: opComment, Method: http.MethodPost, Path: issuePath(id, "comment"), Body: body, Want: []int{http.StatusCreated}, Empty: true, Effect: true,
	}, nil)
}

// lastLine returns the last line of an ADF document that has text. Only the last
// line of a comment is a mark: what stands before it comes from alerts.
func lastLine(adf json.RawMessage) string {
	var doc node
	if json.Unmarshal(adf, &doc) != nil {
		return ""
	}
	var s strings.Builder
	flatten(&s, doc, 0)
	lines := strings.Split(strings.TrimSpace(s.String()), "\n")
	return strings.TrimSpace(lines[len(lines)-1])
}

// maxDepth bounds the nesting of a document that is read. People's comments nest
// a few levels.
const maxDepth = 50

func flatten(s *strings.Builder, n node, depth int) {
	if depth > maxDepth {
		return
	}
	switch n.Type {
	case "text":
		s.WriteString(n.Text)
		return
	case "hardBreak":
		s.WriteByte('\n')
		return
	}
	for _, c := range n.Content {
		flatten(s, c, depth+1)
	}
	switch n.Type {
	case "paragraph", "heading", "codeBlock", "listItem", "tableRow", "blockquote":
		s.WriteByte('\n')
	}
}
