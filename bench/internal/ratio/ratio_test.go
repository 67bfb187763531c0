package ratio

import (
	"fmt"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// forget removes the tables of a test.
func forget(t *testing.T) {
	t.Cleanup(func() { tables.all = nil })
}

func TestAddRows_medians(t *testing.T) {
	forget(t)
	rounds := func(values ...float64) (costs []cost) {
		for _, v := range values {
			costs = append(costs, cost{cpu: v, time: 2 * v, allocs: 3})
		}
		return costs
	}
	// The second round was on a busy machine, for both.
	addRows("BenchmarkPage/landing", []Result{{Name: "bare", rounds: rounds(1000, 9000, 1000)}, {Name: "tracked", rounds: rounds(1500, 13500, 1500)}})
	addRows("BenchmarkPage/with_a_click", []Result{{Name: "bare", rounds: rounds(2e6)}})
	addRows("BenchmarkToken", []Result{{Name: "HMAC", rounds: rounds(10)}})
	want := `
Page

| | | CPU ÷ bare | time ÷ bare | CPU | time | allocations | bytes |
| --- | --- | --- | --- | --- | --- | --- | --- |
| landing | bare | 1 | 1 | 1 µs | 2 µs | 3 | 0 |
| | tracked | 1.5 | 1.5 | 1.5 µs | 3 µs | 3 | 0 |
| with a click | bare | 1 | 1 | 2 ms | 4 ms | 3 | 0 |

Token

| | CPU ÷ HMAC | time ÷ HMAC | CPU | time | allocations | bytes |
| --- | --- | --- | --- | --- | --- | --- |
| HMAC | 1 | 1 | 10 ns | 20 ns | 3 | 0 |
`
	if got := printed(); got != want {
		t.Errorf("got %s", got)
	}
}

func TestTable_repeatedRow(t *testing.T) {
	forget(t)
	NewTable("Empty", 1, "")
	table := NewTable("Growth", 2, "", "events", "rate", "time")
	table.Row("River", 10, 0.5, time.Second)
	table.Row("River", 20, 1234567.8, 999_700*time.Microsecond)
	NewTable("Growth", 2, "", "events", "rate", "time").Row("River", 10, 0.25, time.Millisecond)
	want := `
Growth

| | events | rate | time |
| --- | --- | --- | --- |
| River | 10 | 0.25 | 1 ms |
| | 20 | 1,234,568 | 1 s |
`
	if got := printed(); got != want {
		t.Errorf("got %s", got)
	}
}

func TestCompare_rounds(t *testing.T) {
	forget(t)
	var prepared, ran [2]int
	variant := func(i int) Variant {
		return Variant{
			Name:    fmt.Sprint("variant ", i),
			Prepare: func(int) { prepared[i]++ },
			Run:     func(n int) { ran[i]++; time.Sleep(time.Duration(n) * minBatch) },
		}
	}
	testing.Benchmark(func(b *testing.B) { Compare(b, variant(0), variant(1)) })
	if ran[0] != ran[1] || ran != prepared {
		t.Errorf("batches of the variants: %v, prepared: %v", ran, prepared)
	}
	if got := printed(); !strings.Contains(got, "| variant 0 | 1 | 1 |") {
		t.Errorf("got %s", got)
	}
}

func TestResult_Call(t *testing.T) {
	v := Calls("calls", 2, func() {})
	for i := range 200 {
		v.calls.add(time.Duration(200-i) * time.Microsecond)
	}
	r := Result{calls: v.calls.took}
	if median, most := r.Call(50), r.Call(99); median != 101*time.Microsecond || most != 199*time.Microsecond {
		t.Errorf("median %v, 99 %% %v", median, most)
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
