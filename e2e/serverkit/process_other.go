//go:build !linux

package serverkit

import (
	"os"
	"os/exec"
)

// Outside Linux the child stays in this process's group: a Ctrl-C reaches it too, and only the child itself is signalled.

func ownGroup(*exec.Cmd) {}

func startLocked(cmd *exec.Cmd) error { return cmd.Start() }

func terminate(cmd *exec.Cmd) { _ = cmd.Process.Signal(os.Interrupt) }

func killGroup(cmd *exec.Cmd) { _ = cmd.Process.Kill() }
