package jira

import (
	"net/http"
	"time"

	"github.com/portent-dev/portent/internal/ticket"
)

// RenderADF is what a document becomes in Jira.
func RenderADF(d ticket.Doc) []byte { return encode(render(d)) }

// DescriptionADF is the description of a new issue.
func DescriptionADF(d ticket.Draft) []byte {
	doc, tail := description(d)
	return encode(render(doc, tail...))
}

// Wiki is what a document becomes in Jira Data Center.
func Wiki(d ticket.Doc, tail ...ticket.Block) string { return wiki(d, tail...) }

// LastWikiLine is the last line of a comment in Jira Data Center.
func LastWikiLine(s string) string { return lastWikiLine(s) }

// FindJQL is the query that Find sends.
func FindJQL(projects []string, label string) string {
	return jqlAll(jqlClause{"project", projects}, jqlClause{"labels", []string{label}})
}

// CleanLabel makes a label.
func CleanLabel(s string) string { return cleanLabel(s) }

// RetryAfter reads when to come again.
func RetryAfter(h http.Header, now time.Time) time.Duration { return retryAfter(h, now) }

// LastLine is the last line of a comment.
func LastLine(adf []byte) string { return lastLine(adf) }

// Permissions are those that Check asks for.
func Permissions() []string {
	var out []string
	for _, p := range permissions {
		out = append(out, p.key)
	}
	return out
}

// MaxADF bounds a document.
const MaxADF = maxADF
