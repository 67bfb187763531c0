package ratio

import (
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

func TestAdd_medians(t *testing.T) {
	rounds := func(values ...float64) (costs []cost) {
		for _, v := range values {
			costs = append(costs, cost{cpu: v, time: 2 * v, allocs: 3})
		}
		return costs
	}
	// The second round was on a busy machine, for both.
	add("BenchmarkPage/landing", []Variant{{Name: "bare"}, {Name: "tracked"}}, [][]cost{rounds(1000, 9000, 1000), rounds(1500, 13500, 1500)})
	defer results.Reset()
	want := `
Page/landing

| | CPU ÷ bare | time ÷ bare | CPU | time | allocations | bytes |
| --- | --- | --- | --- | --- | --- | --- |
| bare | 1 | 1 | 1 µs | 2 µs | 3 | 0 |
| tracked | 1.5 | 1.5 | 1.5 µs | 3 µs | 3 | 0 |
`
	if got := results.String(); got != want {
		t.Errorf("got %s", got)
	}
}

func TestCompare_rounds(t *testing.T) {
	var prepared, ran [2]int
	variant := func(i int) Variant {
		return Variant{
			Name:    "waiting",
			Prepare: func(int) { prepared[i]++ },
			Run:     func(n int) { ran[i]++; time.Sleep(time.Duration(n) * minBatch) },
		}
	}
	testing.Benchmark(func(b *testing.B) { Compare(b, variant(0), variant(1)) })
	defer results.Reset()
	if ran[0] != ran[1] || ran != prepared {
		t.Errorf("batches of the variants: %v, prepared: %v", ran, prepared)
	}
	if !strings.Contains(results.String(), "| waiting | 1 |") {
		t.Errorf("got %s", results.String())
	}
}

func TestCalls_percentiles(t *testing.T) {
	rows := []Variant{Calls("of calls", 2, func() {}), {Name: "of batches"}}
	for i := range 200 {
		rows[0].calls.add(time.Duration(200-i) * time.Microsecond)
	}
	add("BenchmarkStore", rows, [][]cost{{{cpu: 1000, time: 1000}}, {{cpu: 1000, time: 1000}}})
	defer results.Reset()
	want := `
Store

| | CPU ÷ of calls | time ÷ of calls | CPU | time | allocations | bytes | a call, median | a call, 99 % |
| --- | --- | --- | --- | --- | --- | --- | --- | --- |
| of calls | 1 | 1 | 1 µs | 1 µs | 0 | 0 | 101 µs | 199 µs |
| of batches | 1 | 1 | 1 µs | 1 µs | 0 | 0 | | |
`
	if got := results.String(); got != want {
		t.Errorf("got %s", got)
	}
}

// TestCalls_batch measures calls that wait for each other.
func TestCalls_batch(t *testing.T) {
	const callers = 8
	var together atomic.Int64
	v := Calls("meeting", callers, func() {
		together.Add(1)
		for together.Load() < callers {
			runtime.Gosched()
		}
	})
	if n := v.calibrate(); n < callers || len(v.calls.took) > 0 {
		t.Errorf("a batch of %d calls for %d callers; %d warm ones are kept", n, callers, len(v.calls.took))
	}
}
