// Package email writes mails about incidents: one for each, and answers to it for what follows, so that mail
// programs show them as one thread.
//
// The Message-ID of a mail is made of its key: a mail whose answer was lost is sent again as the same one, which
// most servers and programs show once. It knows nothing of incidents of Portent, of the outbox or of
// other trackers.
package email

import (
	"context"
	"errors"
	"fmt"
	"html"
	"net"
	"net/mail"
	"net/textproto"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	gomail "github.com/wneessen/go-mail"

	"github.com/portent-dev/portent/internal/ticket"
	"github.com/portent-dev/portent/internal/ticketrest"
	"github.com/portent-dev/portent/internal/web"
)

// Options are what a Tracker needs. All fields but Password are required.
type Options struct {
	// Config must be valid.
	Config     Config
	Password   web.Secret
	Now        func() time.Time
	Registerer prometheus.Registerer
}

// Tracker writes mails as a ticket.Tracker. It is safe for concurrent use.
type Tracker struct {
	cfg     Config
	client  *gomail.Client
	domain  string
	now     func() time.Time
	observe func(op, outcome string)

	mu     sync.Mutex
	titles map[string]string // by key
	keys   []string          // of titles, oldest first
}

var _ ticket.Tracker = (*Tracker)(nil)

const (
	opSend = "send"
	// maxRemembered bounds what is kept of titles. An answer about an older incident has its key for a subject.
	maxRemembered = 2000
	// maxBody bounds a mail, in bytes of its text.
	maxBody = 200_000
)

// New returns a tracker. It sends nothing.
func New(o Options) (*Tracker, error) {
	if err := o.Config.Validate(); err != nil {
		return nil, err
	}
	if o.Now == nil || o.Registerer == nil {
		return nil, errors.New("email: clock and registerer are needed")
	}
	client, err := newClient(o.Config, o.Password)
	if err != nil {
		return nil, err
	}
	observe, err := ticketrest.NewRequests(o.Registerer, "email", "the mail server", opSend)
	if err != nil {
		return nil, err
	}
	from, err := mail.ParseAddress(o.Config.From)
	if err != nil {
		return nil, err
	}
	_, domain, _ := strings.Cut(from.Address, "@")
	return &Tracker{cfg: o.Config, client: client, domain: domain, now: o.Now, observe: observe, titles: map[string]string{}}, nil
}

func newClient(c Config, password web.Secret) (*gomail.Client, error) {
	host, port, err := c.address()
	if err != nil {
		return nil, err
	}
	config, err := c.TLSConfig()
	if err != nil {
		return nil, err
	}
	options := []gomail.Option{gomail.WithPort(port), gomail.WithTimeout(time.Duration(c.Timeout)), gomail.WithTLSConfig(config)}
	switch c.TLS {
	case Implicit:
		options = append(options, gomail.WithSSL())
	case StartTLS:
		options = append(options, gomail.WithTLSPolicy(gomail.TLSMandatory))
	case None:
		options = append(options, gomail.WithTLSPolicy(gomail.NoTLS))
	}
	if c.Username != "" {
		auth := gomail.SMTPAuthAutoDiscover
		if c.TLS == None { // validated: loopback
			auth = gomail.SMTPAuthPlainNoEnc
		}
		options = append(options, gomail.WithSMTPAuth(auth), gomail.WithUsername(c.Username), gomail.WithPassword(password.Reveal()))
	}
	return gomail.NewClient(host, options...)
}

// SearchLag is zero: Find never finds anything, and a mail that is sent again is the same one.
func (t *Tracker) SearchLag() time.Duration { return 0 }

// Check connects to the server and signs in.
func (t *Tracker) Check(ctx context.Context) (warnings []string, err error) {
	ctx, cancel := context.WithTimeout(ctx, time.Duration(t.cfg.Timeout))
	defer cancel()
	client, err := t.client.DialToSMTPClientWithContext(ctx)
	if err != nil {
		return nil, classify(ctx, err)
	}
	return nil, t.client.CloseWithSMTPClient(client)
}

// Create writes the first mail.
func (t *Tracker) Create(ctx context.Context, d ticket.Draft) (ticket.Ticket, error) {
	if err := d.Validate(); err != nil {
		return ticket.Ticket{}, &ticket.Error{Reason: ticket.ReasonInvalid, Err: err}
	}
	doc := append(ticket.Doc{ticket.Paragraph(ticket.Bold(d.Summary))}, d.Body...)
	if d.Summary == "" {
		doc = d.Body
	}
	if u, ok := ticket.SafeURL(d.IncidentURL); ok {
		doc = append(doc, ticket.Paragraph(ticket.Link("Open the incident", u)))
	}
	m, err := t.message(d.Key, d.Title, doc)
	if err != nil {
		return ticket.Ticket{}, err
	}
	if d.Severity == "critical" {
		m.SetImportance(gomail.ImportanceHigh)
	}
	if err := t.send(ctx, m); err != nil {
		return ticket.Ticket{}, err
	}
	t.remember(d.Key, d.Title)
	return ticket.Ticket{Ref: ticket.Ref{Key: d.Key}, State: ticket.Open, Status: string(ticket.Open)}, nil
}

// Find finds nothing: what was sent is gone.
func (t *Tracker) Find(context.Context, string) (ticket.Ticket, error) {
	return ticket.Ticket{}, notFound()
}

// Get knows nothing of what became of a mail.
func (t *Tracker) Get(context.Context, ticket.Ref) (ticket.Ticket, error) {
	return ticket.Ticket{}, notFound()
}

func notFound() error {
	return &ticket.Error{Reason: ticket.ReasonNotFound, Err: fmt.Errorf("email: a mail that was sent is gone: %w", ticket.ErrNotFound)}
}

// Update writes an answer to the first mail.
func (t *Tracker) Update(ctx context.Context, r ticket.Ref, u ticket.Update) error {
	if err := errors.Join(ticket.CheckKey(r.Key), ticket.CheckKey(u.Key)); err != nil {
		return &ticket.Error{Reason: ticket.ReasonInvalid, Err: err}
	}
	if u.State == ticket.Unchanged && u.Comment.Empty() {
		return nil
	}
	title := t.title(r.Key)
	doc := u.Comment
	switch u.State {
	case ticket.Resolved:
		title = "Resolved: " + title
	case ticket.Open:
		title = "Open again: " + title
	case ticket.Unchanged:
	}
	if doc.Empty() {
		doc = ticket.Doc{ticket.Paragraph(ticket.Text("The incident is " + string(u.State) + "."))}
	}
	m, err := t.message(r.Key+"."+u.Key, "Re: "+title, doc)
	if err != nil {
		return err
	}
	m.SetGenHeader(gomail.HeaderInReplyTo, t.id(r.Key))
	m.SetGenHeader(gomail.HeaderReferences, t.id(r.Key))
	return t.send(ctx, m)
}

// id is the Message-ID of a key, whose letters are all fit for one.
func (t *Tracker) id(key string) string { return "<" + key + "@" + t.domain + ">" }

// message is a mail in plain text and HTML. Every text in it was cleaned: a header has one line.
func (t *Tracker) message(key, subject string, doc ticket.Doc) (*gomail.Msg, error) {
	m := gomail.NewMsg()
	err := errors.Join(m.From(t.cfg.From), m.To(t.cfg.To...))
	if err != nil {
		return nil, &ticket.Error{Reason: ticket.ReasonInvalid, Err: fmt.Errorf("email: %w", err)}
	}
	m.SetMessageIDWithValue(strings.Trim(t.id(key), "<>"))
	m.SetDateWithValue(t.now())
	m.Subject(ticket.OneLine(subject, 250))
	m.SetGenHeader("Auto-Submitted", "auto-generated") // RFC 3834: nobody's absence shall answer
	notice := ticket.Paragraph(ticket.Italic("There is more: see the incident."))
	doc = ticket.Fit(doc, maxBody, notice, func(b ticket.Block) int { return len(ticket.Doc{b}.HTML()) })
	m.SetBodyString(gomail.TypeTextPlain, doc.Text()+"\n")
	m.AddAlternativeString(gomail.TypeTextHTML, page(subject, doc))
	return m, nil
}

// page is the HTML of a mail: no style sheet, no picture, nothing to fetch.
func page(subject string, doc ticket.Doc) string {
	return `<!DOCTYPE html><html><head><meta charset="utf-8"><meta name="color-scheme" content="light dark"><title>` + html.EscapeString(ticket.OneLine(subject, 250)) +
		`</title></head><body style="font-family:sans-serif;max-width:45em">` + string(doc.HTML()) + `</body></html>`
}

func (t *Tracker) send(ctx context.Context, m *gomail.Msg) error {
	ctx, cancel := context.WithTimeout(ctx, time.Duration(t.cfg.Timeout))
	defer cancel()
	err := t.client.DialAndSendWithContext(ctx, m)
	if err == nil {
		t.observe(opSend, ticketrest.OK)
		return nil
	}
	e := ticket.AsError(classify(ctx, err))
	t.observe(opSend, string(e.Reason))
	return e
}

// classify tells what may be tried again. A 4xx of SMTP is for now, a 5xx for good.
func classify(ctx context.Context, err error) error {
	e := &ticket.Error{Reason: ticket.ReasonNetwork, Retry: true, Err: fmt.Errorf("email send: %w", err)}
	var network net.Error
	sent, typed := errors.AsType[*gomail.SendError](err)
	switch {
	case errors.Is(ctx.Err(), context.Canceled):
		e.Reason, e.Ambiguous = ticket.ReasonCanceled, true
	case errors.Is(err, context.DeadlineExceeded) || errors.As(err, &network) && network.Timeout():
		e.Reason, e.Ambiguous = ticket.ReasonTimeout, true
	case refused(err):
		e.Reason, e.RetryAfter = ticket.ReasonAuth, time.Minute
	case typed && sent.ErrorCode() >= 500:
		e.Reason, e.Retry = ticket.ReasonInvalid, false
	case typed && sent.ErrorCode() >= 400:
		e.Reason = ticket.ReasonUnavailable
	case typed:
		e.Ambiguous = true // the connection broke amid the mail
	}
	return e
}

// refused reports whether the server does not take who we say we are (RFC 4954, 6).
func refused(err error) bool {
	p, ok := errors.AsType[*textproto.Error](err)
	return ok && (p.Code == 530 || p.Code == 534 || p.Code == 535 || p.Code == 538)
}

func (t *Tracker) remember(key, title string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, ok := t.titles[key]; !ok {
		if t.keys = append(t.keys, key); len(t.keys) > maxRemembered {
			delete(t.titles, t.keys[0])
			t.keys = t.keys[1:]
		}
	}
	t.titles[key] = title
}

func (t *Tracker) title(key string) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if title := t.titles[key]; title != "" {
		return title
	}
	return "Incident " + key
}
