package teams

import (
	"strings"

	"github.com/portent-dev/portent/internal/ticket"
)

// An Adaptive Card. Text stands in runs of rich text, which Teams shows as they are: in a TextBlock it would
// be Markdown, and text of strangers with it.
type (
	card struct {
		Type    string    `json:"type"`
		Schema  string    `json:"$schema"`
		Version string    `json:"version"`
		Body    []element `json:"body"`
		Actions []action  `json:"actions,omitempty"`
		Teams   width     `json:"msteams"`
	}
	width   struct{ Width string } // Full, else a card is as narrow as a phone
	element struct {
		Type    string    `json:"type"`
		Inlines []run     `json:"inlines,omitempty"`
		Style   string    `json:"style,omitempty"`
		Items   []element `json:"items,omitempty"`
		Bleed   bool      `json:"bleed,omitempty"`
	}
	run struct {
		Type     string  `json:"type"`
		Text     string  `json:"text"`
		Size     string  `json:"size,omitempty"`
		Weight   string  `json:"weight,omitempty"`
		Italic   bool    `json:"italic,omitempty"`
		FontType string  `json:"fontType,omitempty"`
		Action   *action `json:"selectAction,omitempty"`
	}
	action struct {
		Type  string `json:"type"`
		Title string `json:"title,omitempty"`
		URL   string `json:"url"`
	}
)

// MarshalJSON writes the key as Teams wants it.
func (w width) MarshalJSON() ([]byte, error) { return []byte(`{"width":"` + w.Width + `"}`), nil }

// maxCard bounds the text of a card in bytes: Teams refuses messages over 28 KB, of which markup is at most as much
// again as text in runs of a line.
const maxCard = 10_000

func newCard(style, title string, body ticket.Doc, incidentURL string) card {
	c := card{Type: "AdaptiveCard", Schema: "http://adaptivecards.io/schemas/adaptive-card.json", Version: "1.4", Teams: width{"Full"}}
	c.Body = []element{{
		Type: "Container", Style: style, Bleed: true,
		Items: []element{rich(run{Type: "TextRun", Text: ticket.OneLine(title, 250), Size: "Large", Weight: "Bolder"})},
	}}
	notice := ticket.Paragraph(ticket.Italic("There is more: see the incident."))
	for _, b := range ticket.Fit(body, maxCard, notice, size) {
		c.Body = append(c.Body, elements(b)...)
	}
	if u, ok := ticket.SafeURL(incidentURL); ok {
		c.Actions = []action{{Type: "Action.OpenUrl", Title: "Open the incident", URL: u}}
	}
	return c
}

// size is what a block takes in a card: text is escaped in JSON, and every run has its markup.
func size(b ticket.Block) int {
	n := 0
	for _, e := range elements(b) {
		n += 60
		for _, r := range e.Inlines {
			n += 60 + 2*len(r.Text)
			if r.Action != nil {
				n += 60 + len(r.Action.URL)
			}
		}
	}
	return n
}

func rich(runs ...run) element { return element{Type: "RichTextBlock", Inlines: runs} }

// elements renders one block of a document.
func elements(b ticket.Block) []element {
	var out []element
	add := func(runs []run) {
		if len(runs) > 0 {
			out = append(out, rich(runs...))
		}
	}
	switch b.Kind {
	case ticket.KindHeading:
		rs := runs(b.Spans)
		for i := range rs {
			rs[i].Weight, rs[i].Size = "Bolder", "Medium"
		}
		add(rs)
	case ticket.KindList:
		for _, item := range b.Items {
			add(append([]run{plain("• ")}, runs(item)...))
		}
	case ticket.KindCode:
		if text := ticket.Clean(b.Code); text != "" {
			add([]run{{Type: "TextRun", Text: text, FontType: "Monospace"}})
		}
	case ticket.KindTable:
		for _, row := range b.Rows[min(1, len(b.Rows)):] {
			var line []run
			for i, cell := range row {
				if i > 0 {
					line = append(line, plain(" · "))
				}
				line = append(line, runs(cell)...)
			}
			add(line)
		}
	case ticket.KindRule:
	case ticket.KindParagraph:
		add(runs(b.Spans))
	default: // a block of a newer version, read from the outbox after a downgrade
		add(runs(b.Spans))
	}
	return out
}

func plain(s string) run { return run{Type: "TextRun", Text: s} }

func runs(spans []ticket.Span) []run {
	var out []run
	for _, s := range spans {
		text := strings.ReplaceAll(ticket.Clean(s.Text), "\r", "")
		if text == "" {
			continue
		}
		r := plain(text)
		r.Italic = s.Italic
		if s.Bold {
			r.Weight = "Bolder"
		}
		if s.Code {
			r.FontType = "Monospace"
		}
		if u, ok := ticket.SafeURL(s.Link); ok {
			r.Action = &action{Type: "Action.OpenUrl", URL: u}
		}
		out = append(out, r)
	}
	return out
}
