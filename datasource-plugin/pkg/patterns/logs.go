package patterns

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/grafana/grafana-plugin-sdk-go/data"

	"github.com/portent-dev/portent/datasource-plugin/pkg/dataplane"
	"github.com/portent-dev/portent/internal/logmine"
	"github.com/portent-dev/portent/internal/logquery"
)

// logs is the newest lines of the query themselves, as the logs panel and Explore read them.
func (r Request) logs(ctx context.Context, store *logquery.Loki) (data.Frames, error) {
	read := r.Query.Limit
	if len(r.Query.Severity) > 0 {
		read = r.Query.MaxLines // Loki does not know what severity we read out of a line
	}
	scanned, err := store.Scan(ctx, logquery.Window{From: r.From, To: r.To}, read, maxLineBytes, logquery.All, true)
	if err != nil {
		return nil, asked(err)
	}
	lines, cut := r.newest(scanned.Lines)
	if len(r.Query.Severity) == 0 {
		cut = scanned.More
	}
	var notices []data.Notice
	for _, n := range scanned.Notes {
		notices = append(notices, data.Notice{Severity: data.NoticeSeverityWarning, Text: "Partial: " + n + "."})
	}
	switch {
	case cut:
		notices = append(notices, data.Notice{Severity: data.NoticeSeverityInfo, Text: fmt.Sprintf("The newest %d lines are shown; there are more.", len(lines))})
	case scanned.More && len(r.Query.Severity) > 0:
		notices = append(notices, data.Notice{
			Severity: data.NoticeSeverityWarning, Text: fmt.Sprintf("Of the newest %d lines, %d have such a severity; older ones were not looked at.", len(scanned.Lines), len(lines)),
		})
	}
	return dataplane.Finish(data.Frames{logLines(lines)}, strings.Join(store.Executed(), "\n"), notices[:min(len(notices), maxNotices)]), nil
}

// line is a line with what it says of itself.
type line struct {
	logquery.Line
	severity logmine.Severity
}

// newest returns the lines to show, the newest first.
func (r Request) newest(all []logquery.Line) (out []line, cut bool) {
	for _, l := range slices.Backward(all) {
		s := logmine.Parse(l.Text).Severity
		if s == logmine.Unknown {
			s = l.Severity
		}
		if len(r.Query.Severity) > 0 && !slices.Contains(r.Query.Severity, s.String()) {
			continue
		}
		if len(out) == r.Query.Limit {
			return out, true
		}
		out = append(out, line{l, s})
	}
	return out, false
}

// logLines is one frame of kind log-lines.
func logLines(all []line) *data.Frame {
	n := len(all)
	times, bodies, severities, ids, labels := make([]time.Time, n), make([]string, n), make([]string, n), make([]string, n), make([]json.RawMessage, n)
	seen := map[string]int{}
	for i, l := range all {
		times[i], bodies[i], severities[i] = l.Time.UTC(), strings.ToValidUTF8(l.Text, "\uFFFD"), l.severity.String()
		raw, err := json.Marshal(l.Stream.Labels)
		if err != nil {
			raw = []byte("{}") // BUG: strings can always be written
		}
		labels[i] = raw
		// The same line twice at one time of one stream is two lines.
		sum := sha256.Sum256(fmt.Appendf(nil, "%d\x00%s\x00%s", l.Time.UnixNano(), raw, l.Text))
		id := hex.EncodeToString(sum[:8])
		if seen[id]++; seen[id] > 1 {
			id = fmt.Sprintf("%s-%d", id, seen[id])
		}
		ids[i] = id
	}
	f := data.NewFrame("", data.NewField("timestamp", nil, times), data.NewField("body", nil, bodies), data.NewField("severity", nil, severities),
		data.NewField("id", nil, ids), data.NewField("labels", nil, labels))
	f.Meta = &data.FrameMeta{Type: data.FrameTypeLogLines, TypeVersion: data.FrameTypeVersion{0, 0}, PreferredVisualization: data.VisTypeLogs}
	return f
}
