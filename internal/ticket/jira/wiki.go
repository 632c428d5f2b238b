package jira

import (
	"regexp"
	"strings"
	"unicode/utf16"

	"github.com/portent-dev/portent/internal/ticket"
)

// maxWiki bounds text in wiki markup, in UTF-16 units: Data Center refuses what
// is above 32767 characters unless an administrator changed that.
const maxWiki = 32000

// wiki renders d in Jira's wiki markup, ends it with tail and keeps it within
// maxWiki. What does not fit is cut, and a line says so.
// Source: https://jira.atlassian.com/secure/WikiRendererHelpAction.jspa?section=all
func wiki(d ticket.Doc, tail ...ticket.Block) string {
	cost := func(b ticket.Block) int {
		n := 2
		for _, r := range wikiBlock(b) {
			n += utf16.RuneLen(r)
		}
		return n
	}
	room := maxWiki
	for _, b := range tail {
		room -= cost(b)
	}
	notice := ticket.Paragraph(ticket.Italic("Shortened: the rest is in Portent."))
	var parts []string
	for _, b := range append(ticket.Fit(d, room, notice, cost), tail...) {
		if s := wikiBlock(b); strings.TrimSpace(s) != "" {
			parts = append(parts, s)
		}
	}
	return strings.Join(parts, "\n\n")
}

func wikiBlock(b ticket.Block) string {
	switch b.Kind {
	case ticket.KindHeading:
		return "h" + string(rune('0'+min(max(b.Level, 1), 6))) + ". " + flat(wikiSpans(b.Spans))
	case ticket.KindList:
		mark := "* "
		if b.Ordered {
			mark = "# "
		}
		lines := make([]string, len(b.Items))
		for i, item := range b.Items {
			lines[i] = mark + flat(wikiSpans(item))
		}
		return strings.Join(lines, "\n")
	case ticket.KindCode:
		// The end of the macro must not stand within it: a space breaks it.
		return "{noformat}\n" + strings.ReplaceAll(ticket.Clean(b.Code), "{noformat", "{ noformat") + "\n{noformat}"
	case ticket.KindTable:
		return wikiTable(b.Rows)
	case ticket.KindRule:
		return "----"
	case ticket.KindParagraph:
		return wikiSpans(b.Spans)
	default: // written by a newer version: keep its words
		return wikiSpans(b.Spans)
	}
}

// wikiTable pads short rows, and gives an empty cell a space: without one it is
// taken for the border of another kind of cell.
func wikiTable(rows [][][]ticket.Span) string {
	width := 0
	for _, row := range rows {
		width = max(width, len(row))
	}
	if width == 0 {
		return ""
	}
	lines := make([]string, len(rows))
	for i, row := range rows {
		bar := "|"
		if i == 0 {
			bar = "||"
		}
		var line strings.Builder
		for k := range width {
			cell := ""
			if k < len(row) {
				cell = flat(wikiSpans(row[k]))
			}
			line.WriteString(bar + " " + cell + " ")
		}
		lines[i] = line.String() + bar
	}
	return strings.Join(lines, "\n")
}

func flat(s string) string { return strings.Join(strings.Fields(s), " ") }

func wikiSpans(spans []ticket.Span) string {
	var b strings.Builder
	for _, s := range spans {
		text := wikiText(s.Text)
		bare := strings.TrimSpace(text)
		if u, ok := ticket.SafeURL(s.Link); ok && bare != "" {
			b.WriteString("[" + flat(text) + "|" + wikiURL.Replace(u) + "]")
			continue
		}
		// Marks stand only around what neither begins nor ends with a space, on one line.
		switch {
		case bare == "" || bare != text || strings.Contains(text, "\n"):
		case s.Code:
			text = "{{" + text + "}}"
		case s.Bold:
			text = "*" + text + "*"
		case s.Italic:
			text = "_" + text + "_"
		}
		b.WriteString(text)
	}
	return b.String()
}

// wikiURL encodes what would end a link.
var wikiURL = strings.NewReplacer("|", "%7C", "[", "%5B", "]", "%5D", "{", "%7B", "}", "%7D", `\`, "%5C", " ", "%20", "^", "%5E", "!", "%21")

// lineMark finds what makes a line another kind of block, besides what is escaped anyway.
var lineMark = regexp.MustCompile(`(?m)^(\s*(?:h[1-6]|bq))\.`)

// wikiText makes text of strangers plain: every character that begins or ends
// markup, a macro, a mention, a picture or a smiley is escaped. A backslash cannot
// escape itself (two of them break the line), so it is an entity.
func wikiText(s string) string {
	var b strings.Builder
	for _, r := range ticket.Clean(s) {
		switch {
		case r == '\\':
			b.WriteString("&#92;")
		case r == '&':
			b.WriteString("&amp;")
		case strings.ContainsRune(`{}[]()*_-+^~!|#`, r):
			b.WriteByte('\\')
			b.WriteRune(r)
		default:
			b.WriteRune(r)
		}
	}
	return lineMark.ReplaceAllString(b.String(), "$1&#46;")
}

var unescape = regexp.MustCompile(`\\([^A-Za-z0-9\s])`)

// lastWikiLine returns the last line of wiki markup that has text, without the
// marks of our own last line.
func lastWikiLine(s string) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	last := strings.TrimSpace(lines[len(lines)-1])
	last = strings.TrimSuffix(strings.TrimPrefix(last, "{{"), "}}")
	return unescape.ReplaceAllString(last, "$1")
}
