package apihttp

import "syscall"

// The texts of Plan 9's kernel.
const (
	errRefused = syscall.ErrorString("connection refused")
	errReset   = syscall.ErrorString("connection reset")
	errPipe    = syscall.ErrorString("i/o on hungup channel")
)
