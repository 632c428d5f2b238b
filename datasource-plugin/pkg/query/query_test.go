package query_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/datasource-plugin/pkg/query"
)

// fixture is one file in testdata/queries, which the front end's tests read too.
type fixture struct {
	Query json.RawMessage `json:"query"`
	Want  json.RawMessage `json:"want"`  // the query with its defaults, or
	Error string          `json:"error"` // the start of the error
}

func TestParse(t *testing.T) {
	files, err := filepath.Glob("../../testdata/queries/*.json")
	require.NoError(t, err)
	require.Greater(t, len(files), 20)
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".json"), func(t *testing.T) {
			raw, err := os.ReadFile(file)
			require.NoError(t, err)
			var f fixture
			require.NoError(t, json.Unmarshal(raw, &f))

			got, err := query.Parse(f.Query)
			if f.Error != "" {
				var qe *query.Error
				require.ErrorAs(t, err, &qe)
				require.True(t, strings.HasPrefix(err.Error(), f.Error), "got %q, want %q", err, f.Error)
				return
			}
			require.NoError(t, err)
			out, err := json.Marshal(got)
			require.NoError(t, err)
			require.JSONEq(t, string(f.Want), string(out))
		})
	}
}

func TestParseBounds(t *testing.T) {
	many := strings.Repeat(`{"label":"a","op":"=","value":"b"},`, query.MaxMatchers)
	long := strings.Repeat("x", query.MaxValueBytes+1)
	f := func(raw, want string) {
		t.Helper()
		_, err := query.Parse(json.RawMessage(raw))
		require.ErrorContains(t, err, want)
		require.Less(t, len(err.Error()), 500, "an error never repeats a long input")
	}
	f(`{"queryType":"anomalies","anomalies":{"matchers":[`+many+`{"label":"a","op":"=","value":"b"}]}}`, "65 matchers, at most 64")
	f(`{"queryType":"anomalies","anomalies":{"matchers":[{"label":"a","op":"=","value":"`+long+`"}]}}`, "at most 8192 bytes")
	f(`{"queryType":"anomalies","anomalies":{"matchers":[{"label":"`+long+`","op":"=","value":""}]}}`, "at most 8192 bytes")
	f(`{"queryType":"anomalies","anomalies":{"metric":"`+long+`"}}`, "at most 8192 bytes")
	f(`{"queryType":"anomalies","anomalies":{"legend":"`+long+`"}}`, "at most 8192 bytes")
	f(`{"queryType":"`+long+`"}`, `unknown queryType "xxx`)
	f(`{"queryType":"anomalies","x":"`+strings.Repeat("x", query.MaxQueryBytes)+`"}`, "at most 1048576 are read")
	f(`[]`, "not a JSON object")
	f(`{"queryType":"anomalies","anomalies":[]}`, "anomalies: want an object, got array")
	f(``, "not a JSON object")
}

// What Parse accepts it accepts again after a round trip, with the same meaning; whatever it refuses, it
// refuses with an *Error.
func FuzzParse(f *testing.F) {
	files, err := filepath.Glob("../../testdata/queries/*.json")
	require.NoError(f, err)
	for _, file := range files {
		raw, err := os.ReadFile(file)
		require.NoError(f, err)
		var fx fixture
		require.NoError(f, json.Unmarshal(raw, &fx))
		f.Add([]byte(fx.Query))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		got, err := query.Parse(raw)
		if err != nil {
			var qe *query.Error
			require.ErrorAs(t, err, &qe)
			return
		}
		out, err := json.Marshal(got)
		require.NoError(t, err)
		again, err := query.Parse(out)
		require.NoError(t, err)
		require.Equal(t, got, again)
	})
}
