package correlate

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// al makes an alert: name, then labels as "k=v", start and end in minutes.
func al(text string, start, end float64) Alert {
	parts := strings.Fields(text)
	a := Alert{Name: parts[0], Severity: Warning, Labels: map[string]string{"alertname": parts[0]}, Start: ms(start)}
	for _, p := range parts[1:] {
		k, v, _ := strings.Cut(p, "=")
		a.Labels[k] = v
	}
	if a.Labels["severity"] == "critical" {
		a.Severity = Critical
	}
	if end > 0 {
		a.End = ms(end)
	}
	a.Scope, a.Key = a.Labels["cluster"], text
	return a
}

func ms(minutes float64) int64 { return 1_700_000_000_000 + int64(minutes*60_000) }

// groups adds alerts in one batch and returns the groups by name and subject.
func groups(now float64, as ...Alert) []string {
	e := New(Options{SkipLabels: []string{"cluster"}})
	return regroup(e, now, as...)
}

func regroup(e *Engine, now float64, as ...Alert) []string {
	names := map[int64]string{}
	for i, a := range as {
		a.ID = int64(hash(a.Key) ^ word(a.Start))
		names[a.ID] = a.Name
		as[i] = a
		e.Add(a)
	}
	var out []string
	for _, g := range e.Regroup(ms(now)) {
		var s []string
		for _, id := range g {
			s = append(s, names[id])
		}
		slices.Sort(s)
		out = append(out, strings.Join(s, " "))
	}
	slices.Sort(out)
	return out
}

func TestTwoFaultsAtOnceStayApart(t *testing.T) {
	require.Equal(t, []string{"CheckoutErrors CheckoutSlow PaymentsPodDown", "VolumeFull WarehousePodDown WarehouseSlow"}, groups(20,
		al("PaymentsPodDown cluster=a namespace=payments pod=checkout-7d9f8b6c5-x2x4z", 0, 0),
		al("CheckoutErrors cluster=a namespace=payments service=checkout severity=critical", 1, 0),
		al("CheckoutSlow cluster=a namespace=payments service=checkout", 1.5, 0),
		al("VolumeFull cluster=a namespace=data persistentvolumeclaim=warehouse-0 severity=critical", 9, 0),
		al("WarehousePodDown cluster=a namespace=data pod=warehouse-0", 10, 0),
		al("WarehouseSlow cluster=a namespace=data service=warehouse", 10.5, 0),
	))
}

func TestTwinsInTwoClustersStayApart(t *testing.T) {
	require.Equal(t, []string{"Down Slow", "Down Slow"}, groups(5,
		al("Slow cluster=a namespace=shop service=api", 0, 0), al("Down cluster=a namespace=shop service=api", 0.5, 0),
		al("Slow cluster=b namespace=shop service=api", 0, 0), al("Down cluster=b namespace=shop service=api", 0.5, 0),
	))
}

// The text of one alert names what the other is about.
func TestANodeAndItsPods(t *testing.T) {
	pod := func(name, ns string, start float64) Alert {
		a := al("PodNotReady cluster=a namespace="+ns+" pod="+name, start, 0)
		a.Annotations = map[string]string{"description": "Pod " + ns + "/" + name + " on node worker-17.example.internal is not ready."}
		return a
	}
	require.Equal(t, []string{"NodeNotReady PodNotReady PodNotReady"}, groups(10,
		al("NodeNotReady cluster=a node=worker-17.example.internal", 2, 0), pod("cart-5c6b7d8f9-abcd1", "shop", 0), pod("ledger-0", "bank", 1)))
}

func TestAFlappingAlertIsOneGroup(t *testing.T) {
	var as []Alert
	for n := range 6 {
		as = append(as, al("Flaps cluster=a namespace=x service=y", float64(n*10), float64(n*10+4)))
	}
	require.Len(t, groups(60, as...), 1)
}

func TestOrderInABatchDoesNotMatter(t *testing.T) {
	var as []Alert
	for n := range 60 {
		as = append(as, al(fmt.Sprintf("Rule%d cluster=c%d namespace=ns%d service=svc%d", n%7, n%2, n%3, n%5), float64(n%17), 0))
	}
	want := groups(30, slices.Clone(as)...)
	r := rand.New(rand.NewPCG(1, 1))
	for range 5 {
		r.Shuffle(len(as), func(i, j int) { as[i], as[j] = as[j], as[i] })
		require.Equal(t, want, groups(30, slices.Clone(as)...))
	}
}

// What comes late joins what it belongs to, as long as that may still change.
func TestALateAlertFindsItsGroup(t *testing.T) {
	e := New(Options{SkipLabels: []string{"cluster"}})
	first := []Alert{al("Slow cluster=a namespace=shop service=api", 0, 0), al("Down cluster=a namespace=shop service=api", 1, 0)}
	regroup(e, 5, first...)
	late := al("Errors cluster=a namespace=shop service=api", 0.5, 0)
	late.ID = 99
	e.Add(late)
	gs := e.Regroup(ms(60))
	require.Len(t, gs, 1)
	require.Len(t, gs[0], 3)
	require.NotEmpty(t, e.Why(99, gs[0]))
}

func TestFrozenAfterTheWindow(t *testing.T) {
	e := New(Options{})
	regroup(e, 1, al("Old cluster=a service=api", 0, 0))
	require.Equal(t, 1, e.Len())
	require.Equal(t, []string{"New"}, regroup(e, 600, al("New cluster=a service=api", 599, 0)))
	require.Equal(t, 1, e.Len())
}

// An outage of thousands of alerts is one group, and the work is bounded.
func TestAnOutageIsOneGroup(t *testing.T) {
	e := New(Options{SkipLabels: []string{"cluster"}})
	biggest, total := 0, 0
	for b := range 30 {
		for n := range 100 {
			a := al(fmt.Sprintf("Rule%d cluster=a namespace=ns%d pod=w%d-%d", n%9, n%6, n%40, b), float64(b)/6, 0)
			total++
			a.ID = int64(total)
			e.Add(a)
		}
		for _, g := range e.Regroup(ms(float64(b) / 6)) {
			biggest = max(biggest, len(g))
		}
	}
	require.Greater(t, biggest, total*8/10)
}

func TestStem(t *testing.T) {
	for in, want := range map[string]string{
		"checkout-7d9f8b6c5-x2x4z": "checkout", "kafka-1": "kafka", "fluent-bit-x7k2p": "fluent-bit", "edge-proxy": "edge-proxy",
		"api": "api", "-": "-", "a-1234": "a-1234", "redis-cache": "redis-cache",
	} {
		require.Equal(t, want, stem(in), in)
	}
	require.Equal(t, "10.0.0.1", host("10.0.0.1:9100"))
	require.Equal(t, "fe80::1", host("fe80::1:xx")[:7])
}

func FuzzSubject(f *testing.F) {
	f.Add("pod", "checkout-7d9f8b6c5-x2x4z", "Pod a/b on 10.0.0.1:80 is down.")
	f.Add("instance", "https://[::1]:9100/metrics", "a/b/c/d/e/f ---...///")
	f.Add("", "\xff\xfe", strings.Repeat("x-1 ", 5000))
	f.Fuzz(func(t *testing.T, label, value, text string) {
		e := New(Options{})
		s := e.subject(Alert{Labels: map[string]string{label: value}, Annotations: map[string]string{"description": text}})
		require.LessOrEqual(t, len(s.entities), maxEntities)
		require.LessOrEqual(t, len(s.mentions), maxMentions)
		require.True(t, slices.IsSorted(s.entities))
	})
}

func BenchmarkStorm(b *testing.B) {
	for range b.N {
		e := New(Options{SkipLabels: []string{"cluster"}})
		id := int64(0)
		for batch := range 100 {
			for n := range 60 {
				a := al(fmt.Sprintf("Rule%d cluster=c%d namespace=ns%d pod=w%d-%d", n%9, n%2, n%6, n%40, batch), float64(batch)/10, 0)
				a.Annotations = map[string]string{"description": "Pod ns/w-1 on node worker-17.example.internal is not ready for longer than 15 minutes."}
				id++
				a.ID = id
				e.Add(a)
			}
			e.Regroup(ms(float64(batch) / 10))
		}
		b.ReportMetric(float64(id)*float64(b.N)/b.Elapsed().Seconds(), "alerts/s")
	}
}
