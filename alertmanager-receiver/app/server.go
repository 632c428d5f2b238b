package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/portent-dev/portent/internal/audit"
	"github.com/portent-dev/portent/internal/incident"
	"github.com/portent-dev/portent/internal/outbox"
	"github.com/portent-dev/portent/internal/report"
	"github.com/portent-dev/portent/internal/ticket"
	"github.com/portent-dev/portent/internal/ticket/local"
	"github.com/portent-dev/portent/internal/web"
)

// What the handlers need of the rest, by use.
type (
	// reader is the part of incident.Store that the API and the pages read.
	reader interface {
		Get(ctx context.Context, id string) (incident.Incident, error)
		List(ctx context.Context, q incident.Query) ([]incident.Incident, string, error)
		ListAlerts(ctx context.Context, q incident.AlertQuery) ([]incident.Alert, string, error)
		Counts(ctx context.Context) (map[incident.Status]int, error)
	}
	// intake is the part of incident.Inbox that the webhook writes.
	intake interface {
		Put(ctx context.Context, ns ...incident.Notification) error
		Refuse(ctx context.Context, n incident.Notification, reason string) error
		Aside(ctx context.Context, limit int) ([]incident.AsideNotification, error)
		Pending(ctx context.Context) (int, error)
	}
	// decider carries out what a person decided, each in one transaction; incident.ErrConflict when it does
	// not apply, incident.ErrNotFound when there is no such incident.
	decider interface {
		Dismiss(ctx context.Context, id, actor, reason string) (incident.Incident, error)
		Reopen(ctx context.Context, id, actor, reason string) (incident.Incident, error)
		Escalate(ctx context.Context, id, actor, reason string, also []string) (incident.Incident, error)
	}
	// tasks is the part of outbox.Queue for people.
	tasks interface {
		ListTasks(ctx context.Context, q outbox.Query) ([]outbox.Task, string, error)
		Replay(ctx context.Context, id int64, actor string, at time.Time) error
		Stats(ctx context.Context) (outbox.Stats, error)
	}
	// auditLog returns the records from since on in their order, and the cursor of the next page.
	auditLog interface {
		Records(ctx context.Context, since time.Time, limit int, cursor string) ([]audit.Record, string, error)
		// About returns the newest records about a subject, newest first.
		About(ctx context.Context, subject string, limit int) ([]audit.Record, error)
		// Latest returns the newest records before seq (0: all), newest first.
		Latest(ctx context.Context, before int64, limit int) ([]audit.Record, error)
		// Head is where the chain ends.
		Head(ctx context.Context) (audit.Head, error)
	}
	// dossiers is what was found about incidents; those without any are left out.
	dossiers interface {
		Dossier(ctx context.Context, id string) (incident.Dossier, error)
		DossiersOf(ctx context.Context, ids []string) (map[string]incident.Dossier, error)
	}
	// localTickets shows the tickets of the local tracker.
	localTickets interface {
		Ticket(ctx context.Context, r ticket.Ref) (local.Ticket, error)
	}
)

// settings are what a reload replaces, whole. They are immutable.
type settings struct {
	config Config
	access *access
	links  report.Links
	words  *report.Plain
	router *router
	// callbackSecrets are what trackers sign their webhooks with, by type; empty where none is configured.
	callbackSecrets map[string]string
	// slackSecrets are what the apps of Slack sign with, by tracker.
	slackSecrets map[string][]string
}

// server holds the handlers. Everything but settings stays as it is while the process runs.
type server struct {
	log     *slog.Logger
	metrics *metrics
	now     func() time.Time

	store   reader
	inbox   intake
	decide  decider
	tasks   tasks
	audit   auditLog
	noise   noiseLog
	tickets localTickets
	ledger  ledger

	dossiers     dossiers
	ticketKeys   ticketKeys
	recall       incident.Recall
	hint         func(incidentID string) // asks for the tickets of an incident
	objectEvents incident.ObjectEvents

	gater *gater
	asker *asker
	// slackWithin bounds answering a button; zero means slackTimeout.
	slackWithin time.Duration
	// redeclare says that a reload may have changed what trackers do, which drafts that wait are bound to.
	redeclare atomic.Bool
	sessions  sessionStore
	hub       *hub
	beat      time.Duration // between two signs of life of a stream
	recent    recent

	settings    atomic.Pointer[settings]
	readiness   *readiness
	backlog     *backlog
	busy        *memory
	wake        func() // tells the processor that there is something new
	wakeOutbox  func()
	clockHeader string // name of the replay header, empty without
	crossOrigin *http.CrossOriginProtection
	pages       *pages
	refusals    *repeatLog
	signIns     signInLog
	trusted     func(user string) bool // whether the web configuration checked this user's password
}

// ready reports why no notification can be taken now.
func (s *server) ready() error {
	if err := s.readiness.ready(); err != nil {
		return fmt.Errorf("the store cannot be written: %w", err)
	}
	limit := s.settings.Load().config.Ready.MaxPending
	if n := s.backlog.pending(context.Background()); n > limit {
		return fmt.Errorf("%d notifications wait to be processed, at most %d may", n, limit)
	}
	return nil
}

// audience says who is answered by a route.
type audience int

const (
	// anybody: the handler itself says who may; what it answers tells nothing of incidents.
	anybody audience = iota
	// eachTheirs: who has the role; the handler shows them what they may see.
	eachTheirs
	// wholeOnly: who has the role and may see everything, because what it tells cannot be cut into parts.
	wholeOnly
)

// endpoint is one way in. That each says its audience is what keeps tenants apart: TestNoRouteTellsATenantOfAnother goes through
// all of them.
type endpoint struct {
	pattern  string
	audience audience
	role     Role // of eachTheirs and wholeOnly
	handle   handler
}

// table is everything that is served but what internal/web and the assets are.
func (s *server) table() []endpoint {
	open := func(h http.HandlerFunc) handler {
		return func(w http.ResponseWriter, r *http.Request, _ principal) { h(w, r) }
	}
	out := []endpoint{
		{"POST /api/v1/webhook/alertmanager", anybody, "", open(s.serveWebhook)},
		{"POST /api/v1/webhook/kubernetes", anybody, "", open(s.serveKubernetes)},
		{"POST /api/v1/webhook/alertmanager-events", anybody, "", open(s.serveAMEvents)},
		{"POST /api/v1/webhook/palette", anybody, "", open(s.servePalette)},
		{"POST /api/v1/webhook/slack", anybody, "", open(s.serveSlack)},

		{"GET /api/v1/incidents", eachTheirs, RoleViewer, s.serveIncidents},
		{"GET /api/v1/incidents/{id}", eachTheirs, RoleViewer, s.serveIncident},
		{"GET /api/v1/incidents/{id}/report", eachTheirs, RoleViewer, s.serveReport},
		{"GET /api/v1/alerts", eachTheirs, RoleViewer, s.serveAlerts},
		{"GET /api/v1/triage/preview", eachTheirs, RoleViewer, s.servePreview},
		{"GET /api/v1/events", eachTheirs, RoleViewer, s.serveEvents},
		{"GET /api/v1/policy", wholeOnly, RoleViewer, s.servePolicy},
		{"POST /api/v1/policy/killswitch", wholeOnly, RoleApprover, s.serveSwitch},
		{"GET /api/v1/audit", wholeOnly, RoleViewer, s.serveAudit},
		{"GET /api/v1/noise", wholeOnly, RoleViewer, s.serveNoise},
		{"GET /api/v1/outbox", wholeOnly, RoleViewer, s.serveTasks},
		{"POST /api/v1/outbox/{id}/replay", wholeOnly, RoleApprover, s.serveReplay},
		{"GET /api/v1/aside", wholeOnly, RoleAdmin, s.serveAside},

		{"GET /{$}", eachTheirs, RoleViewer, s.pageList},
		{"GET /incidents/{id}", eachTheirs, RoleViewer, s.pageIncident},
		{"POST /incidents/{id}/{action}", eachTheirs, RoleAnalyst, s.pageAction},
		{"GET /tickets/{key}", eachTheirs, RoleViewer, s.pageTicket},
		{"GET /suppressed", eachTheirs, RoleViewer, s.pageSuppressed},
		{"GET /policy", wholeOnly, RoleViewer, s.pagePolicy},
		{"POST /policy/killswitch", wholeOnly, RoleApprover, s.pageSwitch},
		{"GET /outbox", wholeOnly, RoleViewer, s.pageOutbox},
		{"POST /outbox/{id}/replay", wholeOnly, RoleApprover, s.pageReplay},
		{"GET /noise", wholeOnly, RoleViewer, s.pageNoise},
		{"GET /audit", wholeOnly, RoleViewer, s.pageAudit},

		{"GET /login", anybody, "", open(s.pageLogin)},
		{"POST /login", anybody, "", open(s.serveLogin)},
		{"GET /login/oidc", anybody, "", open(s.startOIDC)},
		{"GET /login/oidc/callback", anybody, "", open(s.endOIDC)},
		{"POST /logout", eachTheirs, RoleViewer, s.serveLogout},
		{"GET /assets/{file}", anybody, "", open(s.pages.serveAsset)},
	}
	for name := range callbacks {
		out = append(out, endpoint{"POST /api/v1/webhook/" + name, anybody, "", open(s.serveCallback)})
	}
	for action, role := range actionRoles {
		out = append(out, endpoint{"POST /api/v1/incidents/{id}/" + action, eachTheirs, role, s.serveAction})
	}
	return out
}

// routes adds the table.
func (s *server) routes(mux *http.ServeMux) {
	for _, r := range s.table() {
		switch r.audience {
		case anybody:
			mux.HandleFunc(r.pattern, func(w http.ResponseWriter, q *http.Request) { r.handle(w, q, principal{}) })
		case eachTheirs:
			mux.Handle(r.pattern, s.need(r.role, r.handle))
		case wholeOnly:
			mux.Handle(r.pattern, s.need(r.role, s.unscoped(r.handle)))
		default:
			panic("BUG: route " + r.pattern + " says no audience")
		}
	}
}

// handler is a handler that knows who asks.
type handler func(w http.ResponseWriter, r *http.Request, p principal)

// need lets those with the role pass. A request that changes something must not come from another site's page.
func (s *server) need(role Role, h handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		secure(w)
		if err := s.crossOrigin.Check(r); err != nil {
			s.fail(w, r, http.StatusForbidden, errors.New("the request comes from another site"), "use the receiver's own pages or its API")
			return
		}
		p, ok := s.who(r)
		if !ok {
			s.metrics.denied.WithLabelValues("unauthenticated").Inc()
			w.Header().Set("WWW-Authenticate", challenge())
			if !isAPI(r) {
				s.askWho(w, r, "")
				return
			}
			s.fail(w, r, http.StatusUnauthorized, errors.New("who asks is not known"),
				"send a token of the configuration's access list as bearer token, or its name and the token as user and password")
			return
		}
		if err := fromOurPage(w, r, p); err != nil {
			s.metrics.denied.WithLabelValues("csrf").Inc()
			s.fail(w, r, http.StatusForbidden, err, "reload the page and send it again")
			return
		}
		if !p.role.may(role) {
			s.metrics.denied.WithLabelValues("role").Inc()
			s.fail(w, r, http.StatusForbidden, errors.New("role "+string(p.role)+" may not do this"), "it needs role "+string(role))
			return
		}
		s.used(r, p)
		h(w, r, p)
	})
}

// guard is need for a handler of internal/web.
func (s *server) guard(next http.Handler) http.Handler {
	return s.need(RoleAdmin, func(w http.ResponseWriter, r *http.Request, _ principal) { next.ServeHTTP(w, r) })
}

// unscoped refuses those who may see a part only what cannot be cut into parts.
func (s *server) unscoped(h handler) handler {
	return func(w http.ResponseWriter, r *http.Request, p principal) {
		if p.scoped() {
			s.metrics.denied.WithLabelValues("scope").Inc()
			s.fail(w, r, http.StatusForbidden, errors.New("this covers everything, and you may see a part"), "ask somebody whose access has no matchers")
			return
		}
		h(w, r, p)
	}
}

func secure(w http.ResponseWriter) {
	h := w.Header()
	h.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "same-origin") // with no-referrer a browser says Origin: null, and our own forms would be refused
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cache-Control", "no-store") // what is shown may be for this person only, and is old in a minute
}

func isAPI(r *http.Request) bool {
	return len(r.URL.Path) >= 5 && r.URL.Path[:5] == "/api/" || len(r.URL.Path) >= 3 && r.URL.Path[:3] == "/-/"
}

// fail answers with an error in the form that the path has: JSON or a page.
func (s *server) fail(w http.ResponseWriter, r *http.Request, status int, err error, hint string) {
	if isAPI(r) {
		web.Error(w, status, err, hint)
		return
	}
	s.pages.message(w, r, status, err, hint)
}

// failed answers for an error of the store, the processor or the outbox: the one place where those become a status.
func (s *server) failed(w http.ResponseWriter, r *http.Request, err error) {
	status, hint := storeStatus(err)
	if status >= 500 {
		s.log.Error("request failed", "path", r.URL.Path, "err", err)
	}
	if status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "5")
	}
	s.fail(w, r, status, err, hint)
}

// storeStatus is the status and what to do for an error of the store.
func storeStatus(err error) (status int, hint string) {
	switch {
	case errors.Is(err, incident.ErrNotFound):
		return http.StatusNotFound, "it may be older than what is kept; the list shows what there is"
	case errors.Is(err, incident.ErrBadCursor):
		return http.StatusBadRequest, "start again without a cursor"
	case errors.Is(err, incident.ErrConflict):
		return http.StatusConflict, "read it again: somebody was faster, or its status does not allow this"
	case errors.Is(err, incident.ErrFull):
		return http.StatusServiceUnavailable, "make room on the disk of the store; nothing that was acknowledged is lost"
	case errors.Is(err, incident.ErrLocked):
		return http.StatusServiceUnavailable, "another process holds the database: stop it, or give this one a file of its own with --store"
	case errors.Is(err, incident.ErrDamaged):
		return http.StatusServiceUnavailable, "restore the database from a backup, or move it away to start anew; see the log"
	case errors.Is(err, incident.ErrClosed), errors.Is(err, context.DeadlineExceeded):
		return http.StatusServiceUnavailable, "try again in a moment"
	case errors.Is(err, context.Canceled):
		return http.StatusServiceUnavailable, "the request was given up"
	default:
		return http.StatusInternalServerError, "see the log of the receiver"
	}
}
