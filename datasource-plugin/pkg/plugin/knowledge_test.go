package plugin

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/grafana/grafana-plugin-sdk-go/backend"
	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/datasource-plugin/pkg/questions"
)

func as(ctx context.Context, login string) context.Context {
	return backend.WithPluginContext(ctx, backend.PluginContext{User: &backend.User{Login: login}})
}

// pass lets the time of a test go by.
func pass(d time.Duration) { <-time.After(d) }

// The catalog is read once for all, refreshed while somebody asks, and dropped when nobody does. Whatever runs in
// the background has ended when close returns: synctest fails when a goroutine is left.
func TestMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var loads atomic.Int64
		var fail atomic.Bool
		m := newMemory(true, func(ctx context.Context) (questions.Knowledge, error) {
			loads.Add(1)
			pass(time.Second)
			if fail.Load() {
				return questions.Knowledge{}, errors.New("down")
			}
			return questions.Knowledge{}, ctx.Err()
		})
		ctx := t.Context()
		for range 20 {
			go func() {
				if _, err := m.get(ctx); err != nil {
					t.Error(err)
				}
			}()
		}
		pass(2 * time.Second)
		require.EqualValues(t, 1, loads.Load(), "many ask at once, one reads")

		// One that goes away does not end the reading for others.
		fail.Store(true)
		pass(knowFor + time.Second)
		require.EqualValues(t, 2, loads.Load(), "refreshed")
		_, err := m.get(ctx)
		require.NoError(t, err, "a refresh that fails leaves the old catalog")

		pass(idleAfter + 2*knowFor)
		before := loads.Load()
		pass(10 * idleAfter)
		require.Equal(t, before, loads.Load(), "nobody asks, nothing is read")

		_, err = m.get(ctx)
		require.EqualError(t, err, "down")
		n := loads.Load()
		for range 5 {
			_, err = m.get(ctx)
			require.EqualError(t, err, "down")
		}
		require.Equal(t, n, loads.Load(), "a server that fails is not asked by every panel")
		fail.Store(false)
		pass(failFor + time.Second)
		_, err = m.get(ctx)
		require.NoError(t, err)

		m.close()
		_, err = m.get(ctx)
		require.ErrorIs(t, err, errDisposed)
	})
}

// Where the servers see who asks, nobody is answered from what another may see.
func TestMemoryOfUsers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var loads atomic.Int64
		m := newMemory(false, func(ctx context.Context) (questions.Knowledge, error) {
			loads.Add(1)
			require.NotEmpty(t, backend.PluginConfigFromContext(ctx).User.Login, "it reads with the rights of who asks")
			return questions.Knowledge{}, nil
		})
		get := func(login string) {
			_, err := m.get(as(t.Context(), login))
			require.NoError(t, err)
			pass(time.Second)
		}
		get("ann")
		get("ann")
		get("bob")
		require.EqualValues(t, 2, loads.Load())
		pass(knowFor)
		require.EqualValues(t, 2, loads.Load(), "not read again in the background: nobody's rights are at hand")
		get("ann")
		require.EqualValues(t, 3, loads.Load())
		for _, login := range []string{"c", "d", "e", "f", "g", "h", "i", "j", "k"} {
			get(login)
		}
		require.LessOrEqual(t, len(m.entries), maxCatalogs)
		m.close()
	})
}

func TestMemoryEndsWithTheInstance(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory(true, func(ctx context.Context) (questions.Knowledge, error) {
			<-ctx.Done() // a server that never answers
			return questions.Knowledge{}, ctx.Err()
		})
		answered := make(chan error, 1)
		go func() {
			_, err := m.get(t.Context())
			answered <- err
		}()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := m.get(ctx)
		require.ErrorIs(t, err, context.DeadlineExceeded, "who asks does not wait for the reading longer than for the answer")
		m.close()
		require.ErrorIs(t, <-answered, context.Canceled)
	})
}

// What a selector costs is asked for once in a while, not by each refresh of a dashboard.
func TestMeterRemembers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &meter{}
		asked := 0
		at := time.Now()
		get := func(login, what string, end time.Time) {
			_, err := m.cached(as(t.Context(), login), what, end.Add(-time.Hour), end, func() (uint64, error) { asked++; return 7, nil })
			require.NoError(t, err)
		}
		get("ann", "up", at)
		get("ann", "up", at.Add(time.Second))
		require.Equal(t, 1, asked)
		get("bob", "up", at)
		get("ann", "down", at)
		require.Equal(t, 3, asked)
		pass(costFor)
		get("ann", "up", at)
		require.Equal(t, 4, asked)
		for i := range 2 * maxCosts {
			get("ann", string(rune('a'+i)), at)
		}
		require.LessOrEqual(t, len(m.known), maxCosts)
		_, err := m.cached(t.Context(), "x", at, at, func() (uint64, error) { return 0, errors.New("no") })
		require.Error(t, err)
	})
}
