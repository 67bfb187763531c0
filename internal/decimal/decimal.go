// Package decimal reads and rounds decimal numbers as text.
package decimal

import (
	"strings"

	"github.com/clickid/clickid/internal/text"
)

// Parse returns the digits before and after the point without surplus zeros.
// The integer is at least "0". The number may have a minus sign. ok is false for
// other forms.
func Parse(number string) (integer, fraction string, negative, ok bool) {
	number, minus := strings.CutPrefix(strings.Trim(number, " "), "-")
	integer, fraction, _ = strings.Cut(number, ".")
	if !text.Digits(integer + fraction) {
		return "", "", false, false
	}
	integer, fraction = strings.TrimLeft(integer, "0"), strings.TrimRight(fraction, "0")
	negative = minus && integer+fraction != ""
	if integer == "" {
		integer = "0"
	}
	return integer, fraction, negative, true
}

// Round rounds to a number of decimals, half to even.
func Round(integer, fraction string, decimals int) (_, _ string, rounded bool) {
	if len(fraction) <= decimals {
		return integer, fraction, false
	}
	rest := fraction[decimals:]
	number := []byte(integer + fraction[:decimals])
	last := number[len(number)-1]
	if half := "5"; rest > half || rest == half && last%2 == 1 {
		number = increment(number)
	}
	point := len(number) - decimals
	return string(number[:point]), strings.TrimRight(string(number[point:]), "0"), true
}

// increment adds one to a number of decimal digits.
func increment(number []byte) []byte {
	for i := len(number) - 1; i >= 0; i-- {
		if number[i] < '9' {
			number[i]++
			return number
		}
		number[i] = '0'
	}
	return append([]byte{'1'}, number...)
}
