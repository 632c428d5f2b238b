package app

import (
	"bytes"
	"fmt"
	"strconv"
	"time"
)

// A shape makes the nth notification of a load. now is when the load began: what is made depends on nothing else but n, so
// that a second Alertmanager, or a second try, sends the same bytes.
type shape func(n int64, begin time.Time) []byte

// shapes are the loads that are measured. Each notification has five alerts.
//
//   - churn: each alert is another one and ends a thousand notifications later, so nothing is cheap for being a repeat;
//     some thousand fire at a time.
//   - series: 50,000 alerts in 10,000 groups that are told of again and again, as Alertmanager does while they fire. A
//     tenth of the groups ends, or begins anew, from one round to the next; of a tenth the description changes with each.
//   - distinct: as churn, but what was told once never ends.
var shapes = map[string]shape{"churn": churn, "series": series, "distinct": distinct}

// perNotice is how many alerts a notification of a load has.
const perNotice = 5

func churn(n int64, begin time.Time) []byte {
	id, over := n, false
	if n%2 == 1 && n > 1000 {
		id, over = n-1001, true
	}
	started := begin.Add(-time.Duration(id%60) * time.Second).Truncate(time.Minute)
	return notify(id, id, over, started, started.Add(time.Minute+time.Duration(n)*time.Millisecond), "1.2")
}

func distinct(n int64, begin time.Time) []byte {
	return notify(n, n, false, begin.Add(time.Duration(n)*time.Millisecond), time.Time{}, "1.2")
}

func series(n int64, begin time.Time) []byte {
	const groups = 10_000
	group, round := n%groups, n/groups
	at := begin.Add(time.Duration(round) * 10 * time.Second)
	// A group lives ten rounds: it fires for nine of them, and in the tenth it is told to be over.
	since := (round + group) % 10
	value := "1.2"
	if group%10 == 3 {
		value = strconv.FormatInt(round, 10)
	}
	started := at.Add(-time.Duration(since) * 10 * time.Second).Add(-time.Duration(group%60) * time.Second)
	return notify(group, group, since == 9, started, at, value)
}

// notify is one notification: five alerts of one namespace of one of eight clusters.
func notify(id, group int64, over bool, started, ended time.Time, value string) []byte {
	b := bytes.NewBuffer(make([]byte, 0, 3000))
	cluster, ns := fmt.Sprintf("prod-%d", id/4%8), fmt.Sprintf("ns-%d", id%160)
	status, ends := "firing", "0001-01-01T00:00:00Z"
	if over {
		status, ends = "resolved", ended.UTC().Format(time.RFC3339Nano)
	}
	fmt.Fprintf(b, `{"version":"4","groupKey":"{}/{}:{group=\"%d\"}","truncatedAlerts":0,"status":%q,"receiver":"portent","externalURL":"http://am-0:9093","groupLabels":{"namespace":%q},"commonLabels":{"namespace":%q},"commonAnnotations":{},"alerts":[`, group, status, ns, ns)
	for i := range int64(perNotice) {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(b, `{"status":%q,"labels":{"alertname":"Rule%d","cluster":%q,"namespace":%q,"pod":"web-%d-7d9f8c6b54-%05d","service":"svc-%d","severity":"warning","job":"kube-state-metrics"},`+
			`"annotations":{"description":"Pod %s/web-%d is restarting %s times / 10 minutes","summary":"Pod is crash looping."},"startsAt":%q,"endsAt":%q,"generatorURL":"http://prometheus/graph","fingerprint":"%016x"}`,
			status, (id+i)%40, cluster, ns, id%30, id%99999, id%30, ns, id%30, value, started.UTC().Format(time.RFC3339Nano), ends, uint64(id*perNotice+i+1)*0x9E3779B97F4A7C15)
	}
	b.WriteString(`]}`)
	return b.Bytes()
}
