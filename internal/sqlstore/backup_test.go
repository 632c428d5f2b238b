package sqlstore_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/incident"
	"github.com/portent-dev/portent/internal/sqlstore"
)

// Everything that was acknowledged before a backup began is in it, while notifications go on to come in.
func TestBackupWhileNotificationsComeIn(t *testing.T) {
	dsn := sqliteDSN(t)
	s := open(t, dsn)
	put := func(n int64) error {
		return s.Put(context.Background(), incident.Notification{Source: "am", Body: []byte(fmt.Sprintf(`{"n":%d,"x":%q}`, n, strings.Repeat("x", 2000)))})
	}
	var seq, acked, slowest atomic.Int64
	done := make(chan struct{})
	var senders sync.WaitGroup
	for range 8 {
		senders.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				start := time.Now()
				if err := put(seq.Add(1)); err != nil {
					t.Error(err)
					return
				}
				acked.Add(1)
				slowest.Store(max(slowest.Load(), int64(time.Since(start))))
			}
		})
	}
	require.Eventually(t, func() bool { return acked.Load() > 500 }, time.Minute, time.Millisecond)
	before := acked.Load()
	to := filepath.Join(t.TempDir(), "copy.db")
	size, err := sqlstore.Backup(t.Context(), dsn, to)
	after := seq.Load()
	close(done)
	senders.Wait()
	require.NoError(t, err)
	require.Greater(t, acked.Load(), before, "nothing was taken while the backup was made")
	require.Less(t, time.Duration(slowest.Load()), 5*time.Second)

	info, err := os.Stat(to)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode())
	require.Equal(t, size, info.Size())
	copied, err := open(t, "sqlite:"+to).Pending(t.Context())
	require.NoError(t, err)
	require.GreaterOrEqual(t, int64(copied), before)
	require.LessOrEqual(t, int64(copied), after)
	require.NoFileExists(t, to+".part")
}

func TestBackupRefuses(t *testing.T) {
	dsn := sqliteDSN(t)
	open(t, dsn)
	there := filepath.Join(t.TempDir(), "there.db")
	require.NoError(t, os.WriteFile(there, []byte("precious"), 0o600))
	damaged := filepath.Join(t.TempDir(), "damaged.db")
	require.NoError(t, os.WriteFile(damaged, []byte(strings.Repeat("not a database", 1000)), 0o600))
	for _, tt := range []struct{ name, dsn, to, want string }{
		{"PostgreSQL", "postgres://portent@db/portent", there + "2", "pg_dump"},
		{"a file that is there", dsn, there, "there is a file of this name"},
		{"no such folder", dsn, filepath.Join(t.TempDir(), "a", "b.db"), "create the folder first"},
		{"no such database", "sqlite:" + there + ".none", there + "2", "no such file"},
		{"damage", "sqlite:" + damaged, there + "2", "restore a backup"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := sqlstore.Backup(t.Context(), tt.dsn, tt.to)
			require.ErrorContains(t, err, tt.want)
			require.NoFileExists(t, there+"2")
			require.NoFileExists(t, there+"2.part")
		})
	}
	b, err := os.ReadFile(there)
	require.NoError(t, err)
	require.Equal(t, "precious", string(b))
}
