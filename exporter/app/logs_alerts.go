package app

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/portent-dev/portent/internal/alertpush"
	"github.com/portent-dev/portent/internal/logmine"
	"github.com/portent-dev/portent/internal/logwatch"
)

// logAlerts are the names of alerts by kind. They are API.
var logAlerts = map[logwatch.Kind]string{
	logwatch.KindNew: "LogPatternNew", logwatch.KindGrown: "LogPatternGrown", logwatch.KindShrunk: "LogPatternShrunk",
}

// alertOf writes a finding as an alert. Its labels stay as they were when the finding
// began, so that it is one alert from its begin to its end.
func alertOf(f *logwatch.Finding, name string) alertpush.Alert {
	labels := groupLabels(f.Stream)
	query := logQL(labels, f.Template)
	source := streamText(labels)
	subject := strconv.Quote(f.Template)
	if name != "" {
		subject = name + " (" + subject + ")"
	}
	labels["alertname"] = logAlerts[f.Kind]
	labels["pattern"] = f.ID
	labels["severity"] = alertSeverity(logwatch.RateSeverity(f.Kind, f.Severity))
	summary := map[logwatch.Kind]string{
		logwatch.KindNew: "New log pattern in %s: %s", logwatch.KindGrown: "Log lines of %s have become many: %s", logwatch.KindShrunk: "Log lines of %s stay away: %s",
	}[f.Kind]
	a := alertpush.Alert{
		Labels: labels, StartsAt: time.UnixMilli(f.SinceMs).UTC(),
		Annotations: map[string]string{
			"summary":     fmt.Sprintf(summary, source, subject),
			"description": f.Sentence(),
			"template":    f.Template, "example": f.Example, "name": name, "log_severity": f.Severity.String(),
			"since": time.UnixMilli(f.SinceMs).UTC().Format(time.RFC3339), "query": query,
			"runbook_url": "https://github.com/portent-dev/portent/blob/main/docs/runbooks/" + logAlerts[f.Kind] + ".md",
		},
	}
	if f.Kind == logwatch.KindNew {
		a.Annotations["lines"] = strconv.FormatInt(f.Lines, 10)
	} else {
		a.Annotations["lines"] = strconv.FormatFloat(f.Observed, 'f', 0, 64)
		a.Annotations["expected_lines"] = strconv.FormatFloat(f.Expected, 'f', 1, 64)
		a.Annotations["window"] = (time.Duration(f.WindowMs) * time.Millisecond).String()
	}
	if f.EndMs != 0 {
		a.EndsAt = time.UnixMilli(f.EndMs).UTC()
	}
	return a
}

// alertSeverity puts the severity of lines into the words of alerts: only what says
// that it is fatal wakes somebody up.
func alertSeverity(s logmine.Severity) string {
	switch {
	case s >= logmine.Critical:
		return "critical"
	case s >= logmine.Warning:
		return "warning"
	}
	return "info"
}

func streamText(labels map[string]string) string {
	var parts []string
	for name, v := range labels {
		parts = append(parts, name+"="+v)
	}
	slices.Sort(parts)
	if len(parts) == 0 {
		return "a stream without labels"
	}
	return strings.Join(parts, " ")
}

// logQL writes a query that gives the lines of a pattern: its stream, and the longest
// pieces of text of its template. What stands around the message, and how it was
// escaped, is not in the template: pieces end at quotes and backslashes.
func logQL(labels map[string]string, template string) string {
	var matchers []string
	for name, v := range labels {
		if v != otherGroup {
			matchers = append(matchers, name+"="+strconv.Quote(v))
		}
	}
	slices.Sort(matchers)
	if len(matchers) == 0 {
		return ""
	}
	var pieces []string
	for piece := range strings.SplitSeq(template, logmine.Wildcard) {
		for p := range strings.FieldsFuncSeq(piece, func(r rune) bool { return strings.ContainsRune("\"\\→\uFFFD", r) }) {
			if p = strings.TrimSpace(p); len(p) >= 3 {
				pieces = append(pieces, p)
			}
		}
	}
	slices.SortStableFunc(pieces, func(a, b string) int { return len(b) - len(a) })
	parts := []string{"{" + strings.Join(matchers, ", ") + "}"}
	for _, p := range pieces[:min(3, len(pieces))] {
		parts = append(parts, strconv.Quote(p))
	}
	return strings.Join(parts, " |= ")
}
