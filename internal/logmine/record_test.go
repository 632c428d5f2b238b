package logmine_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/logmine"
)

func TestParse(t *testing.T) {
	at := func(s string) int64 {
		v, err := time.Parse(time.RFC3339Nano, s)
		require.NoError(t, err)
		return v.UnixMilli()
	}
	f := func(line string, want logmine.Record) {
		t.Helper()
		require.Equal(t, want, logmine.Parse(line))
	}
	noon := at("2026-11-22T12:00:00.123Z")

	f("nothing special here", logmine.Record{Format: logmine.Plain, Message: "nothing special here"})
	f("connection refused by 10.0.0.1\r\n", logmine.Record{Format: logmine.Plain, Severity: logmine.Error, Message: "connection refused by 10.0.0.1"})

	f(`{"level":"warn","ts":"2026-11-22T12:00:00.123Z","msg":"disk \"sda\" slow","trace_id":"abc","logger":"io","n":{"deep":[1,2,{"x":"}"}]}}`,
		logmine.Record{Format: logmine.JSON, Time: noon, Severity: logmine.Warning, Logger: "io", TraceID: "abc", Message: `disk "sda" slow`})
	f(`{"level":"info","ts":1795435200.123,"message":"up"}`,
		logmine.Record{Format: logmine.JSON, Time: 1795435200000, Severity: logmine.Info, Message: "up"})
	f(`{"a":1,"b":2}`, logmine.Record{Format: logmine.JSON, Message: `{"a":1,"b":2}`})
	f(`{"broken": `, logmine.Record{Format: logmine.Plain, Message: `{"broken": `})

	f(`ts=2026-11-22T12:00:00.123Z caller=main.go:7 level=error msg="cannot open \"x\"" err=EOF traceID=9`,
		logmine.Record{Format: logmine.Logfmt, Time: noon, Severity: logmine.Error, Logger: "main.go:7", TraceID: "9", Message: `cannot open "x"`})

	f("I1122 12:00:00.123456   12345 controller.go:114] Starting workers", logmine.Record{
		Format: logmine.Klog, Severity: logmine.Info, Logger: "controller.go:114", Message: "Starting workers",
	})
	f("2026-11-22T12:00:00.123456789Z stderr F E1122 12:00:00.123456 1 reflector.go:9] list failed", logmine.Record{
		Format: logmine.Klog, Time: noon, Severity: logmine.Error, Logger: "reflector.go:9", Message: "list failed",
	})
	f(`{"log":"level=info msg=ready\n","stream":"stdout","time":"2026-11-22T12:00:00.123Z"}`, logmine.Record{
		Format: logmine.Logfmt, Time: noon, Severity: logmine.Info, Message: "ready",
	})
	f("<34>Oct 11 22:14:15 mymachine su[77]: 'su root' failed for lonvick", logmine.Record{
		Format: logmine.Syslog, Severity: logmine.Error, Logger: "su", Message: "'su root' failed for lonvick",
	})
	f(`<34>1 2026-11-22T12:00:00.123Z host su - ID47 [a@1 b="c"] it failed`, logmine.Record{
		Format: logmine.Syslog, Time: noon, Severity: logmine.Error, Logger: "su", Message: "it failed",
	})
	f("Jul  1 09:00:55 host kernel[0]: link up", logmine.Record{Format: logmine.Syslog, Logger: "kernel", Message: "link up"})
	f("03-17 16:13:38.811  1702  2395 D WindowManager: acquire lock=1", logmine.Record{
		Format: logmine.Plain, Severity: logmine.Debug, Logger: "WindowManager", Message: "acquire lock=1",
	})
	f("17/06/09 20:10:40 INFO executor.Backend: Registered", logmine.Record{
		Format: logmine.Plain, Time: at("2017-06-09T20:10:40Z"), Severity: logmine.Info, Logger: "executor.Backend", Message: "Registered",
	})
	f("[2026-11-22 14:00:00,123 +02:00] [ERROR] no route to host", logmine.Record{
		Format: logmine.Plain, Time: noon, Severity: logmine.Error, Message: "no route to host",
	})
}

// TestParseIsNotFooled: numbers and words at the start of a message are no header.
func TestParseIsNotFooled(t *testing.T) {
	for _, line := range []string{
		"1118000000 double-hummer alignment exceptions",
		"10.11.10.1 \"GET / HTTP/1.1\" 200",
		"error: it is broken",
		"12:34:56 is when it happened",
		"2026 was a good year",
	} {
		require.Equal(t, line, logmine.Parse(line).Message)
	}
}

func TestParseDeepJSON(t *testing.T) {
	line := `{"msg":"x","a":` + strings.Repeat(`[`, 100_000) + strings.Repeat(`]`, 100_000) + `}`
	require.Equal(t, "x", logmine.Parse(line).Message)
}

func FuzzParse(f *testing.F) {
	f.Add(`{"log":"{\"msg\":\"\\u00e9\"}"}`)
	f.Add("ts=1 level=x msg=\"a\\")
	f.Add("<1>1 2026-11-22T12:00:00+99:99 ")
	f.Add("2026-11-22T12:00:00Z stdout F ")
	f.Add("[")
	f.Fuzz(func(t *testing.T, line string) {
		r := logmine.Parse(line)
		require.LessOrEqual(t, len(r.Message), len(line)+3*len(line))
		require.NotEmpty(t, r.Format)
	})
}
