package ticket

// BlockKind says what a Block is.
type BlockKind string

// The kinds of Block.
const (
	KindParagraph BlockKind = "paragraph" // Spans
	KindHeading   BlockKind = "heading"   // Spans, Level
	KindList      BlockKind = "list"      // Items, Ordered
	KindCode      BlockKind = "code"      // Code, Language
	KindTable     BlockKind = "table"     // Rows; the first one is the header
	KindRule      BlockKind = "rule"      // nothing
)

// Doc is a document without a format: the words of a ticket, which each tracker
// renders in its own markup. The zero value is empty. It is plain data, and its
// JSON is stored in the outbox.
type Doc []Block

// Block is one block of a Doc. Which fields count depends on Kind.
type Block struct {
	Kind     BlockKind  `json:"kind"`
	Level    int        `json:"level,omitempty"` // 1 to 6
	Spans    []Span     `json:"spans,omitempty"`
	Items    [][]Span   `json:"items,omitempty"`
	Ordered  bool       `json:"ordered,omitempty"`
	Code     string     `json:"code,omitempty"`
	Language string     `json:"language,omitempty"`
	Rows     [][][]Span `json:"rows,omitempty"` // rows of cells of spans
}

// Span is a stretch of text in one style. A newline in Text is a line break. A
// Link that is not an absolute http, https or mailto URL is dropped when
// rendering, and its text stays.
type Span struct {
	Text   string `json:"text"`
	Bold   bool   `json:"bold,omitempty"`
	Italic bool   `json:"italic,omitempty"`
	Code   bool   `json:"code,omitempty"`
	Link   string `json:"link,omitempty"`
}

// Text is plain text.
func Text(s string) Span { return Span{Text: s} }

// Bold is strong text.
func Bold(s string) Span { return Span{Text: s, Bold: true} }

// Italic is emphasised text.
func Italic(s string) Span { return Span{Text: s, Italic: true} }

// Mono is text in a fixed-width face, such as a label value.
func Mono(s string) Span { return Span{Text: s, Code: true} }

// Link is text that leads to url.
func Link(text, url string) Span { return Span{Text: text, Link: url} }

// Paragraph is a paragraph.
func Paragraph(spans ...Span) Block { return Block{Kind: KindParagraph, Spans: spans} }

// Heading is a heading of level 1 (largest) to 6.
func Heading(level int, spans ...Span) Block {
	return Block{Kind: KindHeading, Level: level, Spans: spans}
}

// List is a bullet list.
func List(items ...[]Span) Block { return Block{Kind: KindList, Items: items} }

// Numbered is a numbered list.
func Numbered(items ...[]Span) Block { return Block{Kind: KindList, Items: items, Ordered: true} }

// Code is preformatted text; language may be empty.
func Code(language, text string) Block { return Block{Kind: KindCode, Code: text, Language: language} }

// Table is a table whose first row is its header.
func Table(rows ...[][]Span) Block { return Block{Kind: KindTable, Rows: rows} }

// Rule is a horizontal line.
func Rule() Block { return Block{Kind: KindRule} }
