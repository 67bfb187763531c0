// Package terminal makes text of others safe to print.
package terminal

import (
	"strconv"
	"strings"
)

// Text returns s with control and format characters escaped, which could move
// the cursor of a terminal or make a line of their own.
func Text(s string) string {
	quoted := strconv.Quote(s)
	return strings.NewReplacer(`\"`, `"`, `\\`, `\`).Replace(quoted[1 : len(quoted)-1])
}
