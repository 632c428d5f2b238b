package remotewrite

import (
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/common/model"
)

// Config bounds what the receiver takes. The zero value of a field means its
// default.
type Config struct {
	// MaxBodyBytes bounds a request as it is sent, compressed. Default 16 MiB;
	// Prometheus sends 2,000 samples at a time, about 100 kB.
	MaxBodyBytes int64 `yaml:"max_body_bytes,omitempty"`
	// MaxDecompressedBytes bounds a request after decompression. It is compared
	// with the length that snappy declares, before anything is decompressed.
	// Default 64 MiB.
	MaxDecompressedBytes int64 `yaml:"max_decompressed_bytes,omitempty"`
	// MaxInFlightBytes bounds the requests worked on at one time, compressed and
	// decompressed together. A request that finds no room waits for QueueTimeout
	// and is then answered 503, which the sender repeats. Default 256 MiB.
	MaxInFlightBytes int64 `yaml:"max_in_flight_bytes,omitempty"`
	// MaxSamples bounds the samples, histograms and exemplars of one request
	// together. Default 1,000,000.
	MaxSamples int `yaml:"max_samples,omitempty"`
	// MaxLabels bounds the labels of a series, its name included. Default 64.
	MaxLabels int `yaml:"max_labels,omitempty"`
	// MaxLabelNameBytes and MaxLabelValueBytes bound one label; the value of
	// __name__ counts as a value. Defaults 1,024 and 4,096.
	MaxLabelNameBytes  int `yaml:"max_label_name_bytes,omitempty"`
	MaxLabelValueBytes int `yaml:"max_label_value_bytes,omitempty"`
	// QueueTimeout bounds the wait for room. Default 5s.
	QueueTimeout model.Duration `yaml:"queue_timeout,omitempty"`
	// ReadTimeout bounds the time that a sender may take over its body. Default 30s,
	// which is Prometheus's own remote_timeout.
	ReadTimeout model.Duration `yaml:"read_timeout,omitempty"`
}

// DefaultConfig returns the configuration with every default in place.
func DefaultConfig() Config {
	return Config{
		MaxBodyBytes:         16 << 20,
		MaxDecompressedBytes: 64 << 20,
		MaxInFlightBytes:     256 << 20,
		MaxSamples:           1_000_000,
		MaxLabels:            64,
		MaxLabelNameBytes:    1024,
		MaxLabelValueBytes:   4096,
		QueueTimeout:         model.Duration(5 * time.Second),
		ReadTimeout:          model.Duration(30 * time.Second),
	}
}

// withDefaults returns c with defaults for the fields that are zero.
func (c Config) withDefaults() Config {
	d := DefaultConfig()
	or(&c.MaxBodyBytes, d.MaxBodyBytes)
	or(&c.MaxDecompressedBytes, d.MaxDecompressedBytes)
	or(&c.MaxInFlightBytes, d.MaxInFlightBytes)
	or(&c.MaxSamples, d.MaxSamples)
	or(&c.MaxLabels, d.MaxLabels)
	or(&c.MaxLabelNameBytes, d.MaxLabelNameBytes)
	or(&c.MaxLabelValueBytes, d.MaxLabelValueBytes)
	or(&c.QueueTimeout, d.QueueTimeout)
	or(&c.ReadTimeout, d.ReadTimeout)
	return c
}

func or[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// Validate reports everything that is wrong with c.
func (c Config) Validate() error {
	c = c.withDefaults()
	var errs []error
	for _, f := range [...]struct {
		key   string
		value int64
	}{
		{"max_body_bytes", c.MaxBodyBytes},
		{"max_decompressed_bytes", c.MaxDecompressedBytes},
		{"max_in_flight_bytes", c.MaxInFlightBytes},
		{"max_samples", int64(c.MaxSamples)},
		{"max_labels", int64(c.MaxLabels)},
		{"max_label_name_bytes", int64(c.MaxLabelNameBytes)},
		{"max_label_value_bytes", int64(c.MaxLabelValueBytes)},
		{"queue_timeout", int64(c.QueueTimeout)},
		{"read_timeout", int64(c.ReadTimeout)},
	} {
		if f.value < 0 {
			errs = append(errs, fmt.Errorf("%s is negative", f.key))
		}
	}
	if need := c.MaxBodyBytes + c.MaxDecompressedBytes; c.MaxInFlightBytes < need {
		errs = append(errs, fmt.Errorf("max_in_flight_bytes is %d: want at least max_body_bytes and max_decompressed_bytes together, %d, or the largest request could never be taken", c.MaxInFlightBytes, need))
	}
	return errors.Join(errs...)
}
