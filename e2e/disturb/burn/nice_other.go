//go:build !linux

package main

// stepBack does nothing where priorities are those of processes, not of threads.
func stepBack() {}
