package triage_test

import "time"

// pass lets the virtual time of a synctest bubble pass. Nobody waits for it.
func pass(d time.Duration) {
	time.Sleep(d) //nolint:forbidigo // virtual time
}
