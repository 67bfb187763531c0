//go:build unix

package ratio

import (
	"syscall"
	"time"
)

// cpuTime returns the CPU time of the process so far, that of the kernel on its
// behalf included.
func cpuTime() time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return 0
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
