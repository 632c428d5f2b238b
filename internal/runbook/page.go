package runbook

import (
	"strings"

	"go.yaml.in/yaml/v3"
)

// Weights of the parts of a page. Commands are shared by many runbooks (`kubectl get pods`), so
// their words tell less; a title tells no more than its text, which mostly says it again.
const (
	weightText  = 1
	weightTitle = 1
	weightCode  = .5
)

// page is a Markdown file, cut into what is told apart.
type page struct {
	title string
	parts []part
}

// part is a run of lines of one kind, as written.
type part struct {
	text string
	code bool
}

func (p part) weight() float32 {
	if p.code {
		return weightCode
	}
	return weightText
}

// parse cuts Markdown into parts. It needs no more than fences and headings, so it reads
// no more: what is not understood is text.
func parse(text string) page {
	title, text := frontMatter(strings.ReplaceAll(text, "\r\n", "\n"))
	p := page{title: title}
	var lines strings.Builder
	fence := ""
	flush := func() {
		if lines.Len() > 0 {
			p.parts = append(p.parts, part{lines.String(), fence != ""})
			lines.Reset()
		}
	}
	for line := range strings.Lines(text) {
		bare := strings.TrimSpace(line)
		switch {
		case fence == "" && (strings.HasPrefix(bare, "```") || strings.HasPrefix(bare, "~~~")):
			flush()
			fence = bare[:3]
		case fence != "" && strings.HasPrefix(bare, fence):
			flush()
			fence = ""
		default:
			if heading, ok := strings.CutPrefix(bare, "# "); ok && fence == "" && p.title == "" {
				p.title = strings.TrimSpace(heading)
				continue // its words are the title's
			}
			lines.WriteString(line)
		}
	}
	flush()
	return p
}

// frontMatter takes the YAML head off text, where there is one with a title.
func frontMatter(text string) (title, rest string) {
	head, ok := strings.CutPrefix(text, "---\n")
	if !ok {
		return "", text
	}
	head, body, ok := strings.Cut(head, "\n---\n")
	if !ok {
		return "", text
	}
	var fields struct {
		Title string `yaml:"title"`
	}
	if err := yaml.Unmarshal([]byte(head), &fields); err != nil {
		return "", text // not a head after all: a rule above a table, say
	}
	return fields.Title, body
}

// passages are the paragraphs that an excerpt is chosen from: text first, commands only where
// there is nothing else.
func (p page) passages() []string {
	var text, code []string
	for _, part := range p.parts {
		for paragraph := range strings.SplitSeq(part.text, "\n\n") {
			paragraph = strings.TrimSpace(paragraph)
			switch {
			case paragraph == "" || strings.HasPrefix(paragraph, "#") && !strings.Contains(paragraph, "\n"):
			case part.code:
				code = append(code, paragraph)
			default:
				text = append(text, dropHeading(paragraph))
			}
		}
	}
	if len(text) == 0 {
		return code
	}
	return text
}

// dropHeading takes a heading off the paragraph right below it.
func dropHeading(paragraph string) string {
	if first, rest, ok := strings.Cut(paragraph, "\n"); ok && strings.HasPrefix(first, "#") {
		return strings.TrimSpace(rest)
	}
	return paragraph
}
