package stack

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/portent-dev/portent/e2e/serverkit"
)

const pluginID = "portent-aiops-datasource"

// grafana says how to start the Grafana of this machine with our plugin, data sources and dashboards; found is false when
// there is none. It keeps its data apart from any other use of that Grafana.
func (s *Stack) grafana(o Options) (spec serverkit.Spec, found bool, err error) {
	path, home := grafanaProgram()
	if path == "" {
		return spec, false, nil
	}
	plugins := filepath.Join(o.Data, "data", "grafana", "plugins")
	if err := os.MkdirAll(plugins, 0o755); err != nil {
		return spec, false, err
	}
	link := filepath.Join(plugins, pluginID)
	if err := os.Remove(link); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return spec, false, err
	}
	if err := os.Symlink(filepath.Join(o.Root, "datasource-plugin", "dist"), link); err != nil {
		return spec, false, err
	}
	config := filepath.Join(o.Data, "config")
	return serverkit.Spec{
		Name: Grafana, Path: path, Args: []string{"server", "--homepath", home}, Dir: o.Data,
		LogFile: filepath.Join(o.Data, "logs", Grafana+".log"), ReadyURL: s.URL(Grafana) + "/api/health",
		Env: []string{
			"GF_SERVER_HTTP_ADDR=127.0.0.1", "GF_SERVER_HTTP_PORT=" + s.listen(Grafana)[len("127.0.0.1:"):],
			"GF_PATHS_DATA=" + filepath.Join(o.Data, "data", "grafana"), "GF_PATHS_LOGS=" + filepath.Join(o.Data, "logs"),
			"GF_PATHS_PLUGINS=" + plugins, "GF_PATHS_PROVISIONING=" + filepath.Join(config, "provisioning", "grafana"),
			"GF_PLUGINS_ALLOW_LOADING_UNSIGNED_PLUGINS=" + pluginID,
			"PORTENT_DASHBOARDS=" + filepath.Join(config, "dashboards"), // read by the provider of dashboards
			// Loopback only, so whoever sits at this machine may look and edit.
			"GF_AUTH_ANONYMOUS_ENABLED=true", "GF_AUTH_ANONYMOUS_ORG_ROLE=Admin", "GF_AUTH_DISABLE_LOGIN_FORM=true",
			"GF_ANALYTICS_REPORTING_ENABLED=false", "GF_ANALYTICS_CHECK_FOR_UPDATES=false", "GF_ANALYTICS_CHECK_FOR_PLUGIN_UPDATES=false",
			"GF_LOG_MODE=console", "GF_LOG_LEVEL=warn",
		},
	}, true, nil
}

// grafanaProgram finds Grafana by GRAFANA_HOME, else on PATH, with the folder of its pages. "" when there is none.
func grafanaProgram() (path, home string) {
	if home := os.Getenv("GRAFANA_HOME"); home != "" {
		if path, err := exec.LookPath(filepath.Join(home, "bin", "grafana")); err == nil {
			return path, home
		}
	}
	path, err := exec.LookPath("grafana")
	if err != nil {
		return "", ""
	}
	if target, err := filepath.EvalSymlinks(path); err == nil {
		if home := filepath.Dir(filepath.Dir(target)); isDir(filepath.Join(home, "public")) {
			return path, home
		}
	}
	return path, "/usr/share/grafana" // where the packages of Debian and Red Hat put it
}

func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}
