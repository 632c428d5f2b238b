// Package serverkit finds, builds and runs the real servers that the tests and the demonstration talk to: Prometheus,
// Alertmanager, Loki and node_exporter.
//
// A program is taken from the environment (PORTENT_PROMETHEUS=/path), else from PATH when it is recent enough, else it is
// built from the Go module that pins it in e2e/servers/<name> and kept in a cache outside the checkout, so that only the
// first use pays. Package servertest puts a testing.TB around this one; package stack starts a whole Portent with it.
//
// It must not know what the servers are used for: no configuration of ours, no ports, no tests.
package serverkit

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// server is one module under e2e/servers: what it builds and how.
type server struct {
	name     string    // folder under e2e/servers
	module   string    // module path whose version names the build
	programs []program // everything that one build gives
	tags     string    // build tags
	variable string    // string variable that the linker sets to the version
	minutes  int       // processor minutes that a cold build took on 2 cores, for the notice before it
	// embedded names a file that the module embeds but its zip lacks, and its content. Set: the module is copied and built
	// in the copy, as a file cannot be added to the module cache.
	embedded map[string]func() ([]byte, error)
}

// program is one executable of a server.
type program struct {
	name    string   // as it is called in the cache, and in PORTENT_<NAME>
	pkg     string   // import path of its main package
	aliases []string // other names under which it stands on PATH (Debian's)
	min     string   // oldest version from PATH that is good enough
}

// servers is the table of everything Find knows.
//
// Oldest versions: Prometheus 3.8 is the first to send remote write 2.0 as release candidate 4 writes it (the start
// timestamp in the sample); Alertmanager 0.32 the first to send notification_reason; Loki 3.0 the first with schema v13 and
// patterns; node_exporter 1.0 has every metric that our rules use. Debian 12 has only the last in time.
var servers = []server{
	{
		name: "prometheus", module: "github.com/prometheus/prometheus", tags: "remove_all_sd", minutes: 8,
		variable: "github.com/prometheus/common/version.Version",
		programs: []program{
			{name: "prometheus", pkg: "github.com/prometheus/prometheus/cmd/prometheus", min: "3.8.0"},
			{name: "promtool", pkg: "github.com/prometheus/prometheus/cmd/promtool", min: "3.8.0"},
		},
	},
	{
		name: "alertmanager", module: "github.com/prometheus/alertmanager", minutes: 3,
		variable: "github.com/prometheus/common/version.Version",
		programs: []program{
			{name: "alertmanager", pkg: "./cmd/alertmanager", aliases: []string{"prometheus-alertmanager"}, min: "0.32.0"},
			{name: "amtool", pkg: "./cmd/amtool", min: "0.32.0"},
		},
		embedded: map[string]func() ([]byte, error){"ui/app/dist/index.html.gz": alertmanagerPage},
	},
	{
		name: "loki", module: "github.com/grafana/loki/v3", minutes: 15,
		variable: "github.com/grafana/loki/v3/pkg/util/build.Version",
		programs: []program{
			{name: "loki", pkg: "github.com/grafana/loki/v3/cmd/loki", min: "3.0.0"},
			{name: "logcli", pkg: "github.com/grafana/loki/v3/cmd/logcli", min: "3.0.0"},
		},
	},
	{
		name: "node_exporter", module: "github.com/prometheus/node_exporter", minutes: 1,
		variable: "github.com/prometheus/common/version.Version",
		programs: []program{
			{name: "node_exporter", pkg: "github.com/prometheus/node_exporter", aliases: []string{"prometheus-node-exporter"}, min: "1.0.0"},
		},
	},
}

// Programs lists every program that Find knows, in the order of the table.
func Programs() []string {
	var names []string
	for _, s := range servers {
		for _, p := range s.programs {
			names = append(names, p.name)
		}
	}
	return names
}

// lookup finds the row of a program.
func lookup(name string) (server, program, error) {
	for _, s := range servers {
		for _, p := range s.programs {
			if p.name == name {
				return s, p, nil
			}
		}
	}
	known := Programs()
	slices.Sort(known)
	return server{}, program{}, fmt.Errorf("unknown program %q, known are %s", name, strings.Join(known, ", "))
}

// ModuleRoot walks up from the working directory to the folder of Portent's go.mod. Tests run in their package's folder and
// mage in the root, so both find it.
func ModuleRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("find the checkout: %w", err)
	}
	for start := dir; ; dir = filepath.Dir(dir) {
		b, err := os.ReadFile(filepath.Join(dir, "go.mod"))
		if err == nil && strings.HasPrefix(string(b), "module github.com/portent-dev/portent\n") {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return "", fmt.Errorf("no checkout of Portent at %s or above it", start)
		}
	}
}

// CacheDir is where built programs are kept: PORTENT_CACHE, or the folder "portent" in the user's cache folder.
func CacheDir() (string, error) {
	if dir := os.Getenv("PORTENT_CACHE"); dir != "" {
		return filepath.Abs(dir)
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("no cache folder (set PORTENT_CACHE to one): %w", err)
	}
	return filepath.Join(dir, "portent"), nil
}
