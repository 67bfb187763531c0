package ratio

import (
	"strings"
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
