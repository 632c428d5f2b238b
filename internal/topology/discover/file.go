package discover

import (
	"errors"
	"fmt"
	"strings"

	"github.com/portent-dev/portent/internal/topology"
	"github.com/portent-dev/portent/internal/web"
)

// A File is what people write down of their dependencies.
type File struct {
	Dependencies []Dependency `yaml:"dependencies"`
}

// A Dependency is what one service or node needs.
type Dependency struct {
	// Service is its name, or namespace/name; Node the name of a machine. Exactly one of them.
	Service string `yaml:"service"`
	Node    string `yaml:"node"`
	// Cluster that it is in. Empty: in all.
	Cluster string `yaml:"cluster"`
	// Calls are the services and databases that it needs, RunsOn the machines.
	Calls  []string `yaml:"calls"`
	RunsOn []string `yaml:"runs_on"`
	// Aliases are other names of it in alerts: a host, an identifier of a cloud.
	Aliases []string `yaml:"aliases"`
}

// maxEntries bounds a file, and each list of an entry.
const maxEntries = 10_000

// LoadFile reads a file of dependencies. It is strict: all that is wrong is told, with its line.
func LoadFile(path string) (File, error) {
	var f File
	err := web.LoadYAML(path, &f)
	return f, err
}

// Validate implements the check of web.LoadYAML.
func (f *File) Validate() error {
	if len(f.Dependencies) > maxEntries {
		return web.Invalid("dependencies", fmt.Errorf("%d entries: want at most %d", len(f.Dependencies), maxEntries))
	}
	var errs []error
	for i := range f.Dependencies {
		errs = append(errs, web.Invalid(fmt.Sprintf("dependencies[%d]", i), f.Dependencies[i].validate()))
	}
	return errors.Join(errs...)
}

func (d *Dependency) validate() error {
	var errs []error
	switch {
	case d.Service == "" && d.Node == "":
		errs = append(errs, errors.New("want service or node: what it is that depends on others"))
	case d.Service != "" && d.Node != "":
		errs = append(errs, web.Invalid("node", errors.New("give service or node, not both")))
	case d.Service != "":
		errs = append(errs, web.Invalid("service", checkService(d.Service)))
	default:
		errs = append(errs, web.Invalid("node", checkName(d.Node)))
	}
	if len(d.Calls)+len(d.RunsOn)+len(d.Aliases) == 0 {
		errs = append(errs, errors.New("says nothing: want calls, runs_on or aliases"))
	}
	for _, x := range []struct {
		key   string
		names []string
		check func(string) error
	}{{"calls", d.Calls, checkService}, {"runs_on", d.RunsOn, checkName}, {"aliases", d.Aliases, checkName}} {
		for i, n := range x.names {
			errs = append(errs, web.Invalid(fmt.Sprintf("%s[%d]", x.key, i), x.check(n)))
		}
	}
	return errors.Join(errs...)
}

func checkService(s string) error {
	ns, name, ok := strings.Cut(s, "/")
	if !ok {
		return checkName(s)
	}
	if ns == "" || strings.Contains(name, "/") {
		return fmt.Errorf("%q: want name or namespace/name", s)
	}
	return errors.Join(checkName(ns), checkName(name))
}

// checkName takes what may stand in a label: all but nothing, and what is far too long for a name.
func checkName(s string) error {
	if strings.TrimSpace(s) == "" || len(s) > 253 {
		return fmt.Errorf("%q: want a name of 1 to 253 bytes", s[:min(len(s), 80)])
	}
	return nil
}

// links are what the file says.
func (f File) links() []link {
	var out []link
	for _, d := range f.Dependencies {
		of := topology.Entity{Kind: topology.Node, Cluster: d.Cluster, Name: d.Node}
		if d.Service != "" {
			of = service(d.Cluster, d.Service)
		}
		for _, c := range d.Calls {
			out = append(out, link{kind: needs, from: of, to: service(d.Cluster, c)})
		}
		for _, n := range d.RunsOn {
			out = append(out, link{kind: needs, from: of, to: topology.Entity{Kind: topology.Node, Cluster: d.Cluster, Name: n}})
		}
		for _, a := range d.Aliases {
			out = append(out, link{kind: alias, from: topology.Entity{Name: a}, to: of})
		}
	}
	return out
}

func service(cluster, name string) topology.Entity {
	e := topology.Entity{Kind: topology.Service, Cluster: cluster, Name: name}
	if ns, n, ok := strings.Cut(name, "/"); ok {
		e.Namespace, e.Name = ns, n
	}
	return e
}
