package jira_test

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/spectest"
	"github.com/portent-dev/portent/internal/ticket"
	"github.com/portent-dev/portent/internal/ticket/jira"
	"github.com/portent-dev/portent/internal/ticket/tickettest"
)

// validADF holds a document to our own schema, to Atlassian's, and to the bound
// of its length.
func validADF(t testing.TB, adf []byte) {
	t.Helper()
	require.NoError(t, ownSchema(t, "adf").Check(adf))
	require.NoError(t, atlassianADF(t).Check(adf))
	require.LessOrEqual(t, len(utf16.Encode([]rune(string(adf)))), 32767)
}

func atlassianADF(t testing.TB) *spectest.Schema {
	path := filepath.Join(spectest.Dir(t), "adf-v1-full.schema.json")
	if s, ok := schemas.Load(path); ok {
		return s.(*spectest.Schema)
	}
	s, err := spectest.CompileFile(path)
	require.NoError(t, err)
	schemas.Store(path, s)
	return s
}

func TestADF(t *testing.T) {
	t.Parallel()
	f := func(d ticket.Doc, want string) {
		t.Helper()
		got := jira.RenderADF(d)
		validADF(t, got)
		require.JSONEq(t, `{"type":"doc","version":1,"content":[`+want+`]}`, string(got))
	}
	f(nil, `{"type":"paragraph"}`)
	f(ticket.Doc{ticket.Paragraph()}, `{"type":"paragraph"}`)
	f(ticket.Doc{ticket.Paragraph(ticket.Text("a"), ticket.Bold("b"), ticket.Italic("c"), ticket.Mono("d"))},
		`{"type":"paragraph","content":[{"type":"text","text":"a"},{"type":"text","text":"b","marks":[{"type":"strong"}]},
			{"type":"text","text":"c","marks":[{"type":"em"}]},{"type":"text","text":"d","marks":[{"type":"code"}]}]}`)
	f(ticket.Doc{ticket.Paragraph(ticket.Text("one\ntwo\r\n\nfour"))},
		`{"type":"paragraph","content":[{"type":"text","text":"one"},{"type":"hardBreak"},{"type":"text","text":"two"},{"type":"hardBreak"},{"type":"hardBreak"},{"type":"text","text":"four"}]}`)
	f(ticket.Doc{ticket.Paragraph(ticket.Link("x", "https://a.example/?q=<b>&c"), ticket.Link("y", "javascript:alert(1)"))},
		`{"type":"paragraph","content":[{"type":"text","text":"x","marks":[{"type":"link","attrs":{"href":"https://a.example/?q=<b>&c"}}]},{"type":"text","text":"y"}]}`)
	f(ticket.Doc{ticket.Paragraph(ticket.Span{Text: "x", Bold: true, Italic: true, Code: true, Link: "https://a.example/"})},
		`{"type":"paragraph","content":[{"type":"text","text":"x","marks":[{"type":"link","attrs":{"href":"https://a.example/"}},{"type":"code"}]}]}`)
	f(ticket.Doc{ticket.Heading(0, ticket.Text("h")), ticket.Heading(7, ticket.Text("h")), ticket.Rule()},
		`{"type":"heading","attrs":{"level":1},"content":[{"type":"text","text":"h"}]},{"type":"heading","attrs":{"level":6},"content":[{"type":"text","text":"h"}]},{"type":"rule"}`)
	f(ticket.Doc{ticket.List([]ticket.Span{ticket.Text("a")}, nil), ticket.Numbered([]ticket.Span{ticket.Text("b")}), ticket.List()},
		`{"type":"bulletList","content":[{"type":"listItem","content":[{"type":"paragraph","content":[{"type":"text","text":"a"}]}]},{"type":"listItem","content":[{"type":"paragraph"}]}]},
		 {"type":"orderedList","content":[{"type":"listItem","content":[{"type":"paragraph","content":[{"type":"text","text":"b"}]}]}]}`)
	f(ticket.Doc{ticket.Code("ba sh", "x\n\ty"), ticket.Code("", "")},
		`{"type":"codeBlock","attrs":{"language":"ba-sh"},"content":[{"type":"text","text":"x\n\ty"}]},{"type":"codeBlock"}`)
	f(ticket.Doc{ticket.Table([][]ticket.Span{{ticket.Text("a")}, {ticket.Text("b")}}, [][]ticket.Span{{ticket.Text("c")}}), ticket.Table(), ticket.Table(nil)},
		`{"type":"table","content":[
			{"type":"tableRow","content":[{"type":"tableHeader","content":[{"type":"paragraph","content":[{"type":"text","text":"a"}]}]},{"type":"tableHeader","content":[{"type":"paragraph","content":[{"type":"text","text":"b"}]}]}]},
			{"type":"tableRow","content":[{"type":"tableCell","content":[{"type":"paragraph","content":[{"type":"text","text":"c"}]}]},{"type":"tableCell","content":[{"type":"paragraph"}]}]}]}`)
}

func TestADFOfHostileText(t *testing.T) {
	t.Parallel()
	for _, s := range tickettest.Hostile() {
		span := ticket.Span{Text: s, Link: s}
		validADF(t, jira.RenderADF(ticket.Doc{
			ticket.Paragraph(span), ticket.Heading(2, span), ticket.List([]ticket.Span{span}), ticket.Code(s, s),
			ticket.Table([][]ticket.Span{{span}}),
			{Kind: ticket.BlockKind(s), Spans: []ticket.Span{span}},
		}))
		validADF(t, jira.DescriptionADF(ticket.Draft{Summary: s, IncidentURL: s, Body: tickettest.Note(s)}))
	}
}

// TestADFIsCut fills documents far beyond the bound in each way.
func TestADFIsCut(t *testing.T) {
	t.Parallel()
	row := [][]ticket.Span{{ticket.Text("a cell")}, {ticket.Text("another cell")}}
	many := slices.Repeat([][][]ticket.Span{row}, 100_000)
	for name, d := range map[string]ticket.Doc{
		"one paragraph":         tickettest.Note(strings.Repeat("words and words ", 20_000)),
		"escapes":               tickettest.Note(strings.Repeat("\"\\\t", 30_000)),
		"newlines":              tickettest.Note(strings.Repeat("x\n", 30_000)),
		"surrogate pairs":       tickettest.Note(strings.Repeat("🧨", 30_000)),
		"code":                  {ticket.Code("", strings.Repeat("line\n", 50_000))},
		"a table":               {ticket.Table(many...)},
		"a wide table":          {ticket.Table(slices.Repeat(row, 10_000))},
		"a list":                {ticket.List(slices.Repeat([][]ticket.Span{{ticket.Text("item")}}, 1_000_000)...)},
		"a list of long items":  {ticket.List(slices.Repeat([][]ticket.Span{{ticket.Text(strings.Repeat("i", 10_000))}}, 100)...)},
		"many blocks":           slices.Repeat(tickettest.Note("a paragraph"), 100_000),
		"many spans":            {ticket.Paragraph(slices.Repeat([]ticket.Span{ticket.Bold("x")}, 1_000_000)...)},
		"many links":            {ticket.Paragraph(slices.Repeat([]ticket.Span{ticket.Link("x", "https://a.example/"+strings.Repeat("p", 1900))}, 500)...)},
		"a heading":             {ticket.Heading(1, ticket.Text(strings.Repeat("h", 100_000)))},
		"rules":                 slices.Repeat(ticket.Doc{ticket.Rule()}, 10_000),
		"short, then very long": append(tickettest.Note("first"), ticket.Code("", strings.Repeat("c", 1<<20))),
	} {
		adf := jira.RenderADF(d)
		validADF(t, adf)
		require.True(t, strings.Contains(string(adf), "Shortened") || strings.Contains(string(adf), "…"), name)
		if name != "many links" && name != "a wide table" {
			require.Greater(t, len(adf), 20_000, "%s: no more is cut than must be", name)
		}
	}
	// The first block that does not fit ends the document, in order.
	adf := string(jira.RenderADF(ticket.Doc{ticket.Paragraph(ticket.Text("first")), ticket.Code("", strings.Repeat("c", 1<<20)), ticket.Paragraph(ticket.Text("last"))}))
	require.Contains(t, adf, "first")
	require.NotContains(t, adf, "last")
	// What fits is not touched.
	require.NotContains(t, string(jira.RenderADF(tickettest.Note(strings.Repeat("x", 31_000)))), "Shortened")
}

func TestLastLine(t *testing.T) {
	t.Parallel()
	f := func(adf, want string) {
		t.Helper()
		require.Equal(t, want, jira.LastLine([]byte(adf)))
	}
	f(`{"type":"doc","version":1,"content":[{"type":"paragraph","content":[{"type":"text","text":"a"}]},{"type":"paragraph","content":[{"type":"text","text":"b"},{"type":"text","text":"c"}]}]}`, "bc")
	f(`{"type":"doc","content":[{"type":"paragraph","content":[{"type":"text","text":"a"},{"type":"hardBreak"},{"type":"text","text":" z "}]},{"type":"paragraph"}]}`, "z")
	f(`{"type":"doc","content":[{"type":"paragraph","content":[{"type":"text","text":"one line\nportent-update:u1"}]}]}`, "portent-update:u1")
	f(`{"type":"doc","content":[{"type":"panel","content":[{"type":"bulletList","content":[{"type":"listItem","content":[{"type":"paragraph","content":[{"type":"text","text":"deep"}]}]}]}]}]}`, "deep")
	for _, adf := range []string{"", "null", `"text"`, "{", `{"content":7}`, "[]"} {
		f(adf, "")
	}
	nested := strings.Repeat(`{"type":"x","content":[`, 5000) + strings.Repeat("]}", 5000)
	f(nested, "")
}

func FuzzADF(f *testing.F) {
	for i, s := range tickettest.Hostile() {
		f.Add(s, uint8(i), uint16(i*37))
	}
	f.Fuzz(func(t *testing.T, s string, shape uint8, repeat uint16) {
		// Small documents, since the validator takes seconds for the largest;
		// TestADFIsCut has those.
		s = s[:min(len(s), 80)]
		n := int(repeat) % 3
		span := ticket.Span{Text: s, Bold: shape&1 > 0, Italic: shape&2 > 0, Code: shape&4 > 0, Link: s}
		d := ticket.Doc{
			ticket.Paragraph(slices.Repeat([]ticket.Span{span}, n)...),
			ticket.Heading(int(shape)-100, span),
			ticket.List(slices.Repeat([][]ticket.Span{{span}, nil}, n)...),
			ticket.Table(slices.Repeat([][][]ticket.Span{{{span}, nil}, {}}, n)...),
			ticket.Code(s, strings.Repeat(s, n)),
			{Kind: ticket.BlockKind(s), Spans: []ticket.Span{span}},
		}
		k := int(shape) % len(d)
		validADF(t, jira.RenderADF(append(d[k:], d[:k]...)))
		validADF(t, jira.DescriptionADF(ticket.Draft{Summary: s, IncidentURL: s, Body: d}))
	})
}

func TestLabels(t *testing.T) {
	t.Parallel()
	f := func(in, want string) {
		t.Helper()
		require.Equal(t, want, jira.CleanLabel(in))
	}
	f("team:checkout", "team:checkout")
	f("two words", "two-words")
	f("  tab\tand\nline ", "tab-and-line")
	f(`a"b\c'd`, "a-b-c-d")
	f("größe=5%", "größe=5")
	f("--", "")
	f("\u202e\u200b", "")
	f("日本語", "日本語")
	f(strings.Repeat("ä", 300), strings.Repeat("ä", 255))
}

// unquoteJQL reads a JQL string as Jira's lexer does.
func unquoteJQL(t *testing.T, s string) string {
	require.True(t, len(s) >= 2 && s[0] == '"' && s[len(s)-1] == '"', "%q", s)
	s = s[1 : len(s)-1]
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '"', s[i] < 0x20:
			require.Failf(t, "the string ends early", "%q", s)
		case s[i] != '\\':
			b.WriteByte(s[i])
		case s[i+1] == 'u':
			var r rune
			_, err := fmt.Sscanf(s[i+2:i+6], "%04x", &r)
			require.NoError(t, err)
			b.WriteRune(r)
			i += 5
		default:
			require.Contains(t, `"\`, string(s[i+1]))
			b.WriteByte(s[i+1])
			i++
		}
	}
	return b.String()
}

func checkJQL(t *testing.T, label string) {
	t.Helper()
	const head, tail = `project in ("OPS", "SUP") AND labels = `, ` ORDER BY created ASC`
	got := jira.FindJQL([]string{"OPS", "SUP"}, label)
	require.True(t, strings.HasPrefix(got, head), got)
	require.True(t, strings.HasSuffix(got, tail), got)
	require.Equal(t, strings.ToValidUTF8(label, "\uFFFD"), unquoteJQL(t, got[len(head):len(got)-len(tail)]))
}

func TestJQL(t *testing.T) {
	t.Parallel()
	require.Equal(t, `project = "OPS" AND labels = "portent-1" ORDER BY created ASC`, jira.FindJQL([]string{"OPS"}, "portent-1"))
	require.Equal(t, `project = "OPS" AND labels = "x\" OR project = \"SECRET" ORDER BY created ASC`, jira.FindJQL([]string{"OPS"}, `x" OR project = "SECRET`))
	for _, s := range tickettest.Hostile() {
		checkJQL(t, s)
	}
}

func FuzzJQL(f *testing.F) {
	for _, s := range tickettest.Hostile() {
		f.Add(s)
	}
	f.Fuzz(checkJQL)
}

// TestOwnSchemasRefuse keeps the schemas from accepting anything.
func TestOwnSchemasRefuse(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ schema, body string }{
		{"adf", `{"type":"doc","version":1,"content":[]}`},
		{"adf", `{"type":"doc","version":1,"content":[{"type":"paragraph","content":[{"type":"text","text":""}]}]}`},
		{"adf", `{"type":"doc","version":1,"content":[{"type":"paragraph","content":[{"type":"text","text":"a","marks":[{"type":"code"},{"type":"strong"}]}]}]}`},
		{"adf", `{"type":"doc","version":1,"content":[{"type":"paragraph","content":[{"type":"text","text":"a","marks":[{"type":"link","attrs":{"href":"javascript:x"}}]}]}]}`},
		{"create", `{"fields":{"project":{"key":"OPS"},"issuetype":{"id":"1"},"summary":"s","labels":["other"]},"properties":[{"key":"portent.incident","value":{"key":"k"}}]}`},
		{"create", `{"fields":{"project":{"key":"OPS"},"issuetype":{"id":"1"},"summary":"s","labels":["portent-1","portent-2"]},"properties":[{"key":"portent.incident","value":{"key":"k"}}]}`},
		{"create", `{"fields":{"project":{"key":"OPS"},"issuetype":{"id":"1"},"summary":"a\nb","labels":["portent-1"]},"properties":[{"key":"portent.incident","value":{"key":"k"}}]}`},
		{"create", `{"fields":{"project":{"key":"OPS"},"issuetype":{"id":"1"},"summary":"s","labels":["portent-1"],"text":{}},"properties":[{"key":"portent.incident","value":{"key":"k"}}]}`},
		{"search", `{"jql":"labels = x","fields":["labels"],"maxResults":50}`},
		{"search", `{"jql":"project = \"OPS\" AND labels = \"x\" OR project = \"SECRET\" ORDER BY created ASC","fields":["labels"],"maxResults":50}`},
		{"transition", `{"transition":{"name":"Done"}}`},
		{"comment", `{"body":"text"}`},
		{"property", `{"of":"OPS-1"}`},
		{"link", `{"type":{"name":"Duplicate"},"inwardIssue":{"key":"OPS-2"}}`},
	} {
		require.True(t, json.Valid([]byte(tc.body)))
		require.Error(t, ownSchema(t, tc.schema).Check([]byte(tc.body)), tc.body)
	}
}
