package ticket_test

import (
	"html/template"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/ticket"
	"github.com/portent-dev/portent/internal/ticket/tickettest"
)

func TestText(t *testing.T) {
	t.Parallel()
	require.Equal(t, strings.TrimSpace(`
== Alerts ==

HighLatency: 10:32

- pod checkout-7c9f
- graph (https://prometheus.example/graph?g0.expr=x)

1. look at the pod

kubectl -n shop get pods

---`), tickettest.Draft("portent-1").Body.Text())
	f := func(d ticket.Doc, want string) {
		t.Helper()
		require.Equal(t, want, d.Text())
		require.Equal(t, want == "", d.Empty())
	}
	f(nil, "")
	f(ticket.Doc{ticket.Paragraph(), ticket.List(), ticket.Table(), ticket.Code("", "")}, "")
	f(ticket.Doc{ticket.Paragraph(ticket.Link("https://a.example", "https://a.example"))}, "https://a.example")
	f(ticket.Doc{ticket.Paragraph(ticket.Link("x", "javascript:x"))}, "x")
	f(ticket.Doc{ticket.List([]ticket.Span{ticket.Text("a\nb")})}, "- a\n  b")
	cell := func(s string) []ticket.Span { return []ticket.Span{ticket.Text(s)} }
	f(ticket.Doc{ticket.Table([][]ticket.Span{cell("a"), cell("b"), cell("c")}, [][]ticket.Span{cell("1"), cell("2"), cell("3")})}, "a | b | c\n1 | 2 | 3")
	f(ticket.Doc{ticket.Table([][]ticket.Span{cell("a"), cell("b")}, [][]ticket.Span{cell("1")})}, "a | b\n1")
	f(ticket.Doc{ticket.Heading(1), ticket.Heading(2, ticket.Text(" "))}, "")
	f(ticket.Doc{{Kind: "hologram", Spans: []ticket.Span{ticket.Text("kept")}}}, "kept")
	require.True(t, tickettest.Note(" \n\u200b").Empty())
}

func TestHTML(t *testing.T) {
	t.Parallel()
	f := func(d ticket.Doc, want template.HTML) {
		t.Helper()
		require.Equal(t, want, d.HTML())
	}
	f(nil, "")
	f(ticket.Doc{ticket.Paragraph(ticket.Text(`<b onclick="x">&'`), ticket.Bold("b"), ticket.Italic("i"), ticket.Mono("m"))},
		"<p>&lt;b onclick=&#34;x&#34;&gt;&amp;&#39;<strong>b</strong><em>i</em><code>m</code></p>\n")
	f(ticket.Doc{ticket.Paragraph(ticket.Link("x\ny", `https://a.example/?a="><script>`), ticket.Link("z", "javascript:alert(1)"))},
		"<p><a href=\"https://a.example/?a=&#34;&gt;&lt;script&gt;\" rel=\"noopener noreferrer nofollow\">x<br>y</a>z</p>\n")
	f(ticket.Doc{ticket.Heading(0, ticket.Text("a")), ticket.Heading(9, ticket.Text("b")), ticket.Rule()}, "<h1>a</h1>\n<h6>b</h6>\n<hr>\n")
	f(ticket.Doc{ticket.List([]ticket.Span{ticket.Text("a")}), ticket.Numbered([]ticket.Span{ticket.Text("b")})}, "<ul><li>a</li></ul>\n<ol><li>b</li></ol>\n")
	f(ticket.Doc{ticket.Code("go", "<a>\n")}, "<pre><code>&lt;a&gt;\n</code></pre>\n")
	f(ticket.Doc{ticket.Table([][]ticket.Span{{ticket.Text("h")}}, [][]ticket.Span{{ticket.Text("c")}})}, "<table><tr><th>h</th></tr><tr><td>c</td></tr></table>\n")
	f(ticket.Doc{{Kind: "hologram", Spans: []ticket.Span{ticket.Text("<kept>")}}}, "<p>&lt;kept&gt;</p>\n")
	for _, s := range tickettest.Hostile() {
		span := ticket.Span{Text: s, Link: s}
		out := string(ticket.Doc{ticket.Paragraph(span), ticket.Heading(1, span), ticket.List([]ticket.Span{span}), ticket.Code(s, s), ticket.Table([][]ticket.Span{{span}})}.HTML())
		require.Contains(t, out, "marker")
		require.NotContains(t, out, "<script")
		require.NotContains(t, out, "<img")
		require.NotContains(t, out, `href="javascript:`)
	}
}

func TestMarkdown(t *testing.T) {
	t.Parallel()
	f := func(d ticket.Doc, want string) {
		t.Helper()
		require.Equal(t, want, d.Markdown())
	}
	f(nil, "")
	f(ticket.Doc{ticket.Paragraph(ticket.Text("a "), ticket.Bold("b"), ticket.Text(" "), ticket.Italic("c"), ticket.Text(" "), ticket.Mono("d"))}, "a **b** _c_ ` d `\n")
	f(tickettest.Note("12) no list, see www.example.com and https://example.com (a-b: c=d, 1.5 + 2)"),
		"12\\) no list, see www\\.example.com and https\\://example.com (a-b: c=d, 1.5 + 2)\n")
	f(tickettest.Note("# no\n- heading\n1. list"), "\\# no\\\n\\- heading\\\n1\\. list\n")
	f(tickettest.Note(" \n lines \n\n "), "lines\n")
	f(tickettest.Note("*a* _b_ `c` [d](e) <f> |g| ~h~ !i @j"), "\\*a\\* \\_b\\_ \\`c\\` \\[d\\](e) \\<f\\> \\|g\\| \\~h\\~ \\!i \\@j\n")
	f(ticket.Doc{ticket.Paragraph(ticket.Mono("a `` b"))}, "``` a `` b ```\n")
	f(ticket.Doc{ticket.Paragraph(ticket.Mono("a ` b"))}, "`` a ` b ``\n")
	f(ticket.Doc{ticket.Paragraph(ticket.Link("a]b", "https://a.example/)<x>"), ticket.Link("z", "javascript:x"))}, "[a\\]b](<https://a.example/%29%3Cx%3E>)z\n")
	f(ticket.Doc{ticket.Heading(3, ticket.Text("a\nb"))}, "### a b\n")
	f(ticket.Doc{ticket.List([]ticket.Span{ticket.Text("a\nb")}, []ticket.Span{ticket.Text("c")})}, "- a\\\n  b\n- c\n")
	f(ticket.Doc{ticket.Numbered([]ticket.Span{ticket.Text("a")})}, "1. a\n")
	f(ticket.Doc{ticket.Code("go\n```", "x\n```\ny\n")}, "````go\nx\n```\ny\n````\n")
	f(ticket.Doc{ticket.Table([][]ticket.Span{{ticket.Text("a|b")}, {ticket.Mono("c|d")}}, [][]ticket.Span{{ticket.Text("e\nf")}})},
		"| a\\|b | ` c\\|d ` |\n|---|---|\n| e f |  |\n")
	f(ticket.Doc{ticket.Rule(), {Kind: "hologram", Spans: []ticket.Span{ticket.Text("kept")}}}, "---\n\nkept\n")
	f(ticket.Doc{ticket.Paragraph(ticket.Bold(" spaced "), ticket.Text("x"))}, "spaced x\n")
}

func TestFit(t *testing.T) {
	t.Parallel()
	notice := tickettest.Note("[cut]")[0]
	runes := func(b ticket.Block) int { return utf8.RuneCountInString(ticket.Doc{b}.Text()) }
	f := func(d ticket.Doc, room int, want string) {
		t.Helper()
		got := ticket.Fit(d, room, notice, runes)
		require.Equal(t, want, got.Text())
	}
	whole := ticket.Doc{ticket.Paragraph(ticket.Text("abc")), ticket.Rule(), ticket.Code("", "def")}
	f(whole, 100, "abc\n\n---\n\ndef")
	f(whole, 3+3+3+5, "abc\n\n---\n\ndef")
	f(whole, 3+3+2+5, "abc\n\n---\n\nd…\n\n[cut]")
	f(whole, 3+2+5, "abc\n\n[cut]")
	f(whole, 0, "[cut]")
	f(nil, 0, "")
	f(ticket.Doc{ticket.List([]ticket.Span{ticket.Text("a")}, []ticket.Span{ticket.Text("b")}, []ticket.Span{ticket.Text("c")})}, 7+5, "- a\n- b\n\n[cut]")
	f(ticket.Doc{ticket.Table([][]ticket.Span{{ticket.Text("a")}}, [][]ticket.Span{{ticket.Text("b")}}, [][]ticket.Span{{ticket.Text("c")}})}, 3+5, "a\nb\n\n[cut]")
	f(ticket.Doc{ticket.Paragraph(ticket.Text("abc"), ticket.Bold("def"), ticket.Text("ghi"))}, 5+5, "abcd…\n\n[cut]")

	// Bounds that hold with any room.
	long := ticket.List([]ticket.Span{ticket.Text(strings.Repeat("x", 5000))})
	got := ticket.Fit(ticket.Doc{long}, 1<<30, notice, runes)
	require.Len(t, got, 1)
	require.Equal(t, 2000, utf8.RuneCountInString(got[0].Items[0][0].Text))
	wide := ticket.Table(slices.Repeat([][]ticket.Span{{ticket.Text("c")}}, 50))
	require.Len(t, ticket.Fit(ticket.Doc{wide}, 1<<30, notice, runes)[0].Rows[0], 20)
	many := ticket.List(slices.Repeat([][]ticket.Span{{ticket.Text("i")}}, 5000)...)
	require.Len(t, ticket.Fit(ticket.Doc{many}, 1<<30, notice, runes)[0].Items, 700)
	spans := ticket.Paragraph(slices.Repeat([]ticket.Span{ticket.Text("s")}, 5000)...)
	require.Len(t, ticket.Fit(ticket.Doc{spans}, 1<<30, notice, runes)[0].Spans, 500)
	// The caller's document is not changed.
	require.Len(t, many.Items, 5000)
	require.Len(t, spans.Spans, 5000)
}

func FuzzRenderings(f *testing.F) {
	for _, s := range tickettest.Hostile() {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		span := ticket.Span{Text: s, Bold: true, Italic: true, Link: s}
		d := ticket.Doc{ticket.Paragraph(span, ticket.Mono(s)), ticket.Heading(1, span), ticket.List([]ticket.Span{span}), ticket.Code(s, s), ticket.Table([][]ticket.Span{{span}})}
		for _, out := range []string{d.Text(), d.Markdown(), string(d.HTML())} {
			require.True(t, utf8.ValidString(out))
			require.Equal(t, ticket.Clean(out), out, "no hidden character comes through")
		}
		html := string(d.HTML())
		for _, tag := range tags(html) {
			require.Contains(t, []string{"p", "h1", "ul", "li", "pre", "code", "table", "tr", "th", "strong", "em", "br", "a"}, tag)
		}
	})
}

// tags returns the names of all opening tags in HTML.
func tags(html string) []string {
	var out []string
	for part := range strings.SplitSeq(html, "<") {
		name := strings.TrimLeft(part, "/")
		if n := strings.IndexAny(name, " >"); n >= 0 {
			out = append(out, name[:n])
		}
	}
	return slices.DeleteFunc(out, func(s string) bool { return s == "" })
}
