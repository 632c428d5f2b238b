package incidentapi

import "time"

// PathNoise gives a NoiseReport; its parameter since is an RFC 3339 time or a day, 2026-11-22. Days are whole, in UTC.
const PathNoise = "/api/v1/noise"

// NoiseReport says what became of what Alertmanager sent: notifications, alerts, incidents, tickets.
type NoiseReport struct {
	Since         *time.Time `json:"since"`         // null: all that is kept
	Notifications int64      `json:"notifications"` // webhook requests
	Total         Noise      `json:"total"`
	Rules         []Noise    `json:"rules"` // by alert name, the most alerts first, as teams and keptOut
	Teams         []Noise    `json:"teams"`
	KeptOut       []Noise    `json:"keptOut"` // by the rule, or window of maintenance, that kept alerts out
	Weeks         []Noise    `json:"weeks"`   // as 2026-W47, by time
	Cut           int        `json:"cut,omitempty"`
	// Alertmanager is what it did itself, as its event recorder tells; null when it tells nothing.
	Alertmanager *AlertmanagerNoise `json:"alertmanager"`
}

// AlertmanagerNoise says which alerts Alertmanager heard of, which of them it did not tell because of a silence or another
// alert, each counted once a day, and how many notifications it sent, to us and others. Rows with the most come first.
type AlertmanagerNoise struct {
	Total       Before   `json:"total"`
	Rules       []Before `json:"rules"`       // by alert name
	Silences    []Before `json:"silences"`    // by comment and author
	Inhibitions []Before `json:"inhibitions"` // by rule
	Receivers   []Before `json:"receivers"`   // as receiver/integration
	Cut         int      `json:"cut,omitempty"`
}

// Before is what happened in Alertmanager, before us.
type Before struct {
	Name      string `json:"name,omitempty"`
	Created   int64  `json:"created"`
	Silenced  int64  `json:"silenced"`
	Inhibited int64  `json:"inhibited"`
	Delivered int64  `json:"delivered"`
}

// Noise is what one rule, team or week did. Notices are mentions of alerts in notifications, alerts are firings. An incident
// counts for the rule of its first alert, and so do its tickets.
type Noise struct {
	Name      string `json:"name,omitempty"`
	Notices   int64  `json:"notices"`
	Alerts    int64  `json:"alerts"`
	KeptOut   int64  `json:"keptOut"`
	Incidents int64  `json:"incidents"`
	Tickets   int64  `json:"tickets"`
}
