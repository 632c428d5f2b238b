package triage_test

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// What only fires on is not stored with each notice: a tenth of an hour old is fresh enough for a time to live of twelve.
func TestResendWithoutNewsIsHardlyStored(t *testing.T) {
	w := newWorld(t)
	w.send(1, al{slow, 0, 0})
	stored := func() float64 { return w.only().Alerts[0].UpdatedAt.Sub(at(0)).Minutes() }
	resend := func(minute float64, peer string) {
		w.process(w.note(minute, func(p map[string]any) { p["externalURL"] = peer }, al{slow, 0, 0}))
	}
	resend(3, "http://am-0")
	resend(3.2, "http://am-1")
	resend(7, "http://am-0")
	require.InDelta(t, 1, stored(), 0, "nothing new")
	resend(9, "http://am-0")
	require.InDelta(t, 9, stored(), 0, "a hundredth of twelve hours later")

	w.text = "other words"
	resend(10, "http://am-0")
	require.InDelta(t, 10, stored(), 0, "the text is news")

	w.restart()
	resend(11, "http://am-0")
	require.InDelta(t, 10, stored(), 0, "a restart knows what is stored")
	w.flush(11 + 12*60 + 8)
	w.status("resolved", 0, 1)
}
