package sqldb

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
)

// CountLimit is the number of rows up to which rows are counted. A count beyond
// it is an estimate from a [Sample].
const CountLimit = 2000

const (
	sampleRanges = 100
	sampleWidth  = 10
)

// Sample returns a condition that selects ids in evenly spread ranges between
// first and last, and the factor by which a count of the selected rows is
// multiplied. A short range is selected as a whole. The condition lists the ids:
// PostgreSQL overestimates ranges of a table without statistics.
func Sample(first, last int64) (where string, factor float64) {
	ids := last - first + 1
	if ids <= sampleRanges*sampleWidth {
		return fmt.Sprintf("id BETWEEN %d AND %d", first, last), 1
	}
	stratum := float64(ids) / sampleRanges
	var list []string
	for i := range sampleRanges {
		begin := first + int64(stratum*float64(i)) + rand.Int64N(int64(stratum)-sampleWidth+1)
		for id := begin; id < begin+sampleWidth; id++ {
			list = append(list, strconv.FormatInt(id, 10))
		}
	}
	return "id IN (" + strings.Join(list, ", ") + ")", float64(ids) / (sampleRanges * sampleWidth)
}
