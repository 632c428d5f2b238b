package remedy

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"time"

	"github.com/prometheus/common/model"

	"github.com/portent-dev/portent/internal/ticketrest"
	"github.com/portent-dev/portent/internal/web"
)

// Do is what a remedy does.
type Do string

// The remedies.
const (
	Restart Do = "restart" // rolls the pods anew, as kubectl rollout restart does
	Scale   Do = "scale"   // adds replicas, up to a bound
)

// Failure is what follows when a workload is not well in time.
type Failure string

// What may follow.
const (
	Report Failure = "report" // people are told, nothing is changed
	Undo   Failure = "undo"   // the former number of replicas, or the template of before the restart
)

// Config declares one remedy for one workload. Start from DefaultConfig.
type Config struct {
	// Server is the address of the API server. http is accepted for loopback addresses only.
	Server string `yaml:"server"`
	// Token is that of a service account of its own, which may get and patch this workload and nothing else. TokenFile
	// is a file that holds it; it is read again for each remedy, as Kubernetes rotates it.
	Token     web.Secret `yaml:"token,omitempty"`
	TokenFile string     `yaml:"token_file,omitempty"`
	// CAFile is a PEM file of certificate authorities to trust besides those of the system.
	CAFile string `yaml:"ca_file,omitempty"`

	Do        Do     `yaml:"do"`
	Namespace string `yaml:"namespace"`
	// Workload is kind/name: deployment/cart, statefulset/db or daemonset/agent.
	Workload string `yaml:"workload"`
	// Add and Max are of scale: how many replicas are added, and how many there may be.
	Add int `yaml:"add,omitempty"`
	Max int `yaml:"max,omitempty"`

	// OnFailure is what becomes of a remedy that did not help in time. Empty means undo of scale, report of restart.
	OnFailure Failure `yaml:"on_failure,omitempty"`
	// MinInterval between two remedies of this workload, whatever asked for them.
	MinInterval model.Duration `yaml:"min_interval"`
	// Settle is how long the workload may take until all its pods are ready; after that it counts as failed.
	Settle model.Duration `yaml:"settle"`
	// Timeout bounds one request.
	Timeout model.Duration `yaml:"timeout"`
}

// DefaultConfig returns the defaults. A server, a token and what to do have none.
func DefaultConfig() Config {
	return Config{
		// A restart that did not help in half an hour does not help.
		MinInterval: model.Duration(30 * time.Minute),
		Settle:      model.Duration(10 * time.Minute),
		Timeout:     model.Duration(30 * time.Second),
	}
}

// UnmarshalYAML puts the defaults under what the file says.
func (c *Config) UnmarshalYAML(unmarshal func(any) error) error {
	type plain Config
	*c = DefaultConfig()
	return unmarshal((*plain)(c))
}

// objectName is a Kubernetes name (RFC 1123 subdomain).
var objectName = regexp.MustCompile(`^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$`)

// kinds are those of workloads, with the plural of their path.
var kinds = map[string]string{"deployment": "deployments", "statefulset": "statefulsets", "daemonset": "daemonsets"}

// maxReplicas bounds what a remedy may scale to, whatever the file says.
const maxReplicas = 1000

// Validate reports everything that is wrong, each with its key.
func (c *Config) Validate() error {
	var errs []error
	add := func(key string, err error) { errs = append(errs, web.Invalid(key, err)) }
	add("server", ticketrest.CheckURL(c.Server))
	switch {
	case c.Token == "" && c.TokenFile == "":
		add("token", errors.New("is missing: give token or token_file"))
	case c.Token != "" && c.TokenFile != "":
		add("token_file", errors.New("give token or token_file, not both"))
	case c.Token != "":
		add("token", ticketrest.CheckSecret(c.Token.Reveal()))
	}
	if !objectName.MatchString(c.Namespace) {
		add("namespace", fmt.Errorf("%q is no name in Kubernetes", c.Namespace))
	}
	kind, name, _ := strings.Cut(c.Workload, "/")
	if kinds[kind] == "" || !objectName.MatchString(name) {
		add("workload", fmt.Errorf("%q: want deployment/NAME, statefulset/NAME or daemonset/NAME", c.Workload))
	}
	switch c.Do {
	case Restart:
		if c.Add != 0 || c.Max != 0 {
			add("add", errors.New("and max belong to scale"))
		}
	case Scale:
		if kind == "daemonset" {
			add("do", errors.New("a daemonset has no replicas to scale"))
		}
		if c.Add < 1 || c.Max < 1 || c.Max > maxReplicas {
			add("add", fmt.Errorf("%d and max %d: want at least 1 each, and max at most %d", c.Add, c.Max, maxReplicas))
		}
	default:
		add("do", fmt.Errorf("%q: want restart or scale", c.Do))
	}
	switch {
	case c.OnFailure != "" && c.OnFailure != Report && c.OnFailure != Undo:
		add("on_failure", fmt.Errorf("%.100q: want report or undo", string(c.OnFailure)))
	case c.OnFailure == Undo && c.Do == Restart && kind == "statefulset":
		// Kubernetes does not go back by itself where a new pod of a stateful set never gets ready: somebody has to delete it.
		add("on_failure", errors.New("undo of a restart is not safe with a statefulset: want report"))
	}
	for _, x := range []struct {
		key         string
		value       model.Duration
		least, most time.Duration
	}{{"min_interval", c.MinInterval, time.Minute, 7 * 24 * time.Hour}, {"settle", c.Settle, time.Minute, 24 * time.Hour}, {"timeout", c.Timeout, time.Second, 5 * time.Minute}} {
		if d := time.Duration(x.value); d < x.least || d > x.most {
			add(x.key, fmt.Errorf("%s: want %s to %s", x.value, model.Duration(x.least), model.Duration(x.most)))
		}
	}
	return errors.Join(errs...)
}

// Secret reads the token, from a file where that is set.
func (c *Config) Secret() (web.Secret, error) {
	token, err := web.ReadSecret(c.Token, c.TokenFile)
	if err == nil {
		err = ticketrest.CheckSecret(token.Reveal())
	}
	return token, web.Invalid("token_file", err)
}

// HTTPClient returns the client to send with.
func (c *Config) HTTPClient() (*http.Client, error) { return ticketrest.HTTPClient(c.CAFile) }

// path is that of the workload below the server.
func (c *Config) path() string {
	kind, name, _ := strings.Cut(c.Workload, "/")
	return "/apis/apps/v1/namespaces/" + c.Namespace + "/" + kinds[kind] + "/" + name
}

// onFailure is OnFailure with its default: fewer replicas are what there was before, while a restart that is undone is
// another restart.
func (c *Config) onFailure() Failure {
	switch {
	case c.OnFailure != "":
		return c.OnFailure
	case c.Do == Scale:
		return Undo
	}
	return Report
}

// Says is what the remedy does, for people.
func (c *Config) Says() string {
	what := c.Namespace + "/" + c.Workload
	if c.Do == Scale {
		return fmt.Sprintf("add %d replicas to %s, up to %d", c.Add, what, c.Max)
	}
	return string(c.Do) + " " + what
}

// Promises is Says with what follows when it does not help.
func (c *Config) Promises() string {
	then := "say so and change nothing"
	switch {
	case c.onFailure() == Undo && c.Do == Scale:
		then = "go back to as many as there were"
	case c.onFailure() == Undo:
		then = "go back to the template of before"
	}
	return fmt.Sprintf("%s, and %s if not all pods are ready after %s", c.Says(), then, c.Settle)
}

// Declaration is the SHA-256 of everything that the remedy may do: where, to what, within which bounds and what follows. An
// approval is bound to it.
func (c *Config) Declaration() string {
	b, err := json.Marshal([]any{
		strings.TrimRight(c.Server, "/"), c.Do, c.Namespace, c.Workload, c.Add, c.Max, c.onFailure(), c.MinInterval.String(), c.Settle.String(),
	})
	if err != nil {
		panic("BUG: a list of plain data cannot fail to marshal: " + err.Error())
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}
