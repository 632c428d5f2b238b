package e2e_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

// deploy/ is coherent as far as it can be seen without an engine: every file, target and volume that it names exists, images have
// the versions that we test against, and our programs take the flags that they are given.
func TestComposeIsCoherent(t *testing.T) {
	t.Parallel()
	var compose struct {
		Services map[string]struct {
			Image   string
			Build   struct{ Context, Dockerfile, Target string }
			Command []string
			Volumes []string
		}
		Volumes map[string]any
	}
	require.NoError(t, yaml.Unmarshal([]byte(file(t, "deploy", "compose.yaml")), &compose))
	containerfile := file(t, "deploy", "Containerfile")
	require.Len(t, compose.Services, 7)
	for name, s := range compose.Services {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.NotEqual(t, s.Image == "", s.Build.Target == "", "an image or a build")
			if s.Build.Target != "" {
				require.FileExists(t, filepath.Join("../deploy", s.Build.Context, s.Build.Dockerfile))
				require.Contains(t, containerfile, " AS "+s.Build.Target+"\n")
			}
			if module := pinnedBy[name]; module != "" {
				require.Equal(t, tag(t, name, module), s.Image[strings.LastIndex(s.Image, ":")+1:], "the version that e2e/servers pins")
			}
			inside := map[string]string{}
			for _, v := range s.Volumes {
				from, to, _ := strings.Cut(v, ":")
				to, _, _ = strings.Cut(to, ":")
				inside[to] = from
				if strings.HasPrefix(from, ".") {
					require.DirExists(t, filepath.Join("../deploy", from))
				} else if from != "/" {
					require.Contains(t, compose.Volumes, from)
				}
			}
			for _, argument := range s.Command {
				if path, found := strings.CutPrefix(strings.TrimLeft(argument, "-"), "config.file="); found {
					require.FileExists(t, filepath.Join("../deploy", outside(path, inside)))
				}
			}
			if strings.HasPrefix(name, "portent-") {
				checkFlags(t, name, s.Command)
			}
		})
	}
}

// pinnedBy are the modules in e2e/servers that say which version of a service we test against.
var pinnedBy = map[string]string{
	"prometheus":    "prometheus github.com/prometheus/prometheus",
	"alertmanager":  "alertmanager github.com/prometheus/alertmanager",
	"loki":          "loki github.com/grafana/loki/v3",
	"node-exporter": "node_exporter github.com/prometheus/node_exporter",
}

// tag is the image's tag for the version that a module pins.
func tag(t *testing.T, service, module string) string {
	t.Helper()
	folder, path, _ := strings.Cut(module, " ")
	m := regexp.MustCompile(regexp.QuoteMeta(path) + ` (v\S+)`).FindStringSubmatch(file(t, "e2e", "servers", folder, "go.mod"))
	require.NotNil(t, m, "%s does not pin %s", folder, path)
	switch service {
	case "prometheus": // module v0.315.0 is release 3.15.0
		parts := strings.Split(m[1], ".")
		return "v" + parts[1][:1] + "." + strings.TrimPrefix(parts[1][1:], "0") + "." + parts[2]
	case "loki":
		return strings.TrimPrefix(m[1], "v")
	}
	return m[1]
}

// outside is the path on the host of a path in a container.
func outside(path string, volumes map[string]string) string {
	for inside, from := range volumes {
		if rest, found := strings.CutPrefix(path, inside+"/"); found {
			return filepath.Join(from, rest)
		}
	}
	return path
}

// checkFlags lets the program read its flags and the configuration, with the paths of this machine.
func checkFlags(t *testing.T, name string, command []string) {
	t.Helper()
	root, err := filepath.Abs("..")
	require.NoError(t, err)
	args := []string{"--config.check"}
	for _, a := range command {
		args = append(args, strings.Replace(a, "/etc/portent", root, 1))
	}
	out, err := runIn(t.TempDir(), program(t, name), args...)
	require.NoError(t, err, "%s", out)
}

// The Containerfile builds the programs that the Magefile builds, and copies what exists.
func TestContainerfileIsCoherent(t *testing.T) {
	t.Parallel()
	text := file(t, "deploy", "Containerfile")
	for _, pkg := range regexp.MustCompile(` (\./[a-z/-]+)`).FindAllStringSubmatch(text, -1) {
		if pkg[1] != "./" {
			require.DirExists(t, filepath.Join("..", pkg[1]))
		}
	}
	for _, line := range strings.Split(text, "\n") {
		fields := strings.Fields(line)
		if len(fields) < 3 || fields[0] != "COPY" || strings.HasPrefix(fields[1], "--from") {
			continue
		}
		for _, source := range fields[1 : len(fields)-1] {
			_, err := os.Stat(filepath.Join("..", source))
			require.NoError(t, err, line)
		}
	}
	goVersion := regexp.MustCompile(`(?m)^go (1\.\d+)`).FindStringSubmatch(file(t, "go.mod"))[1]
	require.Contains(t, text, "golang:"+goVersion+"-")
}
