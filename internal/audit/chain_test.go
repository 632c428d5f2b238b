package audit_test

import (
	"encoding/json"
	"errors"
	"iter"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/audit"
)

var at = time.Date(2026, 11, 22, 10, 0, 0, 123456789, time.UTC)

func chain(t *testing.T, n int) []audit.Record {
	t.Helper()
	var head audit.Head
	var out []audit.Record
	for i := range n {
		r, err := audit.Append(head, audit.Entry{
			At: at.Add(time.Duration(i) * time.Second), Actor: "portent/outbox", Action: "ticket.create.before",
			Subject: "inc-1", Detail: json.RawMessage(`{"z":1, "a":"<b>"}`),
		})
		require.NoError(t, err)
		out, head = append(out, r), r.Head()
	}
	return out
}

func seq(rs []audit.Record) iter.Seq2[audit.Record, error] {
	return func(yield func(audit.Record, error) bool) {
		for _, r := range rs {
			if !yield(r, nil) {
				return
			}
		}
	}
}

func TestVerify(t *testing.T) {
	tests := []struct {
		name  string
		spoil func(rs []audit.Record) []audit.Record
		fault audit.Fault
		seq   int64
	}{
		{"whole", func(rs []audit.Record) []audit.Record { return rs }, "", 0},
		{"changed actor", func(rs []audit.Record) []audit.Record { rs[3].Actor = "eve"; return rs }, audit.FaultChanged, 4},
		{"changed time", func(rs []audit.Record) []audit.Record { rs[3].At = rs[3].At.Add(time.Microsecond); return rs }, audit.FaultChanged, 4},
		{"changed detail", func(rs []audit.Record) []audit.Record { rs[0].Detail = nil; return rs }, audit.FaultChanged, 1},
		{"changed hash", func(rs []audit.Record) []audit.Record { rs[9].Hash = rs[8].Hash; return rs }, audit.FaultChanged, 10},
		{"rewritten", func(rs []audit.Record) []audit.Record {
			e := rs[3].Entry
			e.Actor = "eve"
			r, err := audit.Append(rs[2].Head(), e)
			if err != nil {
				panic(err)
			}
			rs[3] = r // a consistent record, but its successor names another
			return rs
		}, audit.FaultChanged, 5},
		{"missing first", func(rs []audit.Record) []audit.Record { return rs[1:] }, audit.FaultMissing, 1},
		{"missing middle", func(rs []audit.Record) []audit.Record { return slices.Delete(rs, 4, 6) }, audit.FaultMissing, 5},
		{"missing end", func(rs []audit.Record) []audit.Record { return rs[:8] }, audit.FaultMissing, 9},
		{"swapped", func(rs []audit.Record) []audit.Record { rs[4], rs[5] = rs[5], rs[4]; return rs }, audit.FaultReordered, 5},
		{"moved to the end", func(rs []audit.Record) []audit.Record {
			return append(slices.Delete(slices.Clone(rs), 1, 2), rs[1])
		}, audit.FaultReordered, 2},
		{"twice", func(rs []audit.Record) []audit.Record { return slices.Insert(rs, 3, rs[2]) }, audit.FaultReordered, 4},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			rs := chain(t, 10)
			want := rs[9].Head()
			head, err := audit.Verify(audit.Head{}, seq(tt.spoil(rs)), want)
			if tt.fault == "" {
				require.NoError(t, err)
				require.Equal(t, want, head)
				return
			}
			var broken *audit.BrokenError
			require.ErrorAs(t, err, &broken)
			require.Equal(t, tt.fault, broken.Fault)
			require.Equal(t, tt.seq, broken.Seq)
		})
	}
}

func TestVerifyFromTheMiddle(t *testing.T) {
	rs := chain(t, 6)
	head, err := audit.Verify(rs[2].Head(), seq(rs[3:]), rs[5].Head())
	require.NoError(t, err)
	require.Equal(t, int64(6), head.Seq)
	_, err = audit.Verify(audit.Head{Seq: 3, Hash: rs[1].Hash}, seq(rs[3:]), audit.Head{})
	require.Error(t, err)
}

func TestVerifyPassesErrorsOn(t *testing.T) {
	gone := errors.New("disk gone")
	_, err := audit.Verify(audit.Head{}, func(yield func(audit.Record, error) bool) { yield(audit.Record{}, gone) }, audit.Head{})
	require.ErrorIs(t, err, gone)
}

func TestAppend(t *testing.T) {
	r, err := audit.Append(audit.Head{}, audit.Entry{
		At: at.In(time.FixedZone("", 7200)), Actor: "a\xffb\x00c", Action: "x",
		Detail: json.RawMessage(" {\"b\": 1.50,\n \"a\": {\"y\":\"<&>\", \"x\":null}} "),
	})
	require.NoError(t, err)
	canonical := `{"a":{"x":null,"y":"<&>"},"b":1.50}`
	require.Equal(t, canonical, string(r.Detail), "sorted, no white space, numbers kept")
	require.Equal(t, "a\uFFFDb\uFFFDc", r.Actor)
	require.Equal(t, "2026-11-22T10:00:00.123456Z", r.At.Format(time.RFC3339Nano))
	require.Equal(t, audit.Genesis, r.Prev)

	// Pinned: a change of the form of the hash would break every chain in use.
	// Recomputed with: printf '%s' '{"action":"x",...,"subject":""}' | sha256sum
	require.Equal(t, pinned, r.Hash)

	for _, bad := range []string{`[1]`, `"x"`, `{`, `{} {}`, `{}x`} {
		_, err := audit.Append(audit.Head{}, audit.Entry{Detail: json.RawMessage(bad)})
		require.Error(t, err, bad)
	}
}

// A record that went through JSON, as an export does, verifies still.
func TestRecordsSurviveJSON(t *testing.T) {
	rs := chain(t, 5)
	b, err := json.Marshal(rs)
	require.NoError(t, err)
	var back []audit.Record
	require.NoError(t, json.Unmarshal(b, &back))
	_, err = audit.Verify(audit.Head{}, seq(back), rs[4].Head())
	require.NoError(t, err)
}

const pinned = "11f022cdf5db79efc0cd5e2248ac713505e800749d221c2e5659c955b6bdf7b1"

// Any detail that Append takes gives a record that verifies, also after it went
// through JSON.
func FuzzAppend(f *testing.F) {
	f.Add("ada", "x", []byte(`{"b":1.50,"a":{"y":"<&>\u2028","x":null}}`))
	f.Add("\xff\x00", "", []byte(`{"a":1e400,"a":"\ud800"}`))
	f.Add("", "", []byte(` `))
	f.Add("", "", []byte(`{}{}`))
	f.Fuzz(func(t *testing.T, actor, action string, detail []byte) {
		r, err := audit.Append(audit.Head{}, audit.Entry{At: at, Actor: actor, Action: action, Detail: detail})
		if err != nil {
			return
		}
		b, err := json.Marshal(r)
		require.NoError(t, err)
		var back audit.Record
		require.NoError(t, json.Unmarshal(b, &back))
		_, err = audit.Verify(audit.Head{}, seq([]audit.Record{back}), r.Head())
		require.NoError(t, err)
	})
}
