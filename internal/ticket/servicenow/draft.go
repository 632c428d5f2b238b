package servicenow

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/portent-dev/portent/internal/ticket"
)

// Bounds of columns in runes, those of the dictionary out of the box. ServiceNow
// cuts what is longer without a word.
const (
	maxShort       = 160
	maxDescription = 4000
	maxCorrelation = 100
	maxCloseNotes  = 1000
	// maxNotes bounds a work note, so that a person can read it.
	maxNotes  = 8000
	maxLabels = 30
)

// correlationID is the key, or a digest of one that the column does not hold.
func correlationID(key string) string {
	if len(key) <= maxCorrelation {
		return key
	}
	sum := sha256.Sum256([]byte(key))
	return key[:maxCorrelation-1-2*16] + "-" + hex.EncodeToString(sum[:16])
}

// draftBody is a new incident.
func (t *Tracker) draftBody(d ticket.Draft) map[string]string {
	b := map[string]string{}
	for k, v := range t.cfg.Fields {
		b[k] = v
	}
	for k, v := range map[string]string{
		"assignment_group": cmp.Or(t.cfg.AssignmentGroups[d.Team], t.cfg.AssignmentGroup), "caller_id": t.cfg.CallerID, "category": t.cfg.Category, "cmdb_ci": t.cfg.CmdbCI,
		"urgency": level(t.cfg.Urgency, d), "impact": level(t.cfg.Impact, d),
		"description": description(d),
	} {
		if v != "" {
			b[k] = v
		}
	}
	b["short_description"] = ticket.OneLine(d.Title, maxShort)
	b["correlation_id"] = correlationID(d.Key)
	b["correlation_display"] = "Portent"
	return b
}

// level looks the priority up, and else the severity.
func level(m map[string]string, d ticket.Draft) string {
	if v, ok := m[d.Priority]; ok && d.Priority != "" {
		return v
	}
	return m[d.Severity]
}

// description is plain text: what stands first is never cut for what follows, and
// the link to the incident is kept whole.
func description(d ticket.Draft) string {
	var tail string
	if u, ok := ticket.SafeURL(d.IncidentURL); ok && len(u) < maxDescription/4 {
		tail = "\n\nOpen the incident in Portent: " + u
	}
	if l := labels(d.Labels); l != "" {
		tail += "\n\nLabels: " + l
	}
	var doc ticket.Doc
	if s := strings.TrimSpace(ticket.Clean(d.Summary)); s != "" {
		doc = append(doc, ticket.Paragraph(ticket.Text(s)))
	}
	return strings.TrimSpace(fit(append(doc, d.Body...), maxDescription-utf8.RuneCountInString(tail)) + tail)
}

func labels(in []string) string {
	var out []string
	for _, l := range in {
		if l = ticket.OneLine(l, 60); l != "" && len(out) < maxLabels {
			out = append(out, l)
		}
	}
	return ticket.Cut(strings.Join(out, ", "), maxDescription/4)
}

// fit renders d as text of at most room runes. What is cut is said at the end.
func fit(d ticket.Doc, room int) string {
	const between = 2 // the empty line
	text := ticket.Fit(d, room, ticket.Paragraph(ticket.Text("… (cut: the rest is in Portent)")), func(b ticket.Block) int {
		return utf8.RuneCountInString(ticket.Doc{b}.Text()) + between
	}).Text()
	return ticket.Cut(strings.TrimSpace(text), room)
}

// noteMark is in the last line of each work note of ours, by which it is known
// again.
const noteMark = "portent-update:"

// markup is what would make a journal show text as HTML, and what would pass for
// a mark of ours: the journal is read as one text.
var markup = regexp.MustCompile(`(?i)\[(/?)code\]|portent-update:`)

// note is a work note.
func note(d ticket.Doc, updateKey string) string {
	text := markup.ReplaceAllStringFunc(fit(d, maxNotes), func(s string) string {
		return strings.NewReplacer("[", "(", "]", ")", ":", " ").Replace(s)
	})
	return text + "\n\n" + noteMark + updateKey
}
