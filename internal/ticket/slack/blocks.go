package slack

import (
	"strings"
	"unicode/utf8"

	"github.com/portent-dev/portent/internal/ticket"
)

// Limits of the API, in characters.
const (
	maxHeader  = 150
	maxSection = 3000
	maxBlocks  = 50
	maxText    = 4000 // of the notification: more is cut by some clients
	maxContext = 2000
)

// block is a layout block; which fields count depends on Type.
type block struct {
	Type     string  `json:"type"`
	Text     *text   `json:"text,omitempty"`
	Elements []any   `json:"elements,omitempty"`
	Fields   []*text `json:"fields,omitempty"`
}

type text struct {
	Type string `json:"type"` // plain_text or mrkdwn
	Text string `json:"text"`
}

func header(s string) block {
	return block{Type: "header", Text: &text{"plain_text", ticket.OneLine(s, maxHeader)}}
}

func section(mrkdwn string) block {
	return block{Type: "section", Text: &text{"mrkdwn", mrkdwn}}
}

func contextLine(mrkdwn string) block {
	return block{Type: "context", Elements: []any{text{"mrkdwn", cutMarkup(mrkdwn, maxContext)}}}
}

// button opens a page, or sends its value to us when somebody presses it.
type button struct {
	Type     string `json:"type"`
	Text     text   `json:"text"`
	ActionID string `json:"action_id"`
	URL      string `json:"url,omitempty"`
	Value    string `json:"value,omitempty"`
	Style    string `json:"style,omitempty"`
}

// form is the body of views.open.
type form struct {
	Trigger string `json:"trigger_id"`
	View    view   `json:"view"`
}

type view struct {
	Type       string `json:"type"`
	CallbackID string `json:"callback_id"`
	Meta       string `json:"private_metadata"`
	Title      text   `json:"title"`
	Submit     text   `json:"submit"`
	Close      text   `json:"close"`
	Blocks     []any  `json:"blocks"`
}

// input is a field of a form.
type input struct {
	Type    string    `json:"type"`
	BlockID string    `json:"block_id"`
	Label   text      `json:"label"`
	Hint    text      `json:"hint"`
	Element textInput `json:"element"`
}

type textInput struct {
	Type      string `json:"type"`
	ActionID  string `json:"action_id"`
	Multiline bool   `json:"multiline"`
	MinLength int    `json:"min_length"`
	MaxLength int    `json:"max_length"`
}

func openButton(label, url string) block {
	return block{Type: "actions", Elements: []any{link(label, url)}}
}

func link(label, url string) button {
	return button{Type: "button", Text: plain(label), URL: url, ActionID: ActionOpen}
}

func plain(s string) text { return text{"plain_text", s} }

// escape makes text of strangers plain: only & < > mean anything to the API, and of what is formatted by * _ ` ~ nothing
// can leave the message or ring anybody.
func escape(s string) string {
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace(ticket.Clean(s))
}

// sections renders a document in as few sections as hold it.
func sections(d ticket.Doc, most int) []block {
	var out []block
	var b strings.Builder
	flush := func() {
		if b.Len() > 0 {
			out = append(out, section(b.String()))
			b.Reset()
		}
	}
	for _, x := range d {
		part := cutMarkup(mrkdwn(x), maxSection)
		if part == "" {
			continue
		}
		if utf8.RuneCountInString(b.String())+utf8.RuneCountInString(part)+2 > maxSection {
			flush()
		}
		if b.Len() > 0 {
			b.WriteString("\n\n")
		}
		b.WriteString(part)
	}
	flush()
	if len(out) > most {
		out = append(out[:most-1], contextLine("There is more: see the incident."))
	}
	return out
}

// mrkdwn renders one block of a document in Slack's markup.
func mrkdwn(b ticket.Block) string {
	switch b.Kind {
	case ticket.KindHeading:
		return "*" + strings.ReplaceAll(spans(b.Spans), "*", "") + "*"
	case ticket.KindList:
		lines := make([]string, len(b.Items))
		for i, item := range b.Items {
			lines[i] = "• " + strings.ReplaceAll(spans(item), "\n", " ")
		}
		return strings.Join(lines, "\n")
	case ticket.KindCode:
		return "```" + strings.ReplaceAll(escape(b.Code), "```", "'''") + "```"
	case ticket.KindTable:
		return table(b.Rows)
	case ticket.KindRule:
		return ""
	default:
		return spans(b.Spans)
	}
}

// table is a list of its rows: Slack has no tables. Of two columns the first is the name of the second.
func table(rows [][][]ticket.Span) string {
	var lines []string
	for _, row := range rows[min(1, len(rows)):] {
		cells := make([]string, len(row))
		for i, cell := range row {
			cells[i] = strings.ReplaceAll(spans(cell), "\n", " ")
		}
		if len(cells) == 2 {
			lines = append(lines, "*"+cells[0]+"*: "+cells[1])
			continue
		}
		lines = append(lines, "• "+strings.Join(cells, " · "))
	}
	return strings.Join(lines, "\n")
}

func spans(all []ticket.Span) string {
	var b strings.Builder
	for _, s := range all {
		t := escape(s.Text)
		bare := strings.TrimSpace(t)
		if u, ok := ticket.SafeURL(s.Link); ok && bare != "" {
			// A | in the address would end it, and escape has taken the rest.
			b.WriteString("<" + escape(strings.ReplaceAll(u, "|", "%7C")) + "|" + strings.ReplaceAll(bare, "|", "¦") + ">")
			continue
		}
		switch {
		case bare == "" || bare != t:
		case s.Code && !strings.ContainsAny(t, "`\n"):
			t = "`" + t + "`"
		case s.Bold && !strings.ContainsAny(t, "*\n"):
			t = "*" + t + "*"
		case s.Italic && !strings.ContainsAny(t, "_\n"):
			t = "_" + t + "_"
		}
		b.WriteString(t)
	}
	return b.String()
}

// cutMarkup bounds markup by characters, at the end of a line: a link that is cut would show its insides.
func cutMarkup(s string, limit int) string {
	if utf8.RuneCountInString(s) <= limit {
		return s
	}
	short := string([]rune(s)[:limit-2])
	if i := strings.LastIndexByte(short, '\n'); i > 0 {
		return short[:i] + "\n…"
	}
	if i := strings.LastIndexByte(short, '<'); i > strings.LastIndexByte(short, '>') {
		short = short[:i]
	}
	return short + "…"
}
