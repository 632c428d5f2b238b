package jira

import (
	"strings"
	"unicode/utf16"

	"github.com/portent-dev/portent/internal/ticket"
	"github.com/portent-dev/portent/internal/ticketrest"
)

// node is a node of the Atlassian Document Format, version 1.
// Source: https://developer.atlassian.com/cloud/jira/platform/apis/document/structure/
type node struct {
	Type    string         `json:"type"`
	Version int            `json:"version,omitempty"`
	Attrs   map[string]any `json:"attrs,omitempty"`
	Content []node         `json:"content,omitempty"`
	Text    string         `json:"text,omitempty"`
	Marks   []mark         `json:"marks,omitempty"`
}

type mark struct {
	Type  string            `json:"type"`
	Attrs map[string]string `json:"attrs,omitempty"`
}

// maxADF bounds a document as it is sent, in UTF-16 units of its JSON. Jira
// refuses text above 32767 characters and counts what it stores, which is more
// than the visible text; a document whose whole JSON stays below is safe by any
// way of counting.
const maxADF = 32000

// render turns d into an ADF document that ends with tail and stays within
// maxADF. What does not fit is cut, and a line says so.
func render(d ticket.Doc, tail ...ticket.Block) node {
	doc := node{Type: "doc", Version: 1}
	cost := func(b ticket.Block) int { return size(blockNodes(b)...) }
	room := maxADF - size(doc)
	for _, b := range tail {
		room -= cost(b)
	}
	notice := ticket.Paragraph(ticket.Italic("Shortened: the rest is in Portent."))
	for _, b := range append(ticket.Fit(d, room, notice, cost), tail...) {
		doc.Content = append(doc.Content, blockNodes(b)...)
	}
	if len(doc.Content) == 0 {
		doc.Content = []node{{Type: "paragraph"}}
	}
	return doc
}

// size is the length of the nodes' JSON with a comma each, in UTF-16 units.
func size(nodes ...node) int {
	n := 0
	for _, nd := range nodes {
		n++
		for _, r := range string(encode(nd)) {
			n += utf16.RuneLen(r)
		}
	}
	return n
}

// encode is v as it is sent.
func encode(v any) []byte {
	b, err := ticketrest.Encode(v)
	if err != nil {
		panic("BUG: a body of plain data cannot fail to marshal: " + err.Error())
	}
	return b
}

func blockNodes(b ticket.Block) []node {
	switch b.Kind {
	case ticket.KindHeading:
		return []node{{Type: "heading", Attrs: map[string]any{"level": min(max(b.Level, 1), 6)}, Content: inline(b.Spans)}}
	case ticket.KindList:
		return listNodes(b)
	case ticket.KindCode:
		return []node{codeNode(b)}
	case ticket.KindTable:
		return tableNodes(b)
	case ticket.KindRule:
		return []node{{Type: "rule"}}
	case ticket.KindParagraph:
		return []node{paragraph(b.Spans)}
	default: // written by a newer version: keep its words
		return []node{paragraph(b.Spans)}
	}
}

func paragraph(spans []ticket.Span) node {
	return node{Type: "paragraph", Content: inline(spans)}
}

func listNodes(b ticket.Block) []node {
	if len(b.Items) == 0 {
		return nil
	}
	list := node{Type: "bulletList"}
	if b.Ordered {
		list.Type = "orderedList"
	}
	for _, item := range b.Items {
		list.Content = append(list.Content, node{Type: "listItem", Content: []node{paragraph(item)}})
	}
	return []node{list}
}

func codeNode(b ticket.Block) node {
	n := node{Type: "codeBlock"}
	if lang := cleanLabel(b.Language); lang != "" {
		n.Attrs = map[string]any{"language": lang}
	}
	if text := ticket.Clean(b.Code); text != "" {
		n.Content = []node{{Type: "text", Text: text}}
	}
	return n
}

// tableNodes pads short rows: Jira's editor refuses a table whose rows differ.
func tableNodes(b ticket.Block) []node {
	width := 0
	for _, row := range b.Rows {
		width = max(width, len(row))
	}
	if width == 0 {
		return nil
	}
	table := node{Type: "table"}
	for i, row := range b.Rows {
		kind := "tableCell"
		if i == 0 {
			kind = "tableHeader"
		}
		r := node{Type: "tableRow"}
		for k := range width {
			var cell []ticket.Span
			if k < len(row) {
				cell = row[k]
			}
			r.Content = append(r.Content, node{Type: kind, Content: []node{paragraph(cell)}})
		}
		table.Content = append(table.Content, r)
	}
	return []node{table}
}

// inline renders spans: newlines become hardBreak nodes, and no text node is
// empty, which the format forbids.
func inline(spans []ticket.Span) []node {
	var out []node
	for _, s := range spans {
		marks := marksOf(s)
		for i, line := range strings.Split(ticket.Clean(s.Text), "\n") {
			if i > 0 {
				out = append(out, node{Type: "hardBreak"})
			}
			if line != "" {
				out = append(out, node{Type: "text", Text: line, Marks: marks})
			}
		}
	}
	return out
}

// marksOf returns the marks of a span. A code mark goes with a link only.
func marksOf(s ticket.Span) []mark {
	var out []mark
	if u, ok := ticket.SafeURL(s.Link); ok {
		out = append(out, mark{Type: "link", Attrs: map[string]string{"href": u}})
	}
	if s.Code {
		return append(out, mark{Type: "code"})
	}
	if s.Italic {
		out = append(out, mark{Type: "em"})
	}
	if s.Bold {
		out = append(out, mark{Type: "strong"})
	}
	return out
}
