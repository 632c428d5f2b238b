package triage_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/incident"
)

// A resend whose text differs by a value that changes is no news: no comment, no task.
func TestAChangedValueIsNoNews(t *testing.T) {
	w := newWorld(t)
	w.text = "Tablespace ORDERS is 91.2% full"
	w.send(1, al{slow, 0, 0})
	require.Equal(t, "create", w.kinds())
	w.text = "Tablespace ORDERS is 93.7% full"
	w.send(241, al{slow, 0, 0})
	w.flush(300)
	require.Equal(t, "create", w.kinds())
	require.Equal(t, "Tablespace ORDERS is 93.7% full", w.only().Alerts[0].Annotations["description"])
}

// The key of a group changes with an edit of the routes, and the old one is never
// resolved: the end that is told under the new key, by the other Alertmanager, counts.
func TestTheOldGroupKeyNeverResolves(t *testing.T) {
	w := newWorld(t)
	w.send(1, al{slow, 0, 0}, al{down, 0, 0})
	edited := func(p map[string]any) {
		p["groupKey"], p["receiver"], p["externalURL"] = "{}/{severity=\"critical\"}:{}", "ops\\.night", "http://am-1"
	}
	w.process(w.note(10, edited, al{slow, 0, 0}, al{down, 0, 0}))
	w.process(w.note(20, edited, al{slow, 0, 19}, al{down, 0, 19}))
	w.flush(40)
	require.Equal(t, incident.StatusResolved, w.only().Status)
	require.Equal(t, "create resolve", w.kinds())
}

// After a reload first one and then all alerts of a group come again, and of two
// Alertmanagers one is behind: neither ends nor opens anything.
func TestPartialGroupsOfTwoAlertmanagers(t *testing.T) {
	w := newWorld(t)
	w.send(1, al{slow, 0, 0}, al{down, 0, 0})
	peer := func(p map[string]any) { p["externalURL"] = "http://am-1" }
	w.process(w.note(5, nil, al{down, 0, 0}))
	w.process(w.note(5.2, peer, al{slow, 0, 0}))
	w.process(w.note(5.4, nil, al{slow, 0, 0}, al{down, 0, 0}))
	w.status(incident.StatusOpen, 2, 2)
	w.process(w.note(9, nil, al{slow, 0, 8}))
	w.process(w.note(9.2, peer, al{slow, 0, 0}, al{down, 0, 0})) // made before the end
	w.status(incident.StatusOpen, 1, 2)
	require.Equal(t, "create", w.kinds())
}
