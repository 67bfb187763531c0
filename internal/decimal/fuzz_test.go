package decimal_test

import (
	"math/big"
	"regexp"
	"strings"
	"testing"

	"github.com/clickid/clickid/internal/decimal"
)

// number is the form that Parse takes, with or without a point.
var number = regexp.MustCompile(`^ *-?([0-9]+\.?[0-9]*|\.[0-9]+) *$`)

// FuzzRound compares with exact arithmetic: Parse changes no number, and Round
// returns the nearest one of its decimals, the even one of two.
func FuzzRound(f *testing.F) {
	for _, s := range []string{"", "0", "-0.00", "007.50", ".5", "5.", "1,5", "1e3", " 2 ", "２"} {
		f.Add(s, uint8(2))
	}
	f.Fuzz(func(t *testing.T, s string, decimals uint8) {
		decimals %= 20
		integer, fraction, negative, ok := decimal.Parse(s)
		if ok != number.MatchString(s) {
			t.Fatalf("%q is a number: %v", s, ok)
		}
		if !ok {
			return
		}
		exact := rational(t, s)
		if negative != (exact.Sign() < 0) {
			t.Fatalf("%q is negative: %v", s, negative)
		}
		exact.Abs(exact)
		if parsed := plain(t, integer, fraction); parsed.Cmp(exact) != 0 {
			t.Fatalf("%q became %s.%s", s, integer, fraction)
		}

		whole, rest, rounded := decimal.Round(integer, fraction, int(decimals))
		got := plain(t, whole, rest)
		if rounded != (len(fraction) > int(decimals)) || rounded != (got.Cmp(exact) != 0) || len(rest) > int(decimals) {
			t.Fatalf("%q was rounded to %s.%s: %v", s, whole, rest, rounded)
		}
		unit := new(big.Rat).SetFrac(big.NewInt(1), new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(decimals)), nil))
		twice := new(big.Rat).Sub(got, exact)
		twice.Abs(twice).Add(twice, twice)
		units := new(big.Rat).Quo(got, unit)
		if far := twice.Cmp(unit); far > 0 || far == 0 && units.Num().Bit(0) == 1 {
			t.Fatalf("%q was rounded to %s.%s", s, whole, rest)
		}
	})
}

// plain returns a number in the form of Parse, without surplus zeros.
func plain(t *testing.T, integer, fraction string) *big.Rat {
	t.Helper()
	if integer == "" || integer != "0" && integer[0] == '0' || strings.HasSuffix(fraction, "0") {
		t.Fatalf("%q.%q has surplus zeros", integer, fraction)
	}
	return rational(t, integer+"."+fraction+"0")
}

func rational(t *testing.T, s string) *big.Rat {
	t.Helper()
	s = strings.Replace(strings.Trim(s, " "), "-.", "-0.", 1)
	r, ok := new(big.Rat).SetString(strings.TrimSuffix(s, "."))
	if !ok {
		t.Fatalf("%q is not a number", s)
	}
	return r
}
