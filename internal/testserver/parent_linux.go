package testserver

import "syscall"

// endWithParent makes the server end with the test's process, even if that is
// killed or times out without cleaning up.
func endWithParent(attr *syscall.SysProcAttr) { attr.Pdeathsig = syscall.SIGKILL }
