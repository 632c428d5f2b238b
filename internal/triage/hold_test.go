package triage_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// onHosts are three warnings of different rules of a database fleet.
func onHosts(from, to float64, hosts ...string) (as []al) {
	for i, rule := range []string{"ReplicaBehind", "CheckpointSlow", "ConnectionsHigh"} {
		as = append(as, al{fmt.Sprintf("%s cluster=db host=%s severity=warning", rule, hosts[i%len(hosts)]), from, to})
	}
	return as
}

// Three warnings about one host are soon no chance any more; about three hosts, with
// nothing in common, they are given time to end.
func TestWhatMayHaveMetByChanceWaits(t *testing.T) {
	w := patient(t)
	w.send(1, onHosts(0, 0, "pg-7")...)
	w.flush(3.9)
	require.Empty(t, w.tasks)
	w.flush(4)
	require.Equal(t, "create", w.kinds())
	require.Contains(t, strings.Join(w.events[w.only().ID], "\n"), "deserves a ticket: ", "and it says why")
}

// A cluster in which warnings come and go all day.
func restless(t *testing.T) *world {
	w := patient(t)
	for n := range 8 * 20 {
		m := float64(3 * n)
		job := fmt.Sprintf("JobLate%d cluster=db task=load-%c%c severity=warning", n%4, 'a'+n%23, 'a'+n/23)
		w.send(m+1, al{job, m, 0})
		w.send(m+3, al{job, m, m + 2})
	}
	require.Empty(t, w.tasks)
	return w
}

func TestChanceIsLikelierWhereMuchFires(t *testing.T) {
	w := restless(t)
	w.send(501, onHosts(500, 0, "pg-1", "rack-b", "lb-3")...)
	w.send(515, onHosts(500, 514, "pg-1", "rack-b", "lb-3")...)
	w.flush(560)
	require.Empty(t, w.tasks, "three that ended by themselves")
	w.send(601, onHosts(600, 0, "pg-9")...)
	w.flush(630)
	require.Equal(t, "create", w.kinds(), "and these went on")
}

// That an alert of a rule stays, which fires on something all the time, is no news.
func TestALoneWarningOfACommonRuleGetsNoTicket(t *testing.T) {
	w := patient(t)
	for n := range 9 {
		m := float64(40 * n)
		tape := fmt.Sprintf("TapeSlow cluster=vault drive=lto-%c severity=warning", 'a'+n)
		w.send(m+1, al{tape, m, 0})
		w.send(m+6, al{tape, m, m + 5})
	}
	w.send(401, al{"TapeSlow cluster=vault drive=lto-z severity=warning", 400, 0})
	w.flush(1100)
	require.Empty(t, w.tasks)
	w.send(1101, al{"TapeBroken cluster=vault drive=lto-z severity=critical", 1100, 0})
	require.Equal(t, "create", w.kinds())
}
