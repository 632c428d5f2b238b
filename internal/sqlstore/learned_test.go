package sqlstore_test

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestLearned(t *testing.T) {
	for name, dsn := range map[string]func(testing.TB) string{"sqlite": sqliteDSN, "postgres": postgresDSN} {
		t.Run(name, func(t *testing.T) {
			s := open(t, dsn(t))
			b, err := s.Learned(t.Context(), "correlate")
			require.NoError(t, err)
			require.Nil(t, b)
			for _, want := range [][]byte{{0, 1, 255}, []byte("later")} {
				require.NoError(t, s.PutLearned(t.Context(), "correlate", want))
				b, err = s.Learned(t.Context(), "correlate")
				require.NoError(t, err)
				require.Equal(t, want, b)
			}
		})
	}
}
