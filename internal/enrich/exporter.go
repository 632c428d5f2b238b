package enrich

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/prometheus/promql/parser"

	"github.com/portent-dev/portent/internal/incident"
)

// maxAnswerBytes bounds an answer of the exporter: a thousand patterns with examples are about 2 MB.
const maxAnswerBytes = 8 << 20

// Exporter asks Portent's exporter what is anomalous now on the incident's labels, in its own words, and which
// log patterns it saw for the first time in the incident's window.
type Exporter struct {
	base   *url.URL
	client *http.Client
}

// NewExporter returns a client of the exporter at address; client carries what it takes to get in.
func NewExporter(address string, client *http.Client) (*Exporter, error) {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, fmt.Errorf("address of the exporter %q: want http://host or https://host", address)
	}
	return &Exporter{base: u, client: client}, nil
}

// Anomalies is the part of an Exporter that asks for anomalous series.
func (x *Exporter) Anomalies() Source { return exporterAnomalies{x} }

// Patterns is the part of an Exporter that asks for new log patterns.
func (x *Exporter) Patterns() Source { return exporterPatterns{x} }

type (
	exporterAnomalies struct{ x *Exporter }
	exporterPatterns  struct{ x *Exporter }
)

var (
	_ Source = exporterAnomalies{}
	_ Source = exporterPatterns{}
)

func (exporterAnomalies) Name() string { return "exporter_anomalies" }
func (exporterPatterns) Name() string  { return "exporter_patterns" }

// Look implements Source: the anomaly that began first at the top.
func (a exporterAnomalies) Look(ctx context.Context, s Subject) ([]incident.Evidence, error) {
	selectors := s.Selectors()
	if len(selectors) == 0 {
		return nil, ErrNothingToAsk
	}
	q := url.Values{"limit": {"100"}}
	for _, matchers := range selectors {
		q.Add("match[]", (&parser.VectorSelector{LabelMatchers: matchers}).String())
	}
	var answer struct {
		Anomalies []struct {
			Labels      map[string]string `json:"labels"`
			Score       float64           `json:"score"`
			Since       time.Time         `json:"since"`
			Explanation string            `json:"explanation"`
		} `json:"anomalies"`
	}
	if err := a.x.get(ctx, "/api/v1/anomalies", q, &answer); err != nil {
		return nil, err
	}
	var out []incident.Evidence
	for _, n := range answer.Anomalies {
		if n.Explanation == "" || s.Elsewhere(n.Labels["cluster"]) || n.Since.After(s.To) {
			continue
		}
		out = append(out, incident.Evidence{
			Kind: incident.EvidenceAnomaly, Title: n.Explanation, Text: "Score " + short(n.Score) + ".", At: n.Since,
			Query: series(n.Labels),
		})
	}
	slices.SortStableFunc(out, func(a, b incident.Evidence) int { return a.At.Compare(b.At) })
	return out, nil
}

// Look implements Source: patterns first seen within the window, worst and most frequent first.
func (p exporterPatterns) Look(ctx context.Context, s Subject) ([]incident.Evidence, error) {
	type pattern struct {
		Pattern   string            `json:"pattern"`
		Labels    map[string]string `json:"labels"`
		Template  string            `json:"template"`
		Count     int64             `json:"count"`
		Severity  string            `json:"severity"`
		Example   string            `json:"example"`
		New       bool              `json:"new"`
		FirstSeen time.Time         `json:"firstSeen"`
	}
	var answer struct {
		Learning bool      `json:"learning"`
		Patterns []pattern `json:"patterns"`
	}
	if err := p.x.get(ctx, "/api/v1/patterns", url.Values{"limit": {"1000"}}, &answer); err != nil {
		return nil, err
	}
	if answer.Learning {
		return nil, errors.New("the exporter is still learning which patterns are usual")
	}
	about := slices.DeleteFunc(answer.Patterns, func(p pattern) bool {
		return !p.New || p.FirstSeen.Before(s.From) || p.FirstSeen.After(s.To) || !s.about(p.Labels)
	})
	slices.SortStableFunc(about, func(a, b pattern) int {
		return cmp.Or(cmp.Compare(severityRank(b.Severity), severityRank(a.Severity)), cmp.Compare(b.Count, a.Count), strings.Compare(a.Pattern, b.Pattern))
	})
	out := make([]incident.Evidence, 0, len(about))
	for _, p := range about {
		out = append(out, incident.Evidence{
			Kind: incident.EvidenceLog, At: p.FirstSeen,
			Title: fmt.Sprintf("New log pattern, %d lines: %s", p.Count, p.Template), Text: "Pattern " + p.Pattern + ". Example: " + p.Example,
		})
	}
	return out, nil
}

// about reports whether something with these labels may belong to the incident: no label that both
// know differs.
func (s Subject) about(labels map[string]string) bool {
	if s.Elsewhere(labels["cluster"]) {
		return false
	}
	for name, values := range s.Values {
		if v := labels[name]; v != "" && len(values) > 0 && !slices.Contains(values, v) {
			return false
		}
	}
	return true
}

func severityRank(s string) int {
	return slices.Index([]string{"debug", "info", "warning", "error", "critical"}, s)
}

// series writes labels as PromQL.
func series(labels map[string]string) string {
	m := make(map[string]string, len(labels))
	for k, v := range labels {
		m[k] = v
	}
	name := m["__name__"]
	delete(m, "__name__")
	v := &parser.VectorSelector{Name: name}
	for k, value := range m {
		v.LabelMatchers = append(v.LabelMatchers, OneOf(k, []string{value}))
	}
	slices.SortFunc(v.LabelMatchers, byName)
	return v.String()
}

// get asks for JSON.
func (x *Exporter) get(ctx context.Context, path string, q url.Values, into any) error {
	u := x.base.JoinPath(path)
	u.RawQuery = q.Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return err
	}
	req.Header.Set("Accept", "application/json")
	resp, err := x.client.Do(req)
	if err != nil {
		var ue *url.Error
		if errors.As(err, &ue) {
			err = ue.Err // the address is in the configuration, and may hold a password
		}
		return fmt.Errorf("ask the exporter: %w", err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswerBytes+1))
	switch {
	case err != nil:
		return fmt.Errorf("read the exporter's answer: %w", err)
	case resp.StatusCode != http.StatusOK:
		return errors.New("the exporter answers " + strconv.Itoa(resp.StatusCode) + " to " + path)
	case len(body) > maxAnswerBytes:
		return fmt.Errorf("the exporter's answer to %s is greater than %d bytes", path, maxAnswerBytes)
	}
	if err := json.Unmarshal(body, into); err != nil {
		return fmt.Errorf("the exporter's answer to %s is no JSON of ours: %w", path, err)
	}
	return nil
}
