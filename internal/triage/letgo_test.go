package triage_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/incident"
)

// endless is an incident of sixty alerts, most of which memory has let go of, since correlation looks at them no more; one
// has ended.
func endless(t *testing.T) (w *world, as []al) {
	t.Helper()
	w = newWorld(t)
	w.tr.KeepMembers(20)
	for i := range 60 {
		as = append(as, al{fmt.Sprintf("%s pod=api-%d", slow, i), 0, 0})
	}
	w.send(1, as...)
	w.status(incident.StatusOpen, 60, 60)
	require.Equal(t, 60, w.tr.Remembered(), "correlation looks at all of them")
	w.send(400, over(as[59], 399))
	w.status(incident.StatusOpen, 59, 60)
	require.Equal(t, 20, w.tr.Remembered())
	return w, as
}

func over(a al, at float64) al {
	a.end = at
	return a
}

func TestLetGoAlertsStillCount(t *testing.T) {
	w, as := endless(t)
	w.send(401, as[30]) // fires on
	w.status(incident.StatusOpen, 59, 60)
	require.Equal(t, 20, w.tr.Remembered())
	tasks := w.kinds()

	var ends []al
	for _, a := range as[:59] {
		ends = append(ends, over(a, 405))
	}
	w.send(406, ends[:30]...)
	w.status(incident.StatusOpen, 29, 60)
	w.send(407, ends[30:58]...)
	w.flush(500)
	w.status(incident.StatusOpen, 1, 60)
	w.send(501, ends[58])
	w.send(501, ends[58], ends[3]) // again
	w.flush(502)
	w.status(incident.StatusResolved, 0, 60)
	require.Equal(t, tasks+" resolve", w.kinds(), "what memory let go of is no news")
	require.Equal(t, at(405), w.only().EndedAt)
}

// One that ended fires on after all: it is the same firing, so it opens its incident again.
func TestLetGoAlertFiresAgain(t *testing.T) {
	w, as := endless(t)
	w.send(400.5, over(as[58], 400)) // ended, and let go of with the next
	w.send(500, over(as[57], 499))
	w.status(incident.StatusOpen, 57, 60)
	w.send(600, as[58]) // two contradictions are believed
	w.send(640, as[58])
	w.status(incident.StatusOpen, 58, 60)
	w.send(700, over(as[58], 699))
	w.status(incident.StatusOpen, 57, 60)
}

func TestLetGoAlertsSurviveARestart(t *testing.T) {
	w, as := endless(t)
	w.fresh()
	i := w.only()
	require.Len(t, i.Alerts, 60)
	i.Alerts = i.Alerts[:25] // as the store reads a big one
	require.NoError(t, w.tr.Load(at(401), []incident.Incident{i}, nil))
	w.send(410, over(as[40], 405))
	w.status(incident.StatusOpen, 58, 60)
	w.send(410, over(as[3], 405))
	w.status(incident.StatusOpen, 57, 60)
}

// Nobody tells that what fires is over, and memory does not know it.
func TestLetGoAlertsExpire(t *testing.T) {
	w, _ := endless(t)
	_, ok := w.tr.LongSilent(at(401))
	require.True(t, ok)
	w.flush(402)
	_, ok = w.tr.LongSilent(at(403))
	require.False(t, ok, "not so soon again")

	later := at(1 + 12*60 + 8)
	before, ok := w.tr.LongSilent(later)
	require.True(t, ok)
	require.Equal(t, later.Add(-12*time.Hour-12*time.Hour/100), before)
	var silent []incident.Alert
	for _, a := range w.only().Alerts {
		if a.Status == incident.AlertFiring {
			require.True(t, a.UpdatedAt.Before(before))
			silent = append(silent, a)
		}
	}
	require.Len(t, silent, 59)
	w.tr.Silent(silent)
	w.store(w.tr.Flush(later))
	w.store(w.tr.Flush(later.Add(time.Hour)))
	w.status(incident.StatusResolved, 0, 60)
}
