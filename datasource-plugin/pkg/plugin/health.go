package plugin

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/grafana/grafana-plugin-sdk-go/backend"

	"github.com/portent-dev/portent/datasource-plugin/pkg/probe"
	"github.com/portent-dev/portent/datasource-plugin/pkg/settings"
)

// probeTimeout of one address. A person waits for it, and Grafana's own limit for a health check is 30 s.
const probeTimeout = 10 * time.Second

// addressHealth is what the config editor shows beside one address; src/types.ts has the same.
type addressHealth struct {
	Name      settings.Name `json:"name"`
	URL       string        `json:"url"`
	OK        bool          `json:"ok"`
	Message   string        `json:"message"`
	LatencyMs int64         `json:"latencyMs"`
}

// healthDetails are the details of a health check. Grafana shows verboseMessage below the message.
type healthDetails struct {
	VerboseMessage string          `json:"verboseMessage"`
	Addresses      []addressHealth `json:"addresses"`
}

// CheckHealth asks every configured address and says which one fails and why.
func (in *Instance) CheckHealth(ctx context.Context, _ *backend.CheckHealthRequest) (*backend.CheckHealthResult, error) {
	if in.err != nil {
		return &backend.CheckHealthResult{Status: backend.HealthStatusError, Message: in.err.Error()}, nil //nolint:nilerr // it is the answer
	}
	results := in.probeAll(ctx)
	if len(results) == 0 {
		return &backend.CheckHealthResult{
			Status:  backend.HealthStatusError,
			Message: "No address is configured. Give at least that of Prometheus (for anomalies, questions and forecasts), of Loki (for log patterns) or of the Portent receiver (for incidents).",
		}, nil
	}
	return result(results)
}

// probeAll asks the configured addresses side by side and returns the results in the order of the editor.
func (in *Instance) probeAll(ctx context.Context) []addressHealth {
	var configured []settings.Target
	for _, n := range settings.Names() {
		if t := in.settings.Target(n); t.URL != "" {
			configured = append(configured, t)
		}
	}
	results := make([]addressHealth, len(configured))
	var wg sync.WaitGroup
	for i, t := range configured {
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, min(probeTimeout, t.Timeout()))
			defer cancel()
			start := time.Now()
			message, err := in.probe(ctx, t)
			results[i] = addressHealth{Name: t.Name, URL: t.URL, OK: err == nil, Message: message, LatencyMs: time.Since(start).Milliseconds()}
			if err != nil {
				results[i].Message = faultOf(err).text()
			}
		})
	}
	wg.Wait()
	return results
}

// probe asks one address and says what answered.
func (in *Instance) probe(ctx context.Context, t settings.Target) (string, error) {
	if t.Err != nil {
		return "", t.Err
	}
	if err := in.failed[t.Name]; err != nil {
		return "", err
	}
	switch t.Name {
	case settings.Prometheus:
		return in.prometheus.probe(ctx)
	case settings.Receiver:
		if err := in.receiver.Probe(ctx); err != nil {
			return "", err
		}
		return "answers", nil
	case settings.Loki:
		version, err := probe.Loki(ctx, in.clients[t.Name], t.URL)
		return "Loki " + version, err
	case settings.Model:
		n, err := probe.Model(ctx, in.clients[t.Name], t.URL, in.settings.ModelName)
		if in.model == nil {
			return fmt.Sprintf("answers, %d models, but none is named: questions are answered by rules", n), err
		}
		return fmt.Sprintf("answers, %d models", n), err
	}
	return "", fmt.Errorf("BUG: no probe for %s", t.Name)
}

func result(all []addressHealth) (*backend.CheckHealthResult, error) {
	var good, bad, lines []string
	for _, a := range all {
		title := a.Name.Title()
		lines = append(lines, fmt.Sprintf("%s at %s: %s", title, a.URL, a.Message))
		if a.OK {
			good = append(good, fmt.Sprintf("%s: %s", title, a.Message))
			continue
		}
		bad = append(bad, fmt.Sprintf("%s: %s", title, a.Message))
	}
	details, err := json.Marshal(healthDetails{VerboseMessage: strings.Join(lines, "\n"), Addresses: all})
	if err != nil {
		return nil, fmt.Errorf("write the details: %w", err)
	}
	if len(bad) > 0 {
		return &backend.CheckHealthResult{
			Status:      backend.HealthStatusError,
			Message:     fmt.Sprintf("%d of %d addresses failed. %s", len(bad), len(all), strings.Join(bad, " · ")),
			JSONDetails: details,
		}, nil
	}
	return &backend.CheckHealthResult{Status: backend.HealthStatusOk, Message: strings.Join(good, " · "), JSONDetails: details}, nil
}
