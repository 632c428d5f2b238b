package stack

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"

	"github.com/portent-dev/portent/e2e/serverkit"
)

// specs are the processes in the order in which they start: who is called stands before who calls.
func (s *Stack) specs(ctx context.Context, o Options) ([]serverkit.Spec, error) {
	config := func(part, file string) string { return filepath.Join(o.Data, "config", "provisioning", part, file) }
	data := func(part string) string { return filepath.Join(o.Data, "data", part) }
	specs := []serverkit.Spec{
		{Name: NodeExporter, ReadyURL: s.URL(NodeExporter) + "/metrics", Args: []string{
			"--web.listen-address=" + s.listen(NodeExporter), "--log.level=warn",
		}},
		{Name: Loki, ReadyURL: s.URL(Loki) + "/ready", Args: []string{
			"-config.file=" + config("loki", "loki.yml"), "-server.http-listen-port=" + strconv.Itoa(s.Ports[Loki]), "-server.grpc-listen-port=" + strconv.Itoa(s.Ports[lokiGRPC]),
		}},
		{Name: Receiver, ReadyURL: s.URL(Receiver) + "/-/ready", Args: []string{
			"--config.file=" + config("receiver", "receiver.yml"), "--web.listen-address=" + s.listen(Receiver),
			"--store=sqlite:" + filepath.Join(data("receiver"), "receiver.db"),
		}},
		{Name: Alertmanager, ReadyURL: s.URL(Alertmanager) + "/-/ready", Args: []string{
			"--config.file=" + config("alertmanager", "alertmanager.yml"), "--web.listen-address=" + s.listen(Alertmanager),
			"--web.external-url=" + s.URL(Alertmanager), "--storage.path=" + data("alertmanager"), "--cluster.listen-address=", "--log.level=warn",
		}},
		{Name: Prometheus, ReadyURL: s.URL(Prometheus) + "/-/ready", Args: []string{
			"--config.file=" + config("prometheus", "prometheus.yml"), "--web.listen-address=" + s.listen(Prometheus),
			"--web.external-url=" + s.URL(Prometheus), "--storage.tsdb.path=" + data("prometheus"), "--web.enable-lifecycle",
			// The type of each metric goes with its samples, so that the exporter need not guess counters from names.
			"--enable-feature=metadata-wal-records",
			// Stopped together with the exporter, Prometheus would try for a minute to send it the rest.
			"--storage.remote.flush-deadline=1s", "--log.level=warn",
		}},
		{Name: Exporter, ReadyURL: s.URL(Exporter) + "/-/ready", Args: []string{
			"--config.file=" + config("exporter", "exporter.yml"), "--web.listen-address=" + s.listen(Exporter),
		}},
	}
	finder := serverkit.Finder{Progress: s.out}
	for i := range specs {
		spec := &specs[i]
		spec.Dir, spec.LogFile = o.Data, filepath.Join(o.Data, "logs", spec.Name+".log")
		path, err := find(ctx, finder, o, spec.Name)
		if err != nil {
			return nil, err
		}
		spec.Path = path
	}
	if err := os.MkdirAll(data("receiver"), 0o755); err != nil {
		return nil, err
	}
	grafana, found, err := s.grafana(o)
	if err != nil || !found {
		return specs, err
	}
	return append(specs, grafana), nil
}

func (s *Stack) listen(name string) string { return "127.0.0.1:" + strconv.Itoa(s.Ports[name]) }

// find returns the path of one of our programs in bin, or of a real server.
func find(ctx context.Context, finder serverkit.Finder, o Options, name string) (string, error) {
	if path := o.Programs[name]; path != "" {
		return path, nil
	}
	if name != Exporter && name != Receiver {
		return finder.Find(ctx, name)
	}
	path := filepath.Join(o.Bin, name)
	if runtime.GOOS == "windows" {
		path += ".exe"
	}
	if _, err := os.Stat(path); err != nil {
		return "", fmt.Errorf("%s is not built (`go tool mage build`): %w", name, err)
	}
	return path, nil
}
