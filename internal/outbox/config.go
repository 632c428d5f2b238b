package outbox

import (
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/common/model"

	"github.com/portent-dev/portent/internal/web"
)

// Config is the part of the configuration that is about the outbox.
type Config struct {
	// Concurrency is how many calls run at a time for each tracker.
	Concurrency int `yaml:"concurrency"`
	// CallTimeout bounds one call of a tracker.
	CallTimeout model.Duration `yaml:"call_timeout"`
	// BackoffMin and BackoffMax bound the wait after a failed attempt. It doubles
	// from one attempt to the next; what the tracker asks for counts if it is more.
	BackoffMin model.Duration `yaml:"backoff_min"`
	BackoffMax model.Duration `yaml:"backoff_max"`
	// MaxAttempts is after how many failures a task is given up until a person
	// replays it.
	MaxAttempts int `yaml:"max_attempts"`
}

// DefaultConfig gives a tracker about a day to come back: the wait reaches 15
// minutes with the eleventh of 100 attempts. Four calls at a time stay below the
// burst limits that trackers document.
func DefaultConfig() Config {
	return Config{
		Concurrency: 4,
		CallTimeout: model.Duration(30 * time.Second),
		BackoffMin:  model.Duration(time.Second),
		BackoffMax:  model.Duration(15 * time.Minute),
		MaxAttempts: 100,
	}
}

// Validate reports every setting that cannot be.
func (c Config) Validate() error {
	var errs []error
	if c.Concurrency < 1 || c.Concurrency > 64 {
		errs = append(errs, web.Invalid("concurrency", fmt.Errorf("got %d, want 1 to 64", c.Concurrency)))
	}
	if c.CallTimeout <= 0 || c.CallTimeout > model.Duration(10*time.Minute) {
		errs = append(errs, web.Invalid("call_timeout", fmt.Errorf("got %s, want more than 0 and at most 10m", c.CallTimeout)))
	}
	if c.BackoffMin <= 0 {
		errs = append(errs, web.Invalid("backoff_min", fmt.Errorf("got %s, want more than 0", c.BackoffMin)))
	}
	if c.BackoffMax < c.BackoffMin {
		errs = append(errs, web.Invalid("backoff_max", fmt.Errorf("got %s, want at least backoff_min, which is %s", c.BackoffMax, c.BackoffMin)))
	}
	if c.MaxAttempts < 1 {
		errs = append(errs, web.Invalid("max_attempts", fmt.Errorf("got %d, want at least 1", c.MaxAttempts)))
	}
	return errors.Join(errs...)
}

// backoff is the wait after attempt n (1, 2, …): BackoffMin doubled n-1 times
// and bounded, of which half is fixed and half is random, so that tasks which
// failed together do not come back together ("equal jitter", Brooker,
// Exponential Backoff and Jitter, AWS Architecture Blog, 2015).
func (c Config) backoff(n int, random float64) time.Duration {
	d := time.Duration(c.BackoffMin)
	for range n - 1 {
		if d >= time.Duration(c.BackoffMax)/2 {
			d = time.Duration(c.BackoffMax)
			break
		}
		d *= 2
	}
	return d/2 + time.Duration(random*float64(d/2))
}

// lease is longer than any attempt can take: a lookup, a create and a read, and
// a minute to write the outcome.
func (c Config) lease() time.Duration { return 3*time.Duration(c.CallTimeout) + time.Minute }
