package ingest

import "strings"

// ownPrefix starts the name of every score that the exporter itself puts out
// (anomaly_score, anomaly_expected, anomaly_expected_lower, …).
const ownPrefix = "anomaly_"

// OwnOutput reports whether name is the name of one of our own scores. Prometheus
// scrapes them and a remote-write rule without a filter sends them back: scored,
// each would make four more, and so on. Every source drops them and counts them.
func OwnOutput(name string) bool { return strings.HasPrefix(name, ownPrefix) }
