//go:build mage

package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"text/template"
)

// replicasSection runs a storm against three receivers over one PostgreSQL, one of them killed every ten seconds, with trackers
// that fail.
func replicasSection(ctx context.Context, tools, dir string) ([]byte, error) {
	receiver, front, storm := filepath.Join(dir, executable("portent-receiver")), filepath.Join(dir, executable("front")), filepath.Join(dir, "replicas")
	for out, pkg := range map[string]string{receiver: "./alertmanager-receiver", front: "./e2e/replicas/front"} {
		if err := goTool(ctx, os.Stderr, "build", "-o", out, pkg); err != nil {
			return nil, err
		}
	}
	if err := run(ctx, os.Stderr, ".", "python3", filepath.Join(tools, "storms.py"), "--size", "medium", "--seed", "3", "--out", storm); err != nil {
		return nil, err
	}
	script := filepath.Join(dir, "front.sh")
	if err := os.WriteFile(script, fmt.Appendf(nil, frontScript, front, receiver), 0o600); err != nil {
		return nil, err
	}
	var out bytes.Buffer
	err := run(ctx, &out, ".", "python3", filepath.Join(tools, "chaos.py"), storm, "--kills", "0", "--speed", "1800",
		"--virtual-clock-header", "X-Virtual-Time", "--start", "exec sh "+script)
	// Its exit status is 1 when a figure that must be 0 is not; the figure is in the table then.
	var lines []string
	for line := range strings.Lines(out.String()) {
		for _, wanted := range []string{"replay ", "trackers ", "LOST ALERTS "} {
			if strings.HasPrefix(line, wanted) {
				lines = append(lines, strings.TrimSpace(line))
			}
		}
	}
	if len(lines) < 4 { // LOST ALERTS is in it twice: as scored, and with what the kills lost
		return nil, fmt.Errorf("chaos.py: %w\n%s", err, out.Bytes())
	}
	var section bytes.Buffer
	err = replicasPage.Execute(&section, lines[1:])
	return section.Bytes(), err
}

const frontScript = `cat > "$CHAOS_DATA/receiver.yml" <<CONFIG
trackers:
  - name: jira
    type: jira
    jira: {url: "$CHAOS_JIRA", email: a@example.com, token: not-a-secret-of-anybody, project: OPS, search_lag: 10s}
outbox: {call_timeout: 5s}
CONFIG
exec %s --listen "$CHAOS_LISTEN" --receiver %s --config "$CHAOS_DATA/receiver.yml" --dir "$CHAOS_DATA" -- --replay.clock-header=X-Virtual-Time
`

// replicasPage is a section of docs/quality.md.
var replicasPage = template.Must(template.New("replicas").Parse(`## Replicas that are killed

Written by ` + "`go tool mage storms`" + `: medium-3 (mixed) against three receivers over one PostgreSQL behind a round robin, one of them killed with SIGKILL
every ten seconds while it is replayed (an hour in two seconds) and while it drains, with a Jira that fails, limits, lags and creates without an answer.

{{range .}}    {{.}}
{{end}}`))
