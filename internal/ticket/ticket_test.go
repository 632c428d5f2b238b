package ticket_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/ticket"
	"github.com/portent-dev/portent/internal/ticket/tickettest"
)

func TestClean(t *testing.T) {
	t.Parallel()
	f := func(in, want string) {
		t.Helper()
		require.Equal(t, want, ticket.Clean(in))
		require.Equal(t, want, ticket.Clean(want), "cleaning is done once")
	}
	f("", "")
	f("plain, ünïcödé 日本 👩‍👩‍👧‍👦\tand\nlines", "plain, ünïcödé 日本 👩‍👩‍👧‍👦\tand\nlines")
	f("a\r\nb\rc\u2028d\u2029e\u0085f", "a\nb\nc\nd\ne\nf")
	f("a\x00b\x1b[31mc\x7f\u0080d", "ab[31mcd")
	f("\u202egnp.exe\u202c\u2066x\u2069\u200e\u061c", "gnp.exex")
	f("\ufeffa\u200bb\u2060c\U000e0041\ufffe\U0001ffff\ufdd0", "abc")
	f("a\xffb\xed\xa0\x80c", "a\ufffdb\ufffdc")
	f("\ufffd", "\ufffd")
}

func TestOneLine(t *testing.T) {
	t.Parallel()
	f := func(in string, most int, want string) {
		t.Helper()
		got := ticket.OneLine(in, most)
		require.Equal(t, want, got)
		require.LessOrEqual(t, utf8.RuneCountInString(got), most)
	}
	f("  a \n\t b\u2028c\u00a0 ", 10, "a b c")
	f("abcdef", 6, "abcdef")
	f("abcdef", 5, "abcd…")
	f("äöüßéè", 5, "äöüß…")
	f("日本語日本語", 3, "日本…")
	f("ab   cdef", 4, "ab…")
	f("abc", 1, "…")
	f("abc", 0, "")
	f("\x00\u200b", 5, "")
	require.Empty(t, ticket.Cut("abc", -1))
}

func TestSafeURL(t *testing.T) {
	t.Parallel()
	for _, ok := range []string{
		"https://a.example", "http://127.0.0.1:9090/graph?g0.expr=up%7Bjob%3D%22x%22%7D&g0.tab=0#f", "mailto:ops@a.example",
		"https://a.example/" + strings.Repeat("p", 1900),
	} {
		got, valid := ticket.SafeURL(ok)
		require.True(t, valid, ok)
		require.Equal(t, ok, got)
	}
	for _, bad := range []string{
		"", "a.example", "/relative", "//a.example", "https:", "https://", "https:///x", "javascript:alert(1)", "JavaScript:alert(1)", "data:text/html,x",
		"vbscript:x", "file:///etc/passwd", "ftp://a.example", "mailto:", "https://user:pw@a.example", "https://a.example/\n", " https://a.example",
		"https://a.example/a b", `https://a.example\@evil.example`, "https://a.example/\x00", "https://a\u202e.example", "https://[::1", "https://a.example/%zz",
		"https://a.example/" + strings.Repeat("p", 2000),
	} {
		_, valid := ticket.SafeURL(bad)
		require.False(t, valid, "%q", bad)
	}
}

func TestCheckKey(t *testing.T) {
	t.Parallel()
	for _, ok := range []string{"portent-01J8X2", "a", "A.b_c-9", strings.Repeat("k", ticket.MaxKey)} {
		require.NoError(t, ticket.CheckKey(ok))
	}
	for _, bad := range []string{"", " ", "a b", `a"`, "a/b", "ä", "a\n", strings.Repeat("k", ticket.MaxKey+1)} {
		require.Error(t, ticket.CheckKey(bad), "%q", bad)
	}
}

func TestError(t *testing.T) {
	t.Parallel()
	cause := errors.New("404 Not Found")
	err := fmt.Errorf("update: %w", &ticket.Error{Reason: ticket.ReasonNotFound, Err: cause})
	require.ErrorIs(t, err, ticket.ErrNotFound)
	require.ErrorIs(t, err, cause)
	require.Equal(t, ticket.ReasonNotFound, ticket.AsError(err).Reason)
	err = &ticket.Error{Reason: ticket.ReasonTimeout, Retry: true, Ambiguous: true, Err: cause}
	require.NotErrorIs(t, err, ticket.ErrNotFound)
	require.EqualError(t, err, "timeout: 404 Not Found (may have had its effect)")
	require.Nil(t, ticket.AsError(nil))
	require.Equal(t, ticket.ReasonNotFound, ticket.AsError(fmt.Errorf("x: %w", ticket.ErrNotFound)).Reason)
	e := ticket.AsError(cause)
	require.Equal(t, ticket.ReasonInvalid, e.Reason)
	require.False(t, e.Retry || e.Ambiguous)
	seen := map[ticket.Reason]bool{}
	for _, r := range ticket.Reasons() {
		require.NotEmpty(t, r)
		require.False(t, seen[r])
		seen[r] = true
	}
}

// TestJSON pins what lies in the outbox: a change here must still read what an
// earlier version wrote.
func TestJSON(t *testing.T) {
	t.Parallel()
	d := ticket.Draft{
		Key: "portent-1", Title: "t", Summary: "s", Severity: "critical", Priority: "High", Labels: []string{"l"},
		IncidentURL: "https://portent.example/incidents/1", StartedAt: time.Date(2026, 11, 22, 10, 32, 46, 0, time.UTC),
		Body: ticket.Doc{
			ticket.Heading(2, ticket.Text("h")), ticket.Paragraph(ticket.Bold("b"), ticket.Italic("i"), ticket.Mono("m"), ticket.Link("l", "https://a.example")),
			ticket.List([]ticket.Span{ticket.Text("x")}), ticket.Numbered([]ticket.Span{ticket.Text("y")}), ticket.Code("go", "c"),
			ticket.Table([][]ticket.Span{{ticket.Text("a")}}), ticket.Rule(),
		},
	}
	want := `{"key":"portent-1","title":"t","summary":"s","body":[
		{"kind":"heading","level":2,"spans":[{"text":"h"}]},
		{"kind":"paragraph","spans":[{"text":"b","bold":true},{"text":"i","italic":true},{"text":"m","code":true},{"text":"l","link":"https://a.example"}]},
		{"kind":"list","items":[[{"text":"x"}]]},{"kind":"list","items":[[{"text":"y"}]],"ordered":true},
		{"kind":"code","code":"c","language":"go"},{"kind":"table","rows":[[[{"text":"a"}]]]},{"kind":"rule"}],
		"severity":"critical","priority":"High","labels":["l"],"incidentUrl":"https://portent.example/incidents/1","startedAt":"2026-11-22T10:32:46Z"}`
	got, err := json.Marshal(d)
	require.NoError(t, err)
	require.JSONEq(t, want, string(got))
	var back ticket.Draft
	require.NoError(t, json.Unmarshal(got, &back))
	require.Equal(t, d, back)

	got, err = json.Marshal(ticket.Update{Key: "u1", Comment: tickettest.Note("c"), State: ticket.Resolved})
	require.NoError(t, err)
	require.JSONEq(t, `{"key":"u1","comment":[{"kind":"paragraph","spans":[{"text":"c"}]}],"state":"resolved"}`, string(got))
	got, err = json.Marshal(ticket.Update{Key: "u1"})
	require.NoError(t, err)
	require.JSONEq(t, `{"key":"u1"}`, string(got))
}
