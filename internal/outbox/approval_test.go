package outbox

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/incident"
	"github.com/portent-dev/portent/internal/ticket"
)

// A task whose payload is not the one that was let go is never sent.
func TestOnlyWhatWasLetGoIsSent(t *testing.T) {
	payload := json.RawMessage(`{"key":"portent-1","title":"t"}`)
	run := func(change func(*Task)) ending {
		task := Task{Task: incident.Task{Kind: incident.TaskCreate, Payload: payload, Gate: incident.Gate{Phase: "draft"}}, Hash: incident.PayloadHash(payload), Authorized: incident.PayloadHash(payload)}
		change(&task)
		a := attempt{Task: task, config: DefaultConfig(), target: ticket.Target{Name: "none"}} // a call would panic
		return a.run(t.Context())
	}
	for name, change := range map[string]func(*Task){
		"the payload changed": func(t *Task) { t.Payload = json.RawMessage(`{"key":"portent-1","title":"u"}`) },
		"payload and hash changed": func(t *Task) {
			t.Payload = json.RawMessage(`{}`)
			t.Hash = incident.PayloadHash(t.Payload)
		},
		"nobody let it go": func(t *Task) { t.Authorized = "" },
	} {
		end := run(change)
		require.Equal(t, StateDead, end.state, name)
		require.Equal(t, ReasonUnapproved, end.Reason, name)
	}
	end := run(func(*Task) {})
	require.NotEqual(t, ReasonUnapproved, end.Reason, "this one was called, and panicked")
	require.Contains(t, end.Error, "panicked")
	end = run(func(t *Task) { t.Authorized, t.Hash, t.Gate = "", "", incident.Gate{} })
	require.Contains(t, end.Error, "panicked", "of a version that knew no policy")
}
