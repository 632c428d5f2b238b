package ticket

import (
	"strconv"
	"strings"
)

// Text renders d as plain text: blocks apart by an empty line, headings between
// "==", list items behind dashes or numbers, the rows of a table of two
// columns as "name: value" and those of a wider one apart by " | ", links behind
// their text.
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
	case KindHeading: // else nothing would tell it from a paragraph
		if s := strings.TrimSpace(plain(b.Spans)); s != "" {
			return "== " + s + " =="
		}
		return ""
	case KindParagraph:
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
		if named(b.Rows) {
			lines := make([]string, 0, len(b.Rows))
			for _, row := range b.Rows[1:] {
				lines = append(lines, strings.ReplaceAll(plain(row[0])+": "+plain(row[1]), "\n", " "))
			}
			return strings.Join(lines, "\n")
		}
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

// named reports whether a table gives names to values: its header then says
// nothing.
func named(rows [][][]Span) bool {
	for _, row := range rows {
		if len(row) != 2 {
			return false
		}
	}
	return len(rows) > 1
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
