package kubeevent_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/ingest/kubeevent"
	"github.com/portent-dev/portent/internal/spectest"
)

// samples are events that the sender's own code produced.
func samples(t *testing.T) map[string]json.RawMessage {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(spectest.Dir(t), "inbound", "sample-k8s-event-exporter.json"))
	require.NoError(t, err)
	var out map[string]json.RawMessage
	require.NoError(t, json.Unmarshal(text, &out))
	require.Len(t, out, 2)
	return out
}

func TestDecodeWhatTheSenderSends(t *testing.T) {
	s := samples(t)
	got, err := kubeevent.Decode(s["legacy_core_recorder"])
	require.NoError(t, err)
	require.True(t, got.Warning())
	require.Contains(t, got.Message, "Back-off restarting failed container")
	got.Message = ""
	require.Equal(t, kubeevent.Event{
		UID: "0b0c2d9e-7a30-4f65-9d15-1f4f3f6d2c11", At: time.Date(2026, 10, 1, 12, 0, 0, 0, time.UTC), Cluster: "prod-eu1",
		Namespace: "shop", Kind: "Pod", Name: "checkout-7c9f", Reason: "BackOff", Type: "Warning", Count: 1,
		Component: "kubelet", Host: "worker-7", Labels: map[string]string{"app": "checkout"}, Owner: "replicaset/checkout-7c9f",
	}, got)

	// Reported through events.k8s.io: other times, no count.
	got, err = kubeevent.Decode(s["events_k8s_io_recorder_object_gone"])
	require.NoError(t, err)
	require.Equal(t, time.Date(2026, 10, 1, 12, 0, 0, 123456000, time.UTC), got.At)
	require.Equal(t, 1, got.Count)
	require.Equal(t, "default-scheduler", got.Component)
	require.True(t, got.Deleted)
}

func TestDecodeTimes(t *testing.T) {
	f := func(times, want string) {
		t.Helper()
		got, err := kubeevent.Decode([]byte(`{"reason":"R","involvedObject":{"kind":"Node","name":"n"},` + times + `}`))
		require.NoError(t, err)
		if want == "" {
			require.Zero(t, got.At)
			return
		}
		require.Equal(t, want, got.At.Format(time.RFC3339))
	}
	f(`"series":{"count":7,"lastObservedTime":"2026-01-05T00:00:00.000000Z"},"lastTimestamp":"2026-01-04T00:00:00Z"`, "2026-01-05T00:00:00Z")
	f(`"lastTimestamp":"2026-01-04T00:00:00Z","eventTime":"2026-01-03T00:00:00Z"`, "2026-01-04T00:00:00Z")
	f(`"lastTimestamp":null,"eventTime":"2026-01-03T02:00:00+02:00"`, "2026-01-03T00:00:00Z")
	f(`"firstTimestamp":"2026-01-02T00:00:00Z"`, "2026-01-02T00:00:00Z")
	f(`"metadata":{"creationTimestamp":"2026-01-01T00:00:00Z"}`, "2026-01-01T00:00:00Z")
	f(`"lastTimestamp":"yesterday","firstTimestamp":17`, "")
	f(`"lastTimestamp":"0001-01-01T00:00:00Z"`, "")
}

func TestDecodeRefuses(t *testing.T) {
	f := func(body, want string) {
		t.Helper()
		_, err := kubeevent.Decode([]byte(body))
		require.ErrorContains(t, err, want)
	}
	f("", "want one event of kubernetes-event-exporter as JSON")
	f("[]", "want one event")
	f("{}", "must have no layout of its own")
	f(`{"text":"Pod x: BackOff"}`, "must have no layout of its own")
	f(`{"reason":"R","involvedObject":{"kind":"Pod"}}`, "involvedObject.name")
	f(strings.Repeat(" ", kubeevent.MaxBytes)+"{}", "want at most 1048576")
}

func TestDecodeBoundsTheCount(t *testing.T) {
	for in, want := range map[string]int{"0": 1, "-5": 1, "3": 3, "9000000000000000000": 1 << 30} {
		got, err := kubeevent.Decode([]byte(`{"reason":"R","count":` + in + `,"involvedObject":{"kind":"Node","name":"n"}}`))
		require.NoError(t, err)
		require.Equal(t, want, got.Count, in)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"reason":"R","involvedObject":{"kind":"Pod","name":"p","ownerReferences":[null]},"series":null}`))
	f.Add([]byte(`{"reason":"R","involvedObject":null}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		e, err := kubeevent.Decode(body)
		if err != nil {
			return
		}
		require.NotEmpty(t, e.Kind)
		require.NotEmpty(t, e.Name)
		require.Positive(t, e.Count)
	})
}
