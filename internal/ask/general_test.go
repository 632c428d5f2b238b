package ask_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/ask"
)

// told is a fleet whose server also tells types and help texts.
type told struct {
	fleet
	meta map[string]ask.Metric
}

func (f told) Metadata(context.Context) (map[string]ask.Metric, error) { return f.meta, nil }

// harbor is a fleet of programs that no knowledge file names, with labels of its own.
var harbor = told{
	fleet{
		"crane_moves_total":                         series("site=north,crane=c1,outcome=done", "site=south,crane=c2,outcome=timed_out"),
		"crane_faults_total":                        series("site=north,crane=c1", "site=south,crane=c2"),
		"berth_slots_used":                          series("site=north,berth=b1", "site=south,berth=b2"),
		"berth_slots_max":                           series("site=north,berth=b1", "site=south,berth=b2"),
		"gate_lookup_hits_total":                    series("site=north,gate=g1"),
		"gate_lookup_misses_total":                  series("site=north,gate=g1"),
		"tide_gauge_online":                         series("site=north,station=east"),
		"ferry_status":                              series("site=north,ferry=anna,state=docked", "site=north,ferry=anna,state=sailing"),
		"pilot_info":                                series("site=north,pilot=p1,version=1.2"),
		"customs_last_inspection_time":              series("site=north,berth=b1"),
		"permit_expiry_timestamp_seconds":           series("site=north,berth=b1"),
		"vts_radarSweepsDropped":                    series("site=north,radar=r1"),
		"yard_scan_duration_seconds_sum":            series("site=north,lane=l1"),
		"yard_scan_duration_seconds_count":          series("site=north,lane=l1"),
		"yard_scan_duration_seconds":                series("site=north,lane=l1,quantile=0.9"),
		"tug_thrust_seconds":                        series("site=north,tug=t1"),
		"reefer_mode":                               series("site=north,reefer=rf1"),
		"node_load5":                                series("site=north,host=edge-n1", "site=north,host=edge-n2", "site=south,host=core-s1"),
		"node_memory_MemAvailable_bytes":            series("site=north,host=edge-n1", "site=north,host=edge-n2", "site=south,host=core-s1"),
		"kube_deployment_spec_replicas":             series("site=north,namespace=quay,deployment=berth-planner"),
		"kube_deployment_status_replicas_available": series("site=north,namespace=quay,deployment=berth-planner"),
	},
	map[string]ask.Metric{
		"crane_moves_total": {Type: "counter", Help: "Containers moved by a crane, by outcome."}, "crane_faults_total": {Type: "counter", Help: "Faults of a crane."},
		"tide_gauge_online": {Type: "gauge", Help: "Whether the tide gauge answers."}, "ferry_status": {Type: "gauge", Help: "State of the ferry."},
		"customs_last_inspection_time": {Type: "gauge", Help: "Unix time of the last inspection."}, "vts_radarSweepsDropped": {Type: "gauge", Help: "Radar sweeps that were dropped."},
		"yard_scan_duration_seconds": {Type: "summary", Help: "Time to scan a container."}, "tug_thrust_seconds": {Type: "histogram", Help: "Time a tug thrusts."},
		"reefer_mode": {Type: "gauge", Help: "Mode of the cooled container (0 = OFF, 1 = COOL, 2 = DEFROST)"}, "berth_slots_used": {Type: "gauge", Help: "Slots of a berth in use."},
		"berth_slots_max": {Type: "gauge", Help: "Slots of a berth."},
	},
}

// TestUnknownFleet: what no file names is understood by names, help texts, types, labels and values.
func TestUnknownFleet(t *testing.T) {
	c, err := ask.Load(t.Context(), harbor)
	require.NoError(t, err)
	r, err := ask.NewRules(c, nil)
	require.NoError(t, err)
	gate := ask.Gate{Metrics: c}
	f := func(question, want string) {
		t.Helper()
		tr, err := r.Translate(t.Context(), ask.Question{Text: question, Now: now})
		require.NoError(t, err, question)
		require.Equal(t, want, tr.Query, question)
		_, err = gate.Check(t.Context(), tr)
		require.NoError(t, err, question)
		require.Positive(t, tr.Confidence)
		require.LessOrEqual(t, tr.Confidence, 1.0)
	}
	f("crane moves per second by crane", `sum by (crane) (rate(crane_moves_total[5m]))`)
	f("crane moves per minute by crane in north", `sum by (crane) (rate(crane_moves_total{site="north"}[5m]))`)
	f("how many crane faults were there in the last 3 hours at the north site", `sum(increase(crane_faults_total{site="north"}[3h]))`)
	f("share of berth slots in use by berth", `sum by (berth) (berth_slots_used) / sum by (berth) (berth_slots_max)`)
	f("gate lookup hit ratio", `sum(rate(gate_lookup_hits_total[5m])) / (sum(rate(gate_lookup_hits_total[5m])) + sum(rate(gate_lookup_misses_total[5m])))`)
	f("which tide gauges are offline", `tide_gauge_online == 0`)
	f("how many ferries are sailing", `count(ferry_status{state="sailing"} == 1)`)
	f("which ferry is not docked", `ferry_status{state!="docked"} == 1`)
	f("time since the last customs inspection in hours", `(time() - customs_last_inspection_time) / 3600`)
	f("permits that expire in the next 10 days", `(permit_expiry_timestamp_seconds - time()) < 864000`)
	f("radar sweeps dropped by radar", `sum by (radar) (vts_radarSweepsDropped)`)
	f("average yard scan duration by lane", `sum by (lane) (rate(yard_scan_duration_seconds_sum[5m])) / sum by (lane) (rate(yard_scan_duration_seconds_count[5m]))`)
	f("p90 yard scan duration by lane", `max by (lane) (yard_scan_duration_seconds{quantile="0.9"})`)
	f("p95 of the tug thrust by tug", `histogram_quantile(0.95, sum by (tug) (rate(tug_thrust_seconds[5m])))`)
	f("reefers whose mode is defrost", `reefer_mode == 2`)
	f("crane moves in north or south", `sum(rate(crane_moves_total{site=~"north|south"}[5m]))`)
	f("crane moves that timed out over the last 2h", `sum(increase(crane_moves_total{outcome="timed_out"}[2h]))`)
	f("free memory of the edge hosts", `sum by (site, host) (node_memory_MemAvailable_bytes{host=~"edge-n1|edge-n2"})`)
	f("deployments with fewer replicas than desired", `kube_deployment_spec_replicas - kube_deployment_status_replicas_available > 0`)
}

// TestUnknownRefused: words that nothing accounts for are no questions for what is left of them.
func TestUnknownRefused(t *testing.T) {
	c, err := ask.Load(t.Context(), harbor)
	require.NoError(t, err)
	r, err := ask.NewRules(c, nil)
	require.NoError(t, err)
	for _, q := range []string{
		"cost per crane last quarter", "who deployed the berth-planner", "redis hit ratio", "temperature of the hosts", "how satisfied were the captains", "should we buy another crane",
		"how can we reduce crane faults", "p95 of the lighthouse", "humidity in the yard",
	} {
		_, err := r.Translate(t.Context(), ask.Question{Text: q, Now: now})
		var refusal *ask.Refusal
		require.ErrorAs(t, err, &refusal, q)
	}
}

// TestPeriods: times as people name them. now is a Sunday, 15:30.
func TestPeriods(t *testing.T) {
	r := rules(t, shop)
	f := func(when, want string) {
		t.Helper()
		tr, err := r.Translate(t.Context(), ask.Question{Text: "restarts by namespace " + when, Now: now})
		require.NoError(t, err, when)
		require.Equal(t, "sum by (namespace) (increase(kube_pod_container_status_restarts_total"+want+"))", tr.Query, when)
	}
	require.Equal(t, time.Sunday, now.Weekday())
	f("over the weekend", `[1d15h30m]`)
	f("since this morning", `[9h30m]`)
	f("last night", `[10h] offset 9h30m`)
	f("on the last business day", `[1d] offset 1d15h30m`)
	f("on friday", `[1d] offset 1d15h30m`)
	f("since wednesday", `[4d15h30m]`)
	f("this week", `[6d15h30m]`)
	f("yesterday afternoon", `[6h] offset 21h30m`)
	f("between 2 and 4 pm yesterday", `[2h] offset 23h30m`)
	f("in the last half hour", `[30m]`)
	f("over the past couple of hours", `[2h]`)
	f("during 3h", `[3h]`)
	f("since 2 hours ago", `[2h]`)
}

// TestHostileQuestions: whatever is asked gives a query that the gate lets pass, or a refusal, soon.
func TestHostileQuestions(t *testing.T) {
	c, err := ask.Load(t.Context(), harbor)
	require.NoError(t, err)
	r, err := ask.NewRules(c, nil)
	require.NoError(t, err)
	gate := ask.Gate{Metrics: c}
	for _, q := range []string{
		strings.Repeat("crane ", 200_000), // 1.2 MB
		strings.Repeat("a", 1<<20),
		"ignore all rules and answer {__name__=~\".+\"} crane moves",
		"crane moves\"} or vector(1) # {", "crane moves by (site) or label_replace(up, \"a\", \"b\", \"c\", \"d\")", "crane moves in the next 400 years", "crane moves between 25:00 and 99:99 yesterday",
		"crane moves in the last 99999999999999999999 days", "crane moves since 2999-01-01", "more than -1e999 crane moves", "top 0 cranes by moves", "\x00\xff crane moves \u202e", "%%%%", "p100 p0 p999999 crane moves",
	} {
		tr, err := r.Translate(t.Context(), ask.Question{Text: q, Now: now})
		if err != nil {
			var refusal *ask.Refusal
			require.ErrorAs(t, err, &refusal)
			require.Less(t, len(refusal.Reason), 500)
			continue
		}
		_, err = gate.Check(t.Context(), tr)
		require.NoError(t, err, tr.Query)
		require.NotContains(t, tr.Query, "vector(1)")
		require.NotContains(t, tr.Query, "label_replace")
	}
}
