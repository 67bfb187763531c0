package testserver

import "syscall"

// endWithParent makes the server end with the test's process, also when that
// is killed or times out and cleans nothing up.
func endWithParent(attr *syscall.SysProcAttr) { attr.Pdeathsig = syscall.SIGKILL }
