package protocoltest

import (
	"bytes"
	"encoding/json"
	"flag"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/grafana/grafana-plugin-sdk-go/backend"
	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write the goldens")

// requireGolden compares an answer, as Grafana's front end gets it, with testdata/<name>.json. replace holds
// what differs between runs, such as addresses.
func requireGolden(t *testing.T, name string, resp backend.DataResponse, replace ...string) {
	t.Helper()
	raw, err := json.Marshal(resp)
	require.NoError(t, err)
	for i := 0; i+1 < len(replace); i += 2 {
		raw = bytes.ReplaceAll(raw, []byte(replace[i]), []byte(replace[i+1]))
	}
	got := pretty(t, raw)
	file := filepath.Join("testdata", name+".json")
	if *update {
		require.NoError(t, os.WriteFile(file, got, 0o644))
		return
	}
	want, err := os.ReadFile(file)
	if os.IsNotExist(err) {
		t.Fatalf("%v: %s\n%s", errNoGolden, file, got)
	}
	require.NoError(t, err)
	require.Equal(t, string(want), string(got))
}

// pretty puts what a person reads on lines of its own and lists of values on one.
func pretty(t *testing.T, raw []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	var write func(v json.RawMessage, indent string)
	write = func(v json.RawMessage, indent string) {
		v = bytes.TrimSpace(v)
		var list []json.RawMessage
		var object map[string]json.RawMessage
		switch {
		case len(v) > 100 && v[0] == '[' && json.Unmarshal(v, &list) == nil && (len(list) < 2 || list[0][0] == '{' || list[0][0] == '['):
			b.WriteString("[\n")
			for i, one := range list {
				b.WriteString(indent + "  ")
				write(one, indent+"  ")
				if i < len(list)-1 {
					b.WriteByte(',')
				}
				b.WriteByte('\n')
			}
			b.WriteString(indent + "]")
		case len(v) > 100 && v[0] == '{' && json.Unmarshal(v, &object) == nil:
			b.WriteString("{\n")
			keys := slices.Sorted(maps.Keys(object))
			for i, k := range keys {
				name, err := json.Marshal(k)
				require.NoError(t, err)
				b.WriteString(indent + "  " + string(name) + ": ")
				write(object[k], indent+"  ")
				if i < len(keys)-1 {
					b.WriteByte(',')
				}
				b.WriteByte('\n')
			}
			b.WriteString(indent + "}")
		default:
			b.Write(v)
		}
	}
	write(raw, "")
	b.WriteByte('\n')
	return b.Bytes()
}
