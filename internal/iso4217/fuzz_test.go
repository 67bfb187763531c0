package iso4217

import (
	"regexp"
	"strings"
	"testing"
)

var currency = regexp.MustCompile(`^ *[A-Za-z]{3} *$`)

// FuzzCode checks that only three letters are a code, that a code stays as it
// is, and that the search finds exactly the codes of the list. Stripe and Adyen
// differ from list one only in listed currencies.
func FuzzCode(f *testing.F) {
	for _, s := range []string{"", "USD", " eur ", "EURO", "US", "u sd", "uſd", "ÜSD", "A AE", "XAU"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		code, ok := Code(s)
		if ok != currency.MatchString(s) {
			t.Fatalf("%q is a code: %v", s, ok)
		}
		if again, stays := Code(code); ok && (!stays || again != code || !strings.EqualFold(code, strings.Trim(s, " "))) {
			t.Fatalf("%q became %q and then %q", s, code, again)
		}
		for _, s := range []string{s, code} {
			listed := len(s) == 3 && strings.Contains(codes+" ", " "+s+" ") && !strings.Contains(s, " ")
			if Listed(s) != listed {
				t.Fatalf("%q is listed: %v", s, Listed(s))
			}
			for _, decimals := range []int{Exponent(s), Stripe(s), Adyen(s)} {
				if decimals < 0 || decimals > 4 || !listed && decimals != 2 {
					t.Fatalf("%q has %d decimals", s, decimals)
				}
			}
		}
	})
}
