package logquery

import (
	"encoding/json"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// ExploreLink opens a LogQL query in Grafana's Explore. grafana is its address, uid that
// of the Loki data source in it.
func ExploreLink(grafana, uid, query string, w Window) string {
	pane := map[string]any{"a": map[string]any{
		"datasource": uid,
		"queries":    []any{map[string]any{"refId": "A", "expr": query, "queryType": "range", "datasource": map[string]any{"type": "loki", "uid": uid}}},
		"range":      map[string]any{"from": strconv.FormatInt(w.From.UnixMilli(), 10), "to": strconv.FormatInt(w.To.UnixMilli(), 10)},
	}}
	var raw strings.Builder
	enc := json.NewEncoder(&raw)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(pane); err != nil {
		return "" // BUG: made of strings
	}
	return strings.TrimRight(grafana, "/") + "/explore?" + url.Values{"schemaVersion": {"1"}, "panes": {strings.TrimSpace(raw.String())}}.Encode()
}

// KibanaLink opens a query in Lucene's syntax in Kibana's Discover, or in that of
// OpenSearch Dashboards. kibana is its address, view the id of the data view.
func KibanaLink(kibana, view, query string, w Window) string {
	state := "(index:" + rison(view) + ",query:(language:lucene,query:" + rison(query) + "))"
	stamp := func(t time.Time) string { return rison(t.UTC().Format("2006-01-02T15:04:05.000Z")) }
	global := "(time:(from:" + stamp(w.From) + ",to:" + stamp(w.To) + "))"
	return strings.TrimRight(kibana, "/") + "/app/discover#/?_g=" + url.QueryEscape(global) + "&_a=" + url.QueryEscape(state)
}

// rison quotes a string of Rison (https://github.com/Nanonid/rison), in which Kibana
// writes its addresses.
func rison(s string) string { return "'" + strings.NewReplacer("!", "!!", "'", "!'").Replace(s) + "'" }
