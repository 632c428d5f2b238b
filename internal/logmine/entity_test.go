package logmine_test

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/logmine"
)

func TestEntities(t *testing.T) {
	f := func(line, want string) {
		t.Helper()
		var got []string
		for _, e := range logmine.AppendEntities(nil, line) {
			got = append(got, e.Kind.String()+"="+e.Value)
		}
		require.Equal(t, want, strings.Join(got, " "), line)
	}
	f("dial tcp 10.0.0.7:5432: connect: connection refused", "ip=10.0.0.7 port=5432")
	f("listening on [fe80::1]", "ip=fe80::1")
	f(`"Killing container" pod="shop/web-7d4b9c6f5-x2x9k" node="ip-10-0-0-7" took="12ms"`,
		"namespace=shop pod=web-7d4b9c6f5-x2x9k node=ip-10-0-0-7 duration=12ms")
	f("back-off restarting failed container in pod web-0 in namespace shop", "pod=web-0 namespace=shop")
	f(`10.1.2.3 - - "GET /v2/servers?token=abc HTTP/1.1" 503 1893`, "ip=10.1.2.3 path=/v2/servers httpStatus=503")
	f("upstream returned 502 after 250 ms", "httpStatus=502 duration=250 ms")
	f("java.lang.NullPointerException: x is null", "exception=java.lang.NullPointerException")
	f("ValueError: bad value", "exception=ValueError")
	f("ERROR: duplicate key (SQLSTATE 23505)", "sqlState=23505")
	f("open /var/lib/x: ENOSPC errno=28", "path=/var/lib/x errno=ENOSPC errno=28")
	f("ORA-00942: table or view does not exist", "errorCode=ORA-00942")
	f("fetch https://u:p@example.org/a?b=c failed with code=E42", "url=example.org/a errorCode=E42")
	f("user=1234 uid: u-77 for user alice", "user=1234 user=u-77 user=alice")
	f("trace_id=4bf92f3577b34da6a3ce929d0e0e4736 wrote 4096 bytes of 5MiB", "traceId=4bf92f3577b34da6a3ce929d0e0e4736 size=4096 bytes size=5MiB")
	f("the user logged in and the node is gone, status: ok, code: see above", "")
	f("port is open at 12:34:56, took a while", "")
}

// generated makes lines of which the entities are known: templates with gaps, as
// programs write them, and values from the ranges that are found in the wild.
func generated(r *rand.Rand) (line string, want []string) {
	hex := func(n int) string {
		b := make([]byte, n)
		for i := range b {
			b[i] = "0123456789abcdef"[r.IntN(16)]
		}
		return string(b)
	}
	safe := func(n int) string {
		b := make([]byte, n)
		for i := range b {
			b[i] = "bcdfghjklmnpqrstvwxz2456789"[r.IntN(27)]
		}
		return string(b)
	}
	pick := func(of ...string) string { return of[r.IntN(len(of))] }
	values := map[string]func() string{
		"pod": func() string {
			return pick("web", "cart-api", "db", "auth") + pick("-"+hex(9)+"-"+safe(5), fmt.Sprintf("-%d", r.IntN(9)))
		},
		"node": func() string {
			return pick(fmt.Sprintf("node-%d", r.IntN(99)), fmt.Sprintf("ip-10-0-%d-%d", r.IntN(255), r.IntN(255)))
		},
		"namespace": func() string { return pick("shop", "kube-system", "payments", "team-a") },
		"ip":        func() string { return fmt.Sprintf("%d.%d.%d.%d", 1+r.IntN(223), r.IntN(256), r.IntN(256), r.IntN(256)) },
		"port":      func() string { return strconv.Itoa(1 + r.IntN(65535)) },
		"url": func() string {
			return "https://" + pick("api", "cdn") + ".example.org/" + pick("v1/items", "health", "a/b.js")
		},
		"path":       func() string { return pick("/var/lib/", "/etc/", "/tmp/") + pick("data", "app.conf", hex(8)) },
		"user":       func() string { return pick("alice", "bob", strconv.Itoa(r.IntN(100000)), "u-"+hex(6)) },
		"httpStatus": func() string { return pick("200", "404", "500", "502", "503", "429") },
		"sqlState":   func() string { return pick("23505", "40P01", "HY000", "08006") },
		"errno":      func() string { return pick("ECONNREFUSED", "ENOENT", "ETIMEDOUT", "EPIPE") },
		"exception": func() string {
			return pick("java.lang.IllegalStateException", "NullPointerException", "KeyError", "com.acme.pay.PaymentError")
		},
		"traceId":  func() string { return hex(32) },
		"duration": func() string { return strconv.Itoa(1+r.IntN(900)) + pick("ms", "s", " ms", "µs", "m3s") },
		"size":     func() string { return strconv.Itoa(1+r.IntN(900)) + pick("KiB", "MB", " bytes", "GiB") },
	}
	templates := []string{
		"connect to {ip}:{port} refused for user {user}",
		"dial tcp {ip}:{port}: i/o timeout after {duration}",
		`level=error msg="request failed" pod={pod} namespace={namespace} status={httpStatus} took={duration}`,
		`{"level":"error","msg":"upstream failed","pod":"{pod}","node":"{node}","trace_id":"{traceId}","status":{httpStatus}}`,
		`"Failed to sync pod" pod="{namespace}/{pod}" err="exit"`,
		`{ip} - - "GET {path} HTTP/1.1" {httpStatus} 512`,
		"{exception}: cannot open {path} ({errno})",
		"Caused by: {exception}: SQLSTATE {sqlState} while writing {size}",
		"evicting pod {pod} from node {node} in namespace {namespace}",
		"GET {url} returned {httpStatus} in {duration}",
		"user_id={user} trace_id={traceId} client_ip={ip} exceeded quota of {size}",
		"read {path}: {errno} after {duration}, {size} done",
		"node {node} is not ready since {duration}",
		"session opened for user {user} from {ip} port {port}",
		"worker finished job 17 of batch 4, retry 3, queue depth 12", // numbers that are none of it
		"config reloaded: 42 rules, version 1.2.3, checksum 9f86d081884c7d65",
		"the user session expired and the node group scaled up",
	}
	line = templates[r.IntN(len(templates))]
	for {
		a := -1
		for i := 0; i < len(line) && a < 0; i++ {
			if line[i] == '{' {
				if b := strings.IndexByte(line[i:], '}'); b > 0 && values[line[i+1:i+b]] != nil {
					kind := line[i+1 : i+b]
					v := values[kind]()
					line = line[:i] + v + line[i+b+1:]
					want = append(want, kind+"="+v)
					a = i
				}
			}
		}
		if a < 0 {
			return line, want
		}
	}
}

func TestEntitiesOfGeneratedLines(t *testing.T) {
	r := rand.New(rand.NewPCG(4, 4))
	found, wanted, right := map[string]int{}, map[string]int{}, map[string]int{}
	misses := map[string]string{}
	for range 20_000 {
		line, want := generated(r)
		left := map[string]int{}
		for _, w := range want {
			kind, _, _ := strings.Cut(w, "=")
			left[w]++
			wanted[kind]++
		}
		for _, e := range logmine.AppendEntities(nil, line) {
			found[e.Kind.String()]++
			k := e.Kind.String() + "=" + e.Value
			if left[k] > 0 {
				left[k]--
				right[e.Kind.String()]++
			} else {
				misses["+"+e.Kind.String()] = e.Value + " in " + line
			}
		}
		for k, n := range left {
			if n > 0 {
				kind, _, _ := strings.Cut(k, "=")
				misses["-"+kind] = k + " in " + line
			}
		}
	}
	var f, w, ok int
	for kind := range wanted {
		f, w, ok = f+found[kind], w+wanted[kind], ok+right[kind]
		require.GreaterOrEqual(t, float64(right[kind])/float64(wanted[kind]), .95, "recall of %s: %s", kind, misses["-"+kind])
		require.GreaterOrEqual(t, float64(right[kind])/float64(found[kind]), .95, "precision of %s: %s", kind, misses["+"+kind])
	}
	for kind := range found {
		require.Positive(t, wanted[kind], "found a %s, but no line has one: %s", kind, misses["+"+kind])
	}
	t.Logf("precision %.4f recall %.4f of %d entities", float64(ok)/float64(f), float64(ok)/float64(w), w)
}

// TestEntityCounts: what is frequent is counted exactly while few values compete,
// never too high when many do, and memory stays bounded.
func TestEntityCounts(t *testing.T) {
	m := logmine.New(logmine.Options{Entities: true})
	for i := range 10_000 {
		pod := fmt.Sprintf("web-%d", i%3)
		m.Add(fmt.Sprintf("probe of pod=%s failed with status=503 trace_id=%032x", pod, i), 0, logmine.Unknown)
		if i%2 == 0 {
			m.Add(fmt.Sprintf("user=%d logged in with password=s3cret%d", i, i), 0, logmine.Unknown)
		}
	}
	for _, p := range m.Patterns() {
		per := map[logmine.EntityKind]int{}
		for _, e := range p.Entities {
			per[e.Kind]++
			require.NotContains(t, e.Value, "s3cret")
			require.LessOrEqual(t, e.Count, p.Count)
			switch e.Kind { //nolint:exhaustive // the others have one spelling
			case logmine.Pod:
				require.InDelta(t, 3333, e.Count, 1)
			case logmine.HTTPStatus:
				require.EqualValues(t, 10_000, e.Count)
			case logmine.TraceID, logmine.User:
				require.EqualValues(t, 1, e.Count)
			}
		}
		for kind, n := range per {
			require.LessOrEqual(t, n, 5, kind)
		}
	}
}

func TestEntitiesAllocateNothing(t *testing.T) {
	m := logmine.New(logmine.Options{Entities: true})
	i := 0
	add := func() {
		for range 10 {
			m.Add(benchLines[i%len(benchLines)], 1, logmine.Unknown)
			i++
		}
	}
	for range 3000 {
		add()
	}
	require.Zero(t, testing.AllocsPerRun(100, add))
}

func FuzzEntities(f *testing.F) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 20 {
		line, _ := generated(r)
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, line string) {
		for _, e := range logmine.AppendEntities(nil, line) {
			require.NotEmpty(t, e.Kind.String())
			require.Contains(t, line, e.Value)
		}
	})
}

func BenchmarkAddEntities(b *testing.B) {
	m := logmine.New(logmine.Options{Entities: true})
	for _, l := range benchLines {
		m.Add(l, 1, logmine.Unknown)
	}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		m.Add(benchLines[i], 1, logmine.Unknown)
		if i++; i == len(benchLines) {
			i = 0
		}
	}
}
