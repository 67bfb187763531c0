// Package ratio measures several ways to do the same work side by side and
// prints their ratios.
//
// Figures that are measured one after the other do not compare on a busy
// machine. Compare therefore runs the variants in turn, in short batches, and
// divides the batches of one round by each other.
package ratio

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
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

// percentile returns the nanoseconds that a percentage of the calls does not
// exceed.
func (c *calls) percentile(p int) float64 {
	if len(c.took) == 0 {
		return 0
	}
	slices.Sort(c.took)
	return float64(c.took[min(len(c.took)-1, len(c.took)*p/100)])
}

// Calls returns a variant that calls f from a number of goroutines. Its row also
// has the median and the 99th percentile of the time of a call. A batch is large
// enough to keep all of them busy.
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

// Compare measures the variants and adds a table to the results that [Main]
// prints, in which the first variant is 1. An iteration of b is a round, in
// which each variant runs a batch: -benchtime=5s measures for five seconds, and
// -benchtime=20x for twenty rounds.
func Compare(b *testing.B, variants ...Variant) {
	b.Helper()
	sizes := make([]int, len(variants))
	for i, v := range variants {
		sizes[i] = v.calibrate()
	}
	measured := make([][]cost, len(variants)) // by variant and round
	for round := 0; b.Loop(); round++ {
		for i := range variants {
			i = (i + round) % len(variants) // in turn, each of them is first
			measured[i] = append(measured[i], variants[i].batch(sizes[i]))
		}
	}
	add(b.Name(), variants, measured)
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

// results are the tables of [Main].
var results struct {
	sync.Mutex
	strings.Builder
}

// Main runs the tests of a package and prints the tables of its comparisons
// after them, for TestMain. It returns the exit code.
func Main(m *testing.M) int {
	code := m.Run()
	results.Lock()
	defer results.Unlock()
	fmt.Print(results.String())
	return code
}

// add adds a table to the results: the medians of the rounds.
func add(name string, variants []Variant, measured [][]cost) {
	results.Lock()
	defer results.Unlock()
	fmt.Fprintf(&results, "\n%s\n\n", strings.TrimPrefix(name, "Benchmark"))
	ofCalls := ""
	if slices.ContainsFunc(variants, func(v Variant) bool { return v.calls != nil }) {
		ofCalls = " a call, median | a call, 99 % |"
	}
	fmt.Fprintf(&results, "| | CPU ÷ %s | time ÷ %[1]s | CPU | time | allocations | bytes |%s\n", variants[0].Name, ofCalls)
	fmt.Fprintf(&results, "| --- | --- | --- | --- | --- | --- | --- |%s\n", strings.Repeat(" --- |", strings.Count(ofCalls, "|")))
	for i, v := range variants {
		over := func(of func(cost) float64) float64 {
			return median(len(measured[i]), func(round int) float64 { return of(measured[i][round]) / of(measured[0][round]) })
		}
		typical := func(of func(cost) float64) float64 {
			return median(len(measured[i]), func(round int) float64 { return of(measured[i][round]) })
		}
		cpu, wall := func(c cost) float64 { return c.cpu }, func(c cost) float64 { return c.time }
		fmt.Fprintf(&results, "| %s | %.3g | %.3g | %s | %s | %.0f | %.0f |", v.Name, over(cpu), over(wall), duration(typical(cpu)), duration(typical(wall)),
			typical(func(c cost) float64 { return c.allocs }), typical(func(c cost) float64 { return c.bytes }))
		switch {
		case ofCalls == "":
		case v.calls == nil:
			results.WriteString(" | |")
		default:
			fmt.Fprintf(&results, " %s | %s |", duration(v.calls.percentile(50)), duration(v.calls.percentile(99)))
		}
		results.WriteString("\n")
	}
}

func median(n int, value func(int) float64) float64 {
	values := make([]float64, n)
	for i := range values {
		values[i] = value(i)
	}
	slices.Sort(values)
	return (values[(n-1)/2] + values[n/2]) / 2
}

// duration prints nanoseconds with three digits.
func duration(ns float64) string {
	switch {
	case ns < 1e3:
		return fmt.Sprintf("%.3g ns", ns)
	case ns < 1e6:
		return fmt.Sprintf("%.3g µs", ns/1e3)
	case ns < 1e9:
		return fmt.Sprintf("%.3g ms", ns/1e6)
	}
	return fmt.Sprintf("%.3g s", ns/1e9)
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
