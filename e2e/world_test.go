package e2e_test

import (
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/e2e/servertest"
)

// shop is the target that is watched: a queue whose length the story sets, and a counter of requests. Both go on from the history
// that Prometheus gets before it starts, so that there is a baseline at once.
type shop struct {
	*httptest.Server
	disturbed atomic.Bool
}

const (
	// step is how often the shop is scraped, and was in its history.
	step = time.Second
	// historyLength is long enough for a baseline and quick to write.
	historyLength = time.Hour
	// shopLabels are those that Prometheus gives the shop's series.
	shopLabels = `instance="shop-1",job="shop"`
)

// epoch is when the shop's counter was zero.
var epoch = time.Unix(1_700_000_000, 0)

// queueLength is around 100, with a wobble that looks like noise and is the same in every run.
func queueLength(at time.Time) float64 {
	s := float64(at.Unix())
	return 100 + 4*math.Sin(s*1.7) + 3*math.Sin(s*0.37+1) + 2*math.Sin(s*2.9+2)
}

// requests grow by about 20 a second.
func requests(at time.Time) float64 {
	s := float64(at.Sub(epoch)) / float64(time.Second)
	return math.Floor(20*s + 5*math.Sin(s*0.9))
}

func newShop(t testing.TB) *shop {
	t.Helper()
	s := &shop{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		now := time.Now()
		length := queueLength(now)
		if s.disturbed.Load() {
			length *= 8
		}
		w.Header().Set("Content-Type", "text/plain; version=0.0.4")
		fmt.Fprintf(w, "# TYPE shop_queue_length gauge\nshop_queue_length %g\n", length)
		fmt.Fprintf(w, "# TYPE shop_requests_total counter\nshop_requests_total %g\n", requests(now))
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *shop) address() string { return strings.TrimPrefix(s.URL, "http://") }

// writeHistory makes blocks of the shop's past in a data folder of Prometheus.
func writeHistory(t testing.TB, data string) {
	t.Helper()
	var b strings.Builder
	now := time.Now().Truncate(time.Second)
	series := func(name string, value func(time.Time) float64) {
		for at := now.Add(-historyLength); !at.After(now); at = at.Add(step) {
			fmt.Fprintf(&b, "%s{%s} %g %d\n", name, shopLabels, value(at), at.Unix())
		}
	}
	b.WriteString("# TYPE shop_queue_length gauge\n")
	series("shop_queue_length", queueLength)
	b.WriteString("# TYPE shop_requests counter\n")
	series("shop_requests_total", requests)
	b.WriteString("# EOF\n")
	om := filepath.Join(t.TempDir(), "history.om")
	require.NoError(t, os.WriteFile(om, []byte(b.String()), 0o600))
	out, err := exec.Command(servertest.Binary(t, "promtool"), "tsdb", "create-blocks-from", "openmetrics", om, data).CombinedOutput()
	require.NoError(t, err, "%s", out)
}

// world is the whole path on real servers.
type world struct {
	shop                                         *shop
	prometheus, alertmanager, exporter, receiver *servertest.Server
}

const exporterConfig = `
backfill:
  url: http://127.0.0.1:%d
  window: 1h
  selectors: ['{job="shop"}']
state: {directory: state}
`

const prometheusConfig = `
global: {scrape_interval: 1s, evaluation_interval: 1s}
rule_files: [anomalies.rules.yml]
alerting:
  alertmanagers: [{static_configs: [{targets: ["127.0.0.1:%d"]}]}]
remote_write:
  - url: http://127.0.0.1:%d/api/v1/write
    protobuf_message: io.prometheus.write.v2.Request
    metadata_config: {send: false}
    write_relabel_configs: [{source_labels: [__name__], regex: shop_.*, action: keep}]
    queue_config: {batch_send_deadline: 500ms}
scrape_configs:
  - job_name: shop
    static_configs: [{targets: ["%s"], labels: {instance: shop-1}}]
  - job_name: portent-exporter
    honor_labels: true
    static_configs: [{targets: ["127.0.0.1:%d"]}]
`

const alertmanagerConfig = `
route: {receiver: portent, group_by: [job], group_wait: 1s, group_interval: 1s, repeat_interval: 1h}
receivers:
  - name: portent
    webhook_configs: [{url: "http://127.0.0.1:%d/api/v1/webhook/alertmanager"}]
`

// receiverConfig files tickets in the receiver itself.
const receiverConfig = "trackers: [{name: local, type: local}]\ntriage: {resolve_after: 5s, baseline: 0s, hold_many: 0s, hold_together: 0s, hold_alone: 0s}\n"

// quickRules are the rules that we ship, with seconds in the place of minutes.
func quickRules(t testing.TB) string {
	t.Helper()
	return strings.NewReplacer("for: 1m\n", "for: 3s\n", "for: 20s\n", "for: 2s\n", "keep_firing_for: 2m", "keep_firing_for: 3s").
		Replace(file(t, "dashboards", "rules", "anomalies.rules.yml"))
}

// newWorld starts everything and waits until the shop's series have a baseline.
func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{shop: newShop(t)}
	w.receiver = startReceiver(t, receiverConfig)
	w.alertmanager = servertest.Alertmanager(t, servertest.Config{YAML: fmt.Sprintf(alertmanagerConfig, w.receiver.Port)})
	dir, exporterPort := t.TempDir(), servertest.FreePort(t)
	writeHistory(t, filepath.Join(dir, "data"))
	w.prometheus = servertest.Prometheus(t, servertest.Config{
		Dir:   dir,
		YAML:  fmt.Sprintf(prometheusConfig, w.alertmanager.Port, exporterPort, w.shop.address(), exporterPort),
		Files: map[string]string{"anomalies.rules.yml": quickRules(t)},
		Args:  []string{"--enable-feature=metadata-wal-records"},
	})
	w.exporter = servertest.Program(t, "portent-exporter", program(t, "portent-exporter"), servertest.Config{
		YAML: fmt.Sprintf(exporterConfig, w.prometheus.Port), Port: exporterPort,
	})
	eventually(t, "a baseline", func() string {
		if n := len(query(t, w.prometheus, "anomaly_expected"+selector)); n != 2 {
			return fmt.Sprintf("%d of 2 series have one", n)
		}
		return ""
	})
	return w
}

const selector = `{job="shop", metric=~"shop_queue_length|shop_requests_total"}`

// startReceiver starts the receiver on a new database.
func startReceiver(t testing.TB, config string, args ...string) *servertest.Server {
	t.Helper()
	dir := t.TempDir()
	return servertest.Program(t, "portent-receiver", program(t, "portent-receiver"), servertest.Config{
		Dir: dir, YAML: config, Args: append([]string{"--store=sqlite:" + filepath.Join(dir, "receiver.db")}, args...),
	})
}
