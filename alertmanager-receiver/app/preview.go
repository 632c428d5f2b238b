package app

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/portent-dev/portent/internal/incident"
	"github.com/portent-dev/portent/internal/incidentapi"
	"github.com/portent-dev/portent/internal/triage"
	"github.com/portent-dev/portent/internal/web"
)

const (
	// previewName is the rule that a request asks about.
	previewName = "preview"
	// previewSpan and maxPreviewed bound the alerts that are looked at.
	previewSpan  = 7 * 24 * time.Hour
	maxPreviewed = 5000
	// maxMatchers bounds those of a request.
	maxMatchers = 32
)

// servePreview tells which alerts of the last week a rule with the matchers of the request would keep out, and without
// matchers what each configured rule and window would. Whoever sees a part is told of that part.
func (s *server) servePreview(w http.ResponseWriter, r *http.Request, p principal) {
	v, err := values(r, "matchers")
	matchers := v["matchers"]
	if err == nil && len(matchers) > maxMatchers {
		err = fmt.Errorf("got %d matchers, want %d at most", len(matchers), maxMatchers)
	}
	if err != nil {
		web.Error(w, http.StatusBadRequest, err, `ask with matchers=severity="info", once for each`)
		return
	}
	if p.scoped() && len(matchers) == 0 {
		s.metrics.denied.WithLabelValues("scope").Inc()
		web.Error(w, http.StatusForbidden, errors.New("the configured rules cover everything, and you may see a part"), `ask about a rule of your own: matchers=severity="info"`)
		return
	}
	out, err := s.preview(r.Context(), p, matchers)
	switch {
	case errors.Is(err, errMatchers):
		web.Error(w, http.StatusBadRequest, err, `matchers are written as in Alertmanager: severity="info"`)
	case err != nil:
		s.failed(w, r, err)
	default:
		web.JSON(w, http.StatusOK, out)
	}
}

// errMatchers: what was asked about is no rule.
var errMatchers = errors.New("the matchers cannot be read")

// preview tells what a rule with these matchers would keep out of the alerts of the last week that p may see; without any, what
// each configured rule and window would.
func (s *server) preview(ctx context.Context, p principal, matchers []string) (incidentapi.Preview, error) {
	rules := s.settings.Load().config.Triage
	if len(matchers) > 0 {
		rules.Maintenance, rules.Suppress = nil, []triage.SuppressRule{{Name: previewName, Matchers: matchers}}
	}
	if _, err := triage.Preview(rules, nil); err != nil {
		return incidentapi.Preview{}, fmt.Errorf("%w: %w", errMatchers, err)
	}
	alerts, err := s.lastWeek(ctx, p)
	if err != nil {
		return incidentapi.Preview{}, err
	}
	ms, err := triage.Preview(rules, alerts)
	out := incidentapi.Preview{Alerts: len(alerts), Rules: make([]incidentapi.PreviewRule, 0, len(ms))}
	for _, m := range ms {
		out.Rules = append(out.Rules, incidentapi.PreviewRule{Rule: m.Rule, Matches: m.Matches, Examples: append([]string{}, m.Examples...)})
	}
	return out, err
}

// lastWeek are the alerts of the last week that the principal may see, half of them kept out at most.
func (s *server) lastWeek(ctx context.Context, p principal) (out []incident.Alert, err error) {
	for _, suppressed := range []bool{true, false} {
		q := incident.AlertQuery{Suppressed: suppressed, Since: s.now().Add(-previewSpan), Limit: incident.MaxLimit}
		for looked := 0; looked < maxPreviewed/2; {
			as, next, err := s.store.ListAlerts(ctx, q)
			if err != nil {
				return nil, err
			}
			for _, a := range as {
				if p.sees(a.Labels) {
					out = append(out, a)
				}
			}
			looked += len(as)
			if q.Cursor = next; next == "" {
				break
			}
		}
	}
	return out, nil
}
