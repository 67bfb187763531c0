//go:build unix && !linux

package testserver

import "syscall"

// endWithParent has no effect: only Linux can end a child with its parent.
func endWithParent(*syscall.SysProcAttr) {}
