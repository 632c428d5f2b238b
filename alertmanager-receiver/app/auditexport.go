package app

import (
	"bufio"
	"encoding/json"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/portent-dev/portent/internal/audit"
	"github.com/portent-dev/portent/internal/incident"
	"github.com/portent-dev/portent/internal/incidentapi"
)

// jsonLines is the media type of one JSON value a line.
const jsonLines = "application/x-ndjson"

// wantsLines reports whether the whole chain is asked for as JSON lines, which is what one gets unless one pages or
// accepts JSON alone.
func wantsLines(r *http.Request, v url.Values) bool {
	if v.Has("cursor") || v.Has("limit") {
		return false
	}
	accept := r.Header.Get("Accept")
	if accept == "" {
		return true
	}
	for part := range strings.SplitSeq(accept, ",") {
		switch t, _, _ := mime.ParseMediaType(part); t {
		case jsonLines, "application/jsonl", "*/*":
			return true
		}
	}
	return false
}

func recordToAPI(a audit.Record) incidentapi.AuditRecord {
	return incidentapi.AuditRecord{Seq: a.Seq, At: a.At, Actor: a.Actor, Action: a.Action, Subject: a.Subject, Detail: a.Detail, Prev: a.Prev, Hash: a.Hash}
}

// serveAuditLines streams the chain from since on, a record a line. The head that the chain had at the start goes along
// as a header, so that a stream that was cut off is noticed; records that are added meanwhile are left out.
func (s *server) serveAuditLines(w http.ResponseWriter, r *http.Request, since time.Time) {
	head, err := s.audit.Head(r.Context())
	if err != nil {
		s.failed(w, r, err)
		return
	}
	records, next, err := s.audit.Records(r.Context(), since, incident.MaxLimit, "")
	if err != nil {
		s.failed(w, r, err)
		return
	}
	h := w.Header()
	h.Set("Content-Type", jsonLines)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set(incidentapi.HeaderAuditHead, fmt.Sprintf("%d:%s", head.Seq, head.Hash))
	out := bufio.NewWriter(w)
	enc := json.NewEncoder(out)
	enc.SetEscapeHTML(false)
	for {
		for _, a := range records {
			if a.Seq > head.Seq {
				_ = out.Flush() // the client is gone: nobody left to tell
				return
			}
			if err := enc.Encode(recordToAPI(a)); err != nil {
				return // as above
			}
		}
		if next == "" {
			_ = out.Flush() // as above
			return
		}
		if records, next, err = s.audit.Records(r.Context(), since, incident.MaxLimit, next); err != nil {
			s.log.Error("audit_export_failed", "err", err)
			panic(http.ErrAbortHandler) // so that the reader does not take a part for the whole
		}
	}
}
