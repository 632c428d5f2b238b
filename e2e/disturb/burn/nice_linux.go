package main

import (
	"runtime"
	"syscall"
)

// stepBack gives the thread that calls it the next lower priority. Where that is not allowed, its time is counted as the others'.
func stepBack() {
	runtime.LockOSThread()
	_ = syscall.Setpriority(syscall.PRIO_PROCESS, syscall.Gettid(), 1)
}
