package discover

import "time"

// virtual lets time pass inside synctest.
func virtual(d time.Duration) { time.Sleep(d) } //nolint:forbidigo // of a bubble: it takes no time
