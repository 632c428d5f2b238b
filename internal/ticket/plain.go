package ticket

import (
	"strconv"
	"strings"
)

// Text renders d as plain text: blocks apart by an empty line, list items behind
// dashes or numbers, table cells apart by " | ", links behind their text.
func (d Doc) Text() string {
	var parts []string
	for _, b := range d {
		if s := b.text(); s != "" {
			parts = append(parts, s)
		}
	}
	return strings.Join(parts, "\n\n")
}

// Empty reports whether nothing of d would show.
func (d Doc) Empty() bool { return strings.TrimSpace(d.Text()) == "" }

func (b Block) text() string {
	switch b.Kind {
	case KindParagraph, KindHeading:
		return plain(b.Spans)
	case KindList:
		lines := make([]string, len(b.Items))
		for i, item := range b.Items {
			lines[i] = b.marker(i) + strings.ReplaceAll(plain(item), "\n", "\n  ")
		}
		return strings.Join(lines, "\n")
	case KindCode:
		return Clean(b.Code)
	case KindTable:
		lines := make([]string, len(b.Rows))
		for i, row := range b.Rows {
			cells := make([]string, len(row))
			for k, cell := range row {
				cells[k] = strings.ReplaceAll(plain(cell), "\n", " ")
			}
			lines[i] = strings.Join(cells, " | ")
		}
		return strings.Join(lines, "\n")
	case KindRule:
		return "---"
	default: // a block of a newer version, read from the outbox after a downgrade
		return plain(b.Spans)
	}
}

func (b Block) marker(i int) string {
	if b.Ordered {
		return strconv.Itoa(i+1) + ". "
	}
	return "- "
}

func plain(spans []Span) string {
	var s strings.Builder
	for _, span := range spans {
		text := Clean(span.Text)
		s.WriteString(text)
		if u, ok := SafeURL(span.Link); ok && u != text {
			s.WriteString(" (" + u + ")")
		}
	}
	return s.String()
}
