package report_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/incident"
	"github.com/portent-dev/portent/internal/report"
)

func templated(t *testing.T, c report.TemplatesConfig) *report.Plain {
	t.Helper()
	p, err := report.New(report.Options{ExternalURL: "https://portent.example", Templates: c})
	require.NoError(t, err)
	return p
}

func TestTemplatesOverrideWords(t *testing.T) {
	file := filepath.Join(t.TempDir(), "own.tmpl")
	require.NoError(t, os.WriteFile(file, []byte(`{{ define "own.title" }}{{ .Incident.Severity | toUpper }} {{ .CommonLabels.namespace }}: {{ .Default.Title }}{{ end }}`), 0o600))
	inc := of(
		alert("DiskFull", 0, "namespace", "shop", "cluster", "prod", "team", "storage", "pod", "a", "@summary", "90 %"),
		alert("DiskFull", 1, "namespace", "shop", "cluster", "prod", "team", "storage", "pod", "b", "@summary", "95 %"))
	d := templated(t, report.TemplatesConfig{
		Files: []string{file}, Title: `{{ template "own.title" . }}`, Summary: `{{ len .Alerts.Firing }} disks of {{ .CommonLabels.team }}`,
		Notes:  "Call {{ .CommonLabels.team }}.\n\n{{ range .Alerts }}{{ .Labels.pod }}: {{ .Annotations.summary }}; {{ end }}",
		Labels: []string{"team-{{ .CommonLabels.team }}", "{{ .CommonLabels.nothing }}", "portent-01"}, Priority: `{{ if eq .Incident.Severity "critical" }}P1{{ end }}`,
	}).Draft("portent-01", inc)
	require.Equal(t, "CRITICAL shop: [Auto] Disk full - shop namespace (Cluster: prod)", d.Title)
	require.Equal(t, "2 disks of storage", d.Summary)
	require.Equal(t, "P1", d.Priority)
	require.Contains(t, d.Labels, "team-storage")
	require.NotContains(t, d.Labels, "portent-01", "that is how tickets are told apart")
	require.Len(t, d.Labels, 3)
	text := d.Body.Text()
	require.Contains(t, text, "Call storage.")
	require.Contains(t, text, "a: 90 %; b: 95 %;")
	require.Less(t, strings.Index(text, "Notes"), strings.Index(text, "First steps"))
}

func TestTemplatesThatSayNothingChangeNothing(t *testing.T) {
	inc := of(alert("DiskFull", 0, "namespace", "shop"))
	want := plain(t).Draft("portent-01", inc)
	got := templated(t, report.TemplatesConfig{Title: "  ", Summary: "{{ .CommonLabels.nothing }}", Notes: "\n\n"}).Draft("portent-01", inc)
	require.Equal(t, want.Title, got.Title)
	require.Equal(t, want.Summary, got.Summary)
	require.NotContains(t, got.Body.Text(), "Notes")
	require.NotPanics(t, func() {
		templated(t, report.TemplatesConfig{Title: "{{ (index .Alerts 0).Labels.pod }}"}).Draft("k", incident.Incident{})
	})
}

func TestTemplatesKeepHostileTextsText(t *testing.T) {
	inc := of(alert("DiskFull", 0, "namespace", "</td><script>{{ .Alerts }}\n# x"))
	d := templated(t, report.TemplatesConfig{Title: "{{ .CommonLabels.namespace }}", Notes: "{{ .CommonLabels.namespace }}"}).Draft("portent-01", inc)
	require.NotContains(t, d.Title, "\n")
	require.Contains(t, d.Title, "{{ .Alerts }}", "a label is no template")
	require.NotContains(t, string(d.Body.HTML()), "<script>")
}

func TestTemplatesAreTriedAtTheStart(t *testing.T) {
	f := func(c report.TemplatesConfig, want string) {
		t.Helper()
		require.ErrorContains(t, c.Validate(), want)
	}
	f(report.TemplatesConfig{Title: "{{ .Nope.Nothing }}"}, "title: ")
	f(report.TemplatesConfig{Summary: "{{"}, "summary: ")
	f(report.TemplatesConfig{Notes: `{{ template "missing" . }}`}, "notes: ")
	f(report.TemplatesConfig{Labels: []string{"a", "{{ nofunction }}"}}, "labels[1]: ")
	f(report.TemplatesConfig{Files: []string{filepath.Join(t.TempDir(), "[")}}, "files: ")
	good := report.TemplatesConfig{Title: "{{ .Default.Title }}", Summary: "{{ .Incident.Cause.Entity }}"}
	require.NoError(t, good.Validate())
}
