package federate

import (
	"strings"

	"github.com/prometheus/common/model"

	"github.com/portent-dev/portent/internal/ingest"
)

// family is what a TYPE line says. It holds for the lines that follow, as far as
// they are of the family. /federate itself says untyped of nearly everything;
// others that answer there may know better.
type family struct {
	name string
	typ  model.MetricType
}

// kind says how a series behaves, by the type of its family or else by its name.
func (f family) kind(name string) ingest.Kind {
	suffix, ok := strings.CutPrefix(name, f.name)
	if !ok || f.name == "" {
		return ingest.KindOf(name)
	}
	switch {
	case f.typ == model.MetricTypeCounter && (suffix == "" || suffix == "_total"):
		return ingest.KindCounter
	case f.typ == model.MetricTypeGauge && suffix == "",
		f.typ == model.MetricTypeInfo && (suffix == "" || suffix == "_info"),
		f.typ == model.MetricTypeStateset && suffix == "",
		f.typ == model.MetricTypeSummary && suffix == "",
		f.typ == model.MetricTypeGaugeHistogram && (suffix == "_bucket" || suffix == "_gcount" || suffix == "_gsum"):
		return ingest.KindGauge
	}
	return ingest.KindOf(name)
}
