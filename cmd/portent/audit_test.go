package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/audit"
	"github.com/portent-dev/portent/internal/incidentapi"
)

// auditLines is a chain of n records as JSON lines, and its head.
func auditLines(t *testing.T, n int) ([]string, audit.Head) {
	t.Helper()
	var out []string
	var head audit.Head
	for i := range n {
		r, err := audit.Append(head, audit.Entry{
			At: time.Date(2026, 11, 22, 3, 0, i, 0, time.UTC), Actor: "ann", Action: "ticket.approved", Subject: "01J", Detail: json.RawMessage(fmt.Sprintf(`{"n":%d,"q":"a<b"}`, i)),
		})
		require.NoError(t, err)
		b, err := json.Marshal(r)
		require.NoError(t, err)
		out = append(out, string(b))
		head = r.Head()
	}
	return out, head
}

func TestAuditVerify(t *testing.T) {
	lines, head := auditLines(t, 5)
	last := fmt.Sprintf("%d:%s", head.Seq, head.Hash)
	cut := func(i int) []string { return slices.Delete(slices.Clone(lines), i, i+1) }
	swapped := slices.Clone(lines)
	swapped[1], swapped[2] = swapped[2], swapped[1]
	changed := slices.Clone(lines)
	changed[2] = strings.Replace(changed[2], `"n":2`, `"n":3`, 1)
	added := slices.Clone(lines)
	added[1] = strings.Replace(added[1], `{"seq"`, `{"note":"x","seq"`, 1)
	for _, x := range []struct {
		name  string
		lines []string
		args  []string
		code  int
		want  string
	}{
		{"whole", lines, nil, 0, "OK: 5 records, 1 to 5"},
		{"whole with its head", lines, []string{"--head", last}, 0, "OK"},
		{"empty", nil, nil, 0, "the chain is empty"},
		{"changed", changed, nil, 1, "record 3 is changed"},
		{"the first missing", cut(0), nil, 1, "record 1 is missing"},
		{"one missing", cut(2), nil, 1, "record 3 is missing"},
		{"the last missing is not seen", cut(4), nil, 0, "OK: 4 records"},
		{"but with a head", cut(4), []string{"--head", last}, 1, "record 5 is missing"},
		{"all missing, with a head", nil, []string{"--head", last}, 1, "record 1 is missing"},
		{"reordered", swapped, nil, 1, "record 2 is reordered"},
		{"twice", append(slices.Clone(lines), lines[4]), nil, 1, "is reordered"},
		{"another chain than was known", lines, []string{"--head", "3:" + strings.Repeat("0", 64)}, 1, "record 3 is changed"},
		{"a part", lines[2:], []string{"--partial"}, 0, "OK: 3 records, 3 to 5"},
		{"a part with a hole", []string{lines[1], lines[3]}, []string{"--partial"}, 1, "record 3 is missing"},
	} {
		t.Run(x.name, func(t *testing.T) {
			var out, errs bytes.Buffer
			code := run(append([]string{"audit", "verify"}, x.args...), stdio{strings.NewReader(strings.Join(x.lines, "\n")), &out, &errs})
			require.Equal(t, x.code, code, "%s%s", out.String(), errs.String())
			require.Contains(t, out.String(), x.want)
		})
	}
	for name, in := range map[string]string{"no JSON": "x", "a member more": strings.Join(added, "\n")} {
		var out, errs bytes.Buffer
		require.Equal(t, 1, run([]string{"audit", "verify"}, stdio{strings.NewReader(in), &out, &errs}), name)
		require.Contains(t, errs.String(), "line", name)
	}
	var out, errs bytes.Buffer
	require.Equal(t, 2, run([]string{"audit", "verify", "--head", "x"}, stdio{strings.NewReader(""), &out, &errs}))
}

func TestAuditVerifyReadsPagesAndFiles(t *testing.T) {
	lines, _ := auditLines(t, 4)
	page := func(ls []string) string { return `{"records":[` + strings.Join(ls, ",") + `],"next":null}` }
	path := filepath.Join(t.TempDir(), "chain.json")
	require.NoError(t, os.WriteFile(path, []byte(page(lines[:2])+"\n"+page(lines[2:])+"\n"), 0o600))
	var out, errs bytes.Buffer
	require.Equal(t, 0, run([]string{"audit", "verify", "--json", path}, stdio{nil, &out, &errs}), errs.String())
	var res auditResult
	require.NoError(t, json.Unmarshal(out.Bytes(), &res))
	require.Equal(t, int64(4), res.Records)
}

func TestAuditVerifyAsksAReceiver(t *testing.T) {
	lines, head := auditLines(t, 3)
	token := filepath.Join(t.TempDir(), "token")
	require.NoError(t, os.WriteFile(token, []byte("0123456789abcdef\n"), 0o600))
	cut := 0
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer 0123456789abcdef" || r.URL.Path != incidentapi.PathAudit {
			http.Error(w, "no", http.StatusUnauthorized)
			return
		}
		w.Header().Set(incidentapi.HeaderAuditHead, fmt.Sprintf("%d:%s", head.Seq, head.Hash))
		_, _ = w.Write([]byte(strings.Join(lines[:len(lines)-cut], "\n")))
	}))
	defer srv.Close()
	verify := func(args ...string) (int, string) {
		var out, errs bytes.Buffer
		code := run(append([]string{"audit", "verify"}, args...), stdio{nil, &out, &errs})
		return code, out.String() + errs.String()
	}
	code, text := verify("--token-file", token, srv.URL)
	require.Equal(t, 0, code, text)
	cut = 1
	code, text = verify("--token-file", token, srv.URL+incidentapi.PathAudit)
	require.Equal(t, 1, code)
	require.Contains(t, text, "record 3 is missing")
	code, text = verify(srv.URL)
	require.Equal(t, 1, code)
	require.Contains(t, text, "401")
}

// Who can write to the database can write a chain anew from any record on, so that it is whole in itself. A head that was kept
// elsewhere finds that, and what was cut off.
func TestAuditVerifyAgainstAnchors(t *testing.T) {
	lines, _ := auditLines(t, 9)
	dir := t.TempDir()
	verify := func(anchors string, lines []string) (int, string) {
		var out, errs bytes.Buffer
		code := run([]string{"audit", "verify", "--anchors", anchors}, stdio{strings.NewReader(strings.Join(lines, "\n")), &out, &errs})
		return code, out.String() + errs.String()
	}
	path := filepath.Join(dir, "anchors")
	for _, n := range []int{3, 3, 5, 9} { // as a cron job sees it grow
		code, text := verify(path, lines[:n])
		require.Equal(t, 0, code, text)
	}
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, 3, strings.Count(string(b), "\n"), "one line for each head")

	code, text := verify(path, lines[:7])
	require.Equal(t, 1, code)
	require.Contains(t, text, "record 8 is missing: the chain ends at 7, and is known up to 9")

	// Another chain from record 5 on, each record of which follows the one before.
	var records []audit.Record
	for _, l := range lines {
		var r audit.Record
		require.NoError(t, json.Unmarshal([]byte(l), &r))
		records = append(records, r)
	}
	var anew []string
	head := records[3].Head()
	for _, r := range records[4:] {
		r.Actor = "eve"
		made, err := audit.Append(head, r.Entry)
		require.NoError(t, err)
		head = made.Head()
		b, err := json.Marshal(made)
		require.NoError(t, err)
		anew = append(anew, string(b))
	}
	written := append(slices.Clone(lines[:4]), anew...)
	code, text = verify(filepath.Join(dir, "none"), written)
	require.Equal(t, 0, code, "whole in itself: %s", text)
	code, text = verify(path, written)
	require.Equal(t, 1, code)
	require.Contains(t, text, "record 5 is changed: it was known with hash")
	// Spliced: the old end behind the new middle.
	code, text = verify(path, slices.Concat(lines[:4], anew[:3], lines[7:]))
	require.Equal(t, 1, code)
	require.Contains(t, text, "is changed")
	after, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, string(b), string(after), "a broken chain leaves no anchor")

	log := filepath.Join(dir, "receiver.log")
	require.NoError(t, os.WriteFile(log, []byte(`ts=2026-11-22T03:00:00Z level=info msg=ready`+"\n"+`ts=2026-11-22T04:00:00Z level=info msg=audit_head head=`+records[4].Head().String()+" x=y\n"), 0o600))
	code, text = verify(log, written)
	require.Equal(t, 1, code, text)
	for name, content := range map[string]string{"of something else": "hello\n", "with a wrong hash": "5:abc\n"} {
		bad := filepath.Join(dir, "bad")
		require.NoError(t, os.WriteFile(bad, []byte(content), 0o600))
		code, text = verify(bad, lines)
		require.Equal(t, 1, code, name)
		require.Contains(t, text, "SEQ:HASH", name)
	}
}
