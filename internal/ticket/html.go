package ticket

import (
	"html"
	"html/template"
	"strconv"
	"strings"
)

// HTML renders d as HTML for a page of ours. All text is escaped; links open
// without a referrer.
func (d Doc) HTML() template.HTML {
	var s strings.Builder
	for _, b := range d {
		b.html(&s)
	}
	return template.HTML(s.String()) //nolint:gosec // every text goes through html.EscapeString
}

func (b Block) html(s *strings.Builder) {
	switch b.Kind {
	case KindHeading:
		tag := "h" + strconv.Itoa(min(max(b.Level, 1), 6))
		element(s, tag, func() { spansHTML(s, b.Spans) })
	case KindList:
		tag := "ul"
		if b.Ordered {
			tag = "ol"
		}
		element(s, tag, func() {
			for _, item := range b.Items {
				element(s, "li", func() { spansHTML(s, item) })
			}
		})
	case KindCode:
		element(s, "pre", func() { element(s, "code", func() { s.WriteString(html.EscapeString(Clean(b.Code))) }) })
	case KindTable:
		b.tableHTML(s)
	case KindRule:
		s.WriteString("<hr>")
	case KindParagraph:
		element(s, "p", func() { spansHTML(s, b.Spans) })
	default:
		element(s, "p", func() { spansHTML(s, b.Spans) })
	}
	s.WriteByte('\n')
}

func (b Block) tableHTML(s *strings.Builder) {
	element(s, "table", func() {
		for i, row := range b.Rows {
			cell := "td"
			if i == 0 {
				cell = "th"
			}
			element(s, "tr", func() {
				for _, spans := range row {
					element(s, cell, func() { spansHTML(s, spans) })
				}
			})
		}
	})
}

func element(s *strings.Builder, tag string, inner func()) {
	s.WriteString("<" + tag + ">")
	inner()
	s.WriteString("</" + tag + ">")
}

func spansHTML(s *strings.Builder, spans []Span) {
	for _, span := range spans {
		text := strings.ReplaceAll(html.EscapeString(Clean(span.Text)), "\n", "<br>")
		for _, style := range []struct {
			on  bool
			tag string
		}{{span.Code, "code"}, {span.Italic, "em"}, {span.Bold, "strong"}} {
			if style.on {
				text = "<" + style.tag + ">" + text + "</" + style.tag + ">"
			}
		}
		if u, ok := SafeURL(span.Link); ok {
			text = `<a href="` + html.EscapeString(u) + `" rel="noopener noreferrer nofollow">` + text + "</a>"
		}
		s.WriteString(text)
	}
}
