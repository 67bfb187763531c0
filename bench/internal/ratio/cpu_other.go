//go:build !unix

package ratio

import "time"

var began = time.Now()

// cpuTime stands for the CPU time with the time since the start.
func cpuTime() time.Duration { return time.Since(began) }
