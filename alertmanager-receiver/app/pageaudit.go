package app

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/portent-dev/portent/internal/audit"
)

type auditView struct {
	Page        page
	Reload      string
	Seq         int64
	Hash        string
	Command     string
	Rows        []auditRow
	First, Next string
}

type auditRow struct {
	Seq                          int64
	At                           stamp
	Actor, Action, Subject, Href string
	Text, Detail, Hash, Class    string
}

// pageAudit lists the audit chain, newest first.
func (s *server) pageAudit(w http.ResponseWriter, r *http.Request, p principal) {
	var before int64
	if v := r.URL.Query().Get("before"); v != "" {
		var err error
		if before, err = strconv.ParseInt(v, 10, 64); err != nil || before < 1 {
			s.pages.message(w, r, http.StatusBadRequest, fmt.Errorf("before=%.20q: want the number of a record", v), "start again at the newest")
			return
		}
	}
	head, err := s.audit.Head(r.Context())
	rs, lerr := s.audit.Latest(r.Context(), before, pageSize+1)
	if err = errors.Join(err, lerr); err != nil {
		s.failed(w, r, err)
		return
	}
	g := s.pages.frame("Audit", navAudit, 0, p)
	v := auditView{Page: g, Reload: g.Root + "audit?" + r.URL.RawQuery, Seq: head.Seq, Hash: head.Hash[:min(16, len(head.Hash))], Command: s.settings.Load().config.ExternalURL}
	if before > 0 {
		v.First = g.Root + "audit"
	}
	if len(rs) > pageSize {
		rs = rs[:pageSize]
		v.Next = g.Root + "audit?before=" + strconv.FormatInt(rs[pageSize-1].Seq, 10)
	}
	for _, a := range rs {
		v.Rows = append(v.Rows, newAuditRow(g.Root, a))
	}
	s.show(w, r, "audit.html", v)
}

func newAuditRow(root string, a audit.Record) auditRow {
	row := auditRow{Seq: a.Seq, At: exactly(a.At), Actor: a.Actor, Action: a.Action, Subject: a.Subject, Hash: a.Hash, Text: auditText(a.Detail)}
	if strings.HasPrefix(a.Action, "incident.") || strings.HasPrefix(a.Action, "ticket.") || a.Action == "policy.decided" || a.Action == "outbox.replay" {
		row.Href = root + "incidents/" + url.PathEscape(a.Subject)
	}
	if !strings.HasPrefix(a.Actor, "portent") {
		row.Class = "info" // a person
	}
	var b bytes.Buffer
	if json.Indent(&b, a.Detail, "", "  ") == nil {
		row.Detail = b.String()
	}
	return row
}

// auditText is what a detail says in a line: the reason, or the reasons, or the error.
func auditText(detail json.RawMessage) string {
	var d struct {
		Reason, Error, Tracker string
		Why                    []string
	}
	if json.Unmarshal(detail, &d) != nil {
		return ""
	}
	text := d.Reason
	if len(d.Why) > 0 {
		text = strings.Join(d.Why, "; ")
	}
	if d.Error != "" {
		text = d.Error
	}
	if d.Tracker != "" && text != "" {
		text = d.Tracker + ": " + text
	}
	return text
}
