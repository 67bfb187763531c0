// Package ratio measures several ways to do the same work side by side and
// prints tables of their ratios, in the form of docs/benchmarks.md.
//
// Figures that are measured one after the other do not compare on a busy
// machine. Compare therefore runs the variants in turn, in short batches, and
// divides the batches of one round by each other.
package ratio

import (
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Variant is one way to do the work.
type Variant struct {
	Name string
	// Run does the work n times.
	Run func(n int)
	// Prepare, if any, prepares a batch of n. It is not measured.
	Prepare func(n int)

	calls *calls // or nil
	least int    // the smallest batch
}

// calls are the durations of single calls.
type calls struct {
	sync.Mutex
	took []time.Duration
}

func (c *calls) add(took time.Duration) {
	c.Lock()
	defer c.Unlock()
	c.took = append(c.took, took)
}

// Calls returns a variant that calls f from a number of goroutines. Its result
// also has the percentiles of the time of a call. A batch is large enough to keep
// all of them busy.
func Calls(name string, callers int, f func()) Variant {
	c := new(calls)
	return Variant{Name: name, calls: c, least: 4 * callers, Run: AtOnce(callers, func() {
		began := time.Now()
		f()
		c.add(time.Since(began))
	})}
}

// minBatch is the shortest batch that is measured.
const minBatch = 10 * time.Millisecond

// Compare measures the variants and adds their rows to a table of the benchmark,
// in which the first variant is 1. The rows of its sub-benchmarks are in one table.
func Compare(b *testing.B, variants ...Variant) {
	b.Helper()
	addRows(b.Name(), Measure(b, variants...))
}

// Measure measures the variants. An iteration of b is a round, in which each
// variant runs a batch: -benchtime=5s measures for five seconds, and
// -benchtime=20x for twenty rounds.
func Measure(b *testing.B, variants ...Variant) []Result {
	b.Helper()
	sizes := make([]int, len(variants))
	for i, v := range variants {
		sizes[i] = v.calibrate()
	}
	results := make([]Result, len(variants))
	for round := 0; b.Loop(); round++ {
		for i := range variants {
			i = (i + round) % len(variants) // in turn, each of them is first
			results[i].rounds = append(results[i].rounds, variants[i].batch(sizes[i]))
		}
	}
	for i, v := range variants {
		results[i].Name = v.Name
		if v.calls != nil {
			results[i].calls = v.calls.took
		}
	}
	return results
}

// calibrate returns the size of a batch. It also warms up.
func (v Variant) calibrate() int {
	for n := max(1, v.least); ; n *= 2 {
		if c := v.batch(n); c.time*float64(n) >= float64(minBatch) {
			if v.calls != nil {
				v.calls.took = nil
			}
			return n
		}
	}
}

// cost is the average cost of the work in a batch.
type cost struct {
	cpu, time     float64 // in nanoseconds; cpu is that of the whole process
	allocs, bytes float64
}

// batch runs a batch. A batch pays for its own garbage only.
func (v Variant) batch(n int) cost {
	if v.Prepare != nil {
		v.Prepare(n)
	}
	runtime.GC()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	cpu, began := cpuTime(), time.Now()
	v.Run(n)
	took, used := time.Since(began), cpuTime()-cpu
	runtime.ReadMemStats(&after)
	return cost{
		cpu:    float64(used) / float64(n),
		time:   float64(took) / float64(n),
		allocs: float64(after.Mallocs-before.Mallocs) / float64(n),
		bytes:  float64(after.TotalAlloc-before.TotalAlloc) / float64(n),
	}
}

// AtOnce returns the Run of a [Variant] that calls f from a number of goroutines.
func AtOnce(callers int, f func()) func(n int) {
	return func(n int) {
		var left atomic.Int64
		left.Store(int64(n))
		var working sync.WaitGroup
		for range min(n, callers) {
			working.Go(func() {
				for left.Add(-1) >= 0 {
					f()
				}
			})
		}
		working.Wait()
	}
}
