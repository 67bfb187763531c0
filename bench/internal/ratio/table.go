package ratio

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// Table is a table of figures that [Main] prints.
type Table struct {
	title   string
	columns []string
	// keys is the number of columns that name a row.
	keys int
	rows [][]string
}

// tables are the tables of [Main].
var tables struct {
	sync.Mutex
	all []*Table
}

// NewTable adds a table to the results, or returns the one of the same title and
// columns, since a benchmark may run more than once. The first keys of its columns
// name a row.
func NewTable(title string, keys int, columns ...string) *Table {
	tables.Lock()
	defer tables.Unlock()
	at := slices.IndexFunc(tables.all, func(t *Table) bool { return t.title == title && slices.Equal(t.columns, columns) })
	if at >= 0 {
		return tables.all[at]
	}
	t := &Table{title: title, columns: columns, keys: keys}
	tables.all = append(tables.all, t)
	return t
}

// Row adds a row, or replaces the row of the same name. It prints ratios, numbers
// and durations with three digits.
func (t *Table) Row(cells ...any) {
	row := make([]string, len(cells))
	for i, c := range cells {
		switch c := c.(type) {
		case float64:
			row[i] = Number(c)
		case time.Duration:
			row[i] = duration(float64(c))
		default:
			row[i] = fmt.Sprint(c)
		}
	}
	tables.Lock()
	defer tables.Unlock()
	at := slices.IndexFunc(t.rows, func(other []string) bool { return slices.Equal(other[:t.keys], row[:t.keys]) })
	if at >= 0 {
		t.rows[at] = row
		return
	}
	t.rows = append(t.rows, row)
}

// String returns the table in Markdown. It names a group of rows once.
func (t *Table) String() string {
	var s strings.Builder
	line := func(cells []string) {
		for _, c := range cells {
			s.WriteString("|")
			if c != "" {
				s.WriteString(" " + c)
			}
			s.WriteString(" ")
		}
		s.WriteString("|\n")
	}
	line(t.columns)
	s.WriteString(strings.Repeat("| --- ", len(t.columns)) + "|\n")
	group := ""
	for _, row := range t.rows {
		row = slices.Clone(row)
		if t.keys > 1 {
			if row[0] == group {
				row[0] = ""
			} else {
				group = row[0]
			}
		}
		line(row)
	}
	return s.String()
}

// Main runs the tests of a package and prints the tables after them, for
// TestMain. It returns the exit code.
func Main(m *testing.M) int {
	code := m.Run()
	fmt.Print(printed())
	return code
}

// printed returns all tables that have rows.
func printed() string {
	tables.Lock()
	defer tables.Unlock()
	var s strings.Builder
	for _, t := range tables.all {
		if len(t.rows) > 0 {
			fmt.Fprintf(&s, "\n%s\n\n%v", t.title, t)
		}
	}
	return s.String()
}

// addRows adds the rows of a comparison to the table of its benchmark, with the
// name of the sub-benchmark.
func addRows(name string, results []Result) {
	title, group, grouped := strings.Cut(strings.TrimPrefix(name, "Benchmark"), "/")
	names := []string{"", ""} // of the columns that name a row
	if !grouped {
		names = names[:1]
	}
	first := results[0].Name
	t := NewTable(title, len(names), append(names, "CPU ÷ "+first, "time ÷ "+first, "CPU", "time", "allocations", "bytes")...)
	for _, r := range results {
		var cells []any
		if grouped {
			cells = append(cells, strings.ReplaceAll(group, "_", " "))
		}
		t.Row(append(cells, r.Name, r.CPUOver(results[0]), r.TimeOver(results[0]), r.CPU(), r.Time(),
			r.Allocations(), r.Bytes())...)
	}
}

// duration prints nanoseconds with three digits.
func duration(ns float64) string {
	switch {
	case ns < 999.5:
		return fmt.Sprintf("%.3g ns", ns)
	case ns < 999.5e3:
		return fmt.Sprintf("%.3g µs", ns/1e3)
	case ns < 999.5e6:
		return fmt.Sprintf("%.3g ms", ns/1e6)
	}
	return Number(ns/1e9) + " s"
}

// Number prints a number with three digits, or a large one without a fraction and
// with commas.
func Number(n float64) string {
	if n < 999.5 {
		return fmt.Sprintf("%.3g", n)
	}
	s := fmt.Sprintf("%.0f", n)
	for at := len(s) - 3; at > 0; at -= 3 {
		s = s[:at] + "," + s[at:]
	}
	return s
}
