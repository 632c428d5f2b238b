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

	gater    *gater
	asker    *asker
	sessions sessionStore
	hub      *hub
	beat     time.Duration // between two signs of life of a stream
	recent   recent

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

// routes adds everything but what internal/web serves.
func (s *server) routes(mux *http.ServeMux) {
	mux.HandleFunc("POST /api/v1/webhook/alertmanager", s.serveWebhook)

	mux.HandleFunc("POST /api/v1/webhook/kubernetes", s.serveKubernetes)
	mux.HandleFunc("POST /api/v1/webhook/alertmanager-events", s.serveAMEvents)
	for name := range callbacks {
		mux.HandleFunc("POST /api/v1/webhook/"+name, s.serveCallback)
	}
	mux.HandleFunc("POST /api/v1/webhook/palette", s.servePalette)
	mux.HandleFunc("POST /api/v1/webhook/slack", s.serveSlack)
	mux.Handle("GET /api/v1/incidents/{id}/report", s.need(RoleViewer, s.serveReport))

	mux.Handle("GET /api/v1/incidents", s.need(RoleViewer, s.serveIncidents))
	mux.Handle("GET /api/v1/incidents/{id}", s.need(RoleViewer, s.serveIncident))
	for action, role := range actionRoles {
		mux.Handle("POST /api/v1/incidents/{id}/"+action, s.need(role, s.serveAction))
	}
	mux.Handle("GET /api/v1/policy", s.need(RoleViewer, s.unscoped(s.servePolicy)))
	mux.Handle("POST /api/v1/policy/killswitch", s.need(RoleApprover, s.unscoped(s.serveSwitch)))
	mux.Handle("GET /api/v1/alerts", s.need(RoleViewer, s.serveAlerts))
	mux.Handle("GET /api/v1/audit", s.need(RoleViewer, s.unscoped(s.serveAudit)))
	mux.Handle("GET /api/v1/noise", s.need(RoleViewer, s.unscoped(s.serveNoise)))
	mux.Handle("GET /api/v1/triage/preview", s.need(RoleViewer, s.servePreview))
	mux.Handle("GET /api/v1/outbox", s.need(RoleViewer, s.unscoped(s.serveTasks)))
	mux.Handle("POST /api/v1/outbox/{id}/replay", s.need(RoleApprover, s.unscoped(s.serveReplay)))
	mux.Handle("GET /api/v1/aside", s.need(RoleAdmin, s.unscoped(s.serveAside)))

	mux.Handle("GET /{$}", s.need(RoleViewer, s.pageList))
	mux.Handle("GET /incidents/{id}", s.need(RoleViewer, s.pageIncident))
	mux.Handle("POST /incidents/{id}/{action}", s.need(RoleAnalyst, s.pageAction))
	mux.Handle("GET /policy", s.need(RoleViewer, s.unscoped(s.pagePolicy)))
	mux.Handle("POST /policy/killswitch", s.need(RoleApprover, s.unscoped(s.pageSwitch)))
	mux.Handle("GET /tickets/{key}", s.need(RoleViewer, s.pageTicket))
	mux.Handle("GET /suppressed", s.need(RoleViewer, s.pageSuppressed))
	mux.Handle("GET /outbox", s.need(RoleViewer, s.unscoped(s.pageOutbox)))
	mux.Handle("POST /outbox/{id}/replay", s.need(RoleApprover, s.unscoped(s.pageReplay)))
	mux.Handle("GET /api/v1/events", s.need(RoleViewer, s.serveEvents))
	mux.Handle("GET /noise", s.need(RoleViewer, s.unscoped(s.pageNoise)))
	mux.Handle("GET /audit", s.need(RoleViewer, s.unscoped(s.pageAudit)))
	mux.HandleFunc("GET /login", s.pageLogin)
	mux.HandleFunc("POST /login", s.serveLogin)
	mux.HandleFunc("GET /login/oidc", s.startOIDC)
	mux.HandleFunc("GET /login/oidc/callback", s.endOIDC)
	mux.Handle("POST /logout", s.need(RoleViewer, s.serveLogout))
	mux.HandleFunc("GET /assets/{file}", s.pages.serveAsset)
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
