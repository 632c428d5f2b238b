package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/portent-dev/portent/internal/incident"
	"github.com/portent-dev/portent/internal/incidentapi"
	"github.com/portent-dev/portent/internal/outbox"
	"github.com/portent-dev/portent/internal/web"
)

const (
	// defaultLimit of a page of incidents or alerts.
	defaultLimit = 100
	// maxActionBytes of the body of an action: a reason and the text of an edited draft.
	maxActionBytes = 128 << 10
	// maxReason in runes: it is shown in a line of the timeline.
	maxReason = 500
)

// serveIncidents answers GET /api/v1/incidents. For somebody who sees a part, a page may hold fewer than
// limit, even none, though more follow: next tells.
func (s *server) serveIncidents(w http.ResponseWriter, r *http.Request, p principal) {
	v, err := values(r, "status", "severity", "since", "limit", "cursor")
	q := incident.Query{Cursor: v.Get("cursor")}
	if err == nil {
		q.Status, err = status(v.Get("status"))
	}
	if err == nil {
		q.Severity, err = severity(v.Get("severity"))
	}
	if err == nil {
		q.Since, err = instant(v.Get("since"))
	}
	if err == nil {
		q.Limit, err = limit(v.Get("limit"))
	}
	if err != nil {
		web.Error(w, http.StatusBadRequest, err, "see docs/configuration/receiver.md for the parameters")
		return
	}
	incs, next, err := s.list(r.Context(), p, q)
	if err != nil {
		s.failed(w, r, err)
		return
	}
	ids := make([]string, len(incs))
	for i := range incs {
		ids[i] = incs[i].ID
	}
	dossiers, err := s.dossiers.DossiersOf(r.Context(), ids)
	if err != nil {
		s.failed(w, r, err)
		return
	}
	links := s.settings.Load().links
	page := incidentapi.IncidentPage{Incidents: make([]incidentapi.Incident, 0, len(incs)), Next: cursorOrNull(next)}
	for _, inc := range incs {
		if d, found := dossiers[inc.ID]; found && inc.whole {
			inc.Dossier = p.dossier(&d)
		}
		inc.Timeline = nil // only with a single incident
		page.Incidents = append(page.Incidents, toAPI(inc.Incident, links))
	}
	web.JSON(w, http.StatusOK, page)
}

// seenIncident is an incident as somebody may see it.
type seenIncident struct {
	incident.Incident
	whole bool
}

// list returns a page of the incidents that p may see, as they may, and the cursor of the next.
func (s *server) list(ctx context.Context, p principal, q incident.Query) ([]seenIncident, string, error) {
	words := s.settings.Load().words
	read := func(limit int, cursor string, onlyNext bool) ([]incident.Incident, string, error) {
		q := q
		q.Limit, q.Cursor, q.Brief = limit, cursor, q.Brief || onlyNext
		return s.store.List(ctx, q)
	}
	return pageFor(p, q.Limit, q.Cursor, read, func(inc incident.Incident) (seenIncident, bool) {
		seen, whole, ok := p.view(inc, words)
		if ok && p.scoped() { // without the timeline it is not known whether others came or went
			seen.Alerts = unexplained(seen.Alerts)
		}
		return seenIncident{seen, whole}, ok
	})
}

// listAlerts is list for alerts. Why an alert is in its incident names others of that.
func (s *server) listAlerts(ctx context.Context, p principal, q incident.AlertQuery) ([]incident.Alert, string, error) {
	read := func(limit int, cursor string, _ bool) ([]incident.Alert, string, error) {
		q := q
		q.Limit, q.Cursor = limit, cursor
		return s.store.ListAlerts(ctx, q)
	}
	return pageFor(p, q.Limit, q.Cursor, read, func(a incident.Alert) (incident.Alert, bool) {
		if p.scoped() && a.IncidentID != "" {
			a.Why = ""
		}
		return a, p.sees(a.Labels)
	})
}

const (
	// maxLooked bounds what one page is looked for among, for somebody who sees a part: beyond it the page holds fewer, and
	// says where to go on.
	maxLooked = 1000
	// minLook bounds how few are read at a time for them: one by one would be a query each.
	minLook = 20
)

// pageFor reads until it has as many as are wanted of what p may see, and returns the cursor of what comes behind them. read is
// told when only that cursor is asked for.
func pageFor[T, S any](p principal, want int, cursor string, read func(limit int, cursor string, onlyNext bool) ([]T, string, error), see func(T) (S, bool)) (out []S, next string, err error) {
	for looked := 0; ; {
		limit := want - len(out)
		if p.scoped() {
			limit = max(limit, minLook)
		}
		rows, next, err := read(limit, cursor, false)
		if err != nil {
			return nil, "", err
		}
		for i, row := range rows {
			if seen, ok := see(row); ok {
				out = append(out, seen)
			}
			if len(out) == want && i+1 < len(rows) { // the next page begins within what was read
				_, next, err = read(i+1, cursor, true)
				return out, next, err
			}
		}
		looked += len(rows)
		if next == "" || len(out) == want || looked >= maxLooked {
			return out, next, nil
		}
		cursor = next
	}
}

// serveIncident answers GET /api/v1/incidents/{id}. Its ETag changes with what it shows.
func (s *server) serveIncident(w http.ResponseWriter, r *http.Request, p principal) {
	inc, whole, err := s.see(r.Context(), p, r.PathValue("id"))
	var out incidentapi.Incident
	if err == nil {
		out, err = s.incidentToAPI(r.Context(), p, inc, whole)
	}
	if err != nil {
		s.failed(w, r, err)
		return
	}
	tag := etag(out)
	w.Header().Set("ETag", tag)
	if r.Header.Get("If-None-Match") == tag {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	web.JSON(w, http.StatusOK, out)
}

// see loads an incident as the principal may see it. What it must not see does not exist.
func (s *server) see(ctx context.Context, p principal, id string) (inc incident.Incident, whole bool, err error) {
	inc, err = s.store.Get(ctx, id)
	if err != nil {
		return inc, false, err
	}
	seen, whole, ok := p.view(inc, s.settings.Load().words)
	if !ok {
		return incident.Incident{}, false, fmt.Errorf("incident %.60q: %w", id, incident.ErrNotFound)
	}
	return seen, whole, nil
}

// serveAction answers POST /api/v1/incidents/{id}/{approve,dismiss,edit,escalate,feedback,redraft,reopen,take}. With If-Match it
// does so only when the incident is still what it was.
func (s *server) serveAction(w http.ResponseWriter, r *http.Request, p principal) {
	if t, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || t != "application/json" {
		web.Error(w, http.StatusUnsupportedMediaType, errors.New("want Content-Type application/json"), `send {"reason":"…"}`)
		return
	}
	d := decision{Incident: r.PathValue("id"), Do: r.URL.Path[strings.LastIndexByte(r.URL.Path, '/')+1:]}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxActionBytes))
	if err == nil {
		err = json.Unmarshal(body, &d.Action)
	}
	if err != nil {
		web.Error(w, http.StatusBadRequest, fmt.Errorf("read the body: %w", err), `send {"reason":"…"}`)
		return
	}
	if err := s.ifMatch(r, p, d.Incident); err != nil {
		s.actionFailed(w, r, err)
		return
	}
	inc, err := s.carryOut(r.Context(), p, d)
	if err != nil {
		s.actionFailed(w, r, err)
		return
	}
	out, err := s.after(r.Context(), p, inc)
	if err != nil {
		s.failed(w, r, err)
		return
	}
	w.Header().Set("ETag", etag(out))
	web.JSON(w, http.StatusOK, out)
}

// errMatch: the incident is another one than the caller looked at.
var errMatch = errors.New("the incident has changed since it was read")

func (s *server) ifMatch(r *http.Request, p principal, id string) error {
	want := r.Header.Get("If-Match")
	if want == "" || want == "*" {
		return nil
	}
	inc, whole, err := s.see(r.Context(), p, id)
	if err != nil {
		return err
	}
	out, err := s.incidentToAPI(r.Context(), p, inc, whole)
	if err == nil && etag(out) != want {
		err = errMatch
	}
	return err
}

func (s *server) actionFailed(w http.ResponseWriter, r *http.Request, err error) {
	switch {
	case errors.Is(err, errReason):
		s.fail(w, r, http.StatusBadRequest, err, "say why: it stands in the timeline and in the audit log")
	case errors.Is(err, errVerdict), errors.Is(err, errDraft):
		s.fail(w, r, http.StatusBadRequest, err, "see docs/configuration/receiver.md")
	case errors.Is(err, errAction):
		s.fail(w, r, http.StatusNotFound, err, "actions are approve, dismiss, edit, escalate, feedback, redraft, reopen and take")
	case errors.Is(err, errRole):
		s.metrics.denied.WithLabelValues("role").Inc()
		s.fail(w, r, http.StatusForbidden, err, "ask somebody who has it")
	case errors.Is(err, errPart):
		s.fail(w, r, http.StatusForbidden, err, "ask somebody who sees all of it")
	case errors.Is(err, errHidden):
		s.metrics.denied.WithLabelValues("scope").Inc()
		s.fail(w, r, http.StatusForbidden, err, "ask somebody who sees everything, or have it made anew from what you see (redraft)")
	case errors.Is(err, errMatch):
		s.fail(w, r, http.StatusPreconditionFailed, err, "read it again, and decide again")
	case errors.Is(err, outbox.ErrStale):
		s.fail(w, r, http.StatusConflict, err, "read it again: only what was looked at can be approved")
	case errors.Is(err, outbox.ErrNotHeld):
		s.fail(w, r, http.StatusConflict, err, "its tickets are filed, given up or dropped already, or none was asked for")
	default:
		s.failed(w, r, err)
	}
}

// serveAlerts answers GET /api/v1/alerts.
func (s *server) serveAlerts(w http.ResponseWriter, r *http.Request, p principal) {
	v, err := values(r, "suppressed", "since", "limit", "cursor")
	q := incident.AlertQuery{Cursor: v.Get("cursor")}
	if err == nil && v.Get("suppressed") != "" {
		if q.Suppressed, err = strconv.ParseBool(v.Get("suppressed")); err != nil {
			err = fmt.Errorf("suppressed=%.20q: want true or false", v.Get("suppressed"))
		}
	}
	if err == nil {
		q.Since, err = instant(v.Get("since"))
	}
	if err == nil {
		q.Limit, err = limit(v.Get("limit"))
	}
	if err != nil {
		web.Error(w, http.StatusBadRequest, err, "see docs/configuration/receiver.md for the parameters")
		return
	}
	alerts, next, err := s.listAlerts(r.Context(), p, q)
	if err != nil {
		s.failed(w, r, err)
		return
	}
	page := incidentapi.AlertPage{Alerts: make([]incidentapi.Alert, 0, len(alerts)), Next: cursorOrNull(next)}
	for _, a := range alerts {
		page.Alerts = append(page.Alerts, alertToAPI(a))
	}
	web.JSON(w, http.StatusOK, page)
}

// serveAudit answers GET /api/v1/audit: the chain in its order, as JSON lines or in pages; `portent audit verify`
// reads both.
func (s *server) serveAudit(w http.ResponseWriter, r *http.Request, _ principal) {
	v, err := values(r, "since", "limit", "cursor")
	var since time.Time
	var n int
	if err == nil {
		since, err = instant(v.Get("since"))
	}
	if err == nil {
		n, err = limit(v.Get("limit"))
	}
	if err != nil {
		web.Error(w, http.StatusBadRequest, err, "see docs/configuration/receiver.md for the parameters")
		return
	}
	if wantsLines(r, v) {
		s.serveAuditLines(w, r, since)
		return
	}
	records, next, err := s.audit.Records(r.Context(), since, n, v.Get("cursor"))
	if err != nil {
		s.failed(w, r, err)
		return
	}
	page := incidentapi.AuditPage{Records: make([]incidentapi.AuditRecord, 0, len(records)), Next: cursorOrNull(next)}
	for _, a := range records {
		page.Records = append(page.Records, recordToAPI(a))
	}
	web.JSON(w, http.StatusOK, page)
}

// serveTasks answers GET /api/v1/outbox.
func (s *server) serveTasks(w http.ResponseWriter, r *http.Request, _ principal) {
	v, err := values(r, "state", "incident", "limit", "cursor")
	q := outbox.Query{IncidentID: v.Get("incident"), Cursor: v.Get("cursor")}
	if err == nil {
		switch q.State = outbox.State(v.Get("state")); q.State {
		case "", outbox.StatePending, outbox.StateInflight, outbox.StateDone, outbox.StateDead, outbox.StateHeld, outbox.StateRecorded, outbox.StateDropped:
		default:
			err = fmt.Errorf("state=%.20q: want pending, inflight, done, dead, held, recorded or dropped", v.Get("state"))
		}
	}
	if err == nil {
		q.Limit, err = limit(v.Get("limit"))
	}
	if err != nil {
		web.Error(w, http.StatusBadRequest, err, "see docs/configuration/receiver.md for the parameters")
		return
	}
	ts, next, err := s.tasks.ListTasks(r.Context(), q)
	if err != nil {
		s.failed(w, r, err)
		return
	}
	page := incidentapi.TaskPage{Tasks: make([]incidentapi.Task, 0, len(ts)), Next: cursorOrNull(next)}
	for _, t := range ts {
		page.Tasks = append(page.Tasks, taskToAPI(t))
	}
	web.JSON(w, http.StatusOK, page)
}

// serveReplay answers POST /api/v1/outbox/{id}/replay.
func (s *server) serveReplay(w http.ResponseWriter, r *http.Request, p principal) {
	if err := s.replay(r, p); err != nil {
		s.failed(w, r, err)
		return
	}
	web.JSON(w, http.StatusOK, struct {
		Status string `json:"status"`
	}{"pending"})
}

func (s *server) replay(r *http.Request, p principal) error {
	id, err := strconv.ParseInt(r.PathValue("id"), 10, 64)
	if err != nil {
		return fmt.Errorf("task %.30q: %w", r.PathValue("id"), incident.ErrNotFound)
	}
	if err := s.tasks.Replay(r.Context(), id, p.name, s.now().UTC()); err != nil {
		return err
	}
	s.metrics.decisions.WithLabelValues(actionReplay).Inc()
	s.wakeOutbox()
	return nil
}

// serveAside answers GET /api/v1/aside: notifications that could not be processed, newest first, with their
// bodies as they came.
func (s *server) serveAside(w http.ResponseWriter, r *http.Request, _ principal) {
	v, err := values(r, "limit")
	var n int
	if err == nil {
		n, err = limit(v.Get("limit"))
	}
	if err != nil {
		web.Error(w, http.StatusBadRequest, err, "see docs/configuration/receiver.md for the parameters")
		return
	}
	ns, err := s.inbox.Aside(r.Context(), n)
	if err != nil {
		s.failed(w, r, err)
		return
	}
	type aside struct {
		ReceivedAt time.Time `json:"receivedAt"`
		Source     string    `json:"source"`
		Reason     string    `json:"reason"`
		Body       string    `json:"body"`
	}
	out := make([]aside, 0, len(ns))
	for _, x := range ns {
		out = append(out, aside{x.ReceivedAt.UTC(), x.Source, x.Reason, strings.ToValidUTF8(string(x.Body), "\uFFFD")})
	}
	web.JSON(w, http.StatusOK, struct {
		Notifications []aside `json:"notifications"`
	}{out})
}

// values returns the query; a parameter that is not known is an error, as a misspelt filter would show too much.
func values(r *http.Request, known ...string) (url.Values, error) {
	v, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return url.Values{}, fmt.Errorf("read the query: %w", err)
	}
next:
	for k := range v {
		for _, x := range known {
			if k == x {
				continue next
			}
		}
		return url.Values{}, fmt.Errorf("unknown parameter %.40q; known are %s", k, strings.Join(known, ", "))
	}
	return v, nil
}

func status(v string) (incident.Status, error) {
	switch s := incident.Status(v); s {
	case "", incident.StatusOpen, incident.StatusResolved, incident.StatusDismissed:
		return s, nil
	}
	return "", fmt.Errorf("status=%.20q: want open, resolved or dismissed", v)
}

func severity(v string) (incident.Severity, error) {
	switch s := incident.Severity(v); s {
	case "", incident.SeverityCritical, incident.SeverityWarning, incident.SeverityInfo:
		return s, nil
	}
	return "", fmt.Errorf("severity=%.20q: want critical, warning or info", v)
}

// limit reads the size of a page; more than the greatest one is cut, as the API says.
func limit(v string) (int, error) {
	if v == "" {
		return defaultLimit, nil
	}
	n, err := strconv.Atoi(v)
	if err != nil || n < 1 {
		return 0, fmt.Errorf("limit=%.20q: want a number from 1 to %d", v, incidentapi.MaxLimit)
	}
	return min(n, incidentapi.MaxLimit), nil
}

// instant reads the parameter since as Prometheus does: RFC 3339, or Unix seconds.
func instant(v string) (time.Time, error) {
	if v == "" {
		return time.Time{}, nil
	}
	if t, err := time.Parse(time.RFC3339Nano, v); err == nil {
		return t.UTC(), nil
	}
	const last = 253402300799 // the end of year 9999
	if f, err := strconv.ParseFloat(v, 64); err == nil && f >= 0 && f <= last {
		sec := int64(f)
		return time.Unix(sec, int64((f-float64(sec))*1e9)).UTC(), nil
	}
	return time.Time{}, fmt.Errorf("since=%.40q: want an RFC 3339 time or Unix seconds", v)
}
