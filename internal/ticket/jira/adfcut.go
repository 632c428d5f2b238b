package jira

import (
	"sort"
	"unicode/utf8"

	"github.com/portent-dev/portent/internal/ticket"
)

// bounded cuts a block that could not fit in any case before anything is
// rendered, so that hostile input of megabytes costs no more than what fits.
func bounded(b ticket.Block) ticket.Block {
	cost := 1
	switch b.Kind {
	case ticket.KindList:
		cost = size(listNodes(ticket.List(nil))...) / 2
	case ticket.KindTable:
		cost = size(tableNodes(ticket.Table([][]ticket.Span{nil}))...) / 2
	case ticket.KindParagraph, ticket.KindHeading, ticket.KindCode, ticket.KindRule:
	}
	return take(b, min(units(b), maxADF/cost))
}

// fit returns as much of the block as fits into room, possibly an empty block.
func fit(b ticket.Block, room int) ticket.Block {
	b = bounded(b)
	n := sort.Search(units(b)+1, func(n int) bool { return size(blockNodes(take(b, n))...) > room })
	return take(b, n-1)
}

// units is in how many places a block can be cut: its runes, items or rows.
func units(b ticket.Block) int {
	switch b.Kind {
	case ticket.KindList:
		return len(b.Items)
	case ticket.KindTable:
		return len(b.Rows)
	case ticket.KindCode:
		return utf8.RuneCountInString(b.Code)
	case ticket.KindRule:
		return 0
	case ticket.KindParagraph, ticket.KindHeading:
		return spanRunes(b.Spans)
	default:
		return spanRunes(b.Spans)
	}
}

// take returns the first n units of a block. Below 1 it returns a paragraph
// without text, which costs almost nothing in any document.
func take(b ticket.Block, n int) ticket.Block {
	if n >= units(b) {
		return boundedItems(b)
	}
	if n < 1 {
		return ticket.Paragraph()
	}
	switch b.Kind {
	case ticket.KindList:
		b.Items = b.Items[:n]
	case ticket.KindTable:
		b.Rows = b.Rows[:n]
	case ticket.KindCode:
		b.Code = ticket.Cut(b.Code, n)
	case ticket.KindRule:
	case ticket.KindParagraph, ticket.KindHeading:
		b.Spans = takeSpans(b.Spans, n)
	default:
		b.Spans = takeSpans(b.Spans, n)
	}
	return boundedItems(b)
}

// maxCell bounds the text of one list item or table cell, in runes: a list is
// cut by whole items, so that one huge item must not push out all others.
const maxCell = 2000

func boundedItems(b ticket.Block) ticket.Block {
	switch b.Kind {
	case ticket.KindList:
		items := make([][]ticket.Span, len(b.Items))
		for i, item := range b.Items {
			items[i] = takeSpans(item, maxCell)
		}
		b.Items = items
	case ticket.KindTable:
		rows := make([][][]ticket.Span, len(b.Rows))
		for i, row := range b.Rows {
			rows[i] = make([][]ticket.Span, min(len(row), maxColumns))
			for k := range rows[i] {
				rows[i][k] = takeSpans(row[k], maxCell)
			}
		}
		b.Rows = rows
	case ticket.KindParagraph, ticket.KindHeading, ticket.KindCode, ticket.KindRule:
	}
	return b
}

// maxColumns bounds the width of a table; more cannot be read in Jira.
const maxColumns = 20

func spanRunes(spans []ticket.Span) int {
	n := 0
	for _, s := range spans {
		n += utf8.RuneCountInString(s.Text)
	}
	return n
}

// takeSpans returns the spans up to n runes of text; the span in which the cut
// falls ends with an ellipsis.
func takeSpans(spans []ticket.Span, n int) []ticket.Span {
	if spanRunes(spans) <= n {
		return spans
	}
	var out []ticket.Span
	for _, s := range spans {
		runes := utf8.RuneCountInString(s.Text)
		if runes > n {
			s.Text = ticket.Cut(s.Text, n)
			if s.Text != "" {
				out = append(out, s)
			}
			return out
		}
		n -= runes
		out = append(out, s)
	}
	return out
}
