package app

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"

	"github.com/portent-dev/portent/internal/incident"
	"github.com/portent-dev/portent/internal/ticket"
)

// maxOriginAlerts bounds the alerts that a draft says it was made of: a greater incident is one of many tenants.
const maxOriginAlerts = 500

// originOf says what the words about an incident are made of, as far as it matters who sees them.
func originOf(inc incident.Incident) *ticket.Origin {
	o := &ticket.Origin{More: len(inc.Alerts) > maxOriginAlerts || inc.Total > len(inc.Alerts), History: mixed(inc)}
	for _, a := range inc.Alerts[:min(len(inc.Alerts), maxOriginAlerts)] {
		o.Alerts = append(o.Alerts, a.Fingerprint)
	}
	if inc.Dossier == nil {
		return o
	}
	for _, e := range inc.Dossier.Evidence {
		if !harmless(e.Kind) {
			o.Evidence = append(o.Evidence, ticket.OriginEvidence{Kind: string(e.Kind), Query: e.Query})
		}
	}
	return o
}

// mixed reports whether alerts came from other incidents or went to them: the timeline names those too.
func mixed(inc incident.Incident) bool {
	return slices.ContainsFunc(inc.Timeline, func(e incident.Event) bool { return e.Kind == incident.EventMerged || e.Kind == incident.EventSplit })
}

// harmless reports whether evidence of a kind is made of the incident's own alerts and of the configuration alone.
func harmless(k incident.EvidenceKind) bool {
	return k == incident.EvidenceRunbook || k == incident.EvidenceLink
}

// seesEvidence reports whether evidence is certainly about what the principal may see: the query that gives it again asks
// for nothing else. Telemetry is looked for by namespace, node or service, which may be shared; what says nothing of where
// it is from is not shown.
func (p principal) seesEvidence(kind incident.EvidenceKind, query string) bool {
	if !p.scoped() || harmless(kind) {
		return true
	}
	if kind == incident.EvidenceSimilar || kind == incident.EvidenceEvent {
		return false
	}
	values, ok := pinned(query)
	if !ok {
		return false
	}
	for _, m := range p.scope {
		v, has := values[m.Name]
		if !has || !m.Matches(v) {
			return false
		}
	}
	return true
}

// queries reads PromQL. Its options are those of Prometheus itself.
var queries = parser.NewParser(parser.Options{})

// pinned are the labels that all of what a query reads has, with their values: PromQL, or LogQL from its stream selector. ok
// is false for what cannot be read.
func pinned(query string) (map[string]string, bool) {
	query = strings.TrimSpace(query)
	if end := selectorEnd(query); strings.HasPrefix(query, "{") && end > 0 {
		query = query[:end] // what follows in LogQL only narrows
	}
	expr, err := queries.ParseExpr(query)
	if err != nil {
		return nil, false
	}
	selectors := parser.ExtractSelectors(expr)
	if len(selectors) == 0 {
		return nil, false
	}
	out := equal(selectors[0])
	for _, s := range selectors[1:] {
		other := equal(s)
		for k, v := range out {
			if other[k] != v {
				delete(out, k)
			}
		}
	}
	return out, true
}

func equal(ms []*labels.Matcher) map[string]string {
	out := map[string]string{}
	for _, m := range ms {
		if m.Type == labels.MatchEqual && m.Value != "" {
			out[m.Name] = m.Value
		}
	}
	return out
}

// selectorEnd is where the selector ends that a query begins with, 0 when it does not end.
func selectorEnd(q string) int {
	quote, escaped := rune(0), false
	for i, r := range q {
		switch {
		case escaped:
			escaped = false
		case quote != 0 && quote != '`' && r == '\\':
			escaped = true
		case quote != 0:
			if r == quote {
				quote = 0
			}
		case r == '"' || r == '\'' || r == '`':
			quote = r
		case r == '}':
			return i + 1
		}
	}
	return 0
}

// errHidden: the words hold what the principal may not see, and nobody approves what they have not seen whole.
var errHidden = errors.New("the draft also tells of what you may not see")

// seesDraft returns errHidden unless everything that a draft was made of is what the principal sees of its incident. A draft that
// does not say what it was made of is seen by those alone who see everything.
func (p principal) seesDraft(payload json.RawMessage, inc incident.Incident) error {
	if !p.scoped() {
		return nil
	}
	var d struct {
		Origin *ticket.Origin `json:"origin"`
	}
	if json.Unmarshal(payload, &d) != nil || d.Origin == nil || !p.seesOrigin(*d.Origin, inc) {
		return errHidden
	}
	return nil
}

func (p principal) seesOrigin(o ticket.Origin, inc incident.Incident) bool {
	if o.More || o.History || o.Words {
		return false
	}
	mine := map[string]bool{}
	for _, a := range inc.Alerts {
		if p.sees(a.Labels) {
			mine[a.Fingerprint] = true
		}
	}
	for _, f := range o.Alerts {
		if !mine[f] {
			return false
		}
	}
	for _, e := range o.Evidence {
		if !p.seesEvidence(incident.EvidenceKind(e.Kind), e.Query) {
			return false
		}
	}
	return true
}
