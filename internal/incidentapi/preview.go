package incidentapi

// PathPreview gives a Preview; its parameter matchers, which may be repeated, is a matcher as Alertmanager writes it.
const PathPreview = "/api/v1/triage/preview"

// Preview tells what rules that keep alerts out would do with alerts of the last week.
type Preview struct {
	Alerts int           `json:"alerts"` // that were looked at
	Rules  []PreviewRule `json:"rules"`
}

// PreviewRule is what one rule would do: the alerts that it would keep out, with the names of some.
type PreviewRule struct {
	Rule     string   `json:"rule"`
	Matches  int      `json:"matches"`
	Examples []string `json:"examples"`
}
