package sqlstore_test

import (
	"fmt"
	"slices"
	"sync"
	"time"
)

// latencies are safe for concurrent use.
type latencies struct {
	mu  sync.Mutex
	all []time.Duration
}

func (l *latencies) add(d time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, d)
}

// percentile returns the latency that the given percentage does not exceed.
func (l *latencies) percentile(p float64) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.all) == 0 {
		return 0
	}
	slices.Sort(l.all)
	return l.all[min(len(l.all)-1, int(float64(len(l.all))*p/100))]
}

func (l *latencies) String() string {
	round := func(p float64) time.Duration { return l.percentile(p).Round(10 * time.Microsecond) }
	return fmt.Sprintf("n=%d p50=%v p90=%v p99=%v p99.9=%v max=%v", len(l.all), round(50), round(90), round(99), round(99.9), round(100))
}

func over(a, b time.Duration) float64 { return float64(a) / float64(b) }
