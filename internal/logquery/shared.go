package logquery

import (
	"cmp"
	"slices"

	"github.com/portent-dev/portent/internal/logmine"
)

const (
	// mostLines is the share of a pattern's lines that must have something for it to be
	// what they share.
	mostLines = 0.8
	// maxShared bounds what is told of one pattern.
	maxShared = 6
)

// sharedLabels say where something runs or whom it serves. It is read only.
var sharedLabels = []string{
	"cluster", "namespace", "node", "node_name", "pod", "container", "instance", "host", "hostname", "app", "service", "service_name", "job", "zone", "region", "version",
}

// sharedKinds are the entities that tell what lines have in common; sizes and
// durations do not. It is read only.
var sharedKinds = []logmine.EntityKind{
	logmine.Pod, logmine.Node, logmine.Namespace, logmine.Container, logmine.Host, logmine.Address, logmine.Link, logmine.File, logmine.User,
	logmine.HTTPStatus, logmine.SQLState, logmine.Errno, logmine.ErrorCode, logmine.Exception,
}

// shared returns what most lines of a pattern have in common: labels of their streams
// and what they name.
func (c *collector) shared(p *Pattern) []Shared {
	total := c.weightOf(p, now)
	if total == 0 {
		return nil
	}
	by := map[[2]string]float64{}
	for _, r := range p.refs {
		for _, s := range c.refs[r].streams {
			if s.stream == nil {
				continue
			}
			for _, l := range sharedLabels {
				if v := s.stream.Labels[l]; v != "" {
					by[[2]string{l, v}] += s.n
				}
			}
		}
	}
	var out []Shared
	for k, n := range by {
		if n/total >= mostLines {
			out = append(out, Shared{k[0], k[1], n / total})
		}
	}
	for _, e := range p.Entities {
		share := float64(e.Count) / float64(max(1, p.Events))
		if share >= mostLines && p.Events > 1 && slices.Contains(sharedKinds, e.Kind) {
			out = append(out, Shared{e.Kind.String(), e.Value, min(1, share)})
		}
	}
	slices.SortFunc(out, func(a, b Shared) int {
		return cmp.Or(cmp.Compare(b.Share, a.Share), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Value, b.Value))
	})
	return out[:min(len(out), maxShared)]
}

// maxServices bounds the services named for one pattern.
const maxServices = 5

func (c *collector) services(p *Pattern) []string {
	by := map[string]float64{}
	for _, r := range p.refs {
		for _, s := range c.refs[r].streams {
			if name := s.stream.service(); name != "" {
				by[name] += s.n
			}
		}
	}
	out := make([]string, 0, len(by))
	for name := range by {
		out = append(out, name)
	}
	slices.SortFunc(out, func(a, b string) int { return cmp.Or(cmp.Compare(by[b], by[a]), cmp.Compare(a, b)) })
	return out[:min(len(out), maxServices)]
}
