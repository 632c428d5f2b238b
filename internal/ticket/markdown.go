package ticket

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Markdown renders d as CommonMark with GitHub's tables. Punctuation in texts is
// escaped, so that no text can become markup.
func (d Doc) Markdown() string {
	var parts []string
	for _, b := range d {
		if s := b.markdown(); s != "" {
			parts = append(parts, s)
		}
	}
	if len(parts) == 0 {
		return ""
	}
	return strings.Join(parts, "\n\n") + "\n"
}

func (b Block) markdown() string {
	switch b.Kind {
	case KindHeading:
		return strings.Repeat("#", min(max(b.Level, 1), 6)) + " " + oneLine(markdown(b.Spans))
	case KindList:
		lines := make([]string, len(b.Items))
		for i, item := range b.Items {
			marker := "- "
			if b.Ordered {
				marker = strconv.Itoa(i+1) + ". "
			}
			indent := "\n" + strings.Repeat(" ", len(marker))
			lines[i] = marker + strings.ReplaceAll(markdown(item), "\n", indent)
		}
		return strings.Join(lines, "\n")
	case KindCode:
		text := strings.TrimRight(Clean(b.Code), "\n")
		fence := fenceFor(text, 3)
		return fence + word(b.Language) + "\n" + text + "\n" + fence
	case KindTable:
		return b.tableMarkdown()
	case KindRule:
		return "---"
	case KindParagraph:
		return markdown(b.Spans)
	default:
		return markdown(b.Spans)
	}
}

func (b Block) tableMarkdown() string {
	width := 0
	for _, row := range b.Rows {
		width = max(width, len(row))
	}
	if width == 0 {
		return ""
	}
	var lines []string
	for i, row := range b.Rows {
		cells := make([]string, width)
		for k, cell := range row {
			cells[k] = strings.ReplaceAll(oneLine(markdown(cell)), "|", `\|`)
			// Text has its pipes escaped already; undo what was escaped twice.
			cells[k] = strings.ReplaceAll(cells[k], `\\|`, `\|`)
		}
		lines = append(lines, "| "+strings.Join(cells, " | ")+" |")
		if i == 0 {
			lines = append(lines, strings.Repeat("|---", width)+"|")
		}
	}
	return strings.Join(lines, "\n")
}

// oneLine joins the lines of rendered Markdown where a line break would end the
// block.
func oneLine(s string) string {
	return strings.ReplaceAll(strings.ReplaceAll(s, hardBreak, " "), "\n", " ")
}

// Punctuation that CommonMark 0.31 or GitHub could read as markup, and a backslash before
// which is an escape (2.4). People read drafts as they are, so what is harmless stays bare.
const (
	// special is markup wherever it stands.
	special = "\\`*_[]<>#|~&!@$^"
	// leading is markup only where a line begins: lists, rules, underlines of headings.
	leading = "-+="
)

func markdown(spans []Span) string {
	var s strings.Builder
	for _, span := range trimSpans(spans) {
		text := span.Text
		out := escapeMarkdown(text)
		if span.Code {
			out = codeSpan(text)
		}
		// Emphasis that begins or ends with white space is not emphasis.
		if strings.TrimSpace(text) == text {
			if span.Italic {
				out = "_" + out + "_"
			}
			if span.Bold {
				out = "**" + out + "**"
			}
		}
		if u, ok := SafeURL(span.Link); ok {
			out = "[" + oneLine(out) + "](<" + strings.NewReplacer("<", "%3C", ">", "%3E").Replace(u) + ">)"
		}
		s.WriteString(out)
	}
	return s.String()
}

// trimSpans returns spans without empty ones and without white space at both
// ends, where a line break would have nothing to break.
func trimSpans(spans []Span) []Span {
	var out []Span
	for _, span := range spans {
		if span.Text = Clean(span.Text); len(out) == 0 {
			span.Text = strings.TrimLeftFunc(span.Text, unicode.IsSpace)
		}
		if span.Text != "" {
			out = append(out, span)
		}
	}
	for len(out) > 0 {
		last := &out[len(out)-1]
		if last.Text = strings.TrimRightFunc(last.Text, unicode.IsSpace); last.Text != "" {
			break
		}
		out = out[:len(out)-1]
	}
	return out
}

// hardBreak is a line break that stays one.
const hardBreak = "\\\n"

func escapeMarkdown(text string) string {
	var s strings.Builder
	line := 0 // where the line began, in bytes of text
	for i, r := range text {
		if r == '\n' {
			s.WriteString(hardBreak)
			line = i + 1
			continue
		}
		if r == '\t' {
			r = ' '
		}
		if isMarkup(r, strings.TrimLeft(text[line:i], " \t"), text[i:]) {
			s.WriteByte('\\')
		}
		s.WriteRune(r)
	}
	return s.String()
}

// isMarkup reports whether r, which begins rest, could be read as markup after what its line has
// before it.
func isMarkup(r rune, before, rest string) bool {
	switch {
	case r >= utf8.RuneSelf:
		return false
	case strings.ContainsRune(special, r):
		return true
	case strings.ContainsRune(leading, r):
		return before == ""
	case r == '.' || r == ')': // a numbered list, or www.example.com
		return before != "" && strings.Trim(before, "0123456789") == "" || strings.HasSuffix(strings.ToLower(before), "www")
	case r == ':': // https://example.com, :emoji:
		return strings.HasPrefix(rest, "://") || len(rest) > 1 && rest[1] != ' ' && (before == "" || strings.HasSuffix(before, " "))
	}
	return false
}

// codeSpan quotes text in a run of backticks longer than any in it.
func codeSpan(text string) string {
	text = strings.Join(strings.Fields(text), " ")
	fence := fenceFor(text, 1)
	return fence + " " + text + " " + fence
}

// fenceFor returns the shortest run of at least n backticks that text does not
// contain.
func fenceFor(text string, n int) string {
	fence := strings.Repeat("`", n)
	for strings.Contains(text, fence) {
		fence += "`"
	}
	return fence
}

// word keeps the letters, digits, '+', '-' and '_' of a language name.
func word(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '+', r == '-', r == '_':
			return r
		}
		return -1
	}, s)
}
