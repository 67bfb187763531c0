package sqldb_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/clickid/clickid/internal/sqldb"
)

// TestSample estimates how many of a number of rows are behind the first half.
func TestSample(t *testing.T) {
	for _, rows := range []int64{1, 1000, 1001, 20_000, 1_000_000} {
		where, factor := sqldb.Sample(1, rows)
		selected, behind := 0, 0
		var first, last int64
		var ids []int64
		if _, err := fmt.Sscanf(where, "id BETWEEN %d AND %d", &first, &last); err == nil {
			for id := first; id <= last; id++ {
				ids = append(ids, id)
			}
		} else {
			for _, id := range strings.Split(strings.TrimSuffix(strings.TrimPrefix(where, "id IN ("), ")"), ", ") {
				n, err := strconv.ParseInt(id, 10, 64)
				if err != nil {
					t.Fatalf("%d rows: %q, %v", rows, where, err)
				}
				ids = append(ids, n)
			}
		}
		for _, id := range ids {
			if id < 1 || id > rows {
				t.Fatalf("%d rows: %q selects others", rows, where)
			}
			selected++
			if id > rows/2 {
				behind++
			}
		}
		if estimate := float64(selected) * factor; estimate < float64(rows)*0.98 || estimate > float64(rows)*1.02 {
			t.Errorf("%d rows are estimated as %v", rows, estimate)
		}
		if estimate := float64(behind) * factor; estimate < float64(rows)*0.45 || estimate > float64(rows)*0.55+1 {
			t.Errorf("half of %d rows is estimated as %v", rows, estimate)
		}
	}
}
