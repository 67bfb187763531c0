package personaldata_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/clickid/clickid/internal/personaldata"
)

// FuzzProblem checks that an address is found whatever surrounds it, also
// percent-encoded, and that the problem repeats nothing of the text.
func FuzzProblem(f *testing.F) {
	for _, s := range []string{"", "order 4711", "\x00", "\xff", "%", "%4", "@", "a@", "@b.example", "+49 151 2345678", "１２", "\u200b", strings.Repeat("%25", 50), "ab=cd&ef=gh"} {
		f.Add(s, s)
	}
	const address = "anna.k@example.com"
	f.Fuzz(func(t *testing.T, before, after string) {
		if len(before)+len(after) > 1000 {
			return
		}
		for _, text := range []string{before + " " + address + " " + after, before + " " + url.QueryEscape(address) + " " + after} {
			for _, check := range []func(string) string{personaldata.Problem, personaldata.ProblemOfID, personaldata.ProblemOfEmail} {
				problem := check(text)
				if problem == "" {
					t.Fatalf("%q is taken for no personal data", text)
				}
				if strings.Contains(problem, "anna") {
					t.Fatalf("the problem %q repeats the address", problem)
				}
			}
		}
		_ = personaldata.NamesPhone(before)
		_ = personaldata.IsBarePhone(before)
	})
}
