package email_test

import (
	"context"
	"io"
	"mime"
	"net"
	"net/mail"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/portent-dev/portent/internal/ticket"
	"github.com/portent-dev/portent/internal/ticket/email"
	"github.com/portent-dev/portent/internal/ticket/tickettest"
	"github.com/portent-dev/portent/internal/web"
)

// server is a mail server that keeps what it takes.
type server struct {
	mu    sync.Mutex
	mails []string
	fail  error // of the next mail
	hang  bool
}

type session struct {
	*server
	known bool
}

func (s *server) NewSession(*smtp.Conn) (smtp.Session, error) { return &session{server: s}, nil }

func (s *session) AuthMechanisms() []string { return []string{sasl.Plain} }

func (s *session) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, username, password string) error {
		if username != "portent" || password != "s3cret" {
			return smtp.ErrAuthFailed
		}
		s.known = true
		return nil
	}), nil
}

func (s *session) Mail(string, *smtp.MailOptions) error {
	if !s.known {
		return smtp.ErrAuthRequired
	}
	return nil
}
func (s *session) Rcpt(string, *smtp.RcptOptions) error { return nil }
func (s *session) Reset()                               {}
func (s *session) Logout() error                        { return nil }

func (s *session) Data(r io.Reader) error {
	text, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	s.mu.Lock()
	hang, fail := s.hang, s.fail
	s.fail = nil
	if fail == nil && !hang {
		s.mails = append(s.mails, string(text))
	}
	s.mu.Unlock()
	if hang {
		select {} // until the connection is closed from the other side, and then for ever: a test ends without it
	}
	return fail
}

func (s *server) all(t *testing.T) []*mail.Message {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []*mail.Message
	for _, text := range s.mails {
		m, err := mail.ReadMessage(strings.NewReader(text))
		require.NoError(t, err)
		out = append(out, m)
	}
	return out
}

func newTracker(t *testing.T, change func(*email.Config)) (*email.Tracker, *server) {
	t.Helper()
	s := &server{}
	srv := smtp.NewServer(s)
	srv.Domain, srv.AllowInsecureAuth = "localhost", true
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = srv.Serve(l) // ends with the listener
	}()
	t.Cleanup(func() {
		require.NoError(t, srv.Close())
		<-done
	})
	c := email.DefaultConfig()
	c.Smarthost, c.TLS, c.Username, c.Password = l.Addr().String(), email.None, "portent", "s3cret"
	c.From, c.To = `"Portent" <portent@example.com>`, []string{"sre@example.com", "On Call <oncall@example.com>"}
	if change != nil {
		change(&c)
	}
	require.NoError(t, c.Validate())
	password, err := c.Secret()
	require.NoError(t, err)
	tr, err := email.New(email.Options{Config: c, Password: password, Now: func() time.Time { return time.Date(2026, 11, 22, 3, 0, 0, 0, time.UTC) }, Registerer: prometheus.NewRegistry()})
	require.NoError(t, err)
	return tr, s
}

func subject(t *testing.T, m *mail.Message) string {
	t.Helper()
	s, err := new(mime.WordDecoder).DecodeHeader(m.Header.Get("Subject"))
	require.NoError(t, err)
	return s
}

func TestAThreadOfMails(t *testing.T) {
	t.Parallel()
	tr, s := newTracker(t, nil)
	_, err := tr.Check(t.Context())
	require.NoError(t, err)
	d := tickettest.Draft("portent-1")
	d.Severity = "critical"
	made, err := tr.Create(t.Context(), d)
	require.NoError(t, err)
	require.NoError(t, tr.Update(t.Context(), made.Ref, ticket.Update{Key: "1-2-update", Comment: tickettest.Note("Two more pods")}))
	require.NoError(t, tr.Update(t.Context(), made.Ref, ticket.Update{Key: "1-3-resolve", State: ticket.Resolved}))
	require.NoError(t, tr.Update(t.Context(), made.Ref, ticket.Update{Key: "1-4-update"}), "nothing to say")
	mails := s.all(t)
	require.Len(t, mails, 3)
	require.Equal(t, d.Title, subject(t, mails[0]))
	require.Equal(t, "<portent-1@example.com>", mails[0].Header.Get("Message-ID"))
	require.Equal(t, "auto-generated", mails[0].Header.Get("Auto-Submitted"))
	require.Equal(t, "high", mails[0].Header.Get("Importance"))
	require.Equal(t, "Sun, 22 Nov 2026 03:00:00 +0000", mails[0].Header.Get("Date"))
	to, err := mails[0].Header.AddressList("To")
	require.NoError(t, err)
	require.Len(t, to, 2)
	require.Equal(t, "Re: "+d.Title, subject(t, mails[1]))
	require.Equal(t, "<portent-1@example.com>", mails[1].Header.Get("In-Reply-To"))
	require.Equal(t, "<portent-1.1-2-update@example.com>", mails[1].Header.Get("Message-ID"))
	require.Equal(t, "Re: Resolved: "+d.Title, subject(t, mails[2]))
}

func TestHostileTexts(t *testing.T) {
	t.Parallel()
	tr, s := newTracker(t, nil)
	for i, text := range append(tickettest.Hostile(), "a\r\nBcc: evil@example.com\r\n\r\nbody", strings.Repeat("x", 900_000)) {
		d := tickettest.Draft("portent-" + strings.Repeat("a", i+1))
		d.Title, d.Summary = "t "+ticket.OneLine(text, 5000), text
		d.Body = ticket.Doc{ticket.Paragraph(ticket.Text(text), ticket.Link(text, text)), ticket.Code(text, text)}
		_, err := tr.Create(t.Context(), d)
		require.NoError(t, err)
		m := s.all(t)[i]
		require.Empty(t, m.Header.Get("Bcc"))
		body, err := io.ReadAll(m.Body)
		require.NoError(t, err)
		_, page, ok := strings.Cut(string(body), "text/html")
		require.True(t, ok)
		require.NotContains(t, page, "<script")
		require.Less(t, len(body), 2_000_000)
	}
}

func TestFailures(t *testing.T) {
	t.Parallel()
	tr, s := newTracker(t, nil)
	f := func(fail error, want ticket.Reason, retry bool) {
		t.Helper()
		s.mu.Lock()
		s.fail = fail
		s.mu.Unlock()
		_, err := tr.Create(t.Context(), tickettest.Draft("portent-1"))
		e := ticket.AsError(err)
		require.Equal(t, want, e.Reason, "%v", err)
		require.Equal(t, retry, e.Retry)
		require.NotContains(t, err.Error(), "s3cret")
	}
	f(&smtp.SMTPError{Code: 451, EnhancedCode: smtp.EnhancedCode{4, 3, 0}, Message: "try later"}, ticket.ReasonUnavailable, true)
	f(&smtp.SMTPError{Code: 552, EnhancedCode: smtp.EnhancedCode{5, 3, 4}, Message: "too big"}, ticket.ReasonInvalid, false)

	wrong, _ := newTracker(t, func(c *email.Config) { c.Password = "wrong" })
	_, err := wrong.Create(t.Context(), tickettest.Draft("portent-1"))
	require.Equal(t, ticket.ReasonAuth, ticket.AsError(err).Reason, "%v", err)
	_, err = wrong.Check(t.Context())
	require.Error(t, err)

	nobody, _ := newTracker(t, func(c *email.Config) { c.Smarthost = "127.0.0.1:1" })
	_, err = nobody.Create(t.Context(), tickettest.Draft("portent-1"))
	require.True(t, ticket.AsError(err).Retry)

	strict, _ := newTracker(t, func(c *email.Config) { c.TLS = email.StartTLS })
	_, err = strict.Create(t.Context(), tickettest.Draft("portent-1"))
	require.Error(t, err, "no encryption, no mail")

	slow, hanging := newTracker(t, func(c *email.Config) { require.NoError(t, c.Timeout.Set("10s")) })
	hanging.mu.Lock()
	hanging.hang = true
	hanging.mu.Unlock()
	_, err = slow.Create(t.Context(), tickettest.Draft("portent-1"))
	e := ticket.AsError(err)
	require.True(t, e.Retry && e.Ambiguous, "%v", err)

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = tr.Create(ctx, tickettest.Draft("portent-1"))
	require.Error(t, err)

	_, err = tr.Find(t.Context(), "portent-1")
	require.ErrorIs(t, err, ticket.ErrNotFound)
	_, err = tr.Get(t.Context(), ticket.Ref{Key: "portent-1"})
	require.ErrorIs(t, err, ticket.ErrNotFound)
}

func TestConfig(t *testing.T) {
	t.Parallel()
	f := func(text, want string) {
		t.Helper()
		var c email.Config
		require.NoError(t, yaml.Unmarshal([]byte(text), &c))
		err := c.Validate()
		if want == "" {
			require.NoError(t, err)
			return
		}
		require.ErrorContains(t, err, want)
	}
	const readers = "to: [b@example.com]\n"
	const good = "smarthost: smtp.example.com:587\nfrom: a@example.com\n" + readers
	f(good, "")
	f(good+"username: a\npassword: b\n", "")
	f("from: a@example.com\n"+readers, `smarthost: "": want host:port`)
	f(good+"tls: none\n", "tls: none is for loopback only")
	f(good+"tls: ssl\n", `tls: "ssl": want starttls, implicit or none`)
	f(good+"username: a\n", "username: needs a password")
	f(good+"username: a\npassword: b\npassword_file: c\n", "password_file: give password or password_file")
	f("smarthost: s:25\nfrom: nobody\nto: []\n", `from: "nobody" is no address`)
	f("smarthost: s:25\nfrom: a@b.c\nto: []\n", "to: has 0 addresses")
	f("smarthost: s:25\nfrom: a@b.c\nto: [x]\n", `to[0]: "x" is no address`)
	f(good+"timeout: 0s\n", "timeout: must be above 0s")

	c := email.DefaultConfig()
	c.Password = web.Secret("s3cret")
	out, err := yaml.Marshal(c)
	require.NoError(t, err)
	require.NotContains(t, string(out), "s3cret")
	c.CAFile = "/nowhere"
	c.Smarthost = "s:25"
	_, err = c.TLSConfig()
	require.ErrorContains(t, err, "ca_file")
}
