package serverkit

import (
	"os/exec"
	"runtime"
	"sync"
	"syscall"
)

// ownGroup puts the command into a process group of its own, so that a Ctrl-C in the terminal reaches this process alone,
// which then stops its children in order, and so that a signal can reach all that a child started. The kernel ends the child
// when this process dies without having done so.
func ownGroup(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
}

func terminate(cmd *exec.Cmd) { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }

func killGroup(cmd *exec.Cmd) { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }

var starter struct {
	once sync.Once
	work chan func()
}

// startLocked starts the command from a thread that never ends: the kernel sends the signal of Pdeathsig when the thread that
// forked ends, which need not be when the process does.
func startLocked(cmd *exec.Cmd) error {
	starter.once.Do(func() {
		starter.work = make(chan func())
		go func() {
			runtime.LockOSThread()
			for f := range starter.work {
				f()
			}
		}()
	})
	result := make(chan error, 1)
	starter.work <- func() { result <- cmd.Start() }
	return <-result
}
