package linehttp

import (
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/common/model"
)

// Config bounds what a receiver of log lines takes. The zero value of a field means
// its default.
type Config struct {
	// MaxBodyBytes bounds a request as it is sent. Default 16 MiB; Promtail and Alloy
	// send 1 MiB at most, Fluent Bit 2 MiB chunks.
	MaxBodyBytes int64 `yaml:"max_body_bytes,omitempty"`
	// MaxDecompressedBytes bounds a request after decompression. Default 16 MiB: JSON takes up to
	// ten times its length while it is read.
	MaxDecompressedBytes int64 `yaml:"max_decompressed_bytes,omitempty"`
	// MaxInFlightBytes bounds the requests worked on at one time. A compressed one counts
	// with all that it may become. Default 128 MiB.
	MaxInFlightBytes int64 `yaml:"max_in_flight_bytes,omitempty"`
	// MaxLines bounds the lines of one request. Default 100,000.
	MaxLines int `yaml:"max_lines,omitempty"`
	// MaxLineBytes is what is looked at of a line; the rest is dropped and counted.
	// Default 64 KiB.
	MaxLineBytes int `yaml:"max_line_bytes,omitempty"`
	// MaxLabels bounds the labels of a line, those of its stream included; the others are
	// left out and counted, as are labels longer than these. Defaults 64, 1,024 and 4,096.
	MaxLabels          int `yaml:"max_labels,omitempty"`
	MaxLabelNameBytes  int `yaml:"max_label_name_bytes,omitempty"`
	MaxLabelValueBytes int `yaml:"max_label_value_bytes,omitempty"`
	// QueueTimeout bounds the wait for room. Default 5s.
	QueueTimeout model.Duration `yaml:"queue_timeout,omitempty"`
	// ReadTimeout bounds the time that a sender may take over its body. Default 30s.
	ReadTimeout model.Duration `yaml:"read_timeout,omitempty"`
}

// DefaultConfig returns the configuration with every default in place.
func DefaultConfig() Config { return Config{}.withDefaults() }

func (c Config) withDefaults() Config {
	set := func(v *int64, d int64) {
		if *v == 0 {
			*v = d
		}
	}
	number := func(v *int, d int) {
		if *v == 0 {
			*v = d
		}
	}
	set(&c.MaxBodyBytes, 16<<20)
	set(&c.MaxDecompressedBytes, 16<<20)
	set(&c.MaxInFlightBytes, 128<<20)
	number(&c.MaxLines, 100_000)
	number(&c.MaxLineBytes, 64<<10)
	number(&c.MaxLabels, 64)
	number(&c.MaxLabelNameBytes, 1024)
	number(&c.MaxLabelValueBytes, 4096)
	set((*int64)(&c.QueueTimeout), int64(5*time.Second))
	set((*int64)(&c.ReadTimeout), int64(30*time.Second))
	return c
}

// Validate reports everything that is wrong, each with its key.
func (c *Config) Validate() error {
	var errs []error
	for _, f := range []struct {
		key   string
		value int64
	}{
		{"max_body_bytes", c.MaxBodyBytes},
		{"max_decompressed_bytes", c.MaxDecompressedBytes},
		{"max_in_flight_bytes", c.MaxInFlightBytes},
		{"max_lines", int64(c.MaxLines)},
		{"max_line_bytes", int64(c.MaxLineBytes)},
		{"max_labels", int64(c.MaxLabels)},
		{"max_label_name_bytes", int64(c.MaxLabelNameBytes)},
		{"max_label_value_bytes", int64(c.MaxLabelValueBytes)},
		{"queue_timeout", int64(c.QueueTimeout)},
		{"read_timeout", int64(c.ReadTimeout)},
	} {
		if f.value < 0 {
			errs = append(errs, fmt.Errorf("%s: must not be below 0", f.key))
		}
	}
	d := c.withDefaults()
	if d.MaxInFlightBytes < d.MaxBodyBytes {
		errs = append(errs, fmt.Errorf("max_in_flight_bytes: must not be below max_body_bytes (%d), is %d", d.MaxBodyBytes, d.MaxInFlightBytes))
	}
	return errors.Join(errs...)
}
