package sqlstore_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/noise"
)

func TestRecordedOnce(t *testing.T) {
	both(t, func(t *testing.T, dsn func(testing.TB) string) {
		s := open(t, dsn(t))
		day := time.Now().UTC().Truncate(24 * time.Hour)
		rs := []noise.Recorded{
			{Day: day, What: noise.Silenced, By: "work", ID: "1", Rule: "DiskFull", Team: "db"},
			{Day: day, What: noise.Silenced, By: "work", ID: "1", Rule: "DiskFull", Team: "db"}, // the next flush
			{Day: day, What: noise.Silenced, By: "work", ID: "2", Rule: "DiskFull", Team: "db"},
			{Day: day.AddDate(0, 0, -3), What: noise.Created, ID: "1/x", Rule: "Slow"},
			{Day: day.AddDate(0, 0, -300), What: noise.Created, ID: "1/y", Rule: "Old"},
		}
		require.NoError(t, s.PutRecorded(t.Context(), rs))
		require.NoError(t, s.PutRecorded(t.Context(), rs), "a file that is read again")
		require.NoError(t, s.Maintain(t.Context(), time.Now()))
		all, err := s.Recorded(t.Context(), time.Time{})
		require.NoError(t, err)
		require.Equal(t, []noise.RecordedCount{
			{What: noise.Created, Rule: "Slow", N: 1}, {What: noise.Silenced, By: "work", Rule: "DiskFull", Team: "db", N: 2},
		}, all)
		late, err := s.Recorded(t.Context(), day.Add(time.Hour))
		require.NoError(t, err)
		require.Len(t, late, 1)
	})
}
