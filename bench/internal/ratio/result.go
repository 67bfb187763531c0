package ratio

import (
	"math"
	"slices"
	"time"
)

// Result is the measurement of a variant. Its figures are the medians of the
// rounds, for one time that the work is done.
type Result struct {
	Name   string
	rounds []cost
	calls  []time.Duration
}

func ofCPU(c cost) float64    { return c.cpu }
func ofTime(c cost) float64   { return c.time }
func ofAllocs(c cost) float64 { return c.allocs }
func ofBytes(c cost) float64  { return c.bytes }

// CPU returns the CPU time of the process.
func (r Result) CPU() time.Duration { return time.Duration(r.median(ofCPU)) }

// Time returns the time that passed.
func (r Result) Time() time.Duration { return time.Duration(r.median(ofTime)) }

// Allocations returns the number of allocations.
func (r Result) Allocations() float64 { return math.Round(r.median(ofAllocs)) }

// Bytes returns the bytes that were allocated.
func (r Result) Bytes() float64 { return math.Round(r.median(ofBytes)) }

// CPUOver returns the median of the ratios of the CPU times of both in a round.
func (r Result) CPUOver(other Result) float64 { return r.over(other, ofCPU) }

// TimeOver does the same for the time that passed.
func (r Result) TimeOver(other Result) float64 { return r.over(other, ofTime) }

// Call returns the time that a percentage of the calls does not exceed, if the
// variant is one of [Calls].
func (r Result) Call(percentage int) time.Duration { return Percentile(r.calls, percentage) }

func (r Result) median(of func(cost) float64) float64 {
	return median(len(r.rounds), func(round int) float64 { return of(r.rounds[round]) })
}

func (r Result) over(other Result, of func(cost) float64) float64 {
	return median(len(r.rounds), func(round int) float64 { return of(r.rounds[round]) / of(other.rounds[round]) })
}

func median(n int, value func(int) float64) float64 {
	values := make([]float64, n)
	for i := range values {
		values[i] = value(i)
	}
	slices.Sort(values)
	return (values[(n-1)/2] + values[n/2]) / 2
}

// Percentile sorts durations and returns the one that a percentage of them does
// not exceed.
func Percentile(took []time.Duration, percentage int) time.Duration {
	if len(took) == 0 {
		return 0
	}
	slices.Sort(took)
	return took[min(len(took)-1, len(took)*percentage/100)]
}
