package ingest

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"time"

	"github.com/prometheus/common/model"
)

// minPollInterval keeps a mistyped unit from asking a server without pause.
const minPollInterval = model.Duration(time.Second)

// CheckServer reports what is wrong with the address of a server that is asked.
func CheckServer(address string) error {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return errors.New("url: must be an address such as http://localhost:9090")
	}
	return nil
}

// CheckLabels reports what is wrong with labels that are put on each series of a
// server, in order of their names.
func CheckLabels(labels map[string]string) (errs []error) {
	for _, name := range slices.Sorted(maps.Keys(labels)) {
		value := labels[name]
		switch {
		case !model.UTF8Validation.IsValidLabelName(name), name == MetricName:
			errs = append(errs, fmt.Errorf("labels.%s: cannot be a label", name))
		case value == "" || !model.LabelValue(value).IsValid():
			errs = append(errs, fmt.Errorf("labels.%s: must have a value of UTF-8 text", name))
		}
	}
	return errs
}

// CheckPolling reports what is wrong with how often a server is asked, how long it
// may take, and how many series are taken of its answer.
func CheckPolling(interval, timeout model.Duration, maxSeries int) (errs []error) {
	if interval < minPollInterval {
		errs = append(errs, fmt.Errorf("interval: must be at least %s, is %s", minPollInterval, interval))
	}
	if timeout <= 0 || timeout > interval {
		errs = append(errs, fmt.Errorf("timeout: must be above 0s and at most the interval (%s), is %s", interval, timeout))
	}
	if maxSeries < 1 {
		errs = append(errs, fmt.Errorf("max_series: must be above 0, is %d", maxSeries))
	}
	return errs
}
