package amevents_test

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/amevents"
	"github.com/portent-dev/portent/internal/noise"
)

// As Alertmanager 0.34.2 writes them, with the labels cut.
const (
	created  = `{"@timestamp":"2026-11-22T03:00:01.5Z","instance":"am-0","data":{"alertCreated":{"alert":{"fingerprint":"255","name":"DiskFull","labels":{"labels":[{"key":"alertname","value":"DiskFull"},{"key":"team","value":"db"}]},"annotations":{},"startsAt":"2026-11-22T03:00:00Z","endsAt":"2026-11-22T03:05:00Z"}}}}`
	silenced = `{"@timestamp":"2026-11-22T03:00:02Z","data":{"silenceMutedAlert":{"silence":{"id":"s1","createdBy":"ann","comment":"disk swap"},"mutedAlert":{"labels":{"labels":[{"key":"alertname","value":"DiskFull"}]},"fingerprint":"255"}}}}`
	mutedBy  = `{"@timestamp":"2026-11-22T03:00:02Z","data":{"inhibitionMutedAlert":{"inhibitRules":[{"sourceMatchers":[{"rendered":"severity=\"critical\""}],"targetMatchers":[{"rendered":"severity=\"warning\""}]}],"mutedAlert":{"labels":{"labels":[{"key":"alertname","value":"Slow"}]},"fingerprint":"18446744073709551615"},"inhibitingFingerprints":["255"]}}}`
	sent     = `{"@timestamp":"2026-11-22T03:00:03Z","instance":"am-0","data":{"notification":{"alerts":[{"hash":"1"}],"groupInfo":{"groupKey":"{}:{}","groupId":"g1","receiverName":"pager"},"flushId":"7","integration":{"name":"pagerduty"}}}}`
	startup  = `{"@timestamp":"2026-11-22T03:00:00Z","data":{"alertmanagerStartupEvent":{"version":"0.34.2"}}}`
)

var day = time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)

func TestDecode(t *testing.T) {
	rs, n, err := amevents.Decode([]byte("[" + strings.Join([]string{created, silenced, mutedBy, sent, startup}, ",") + "]"))
	require.NoError(t, err)
	require.Equal(t, 5, n)
	require.Equal(t, []noise.Recorded{
		{Day: day, What: noise.Created, ID: "00000000000000ff/2026-11-22T03:00:00Z", Rule: "DiskFull", Team: "db"},
		{Day: day, What: noise.Silenced, By: "disk swap (ann)", ID: "00000000000000ff", Rule: "DiskFull"},
		{Day: day, What: noise.Inhibited, By: `severity="critical" inhibits severity="warning"`, ID: "ffffffffffffffff", Rule: "Slow"},
		{Day: day, What: noise.Delivered, By: "pager/pagerduty", ID: "g1/7//am-0/2026-11-22T03:00:03Z"},
	}, rs)
	for _, bad := range []string{"", "null", "3", "{}", `{"@timestamp":"today"}`, `[{"@timestamp":3}]`, "[" + strings.Repeat(startup+",", amevents.MaxEvents) + startup + "]"} {
		_, _, err := amevents.Decode([]byte(bad))
		require.Error(t, err, "%.40s", bad)
	}
}

func FuzzDecode(f *testing.F) {
	for _, s := range []string{created, silenced, mutedBy, sent, startup, "[]"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		rs, n, err := amevents.Decode(b)
		if err == nil && len(rs) > n {
			t.Fatalf("%d of %d events", len(rs), n)
		}
		for _, r := range rs {
			if len(r.By) > 200 || len(r.Rule) > 200 || len(r.Team) > 200 || len(r.ID) > 440 {
				t.Fatalf("not bounded: %+v", r)
			}
		}
	})
}

type store struct {
	mu      sync.Mutex
	got     []noise.Recorded
	learned map[string][]byte
}

func (s *store) PutRecorded(_ context.Context, rs []noise.Recorded) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.got = append(s.got, rs...)
	return nil
}

func (s *store) PutLearned(_ context.Context, name string, body []byte) error {
	s.learned[name] = body
	return nil
}

func (s *store) Learned(_ context.Context, name string) ([]byte, error) { return s.learned[name], nil }

// A file is read as it grows, from where reading stopped after a restart, and anew when it was rotated. What is half written
// waits for its end, what is no event is counted.
func TestTail(t *testing.T) {
	path := filepath.Join(t.TempDir(), "events.jsonl")
	add := func(text string) {
		f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
		require.NoError(t, err)
		_, err = f.WriteString(text)
		require.NoError(t, err)
		require.NoError(t, f.Close())
	}
	synctest.Test(t, func(t *testing.T) {
		s := &store{learned: map[string][]byte{}}
		var events, refused int
		run := func(steps func()) {
			ctx, stop := context.WithCancel(t.Context())
			done := make(chan error)
			go func() {
				done <- amevents.Tail(ctx, amevents.Options{
					Path: path, Store: s, Every: time.Second, Logger: slog.New(slog.DiscardHandler),
					Count: func(e, r int) { events, refused = events+e, refused+r },
				})
			}()
			steps()
			stop()
			require.NoError(t, <-done)
		}
		wait := func() {
			<-time.After(3 * time.Second) // of synctest
			synctest.Wait()
		}
		run(func() {
			wait() // there is no file yet
			add(created + "\nnonsense\n" + silenced[:40])
			wait()
			require.Len(t, s.got, 1)
			add(silenced[40:] + "\n")
			wait()
			require.Len(t, s.got, 2)
		})
		for i := range 1200 {
			add(strings.Replace(mutedBy, "18446744073709551615", strconv.Itoa(i), 1) + "\n")
		}
		run(wait)
		require.Len(t, s.got, 1202, "what was read before the restart is not read again")
		require.NoError(t, os.Rename(path, path+".1"))
		add(startup + "\n" + sent + "\n")
		run(wait)
		require.Len(t, s.got, 1203)
		require.Equal(t, noise.Delivered, s.got[1202].What)
		require.Equal(t, 1204, events)
		require.Equal(t, 1, refused)
	})
}
