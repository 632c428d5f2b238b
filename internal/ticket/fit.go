package ticket

import (
	"slices"
	"sort"
	"unicode/utf8"
)

// Bounds of what is looked at when a document is cut, so that hostile input of
// megabytes costs no more than what a tracker could take.
const (
	maxItems   = 700  // of a list
	maxRows    = 400  // of a table
	maxColumns = 20   // of a table; more cannot be read anywhere
	maxCell    = 2000 // runes of an item or a cell: one must not push out all others
)

// Fit returns as much of d as has a size of at most room, where size tells what
// a block costs in the tracker's own format. Blocks are kept in order; the first
// that does not fit is cut by whole items, rows or characters and followed by
// notice, whose size is kept free. Lists and tables are bounded in any case.
func Fit(d Doc, room int, notice Block, size func(Block) int) Doc {
	room -= size(notice)
	var out Doc
	for _, b := range d {
		most := min(units(b), maxUnits(b))
		bounded := take(b, most)
		if n := size(bounded); n <= room && most == units(b) {
			out = append(out, bounded)
			room -= n
			continue
		}
		n := sort.Search(most+1, func(n int) bool { return size(take(bounded, n)) > room })
		if n > 1 {
			out = append(out, take(bounded, n-1))
		}
		return append(out, notice)
	}
	return out
}

// units is in how many places a block can be cut: its runes, items or rows.
func units(b Block) int {
	switch b.Kind {
	case KindList:
		return len(b.Items)
	case KindTable:
		return len(b.Rows)
	case KindCode:
		return utf8.RuneCountInString(b.Code)
	case KindRule:
		return 0
	case KindParagraph, KindHeading:
		return spanRunes(b.Spans)
	default:
		return spanRunes(b.Spans)
	}
}

func maxUnits(b Block) int {
	switch b.Kind {
	case KindList:
		return maxItems
	case KindTable:
		return maxRows
	case KindParagraph, KindHeading, KindCode, KindRule:
		return MaxText
	default:
		return MaxText
	}
}

// take returns the first n units of a block.
func take(b Block, n int) Block {
	switch b.Kind {
	case KindList:
		items := make([][]Span, min(n, len(b.Items)))
		for i := range items {
			items[i] = takeSpans(b.Items[i], maxCell)
		}
		b.Items = items
	case KindTable:
		rows := make([][][]Span, min(n, len(b.Rows)))
		for i := range rows {
			rows[i] = make([][]Span, min(len(b.Rows[i]), maxColumns))
			for k := range rows[i] {
				rows[i][k] = takeSpans(b.Rows[i][k], maxCell)
			}
			if len(b.Rows[i]) > maxColumns {
				rows[i][maxColumns-1] = []Span{Text("…")}
			}
		}
		b.Rows = rows
	case KindCode:
		b.Code = Cut(b.Code, n)
	case KindRule:
	case KindParagraph, KindHeading:
		b.Spans = takeSpans(b.Spans, n)
	default:
		b.Spans = takeSpans(b.Spans, n)
	}
	return b
}

func spanRunes(spans []Span) int {
	n := 0
	for _, s := range spans {
		n += utf8.RuneCountInString(s.Text)
	}
	return n
}

// maxSpans bounds the spans of one paragraph, item or cell.
const maxSpans = 500

// takeSpans returns the spans up to n runes of text; the span in which the cut
// falls ends with an ellipsis.
func takeSpans(spans []Span, n int) []Span {
	if len(spans) > maxSpans {
		spans = append(slices.Clone(spans[:maxSpans-1]), Text("…"))
	}
	if spanRunes(spans) <= n {
		return spans
	}
	var out []Span
	for _, s := range spans {
		runes := utf8.RuneCountInString(s.Text)
		if runes > n {
			if s.Text = Cut(s.Text, n); s.Text != "" {
				out = append(out, s)
			}
			return out
		}
		n -= runes
		out = append(out, s)
	}
	return out
}
