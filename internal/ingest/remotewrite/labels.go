package remotewrite

import (
	"errors"
	"fmt"

	"github.com/portent-dev/portent/internal/ingest"
)

var (
	errNoName     = errors.New("there is no __name__ label")
	errEmptyName  = errors.New("a label has an empty name")
	errEmptyValue = errors.New("a label has an empty value")
)

// sortLabels puts labels in order of their names. Senders must send them so, and
// Prometheus does; others build them from maps. Insertion sort: label sets are
// small and mostly in order already.
func sortLabels(labels []ingest.Label) {
	for i := 1; i < len(labels); i++ {
		for j := i; j > 0 && labels[j].Name < labels[j-1].Name; j-- {
			labels[j], labels[j-1] = labels[j-1], labels[j]
		}
	}
}

// checkLabels holds sorted labels to the rules and limits. It returns the name of
// the metric and where it stands.
func (c *Config) checkLabels(labels []ingest.Label) (name int, reason ingest.Reason, err error) {
	name = -1
	for i := range labels {
		l := &labels[i]
		switch {
		case l.Name == "":
			return 0, ingest.ReasonLabels, errEmptyName
		case l.Value == "":
			return 0, ingest.ReasonLabels, errEmptyValue
		case i > 0 && labels[i-1].Name == l.Name:
			return 0, ingest.ReasonLabels, fmt.Errorf("label %q comes twice", cut(l.Name))
		case len(l.Name) > c.MaxLabelNameBytes:
			return 0, ingest.ReasonLabelLimit, fmt.Errorf("a label name has %d bytes, more than %d", len(l.Name), c.MaxLabelNameBytes)
		case len(l.Value) > c.MaxLabelValueBytes:
			return 0, ingest.ReasonLabelLimit, fmt.Errorf("the value of label %q has %d bytes, more than %d", cut(l.Name), len(l.Value), c.MaxLabelValueBytes)
		case l.Name == ingest.MetricName:
			name = i
		}
	}
	if name < 0 {
		return 0, ingest.ReasonLabels, errNoName
	}
	return name, "", nil
}

// maxQuoted bounds, in bytes, what an error message quotes of a sender's text.
const maxQuoted = 120

// cut shortens text of a sender for a message; the caller quotes it.
func cut(s string) string {
	if len(s) <= maxQuoted {
		return s
	}
	return s[:maxQuoted] + "…"
}

// describe writes a label set for a message, cut short and quoted.
func describe(labels []ingest.Label) string {
	out := "{"
	for i, l := range labels {
		if i > 0 {
			out += ", "
		}
		if len(out) > maxQuoted {
			return out + "…}"
		}
		out += fmt.Sprintf("%s=%q", cut(l.Name), cut(l.Value))
	}
	return out + "}"
}
