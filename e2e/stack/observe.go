package stack

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/portent-dev/portent/internal/incidentapi"
)

// maxAnswer bounds what is read of an answer. A demonstration's Prometheus gives kilobytes.
const maxAnswer = 16 << 20

// Series is one series of an instant query's answer.
type Series struct {
	Labels map[string]string
	Value  float64
}

// Name writes the labels as a selector, in order, without those given.
func (s Series) Name(without ...string) string {
	var pairs []string
	for _, k := range slices.Sorted(maps.Keys(s.Labels)) {
		if !slices.Contains(without, k) {
			pairs = append(pairs, k+"="+strconv.Quote(s.Labels[k]))
		}
	}
	return "{" + strings.Join(pairs, ", ") + "}"
}

// Query asks Prometheus for an instant vector.
func (s State) Query(ctx context.Context, query string) ([]Series, error) {
	var answer struct {
		Status, Error string
		Data          struct {
			ResultType string
			Result     []struct {
				Metric map[string]string
				Value  [2]any
			}
		}
	}
	address := s.URL(Prometheus) + "/api/v1/query?" + url.Values{"query": {query}}.Encode()
	if err := getJSON(ctx, address, &answer); err != nil {
		return nil, err
	}
	if answer.Status != "success" || answer.Data.ResultType != "vector" {
		return nil, fmt.Errorf("query %s: %s, %s of type %q", query, answer.Status, answer.Error, answer.Data.ResultType)
	}
	var all []Series
	for _, r := range answer.Data.Result {
		text, _ := r.Value[1].(string)
		v, err := strconv.ParseFloat(text, 64)
		if err != nil || math.IsNaN(v) {
			continue
		}
		all = append(all, Series{Labels: r.Metric, Value: v})
	}
	return all, nil
}

// Alert is an alert as Alertmanager lists it.
type Alert struct {
	Fingerprint string            `json:"fingerprint"`
	StartsAt    time.Time         `json:"startsAt"`
	Labels      map[string]string `json:"labels"`
	Status      struct {
		State string `json:"state"`
	} `json:"status"`
}

// Alerts are those that Alertmanager has, suppressed ones too.
func (s State) Alerts(ctx context.Context) ([]Alert, error) {
	var alerts []Alert
	err := getJSON(ctx, s.URL(Alertmanager)+"/api/v2/alerts", &alerts)
	return alerts, err
}

// Anomaly is what the exporter says of a series that is anomalous.
type Anomaly struct {
	Labels      map[string]string `json:"labels"`
	Score       float64           `json:"score"`
	Explanation string            `json:"explanation"`
}

// Anomalies are those of the exporter that match a selector, worst first.
func (s State) Anomalies(ctx context.Context, match string) ([]Anomaly, error) {
	var answer struct {
		Anomalies []Anomaly `json:"anomalies"`
	}
	err := getJSON(ctx, s.URL(Exporter)+"/api/v1/anomalies?"+url.Values{"match[]": {match}}.Encode(), &answer)
	return answer.Anomalies, err
}

// Incidents are the newest ones that the receiver lists, a page of them.
func (s State) Incidents(ctx context.Context) ([]incidentapi.Incident, error) {
	client, err := incidentapi.New(incidentapi.Options{URL: s.URL(Receiver)})
	if err != nil {
		return nil, err
	}
	page, err := client.List(ctx, incidentapi.ListOptions{})
	return page.Incidents, err
}

func getJSON(ctx context.Context, address string, into any) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil {
		return fmt.Errorf("read %s: %w", address, err)
	}
	if len(b) > maxAnswer {
		return fmt.Errorf("read %s: more than %d bytes", address, maxAnswer)
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %w: %.200s", address, errors.New(resp.Status), b)
	}
	return json.Unmarshal(b, into)
}
