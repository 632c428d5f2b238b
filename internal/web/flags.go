package web

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strings"

	"github.com/alecthomas/kingpin/v2"
	"github.com/prometheus/common/promslog"
	promslogflag "github.com/prometheus/common/promslog/flag"
	"github.com/prometheus/common/version"
	toolkitweb "github.com/prometheus/exporter-toolkit/web"
	"github.com/prometheus/exporter-toolkit/web/kingpinflag"
	"go.yaml.in/yaml/v3"
)

// Flags are those that every server of Portent has. They are filled in by Parse.
type Flags struct {
	// ConfigFile is the path of the configuration, empty for defaults alone.
	ConfigFile string
	// ConfigCheck asks to check the configuration, print the result and end.
	ConfigCheck bool
	// Log is the level and format of the log, for promslog.New.
	Log *promslog.Config
	// WebConfig is what exporter-toolkit needs to listen.
	WebConfig *toolkitweb.FlagConfig
}

// AddFlags adds the flags of every server to app, with --version. defaultListen is an address such as ":9750".
func AddFlags(app *kingpin.Application, defaultListen string) *Flags {
	f := &Flags{Log: &promslog.Config{}}
	app.Flag("config.file", "Path of the configuration file. Without one the defaults hold.").StringVar(&f.ConfigFile)
	app.Flag("config.check", "Check the configuration, print OK or every error, and exit.").BoolVar(&f.ConfigCheck)
	f.WebConfig = kingpinflag.AddFlags(app, defaultListen)
	promslogflag.AddFlags(app, f.Log)
	app.Version(version.Print(app.Name))
	app.HelpFlag.Short('h')
	return f
}

// Parse parses the command line, without the program's name. Help and version go to stdout and end the process with 0; wrong
// usage goes to stderr and ends it with 2.
func Parse(app *kingpin.Application, args []string) {
	app.UsageWriter(os.Stdout)
	if _, err := app.Parse(args); err != nil {
		app.Errorf("%s, try --help", err)
		os.Exit(2)
	}
}

// Loopback reports whether a listen address can be reached from this machine only. An address without a host listens on
// every interface, so it cannot; nor does a vsock or unknown address count. A name counts only if it is localhost.
func Loopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	if host == "localhost" {
		return true
	}
	host, _, _ = strings.Cut(host, "%") // an IPv6 zone
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

// LoopbackOnly reports whether every address that the flags ask for is a loopback address. Sockets handed over by systemd
// are not known here and do not count as loopback.
func LoopbackOnly(f *toolkitweb.FlagConfig) bool {
	if f.WebSystemdSocket != nil && *f.WebSystemdSocket {
		return false
	}
	if f.WebListenAddresses == nil || len(*f.WebListenAddresses) == 0 {
		return false
	}
	for _, a := range *f.WebListenAddresses {
		if !Loopback(a) {
			return false
		}
	}
	return true
}

// OnLoopback returns address with its host replaced by 127.0.0.1 if it has none, for a server that must not be reached from
// outside: ":9751" becomes "127.0.0.1:9751". An address that names a host is returned as it is.
func OnLoopback(address string) string {
	host, port, err := net.SplitHostPort(address)
	if err != nil || host != "" {
		return address
	}
	return net.JoinHostPort("127.0.0.1", port)
}

// Authenticated reports whether the file of --web.config.file makes every client prove who it is: by basic auth users or by a
// client certificate that is required and verified. An empty path means no.
func Authenticated(webConfigFile string) (bool, error) {
	if webConfigFile == "" {
		return false, nil
	}
	if err := toolkitweb.Validate(webConfigFile); err != nil {
		return false, fmt.Errorf("web config file %s: %w", webConfigFile, err)
	}
	b, err := os.ReadFile(webConfigFile)
	if err != nil {
		return false, fmt.Errorf("web config file: %w", err)
	}
	var c struct {
		Users map[string]string `yaml:"basic_auth_users"`
		TLS   struct {
			ClientAuth string `yaml:"client_auth_type"`
		} `yaml:"tls_server_config"`
	}
	if err := yaml.Unmarshal(b, &c); err != nil {
		return false, errors.New("web config file " + webConfigFile + ": not valid YAML")
	}
	return len(c.Users) > 0 || c.TLS.ClientAuth == "RequireAndVerifyClientCert", nil
}
