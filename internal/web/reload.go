package web

import (
	"fmt"
	"sync"
)

// Reloader keeps a process's configuration and replaces it whole or not at all. Make it with NewReloader. Safe for
// concurrent use.
type Reloader[C any] struct {
	load    func() (C, error)
	prepare func(C) (commit func(), err error)

	applying sync.Mutex // held through a reload; mu is held only to read or write current
	mu       sync.Mutex
	current  C
}

// NewReloader returns a Reloader without a configuration: call Reload once before the process serves.
//
// load reads and validates. prepare does everything that can fail with the new configuration (open, parse, connect) without
// touching what runs, and returns a commit that only swaps and cannot fail. When either returns an error nothing has changed.
func NewReloader[C any](load func() (C, error), prepare func(C) (commit func(), err error)) *Reloader[C] {
	return &Reloader[C]{load: load, prepare: prepare}
}

// Reload loads, prepares and commits. After an error the old configuration is in use as before.
func (r *Reloader[C]) Reload() error {
	r.applying.Lock()
	defer r.applying.Unlock()
	c, err := r.load()
	if err != nil {
		return err
	}
	commit, err := r.prepare(c)
	if err != nil {
		return fmt.Errorf("apply configuration: %w", err)
	}
	commit()
	r.mu.Lock()
	r.current = c
	r.mu.Unlock()
	return nil
}

// Current returns the configuration in use.
func (r *Reloader[C]) Current() C {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.current
}
